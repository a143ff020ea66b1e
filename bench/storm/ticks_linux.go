package storm

import (
	"errors"
	"slices"
	"time"

	"github.com/imclient/imclient/bench/fleet"
	"github.com/imclient/imclient/reactor"
)

// Waits sums up how long something took, time after time.
type Waits struct {
	Count    int
	P99, Max time.Duration
}

func sum(waits []time.Duration) Waits {
	if len(waits) == 0 {
		return Waits{}
	}
	slices.Sort(waits)
	return Waits{Count: len(waits), P99: waits[(len(waits)*99-1)/100], Max: waits[len(waits)-1]}
}

// ticks is a timer that is due every millisecond. When the loop is late for
// several of them it was late for each: all count, so that one long stall is not
// one sample among many short ones.
type ticks struct {
	due   time.Time
	timer *reactor.Timer
	used  time.Duration // CPU time of the process up to the last call
	late  []time.Duration
	own   []time.Duration // of each of late, at most what the process used since the last call
	err   error
}

func (t *ticks) start(l *reactor.Loop, now time.Time) {
	t.used, t.err = fleet.CPU()
	t.due = now.Add(time.Millisecond)
	t.timer = l.After(time.Millisecond, t.tick)
}

func (t *ticks) tick() {
	now := time.Now()
	used, err := fleet.CPU()
	t.err = errors.Join(t.err, err)
	for ; !t.due.After(now); t.due = t.due.Add(time.Millisecond) {
		late := now.Sub(t.due)
		t.late = append(t.late, late)
		t.own = append(t.own, min(late, used-t.used))
	}
	t.used = used
	t.timer.Reset(t.due.Sub(now))
}

func (t *ticks) stop() {
	t.tick()
	t.timer.Stop()
}
