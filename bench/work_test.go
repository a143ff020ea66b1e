//go:build linux

package bench

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/imclient/imclient/bench/fleet"
	"github.com/imclient/imclient/bench/ours"
)

// TestSidesDoTheirWork runs what the benchmarks run, on a few connections. The
// counts are compared where they are in the benchmarks: by the fleet's process
// (with the job), and by the race (with the server).
func TestSidesDoTheirWork(t *testing.T) {
	const conns = 3
	for name, newFleet := range fleets {
		t.Run(name, func(t *testing.T) {
			var r race
			r.enter(t, name, name, conns)
			for _, verb := range []fleet.Verb{fleet.Noop, fleet.Fetch} {
				for _, depth := range []int{1, 2, 16} {
					r.warmUp(t, verb, depth, 100)
					r.run(t, verb, depth, 100)
					for i, cost := range r.sides[0].costs {
						if cost.CPU <= 0 || cost.Commands < 100 {
							t.Errorf("a turn costs time and is no shorter than asked for: turn %d is %+v", i, cost)
						}
					}
				}
			}
			held := idleMemory(t, name, conns)
			if _, oneLoop := newFleet().(*ours.Fleet); oneLoop && held.Goroutines != 0 {
				t.Errorf("%d idle connections in a loop have no goroutine: got %d", conns, held.Goroutines)
			}
		})
	}
}

// TestFleetNoticesALostServer: a side that waited for ever would hang the
// benchmark, one that went on would lie.
func TestFleetNoticesALostServer(t *testing.T) {
	for name := range fleets {
		t.Run(name, func(t *testing.T) {
			var r race
			r.enter(t, name, name, 2)
			s := r.sides[0]
			s.server.end()
			job := fleet.Job{Verb: fleet.Noop, Depth: 2, Batches: 2}
			if resp := s.fleet.try(t, fleet.Request{Op: fleet.OpRun, Job: job}); resp.Error == "" {
				t.Errorf("a job without a server fails: got %+v", resp)
			}
		})
	}
}

func TestMedian(t *testing.T) {
	tests := []struct {
		values []float64
		want   float64
	}{
		{[]float64{7}, 7},
		{[]float64{9, 1, 2}, 2},
		{[]float64{4, 1, 2, 100}, 3},
	}
	for _, tt := range tests {
		if got := median(tt.values); got != tt.want {
			t.Errorf("the median of %v is %v: got %v", tt.values, tt.want, got)
		}
	}
}

func TestRatioIsOfTheSameRound(t *testing.T) {
	cost := func(ns ...int) (s side) {
		for _, n := range ns {
			s.costs = append(s.costs, fleet.Cost{Work: fleet.Work{Commands: 1}, CPU: time.Duration(n)})
		}
		return s
	}
	// A slow machine in one round doubles both sides and so changes nothing.
	a, b := cost(30, 60, 33), cost(20, 40, 22)
	if got := ratio(&a, &b); fmt.Sprintf("%.3f", got) != "1.500" {
		t.Errorf("the ratio of %v and %v is 1.5: got %v", a.costs, b.costs, got)
	}
}

func TestTable(t *testing.T) {
	table = []line{
		{name: "Noop/conns=1/depth=16", ours: 650, floor: 500, ratio: 1.3, peer: 9876},
		{name: "Noop/conns=1000/depth=1", ours: 6000, floor: 5000, ratio: 1.2},
	}
	defer func() { table = nil }()
	const want = `
| CPU time a command | ours | floor | ours / floor | go-imap v2 |
|---|---|---|---|---|
| Noop/conns=1/depth=16 | 0.65 us | 0.50 us | 1.30 | 9.88 us |
| Noop/conns=1000/depth=1 | 6.00 us | 5.00 us | 1.20 |  |
`
	var got strings.Builder
	printTable(&got)
	if got.String() != want[1:] {
		t.Errorf("the table is%s\ngot\n%s", want, got.String())
	}
}

func TestRates(t *testing.T) {
	rates = []rate{{name: "TLSFetch/conns=1/size=64KiB", unit: "MB", ours: 900.4, floor: 1000.5, ratio: 0.9}}
	defer func() { rates = nil }()
	const want = `
| In a CPU second | ours | floor | ours / floor |
|---|---|---|---|
| TLSFetch/conns=1/size=64KiB | 900 MB | 1000 MB | 0.90 |
`
	var got strings.Builder
	printRates(&got)
	if got.String() != want[1:] {
		t.Errorf("the rates are%s\ngot\n%s", want, got.String())
	}
}
