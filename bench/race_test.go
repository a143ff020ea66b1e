//go:build linux

package bench

import (
	"flag"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imclient/imclient/bench/fleet"
	"github.com/imclient/imclient/bench/server"
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
	role   string
	conns  int
	verb   fleet.Verb // "": the race's
	server *serverProcess
	fleet  fleetProcess
	costs  []fleet.Cost // of its turns
}

// enter opens a fleet, which lives as long as tb, and adds it to the race.
// label tells it from other sides of the same name.
func (r *race) enter(tb testing.TB, label, name string, conns int) {
	tb.Helper()
	s := &side{name: label, role: name, conns: conns}
	s.start(tb)
	r.sides = append(r.sides, s)
}

// start opens the fleet, in new processes.
func (s *side) start(tb testing.TB) {
	tb.Helper()
	s.server, s.fleet = startServer(tb, serverOf(s.role)), startFleet(tb, s.role)
	s.fleet.do(tb, fleet.Request{Op: fleet.OpOpen, Server: s.server.forFleet(tb), Conns: s.conns, Profile: profile(tb, s.name+".cpu")})
	did := s.server.done(tb)
	if got, want := did.Answered+did.Logins, int64(2*s.conns); got < want {
		tb.Fatalf("%s logged in and selected with %d commands, not %d", s.name, got, want)
	}
}

func (s *side) end() {
	s.fleet.end()
	s.server.end()
}

// end lets the processes go before the benchmark ends.
func (r *race) end() {
	for _, s := range r.sides {
		s.end()
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
	r.takeTurns(tb, 10, verb, depth, total)
}

// runAfresh is run with new processes after every two rounds. A process has its
// luck with where the kernel puts it and its server, and keeps it.
func (r *race) runAfresh(tb testing.TB, verb fleet.Verb, depth, total int) {
	tb.Helper()
	for range 5 {
		r.restart(tb)
		for _, s := range r.sides {
			s.turn(tb, verb, depth, total) // to warm up
		}
		r.takeTurns(tb, 2, verb, depth, total)
	}
}

// restart gives each side new processes, which live as long as tb.
func (r *race) restart(tb testing.TB) {
	tb.Helper()
	for _, s := range r.sides {
		s.end()
		s.start(tb)
	}
}

func (r *race) takeTurns(tb testing.TB, rounds int, verb fleet.Verb, depth, total int) {
	tb.Helper()
	for range rounds {
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
	if s.verb != "" {
		verb = s.verb
	}
	job := fleet.Job{Verb: verb, Depth: depth, Batches: fleet.Batches(total, s.conns, depth)}
	cost := s.fleet.do(tb, fleet.Request{Op: fleet.OpRun, Job: job}).Cost
	want := counts(verb, cost.Commands)
	if layered[s.role] && verb.Mechanism() != "" {
		want.Answered = cost.Commands // behind a layer each asks for the capabilities again
	}
	if got := s.server.done(tb); got != want {
		tb.Fatalf("%s says it completed %d times %s; the server counts %+v", s.name, cost.Commands, verb, got)
	}
	return cost
}

// counts returns what a server counts when verb is done n times.
func counts(verb fleet.Verb, n int64) server.Status {
	switch {
	case verb.Mechanism() != "":
		return server.Status{Logins: n}
	case verb == fleet.Handshake:
		return server.Status{Handshakes: n}
	case verb == fleet.Resume:
		return server.Status{Handshakes: n, Resumed: n}
	}
	return server.Status{Answered: n}
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
