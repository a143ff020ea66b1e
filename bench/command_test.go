//go:build linux

package bench

import (
	"fmt"
	"testing"

	"github.com/imclient/imclient/bench/fleet"
)

// BenchmarkNoop is the cost of the smallest command and reply: what the
// library adds to the kernel's price, beside the floor.
func BenchmarkNoop(b *testing.B) { benchmarkCommand(b, fleet.Noop) }

// BenchmarkFetch is the cost of a reply with a literal of 4 KiB.
func BenchmarkFetch(b *testing.B) { benchmarkCommand(b, fleet.Fetch) }

func benchmarkCommand(b *testing.B, verb fleet.Verb) {
	for _, conns := range []int{1, 100, 1000, 10000} {
		b.Run(fmt.Sprintf("conns=%d", conns), func(b *testing.B) {
			var r race
			for _, name := range contestants(conns) {
				r.enter(b, name, name, conns)
			}
			benchmarkDepths(b, &r, verb)
		})
	}
}

func benchmarkDepths(b *testing.B, r *race, verb fleet.Verb) {
	for _, depth := range []int{1, 16} {
		b.Run(fmt.Sprintf("depth=%d", depth), func(b *testing.B) {
			total := 1000 * depth * *effort // or a batch of each connection, if that is more
			run := r.run
			if r.sides[0].conns == 1 { // of several connections some have luck and some have none
				run = r.runAfresh
				r.restart(b)
			}
			r.warmUp(b, verb, depth, total)
			for b.Loop() {
				run(b, verb, depth, total)
			}
			report(b, r.sides)
			addLine(b, r.sides)
		})
	}
}

// contestants returns the sides that can have so many connections, ours first.
func contestants(conns int) []string {
	if conns > 100 {
		return []string{"ours", "floor"}
	}
	return []string{"ours", "floor", "goimap"}
}

// report takes the first side for ours and the second for the floor.
func report(b *testing.B, sides []*side) {
	for _, s := range sides {
		b.ReportMetric(s.median(nanoseconds), s.name+"-ns/cmd")
	}
	for _, s := range sides[:2] {
		b.ReportMetric(s.median(syscalls), s.name+"-syscalls/cmd")
	}
	b.ReportMetric(ratio(sides[0], sides[1]), "ratio")
	b.ReportMetric(sides[0].median(allocs), "allocs/cmd")
	b.ReportMetric(0, "ns/op") // the time of all sides and servers together says nothing
}
