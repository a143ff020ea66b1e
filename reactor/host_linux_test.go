package reactor

import (
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestLaw has one goroutine and a clock of its own. What it cannot show is shown here:
// other goroutines, real time, and a host that really sleeps.

// pollHost sleeps on nothing but what the loop's descriptor says, until done.
func pollHost(t *testing.T, l *Loop, done func() bool) {
	fd, _ := l.GetSelectInfo()
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for !done() {
		if n, _ := unix.Poll(fds, -1); n == 1 {
			mustTry(t, l)
		}
	}
}

// hostByEdges does the same by edges.
func hostByEdges(t *testing.T, l *Loop, done func() bool) {
	fd, _ := l.GetSelectInfo()
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ep)
	ev := []unix.EpollEvent{{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(fd)}}
	if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &ev[0]); err != nil {
		t.Fatal(err)
	}
	for !done() {
		if n, _ := unix.EpollWait(ep, ev, -1); n == 1 {
			for mustTry(t, l) {
			}
		}
	}
}

// outerHost drives an outer loop, which does the sleeping.
func outerHost(t *testing.T, l *Loop, done func() bool) {
	outer := newReal(t)
	mustAdd(t, outer, l)
	for !done() {
		if err := outer.ProcessOneEvent(); err != nil {
			t.Fatalf("the outer loop succeeds; it said %v", err)
		}
	}
	if err := outer.Remove(l); err != nil {
		t.Error(err)
	}
}

// Goroutines post and make descriptors ready, with pauses; what they post sets timers
// and spreads more. A post, a byte, a timer or a function that is missed leaves this
// test asleep for ever.
func TestHostsHearOtherGoroutines(t *testing.T) {
	for name, drive := range map[string]func(t *testing.T, l *Loop, done func() bool){
		"poll": pollHost, "epoll edge-triggered": hostByEdges, "outer loop": outerHost,
	} {
		t.Run(name, func(t *testing.T) {
			const posters, each = 4, 150
			l := newReal(t)
			ran, signals, fired, spread := 0, uint64(0), 0, 0
			for range posters {
				c := newCounter(t)
				mustAdd(t, l, &adder{c, &signals})
				next := 0
				go func() {
					for i := range each {
						l.Post(func() {
							if i != next {
								t.Errorf("the posts of a goroutine run in order; number %d ran in place of %d", i, next)
							}
							next++
							ran++
							l.After(time.Duration(i*37%1500)*time.Microsecond, func() { fired++ })
							l.Spread(func() { spread++ })
						})
						c.signal()
						time.Sleep(time.Duration(i%20) * 10 * time.Microsecond)
					}
				}()
			}
			drive(t, l, func() bool {
				return ran == posters*each && signals == posters*each && fired == posters*each && spread == posters*each
			})
		})
	}
}

// adder is a counter that counts how often it was signalled.
type adder struct {
	*counter
	signals *uint64
}

func (a *adder) TryProcessOneEvent() (bool, error) {
	ok, err := a.counter.TryProcessOneEvent()
	if ok {
		*a.signals += binary.NativeEndian.Uint64(a.buf[:])
	}
	return ok, err
}
