package reactor

import "time"

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

// event says that something happened to a watched descriptor. What happened is left
// out, because every event leads to the same call and the source finds out.
type event struct {
	fd  int32
	gen uint32
}

// A poller is what the loop needs of the operating system: to watch descriptors, to
// be woken, and to be watched itself. Errors are *os.SyscallError. EINTR never
// leaves it. All but wake are called on the loop's goroutine.
//
// Readiness is level-triggered: what was not dealt with is reported by the next wait
// again.
type poller interface {
	// descriptor is the one by which somebody else's select, poll or epoll can
	// watch the whole poller: readable while wait(0) would find something, a
	// pending wake or an expired alarm included. -1: there is none.
	descriptor() int

	// add begins to watch fd and reports its events with gen. Errors and hang-ups
	// are reported whatever the interest is; with no interest at all they are
	// reported once and no more, so that a paused source cannot make the loop spin.
	add(fd int32, gen uint32, in Interest) error

	// modify changes the interest of a watched descriptor.
	modify(fd int32, gen uint32, in Interest) error

	// remove ends the watch. It cannot fail in a way that matters: a descriptor
	// that its owner closed too early has left the kernel's table by itself.
	// Events that an earlier wait reported may still be with the caller.
	remove(fd int32)

	// wait fills into with events of watched descriptors and returns as soon as
	// there is one, a wake or an alarm, or timeout has passed: not before, so that
	// a loop never spins towards a deadline. 0 never waits, negative waits for
	// ever. It may return early with nothing.
	wait(into []event, timeout time.Duration) (waited, error)

	// wake makes the present or else the next wait return at once; many wakes
	// before a wait are one. Safe on any goroutine, but not together with close.
	wake() error

	// hush takes a wake back that no wait has consumed, so that descriptor() is no
	// longer readable on its account.
	hush() error

	// alarm makes descriptor() readable when d has passed, in place of an earlier
	// alarm; d < 0 only takes that one back. The wait that follows consumes it. It
	// is for deadlines that somebody else's wait must see; wait has its timeout.
	alarm(d time.Duration) error

	// close gives back what the poller holds. Watched descriptors stay open.
	close() error
}

// waited is the outcome of poller.wait.
type waited struct {
	n     int  // events
	woken bool // a wake was consumed
	more  bool // into was too short: there may be more events
}
