package reactor

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"
)

// spreadIn has a loop spread functions that note their numbers and their turns.
func spreadIn(l *Loop, n int) (order *[]int, turns *[]uint64) {
	order, turns = new([]int), new([]uint64)
	for i := range n {
		l.Spread(func() {
			*order = append(*order, i)
			*turns = append(*turns, l.stats.Turns)
		})
	}
	return order, turns
}

// perTurn counts how many there were in each turn.
func perTurn(turns []uint64) (counts []int) {
	for i, turn := range turns {
		if i == 0 || turn != turns[i-1] {
			counts = append(counts, 0)
		}
		counts[len(counts)-1]++
	}
	return counts
}

func TestSpreadRunsAFewInATurn(t *testing.T) {
	l, p, _ := newFake(t)
	p.asleep = func() { t.Error("a loop in which functions wait does not sleep; it did") }
	order, turns := spreadIn(l, 10)
	if steps(t, l, 10); !slices.Equal(*order, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}) {
		t.Errorf("functions run in the order in which they were spread; it was %v", *order)
	}
	if got := perTurn(*turns); !slices.Equal(got, []int{4, 4, 2}) {
		t.Errorf("four run in a turn; it was %v", got)
	}
	if s := l.stats; s.Spread != 10 || s.Turns != 3 || s.Waits != 0 {
		t.Errorf("they are counted, and nothing was waited for; it was %+v", s)
	}
}

// Whoever is ready goes before what is spread, in every turn of it.
func TestReadySourcesGoBeforeWhatIsSpread(t *testing.T) {
	l, p, _ := newFake(t)
	s := newFull(3)
	s.do = func() (bool, error) { p.logf("source"); return true, nil }
	mustAdd(t, l, s)
	p.set(3, Readable)
	l.SpreadLimit(2)
	for range 4 {
		l.Spread(func() { p.logf("spread") })
	}
	p.takeLog()
	steps(t, l, 7)
	wantLog(t, p, "source", "spread", "spread", "source", "spread", "spread", "source")
}

// What a turn spreads is for a later one, wherever in the turn that is: in a post, in
// a source, and in what was itself spread.
func TestWhatIsSpreadWaitsForALaterTurn(t *testing.T) {
	l, p, _ := newFake(t)
	s := newFull(3)
	mustAdd(t, l, s)
	var spread, ran []uint64
	f := func() { ran = append(ran, l.stats.Turns) }
	again := func() { spread = append(spread, l.stats.Turns); l.Spread(f) }
	s.do = func() (bool, error) { p.set(3, 0); again(); return true, nil }
	p.set(3, Readable)
	l.Post(again)
	l.Spread(again)
	steps(t, l, 6)
	if !slices.Equal(spread, []uint64{1, 1, 1}) || !slices.Equal(ran, []uint64{2, 2, 2}) {
		t.Errorf("what turn 1 spreads runs in turn 2; it was spread in %v and ran in %v", spread, ran)
	}
}

func TestSpreadLimit(t *testing.T) {
	for _, c := range []struct {
		limit int
		want  []int
	}{{1, []int{1, 1, 1, 1, 1}}, {0, []int{1, 1, 1, 1, 1}}, {-3, []int{1, 1, 1, 1, 1}}, {3, []int{3, 2}}, {math.MaxInt, []int{5}}} {
		l, _, _ := newFake(t)
		l.SpreadLimit(c.limit)
		_, turns := spreadIn(l, 5)
		if steps(t, l, 5); !slices.Equal(perTurn(*turns), c.want) {
			t.Errorf("with a limit of %d the turns run %v; they ran %v", c.limit, c.want, perTurn(*turns))
		}
	}
}

// The limit is that of the turns to come; the present one has its share.
func TestSpreadLimitChangedWhileQueued(t *testing.T) {
	l, _, _ := newFake(t)
	var turns []uint64
	note := func() { turns = append(turns, l.stats.Turns) }
	for i := range 12 {
		l.Spread(func() {
			note()
			switch i {
			case 1:
				l.SpreadLimit(1)
			case 5:
				l.SpreadLimit(5)
			}
		})
	}
	if steps(t, l, 12); !slices.Equal(perTurn(turns), []int{4, 1, 1, 5, 1}) {
		t.Errorf("the turns run 4, 1, 1, 5 and 1; they ran %v", perTurn(turns))
	}
}

func TestCloseDropsWhatIsSpread(t *testing.T) {
	l, _, _ := newFake(t)
	ran := 0
	for range 3 {
		l.Spread(func() {
			ran++
			if l.Stats().Spreading == 0 {
				t.Error("two wait; none did")
			}
			l.Close()
			l.Spread(func() { ran++ })
		})
	}
	if err := l.Run(context.Background()); err != ErrClosed {
		t.Errorf("Run ends with ErrClosed; it said %v", err)
	}
	l.Spread(func() { ran++ })
	if s := l.Stats(); ran != 1 || s.Spreading != 0 || l.backlog.n != 0 {
		t.Errorf("nothing runs after Close, and nothing waits; %d ran, %d wait", ran, s.Spreading)
	}
	if _, ok := l.NextDeadline(); ok {
		t.Error("a closed loop wants nothing; it did")
	}
}

// A panic takes its own function with it and no other, and the host is told of those.
func TestPanicInOneThatIsSpread(t *testing.T) {
	l, p, _ := newFake(t)
	ran := 0
	l.SpreadLimit(2)
	for range 4 {
		l.Spread(func() { ran++; panic("spread") })
	}
	for i := range 4 {
		func() {
			defer func() {
				if r := recover(); r != "spread" {
					t.Errorf("the panic comes through the call that drives the loop; it was %v", r)
				}
			}()
			_, _ = l.TryProcessOneEvent()
		}()
		if ran != i+1 || p.woken != (i < 3) {
			t.Errorf("after %d panics %d have run, and the host is told that others wait; %d had, %v", i+1, i+1, ran, p.woken)
		}
	}
	try(t, l, false)
}

// A foreign host finds the descriptor readable until the last one has run, whichever
// calls it makes.
func TestWhatIsSpreadShowsInTheDescriptor(t *testing.T) {
	l, p, _ := newFake(t)
	const n = 2*usualSpread + 1
	order, _ := spreadIn(l, n)
	for left := n; left >= 0; left-- {
		d, now := l.NextDeadline()
		if p.woken != (left > 0) || now != (left > 0) || now && d.After(l.Now()) {
			t.Fatalf("with %d left the descriptor is readable and the deadline is now; it was %v, %v %v", left, p.woken, d, now)
		}
		if s := l.Stats(); left < n && s.Spreading != left {
			t.Errorf("%d wait; Stats said %d", left, s.Spreading)
		}
		try(t, l, left > 0)
	}
	if len(*order) != n || p.wakes != 3 {
		t.Errorf("each turn costs one wake, 3; all ran, %d of %d, for %d wakes", len(*order), n, p.wakes)
	}
}

// An outer loop does not sleep either, and in each of its turns an inner one has its
// own share.
func TestSpreadInAnInnerLoop(t *testing.T) {
	outer, inner, outerP, innerP := hosted(t)
	outerP.asleep = func() { t.Error("an outer loop does not sleep while functions wait in an inner one; it did") }
	order, turns := spreadIn(inner, 10)
	for len(*order) < 10 {
		before := len(*order)
		if steps(t, outer, 1); len(*order) > before+usualSpread {
			t.Errorf("a call of the inner loop runs four; it ran %d", len(*order)-before)
		}
	}
	if !slices.IsSorted(*order) || !slices.Equal(perTurn(*turns), []int{4, 4, 2}) {
		t.Errorf("in order, four to a turn; it was %v, %v", *order, perTurn(*turns))
	}
	inner.Spread(func() {})
	outer.Remove(inner)
	if !innerP.woken {
		t.Error("what waits shows to the next host; it did not")
	}
}

// A callback of an outer loop, or of none, may spread something in another loop.
func TestSpreadFromOutsideWakesTheOuterLoop(t *testing.T) {
	outer, inner, outerP, _ := hosted(t)
	ran := false
	outerP.asleep = func() { inner.Spread(func() { ran = true }); outer.Post(func() {}) }
	steps(t, outer, 1)
	outer.Post(func() { inner.Spread(func() { ran = true }) })
	if steps(t, outer, 2); !ran {
		t.Error("the inner loop is called for it; it was not")
	}
}

// Stats tells in every turn how many waited when it began, also of a loop that is
// never in foreign hands.
func TestStatsOfWhatIsSpread(t *testing.T) {
	l, _, _ := newFake(t)
	var waiting []int
	var look func()
	look = func() {
		waiting = append(waiting, l.Stats().Spreading)
		l.Post(look)
	}
	l.Post(look)
	spreadIn(l, 7)
	if steps(t, l, 10); !slices.Equal(waiting, []int{7, 3, 0}) {
		t.Errorf("7 wait when the first turn begins, then 3, then none; it was %v", waiting)
	}
}

func TestSpreadIsNamedByOnSlow(t *testing.T) {
	l, _, clock := newFake(t)
	got := reports(l, time.Second)
	l.Spread(func() { crawl(clock) })
	steps(t, l, 1)
	if len(*got) != 1 || (*got)[0].String() != "github.com/imclient/imclient/reactor.TestSpreadIsNamedByOnSlow.func1: 3s" || (*got)[0].FD != -1 {
		t.Errorf("a slow function is named; it was %v", *got)
	}
}

func TestBurstOfSpreadIsGivenBack(t *testing.T) {
	l, _, _ := newFake(t)
	const n = 10*keepSpread + 3
	order, _ := spreadIn(l, n/2)
	steps(t, l, n/4)
	more, _ := spreadIn(l, n)
	steps(t, l, n/2-n/4+n)
	if len(*order) != n/2 || len(*more) != n || !slices.IsSorted(*order) || !slices.IsSorted(*more) {
		t.Errorf("%d and %d run in order; %d and %d did", n/2, n, len(*order), len(*more))
	}
	if len(l.backlog.ring) > keepSpread {
		t.Errorf("a burst leaves little room behind; it was for %d", len(l.backlog.ring))
	}
}

// A ring forgets the functions that have run.
func TestSpreadKeepsNothingThatHasRun(t *testing.T) {
	l, _, _ := newFake(t)
	for range 40 {
		l.Spread(func() {})
		l.Spread(func() {})
		steps(t, l, 1)
	}
	kept := 0
	for _, f := range l.backlog.ring {
		if f != nil {
			kept++
		}
	}
	if kept != l.backlog.n || kept != 40 {
		t.Errorf("of 80, 40 wait and no others are kept; %d wait, %d are kept", l.backlog.n, kept)
	}
}

// Over every poller, under a host of every kind: all run, in order. A host that sleeps
// too early never ends this test.
func TestSpreadUnderEveryHost(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		for name, drive := range map[string]func(l *Loop, done func() bool){
			"a host":       func(l *Loop, done func() bool) { w.hostUntil(t, l, done) },
			"its own wait": func(l *Loop, done func() bool) { run(t, l, done) },
			"an outer loop": func(l *Loop, done func() bool) {
				outer := w.loop(t)
				if w.nestable {
					mustAdd(t, outer, l)
					l = outer
				}
				w.hostUntil(t, l, done)
			},
		} {
			l := w.loop(t)
			var order []int
			l.After(time.Millisecond, func() {
				for i := range 11 {
					l.Spread(func() {
						order = append(order, i)
						l.Spread(func() { order = append(order, 11+i) })
					})
				}
			})
			drive(l, func() bool { return len(order) == 22 })
			if !slices.IsSorted(order) {
				t.Errorf("under %s all run in order; it was %v", name, order)
			}
			l.Close()
		}
	})
}

// An error of the kernel in a turn does not cost it its share.
func TestSpreadAfterAnError(t *testing.T) {
	l, p, _ := newFake(t)
	order, _ := spreadIn(l, 5)
	p.failing["wait"] = errors.New("no memory")
	if _, err := l.TryProcessOneEvent(); !errors.Is(err, p.failing["wait"]) {
		t.Errorf("the error is told; it was %v", err)
	}
	delete(p.failing, "wait")
	if steps(t, l, 5); !slices.Equal(*order, []int{0, 1, 2, 3, 4}) {
		t.Errorf("and then they run; %v did", *order)
	}
}
