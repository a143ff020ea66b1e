//go:build unix

package reactor

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What is kqueue's own, over the model. backend_test.go has the rest.

// filters lists what a loop's kqueue holds of a descriptor.
func (m *model) filters(l *Loop, fd int) (have []filter) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key := range m.at(l.poller.(*kqueue).kq).queue.notes {
		if key.filter <= filterWrite && key.ident == fd {
			have = append(have, key.filter)
		}
	}
	slices.Sort(have)
	return have
}

func TestInterestIsFilters(t *testing.T) {
	m := newModel(true, time.Nanosecond)
	l := m.world().loop(t)
	a, _, err := m.world().pair()
	if err != nil {
		t.Fatal(err)
	}
	p := l.poller
	if err := p.add(int32(a), 1, 0); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		in   Interest
		want []filter
	}{
		{Readable, []filter{filterRead}},
		{Readable | Writable, []filter{filterRead, filterWrite}},
		{Writable, []filter{filterWrite}},
		{0, nil},
		{Writable, []filter{filterWrite}},
		{Readable, []filter{filterRead}},
	} {
		if err := p.modify(int32(a), 1, c.in); err != nil {
			t.Fatal(err)
		}
		if got := m.filters(l, a); !slices.Equal(got, c.want) {
			t.Errorf("interest %v is the filters %v; they are %v", c.in, c.want, got)
		}
	}
	p.remove(int32(a))
	if got := m.filters(l, a); got != nil {
		t.Errorf("a removed descriptor has no filters; it has %v", got)
	}
}

// Of an add that fails half way nothing stays.
func TestAddFailsHalfWay(t *testing.T) {
	m := newModel(true, time.Nanosecond)
	plan := &plan{op: "kevent", nth: 3, errno: unix.ENOMEM, counts: map[string]int{}}
	p, err := newKqueue(faultyKqueue{faultyFiles{m, plan}, m}) // one change
	if err != nil {
		t.Fatal(err)
	}
	l := newLoop(p, m.time)
	a, b := m.world().newPair(t)
	a.out = []byte("to write") // two changes
	var fault *SourceError
	if err := l.Add(a); !errors.As(err, &fault) || !errors.Is(err, unix.ENOMEM) {
		t.Errorf("Add says why; it said %v", err)
	}
	if got := m.filters(l, a.fd); got != nil {
		t.Errorf("a source that was refused is not watched; it has %v", got)
	}
	mustAdd(t, l, a, b)
	run(t, l, func() bool { return len(b.in) > 0 })
}

// Devices without support for kqueue are refused like files: some terminals of macOS.
func TestDevicesAreRefused(t *testing.T) {
	m := newModel(true, time.Nanosecond)
	l := m.world().loop(t)
	device := m.special(&object{dev: true})
	if err := l.Add(newFull(device)); !errors.Is(err, ErrNotPollable) {
		t.Errorf("a device that cannot be polled is refused as that; the error was %v", err)
	}
}

// A writer that does not read still hears that the reader of its pipe has gone:
// before it is watched, and while it waits to write.
func TestWriterOfAPipeHearsOfItsEnd(t *testing.T) {
	for _, gone := range []bool{true, false} {
		w := newModel(true, time.Nanosecond).world()
		l := w.loop(t)
		r, wr, err := w.pipe()
		if err != nil {
			t.Fatal(err)
		}
		s := newFull(wr)
		s.paused, s.write = true, true
		s.do = func() (bool, error) {
			_, err := w.write(wr, make([]byte, modelRoom))
			if err == unix.EAGAIN {
				return false, nil
			}
			return true, err
		}
		if gone {
			w.close(r)
		}
		mustAdd(t, l, s)
		if !gone {
			settled(t, l) // it is full
			w.close(r)
		}
		run(t, l, func() bool { return s.changed == nil })
		if s.dismissed != 1 || l.table.n != 0 {
			t.Errorf("it finds EPIPE and is removed; it was dismissed %d times", s.dismissed)
		}
	}
}

// A paused source has no filter and hears of the end of its peer when it is resumed.
func TestPausedHearsNothing(t *testing.T) {
	w := newModel(true, time.Nanosecond).world()
	l := w.loop(t)
	a, b := w.newPair(t)
	mustAdd(t, l, b)
	b.pause(true)
	settled(t, l)
	a.close()
	settled(t, l)
	if l.stats.Events != 0 {
		t.Errorf("without filters there are no events; there were %d", l.stats.Events)
	}
	b.pause(false)
	run(t, l, func() bool { return b.err != nil })
}

// A number that is closed without a word and used again belongs to the newcomer alone.
func TestReusedNumberOfAKqueue(t *testing.T) {
	w := newModel(true, time.Nanosecond).world()
	l := w.loop(t)
	a, _ := w.newPair(t)
	mustAdd(t, l, a)
	gen := l.table.at(a.fd).gen
	number := a.fd
	w.close(number)
	c := w.newCounter(t)
	if c.fd != number {
		t.Fatalf("the lowest free number is given out, %d; it was %d", number, c.fd)
	}
	a.pause(true) // has no filter there any more, which is as good
	settled(t, l)
	a.fd = -1
	mustAdd(t, l, c) // finds that a has left
	c.signal()
	into := make([]event, 4)
	if got, err := l.poller.wait(into, 0); got.n != 1 || into[0] == (event{int32(number), gen}) || err != nil {
		t.Errorf("the event is of the new generation; it was %v, %v", into[:got.n], err)
	}
	run(t, l, func() bool { return c.calls == 1 })
}

// A timer in the system's unit never ends before the deadline: the host would wake
// for nothing, many times in the last unit.
func TestAlarmRoundsUp(t *testing.T) {
	for _, unit := range []time.Duration{time.Nanosecond, time.Millisecond} {
		w := newModel(true, unit).world()
		l := w.loop(t)
		fired := false
		began := w.clock()
		l.After(1500*time.Microsecond, func() { fired = true })
		idle := w.hostUntil(t, l, func() bool { return fired })
		want := (1500*time.Microsecond + unit - 1) / unit * unit
		if took := w.clock().Sub(began); idle != 0 || took != want {
			t.Errorf("in units of %v an alarm of 1.5 ms is one wake after %v; it was after %v, with %d for nothing", unit, want, took, idle)
		}
	}
}

// A wait of centuries is one that the system takes.
func TestFarDeadlineOfAKqueue(t *testing.T) {
	m := newModel(true, time.Nanosecond)
	p, err := newKqueue(m)
	if err != nil {
		t.Fatal(err)
	}
	began := m.time()
	if got, err := p.wait(make([]event, 1), 1<<63-1); got != (waited{}) || err != nil {
		t.Errorf("it ends early, with nothing; it was %+v, %v", got, err)
	}
	if d := m.time().Sub(began); d != longestWait {
		t.Errorf("after %v; it was %v", longestWait, d)
	}
}

// When a wake cannot be taken back, it stays, and so does the means to wake.
func TestHushFails(t *testing.T) {
	for nth := 2; nth <= 3; nth++ { // makes a new user event, deletes the old one
		m := newModel(true, time.Nanosecond)
		plan := &plan{op: "kevent", errno: unix.ENOMEM, counts: map[string]int{}}
		p, err := newKqueue(faultyKqueue{faultyFiles{m, plan}, m})
		if err != nil {
			t.Fatal(err)
		}
		plan.nth = nth + 1
		if err := p.wake(); err != nil {
			t.Fatal(err)
		}
		if err := p.hush(); !errors.Is(err, unix.ENOMEM) {
			t.Errorf("hush says that it failed; it said %v", err)
		}
		into := make([]event, 1)
		if got, err := p.wait(into, 0); !got.woken || err != nil {
			t.Errorf("the wake is still there; it was %+v, %v", got, err)
		}
		for range 2 {
			if err := errors.Join(p.wake(), p.hush(), p.wake()); err != nil {
				t.Fatal(err)
			}
			if got, err := p.wait(into, 0); !got.woken || err != nil {
				t.Errorf("and the next wake works; it was %+v, %v", got, err)
			}
		}
	}
}

// kqueueHosts sleep on nothing but a loop's descriptor, in the model.
var kqueueHosts = map[string]func(t *testing.T, m *model, l *Loop, done func() bool) (idle int){
	"level-triggered": func(t *testing.T, m *model, l *Loop, done func() bool) int {
		return m.world().hostUntil(t, l, done)
	},
	"edge-triggered": edgeHost,
	"outer loop": func(t *testing.T, m *model, l *Loop, done func() bool) int {
		outer := m.world().loop(t)
		mustAdd(t, outer, l)
		run(t, outer, done)
		return int(outer.stats.Spurious)
	},
	"host of an outer loop": func(t *testing.T, m *model, l *Loop, done func() bool) int {
		outer := m.world().loop(t)
		mustAdd(t, outer, l)
		return m.world().hostUntil(t, outer, done)
	},
}

// edgeHost has a kqueue of its own, and EV_CLEAR.
func edgeHost(t *testing.T, m *model, l *Loop, done func() bool) (idle int) {
	kq, err := m.kqueue()
	if err != nil {
		t.Fatal(err)
	}
	fd, _ := l.GetSelectInfo()
	if err := m.change(kq, kevent{ident: fd, filter: filterRead, flags: evAdd | evClear}); err != nil {
		t.Fatal(err)
	}
	for !done() {
		if _, err := m.events(kq, make([]kevent, 1), -1); err != nil {
			t.Fatal(err)
		}
		found := false
		for ok := true; ok && !done(); found = found || ok {
			if ok, err = l.TryProcessOneEvent(); err != nil {
				t.Fatal(err)
			}
		}
		if !found {
			idle++
		}
	}
	return idle
}

// The law of readiness for a loop over a kqueue: an event that is missed leaves the
// test asleep for ever, and wakes for nothing are counted. A kqueue that found
// something looks ready once more.
func TestKqueueUnderHosts(t *testing.T) {
	for name, drive := range kqueueHosts {
		for _, userEvents := range []bool{true, false} {
			for seed := range uint64(5) {
				t.Run(fmt.Sprintf("%s/user events=%v/seed=%d", name, userEvents, seed), func(t *testing.T) {
					kqueueUnderHost(t, newModel(userEvents, time.Millisecond), seed, drive)
				})
			}
		}
	}
}

func kqueueUnderHost(t *testing.T, m *model, seed uint64, drive func(*testing.T, *model, *Loop, func() bool) int) {
	random := rand.New(rand.NewPCG(seed, 3))
	w := m.world()
	l := w.loop(t)
	const budget = 3000
	cs := make([]*counter, 300) // more than a batch holds
	waiting := map[int]bool{}   // signalled, and not yet called
	events, timers, posts := 0, 0, 0
	signal := func() {
		i := random.IntN(len(cs))
		waiting[i] = true
		cs[i].signal()
	}
	for i := range cs {
		cs[i] = w.newCounter(t)
		mustAdd(t, l, &sequel{cs[i], func() {
			events++
			delete(waiting, i)
			if events > budget {
				return
			}
			switch random.IntN(4) {
			case 0:
				signal()
			case 1:
				timers++
				l.After(time.Duration(random.IntN(3000))*time.Microsecond, func() {
					timers--
					signal()
				})
			case 2:
				posts++
				l.Post(func() {
					posts--
					signal()
				})
			case 3:
				if len(waiting) < 3 {
					for range random.IntN(500) {
						signal()
					}
				}
			}
			if len(waiting)+timers+posts == 0 {
				signal()
			}
		}})
	}
	signal()
	idle := drive(t, m, l, func() bool { return events > budget && len(waiting)+timers+posts == 0 })
	if waits := int(l.stats.Turns); idle > waits/2+2 {
		t.Errorf("a host wakes for nothing once for each wait that found something at most; it was %d times in %d turns, for %d events", idle, waits, events)
	}
	if n := l.stats.Spurious; n != 0 {
		t.Errorf("no source is called for nothing; %d were", n)
	}
}

// sequel is a counter that does something more.
type sequel struct {
	*counter
	then func()
}

func (c *sequel) TryProcessOneEvent() (bool, error) {
	ok, err := c.counter.TryProcessOneEvent()
	if ok {
		c.then()
	}
	return ok, err
}

// An alarm takes the place of the one before, and is taken back, on systems that do
// not start a timer anew. One that has gone off costs nothing to take back.
func TestAlarmIsReplaced(t *testing.T) {
	m := newModel(true, time.Millisecond)
	plan := &plan{counts: map[string]int{}}
	p, err := newKqueue(faultyKqueue{faultyFiles{m, plan}, m})
	if err != nil {
		t.Fatal(err)
	}
	began := m.time()
	into := make([]event, 1)
	for _, c := range []struct {
		alarm time.Duration
		after time.Duration // since the beginning; 0: no wait
		calls int           // of kevent
	}{
		{10 * time.Millisecond, 0, 1},
		{3 * time.Millisecond, 3 * time.Millisecond, 2},
		{2 * time.Millisecond, 0, 1},
		{-1, time.Second, 1},
		{-1, 0, 0},
	} {
		plan.counts["kevent"] = 0
		if err := p.alarm(c.alarm); err != nil {
			t.Fatal(err)
		}
		if n := plan.counts["kevent"]; n != c.calls {
			t.Errorf("an alarm of %v costs %d calls; it was %d", c.alarm, c.calls, n)
		}
		if c.after == 0 {
			continue
		}
		if got, err := p.wait(into, began.Add(c.after).Sub(m.time())); got.n != 0 || err != nil {
			t.Errorf("an alarm is no event; it was %+v, %v", got, err)
		}
		if d := m.time().Sub(began); d != c.after {
			t.Errorf("after an alarm of %v the wait ends at %v; it was at %v", c.alarm, c.after, d)
		}
	}
}

// macOS ends some waits with an error that says no more than that they are over.
func TestWaitThatTimesOut(t *testing.T) {
	m := newModel(true, time.Nanosecond)
	plan := &plan{op: "kevent", nth: 2, errno: unix.ETIMEDOUT, counts: map[string]int{}}
	p, err := newKqueue(faultyKqueue{faultyFiles{m, plan}, m})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.wait(make([]event, 1), time.Second); got != (waited{}) || err != nil {
		t.Errorf("it found nothing; it was %+v, %v", got, err)
	}
}
