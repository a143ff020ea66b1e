package reactor

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A process that has run out of descriptors or memory hears of it by the name of the
// call and its errno, and the loop that it has goes on.
func TestOutOfDescriptorsAndMemory(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.ENOSPC} {
		for _, op := range []string{"epoll_create1", "eventfd"} {
			_, err := newEpoll(planned(&plan{op: op, nth: 1, errno: errno, counts: map[string]int{}}))
			wantCall(t, err, op, errno)
		}
		k := &plan{errno: errno, counts: map[string]int{}}
		p, err := newEpoll(planned(k))
		if err != nil {
			t.Fatal(err)
		}
		l := newLoop(p, time.Now)
		fail := func(op string) { k.op, k.nth = op, k.counts[op]+1 }

		c := newCounter(t)
		fail("epoll_ctl")
		err = l.Add(c)
		wantCall(t, err, "epoll_ctl", errno)
		var fault *SourceError
		if !errors.As(err, &fault) || fault.Source != c || fault.FD != c.fd {
			t.Errorf("Add names the source; it said %v", err)
		}
		mustAdd(t, l, c) // now there is room

		fired := false
		fail("timerfd_create")
		l.After(time.Millisecond, func() { fired = true }) // in a foreign host's hands
		_, err = l.TryProcessOneEvent()
		wantCall(t, err, "timerfd_create", errno)
		ownWorld().hostUntil(t, l, func() bool { return fired }) // the alarm is tried again

		fail("epoll_wait")
		err = l.Run(context.Background())
		wantCall(t, err, "epoll_wait", errno)
		c.signal()
		if err := l.ProcessOneEvent(); err != nil || c.calls != 1 {
			t.Errorf("after %v the loop goes on; it said %v, %d calls", errno, err, c.calls)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

func planned(p *plan) kernel { return faultyEpoll{faultyFiles: faultyFiles{system{}, p}} }

func wantCall(t *testing.T, err error, op string, errno unix.Errno) {
	t.Helper()
	if op == "epoll_wait" {
		op = waitCall(err)
	}
	var call *os.SyscallError
	if !errors.As(err, &call) || call.Syscall != op || call.Err != errno {
		t.Errorf("the error says %s: %v; it said %v", op, errno, err)
	}
}

// waitCall is the call that waits, of which there are two.
func waitCall(err error) string {
	var call *os.SyscallError
	if errors.As(err, &call) && (call.Syscall == "epoll_pwait2" || call.Syscall == "epoll_pwait") {
		return call.Syscall
	}
	return "epoll_wait"
}

// A foreign host closes the inner loop in its own callback, while the loop's event is
// in the host's batch: nothing is called any more, and nothing hurts.
func TestForeignHostClosesTheLoop(t *testing.T) {
	l := newReal(t)
	s := newCounter(t)
	mustAdd(t, l, s)
	own := newCounter(t)
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ep)
	fd, _ := l.GetSelectInfo()
	for _, watch := range []int{own.fd, fd} {
		ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(watch)}
		if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, watch, &ev); err != nil {
			t.Fatal(err)
		}
	}
	own.signal()
	s.signal()
	var evs [4]unix.EpollEvent
	if n, err := unix.EpollWait(ep, evs[:], -1); n != 2 {
		t.Fatalf("both are ready; %d are (%v)", n, err)
	}
	if err := l.Close(); err != nil { // the host's callback for its own descriptor
		t.Fatal(err)
	}
	if ok, err := l.TryProcessOneEvent(); ok || err != ErrClosed || s.calls != 0 {
		t.Errorf("the event behind it says ErrClosed and calls nobody; it said %v, %v, %d calls", ok, err, s.calls)
	}
	if _, err := own.TryProcessOneEvent(); err != nil {
		t.Fatal(err)
	}
	if n, err := unix.EpollWait(ep, evs[:], 0); n != 0 {
		t.Errorf("the host hears no more of the loop; it had %d events (%v)", n, err)
	}
}

// A callback closes the loop that the foreign host has just called.
func TestCallbackClosesTheLoopUnderAForeignHost(t *testing.T) {
	l := newReal(t)
	dropped := newCounter(t)
	mustAdd(t, l, dropped)
	dropped.signal()
	l.Post(func() { l.Close() })
	l.Post(func() { t.Error("after Close nothing runs; a post did") })
	timer := l.After(0, func() { t.Error("after Close nothing runs; a timer did") })
	if ok, err := l.TryProcessOneEvent(); !ok || err != nil {
		t.Errorf("the call that closed dealt with an event; it said %v, %v", ok, err)
	}
	if fd, _ := l.GetSelectInfo(); fd != -1 || dropped.calls != 0 || dropped.notify != nil || timer.Stop() {
		t.Errorf("the host finds -1 and everybody let go; it was %d", fd)
	}
	if ok, err := l.TryProcessOneEvent(); ok || err != ErrClosed {
		t.Errorf("and ErrClosed if it calls again; it was %v, %v", ok, err)
	}
}

// Two deep, in the one descriptor of the outermost loop: timers, posts of another
// goroutine, sources and a source's error, all from the innermost. A host that misses
// one sleeps for ever.
func TestTwoDeepInOneDescriptor(t *testing.T) {
	inner, middle, outer := newReal(t), newReal(t), newReal(t)
	mustAdd(t, middle, inner)
	mustAdd(t, outer, middle)
	w := ownWorld()
	for name, l := range map[string]*Loop{"inner": inner, "middle": middle, "outer": outer} {
		seen := map[string]int{}
		idle := w.hostUntil(t, outer, firstly(func() {
			l.After(time.Millisecond, func() {
				seen["timer"]++
				l.After(time.Millisecond, func() { seen["timer of a timer"]++ })
				l.After(0, func() { seen["timer of now"]++ })
				l.Post(func() { seen["post of a timer"]++ })
			})
			go l.Post(func() { seen["post"]++ })
			c := newCounter(t)
			mustAdd(t, l, &tallied{c, new(int)})
			c.signal()
			l.Post(func() { seen["own post"]++ })
		}, func() bool { return len(seen) == 6 }))
		if idle > 12 {
			t.Errorf("a host is woken for nothing a few times at most; for the %s loop it was %d times", name, idle)
		}
	}
	_, b := newPair(t)
	mustAdd(t, inner, b)
	unix.Close(b.fd)
	b.pause(true)
	var err error
	for err == nil {
		fd, _ := outer.GetSelectInfo()
		if err = w.sleep(fd); err == nil {
			_, err = outer.TryProcessOneEvent()
		}
	}
	b.fd = -1
	var fault *SourceError
	if !errors.As(err, &fault) || fault.Source != b || !errors.Is(err, unix.EBADF) {
		t.Errorf("an error two levels down names the source; it was %v", err)
	}
	if outer.find(middle) == nil || middle.find(inner) == nil || inner.table.n != 1 {
		t.Errorf("all three loops go on; %d, %d and %d sources are left", outer.table.n, middle.table.n, inner.table.n)
	}
}

// firstly does something before the first question whether all is done.
func firstly(first func(), done func() bool) func() bool {
	return func() bool {
		if first != nil {
			first()
			first = nil
		}
		return done()
	}
}

// The same loop goes from host to host. In each, and while it goes over, a timer, a
// post and a source are due, and all of them come in the next one at the latest.
func TestLeavingAndReenteringTheNestedState(t *testing.T) {
	l, outer := newReal(t), newReal(t)
	w := ownWorld()
	c := newCounter(t)
	timers, posts, due := 0, 0, 0
	counted := 0
	mustAdd(t, l, &tallied{c, &counted})
	cause := func() { // for one event of each kind
		due++
		l.After(time.Millisecond, func() { timers++ })
		l.After(0, func() {})
		c.signal()
		l.Post(func() { posts++ })
	}
	done := func() bool { return timers == due && posts == due && c.calls > 0 }
	nested := func() {
		mustAdd(t, outer, l)
		cause()
		w.hostUntil(t, outer, done)
		cause()
		if err := outer.Remove(l); err != nil {
			t.Fatal(err)
		}
	}
	foreign := func() {
		cause()
		w.hostUntil(t, l, done)
		cause()
	}
	alone := func() {
		ctx, cancel := context.WithCancel(context.Background())
		cause()
		var look *Timer
		look = l.After(0, func() {
			if done() {
				cancel()
			}
			look.Reset(time.Millisecond)
		})
		if err := l.Run(ctx); err != context.Canceled {
			t.Fatal(err)
		}
		look.Stop()
		cause()
	}
	for range 3 {
		for _, drive := range []func(){nested, foreign, alone, nested, alone, foreign} {
			c.calls = 0
			drive()
		}
	}
	c.calls = 0
	if w.hostUntil(t, l, done); timers != due || posts != due {
		t.Errorf("each of %d timers and posts comes once; %d and %d did", due, timers, posts)
	}
}
