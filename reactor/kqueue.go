//go:build unix

package reactor

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// This file is the poller of macOS and the BSDs, but for the system calls, which are
// in kqueue_bsd.go, and what differs between the systems, in a file for each. It is
// compiled everywhere and tested over a model of kqueue(2), kqueue_model_test.go.
//
// One flaw of the systems is left: on macOS the end of a FIFO that has a name may go
// unreported.

// filter is what a kevent is about. Those of descriptors are the bits of [Interest].
type filter uint8

const (
	filterRead filter = iota
	filterWrite
	filterTimer
	filterUser
)

// Flags of a kevent, which have these values on all systems.
const (
	evAdd     = 0x1
	evDelete  = 0x2
	evOneshot = 0x10
	evClear   = 0x20
)

// kevent is a change to a kqueue, or an event of it, of which only ident and filter
// are filled in: that it is an event is all that is looked at, EV_EOF or not.
type kevent struct {
	ident   int // the descriptor, or a number of ours
	filter  filter
	flags   uint16
	trigger bool  // filterUser: NOTE_TRIGGER
	ticks   int64 // filterTimer: when
}

// kqueueKernel is every system call of kqueue's poller. Errors are plain errnos.
type kqueueKernel interface {
	files
	kqueue() (int, error)
	// change is kevent(2) with one change and no room for events. Safe on any goroutine.
	change(kq int, c kevent) error
	// events is kevent(2) without changes. A negative timeout is none.
	events(kq int, into []kevent, timeout time.Duration) (int, error)
	// tick is the unit of timers.
	tick() time.Duration
	// userEvents reports whether there is EVFILT_USER.
	userEvents() bool
}

// longestWait is one that macOS takes.
const longestWait = 1_000_000 * time.Second

// kqueue is the poller over kqueue(2). Each interest is a filter of its own, and a
// descriptor without interest has none.
//
// The events of a kqueue can carry a pointer of ours, which in Go is no place for a
// generation. But a kqueue forgets a filter with its descriptor, so that no wait
// reports what was watched before, and the generation is that of the table.
//
// Changes are made one at a time: of several the kernel leaves out those behind one
// that fails, and says which that was only by EV_RECEIPT, which not all systems have.
type kqueue struct {
	k        kqueueKernel
	kq       int
	pipe     *wakePipe // nil: an EVFILT_USER wakes
	user     int       // its number
	alarmSet bool
	watches  []watch // by descriptor
	waits    uint32  // when it wraps around, an event may come a wait late
	raw      []kevent
}

// watch is a descriptor in a kqueue.
type watch struct {
	gen      uint32
	reported uint32   // in which wait
	have     Interest // the filters that the kernel has
	pipe     bool
}

func newKqueue(k kqueueKernel) (*kqueue, error) {
	kq, err := k.kqueue()
	if err != nil {
		return nil, os.NewSyscallError("kqueue", err)
	}
	p := &kqueue{k: k, kq: kq}
	if err := p.makeWaker(); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *kqueue) makeWaker() (err error) {
	if p.k.userEvents() {
		return p.named(p.change(kevent{filter: filterUser, flags: evAdd | evClear}))
	}
	if p.pipe, err = newWakePipe(p.k); err != nil {
		return err
	}
	return p.named(p.change(kevent{ident: p.pipe.r, filter: filterRead, flags: evAdd}))
}

// change makes a change. One that was interrupted may have been made or not, and can
// be made twice.
func (p *kqueue) change(c kevent) error {
	for {
		if err := p.k.change(p.kq, c); err != unix.EINTR {
			return err
		}
	}
}

// cancel is change for a deletion. What is not there is gone.
func (p *kqueue) cancel(ident int, f filter) error {
	err := p.change(kevent{ident: ident, filter: f, flags: evDelete})
	if err == unix.ENOENT {
		return nil
	}
	return err
}

func (p *kqueue) named(err error) error { return os.NewSyscallError("kevent", err) }

func (p *kqueue) descriptor() int { return p.kq }

// add asks for the kind first. A kqueue would take a regular file, and a descriptor
// without interest would not even be looked at.
func (p *kqueue) add(fd int32, gen uint32, in Interest) error {
	kind, err := p.k.kind(int(fd))
	switch {
	case err != nil:
		return os.NewSyscallError("fstat", err)
	case kind == plainFile:
		return ErrNotPollable
	}
	p.watches = reach(p.watches, int(fd))
	p.watches[fd] = watch{pipe: kind == pipeFile}
	if err := p.modify(fd, gen, in); err != nil {
		p.remove(fd)
		return err
	}
	return nil
}

func (p *kqueue) modify(fd int32, gen uint32, in Interest) error {
	w := &p.watches[fd]
	w.gen = gen
	if w.pipe && in != 0 {
		// The writer of a pipe whose reader goes hears of it as the end of what it
		// could read. EVFILT_WRITE is silent on some systems, and cannot be set then.
		// A FIFO opened for both must therefore not leave unread what it reads.
		in |= Readable
	}
	for f := filterRead; f <= filterWrite; f++ {
		bit := Interest(1) << f
		var err error
		switch {
		case in&bit == w.have&bit:
			continue
		case in&bit == 0:
			err = p.cancel(int(fd), f)
		default:
			err = p.change(kevent{ident: int(fd), filter: f, flags: evAdd})
			if err == unix.EPIPE && w.pipe {
				continue
			}
		}
		if err != nil {
			return refusal(err)
		}
		w.have ^= bit
	}
	return nil
}

// refusal is the error of a filter that the kernel did not take. Devices without
// support for kqueue, as are some terminals on macOS, say so in these ways.
func refusal(err error) error {
	switch err {
	case unix.EINVAL, unix.ENODEV, unix.EOPNOTSUPP:
		return ErrNotPollable
	}
	return os.NewSyscallError("kevent", err)
}

func (p *kqueue) remove(fd int32) {
	w := &p.watches[fd]
	for f := filterRead; f <= filterWrite; f++ {
		if bit := Interest(1) << f; w.have&bit != 0 {
			_ = p.cancel(int(fd), f)
		}
	}
}

func (p *kqueue) wait(into []event, timeout time.Duration) (w waited, err error) {
	if len(p.raw) != len(into) {
		p.raw = make([]kevent, len(into))
	}
	n, err := p.k.events(p.kq, p.raw, min(timeout, longestWait))
	switch err {
	case nil:
	case unix.EINTR, unix.ETIMEDOUT: // the latter is what macOS says of some timeouts
		return waited{}, nil
	default:
		return waited{}, p.named(err)
	}
	p.waits++
	// A filter that was found stays in the queue until a wait finds that it is not
	// active any more, and activating what is in the queue tells nobody.
	w.more, w.unquiet = n == len(into), n > 0
	for i := range p.raw[:n] {
		switch ev := &p.raw[i]; {
		case ev.filter == filterUser:
			w.woken = true
		case ev.filter == filterTimer:
			p.alarmSet = false
		case p.pipe != nil && ev.ident == p.pipe.r:
			w.woken = true
			err = p.pipe.drain()
		default:
			// Reading and writing are two events of the kernel, and one of ours.
			if d := &p.watches[ev.ident]; d.reported != p.waits {
				d.reported = p.waits
				into[w.n] = event{int32(ev.ident), d.gen}
				w.n++
			}
		}
	}
	return w, err
}

func (p *kqueue) wake() error {
	if p.pipe != nil {
		return p.pipe.wake()
	}
	return p.named(p.change(kevent{ident: p.user, filter: filterUser, trigger: true}))
}

// hush replaces the user event, which cannot be taken back, by another, so that there
// always is one.
func (p *kqueue) hush() error {
	if p.pipe != nil {
		return p.pipe.drain()
	}
	if err := p.change(kevent{ident: 1 - p.user, filter: filterUser, flags: evAdd | evClear}); err != nil {
		return p.named(err)
	}
	old := p.user
	p.user = 1 - old
	return p.named(p.cancel(old, filterUser))
}

// alarm takes the old timer away first: not all systems start one anew that is added
// again. One that has gone off has left by itself.
func (p *kqueue) alarm(d time.Duration) error {
	if p.alarmSet {
		p.alarmSet = false
		if err := p.cancel(0, filterTimer); err != nil {
			return p.named(err)
		}
	}
	if d < 0 {
		return nil
	}
	tick := p.k.tick()
	ticks := max(1, (d+tick-1)/tick) // rounded up, and 0 is not at once everywhere
	err := p.change(kevent{filter: filterTimer, flags: evAdd | evOneshot, ticks: int64(ticks)})
	p.alarmSet = err == nil
	return p.named(err)
}

func (p *kqueue) close() error {
	if p.pipe != nil {
		_ = p.pipe.close()
	}
	return os.NewSyscallError("close", p.k.close(p.kq))
}
