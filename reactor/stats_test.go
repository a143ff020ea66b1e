package reactor

import (
	"context"
	"sync"
	"testing"
	"time"
)

func wantRest(t *testing.T, l *Loop, when string, asleep, awake time.Duration) {
	t.Helper()
	if s := l.Stats(); s.Asleep != asleep || s.Awake != awake {
		t.Errorf("%s the loop has been asleep for %v, awake for %v; it was %v, %v", when, asleep, awake, s.Asleep, s.Awake)
	}
}

func TestAsleepAndAwakeInRun(t *testing.T) {
	l, _, clock := newFake(t)
	ctx, cancel := context.WithCancel(context.Background())
	clock.now = clock.now.Add(time.Hour) // nobody drives it
	l.After(10*time.Second, func() {
		clock.now = clock.now.Add(time.Second)
		wantRest(t, l, "in its first callback", time.Hour+10*time.Second, time.Second)
		l.Post(func() { // the next turn begins without a wait
			clock.now = clock.now.Add(2 * time.Second)
			l.After(4*time.Second, cancel)
		})
	})
	if err := l.Run(ctx); err != context.Canceled {
		t.Fatal(err)
	}
	// The timer is set by Now, from which two seconds had gone by when the loop slept.
	wantRest(t, l, "after two sleeps and two callbacks", time.Hour+12*time.Second, 3*time.Second)
	clock.now = clock.now.Add(time.Minute)
	wantRest(t, l, "outside Run", time.Hour+72*time.Second, 3*time.Second)
	l.Close()
	clock.now = clock.now.Add(time.Minute)
	wantRest(t, l, "once closed", time.Hour+72*time.Second, 3*time.Second)
}

// A sleep shows while it lasts, or an idle loop would not seem to be one.
func TestAsleepShowsDuringASleep(t *testing.T) {
	l, p, clock := newFake(t)
	p.asleep = func() {
		clock.now = clock.now.Add(time.Minute)
		wantRest(t, l, "in the middle of a wait", time.Minute, 0)
		if s := l.Stats(); s.Turns != 1 || s.Posts != 1 {
			t.Errorf("what the turn before the wait did shows; it was %+v", s)
		}
		clock.now = clock.now.Add(time.Minute)
		l.Post(func() {})
	}
	l.Post(func() {})
	steps(t, l, 2)
	wantRest(t, l, "after it", 2*time.Minute, 0)
}

// A foreign host's own time counts as sleep, unless work was left.
func TestAsleepAndAwakeUnderAForeignHost(t *testing.T) {
	l, p, clock := newFake(t)
	for fd := range 2 {
		mustAdd(t, l, slowSource(fd, func() {
			clock.now = clock.now.Add(time.Second)
			p.set(fd, 0)
		}))
		p.set(fd, Readable)
	}
	clock.now = clock.now.Add(time.Minute)
	clock.reads = 0
	try(t, l, true)
	if clock.reads != 1 {
		t.Errorf("a call that leaves work reads the clock for its turn only; it did %d times", clock.reads)
	}
	wantRest(t, l, "after one of two events", time.Minute, time.Second)
	clock.now = clock.now.Add(10 * time.Second)
	try(t, l, true)
	clock.now = clock.now.Add(time.Minute)
	wantRest(t, l, "after both", 2*time.Minute, 12*time.Second)
	clock.reads = 0
	try(t, l, false)
	if clock.reads != 2 {
		t.Errorf("a turn reads the clock at its beginning and at its end; it did %d times", clock.reads)
	}
	clock.reads = 0
	mustAdd(t, l, newFull(9))
	if clock.reads != 0 {
		t.Errorf("a change while the loop sleeps reads no clock; it did %d times", clock.reads)
	}
}

func TestAsleepAndAwakeOfAnInnerLoop(t *testing.T) {
	outer, inner, outerP, _ := hosted(t)
	clock := &fakeClock{now: outer.clock()}
	outer.clock, inner.clock = clock.read, clock.read
	fd, _ := inner.GetSelectInfo()
	clock.now = clock.now.Add(time.Minute)
	for range 2 {
		inner.Post(takes(clock, time.Second))
	}
	outerP.set(fd, Readable)
	steps(t, outer, 1)
	clock.now = clock.now.Add(time.Minute)
	wantRest(t, inner, "after a turn in the outer loop", 2*time.Minute, 2*time.Second)
	for range 2 {
		inner.Post(takes(clock, time.Second))
	}
	try(t, inner, true) // by somebody who leaves the other
	clock.now = clock.now.Add(time.Minute)
	wantRest(t, inner, "with work left", 2*time.Minute, 63*time.Second)
}

func TestLag(t *testing.T) {
	l, _, clock := newFake(t)
	if s := l.Stats(); s.Lag != (Lag{}) || s.PostLag != (Lag{}) {
		t.Errorf("nothing ran late yet; it was %+v", s)
	}
	late := func(timers, posts []time.Duration) Stats {
		for i := range timers {
			l.After(0, func() {})
			l.Post(func() {})
			clock.now = clock.now.Add(posts[i])
			l.Post(func() {}) // has waited less, and is not looked at
			clock.now = clock.now.Add(timers[i] - posts[i])
			drain(t, l)
		}
		drain(t, l)
		return l.Stats()
	}
	s := late([]time.Duration{3, 5, 1}, []time.Duration{1, 0, 1})
	if want := (Lag{Last: 1, Mean: 3, Max: 5}); s.Lag != want || s.PostLag != want {
		t.Errorf("timers and posts were late by %+v; it was %+v and %+v", want, s.Lag, s.PostLag)
	}
	s = late([]time.Duration{2, 2}, []time.Duration{1, 2})
	if want := (Lag{Last: 2, Mean: 2, Max: 2}); s.Lag != want || s.PostLag != want {
		t.Errorf("mean and maximum are those since the last reading, %+v; it was %+v and %+v", want, s.Lag, s.PostLag)
	}
	s = l.Stats()
	if want := (Lag{Last: 2}); s.Lag != want || s.PostLag != want {
		t.Errorf("when nothing ran there is no mean, %+v; it was %+v and %+v", want, s.Lag, s.PostLag)
	}
}

// A post that comes between the reading of the clock and the look at the mailbox is
// not early.
func TestLagIsNeverNegative(t *testing.T) {
	var g lags
	g.note(5, 3)
	if g.take() != (Lag{}) {
		t.Error("what runs before its time runs in time; it did not")
	}
}

func TestLagOfASource(t *testing.T) {
	l, _, clock := newFake(t)
	s := newFull(3)
	s.deadline = clock.now.Add(time.Second)
	s.do = func() (bool, error) { s.deadline = time.Time{}; return true, nil }
	mustAdd(t, l, s)
	clock.now = clock.now.Add(3 * time.Second)
	steps(t, l, 1)
	drain(t, l)
	if got := l.Stats(); got.Deadlines != 1 || got.Lag.Last != 2*time.Second {
		t.Errorf("a deadline of a source was two seconds late; it was %+v", got)
	}
}

// A source is exhausted when it has been called for what it had left, and has more.
func TestExhausted(t *testing.T) {
	l, p, clock := newFake(t)
	left := 0
	s := newFull(3)
	s.do = func() (bool, error) {
		p.set(3, 0)
		s.deadline = time.Time{}
		if left--; left > 0 {
			s.deadline = clock.now
		}
		return true, nil
	}
	mustAdd(t, l, s)
	for _, c := range []struct{ calls, exhausted int }{
		{1, 0}, // all at once
		{2, 0}, // for its event and for the rest, in one turn
		{3, 1},
		{5, 3},
	} {
		before := l.stats.Exhausted
		left = c.calls
		p.set(3, Readable)
		drain(t, l)
		if got := l.stats.Exhausted - before; int(got) != c.exhausted || left != 0 {
			t.Errorf("work of %d calls is left for the next turn %d times; it was %d times", c.calls, c.exhausted, got)
		}
	}
	s.do = func() (bool, error) {
		s.deadline = clock.now
		if left++; left < 2 {
			return true, nil
		}
		return true, l.Remove(s)
	}
	before := l.stats.Exhausted
	p.set(3, Readable)
	if drain(t, l); l.stats.Exhausted != before {
		t.Error("a source that has gone leaves nothing; it was counted")
	}
}

// Many goroutines read while the loop runs; the race detector is the judge, and the
// counters never go back.
func TestStatsFromOtherGoroutines(t *testing.T) {
	l := newReal(t)
	ctx, cancel := context.WithCancel(context.Background())
	var again func()
	tick := l.After(0, func() { again() })
	again = func() {
		l.Post(func() {})
		tick.Reset(10 * time.Microsecond)
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			var last Stats
			for last.Timers < 50 {
				s := l.Stats()
				if s.Turns < last.Turns || s.Timers < last.Timers || s.Awake < last.Awake || s.Asleep < last.Asleep {
					t.Errorf("the counters never go back; from %+v to %+v", last, s)
				}
				if last = s; s.Lag.Max < s.Lag.Mean || s.Lag.Last < 0 || s.PostLag.Last < 0 {
					t.Errorf("the figures make sense; they were %+v, %+v", s.Lag, s.PostLag)
				}
				time.Sleep(100 * time.Microsecond)
			}
		})
	}
	go func() {
		wg.Wait()
		cancel()
	}()
	if err := l.Run(ctx); err != context.Canceled {
		t.Error(err)
	}
}
