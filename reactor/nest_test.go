package reactor

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

func try(t testing.TB, l *Loop, want bool) {
	t.Helper()
	if ok, err := l.TryProcessOneEvent(); ok != want || err != nil {
		t.Fatalf("TryProcessOneEvent says %v; it said %v, %v", want, ok, err)
	}
}

func TestWorkLeftShowsInTheDescriptor(t *testing.T) {
	l, p, _ := newFake(t)
	for fd := range 3 {
		s := newFull(fd)
		s.do = func() (bool, error) {
			p.set(fd, 0)
			return true, nil
		}
		mustAdd(t, l, s)
		p.set(fd, Readable)
	}
	for left := 2; left >= 0; left-- {
		try(t, l, true)
		if p.woken != (left > 0) {
			t.Errorf("the descriptor is readable while events are left; with %d left it was %v", left, p.woken)
		}
		if _, now := l.NextDeadline(); now != (left > 0) {
			t.Errorf("the loop wants to be called again while events are left; with %d left it said %v", left, now)
		}
	}
	if p.wakes != 1 {
		t.Errorf("one wake serves a whole batch; there were %d", p.wakes)
	}
	try(t, l, false)
}

// Of whatever kind an event is, a second one of the kind shows after the first.
func TestSecondOfEachKindShows(t *testing.T) {
	for name, cause := range map[string]func(l *Loop, p *fakePoller){
		"posts": func(l *Loop, p *fakePoller) {
			l.Post(func() {})
			l.Post(func() {})
		},
		"timers": func(l *Loop, p *fakePoller) {
			l.After(0, func() {})
			l.After(0, func() {})
		},
		"sources with work in hand": func(l *Loop, p *fakePoller) {
			for fd := range 2 {
				s := newFull(fd)
				s.deadline = l.Now()
				s.do = func() (bool, error) {
					s.deadline = time.Time{}
					return true, nil
				}
				_ = l.Add(s)
			}
		},
	} {
		l, p, _ := newFake(t)
		cause(l, p)
		try(t, l, true)
		if d, ok := l.NextDeadline(); !p.woken || !ok || d.After(l.Now()) {
			t.Errorf("one of two %s is left and shows; it did not", name)
		}
		try(t, l, true)
		if _, ok := l.NextDeadline(); p.woken || ok {
			t.Errorf("none of two %s is left and the descriptor is quiet; it was not", name)
		}
		if p.wakes > 2 || len(p.alarms) > 2 {
			t.Errorf("two %s cost one call of the kernel before the turn and one in it; they cost %d wakes and %d alarms", name, p.wakes, len(p.alarms))
		}
	}
}

// A batch that was full may have hidden events, even if all that it had was nothing.
func TestFullBatchOfNothingShows(t *testing.T) {
	l, p, _ := newFake(t)
	for fd := range batchSize {
		p.inject = append(p.inject, event{int32(fd), 99})
	}
	s := newFull(3)
	mustAdd(t, l, s)
	p.set(3, Readable)
	try(t, l, false)
	if !p.woken || l.stats.Stale != batchSize {
		t.Errorf("an edge-triggered host is woken again; it was not, after %d stale events", l.stats.Stale)
	}
	try(t, l, true)
}

func TestWhatShowsInTheDescriptor(t *testing.T) {
	for name, cause := range map[string]func(l *Loop, s *full){
		"a post":                     func(l *Loop, s *full) { l.Post(func() {}) },
		"a source with work in hand": func(l *Loop, s *full) { s.deadline = l.Now(); s.changed() },
		"a wish to write":            func(l *Loop, s *full) { s.write = true; s.changed() },
		"a changed interest":         func(l *Loop, s *full) { s.paused = true; s.changed() },
		"a source added with work in hand": func(l *Loop, s *full) {
			other := newFull(9)
			other.deadline = l.Now()
			other.do = func() (bool, error) {
				other.deadline = time.Time{}
				return true, nil
			}
			_ = l.Add(other)
		},
	} {
		l, p, _ := newFake(t)
		s := newFull(3)
		s.do = func() (bool, error) {
			s.write, s.deadline = false, time.Time{}
			return true, nil
		}
		mustAdd(t, l, s)
		try(t, l, false)
		cause(l, s)
		if !p.woken {
			t.Errorf("%s between two calls makes the descriptor readable; it did not", name)
		}
		if d, ok := l.NextDeadline(); !ok || d.After(l.Now()) {
			t.Errorf("%s between two calls is work for now; it was for %v, %v", name, d, ok)
		}
		calls := 1
		for ok := true; ok; calls++ {
			if ok, _ = l.TryProcessOneEvent(); ok && calls > 2 {
				t.Fatalf("%s is one event; there were more", name)
			}
		}
		if p.woken {
			t.Errorf("when %s has been dealt with the descriptor is quiet; it was not", name)
		}
	}
}

func TestDeadlinesShowInTheDescriptor(t *testing.T) {
	l, p, clock := newFake(t)
	s := newFull(3)
	mustAdd(t, l, s)
	timer := l.After(time.Minute, func() {})
	l.After(time.Hour, func() {})
	timer.Reset(2 * time.Minute) // later: the alarm is left as it is
	s.deadline = clock.now.Add(time.Second)
	s.changed()
	try(t, l, false)
	if want := []time.Duration{time.Minute, time.Second}; !slices.Equal(p.alarms, want) {
		t.Errorf("the alarm is set when the earliest moves earlier, %v; it was to %v", want, p.alarms)
	}
	if d, ok := l.NextDeadline(); !ok || !d.Equal(s.deadline) {
		t.Errorf("the loop's deadline is the earliest of all; it was %v, %v", d, ok)
	}
	s.do = func() (bool, error) {
		s.deadline = time.Time{}
		return true, nil
	}
	clock.now = clock.now.Add(time.Second)
	p.alarms = nil
	try(t, l, true)
	if want := []time.Duration{2*time.Minute - time.Second}; !slices.Equal(p.alarms, want) {
		t.Errorf("when it has gone off it is set to the next, %v; it was to %v", want, p.alarms)
	}
}

func TestRunNeedsNoAlarm(t *testing.T) {
	l, p, _ := newFake(t)
	ctx, cancel := context.WithCancel(context.Background())
	l.After(time.Hour, func() {})
	l.After(time.Second, func() { l.After(time.Millisecond, func() {}) })
	l.After(time.Minute, cancel)
	p.alarms = nil
	if err := l.Run(ctx); err != context.Canceled {
		t.Fatal(err)
	}
	if want := []time.Duration{-1, 59 * time.Minute}; !slices.Equal(p.alarms, want) {
		t.Errorf("in Run no alarm is set, afterwards there is, %v; it was %v", want, p.alarms)
	}
}

func TestAFailingPollerReachesTheHost(t *testing.T) {
	for name, c := range map[string]struct {
		op    string
		cause func(t *testing.T, l *Loop)
	}{
		"a timer set between two calls": {"alarm", func(t *testing.T, l *Loop) {
			l.After(time.Second, func() {})
		}},
		"work left at the end of Run": {"wake", func(t *testing.T, l *Loop) {
			ctx, cancel := context.WithCancel(context.Background())
			l.After(0, func() {
				cancel()
				l.Post(func() {})
			})
			if err := l.Run(ctx); err != context.Canceled {
				t.Errorf("Run says why it ended; it said %v", err)
			}
		}},
	} {
		l, p, _ := newFake(t)
		p.failing[c.op] = errors.New("failed")
		c.cause(t, l)
		if _, err := l.TryProcessOneEvent(); !errors.Is(err, p.failing[c.op]) {
			t.Errorf("the next call says that the %s failed for %s; it said %v", c.op, name, err)
		}
	}
}

// hosted puts an inner loop into an outer one. The fakes stand for epoll: the inner
// one's descriptor is ready while its poller would find something.
func hosted(t *testing.T) (outer, inner *Loop, outerP, innerP *fakePoller) {
	outer, outerP, _ = newFake(t)
	inner, innerP, _ = newFake(t)
	inner.clock = outer.clock
	mustAdd(t, outer, inner)
	return
}

func TestLoopInALoop(t *testing.T) {
	outer, inner, outerP, innerP := hosted(t)
	fd, _ := inner.GetSelectInfo()
	var r recorder
	s := newFull(3)
	s.do = func() (bool, error) {
		r.note("source")()
		innerP.set(3, 0)
		outerP.set(fd, 0)
		return true, nil
	}
	mustAdd(t, inner, s)
	inner.After(time.Second, r.note("timer"))
	innerP.set(3, Readable)
	outerP.set(fd, Readable)
	inner.Post(r.note("post"))
	if innerP.wakes != 1 {
		t.Errorf("a post wakes the inner loop's descriptor, and with it the outer loop; %d wakes", innerP.wakes)
	}
	outer.After(2*time.Second, r.note("outer timer"))
	outerP.asleep = func() { t.Error("there is always something to come; the outer loop slept for ever") }
	steps(t, outer, 3) // post and source are one turn of the inner loop
	r.want(t, "post", "source", "timer", "outer timer")
	if len(innerP.alarms) != 0 || innerP.wakes != 1 {
		t.Errorf("an outer loop asks for deadlines and work left; the inner one set %d alarms and made %d wakes", len(innerP.alarms), innerP.wakes)
	}

	// What changes between calls reaches the outer loop through changed.
	outer.Post(func() {
		inner.After(time.Second, r.note("set from outside"))
		s.deadline = inner.Now()
		s.changed()
	})
	s.do = func() (bool, error) {
		s.deadline = time.Time{}
		r.note("source")()
		return true, nil
	}
	steps(t, outer, 3)
	r.want(t, "source", "set from outside")

	// Outside again, it shows itself in its descriptor.
	inner.After(time.Minute, func() {})
	outer.Remove(inner)
	if want := []time.Duration{time.Minute}; !slices.Equal(innerP.alarms, want) {
		t.Errorf("a loop that has lost its host sets its alarm, %v; it was %v", want, innerP.alarms)
	}
}

func TestInnerLoopCloses(t *testing.T) {
	outer, inner, outerP, innerP := hosted(t)
	outerP.takeLog()
	fd, _ := inner.GetSelectInfo()
	innerP.set(3, Readable)
	outerP.set(fd, Readable)
	mustAdd(t, inner, &plain{fd: 3, do: func() (bool, error) { return true, inner.Close() }})
	steps(t, outer, 1)
	wantLog(t, outerP, "remove 1048576")
	if outer.table.n != 0 || !innerP.closed {
		t.Error("a closed loop leaves the outer one; it did not")
	}
	if _, err := drive(outer, false); err != nil {
		t.Errorf("and that is no error; it was %v", err)
	}

	outer, inner, outerP, _ = hosted(t)
	outerP.takeLog()
	outer.Post(func() {
		inner.Close()
		outerP.logf("closed")
	})
	steps(t, outer, 1)
	wantLog(t, outerP, "remove 1048576", "closed")
}
