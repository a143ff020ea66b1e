//go:build linux

package bench

import (
	"testing"

	"github.com/imclient/imclient/bench/fleet"
)

// logins are the mechanisms by which connections log in, and whether go-sasl has
// them, too. EXTERNAL would need a certificate, DIGEST-MD5 a server that has it.
var logins = []struct {
	mechanism string
	goSASL    bool
}{
	{"PLAIN", true},
	{"LOGIN", true},
	{"ANONYMOUS", true},
	{"OAUTHBEARER", true},
	{"XOAUTH2", false},
	{"CRAM-MD5", false},
	{"SCRAM-SHA-1", false},
	{"SCRAM-SHA-256", false},
	{"SCRAM-SHA-512", false},
}

// enterLogins opens the sides that have a mechanism, ours first.
func (r *race) enterLogins(tb testing.TB, goSASL bool, conns int) {
	tb.Helper()
	r.enter(tb, "ours", "ours", conns)
	if goSASL {
		r.enter(tb, "goimap", "goimap", conns)
	}
}

// BenchmarkLogin is what a login costs the client, from connect(2) to close(2), by
// mechanism: the greeting, AUTHENTICATE with its initial response, and what follows
// that. SCRAM has its keys already, as when a client connects again.
func BenchmarkLogin(b *testing.B) {
	for _, l := range logins {
		b.Run("mech="+l.mechanism, func(b *testing.B) {
			var r race
			r.enterLogins(b, l.goSASL, 16)
			verb, total := fleet.Login(l.mechanism), 800**effort
			r.warmUp(b, verb, 1, total)
			for b.Loop() {
				r.run(b, verb, 1, total)
			}
			for _, s := range r.sides {
				b.ReportMetric(s.median(nanoseconds), s.name+"-ns/login")
				b.ReportMetric(s.median(allocs), s.name+"-allocs/login")
			}
			if l.goSASL {
				b.ReportMetric(ratio(r.sides[0], r.sides[1]), "ours/goimap")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// TestSidesLogIn runs what the benchmark runs, on a few connections.
func TestSidesLogIn(t *testing.T) {
	for _, l := range logins {
		t.Run(l.mechanism, func(t *testing.T) {
			var r race
			r.enterLogins(t, l.goSASL, 3)
			r.warmUp(t, fleet.Login(l.mechanism), 1, 10)
			r.run(t, fleet.Login(l.mechanism), 1, 10)
			for _, s := range r.sides {
				if cost := s.costs[0]; cost.CPU <= 0 || cost.Commands < 10 {
					t.Errorf("a login costs time and is done as often as asked for: %s, got %+v", s.name, cost)
				}
			}
		})
	}
}
