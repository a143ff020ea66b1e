package reactor

import (
	"math"
	"time"
)

// Interest is what a descriptor is watched for: a set of [Readable] and [Writable], or 0.
type Interest uint8

const (
	// Readable: it can be read without waiting, or its end or an error has come.
	// A listener is readable when there is a connection to accept.
	Readable Interest = 1 << iota
	// Writable: it can be written without waiting, or an error has come. A socket
	// on which connect(2) was called is writable when the outcome is known.
	Writable
)

// String returns "r", "w", "rw" or "-".
func (in Interest) String() string {
	switch in & (Readable | Writable) {
	case Readable:
		return "r"
	case Writable:
		return "w"
	case Readable | Writable:
		return "rw"
	}
	return "-"
}

// event says that something happened to a watched descriptor. What happened is left
// out, because every event leads to the same call and the source finds out.
type event struct {
	fd  int32
	gen uint32
}

// A poller is what the loop needs of the operating system: to watch descriptors, to
// be woken, and to be watched itself. There are three, epoll, kqueue and poll; what
// is said here holds for all of them, and where they differ it says so.
//
// Errors are *os.SyscallError unless another is named. EINTR never leaves it. All
// but wake are called on the loop's goroutine.
//
// Readiness is level-triggered: what was not dealt with is reported by the next wait
// again. It is a hint: now and then nothing turns out to be the matter.
type poller interface {
	// descriptor is the one by which somebody else's select, poll, epoll or kqueue
	// can watch the whole poller: readable while wait(0) would find something, a
	// pending wake or an expired alarm included. -1: there is none, as with poll. A
	// kqueue that found something looks readable until a wait has found nothing.
	descriptor() int

	// add begins to watch fd, which it does not yet watch, and reports its events
	// with gen. Errors and hang-ups are reported whatever the interest is. With no
	// interest at all they are reported once at most, so that a paused source cannot
	// make the loop spin: epoll and poll do so once, kqueue, which then does not
	// watch the descriptor, not before an interest is set.
	//
	// What cannot be watched is ErrNotPollable: regular files and directories, which
	// are always ready, and devices that the system's call has no support for. A
	// number that is no descriptor is EBADF. After an error fd is not watched.
	add(fd int32, gen uint32, in Interest) error

	// modify changes the interest of a watched descriptor. What add would report
	// once it may then report once more. After an error fd is still watched, for
	// whatever, until remove.
	modify(fd int32, gen uint32, in Interest) error

	// remove ends the watch. It cannot fail in a way that matters: a descriptor
	// that its owner closed too early has left the kernel's table by itself.
	// Events that an earlier wait reported may still be with the caller.
	remove(fd int32)

	// wait fills into with events of watched descriptors and returns as soon as
	// there is one, a wake or an alarm, or timeout has passed: not before, so that
	// a loop never spins towards a deadline, and as soon after as the system's unit
	// of time allows. 0 never waits, negative waits for ever. It may return early
	// with nothing. A descriptor has one event in a wait at most, and if there are
	// more than into can hold, others are in the next, so that nobody starves.
	//
	// A *brokenWatch says that a watched descriptor was closed behind our back, one
	// for each wait; the rest of what wait returned is good. poll finds that out
	// here. The kernel's tables of epoll and kqueue lose such a descriptor without a
	// word, and the next modify is EBADF. If the number is in use again by then, only
	// epoll finds out, ENOENT; what the others report may be of its new owner.
	wait(into []event, timeout time.Duration) (waited, error)

	// wake makes the present or else the next wait return at once; many wakes
	// before a wait are one. Safe on any goroutine, but not together with hush or
	// close.
	wake() error

	// hush takes a wake back that no wait has consumed, so that descriptor() is no
	// longer readable on its account.
	hush() error

	// alarm makes descriptor() readable when d has passed, in place of an earlier
	// alarm; d < 0 only takes that one back. The wait that follows consumes it. It
	// is for deadlines that somebody else's wait must see; wait has its timeout.
	// Without a descriptor there is nothing to do.
	alarm(d time.Duration) error

	// close gives back what the poller holds. Watched descriptors stay open.
	close() error
}

// waited is the outcome of poller.wait.
type waited struct {
	n     int  // events
	woken bool // a wake was consumed
	more  bool // into was too short: there may be more events
	// descriptor() looks readable until a wait has found nothing, and somebody else's
	// edge-triggered wait for it may miss until then that something becomes ready.
	unquiet bool
}

// brokenWatch is an error of a wait about one descriptor.
type brokenWatch struct {
	event
	err error
}

func (e *brokenWatch) Error() string { return e.err.Error() }

// milliseconds rounds up: a wait that ends a little early finds nothing to do and
// waits again, many times in the last millisecond before a deadline.
func milliseconds(d time.Duration) int {
	if d < 0 {
		return -1
	}
	ms := d / time.Millisecond
	if d%time.Millisecond != 0 {
		ms++
	}
	return int(min(ms, math.MaxInt32))
}

// reach makes a table so long that it has place i. The kernel gives out the lowest
// free number, so tables by descriptor stay dense.
func reach[T any](table []T, i int) []T {
	if i < len(table) {
		return table
	}
	grown := make([]T, max(i+1, 2*len(table), 64))
	copy(grown, table)
	return grown
}
