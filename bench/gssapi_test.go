//go:build linux

package bench

import (
	"fmt"
	"testing"

	"github.com/imclient/imclient/bench/fleet"
)

// BenchmarkGSSAPIFetch is how many octets of literals a CPU second brings through each
// layer, beside a connection without one.
func BenchmarkGSSAPIFetch(b *testing.B) {
	for _, conns := range []int{1, 16} {
		b.Run(fmt.Sprintf("conns=%d", conns), func(b *testing.B) {
			var r race
			for _, name := range []string{"nolayer", "integrity", "privacy"} {
				r.enter(b, name, name, conns)
			}
			total := 1600 * *effort
			r.warmUp(b, fleet.FetchLarge, 1, total)
			for b.Loop() {
				r.run(b, fleet.FetchLarge, 1, total)
			}
			for _, s := range r.sides {
				b.ReportMetric(s.median(megabytesPerCPUSecond), s.name+"-MB/cpu-s")
			}
			for _, s := range r.sides[1:] {
				b.ReportMetric(1/ratio(s, r.sides[0]), s.name+"/nolayer")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkGSSAPILogin is what a login with a ticket that is kept costs the client, from
// connect(2) to close(2), without a layer and with privacy, beside one by PLAIN: no other
// Go client has GSSAPI.
func BenchmarkGSSAPILogin(b *testing.B) {
	var r race
	r.enterGSSAPILogins(b, 16)
	verb, total := fleet.Login("GSSAPI"), 800**effort
	r.warmUp(b, verb, 1, total)
	for b.Loop() {
		r.run(b, verb, 1, total)
	}
	plain := r.sides[2]
	for _, s := range r.sides {
		b.ReportMetric(s.median(nanoseconds), s.name+"-ns/login")
		b.ReportMetric(s.median(allocs), s.name+"-allocs/login")
	}
	for _, s := range r.sides[:2] {
		b.ReportMetric(ratio(s, plain), s.name+"/plain")
	}
	b.ReportMetric(0, "ns/op")
}

func (r *race) enterGSSAPILogins(tb testing.TB, conns int) {
	tb.Helper()
	r.enter(tb, "nolayer", "nolayer", conns)
	r.enter(tb, "privacy", "privacy", conns)
	r.enter(tb, "plain", "ours", conns)
	r.sides[2].verb = fleet.Login("PLAIN")
}

// TestGSSAPISidesLogIn runs what the benchmark runs, on a few connections.
func TestGSSAPISidesLogIn(t *testing.T) {
	var r race
	r.enterGSSAPILogins(t, 3)
	r.run(t, fleet.Login("GSSAPI"), 1, 10)
	for _, s := range r.sides {
		if cost := s.costs[0]; cost.CPU <= 0 || cost.Commands < 10 {
			t.Errorf("a login costs time and is done as often as asked for: %s, got %+v", s.name, cost)
		}
	}
}
