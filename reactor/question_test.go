package reactor

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// meddler is a source that does something when it is asked, which it should not.
type meddler struct {
	full
	onSelect, onDeadline, onNotify func()
	askedLate                      int // after SetNotify(nil)
}

func (s *meddler) Interest() (fd int, read, write bool) {
	if s.dismissed > 0 {
		s.askedLate++
	}
	once(&s.onSelect)
	return s.full.Interest()
}

func (s *meddler) NextDeadline() (time.Time, bool) {
	once(&s.onDeadline)
	return s.full.NextDeadline()
}

func (s *meddler) SetNotify(changed func()) {
	s.full.SetNotify(changed)
	if changed != nil {
		once(&s.onNotify)
	}
}

func once(f *func()) {
	if do := *f; do != nil {
		*f = nil
		do()
	}
}

// caught returns what the call panics with.
func caught(call func()) (p any) {
	defer func() { p = recover() }()
	call()
	return nil
}

// A panic in a question goes through the call that drives the loop, as one in a
// callback does; the source is asked again, and nothing that it wanted is lost.
func TestPanicInAQuestion(t *testing.T) {
	for name, call := range map[string]func(l *Loop){
		"TryProcessOneEvent": func(l *Loop) { _, _ = l.TryProcessOneEvent() },
		"ProcessOneEvent":    func(l *Loop) { _ = l.ProcessOneEvent() },
	} {
		for _, where := range []string{"interest", "deadline", "deadline that has come", "after its call"} {
			l, p, clock := newFake(t)
			s := &meddler{full: *newFull(3)}
			other := newFull(4)
			mustAdd(t, l, other, s)
			drain(t, l)
			p.set(4, Readable)
			boom := func() { panic(where) }
			s.deadline = clock.now.Add(time.Minute)
			switch where {
			case "interest":
				s.changed()
				s.onSelect = boom
			case "deadline":
				s.changed()
				s.onDeadline = boom
			case "deadline that has come":
				s.changed()
				p.set(4, 0)
				drain(t, l)
				clock.now = clock.now.Add(time.Hour)
				s.onDeadline = boom
			case "after its call":
				p.set(3, Readable)
				p.set(4, 0)
				s.do = func() (bool, error) {
					p.set(3, 0)
					s.onDeadline = boom
					return true, nil
				}
			}
			if got := caught(func() { call(l) }); got != where {
				t.Fatalf("%s, %s: the panic comes out as it is; it was %v", name, where, got)
			}
			s.do = nil
			p.set(4, Readable)
			calls := other.calls
			if ok, err := l.TryProcessOneEvent(); !ok && err != nil {
				t.Fatalf("%s, %s: the loop can be driven again; it said %v", name, where, err)
			}
			for i := 0; other.calls == calls && i < 10; i++ {
				_, _ = l.TryProcessOneEvent()
			}
			p.set(4, 0)
			calls = s.calls
			clock.now = clock.now.Add(2 * time.Hour)
			for range 10 {
				_, _ = l.TryProcessOneEvent()
			}
			if other.calls == 0 || s.calls == calls {
				t.Errorf("%s, %s: everybody is called again, the source at its deadline, too: %d, %d", name, where, other.calls, s.calls-calls)
			}
		}
	}
}

// A source that cannot notify is asked in each turn, twice if need be.
func TestPanicInAQuestionOfAPolledSource(t *testing.T) {
	l, p, _ := newFake(t)
	broken := false
	s := &plain{fd: 3}
	mustAdd(t, l, &questioned{s, func() {
		if broken {
			panic("asked")
		}
	}})
	broken = true
	for range 3 {
		if got := caught(func() { _, _ = l.TryProcessOneEvent() }); got != "asked" {
			t.Fatalf("the panic comes out as it is; it was %v", got)
		}
	}
	broken = false
	p.set(3, Readable)
	if ok, err := l.TryProcessOneEvent(); !ok || err != nil || s.calls != 1 {
		t.Errorf("then it is called: %v, %v, %d times", ok, err, s.calls)
	}
}

// questioned has a deadline, of which it is asked, and no way to notify.
type questioned struct {
	*plain
	ask func()
}

func (s *questioned) NextDeadline() (time.Time, bool) {
	s.ask()
	return time.Time{}, false
}

// Sources that go when they are asked, or close the loop, take nothing with them.
func TestGoneByBeingAsked(t *testing.T) {
	for _, where := range []string{"interest", "deadline", "SetNotify", "changed"} {
		for _, what := range []string{"Remove", "Close"} {
			l, _, clock := newFake(t)
			s := &meddler{full: *newFull(3)}
			s.deadline = clock.now.Add(time.Minute)
			other := newFull(4)
			mustAdd(t, l, other)
			drain(t, l)
			act := func() {
				if what == "Close" {
					_ = l.Close()
				} else if err := l.Remove(s); err != nil {
					t.Errorf("%s: Remove succeeds; it said %v", where, err)
				}
			}
			if where == "SetNotify" {
				s.onNotify = act
			}
			mustAdd(t, l, s)
			switch where {
			case "interest":
				s.changed()
				s.onSelect = act
			case "deadline":
				s.changed()
				s.onDeadline = act
			case "changed":
				s.onSelect = act
				s.changed()
			}
			for range 3 {
				_, _ = l.TryProcessOneEvent()
			}
			if s.dismissed != 1 || s.askedLate != 0 {
				t.Errorf("%s in %s: SetNotify(nil) is the last that it hears: %d times, asked %d times after it", what, where, s.dismissed, s.askedLate)
			}
			if len(l.deadlines.heap) != 0 || s.changed != nil || s.calls != 0 {
				t.Errorf("%s in %s: nothing is left of it: %d deadlines, called %d times", what, where, len(l.deadlines.heap), s.calls)
			}
			if other.changed == nil != (what == "Close") {
				t.Errorf("%s in %s: the others stay, but for Close", what, where)
			}
		}
	}
}

// A deadline that has moved later goes where it belongs, also among those that have
// come by now.
func TestMovedDeadlinesInOrder(t *testing.T) {
	l, _, clock := newFake(t)
	var r recorder
	s := newFull(3)
	s.do = func() (bool, error) {
		r.note("source")()
		s.deadline = time.Time{}
		return true, nil
	}
	s.deadline = clock.now.Add(10 * time.Second)
	mustAdd(t, l, s)
	s.deadline = clock.now.Add(30 * time.Second)
	s.changed()
	l.After(20*time.Second, r.note("20"))
	l.After(30*time.Second, r.note("30"))
	l.After(40*time.Second, r.note("40"))
	clock.now = clock.now.Add(time.Minute)
	drain(t, l)
	if want := []string{"20", "30", "source", "40"}; !slices.Equal(r.got, want) {
		t.Errorf("deadlines are called in order: %v, want %v", r.got, want)
	}
}

// What a source says of a time that has long come is no lag.
func TestLagCountsFromWhatWasFiled(t *testing.T) {
	outer, inner, _, _ := hosted(t)
	inner.After(time.Second, func() {})
	drain(t, outer)
	inner.Post(func() {})
	p := outer.poller.(*fakePoller)
	p.clock.now = p.clock.now.Add(1500 * time.Millisecond)
	drain(t, outer)
	if lag := outer.Stats().Lag; lag.Max > 500*time.Millisecond {
		t.Errorf("half a second late is the most: %v", lag.Max)
	}
}

// An inner loop whose callback drives the outer one has nothing more to do for it.
func TestInnerDrivesOuter(t *testing.T) {
	outer, inner, outerP, innerP := hosted(t)
	fd, _ := inner.GetSelectInfo()
	s := newFull(3)
	s.do = func() (bool, error) {
		innerP.set(3, 0)
		if _, err := outer.TryProcessOneEvent(); err != nil {
			t.Errorf("driving the outer loop succeeds; it said %v", err)
		}
		return true, nil
	}
	mustAdd(t, inner, s)
	innerP.set(3, Readable)
	outerP.set(fd, Readable)
	if ok, err := inner.TryProcessOneEvent(); !ok || err != nil || s.calls != 1 {
		t.Errorf("the source is called: %v, %v, %d times", ok, err, s.calls)
	}
	if n := outer.table.n; n != 1 {
		t.Errorf("the inner loop stays in the outer one: %d sources", n)
	}
}

// Each source that the kernel refuses is named.
func TestEveryFaultIsTold(t *testing.T) {
	l, p, _ := newFake(t)
	a, b := newFull(3), newFull(4)
	mustAdd(t, l, a, b)
	drain(t, l)
	p.failing["modify"] = errors.New("refused")
	a.paused, b.paused = true, true
	a.changed()
	b.changed()
	var told []Source
	for range 4 {
		var fault *SourceError
		if _, err := l.TryProcessOneEvent(); errors.As(err, &fault) {
			told = append(told, fault.Source)
		}
	}
	if !slices.Equal(told, []Source{a, b}) {
		t.Errorf("both are named, each once: %v", told)
	}
}

// Without an alarm the host has to come again, or it would sleep through a deadline.
func TestHostComesAgainWithoutAlarm(t *testing.T) {
	l, p, clock := newFake(t)
	fired := false
	p.failing["alarm"] = errors.New("no descriptor")
	l.After(time.Second, func() { fired = true })
	for range 3 {
		if !p.woken {
			t.Fatal("the descriptor stays readable")
		}
		if _, err := l.TryProcessOneEvent(); !errors.Is(err, p.failing["alarm"]) {
			t.Errorf("each call says why; it said %v", err)
		}
	}
	p.failing["alarm"] = nil
	_, _ = l.TryProcessOneEvent()
	drain(t, l)
	if _, err := l.TryProcessOneEvent(); err != nil || p.woken {
		t.Errorf("with an alarm it can sleep: %v, woken %v", err, p.woken)
	}
	clock.now = clock.now.Add(time.Second)
	if ok, err := l.TryProcessOneEvent(); !ok || err != nil || !fired {
		t.Errorf("the timer fires: %v, %v, %v", ok, err, fired)
	}
}
