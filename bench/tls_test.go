//go:build linux

package bench

import (
	"fmt"
	"testing"

	"github.com/imclient/imclient/bench/fleet"
)

// BenchmarkTLSHandshake is how many connections a CPU second brings: each is made,
// its server's certificate is verified, its greeting is read, and it is closed.
func BenchmarkTLSHandshake(b *testing.B) {
	var r race
	r.enterTLS(b, 100)
	for _, kind := range []struct {
		name string
		verb fleet.Verb
	}{{"full", fleet.Handshake}, {"resumed", fleet.Resume}} {
		b.Run("kind="+kind.name, func(b *testing.B) {
			total := 200 * *effort
			r.warmUp(b, kind.verb, 1, total)
			for b.Loop() {
				r.run(b, kind.verb, 1, total)
			}
			reportRate(b, r.sides, "handshakes", perCPUSecond)
		})
	}
}

// BenchmarkTLSFetch is how many octets of literals a CPU second brings.
func BenchmarkTLSFetch(b *testing.B) {
	for _, conns := range []int{1, 16} {
		b.Run(fmt.Sprintf("conns=%d", conns), func(b *testing.B) {
			var r race
			r.enterTLS(b, conns)
			for _, size := range []struct {
				name  string
				verb  fleet.Verb
				total int
			}{{"64KiB", fleet.FetchLarge, 1600}, {"10MiB", fleet.FetchHuge, 16}} {
				b.Run("size="+size.name, func(b *testing.B) {
					total := size.total * *effort
					r.warmUp(b, size.verb, 1, total)
					for b.Loop() {
						r.run(b, size.verb, 1, total)
					}
					reportRate(b, r.sides, "MB", megabytesPerCPUSecond)
				})
			}
		})
	}
}

// BenchmarkTLSNoop is what the smallest command costs in TLS.
func BenchmarkTLSNoop(b *testing.B) {
	for _, conns := range []int{1, 100} {
		b.Run(fmt.Sprintf("conns=%d", conns), func(b *testing.B) {
			var r race
			r.enterTLS(b, conns)
			benchmarkDepths(b, &r, fleet.Noop)
		})
	}
}

// enterTLS opens the two sides that speak TLS.
func (r *race) enterTLS(tb testing.TB, conns int) {
	tb.Helper()
	r.enter(tb, "ours", "tls", conns)
	r.enter(tb, "floor", "tlsfloor", conns)
}

// reportRate takes the first side for ours and the second for the floor.
func reportRate(b *testing.B, sides []*side, unit string, of func(fleet.Cost) float64) {
	for _, s := range sides {
		b.ReportMetric(s.median(of), s.name+"-"+unit+"/cpu-s")
	}
	b.ReportMetric(1/ratio(sides[0], sides[1]), "ratio")
	b.ReportMetric(0, "ns/op")
	addRate(b, sides, unit, of)
}

func perCPUSecond(c fleet.Cost) float64          { return float64(c.Commands) / c.CPU.Seconds() }
func megabytesPerCPUSecond(c fleet.Cost) float64 { return float64(c.Literals) / 1e6 / c.CPU.Seconds() }

// TestTLSSidesDoTheirWork runs what only the sides in TLS can do.
func TestTLSSidesDoTheirWork(t *testing.T) {
	var r race
	r.enterTLS(t, 3)
	for _, verb := range []fleet.Verb{fleet.Handshake, fleet.Resume, fleet.FetchLarge, fleet.FetchHuge, fleet.Handshake} {
		r.warmUp(t, verb, 1, 10)
		r.run(t, verb, 1, 10)
		for _, s := range r.sides {
			if cost := s.costs[0]; cost.CPU <= 0 || cost.Commands < 10 {
				t.Errorf("%s costs time and is done as often as asked for: %s, got %+v", verb, s.name, cost)
			}
		}
	}
}
