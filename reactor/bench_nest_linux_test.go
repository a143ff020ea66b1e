package reactor

import (
	"fmt"
	"testing"
)

// BenchmarkNest is what one and two levels of nesting cost, beside none: 16 ready of
// 1,000 eventfds. Making them ready is in all three figures.
func BenchmarkNest(b *testing.B) {
	const sources, ready = 1000, 16
	for depth := range 3 {
		b.Run(fmt.Sprintf("depth=%d", depth), func(b *testing.B) {
			seen := 0
			cs := make([]*counter, sources)
			l := newReal(b)
			for i := range cs {
				cs[i] = newCounter(b)
				mustAdd(b, l, &tallied{cs[i], &seen})
			}
			for range depth {
				outer := newReal(b)
				mustAdd(b, outer, l)
				l = outer
			}
			next, began := 0, cpu(b)
			b.ReportAllocs()
			for b.Loop() {
				for range ready {
					cs[next].signal()
					next = (next + 7) % len(cs)
				}
				for seen = 0; seen < ready; {
					steps(b, l, 1)
				}
			}
			b.ReportMetric(float64(cpu(b)-began)/float64(b.N*ready), "cpu-ns/event")
		})
	}
}

// tallied counts into one place what several sources do.
type tallied struct {
	*counter
	seen *int
}

func (s *tallied) TryProcessOneEvent() (bool, error) {
	*s.seen++
	return s.counter.TryProcessOneEvent()
}
