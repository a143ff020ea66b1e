package reactor

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"
)

// uncomparable is a source that == panics on.
type uncomparable struct{ _ []int }

func (uncomparable) GetSelectInfo() (int, bool)        { return 3, false }
func (uncomparable) TryProcessOneEvent() (bool, error) { return true, nil }

func TestAddRefuses(t *testing.T) {
	l, p, _ := newFake(t)
	there := newFull(3)
	mustAdd(t, l, there)
	system := errors.New("no space")
	beyond := int64(math.MaxInt32) + 1
	for _, c := range []struct {
		name    string
		source  Source
		failing error
		want    error
	}{
		{"nil", nil, nil, ErrBadSource},
		{"a nil pointer", (*full)(nil), nil, ErrBadSource},
		{"uncomparable", uncomparable{}, nil, ErrBadSource},
		{"no descriptor", newFull(-1), nil, ErrNoDescriptor},
		{"beyond all descriptors", newFull(int(beyond)), nil, ErrNoDescriptor},
		{"twice", there, nil, ErrAdded},
		{"the descriptor of another", newFull(3), nil, ErrDescriptorTaken},
		{"a regular file", newFull(4), ErrNotPollable, ErrNotPollable},
		{"the kernel has no space", newFull(4), system, system},
	} {
		p.failing["add"] = c.failing
		err := l.Add(c.source)
		if !errors.Is(err, c.want) || errors.Is(err, ErrMisuse) != (c.want != system) {
			t.Errorf("Add of %s says %v; it said %v", c.name, c.want, err)
		}
		if f, ok := c.source.(*full); ok && f != nil && f != there && f.changed != nil {
			t.Errorf("a source that was refused is told nothing; %s was", c.name)
		}
	}
	if l.table.n != 1 || len(p.watched) != 1 {
		t.Errorf("what was refused leaves no trace; %d sources, %d watched", l.table.n, len(p.watched))
	}
}

func TestRemove(t *testing.T) {
	l, p, _ := newFake(t)
	a, quiet := newFull(3), &plain{fd: 4}
	mustAdd(t, l, a, quiet)
	p.takeLog()
	quiet.fd = 5 // and it cannot say so
	for _, s := range []Source{a, quiet} {
		if err := l.Remove(s); err != nil {
			t.Errorf("Remove finds the source; it said %v", err)
		}
		if err := l.Remove(s); err != ErrNotAdded {
			t.Errorf("Remove of what is not there says ErrNotAdded; it said %v", err)
		}
	}
	for _, s := range []Source{nil, uncomparable{}, newFull(-1)} {
		if err := l.Remove(s); err != ErrNotAdded {
			t.Errorf("Remove of what cannot be there says ErrNotAdded; it said %v", err)
		}
	}
	wantLog(t, p, "remove 3", "remove 4")
	if a.dismissed != 1 || a.changed != nil || len(l.polled) != 0 {
		t.Errorf("a removed source is let go of once; it was %d times", a.dismissed)
	}
}

// E15: a copy of the descriptor may live on in a child, so the kernel must be told
// before the owner closes it.
func TestKernelForgetsBeforeClose_E15(t *testing.T) {
	l, p, _ := newFake(t)
	s := newFull(3)
	s.onDismiss = func() { p.logf("let go") }
	closeIt := func() {
		s.fd = -1
		s.changed()
		p.logf("close 3")
	}
	mustAdd(t, l, s)
	closeIt()
	wantLog(t, p, "add 3 r", "remove 3", "let go", "close 3")

	s.fd = 3
	s.do = func() (bool, error) {
		closeIt()
		return true, nil
	}
	mustAdd(t, l, s)
	p.set(3, Readable)
	steps(t, l, 1)
	wantLog(t, p, "add 3 r", "remove 3", "let go", "close 3")

	s.fd = 3
	mustAdd(t, l, s)
	l.Remove(s)
	p.logf("close 3")
	wantLog(t, p, "add 3 r", "remove 3", "let go", "close 3")
}

func TestSourceMoves(t *testing.T) {
	l, p, _ := newFake(t)
	s, quiet := newFull(3), &plain{fd: 4}
	mustAdd(t, l, s, quiet)
	p.takeLog()
	quiet.do = func() (bool, error) { return false, nil }
	s.fd = 5
	s.changed()
	p.logf("close 3")
	wantLog(t, p, "remove 3", "add 5 r", "close 3")
	quiet.fd, quiet.write = 6, true
	drain(t, l)
	wantLog(t, p, "remove 4", "add 6 rw") // it cannot say so, and is asked every turn
	p.set(3, Readable)
	p.set(5, Readable)
	steps(t, l, 1)
	if s.calls != 1 {
		t.Errorf("events of the new descriptor arrive; %d did", s.calls)
	}
	quiet.fd = -1
	p.set(5, 0)
	drain(t, l)
	if len(p.watched) != 1 || len(l.polled) != 0 {
		t.Errorf("a source whose descriptor is gone is removed; %d are watched", len(p.watched))
	}
}

func TestMoveThatFailsRemovesTheSource(t *testing.T) {
	l, p, _ := newFake(t)
	a, b := newFull(3), newFull(4)
	mustAdd(t, l, a, b)
	a.fd = 4
	a.changed()
	_, err := l.TryProcessOneEvent()
	var fault *SourceError
	if !errors.As(err, &fault) || fault.Source != a || fault.Err != ErrDescriptorTaken {
		t.Errorf("a move to the descriptor of another is the mover's fault; the error was %v", err)
	}
	if a.dismissed != 1 || b.dismissed != 0 || p.watched[4].gen == 0 {
		t.Error("the mover is removed and the other stays; it was not so")
	}
	if _, err := l.TryProcessOneEvent(); err != nil {
		t.Errorf("a fault is reported once; it came again: %v", err)
	}
}

func TestSourcesSwapDescriptors(t *testing.T) {
	l, p, _ := newFake(t)
	a, b := newFull(3), newFull(4)
	mustAdd(t, l, a, b)
	a.fd, b.fd = 4, 3
	a.changed()
	b.changed()
	p.set(3, Readable)
	steps(t, l, 1)
	if a.calls != 0 || b.calls != 1 || l.table.n != 2 || a.changed == nil || b.changed == nil {
		t.Errorf("each has the other's descriptor and its events; calls %d and %d", a.calls, b.calls)
	}
}

// A descriptor closed without a word and opened by somebody else is the newcomer's.
func TestDescriptorClosedWithoutAWord(t *testing.T) {
	l, p, _ := newFake(t)
	a, b := newFull(3), newFull(3)
	mustAdd(t, l, a)
	a.fd = -1
	mustAdd(t, l, b)
	wantLog(t, p, "add 3 r", "remove 3", "add 3 r")
	if a.dismissed != 1 || l.table.n != 1 {
		t.Errorf("the former owner is removed; dismissed %d, sources %d", a.dismissed, l.table.n)
	}
}

func TestWriteIsTriedBeforeTheKernelIsAsked(t *testing.T) {
	l, p, _ := newFake(t)
	s := newFull(3)
	mustAdd(t, l, s)
	p.takeLog()
	room := 2 // calls until the socket is full
	s.do = func() (bool, error) {
		if room == 0 {
			return false, nil
		}
		room--
		s.write = room != 1 // the first call writes everything
		return true, nil
	}
	l.Post(func() {
		s.write = true
		for range 1000 {
			s.changed()
		}
	})
	steps(t, l, 2)
	if s.calls != 1 || l.stats.Turns != 1 {
		t.Errorf("one call in the same turn writes; there were %d in %d turns", s.calls, l.stats.Turns)
	}
	drain(t, l)
	wantLog(t, p)

	s.write = true
	s.changed()
	drain(t, l)
	if s.calls != 3 {
		t.Errorf("a source is called until it cannot write; it was %d times", s.calls)
	}
	wantLog(t, p, "modify 3 rw")

	room = 3
	p.set(3, Writable)
	steps(t, l, 2)
	p.set(3, 0)
	drain(t, l)
	wantLog(t, p, "modify 3 r")
}

// What was blocked once is tried again, when it has written everything since.
func TestBlockedIsNotForEver(t *testing.T) {
	l, p, _ := newFake(t)
	s := newFull(3)
	mustAdd(t, l, s)
	full := true
	s.do = func() (bool, error) {
		s.write = full
		return !full, nil
	}
	s.write = true
	s.changed()
	drain(t, l)
	full = false
	p.set(3, Writable)
	steps(t, l, 1)
	drain(t, l)
	wantLog(t, p, "add 3 r", "modify 3 rw", "modify 3 r")
	s.write = true
	s.changed()
	drain(t, l)
	wantLog(t, p)
	if s.calls != 3 {
		t.Errorf("each wish to write is one call; three were %d", s.calls)
	}
}

// A call that became needless, or whose source has gone, is not made.
func TestReadyListIsLookedAtAgain(t *testing.T) {
	l, p, clock := newFake(t)
	a, b, c := newFull(3), newFull(4), newFull(5)
	mustAdd(t, l, a, b, c)
	a.do = func() (bool, error) { // reads, and writes what was to be written
		p.set(3, 0)
		a.write = false
		return true, nil
	}
	b.do = func() (bool, error) {
		b.deadline = time.Time{}
		return true, l.Remove(c)
	}
	p.set(3, Readable)
	l.Post(func() {
		a.write = true
		a.changed()
		b.deadline, c.deadline = clock.now, clock.now
		b.changed()
		c.changed()
	})
	steps(t, l, 3)
	drain(t, l)
	if a.calls != 1 || b.calls != 1 || c.calls != 0 {
		t.Errorf("one call is for the event, one for the work, none for a source removed; they were %d, %d and %d", a.calls, b.calls, c.calls)
	}
}

// A source is asked when its call returns, so what it says during the call is not
// asked after twice.
func TestChangedDuringItsOwnCall(t *testing.T) {
	l, p, _ := newFake(t)
	s := newFull(3)
	mustAdd(t, l, s)
	s.do = func() (bool, error) {
		p.set(3, 0)
		s.write = true
		s.changed()
		s.write = false
		return true, nil
	}
	p.set(3, Readable)
	s.asked = 0
	steps(t, l, 1)
	drain(t, l)
	if s.asked != 2 || s.calls != 1 {
		t.Errorf("it is asked where its descriptor is, and at the end; it was %d times, for %d calls", s.asked, s.calls)
	}
}

// E8: all written, disarmed, and the loop sleeps.
func TestBlockedWriter_E8(t *testing.T) {
	l, p, _ := newFake(t)
	s := newFull(3)
	s.write = true
	s.do = func() (bool, error) {
		p.set(3, 0)
		s.write = false
		return true, nil
	}
	mustAdd(t, l, s)
	p.asleep = func() { p.set(3, Writable) }
	steps(t, l, 1)
	asleep := false
	p.asleep = func() {
		asleep = true
		p.set(3, Readable)
	}
	before := len(p.waits)
	steps(t, l, 1)
	wantLog(t, p, "add 3 rw", "modify 3 r")
	if waits := len(p.waits) - before; !asleep || waits != 1 {
		t.Errorf("once all is written the loop sleeps at once; it waited %d times", waits)
	}
}

func TestInterestIsWrittenOnceBeforeAWait(t *testing.T) {
	l, p, _ := newFake(t)
	s := newFull(3)
	mustAdd(t, l, s)
	p.takeLog()
	l.Post(func() {
		for i := range 1001 {
			s.paused = i%2 == 0
			s.changed()
		}
	})
	drain(t, l)
	wantLog(t, p, "modify 3 -")
	l.Post(func() {
		for i := range 1000 {
			s.paused = i%2 == 0
			s.changed()
		}
		s.paused = true
	})
	drain(t, l)
	wantLog(t, p)
}

func TestSpuriousReadinessIsPassedOver(t *testing.T) {
	l, p, _ := newFake(t)
	a, b := newFull(3), newFull(4)
	a.do = func() (bool, error) { return false, nil }
	mustAdd(t, l, a, b)
	p.set(3, Readable)
	p.set(4, Readable)
	if ok, err := l.TryProcessOneEvent(); !ok || err != nil || b.calls != 1 {
		t.Errorf("an event that is nothing is no event; it said %v, %v, with %d calls of the other", ok, err, b.calls)
	}
	p.set(4, 0)
	if ok, err := l.TryProcessOneEvent(); ok || err != nil {
		t.Errorf("a turn of nothing but such events says false; it said %v, %v", ok, err)
	}
	if l.stats.Spurious < 2 {
		t.Errorf("they are counted; the count is %d", l.stats.Spurious)
	}
}

// A turn costs what is ready: ten thousand sources that are idle are not even asked.
func TestTurnCostsWhatIsReady(t *testing.T) {
	l, p, _ := newFake(t)
	sources := make([]*full, 10_000)
	for i := range sources {
		sources[i] = newFull(i)
		sources[i].deadline = time.Unix(5000, int64(i))
		mustAdd(t, l, sources[i])
	}
	for _, s := range sources {
		s.asked = 0
	}
	p.set(5000, Readable)
	steps(t, l, 100)
	asked := 0
	for _, s := range sources {
		asked += s.asked
	}
	if asked != sources[5000].asked || asked > 100 {
		t.Errorf("100 events are 100 questions to the one that had them; there were %d, %d to it", asked, sources[5000].asked)
	}
}

// A later deadline is noticed when the earlier one fires, and an earlier one at once.
func TestDeadlineOfASourceMoves(t *testing.T) {
	l, p, clock := newFake(t)
	began := clock.now
	s := newFull(3)
	var at []time.Duration
	s.do = func() (bool, error) {
		at = append(at, clock.now.Sub(began))
		s.deadline = time.Time{}
		return true, nil
	}
	s.deadline = began.Add(time.Hour)
	mustAdd(t, l, s)
	l.Post(func() { // earlier
		s.deadline = began.Add(time.Minute)
		s.changed()
	})
	steps(t, l, 2)
	l.Post(func() { // later
		s.deadline = clock.now.Add(time.Minute)
		s.changed()
	})
	l.After(time.Second, func() {
		s.deadline = s.deadline.Add(time.Minute)
		s.changed()
	})
	steps(t, l, 3)
	l.Post(func() { // not at all
		s.deadline = clock.now.Add(time.Minute)
		s.changed()
	})
	steps(t, l, 1)
	drain(t, l)
	s.deadline = time.Time{}
	p.asleep = func() { l.Post(func() {}) }
	steps(t, l, 1)
	if want := []time.Duration{time.Minute, 3 * time.Minute}; !slices.Equal(at, want) {
		t.Errorf("deadlines are met at %v; they were at %v", want, at)
	}
	if l.stats.Deadlines != 2 || s.calls != 2 {
		t.Errorf("a deadline that was given up calls nobody; %d did, %d calls", l.stats.Deadlines, s.calls)
	}
}

// A connection whose deadline moves with every command costs no heap operation.
func TestLaterDeadlinesLeaveTheHeapAlone(t *testing.T) {
	l, p, clock := newFake(t)
	s := newFull(3)
	s.deadline = clock.now.Add(time.Hour)
	mustAdd(t, l, s)
	p.set(3, Readable)
	s.do = func() (bool, error) {
		s.deadline = s.deadline.Add(time.Second)
		return true, nil
	}
	filed := l.deadlines.seq
	steps(t, l, 1000)
	if l.deadlines.seq != filed || len(l.deadlines.heap) != 1 {
		t.Errorf("the heap is not touched; it was %d times", l.deadlines.seq-filed)
	}
}

// E18 without descriptors: so many that every table has grown, and gone again.
func TestManySources_E18(t *testing.T) {
	l, p, clock := newFake(t)
	const n = 20_000
	sources := make([]*full, n)
	for i := range sources {
		sources[i] = newFull(i + 1100)
		sources[i].deadline = clock.now.Add(time.Duration(n-i) * time.Second)
		mustAdd(t, l, sources[i])
		p.ready = append(p.ready, fakeReady{int32(i + 1100), Readable})
	}
	steps(t, l, 2*batchSize)
	for _, s := range sources {
		s.fd = -1
		s.changed()
	}
	if l.table.n != 0 || len(l.deadlines.heap) != 0 || len(p.watched) != 0 {
		t.Errorf("nothing is left of them; sources %d, deadlines %d, watched %d", l.table.n, len(l.deadlines.heap), len(p.watched))
	}
	drain(t, l)
	for _, s := range sources {
		if s.dismissed != 1 || s.changed != nil {
			t.Fatalf("each is let go of once; one was %d times", s.dismissed)
		}
	}
}

// A source that violates nothing may still call back at every turn of the road.
func TestSourcesThatRemoveOthersWhenAsked(t *testing.T) {
	l, p, _ := newFake(t)
	a, b := newFull(3), newFull(4)
	quiet := &plain{fd: 5}
	a.onDismiss = func() {
		if b.changed != nil {
			l.Remove(b)
		}
	}
	b.onDismiss = func() { mustAdd(t, l, a) }
	mustAdd(t, l, a, b, quiet)
	l.Remove(a)
	drain(t, l)
	if a.changed == nil || b.changed != nil || l.table.n != 2 {
		t.Errorf("a was added again while b was removed; %d sources are there", l.table.n)
	}
	p.set(3, Readable)
	steps(t, l, 1)
	if a.calls != 1 {
		t.Errorf("and gets its events; it had %d", a.calls)
	}
}
