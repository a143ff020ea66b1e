package reactor

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestTimerOrder(t *testing.T) {
	l, _, _ := newFake(t)
	var r recorder
	l.After(2*time.Second, r.note("later"))
	l.After(time.Second, r.note("first"))
	l.After(time.Second, r.note("second"))
	moved := l.After(time.Millisecond, r.note("set anew"))
	moved.Reset(time.Second)
	l.After(-time.Hour, r.note("past"))
	steps(t, l, 5)
	r.want(t, "past", "first", "second", "set anew", "later")
}

func TestTimerMadeInATurnWaitsForTheNext(t *testing.T) {
	l, _, _ := newFake(t)
	var turns []uint64
	var again func()
	again = func() {
		turns = append(turns, l.stats.Turns)
		if len(turns) < 4 {
			l.After(0, again)
		}
	}
	l.After(0, again)
	l.After(0, func() {}) // same instant, made before
	steps(t, l, 5)
	if want := []uint64{1, 2, 3, 4}; !slices.Equal(turns, want) {
		t.Errorf("a timer made in a timer fires in the next turn, %v; it was %v", want, turns)
	}
}

// E11: stopped in its own callback, in another of the same tick, set anew in it;
// 100,000 equal deadlines; a clock that is set back.
func TestTimersAtMostOnce_E11(t *testing.T) {
	l, _, clock := newFake(t)
	fired := map[string]int{}
	var own, other, again *Timer
	own = l.After(time.Second, func() {
		fired["own"]++
		if own.Stop() {
			t.Error("a timer that fires is no longer set; Stop said that it was")
		}
		if !other.Stop() || other.Stop() {
			t.Error("Stop says whether the timer was set; it did not")
		}
	})
	other = l.After(time.Second, func() { fired["other"]++ })
	again = l.After(time.Second, func() {
		if fired["again"]++; fired["again"] == 1 && again.Reset(0) {
			t.Error("a timer that fires is no longer set; Reset said that it was")
		}
	})
	const n = 100_000
	order := make([]int, 0, n)
	for i := range n {
		l.After(time.Second, func() { order = append(order, i) })
	}
	clock.now = clock.now.Add(time.Second)
	drain(t, l)
	if fired["own"] != 1 || fired["other"] != 0 || fired["again"] != 2 {
		t.Errorf("each fires once for each time that it is set; they did %v", fired)
	}
	if len(order) != n || !slices.IsSorted(order) {
		t.Errorf("equal deadlines fire once each, in order of creation; %d did", len(order))
	}
}

// A wall clock that is set back moves no timer: time.Time has the monotonic clock.
func TestClockSetBack_E11(t *testing.T) {
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	fake := l.clock().Add(time.Hour)
	l.clock = func() time.Time { return fake }
	fired := 0
	l.After(0, func() { fired++ })
	fake = fake.Add(-2 * time.Hour) // before the loop was made
	if ok, err := l.TryProcessOneEvent(); ok || err != nil || fired != 0 {
		t.Errorf("even a clock that goes backwards only delays; it said %v, %v", ok, err)
	}
	if got := l.at(l.now.Round(0).Add(time.Minute)); got-l.tick != int64(time.Minute) {
		t.Errorf("a time without monotonic clock is taken by the wall clock; it was %v off", time.Duration(got-l.tick))
	}
	fake = fake.Add(3 * time.Hour)
	if ok, err := l.TryProcessOneEvent(); !ok || err != nil || fired != 1 {
		t.Errorf("the timer fires when the clock has come round; it said %v, %v", ok, err)
	}
}

// Outside a turn, Now may be long past; a timer set then counts from the call.
func TestTimerOutsideATurnReadsTheClock(t *testing.T) {
	l, p, clock := newFake(t)
	if ok, _ := l.TryProcessOneEvent(); ok {
		t.Fatal("nothing is there to do; something was")
	}
	clock.now = clock.now.Add(time.Hour)
	l.After(time.Minute, func() {})
	if want := []time.Duration{time.Minute}; !slices.Equal(p.alarms, want) {
		t.Errorf("the host is shown %v; it was %v", want, p.alarms)
	}
	if ok, _ := l.TryProcessOneEvent(); ok {
		t.Error("the timer is a minute away; it has fired")
	}
}

func TestWaitEndsAtTheEarliestDeadline(t *testing.T) {
	l, p, clock := newFake(t)
	s := newFull(3)
	s.deadline = clock.now.Add(1500 * time.Microsecond)
	s.do = func() (bool, error) {
		s.deadline = time.Time{}
		return true, nil
	}
	mustAdd(t, l, s)
	l.After(time.Second, func() {})
	steps(t, l, 2)
	want := []time.Duration{1500 * time.Microsecond, time.Second - 1500*time.Microsecond}
	if !slices.Equal(p.waits, want) {
		t.Errorf("the waits are %v; they were %v", want, p.waits)
	}
}

func TestFarDeadlines(t *testing.T) {
	l, p, clock := newFake(t)
	s := newFull(3)
	mustAdd(t, l, s)
	clock.now = clock.now.Add(time.Second) // so that a sum does not fit
	drain(t, l)
	l.After(1<<63-1, func() { t.Error("a timer 292 years away never fires; it has") })
	s.deadline = clock.now.Add(1<<63 - 1).Add(1<<63 - 1)
	s.changed()
	drain(t, l)
	if got, ok := l.NextDeadline(); ok && got.Before(clock.now.Add(1<<62)) {
		t.Errorf("far deadlines stay far; the next is %v", got)
	}
	s.deadline = clock.now.Add(-1 << 63).Add(-1 << 63) // and old ones are old
	s.changed()
	p.waits = nil
	steps(t, l, 1)
	if s.calls != 1 {
		t.Errorf("a deadline long past has come; the source was called %d times", s.calls)
	}
}

// The heap against a sorted list, by random programs.
func TestHeapAgainstAModel(t *testing.T) {
	const seed = 7
	random := rand.New(rand.NewPCG(seed, seed))
	var q deadlines
	var model []*Timer
	when, order := map[*Timer]int64{}, map[*Timer]uint64{}
	note := func(x *Timer, at int64) {
		when[x], order[x] = at, q.seq
	}
	for range 20_000 {
		at := random.Int64N(100)
		switch k := random.IntN(10); {
		case k < 4 || len(model) == 0:
			x := &Timer{heapAt: -1}
			q.push(at, x)
			note(x, at)
			model = append(model, x)
		case k < 6:
			x := model[random.IntN(len(model))]
			q.move(x.heapAt, at)
			note(x, at)
		case k < 8:
			i := random.IntN(len(model))
			if d := q.remove(model[i].heapAt); d.owner != model[i] {
				t.Fatal("every owner knows its place; one did not")
			}
			model = slices.Delete(model, i, i+1)
		default:
			first := slices.MinFunc(model, func(a, b *Timer) int {
				if when[a] != when[b] {
					return int(when[a] - when[b])
				}
				return int(order[a]) - int(order[b])
			})
			if q.earliest() != when[first] {
				t.Fatalf("the earliest is at %d; the heap said %d", when[first], q.earliest())
			}
			if d := q.remove(0); d.owner != first || first.heapAt != -1 {
				t.Fatal("the first of the heap is the first of all; it was another")
			}
			model = slices.DeleteFunc(model, func(x *Timer) bool { return x == first })
		}
	}
}
