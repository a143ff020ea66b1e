package reactor

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"
)

// Each test here is of a guard that no other test would miss.

// What a source calls after it has been removed is nothing, whatever it says of itself
// by then: the loop neither asks it nor tells the kernel anything.
func TestChangedAfterRemovalIsNothing(t *testing.T) {
	for how, remove := range map[string]func(l *Loop, s *full){
		"Remove":  func(l *Loop, s *full) { _ = l.Remove(s) },
		"no more": func(l *Loop, s *full) { s.fd = -1; s.changed(); s.fd = 3 },
		"Close":   func(l *Loop, s *full) { l.Close() },
	} {
		for says, fd := range map[string]int{"its old descriptor": 3, "none": -1, "another": 5} {
			l, p, _ := newFake(t)
			s := newFull(3)
			mustAdd(t, l, s)
			changed := s.changed
			remove(l, s)
			heir := newFull(3) // has the number now
			if err := l.Add(heir); err != nil && err != ErrClosed {
				t.Fatal(err)
			}
			p.takeLog()
			s.fd, s.write, s.asked, heir.asked = fd, true, 0, 0
			changed()
			if s.asked != 0 || heir.asked != 0 || p.woken {
				t.Errorf("a source removed by %s that has %s is not asked; it was %d times, the next owner %d", how, says, s.asked, heir.asked)
			}
			wantLog(t, p)
			if l.closed {
				continue
			}
			l.Post(changed) // in a turn
			drain(t, l)
			if s.asked != 0 || s.calls != 0 || l.table.n != 1 || l.table.at(3).src != heir {
				t.Errorf("in a turn neither, and the descriptor's next owner stays; %d sources are left", l.table.n)
			}
			wantLog(t, p)
		}
	}
}

// remover is a source that cannot notify and removes others when it is asked.
type remover struct {
	plain
	whenAsked func()
}

func (s *remover) GetSelectInfo() (int, bool) {
	if f := s.whenAsked; f != nil {
		s.whenAsked = nil
		f()
	}
	return s.plain.GetSelectInfo()
}

// The list of sources that cannot notify shrinks by several while the loop goes
// through it; those that stay are asked in the same turn.
func TestSourceRemovesOthersWhenAsked(t *testing.T) {
	const n = 5
	for asked := range n {
		for stays := range n {
			l, p, _ := newFake(t)
			var sources [n]*remover
			for fd := range n {
				sources[fd] = &remover{plain: plain{fd: fd}}
				mustAdd(t, l, sources[fd])
				sources[fd].asked = 0
			}
			sources[asked].whenAsked = func() {
				for fd, s := range sources {
					if fd != asked && fd != stays {
						if err := l.Remove(s); err != nil {
							t.Fatal(err)
						}
						s.asked = 0
					}
				}
			}
			p.takeLog()
			drain(t, l)
			for fd, s := range sources {
				if kept := fd == asked || fd == stays; (l.find(s) != nil) != kept || kept && s.asked == 0 {
					t.Errorf("%d removes all but itself and %d, which are asked; %d was asked %d times", asked, stays, fd, s.asked)
				}
				p.set(fd, Readable)
			}
			for fd, s := range sources {
				s.do = func() (bool, error) { p.set(fd, 0); return true, nil }
			}
			if drain(t, l); len(p.ready) != n-l.table.n {
				t.Errorf("who stays hears of its readiness, and nobody else; %d were removed, %d heard nothing", n-l.table.n, len(p.ready))
			}
		}
	}
}

// What the kernel refuses just before a wait is told at once, not after the wait.
func TestAFaultIsToldBeforeTheWait(t *testing.T) {
	refused := errors.New("refused")
	for name, drive := range map[string]func(l *Loop) error{
		"Run":             func(l *Loop) error { return l.Run(context.Background()) },
		"ProcessOneEvent": func(l *Loop) error { return l.ProcessOneEvent() },
	} {
		l, p, _ := newFake(t)
		s := &plain{fd: 3}
		mustAdd(t, l, s)
		drain(t, l)
		p.asleep = func() {
			t.Errorf("%s says first what it has to say; it slept", name)
			l.Post(func() {})
		}
		s.fd = 4 // has exchanged its descriptor without a word, as one that cannot notify must
		p.failing["add"] = refused
		var fault *SourceError
		if err := drive(l); !errors.As(err, &fault) || fault.Source != s || !errors.Is(err, refused) {
			t.Errorf("%s says which source the kernel refused; it said %v", name, err)
		}
	}
}

// quitter is a source that leaves the loop when it is asked for its deadline.
type quitter struct {
	full
	leave func() // nil: stays
}

func (s *quitter) NextDeadline() (time.Time, bool) {
	if s.leave != nil {
		s.leave()
	}
	return s.full.NextDeadline()
}

// A source that leaves when it is asked, in its turn, whether its deadline still holds
// is not called for it.
func TestSourceLeavesWhenItsDeadlineHasCome(t *testing.T) {
	for name, leave := range map[string]func(l *Loop, s *quitter){
		"Remove": func(l *Loop, s *quitter) { _ = l.Remove(s) },
		"Close":  func(l *Loop, s *quitter) { l.Close() },
	} {
		l, _, clock := newFake(t)
		s := &quitter{full: full{plain: plain{fd: 3}}}
		s.deadline = clock.now.Add(time.Second)
		s.do = func() (bool, error) {
			t.Errorf("after %s a source is not called; it was", name)
			s.deadline = time.Time{}
			return true, nil
		}
		mustAdd(t, l, s)
		drain(t, l)
		l.Post(func() { s.leave = func() { s.leave = nil; leave(l, s) } }) // is the first to be called in the turn
		clock.now = clock.now.Add(time.Second)
		for range 3 {
			if _, err := drive(l, false); err != nil && err != ErrClosed {
				t.Fatal(err)
			}
		}
		if s.leave != nil || l.find(s) != nil || l.stats.Deadlines != 0 {
			t.Errorf("%s when asked for the deadline removes the source; %d deadlines were counted", name, l.stats.Deadlines)
		}
	}
}

// A deadline that is further away than systems can count shows in the descriptor when
// it comes: the alarm goes off for nothing now and then, and is set again.
func TestFarDeadlinesShowInTheDescriptor(t *testing.T) {
	const most = math.MaxInt32 * time.Millisecond
	for _, far := range []time.Duration{most - 1, most, most + 1, 2*most + time.Hour, 100 * 365 * 24 * time.Hour, math.MaxInt64 - 1} {
		l, p, clock := newFake(t)
		start, fired := clock.now, false
		l.After(far, func() { fired = true })
		for !fired {
			if len(p.alarms) != 1 || p.alarms[0] <= 0 || p.alarms[0] > most {
				t.Fatalf("there is one alarm at a time, of %v at most; for %v there were %v", most, far, p.alarms)
			}
			clock.now = clock.now.Add(p.alarms[0])
			p.alarms = nil
			if ok, err := l.TryProcessOneEvent(); ok != fired || err != nil {
				t.Fatalf("an alarm before the deadline is for nothing; it was %v, %v", ok, err)
			}
		}
		if came := clock.now.Sub(start); came != far || len(p.alarms) != 0 {
			t.Errorf("the last alarm is the deadline's, after %v; it was after %v, and then %v", far, came, p.alarms)
		}
	}
}

// An inner loop that waits for its turn with a post in hand is awake: it is not idle,
// it is kept waiting.
func TestInnerLoopWithPostsIsAwake(t *testing.T) {
	outer, inner, outerP, _ := hosted(t)
	clock := &fakeClock{now: outer.clock()}
	outer.clock, inner.clock = clock.read, clock.read
	fd, _ := inner.GetSelectInfo()
	outerP.set(fd, Readable)
	inner.Post(func() { inner.Post(takes(clock, time.Second)) })
	steps(t, outer, 1) // a turn of the inner loop, which leaves the other post to the next
	clock.now = clock.now.Add(time.Minute)
	wantRest(t, inner, "with a post waiting", 0, time.Minute)
	steps(t, outer, 1)
	wantRest(t, inner, "when it has run", 0, time.Minute+time.Second)
	clock.now = clock.now.Add(time.Minute)
	wantRest(t, inner, "with nothing left", time.Minute, time.Minute+time.Second)
}
