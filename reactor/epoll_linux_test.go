package reactor

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// faultyEpoll is Linux with a plan.
type faultyEpoll struct {
	linux
	faultyFiles
}

func (k faultyEpoll) epollCreate() (int, error) {
	return call(k.plan, "epoll_create1", k.linux.epollCreate)
}

func (k faultyEpoll) epollCtl(ep, op, fd int, ev *unix.EpollEvent) error {
	return k.do("epoll_ctl", func() error { return k.linux.epollCtl(ep, op, fd, ev) })
}

func (k faultyEpoll) epollWait(ep int, evs []unix.EpollEvent, msec int) (int, error) {
	return call(k.plan, "epoll_wait", func() (int, error) { return k.linux.epollWait(ep, evs, msec) })
}

func (k faultyEpoll) epollWait2(ep int, evs []unix.EpollEvent, timeout *timespec) (int, error) {
	return call(k.plan, "epoll_wait", func() (int, error) { return k.linux.epollWait2(ep, evs, timeout) })
}

func (k faultyEpoll) eventfd() (int, error) { return call(k.plan, "eventfd", k.linux.eventfd) }

func (k faultyEpoll) timerfd() (int, error) { return call(k.plan, "timerfd_create", k.linux.timerfd) }

func (k faultyEpoll) timerfdSettime(fd int, spec *unix.ItimerSpec) error {
	return k.do("timerfd_settime", func() error { return k.linux.timerfdSettime(fd, spec) })
}

func init() {
	faultyWorlds["epoll"] = faultyWorld{
		make: func(p *plan) *world {
			w := ownWorld()
			w.newPoller = func() (poller, error) {
				return newEpoll(faultyEpoll{faultyFiles: faultyFiles{system{}, p}})
			}
			return w
		},
		calls: []string{"epoll_create1", "epoll_ctl", "epoll_wait", "eventfd", "timerfd_create",
			"timerfd_settime", "read", "write", "close"},
		interrupted: []string{"epoll_wait", "read", "write"},
	}
}

// scriptedWaits is Linux of some age: its waits find nothing and take, by the clock,
// what they were asked for.
type scriptedWaits struct {
	linux
	clock   *fakeClock
	missing error // what epoll_pwait2 says; nil: it works
	fine    []timespec
	coarse  []int
}

func (k *scriptedWaits) epollWait2(_ int, _ []unix.EpollEvent, timeout *timespec) (int, error) {
	k.fine = append(k.fine, *timeout)
	if k.missing != nil {
		return 0, k.missing
	}
	k.clock.now = k.clock.now.Add(time.Duration(timeout.sec)*time.Second + time.Duration(timeout.nsec))
	return 0, nil
}

func (k *scriptedWaits) epollWait(_ int, _ []unix.EpollEvent, msec int) (int, error) {
	k.coarse = append(k.coarse, msec)
	k.clock.now = k.clock.now.Add(time.Duration(msec) * time.Millisecond)
	return 0, nil
}

// A deadline costs one wait: exactly as long where the kernel has epoll_pwait2, of
// whole milliseconds where not, which is found out once.
func TestDeadlinesOfMicroseconds(t *testing.T) {
	for _, c := range []struct {
		missing      error
		fine, coarse int
		took         time.Duration
	}{
		{nil, 3, 0, 2*time.Second + 200*time.Microsecond},
		{unix.ENOSYS, 1, 3, 2*time.Second + 3*time.Millisecond},
		{unix.EPERM, 1, 3, 2*time.Second + 3*time.Millisecond}, // a sandbox's answer
	} {
		clock := &fakeClock{now: time.Unix(1000, 0)}
		k := &scriptedWaits{clock: clock, missing: c.missing}
		p, err := newEpoll(k)
		if err != nil {
			t.Fatal(err)
		}
		l := newLoop(p, clock.read)
		defer l.Close()
		began := clock.now
		for _, d := range []time.Duration{100 * time.Microsecond, 2*time.Second + time.Nanosecond, 100*time.Microsecond - 1} {
			fired := false
			l.After(d, func() { fired = true })
			drive(l, true)
			if !fired {
				t.Errorf("a wait is over when the deadline has come and not before; with %v, after %v it was not", c.missing, d)
			}
			run(t, l, func() bool { return fired })
		}
		if took := clock.now.Sub(began); took != c.took || len(k.fine) != c.fine || len(k.coarse) != c.coarse {
			t.Errorf("when epoll_pwait2 says %v three deadlines take %v in %d fine and %d coarse waits; it was %v in %v and %v",
				c.missing, c.took, c.fine, c.coarse, took, k.fine, k.coarse)
		}
	}
}

// Waits that do not end at a deadline have nothing to gain from epoll_pwait2.
func TestOtherWaitsAreCheap(t *testing.T) {
	k := &scriptedWaits{clock: &fakeClock{}}
	p, err := newEpoll(k)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	into := make([]event, 1)
	for _, d := range []time.Duration{0, -1} {
		if _, err := p.wait(into, d); err != nil {
			t.Fatal(err)
		}
	}
	if len(k.fine) != 0 || len(k.coarse) != 2 || k.coarse[0] != 0 || k.coarse[1] != -1 {
		t.Errorf("no wait and an endless one are of 0 and -1 ms; they were %v and %v", k.coarse, k.fine)
	}
}
