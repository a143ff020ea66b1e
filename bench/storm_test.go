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
	tls, quiet *serverProcess
	request    storm.Request
	responses  []storm.Response
}

func startStorm(tb testing.TB, conns, workers int) *stormProcess {
	tb.Helper()
	s := &stormProcess{
		child: startRole(tb, stormRole),
		tls:   startServer(tb, tlsServerRole),
		quiet: startServer(tb, serverRole),
	}
	s.request = storm.Request{Server: s.tls.forFleet(tb), Quiet: s.quiet.last.Addr, Conns: conns, Workers: workers}
	return s
}

func (s *stormProcess) storm(tb testing.TB) {
	tb.Helper()
	var resp storm.Response
	s.send(tb, s.request)
	s.receive(tb, &resp)
	if resp.Error != "" {
		tb.Fatalf("a storm of %d connections with %d workers failed: %s", s.request.Conns, s.request.Workers, resp.Error)
	}
	if got, want := s.tls.done(tb), (server.Status{Handshakes: int64(s.request.Conns)}); got != want {
		tb.Fatalf("a storm is %+v to its server: counted %+v", want, got)
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

// BenchmarkStorm is how long a loop keeps others waiting while 2,000 connections
// do their handshakes in it: a millisecond's timer is late, and the NOOPs of a
// connection that stood before take longer. Each iteration is one storm, of which
// the server has its share of the machine: own is the part of the lag that our
// process spent computing, workers included.
func BenchmarkStorm(b *testing.B) {
	const conns = 2000
	figures := map[string]func(storm.Response) float64{
		"lag-p99-ms":   func(r storm.Response) float64 { return milliseconds(r.Lag.P99) },
		"lag-max-ms":   func(r storm.Response) float64 { return milliseconds(r.Lag.Max) },
		"own-p99-ms":   func(r storm.Response) float64 { return milliseconds(r.Own.P99) },
		"own-max-ms":   func(r storm.Response) float64 { return milliseconds(r.Own.Max) },
		"noop-p99-ms":  func(r storm.Response) float64 { return milliseconds(r.Noop.P99) },
		"noop-max-ms":  func(r storm.Response) float64 { return milliseconds(r.Noop.Max) },
		"handshakes/s": func(r storm.Response) float64 { return conns / r.Wall.Seconds() },
		"cpu-us/conn":  func(r storm.Response) float64 { return 1000 * milliseconds(r.CPU) / conns },
	}
	for _, workers := range []int{0, 2} {
		b.Run(fmt.Sprintf("conns=%d/workers=%d", conns, workers), func(b *testing.B) {
			s := startStorm(b, conns, workers)
			for b.Loop() {
				s.storm(b)
			}
			for unit, of := range figures {
				b.ReportMetric(s.median(of), unit)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

// TestStorm runs what the benchmark runs, with a few connections.
func TestStorm(t *testing.T) {
	for _, workers := range []int{0, 1, 2} {
		t.Run(fmt.Sprintf("workers=%d", workers), func(t *testing.T) {
			s := startStorm(t, 30, workers)
			for range 2 {
				s.storm(t)
			}
			for i, r := range s.responses {
				if r.Wall <= 0 || r.CPU <= 0 {
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
		})
	}
}
