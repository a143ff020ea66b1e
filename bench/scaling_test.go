//go:build linux

package bench

import (
	"fmt"
	"testing"

	"github.com/imclient/imclient/bench/fleet"
)

// BenchmarkScaling is the cost of a NOOP on one of 10,000 connections over that
// on one of 100: of our side, and of the floor, where it is the price that
// kernel and caches ask of everybody.
func BenchmarkScaling(b *testing.B) {
	var r race
	for _, name := range []string{"ours", "floor"} {
		r.enter(b, name+"-10000", name, 10000)
		r.enter(b, name+"-100", name, 100)
	}
	for _, depth := range []int{1, 16} {
		b.Run(fmt.Sprintf("depth=%d", depth), func(b *testing.B) {
			total := 10000 * depth * *effort
			r.warmUp(b, fleet.Noop, depth, total)
			for b.Loop() {
				r.run(b, fleet.Noop, depth, total)
			}
			b.ReportMetric(ratio(r.sides[0], r.sides[1]), "ours-10000/100")
			b.ReportMetric(ratio(r.sides[2], r.sides[3]), "floor-10000/100")
			b.ReportMetric(0, "ns/op")
		})
	}
}
