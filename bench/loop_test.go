//go:build linux

package bench

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/imclient/imclient/bench/loops"
)

// loopSide is one side of a race of loops.
type loopSide struct {
	*child
	sources int
	costs   []float64 // nanoseconds of CPU an event, of its turns
}

// startLoop starts a side's process. libuv's is path, the others are roles.
func startLoop(tb testing.TB, name, path string, sources int) *loopSide {
	tb.Helper()
	if name == "libuv" {
		return &loopSide{child: startChild(tb, name, exec.Command(path)), sources: sources}
	}
	return &loopSide{child: startRole(tb, name), sources: sources}
}

func (s *loopSide) turn(tb testing.TB, ready, events int) {
	tb.Helper()
	var resp loops.Response
	s.send(tb, loops.Request{Sources: s.sources, Ready: ready, Events: events})
	s.receive(tb, &resp)
	if resp.Error != "" || resp.Events != events {
		tb.Fatalf("%s dealt with %d events of %d: %s", s.role, resp.Events, events, resp.Error)
	}
	s.costs = append(s.costs, float64(resp.CPU)/float64(events))
}

// warmUp forgets earlier turns and gives each side one that does not count.
func warmUp(tb testing.TB, sides []*loopSide, ready, events int) {
	tb.Helper()
	for _, s := range sides {
		s.turn(tb, ready, events)
		s.costs = s.costs[:0]
	}
}

// takeTurns has the sides take ten turns each.
func takeTurns(tb testing.TB, sides []*loopSide, ready, events int) {
	tb.Helper()
	for range 10 {
		for _, s := range sides {
			s.turn(tb, ready, events)
		}
		slices.Reverse(sides) // so that no side always comes after the same other
	}
}

// loopRatio is the median over the rounds.
func loopRatio(a, b *loopSide) float64 {
	var values []float64
	for i := range a.costs {
		values = append(values, a.costs[i]/b.costs[i])
	}
	return median(values)
}

// buildLibuv compiles libuv's side. "" where there is no libuv or no compiler.
func buildLibuv(tb testing.TB) string {
	tb.Helper()
	exe := filepath.Join(tb.TempDir(), "loops")
	if out, err := exec.Command("cc", "-O2", "-o", exe, "libuv/loops.c", "-luv").CombinedOutput(); err != nil {
		tb.Logf("libuv does not take part; apt-get install gcc libuv1-dev has it: %v\n%s", err, out)
		return ""
	}
	return exe
}

// loopNames returns the sides that can take part, the floor first.
func loopNames(libuv string) []string {
	names := []string{"bare", "loop", "nested", "barenested"}
	if libuv != "" {
		names = append(names, "libuv")
	}
	return names
}

// BenchmarkLoop is the cost of an event in a loop: making an eventfd ready, the
// wait, the call and the read. "loop" is ours, "nested" is ours inside another of
// ours; "bare" and "barenested" are their floors.
func BenchmarkLoop(b *testing.B) {
	libuv := buildLibuv(b)
	for _, size := range []struct{ sources, ready int }{{1000, 16}, {1000, 1}, {19000, 1}} {
		b.Run(fmt.Sprintf("sources=%d/ready=%d", size.sources, size.ready), func(b *testing.B) {
			by := make(map[string]*loopSide)
			var sides []*loopSide
			for _, name := range loopNames(libuv) {
				by[name] = startLoop(b, name, libuv, size.sources)
				sides = append(sides, by[name])
			}
			events := 3200 * size.ready * *effort
			warmUp(b, sides, size.ready, events)
			for b.Loop() {
				takeTurns(b, sides, size.ready, events)
			}
			for name, s := range by {
				b.ReportMetric(median(slices.Clone(s.costs)), name+"-ns/event")
				if name != "bare" {
					b.ReportMetric(loopRatio(s, by["bare"]), name+"/bare")
				}
			}
			b.ReportMetric(loopRatio(by["nested"], by["loop"]), "nested/loop")
			b.ReportMetric(loopRatio(by["nested"], by["barenested"]), "nested/barenested")
			b.ReportMetric(0, "ns/op") // the time of all sides together says nothing
		})
	}
}

// BenchmarkLoopScaling is the cost of an event when one of 19,000 descriptors is
// ready over that when one of 1,000 is.
func BenchmarkLoopScaling(b *testing.B) {
	names := []string{"loop", "bare"}
	var sides []*loopSide
	for _, name := range names {
		sides = append(sides, startLoop(b, name, "", 19000), startLoop(b, name, "", 1000))
	}
	order, events := slices.Clone(sides), 3200**effort
	warmUp(b, order, 1, events)
	for b.Loop() {
		takeTurns(b, order, 1, events)
	}
	for i, name := range names {
		b.ReportMetric(loopRatio(sides[2*i], sides[2*i+1]), name+"-19000/1000")
	}
	b.ReportMetric(0, "ns/op")
}

// TestLoopsDoTheirWork runs what the benchmarks run, on a few descriptors.
func TestLoopsDoTheirWork(t *testing.T) {
	libuv := buildLibuv(t)
	for _, name := range loopNames(libuv) {
		t.Run(name, func(t *testing.T) {
			s := startLoop(t, name, libuv, 20)
			for _, ready := range []int{1, 3, 16} {
				warmUp(t, []*loopSide{s}, ready, 100*ready)
				takeTurns(t, []*loopSide{s}, ready, 100*ready)
				if len(s.costs) != 10 {
					t.Errorf("ten turns count: got %d", len(s.costs))
				}
			}
		})
	}
}
