package reactor

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

// crowd is a poller without a kernel: of its many descriptors the same number is ready
// in each wait, far from each other and from those of the last. More than a process
// can have descriptors, it shows what the loop itself costs.
type crowd struct {
	poller
	watched, ready, next int32
}

// stride has no divisor in common with the numbers of descriptors that are measured.
const stride = 7919

func (p *crowd) add(int32, uint32, Interest) error {
	p.watched++
	return nil
}

func (p *crowd) wait(into []event, _ time.Duration) (waited, error) {
	for i := range p.ready {
		p.next = (p.next + stride) % p.watched
		into[i] = event{p.next, uint32(p.next) + 1} // generations count the adds
	}
	return waited{n: int(p.ready)}, nil
}

func (p *crowd) wake() error               { return nil }
func (p *crowd) alarm(time.Duration) error { return nil }

// patient is a source whose deadline moves on with each event, as that of a connection
// does.
type patient struct {
	loop     *Loop
	fd       int
	deadline time.Time
}

func (s *patient) GetSelectInfo() (int, bool)      { return s.fd, false }
func (s *patient) NextDeadline() (time.Time, bool) { return s.deadline, true }
func (s *patient) SetNotify(func())                {}

func (s *patient) TryProcessOneEvent() (bool, error) {
	s.deadline = s.loop.Now().Add(time.Minute)
	return true, nil
}

// BenchmarkManySources is a simulation: what the loop, and no kernel, costs with up to
// a million sources, each with a deadline.
func BenchmarkManySources(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000, 1_000_000} {
		for _, ready := range []int{1, 256} {
			b.Run(fmt.Sprintf("sources=%d/ready=%d", n, ready), func(b *testing.B) {
				p := &crowd{ready: int32(ready)}
				l := newLoop(p, time.Now)
				sources := make([]patient, n)
				before := heap()
				for fd := range sources {
					sources[fd] = patient{l, fd, time.Now().Add(time.Minute)}
					mustAdd(b, l, &sources[fd])
				}
				held := heap() - before
				l.inside = true
				for range 4 * n { // what adding has filed away is done
					steps(b, l, 1)
				}
				b.ReportAllocs()
				for b.Loop() {
					for range ready {
						steps(b, l, 1)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*ready), "ns/event")
				b.ReportMetric(float64(held)/float64(n), "B/source")
			})
		}
	}
}

// heap is what lives on it after garbage collection.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
