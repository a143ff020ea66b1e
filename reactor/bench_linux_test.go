package reactor

import (
	"context"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// bare is what a loop costs at least: epoll_wait, and a function for each event.
type bare struct {
	ep   int
	evs  []unix.EpollEvent
	call []func() (bool, error)
}

func newBare(b *testing.B, cs []*counter) *bare {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { unix.Close(ep) })
	l := &bare{ep: ep, evs: make([]unix.EpollEvent, batchSize)}
	for i, c := range cs {
		ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
		if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, c.fd, &ev); err != nil {
			b.Fatal(err)
		}
		l.call = append(l.call, c.TryProcessOneEvent)
	}
	return l
}

func (l *bare) run(b *testing.B, events int) {
	for events > 0 {
		n, err := unix.EpollWait(l.ep, l.evs, -1)
		if err != nil && err != unix.EINTR {
			b.Fatal(err)
		}
		for i := range max(n, 0) {
			if _, err := l.call[l.evs[i].Fd](); err != nil {
				b.Fatal(err)
			}
			events--
		}
	}
}

// cpu is the user and system time that this process has spent.
func cpu(b *testing.B) time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkTurn compares the CPU time of an event with that of a bare loop. Making
// the eventfds ready is in both figures.
func BenchmarkTurn(b *testing.B) {
	for _, size := range []struct{ sources, ready int }{
		{1, 1}, {1000, 1}, {19000, 1}, {1000, 16}, {1000, 1000},
	} {
		for _, who := range []string{"bare", "ours"} {
			b.Run(fmt.Sprintf("sources=%d/ready=%d/loop=%s", size.sources, size.ready, who), func(b *testing.B) {
				cs := make([]*counter, size.sources)
				for i := range cs {
					cs[i] = newCounter(b)
				}
				run := newBare(b, cs).run
				if who == "ours" {
					l := newReal(b)
					mustAdd(b, l, sourcesOf(cs)...)
					run = func(b *testing.B, events int) {
						for ; events > 0; events-- {
							steps(b, l, 1)
						}
					}
				}
				next, began := 0, cpu(b)
				b.ReportAllocs()
				for b.Loop() {
					for range size.ready {
						cs[next].signal()
						next = (next + 7) % len(cs)
					}
					run(b, size.ready)
				}
				b.ReportMetric(float64(cpu(b)-began)/float64(b.N*size.ready), "cpu-ns/event")
			})
		}
	}
}

func sourcesOf(cs []*counter) []Source {
	var s []Source
	for _, c := range cs {
		s = append(s, c)
	}
	return s
}

// BenchmarkPost is a round trip: another goroutine posts and waits for the answer.
func BenchmarkPost(b *testing.B) {
	b.Run("wake", func(b *testing.B) {
		l := newReal(b)
		ctx, cancel := context.WithCancel(context.Background())
		ran, done := make(chan struct{}), make(chan struct{})
		f := func() { ran <- struct{}{} }
		go func() {
			defer close(done)
			_ = l.Run(ctx)
		}()
		b.ReportAllocs()
		for b.Loop() {
			l.Post(f)
			<-ran
		}
		cancel()
		<-done
	})
	b.Run("inside", func(b *testing.B) {
		l := newLoop(&busy{}, time.Now)
		f := func() {}
		b.ReportAllocs()
		for b.Loop() {
			l.Post(f)
			if ok, err := drive(l, false); !ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
}

// BenchmarkSpread is what it costs to have one function run in a later turn, with none
// and with many in the queue before it.
func BenchmarkSpread(b *testing.B) {
	for _, n := range []int{0, 19_000} {
		b.Run(fmt.Sprintf("waiting=%d", n), func(b *testing.B) {
			l := newLoop(&busy{}, time.Now)
			f := func() {}
			for range n {
				l.backlog.push(f)
			}
			l.inside = true
			b.ReportAllocs()
			for b.Loop() {
				l.Spread(f)
				if ok, err := l.step(true); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}

func BenchmarkTimer(b *testing.B) {
	for _, n := range []int{1, 19_000} {
		b.Run(fmt.Sprintf("reset/timers=%d", n), func(b *testing.B) {
			l, _, _ := newFake(b)
			l.inside = true
			timers := make([]*Timer, n)
			for i := range timers {
				timers[i] = l.After(time.Duration(i)*time.Millisecond, func() {})
			}
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				timers[i].Reset(time.Duration(n+i) * time.Millisecond)
				i = (i + 7) % n
			}
		})
		b.Run(fmt.Sprintf("stop/timers=%d", n), func(b *testing.B) {
			l, _, _ := newFake(b)
			l.inside = true
			for i := range n - 1 {
				l.After(time.Duration(i)*time.Millisecond, func() {})
			}
			timer := l.After(time.Hour, func() {})
			b.ReportAllocs()
			for b.Loop() {
				timer.Stop()
				timer.Reset(time.Hour)
			}
		})
	}
}

// busy is a poller without a kernel, all of whose descriptors are always ready.
type busy struct {
	poller
	watched, next int32
}

func (p *busy) add(fd int32, gen uint32, in Interest) error {
	p.watched++
	return nil
}

func (p *busy) wait(into []event, _ time.Duration) (waited, error) {
	n := min(len(into), int(p.watched))
	for i := range n {
		p.next = (p.next + 1) % p.watched
		into[i] = event{p.next, uint32(p.next) + 1} // generations count the adds
	}
	return waited{n: n}, nil
}

func (p *busy) wake() error               { return nil }
func (p *busy) alarm(time.Duration) error { return nil }

// BenchmarkEvent is the loop's own share of an event, without any kernel, for sources
// that use all that a source can, and the least that it must.
func BenchmarkEvent(b *testing.B) {
	for _, n := range []int{1, 256, 19_000} {
		for kind, make := range map[string]func(fd int) Source{
			"plain": func(fd int) Source { return &counterless{fd: fd} },
			"full": func(fd int) Source {
				s := newFull(fd)
				s.deadline = time.Now().Add(time.Hour)
				return s
			},
		} {
			b.Run(fmt.Sprintf("sources=%d/kind=%s", n, kind), func(b *testing.B) {
				l := newLoop(&busy{}, time.Now)
				for fd := range n {
					mustAdd(b, l, make(fd))
				}
				l.inside = true
				began := cpu(b)
				b.ReportAllocs()
				for b.Loop() {
					if ok, err := l.step(true); !ok || err != nil {
						b.Fatal(ok, err)
					}
				}
				b.ReportMetric(float64(cpu(b)-began)/float64(b.N), "cpu-ns/event")
			})
		}
	}
}
