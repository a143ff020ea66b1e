//go:build linux

package bench

import (
	"flag"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imclient/imclient/bench/fleet"
)

var (
	effort     = flag.Int("effort", 1, "multiplies the commands of a round; the smoke run has 1")
	profileDir = flag.String("fleetprofile", "", "write the CPU profile of every fleet, and its heap profile when idle, to this directory")
)

// race is a number of sides that take turns at the same work. In a turn only
// one of them and its server have anything to do.
type race struct {
	sides  []*side
	rounds int
}

// side is a fleet with a server to itself, each a process.
type side struct {
	name   string
	conns  int
	server *serverProcess
	fleet  fleetProcess
	costs  []fleet.Cost // of its turns
}

// enter opens a fleet, which lives as long as tb, and adds it to the race.
// label tells it from other sides of the same name.
func (r *race) enter(tb testing.TB, label, name string, conns int) {
	tb.Helper()
	s := &side{name: label, conns: conns, server: startServer(tb), fleet: startFleet(tb, name)}
	s.fleet.do(tb, fleet.Request{Op: fleet.OpOpen, Addr: s.server.last.Addr, Conns: conns, Profile: profile(tb, label+".cpu")})
	if got, want := s.server.answered(tb), int64(2*conns); got < want {
		tb.Fatalf("%s logged in and selected with %d commands, not %d", label, got, want)
	}
	r.sides = append(r.sides, s)
}

// end lets the processes go before the benchmark ends.
func (r *race) end() {
	for _, s := range r.sides {
		s.fleet.end()
		s.server.end()
	}
}

func profile(tb testing.TB, kind string) string {
	if *profileDir == "" {
		return ""
	}
	return filepath.Join(*profileDir, strings.ReplaceAll(tb.Name(), "/", ".")+"."+kind+".pprof")
}

// warmUp forgets earlier turns and gives each side one that does not count.
func (r *race) warmUp(tb testing.TB, verb fleet.Verb, depth, total int) {
	tb.Helper()
	for _, s := range r.sides {
		s.turn(tb, verb, depth, total)
		s.costs = s.costs[:0]
	}
}

// run lets the sides take turns for ten rounds. In a turn a side completes at
// least total commands, in batches of depth.
func (r *race) run(tb testing.TB, verb fleet.Verb, depth, total int) {
	tb.Helper()
	for range 10 {
		order := slices.Clone(r.sides)
		if r.rounds++; r.rounds%2 == 0 {
			slices.Reverse(order) // so that no side always comes after the same other
		}
		for _, s := range order {
			s.costs = append(s.costs, s.turn(tb, verb, depth, total))
		}
	}
}

func (s *side) turn(tb testing.TB, verb fleet.Verb, depth, total int) fleet.Cost {
	tb.Helper()
	job := fleet.Job{Verb: verb, Depth: depth, Batches: fleet.Batches(total, s.conns, depth)}
	cost := s.fleet.do(tb, fleet.Request{Op: fleet.OpRun, Job: job}).Cost
	if got := s.server.answered(tb); got != cost.Commands {
		tb.Fatalf("%s says it completed %d commands; the server answered %d", s.name, cost.Commands, got)
	}
	return cost
}

// median returns the median over a side's turns of what of tells of each.
func (s *side) median(of func(fleet.Cost) float64) float64 {
	values := make([]float64, len(s.costs))
	for i, cost := range s.costs {
		values[i] = of(cost)
	}
	return median(values)
}

// ratio returns the median over the rounds of a's cost per command over b's.
func ratio(a, b *side) float64 {
	values := make([]float64, len(a.costs))
	for i := range values {
		values[i] = nanoseconds(a.costs[i]) / nanoseconds(b.costs[i])
	}
	return median(values)
}

func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// Per command:
func nanoseconds(c fleet.Cost) float64 { return float64(c.CPU) / float64(c.Commands) }
func allocs(c fleet.Cost) float64      { return float64(c.Mallocs) / float64(c.Commands) }
func syscalls(c fleet.Cost) float64    { return float64(c.Syscalls) / float64(c.Commands) }
