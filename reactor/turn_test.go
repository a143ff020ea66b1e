package reactor

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

// recorder notes the order in which things happen.
type recorder struct{ got []string }

func (r *recorder) note(s string) func() { return func() { r.got = append(r.got, s) } }

func (r *recorder) source(fd int, name string) *full {
	s := newFull(fd)
	s.do = func() (bool, error) {
		r.note(name)()
		return true, nil
	}
	return s
}

func (r *recorder) want(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(r.got, want) {
		t.Errorf("the order is %q; it was %q", want, r.got)
	}
	r.got = nil
}

func TestTurnOrder(t *testing.T) {
	l, p, clock := newFake(t)
	var r recorder
	a, b := r.source(3, "a ready"), r.source(4, "b holds work")
	c := r.source(5, "c due")
	c.deadline = clock.now.Add(time.Second)
	mustAdd(t, l, a, b, c)
	a.do = func() (bool, error) {
		r.note("a ready")()
		p.set(3, 0)
		l.Post(r.note("posted by a"))
		l.After(0, r.note("timer of a"))
		return true, nil
	}
	b.do = func() (bool, error) {
		r.note("b holds work")()
		b.deadline = time.Time{}
		return true, nil
	}
	c.do = func() (bool, error) {
		r.note("c due")()
		c.deadline = time.Time{}
		return true, nil
	}
	l.Post(func() {
		r.note("posted")()
		b.deadline = clock.now
		b.changed()
	})
	l.After(time.Second, r.note("timer"))
	p.set(3, Readable)
	clock.now = clock.now.Add(time.Second)
	drain(t, l)
	// b said that it holds work without a wish to write; its deadline is read when
	// the turn is over.
	r.want(t, "posted", "c due", "timer", "a ready", "posted by a", "timer of a", "b holds work")
}

func TestOneStepIsOneEvent(t *testing.T) {
	l, p, _ := newFake(t)
	a, b := newFull(3), newFull(4)
	mustAdd(t, l, a, b)
	p.set(3, Readable)
	p.set(4, Readable)
	for want := 1; want <= 3; want++ {
		if ok, err := l.TryProcessOneEvent(); !ok || err != nil {
			t.Fatalf("TryProcessOneEvent deals with an event; it said %v, %v", ok, err)
		}
		if got := a.calls + b.calls; got != want {
			t.Fatalf("%d calls make %d events; there were %d", want, want, got)
		}
	}
}

func TestNowIsReadOnceATurn(t *testing.T) {
	l, p, clock := newFake(t)
	var seen []time.Time
	for fd := range 3 {
		s := newFull(fd)
		s.do = func() (bool, error) {
			seen = append(seen, l.Now())
			clock.now = clock.now.Add(time.Second) // a slow callback
			l.After(time.Hour, func() {})
			return true, nil
		}
		mustAdd(t, l, s)
		p.set(fd, Readable)
	}
	began := clock.now
	clock.reads = 0
	steps(t, l, 3)
	if !slices.Equal(seen, []time.Time{began, began, began}) || clock.reads != 2 {
		t.Errorf("Now is the same all over a turn and costs one reading, besides the one before a wait; it was %v, with %d readings", seen, clock.reads)
	}
	for _, d := range l.deadlines.heap {
		if d.when != int64(time.Hour) {
			t.Errorf("timers set in a turn count from Now; one is at %v", time.Duration(d.when))
		}
	}
}

func TestEventOfClosedSourceIsDropped_E1(t *testing.T) {
	l, p, _ := newFake(t)
	a, b := newFull(3), newFull(4)
	b.do = func() (bool, error) { return true, l.Remove(a) }
	mustAdd(t, l, b, a)
	p.set(4, Readable)
	p.set(3, Readable)
	steps(t, l, 1)
	p.set(4, 0)
	drain(t, l)
	if a.calls != 0 || l.stats.Stale != 1 {
		t.Errorf("the event of a source removed in the same batch is dropped; it was called %d times, %d events were stale", a.calls, l.stats.Stale)
	}
}

func TestReusedDescriptor_E2(t *testing.T) {
	l, p, _ := newFake(t)
	a, b, c := newFull(3), newFull(4), newFull(3)
	b.do = func() (bool, error) {
		p.set(4, 0)
		p.set(3, 0) // the new owner's descriptor has nothing to read
		a.fd = -1
		a.changed()
		return true, l.Add(c)
	}
	mustAdd(t, l, b, a)
	p.set(4, Readable)
	p.set(3, Readable)
	drain(t, l)
	if a.calls != 0 || c.calls != 0 {
		t.Errorf("an event of the former owner of a number reaches nobody; a was called %d times, c %d times", a.calls, c.calls)
	}
	p.set(3, Readable)
	steps(t, l, 1)
	if c.calls != 1 {
		t.Errorf("the new owner gets its own events; it was called %d times", c.calls)
	}
}

func TestRemovedAndAddedAgainInABatch(t *testing.T) {
	l, p, _ := newFake(t)
	a, b := newFull(3), newFull(4)
	b.do = func() (bool, error) {
		p.set(4, 0)
		return true, errors.Join(l.Remove(a), l.Add(a))
	}
	mustAdd(t, l, b, a)
	p.set(4, Readable)
	p.set(3, Readable)
	steps(t, l, 1)
	if ok, _ := l.TryProcessOneEvent(); !ok || a.calls != 1 || l.stats.Stale != 1 {
		t.Errorf("the old registration's event is stale and the new one's arrives; calls %d, stale %d", a.calls, l.stats.Stale)
	}
}

// E5: Send, Close, a new connection and a registration inside a callback, seen from
// the loop: whatever a callback does to the loop is done or refused, and nothing recurses.
func TestEverythingInACallback_E5(t *testing.T) {
	l, p, _ := newFake(t)
	a, b := newFull(3), newFull(4)
	depth, deepest := 0, 0
	a.do = func() (bool, error) {
		depth++
		defer func() { depth-- }()
		deepest = max(deepest, depth)
		if _, err := l.TryProcessOneEvent(); err != ErrReentrant {
			t.Errorf("TryProcessOneEvent in a callback says ErrReentrant; it said %v", err)
		}
		if err := l.ProcessOneEvent(); err != ErrReentrant {
			t.Errorf("ProcessOneEvent in a callback says ErrReentrant; it said %v", err)
		}
		if err := l.Run(context.Background()); !errors.Is(err, ErrMisuse) {
			t.Errorf("Run in a callback is misuse; it said %v", err)
		}
		mustAdd(t, l, b)
		b.write = true
		b.changed()
		b.fd = -1
		b.changed()
		a.write = true
		a.changed()
		l.Post(func() {}) // each later, none now
		l.After(0, func() {}).Stop()
		p.set(3, 0)
		return true, nil
	}
	mustAdd(t, l, a)
	p.set(3, Readable)
	steps(t, l, 1)
	if deepest != 1 || b.calls != 0 || b.dismissed != 1 {
		t.Errorf("a callback is not entered twice and a source that came and went is let go; depth %d, calls %d, dismissed %d", deepest, b.calls, b.dismissed)
	}
}

// E6: a callback removes itself, or the next one.
func TestRemovalDuringDelivery_E6(t *testing.T) {
	l, p, _ := newFake(t)
	sources := make([]*full, 6)
	for i := range sources {
		sources[i] = newFull(i)
		p.set(i, Readable)
	}
	sources[0].do = func() (bool, error) { return true, l.Remove(sources[0]) }
	sources[1].do = func() (bool, error) { return true, l.Remove(sources[2]) }
	sources[3].do = func() (bool, error) { return false, errors.New("broken") }
	sources[4].do = func() (bool, error) {
		sources[4].fd = -1
		sources[4].changed()
		return true, errors.New("told twice, removed once")
	}
	for _, s := range sources {
		mustAdd(t, l, s)
	}
	steps(t, l, 5)
	var calls, dismissed []int
	for _, s := range sources {
		calls, dismissed = append(calls, s.calls), append(dismissed, s.dismissed)
	}
	if !slices.Equal(calls, []int{1, 1, 0, 1, 1, 1}) || !slices.Equal(dismissed, []int{1, 0, 1, 1, 1, 0}) {
		t.Errorf("each is called once unless removed before, and let go once; calls %v, dismissed %v", calls, dismissed)
	}
	if l.table.n != 2 || l.stats.Failed != 1 {
		t.Errorf("two sources remain and one failed; it was %d and %d", l.table.n, l.stats.Failed)
	}
}

// E7: a panic leaves the loop as if the callback had returned.
func TestPanicInACallback_E7(t *testing.T) {
	l, p, clock := newFake(t)
	a, b := newFull(3), newFull(4)
	a.do = func() (bool, error) {
		p.set(3, 0)
		a.write = true
		panic("a")
	}
	mustAdd(t, l, a, b)
	p.set(3, Readable)
	p.set(4, Readable)
	func() {
		defer func() {
			if r := recover(); r != "a" {
				t.Fatalf("the panic comes through; it was %v", r)
			}
		}()
		_, _ = l.TryProcessOneEvent()
	}()
	if !p.woken {
		t.Error("after a panic the host still sees that work is left; it did not")
	}
	a.do = func() (bool, error) {
		a.write = false
		return true, nil
	}
	b.do = func() (bool, error) {
		p.set(4, 0)
		return true, nil
	}
	l.Post(func() { panic("post") })
	l.After(0, func() { panic("timer") })
	clock.now = clock.now.Add(time.Second)
	for range 2 {
		func() {
			defer func() { _ = recover() }()
			for {
				if ok, _ := l.TryProcessOneEvent(); !ok {
					return
				}
			}
		}()
	}
	for {
		if ok, _ := l.TryProcessOneEvent(); !ok {
			break
		}
	}
	if a.calls != 2 || b.calls != 1 || l.stats.Posts != 1 || l.stats.Timers != 1 {
		t.Errorf("what panicked is not repeated and the rest is not lost; a %d, b %d, %+v", a.calls, b.calls, l.stats)
	}
}

// E10: one source floods, 999 are quiet with deadlines.
func TestFloodDelaysNobody_E10(t *testing.T) {
	l, p, clock := newFake(t)
	flood := newFull(0)
	flood.do = func() (bool, error) {
		flood.deadline = l.Now() // always more than one call's work
		return true, nil
	}
	mustAdd(t, l, flood)
	p.set(0, Readable)
	served := map[int]uint64{}
	for fd := 1; fd < 1000; fd++ {
		s := newFull(fd)
		s.deadline = clock.now.Add(time.Second)
		s.do = func() (bool, error) {
			s.deadline = time.Time{}
			served[fd] = l.stats.Turns
			return true, nil
		}
		mustAdd(t, l, s)
	}
	steps(t, l, 100)
	if len(served) != 0 {
		t.Fatalf("no deadline comes early; %d did", len(served))
	}
	clock.now = clock.now.Add(time.Second)
	due := l.stats.Turns
	calls := flood.calls
	turns := steps(t, l, 2000)
	if len(served) != 999 {
		t.Fatalf("999 deadlines are met; %d were", len(served))
	}
	for fd, turn := range served {
		if turn > due+1 {
			t.Errorf("a deadline is met in the turn after it came, %d; that of %d was in %d", due+1, fd, turn)
		}
	}
	if per := float64(flood.calls-calls) / float64(turns); per > 2 {
		t.Errorf("a source is called twice a turn at most, for its event and for what it left; it was %.1f times", per)
	}
}

// E14: an edge-triggered read stopped by a budget is asked again without a new edge.
func TestWorkLeftWithoutAnEvent_E14(t *testing.T) {
	l, p, _ := newFake(t)
	s := newFull(3)
	left := 5
	s.do = func() (bool, error) {
		p.set(3, 0) // the kernel has nothing more to say
		left--
		s.deadline = time.Time{}
		if left > 0 {
			s.deadline = l.Now()
		}
		return true, nil
	}
	mustAdd(t, l, s)
	p.set(3, Readable)
	steps(t, l, 5)
	if left != 0 {
		t.Errorf("a source is called until it holds no more work; %d pieces were left", left)
	}
	for i, timeout := range p.waits[1:] {
		if timeout != 0 {
			t.Errorf("nobody sleeps over work left; wait %d was for %v", i+1, timeout)
		}
	}
}

// E16: a source that has decoded bytes, which no descriptor shows, is called before
// the next wait, also if it took them back from a pause.
func TestHiddenWorkBeforeTheWait_E16(t *testing.T) {
	l, _, clock := newFake(t)
	s := newFull(3)
	s.paused = true
	s.do = func() (bool, error) {
		s.deadline = time.Time{}
		return true, nil
	}
	mustAdd(t, l, s)
	l.Post(func() {
		s.paused = false
		s.deadline = clock.now
		s.changed()
	})
	steps(t, l, 2)
	if s.calls != 1 {
		t.Errorf("a source resumed with work in hand is called; it was %d times", s.calls)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	l, p, _ := newFake(t)
	ctx, cancel := context.WithCancel(context.Background())
	s := newFull(3)
	s.do = func() (bool, error) {
		cancel()
		return true, nil
	}
	mustAdd(t, l, s)
	p.set(3, Readable)
	if err := l.Run(ctx); err != context.Canceled || s.calls != 1 {
		t.Errorf("Run ends with the context, after the event that ended it; it said %v after %d events", err, s.calls)
	}
	s.do = nil
	if err := l.ProcessOneEvent(); err != nil || s.calls != 2 {
		t.Errorf("the loop is good for more afterwards; it said %v after %d events", err, s.calls)
	}
}

func TestRunReturnsThePollersErrors(t *testing.T) {
	l, p, _ := newFake(t)
	p.failing["wait"] = errors.New("no memory")
	if err := l.Run(context.Background()); err != p.failing["wait"] {
		t.Errorf("Run returns what the wait said; it said %v", err)
	}
	delete(p.failing, "wait")
	s := newFull(3)
	mustAdd(t, l, s)
	s.paused = true
	s.changed()
	p.failing["modify"] = errors.New("bad descriptor")
	err := l.Run(context.Background())
	var fault *SourceError
	if !errors.As(err, &fault) || fault.Source != s || fault.FD != 3 || !errors.Is(err, p.failing["modify"]) {
		t.Errorf("Run names the source that the kernel refused; it said %v", err)
	}
	if s.dismissed != 1 || l.table.n != 0 || l.stats.Failed != 1 {
		t.Errorf("and the source is out; dismissed %d, left %d", s.dismissed, l.table.n)
	}
}

func TestCloseInACallback(t *testing.T) {
	l, p, _ := newFake(t)
	a, b := newFull(3), newFull(4)
	fired := false
	timer := l.After(0, func() { fired = true })
	a.do = func() (bool, error) {
		if err := l.Close(); err != nil {
			t.Errorf("Close succeeds; it said %v", err)
		}
		if err := l.Close(); err != nil {
			t.Errorf("Close again does nothing; it said %v", err)
		}
		return true, nil
	}
	mustAdd(t, l, a, b)
	timer.Reset(time.Hour)
	l.Post(func() { l.Post(func() { fired = true }) })
	p.set(3, Readable)
	p.set(4, Readable)
	if err := l.Run(context.Background()); err != ErrClosed {
		t.Errorf("Run says ErrClosed; it said %v", err)
	}
	if a.dismissed != 1 || b.dismissed != 1 || b.calls != 0 || fired || timer.Stop() || !p.closed {
		t.Errorf("Close lets go of everything and nothing runs afterwards; dismissed %d and %d, b called %d times", a.dismissed, b.dismissed, b.calls)
	}
}

// One source that Close dismisses may end others, which then tell the loop: they
// find it closed, whichever of them comes first.
func TestCloseDismissesSourcesThatKnowEachOther(t *testing.T) {
	l, _, _ := newFake(t)
	a, b := newFull(3), newFull(4)
	mustAdd(t, l, a, b)
	for _, pair := range [][2]*full{{a, b}, {b, a}} {
		pair[0].onDismiss = func() {
			if changed := pair[1].changed; changed != nil {
				pair[1].fd = -1
				changed()
			}
		}
	}
	if err := l.Close(); err != nil {
		t.Errorf("Close succeeds; it said %v", err)
	}
	if a.dismissed != 1 || b.dismissed != 1 {
		t.Errorf("each is dismissed once; dismissed %d and %d", a.dismissed, b.dismissed)
	}
}

func TestAfterClose(t *testing.T) {
	l, _, _ := newFake(t)
	s := newFull(3)
	mustAdd(t, l, s)
	timer := l.After(time.Hour, func() {})
	l.Close()
	_, tryErr := l.TryProcessOneEvent()
	for name, err := range map[string]error{
		"Add": l.Add(newFull(4)), "Remove": l.Remove(s), "Run": l.Run(context.Background()),
		"ProcessOneEvent": l.ProcessOneEvent(), "TryProcessOneEvent": tryErr,
	} {
		if err != ErrClosed || !errors.Is(err, ErrMisuse) {
			t.Errorf("%s after Close says ErrClosed; it said %v", name, err)
		}
	}
	if fd, _ := l.GetSelectInfo(); fd != -1 {
		t.Errorf("a closed loop has no descriptor; it has %d", fd)
	}
	if _, ok := l.NextDeadline(); ok {
		t.Error("a closed loop has no deadline; it has one")
	}
	if l.Post(func() {}) || timer.Reset(0) || timer.Stop() || l.After(0, func() {}).Stop() {
		t.Error("posts and timers are refused after Close; one was not")
	}
}
