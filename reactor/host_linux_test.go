package reactor

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A host drives a loop until done, sleeps on nothing but what the loop's descriptor
// says, and returns how often it woke and how often it found nothing.
type host func(t *testing.T, l *Loop, done func() bool) (woke, idle int)

// tryOnce is what a level-triggered host does: one event, then it looks again.
func tryOnce(t *testing.T, l *Loop, idle *int) {
	ok, err := l.TryProcessOneEvent()
	if err != nil {
		t.Fatalf("TryProcessOneEvent succeeds; it said %v", err)
	}
	if !ok {
		*idle++
	}
}

func pollHost(t *testing.T, l *Loop, done func() bool) (woke, idle int) {
	fd, _ := l.GetSelectInfo()
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for !done() {
		if _, err := unix.Poll(fds, -1); err == nil {
			woke++
			tryOnce(t, l, &idle)
		}
	}
	return woke, idle
}

func epollHost(flags uint32, until func(t *testing.T, l *Loop, idle *int)) host {
	return func(t *testing.T, l *Loop, done func() bool) (woke, idle int) {
		ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(ep)
		fd, _ := l.GetSelectInfo()
		ev := []unix.EpollEvent{{Events: unix.EPOLLIN | flags, Fd: int32(fd)}}
		if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &ev[0]); err != nil {
			t.Fatal(err)
		}
		for !done() {
			if n, _ := unix.EpollWait(ep, ev, -1); n == 1 {
				woke++
				until(t, l, &idle)
			}
		}
		return woke, idle
	}
}

// tryAll is what an edge-triggered host must do: until there is no more.
func tryAll(t *testing.T, l *Loop, idle *int) {
	for {
		ok, err := l.TryProcessOneEvent()
		if err != nil {
			t.Fatalf("TryProcessOneEvent succeeds; it said %v", err)
		}
		if !ok {
			return
		}
	}
}

func loopHost(t *testing.T, l *Loop, done func() bool) (woke, idle int) {
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
	return int(outer.stats.Turns), int(outer.stats.Spurious)
}

func loopInLoopHost(t *testing.T, l *Loop, done func() bool) (woke, idle int) {
	middle := newReal(t)
	mustAdd(t, middle, l)
	woke, idle = pollHost(t, middle, done)
	if err := middle.Remove(l); err != nil {
		t.Error(err)
	}
	return woke, idle
}

// The law of readiness: whoever sleeps on the loop's one descriptor misses nothing
// and never spins. Another goroutine feeds sources and posts, with pauses; sources
// feed others and set timers; many events stand in one batch. An event that is
// missed leaves this test asleep for ever.
func TestLawOfReadiness(t *testing.T) {
	for name, drive := range map[string]host{
		"poll":                       pollHost,
		"epoll level-triggered":      epollHost(0, tryOnce),
		"epoll edge-triggered":       epollHost(unix.EPOLLET, tryAll),
		"outer loop":                 loopHost,
		"poll of an outer loop":      loopInLoopHost,
		"own Run between the others": ownHost,
	} {
		for seed := range uint64(3) {
			t.Run(fmt.Sprintf("%s/seed=%d", name, seed), func(t *testing.T) {
				lawOfReadiness(t, drive, seed)
			})
		}
	}
}

// ownHost leaves the nested state for ProcessOneEvent and comes back to it.
func ownHost(t *testing.T, l *Loop, done func() bool) (woke, idle int) {
	for i := 0; !done(); i++ {
		if i%3 != 0 {
			if err := l.ProcessOneEvent(); err != nil {
				t.Fatal(err)
			}
			woke++
			continue
		}
		now := woke
		w, n := pollHost(t, l, func() bool { now++; return now > woke+2 || done() })
		woke, idle = woke+w, idle+n
	}
	return woke, idle
}

func lawOfReadiness(t *testing.T, drive host, seed uint64) {
	l := newReal(t)
	const sources, rounds = 300, 40 // more sources than a batch holds
	random := rand.New(rand.NewPCG(seed, 1))
	cs := make([]*counter, sources)
	events, chained, fired, posted := 0, 0, 0, 0
	for i := range cs {
		cs[i] = newCounter(t)
		mustAdd(t, l, &chain{cs[i], func() {
			events++
			switch random.IntN(8) {
			case 0:
				chained++
				cs[random.IntN(sources)].signal()
			case 1:
				chained++
				l.After(time.Duration(random.IntN(2000))*time.Microsecond, func() {
					fired++
					cs[random.IntN(sources)].signal()
				})
			}
		}})
	}
	fed := make(chan struct{})
	feed := rand.New(rand.NewPCG(seed, 2))
	posts := 0
	go func() {
		for round := range rounds {
			// More than a batch, a few, one: the loop is flooded, then it sleeps.
			for range 1 + feed.IntN([]int{2 * sources, 10, 1}[round%3]) {
				cs[feed.IntN(sources)].signal()
			}
			for range feed.IntN(3) {
				posts++
				l.Post(func() { posted++ })
			}
			time.Sleep(time.Duration(feed.IntN(2000)) * time.Microsecond)
		}
		// All eventfds merge what was written to them before it was read, so the
		// number of events is not known; that each source is read empty is.
		posts++
		close(fed)
		l.Post(func() { posted++ })
	}()
	woke, idle := drive(t, l, func() bool {
		select {
		case <-fed:
			return posted == posts && len(l.deadlines.heap) == 0 && empty(cs)
		default:
			return false
		}
	})
	if fired == 0 || chained == 0 || posted != posts {
		t.Errorf("the program has timers and posts; %d fired, %d of %d posts ran", fired, posted, posts)
	}
	t.Logf("woke %d idle %d events %d fired %d posts %d turns %d wakes %d", woke, idle, events, fired, posts, l.stats.Turns, l.stats.Wakeups)
	// Nothing found is allowed where a deadline or a wake came a little too early
	// or late for the host, so at most once for each.
	if limit := fired + posts + 2; idle > limit {
		t.Errorf("a host that wakes finds work, but for %d times at most; it woke %d times and found nothing %d times, for %d events",
			limit, woke, idle, events)
	}
}

// empty reports whether no descriptor is ready.
func empty(cs []*counter) bool {
	fds := make([]unix.PollFd, len(cs))
	for i, c := range cs {
		fds[i] = unix.PollFd{Fd: int32(c.fd), Events: unix.POLLIN}
	}
	n, err := unix.Poll(fds, 0)
	return n == 0 && err == nil
}

// chain is a counter that does something more.
type chain struct {
	*counter
	then func()
}

func (c *chain) TryProcessOneEvent() (bool, error) {
	ok, err := c.counter.TryProcessOneEvent()
	if ok {
		c.then()
	}
	return ok, err
}
