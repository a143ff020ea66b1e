//go:build linux

package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/imclient/imclient/bench/server"
	"github.com/imclient/imclient/bench/storm"
)

// stormProcess is a process that makes storms, with the two servers it needs.
type stormProcess struct {
	*child
	server, quiet *serverProcess
	request       storm.Request
	want          server.Status // what a storm is to its server
	derived       uint64        // keys, or tickets
	responses     []storm.Response
}

func startStorm(tb testing.TB, role string, request storm.Request, want server.Status) *stormProcess {
	tb.Helper()
	s := &stormProcess{
		child:   startRole(tb, stormRole),
		server:  startServer(tb, role),
		quiet:   startServer(tb, serverRole),
		request: request,
		want:    want,
	}
	s.request.Server, s.request.Quiet = s.server.forFleet(tb), s.quiet.last.Addr
	return s
}

func startHandshakes(tb testing.TB, conns, workers int) *stormProcess {
	tb.Helper()
	req := storm.Request{Conns: conns, Workers: workers}
	return startStorm(tb, tlsServerRole, req, server.Status{Handshakes: int64(conns)})
}

// startLogins lets one login pass before, for which the server derives the keys that
// it has for all accounts.
func startLogins(tb testing.TB, conns, accounts, iterations int) *stormProcess {
	tb.Helper()
	req := storm.Request{Conns: 1, Logins: &storm.Logins{Accounts: 1, Iterations: iterations}}
	s := startStorm(tb, serverRole, req, server.Status{Logins: 1})
	s.derived = 1
	s.storm(tb)
	s.responses = nil
	s.request.Conns, s.request.Logins.Accounts, s.want.Logins = conns, accounts, int64(conns)
	s.derived = uint64(accounts)
	return s
}

// startTicketLogins has all log in with one ticket, and agree on privacy: then each asks
// for the capabilities again.
func startTicketLogins(tb testing.TB, conns int) *stormProcess {
	tb.Helper()
	req := storm.Request{Conns: conns, Logins: new(storm.Logins)}
	s := startStorm(tb, serverRole, req, server.Status{Logins: int64(conns), Answered: int64(conns)})
	s.derived = 1
	return s
}

func (s *stormProcess) storm(tb testing.TB) {
	tb.Helper()
	var resp storm.Response
	s.send(tb, s.request)
	s.receive(tb, &resp)
	if resp.Error != "" {
		tb.Fatalf("a storm of %+v failed: %s", s.request, resp.Error)
	}
	if got := s.server.done(tb); got != s.want {
		tb.Fatalf("a storm is %+v to its server: counted %+v", s.want, got)
	}
	if resp.Derived != s.derived {
		tb.Fatalf("keys are derived once for each account, and a ticket is fetched once: %d were, not %d", resp.Derived, s.derived)
	}
	s.responses = append(s.responses, resp)
}

func (s *stormProcess) median(of func(storm.Response) float64) float64 {
	var values []float64
	for _, resp := range s.responses {
		values = append(values, of(resp))
	}
	return median(values)
}

// benchmark makes storms, one an iteration, and reports them; what is what a
// connection does in them.
func (s *stormProcess) benchmark(b *testing.B, what string) {
	conns := float64(s.request.Conns)
	for b.Loop() {
		s.storm(b)
	}
	for unit, of := range map[string]func(storm.Response) float64{
		"begin-ms":    func(r storm.Response) float64 { return milliseconds(r.Begin) },
		"lag-p99-ms":  func(r storm.Response) float64 { return milliseconds(r.Lag.P99) },
		"lag-max-ms":  func(r storm.Response) float64 { return milliseconds(r.Lag.Max) },
		"own-p99-ms":  func(r storm.Response) float64 { return milliseconds(r.Own.P99) },
		"own-max-ms":  func(r storm.Response) float64 { return milliseconds(r.Own.Max) },
		"noop-p99-ms": func(r storm.Response) float64 { return milliseconds(r.Noop.P99) },
		"noop-max-ms": func(r storm.Response) float64 { return milliseconds(r.Noop.Max) },
		"cpu-us/conn": func(r storm.Response) float64 { return 1000 * milliseconds(r.CPU) / conns },
		what + "/s":   func(r storm.Response) float64 { return conns / r.Wall.Seconds() },
	} {
		b.ReportMetric(s.median(of), unit)
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkStorm is how long a loop keeps others waiting while 2,000 connections
// do their handshakes in it: a millisecond's timer is late, and the NOOPs of a
// connection that stood before take longer. Each iteration is one storm, of which
// the server has its share of the machine: own is the part of the lag that our
// process spent computing, workers included.
func BenchmarkStorm(b *testing.B) {
	const conns = 2000
	for _, workers := range []int{0, 2} {
		b.Run(fmt.Sprintf("conns=%d/workers=%d", conns, workers), func(b *testing.B) {
			startHandshakes(b, conns, workers).benchmark(b, "handshakes")
		})
	}
}

// BenchmarkLoginStorm is the same while 1,000 connections log in by SCRAM-SHA-256. The
// keys of each account are derived once in a storm, off the loop. Or they log in by
// GSSAPI, with one ticket: its use is off the loop, too.
func BenchmarkLoginStorm(b *testing.B) {
	const conns = 1000
	for _, keys := range []struct{ iterations, accounts int }{
		{4096, 1}, {4096, conns}, {100_000, 1}, {100_000, 100}, {1_000_000, 1},
	} {
		b.Run(fmt.Sprintf("conns=%d/iterations=%d/accounts=%d", conns, keys.iterations, keys.accounts), func(b *testing.B) {
			startLogins(b, conns, keys.accounts, keys.iterations).benchmark(b, "logins")
		})
	}
	b.Run(fmt.Sprintf("conns=%d/ticket", conns), func(b *testing.B) {
		startTicketLogins(b, conns).benchmark(b, "logins")
	})
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

// TestStorm runs what the benchmark runs, with a few connections.
func TestStorm(t *testing.T) {
	for _, workers := range []int{0, 1, 2} {
		t.Run(fmt.Sprintf("workers=%d", workers), func(t *testing.T) {
			startHandshakes(t, 30, workers).check(t)
		})
	}
}

// TestLoginStorm does the same. The iterations are enough for a tick of the timer.
func TestLoginStorm(t *testing.T) {
	for _, accounts := range []int{1, 3} {
		t.Run(fmt.Sprintf("accounts=%d", accounts), func(t *testing.T) {
			startLogins(t, 30, accounts, 50_000).check(t)
		})
	}
	t.Run("ticket", func(t *testing.T) { startTicketLogins(t, 30).check(t) })
}

// check makes two storms and looks at what was measured.
func (s *stormProcess) check(t *testing.T) {
	t.Helper()
	for range 2 {
		s.storm(t)
	}
	for i, r := range s.responses {
		if r.Begin <= 0 || r.Wall <= 0 || r.CPU <= 0 {
			t.Errorf("a storm takes time: %d is %+v", i, r)
		}
		for _, w := range []storm.Waits{r.Lag, r.Own, r.Noop} {
			if w.Count == 0 || w.Max < w.P99 {
				t.Errorf("all kinds of wait are measured: %d is %+v", i, r)
			}
		}
		if r.Own.Max > r.Lag.Max || r.Own.Count != r.Lag.Count {
			t.Errorf("what the process computed is a part of the lag: %d is %+v", i, r)
		}
	}
}
