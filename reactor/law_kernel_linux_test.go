package reactor

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// A lawKernel is the kernel below a program: descriptors, a poller, and a clock that
// is moved by hand, on which the poller's alarms hang.
type lawKernel interface {
	files
	newPoller() (poller, error)
	link() (lawLink, error)
	ready(fd int, want Interest) bool // as poll(2) says; a hang-up is always wanted
	time() time.Time
	set(now time.Time)
	next(limit time.Time) time.Time // when the next alarm rings, limit at the latest
	rings() int                     // how often alarms have rung
}

// handKernel is Linux with its timerfds on a clock of ours: they are eventfds that are
// made readable when it passes.
type handKernel struct {
	linux
	now    time.Time
	alarms []handAlarm
	rang   int
}

type handAlarm struct {
	fd int
	at time.Time // zero: not set
}

func newHandKernel() lawKernel { return &handKernel{now: lawBegin} }

func (k *handKernel) newPoller() (poller, error) { return newEpoll(k) }
func (k *handKernel) time() time.Time            { return k.now }
func (k *handKernel) rings() int                 { return k.rang }

func (k *handKernel) set(now time.Time) {
	k.now = now
	for i := range k.alarms {
		if a := &k.alarms[i]; !a.at.IsZero() && !a.at.After(now) {
			a.at = time.Time{}
			k.rang++
			_, _ = k.write(a.fd, one)
		}
	}
}

func (k *handKernel) next(limit time.Time) time.Time {
	for _, a := range k.alarms {
		if !a.at.IsZero() && a.at.Before(limit) {
			limit = a.at
		}
	}
	return limit
}

func (k *handKernel) timerfd() (int, error) {
	fd, err := k.eventfd()
	if err == nil {
		k.alarms = append(k.alarms, handAlarm{fd: fd})
	}
	return fd, err
}

// timerfdSettime forgets an expiry that nobody has read, like timerfd_settime(2). A
// nanosecond is at once.
func (k *handKernel) timerfdSettime(fd int, spec *unix.ItimerSpec) error {
	a := &k.alarms[k.find(fd)]
	a.at = time.Time{}
	_, _ = k.read(fd, make([]byte, 8))
	switch d := time.Duration(unix.TimespecToNsec(spec.Value)); d {
	case 0:
	case 1:
		a.at = k.now
		k.set(k.now)
	default:
		a.at = k.now.Add(d)
	}
	return nil
}

func (k *handKernel) close(fd int) error {
	if i := k.find(fd); i >= 0 {
		k.alarms = slices.Delete(k.alarms, i, i+1)
	}
	return k.linux.close(fd)
}

func (k *handKernel) find(fd int) int {
	return slices.IndexFunc(k.alarms, func(a handAlarm) bool { return a.fd == fd })
}

// link opens a socketpair that is blocked after a few bytes.
func (k *handKernel) link() (lawLink, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_SNDBUF, 1)
	}
	return lawLink{k: k, near: fds[0], far: fds[1]}, err
}

func (k *handKernel) ready(fd int, want Interest) bool {
	fds := []unix.PollFd{{Fd: int32(fd)}}
	if want&Readable != 0 {
		fds[0].Events |= unix.POLLIN
	}
	if want&Writable != 0 {
		fds[0].Events |= unix.POLLOUT
	}
	n, err := unix.Poll(fds, 0)
	return n > 0 && err == nil
}

// pollLawKernel is the same with the poller over poll(2).
type pollLawKernel struct{ *handKernel }

func (k pollLawKernel) newPoller() (poller, error) { return newPoll(k) }

// modelLawKernel is the model of kqueue(2).
type modelLawKernel struct {
	*model
	rang int
}

func newModelLawKernel(userEvents bool) lawKernel {
	m := newModel(userEvents, time.Nanosecond)
	m.now = lawBegin
	return &modelLawKernel{model: m}
}

func (k *modelLawKernel) newPoller() (poller, error) { return newKqueue(k) }
func (k *modelLawKernel) rings() int                 { return k.rang }

func (k *modelLawKernel) set(now time.Time) {
	k.now = now
	k.look()
}

// look is the nanosecond that passes while somebody looks, in which timers fire that
// were set to be at once.
func (k *modelLawKernel) look() {
	before := k.firing()
	k.now = k.now.Add(1)
	k.ring()
	k.now = k.now.Add(-1)
	k.rang += k.firing() - before
}

// timers are all that are set or firing.
func (k *modelLawKernel) timers() (all []*note) {
	for _, o := range k.fds {
		if o == nil || o.queue == nil {
			continue
		}
		for _, n := range o.queue.notes {
			if n.filter == filterTimer {
				all = append(all, n)
			}
		}
	}
	return all
}

func (k *modelLawKernel) firing() (n int) {
	for _, t := range k.timers() {
		if t.fired {
			n++
		}
	}
	return n
}

func (k *modelLawKernel) next(limit time.Time) time.Time {
	for _, t := range k.timers() {
		if !t.fired && t.due.Before(limit) {
			limit = t.due
		}
	}
	return limit
}

// link opens a pair of sockets, of which the near one can write a few bytes.
func (k *modelLawKernel) link() (lawLink, error) {
	near, far, err := k.world().pair()
	const room = 5
	k.at(far).in = make([]byte, modelRoom-room)
	return lawLink{k: k, near: near, far: far, filler: modelRoom - room}, err
}

func (k *modelLawKernel) ready(fd int, want Interest) bool {
	k.look()
	o := k.at(fd)
	return want&Readable != 0 && o.readable() || want&Writable != 0 && o.writable() || o.peer != nil && o.peer.refs == 0
}

// stagedPoller never sleeps. Where a real one would, it is the world's turn, and what
// has become ready meanwhile is found by looking again.
type stagedPoller struct {
	poller
	world *lawWorld
	loop  *Loop
}

func (p *stagedPoller) wait(into []event, timeout time.Duration) (waited, error) {
	w := p.world
	w.begins(p.loop)
	into = into[:w.batch]
	end := w.k.time().Add(timeout)
	for {
		got, err := p.poller.wait(into, 0)
		if got.more {
			w.excuses++ // it may have been all that there was
		}
		if w.backend.sticky && (got.n > 0 || got.woken) {
			w.excuses++ // until a wait finds nothing
		}
		if timeout == 0 || err != nil {
			return got, err
		}
		late := timeout > 0 && !w.k.time().Before(end)
		if got.n > 0 || got.woken || late {
			w.woke()
			return got, nil
		}
		if timeout < 0 {
			end = time.Time{}
		}
		w.asleep = p.loop
		w.sleep(end)
		w.asleep = nil
	}
}

func (p *stagedPoller) hush() error {
	if p.world.backend.sticky {
		p.world.excuses++
	}
	return p.poller.hush()
}
