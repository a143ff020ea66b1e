package reactor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// reports collects what OnSlow tells.
func reports(l *Loop, limit time.Duration) *[]Slow {
	var got []Slow
	l.OnSlow(limit, func(s Slow) { got = append(got, s) })
	return &got
}

// takes is a callback of a certain length.
func takes(clock *fakeClock, d time.Duration) func() {
	return func() { clock.now = clock.now.Add(d) }
}

func slowSource(fd int, f func()) *full {
	s := newFull(fd)
	s.do = func() (bool, error) {
		f()
		return true, nil
	}
	return s
}

// crawl is a function with a name.
func crawl(clock *fakeClock) { clock.now = clock.now.Add(3 * time.Second) }

func TestSlowCallbacksAreReported(t *testing.T) {
	l, p, clock := newFake(t)
	got := reports(l, time.Second)
	quick := slowSource(3, takes(clock, time.Second)) // as long as the limit, not longer
	slow := slowSource(4, takes(clock, 2*time.Second))
	mustAdd(t, l, quick, slow)
	p.set(3, Readable)
	p.set(4, Readable)
	l.Post(func() { crawl(clock) })
	l.Post(func() {})
	l.After(0, func() { crawl(clock) })
	steps(t, l, 5)
	var said []string
	for _, s := range *got {
		said = append(said, s.String())
	}
	name := "github.com/imclient/imclient/reactor.TestSlowCallbacksAreReported."
	want := []string{name + "func1: 3s", name + "func3: 3s", "*reactor.full, descriptor 4: 2s"}
	if !slices.Equal(said, want) {
		t.Errorf("what took longer than the limit is reported\n got: %q\nwant: %q", said, want)
	}
	if s := (*got)[2]; s.Source != slow || s.FD != 4 || s.Func != "" || s.Took != 2*time.Second {
		t.Errorf("a source is named with its descriptor; it was %+v", s)
	}
	if s := (*got)[0]; s.Source != nil || s.FD != -1 {
		t.Errorf("a function has no source and no descriptor; it was %+v", s)
	}
	*got = nil
	l.OnSlow(0, nil)
	clock.reads = 0
	l.Post(func() { crawl(clock) })
	if steps(t, l, 1); len(*got) != 0 || clock.reads > 3 { // of the post, before the wait, after it
		t.Errorf("nil reports nothing and reads no clock for it; %d reports, %d readings", len(*got), clock.reads)
	}
}

// A slow source that goes away in its call is still named, with the descriptor that
// it had.
func TestSlowSourceThatGoes(t *testing.T) {
	for name, do := range map[string]func(l *Loop, s *full) error{
		"fails":          func(*Loop, *full) error { return errors.New("broken") },
		"removes itself": func(l *Loop, s *full) error { return l.Remove(s) },
		"closes":         func(l *Loop, s *full) error { s.fd = -1; s.changed(); return nil },
	} {
		l, p, clock := newFake(t)
		got := reports(l, time.Second)
		s := newFull(3)
		s.do = func() (bool, error) {
			crawl(clock)
			return true, do(l, s)
		}
		mustAdd(t, l, s)
		p.set(3, Readable)
		if steps(t, l, 1); len(*got) != 1 || (*got)[0].Source != s || (*got)[0].FD != 3 {
			t.Errorf("a source that %s is reported with its descriptor; it was %v", name, *got)
		}
	}
}

// The function of OnSlow is a callback: it may do what callbacks do.
func TestOnSlowMayDoWhatCallbacksDo(t *testing.T) {
	l, p, clock := newFake(t)
	s := slowSource(3, func() { crawl(clock) })
	told := 0
	l.OnSlow(time.Second, func(slow Slow) {
		told++
		crawl(clock) // not itself looked at
		if err := l.Remove(slow.Source); err != nil {
			t.Errorf("a slow source can be removed; Remove said %v", err)
		}
		if err := l.ProcessOneEvent(); err != ErrReentrant {
			t.Errorf("the loop cannot be driven; it said %v", err)
		}
		l.OnSlow(0, nil)
	})
	mustAdd(t, l, s)
	p.set(3, Readable)
	steps(t, l, 1)
	l.Post(func() { crawl(clock) })
	if steps(t, l, 1); told != 1 || s.dismissed != 1 {
		t.Errorf("it is told once, and nothing after it has put itself off; it was %d times", told)
	}
	l.Post(func() { // begins unobserved
		crawl(clock)
		l.OnSlow(time.Second, func(Slow) { told++ })
	})
	l.Post(func() { // ends unobserved
		crawl(clock)
		l.OnSlow(0, nil)
	})
	if steps(t, l, 2); told != 1 {
		t.Errorf("a callback is looked at from its beginning to its end or not at all; %d were reported", told-1)
	}
}

// A panic, in a callback or in the function of OnSlow, leaves the watch as it was.
func TestPanicDoesNotBreakOnSlow(t *testing.T) {
	l, _, clock := newFake(t)
	got := reports(l, time.Second)
	attempt := func(f func()) {
		l.Post(f)
		defer func() { _ = recover() }()
		_, _ = l.TryProcessOneEvent()
	}
	attempt(func() {
		crawl(clock)
		panic("slow")
	})
	attempt(func() {})
	if len(*got) != 0 {
		t.Errorf("the next callback is not taken for the one that panicked; %v was reported", *got)
	}
	report := l.slow.report
	l.slow.report = func(s Slow) {
		report(s)
		panic("report")
	}
	attempt(func() { crawl(clock) })
	attempt(func() { crawl(clock) })
	if len(*got) != 2 {
		t.Errorf("each slow callback is reported; %d of 2 were", len(*got))
	}
}

// An inner loop reports its callbacks by its own limit; to the outer one it is the
// source that was slow.
func TestSlowCallbackOfAnInnerLoop(t *testing.T) {
	outer, inner, outerP, innerP := hosted(t)
	clock := outer.clock().Add(0)
	read := func() time.Time { return clock }
	outer.clock, inner.clock = read, read
	fd, _ := inner.GetSelectInfo()
	var inOrder []string
	inner.OnSlow(time.Second, func(s Slow) { inOrder = append(inOrder, "inner: "+s.String()) })
	outer.OnSlow(3*time.Second, func(s Slow) { inOrder = append(inOrder, fmt.Sprintf("outer: %v %v", s.Source == inner, s.Took)) })
	for s := range 2 {
		mustAdd(t, inner, &counterless{fd: s, do: func() { clock = clock.Add(2 * time.Second); innerP.set(s, 0) }})
		innerP.set(s, Readable)
	}
	outerP.set(fd, Readable)
	steps(t, outer, 1)
	want := []string{"inner: *reactor.counterless, descriptor 0: 2s", "inner: *reactor.counterless, descriptor 1: 2s", "outer: true 4s"}
	if !slices.Equal(inOrder, want) {
		t.Errorf("both report what they see\n got: %q\nwant: %q", inOrder, want)
	}
}

func TestOnSlowAfterClose(t *testing.T) {
	l, _, clock := newFake(t)
	got := reports(l, 0)
	l.Post(func() {
		crawl(clock)
		l.Close()
	})
	if _, err := l.TryProcessOneEvent(); err != nil || len(*got) != 0 {
		t.Errorf("a closed loop calls nobody; it did for %v (%v)", *got, err)
	}
	if reports(l, 0); l.slow != nil {
		t.Error("a closed loop keeps nothing; it did")
	}
	if s := (Slow{Func: "main.f", FD: -1, Took: time.Second}).String(); !strings.HasPrefix(s, "main.f: 1s") {
		t.Errorf("a function is named by its name; it was %q", s)
	}
}
