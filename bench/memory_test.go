//go:build linux

package bench

import (
	"fmt"
	"testing"

	"github.com/imclient/imclient/bench/fleet"
)

// BenchmarkIdleMemory is the heap and the stacks that a connection holds, after
// garbage collection, when it is logged in, has INBOX SELECTed, has 8 callbacks
// registered (ours), has FETCHed a literal of 64 KiB, and waits in IDLE. Of 10,000 it is
// less than 1 KiB each, or the benchmark fails: that depends on no machine's mood.
func BenchmarkIdleMemory(b *testing.B) {
	for _, conns := range []int{1000, 10000} {
		b.Run(fmt.Sprintf("conns=%d", conns), func(b *testing.B) {
			names := []string{"ours"}
			if conns <= 1000 {
				names = append(names, "goimap")
			}
			if held := benchmarkIdle(b, names, conns)["ours"]; conns == 10000 && held >= 1024 {
				b.Errorf("an idle connection costs less than 1 KiB: %v bytes", held)
			}
		})
	}
}

// BenchmarkTLSIdleMemory is the same in TLS. The floor has a goroutine for each
// connection waiting in a Read.
func BenchmarkTLSIdleMemory(b *testing.B) {
	const conns = 2000
	b.Run(fmt.Sprintf("conns=%d", conns), func(b *testing.B) {
		benchmarkIdle(b, []string{"tls", "tlsfloor"}, conns)
	})
}

// BenchmarkGSSAPIIdleMemory is the same behind a login by GSSAPI, with each of its
// layers. Privacy is in the budget of 4 KiB that the benchmark fails above.
func BenchmarkGSSAPIIdleMemory(b *testing.B) {
	const conns = 2000
	b.Run(fmt.Sprintf("conns=%d", conns), func(b *testing.B) {
		held := benchmarkIdle(b, []string{"nolayer", "integrity", "privacy"}, conns)
		if held["privacy"] > 4096 {
			b.Errorf("an idle connection with privacy costs at most 4 KiB: %v bytes", held["privacy"])
		}
	})
}

// benchmarkIdle returns the bytes of a connection by name.
func benchmarkIdle(b *testing.B, names []string, conns int) map[string]float64 {
	held := make(map[string][]fleet.Memory)
	for b.Loop() {
		for _, name := range names {
			held[name] = append(held[name], idleMemory(b, name, conns))
		}
	}
	bytes := make(map[string]float64)
	for _, name := range names {
		bytes[name] = perConn(held[name], conns, func(m fleet.Memory) int64 { return m.Heap + m.Stacks })
		b.ReportMetric(bytes[name], name+"-B/conn")
		b.ReportMetric(perConn(held[name], conns, func(m fleet.Memory) int64 { return int64(m.Goroutines) }), name+"-goroutines/conn")
	}
	b.ReportMetric(0, "ns/op")
	return bytes
}

// idleMemory measures a new process.
func idleMemory(tb testing.TB, name string, conns int) fleet.Memory {
	tb.Helper()
	var r race
	r.enter(tb, name, name, conns)
	held := r.sides[0].fleet.do(tb, fleet.Request{Op: fleet.OpIdle, Profile: profile(tb, name+".heap")}).Memory
	if got, want := r.sides[0].server.done(tb).Answered, int64(2*conns); got != want {
		tb.Fatalf("%s fetched and idled with %d commands, not %d", name, got, want)
	}
	r.end()
	return held
}

// perConn returns the median of one figure, for one connection.
func perConn(held []fleet.Memory, conns int, of func(fleet.Memory) int64) float64 {
	values := make([]float64, len(held))
	for i, m := range held {
		values[i] = float64(of(m)) / float64(conns)
	}
	return median(values)
}
