package reactor

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"
)

// E9: a million wakes before a wait are one, and none comes after the close.
func TestPostsWakeOnce_E9(t *testing.T) {
	l, p, _ := newFake(t)
	const n = 1_000_000
	ran := 0
	f := func() { ran++ }
	for range n {
		if !l.Post(f) {
			t.Fatal("Post to an open loop says true; it said false")
		}
	}
	if p.wakes != 1 {
		t.Errorf("a million posts before a wait are one wake; there were %d", p.wakes)
	}
	drain(t, l)
	if ran != n {
		t.Errorf("each post runs once; %d of %d did", ran, n)
	}
	l.Close()
	if l.Post(f) {
		t.Error("Post after Close says false; it said true")
	}
	l.interrupt()
	l.Close()
	if p.wakes != 1 {
		t.Errorf("nothing is written after close; there were %d wakes", p.wakes)
	}
}

func TestPostsFromInsideNeedNoWake(t *testing.T) {
	l, p, _ := newFake(t)
	ran := 0
	var again func()
	again = func() {
		if ran++; ran < 100 {
			l.Post(again)
		}
	}
	p.asleep = func() { l.Post(again) } // as another goroutine does
	steps(t, l, 100)
	if p.wakes != 1 || l.stats.Turns != 100 || l.stats.Waits != 1 {
		t.Errorf("a post costs a wake only if the loop sleeps, and runs in the next turn; %d wakes, %d turns, %d waits",
			p.wakes, l.stats.Turns, l.stats.Waits)
	}
}

func TestAWakeIsNotTakenForAnother(t *testing.T) {
	l, p, _ := newFake(t)
	for range 10 {
		p.asleep = func() {
			l.Post(func() {})
			l.Post(func() {})
		}
		steps(t, l, 2)
	}
	if p.wakes != 10 || l.stats.Wakeups != 10 {
		t.Errorf("each sleep is ended by one wake; 10 sleeps had %d, %d were counted", p.wakes, l.stats.Wakeups)
	}
}

// A context may end between the look at it and the wait, so its end is kept for the
// wait to come.
func TestInterruptBeforeTheWait(t *testing.T) {
	l, p, _ := newFake(t)
	p.asleep = func() { t.Error("an interrupt ends the next wait; the loop slept") }
	l.Post(func() { l.interrupt() })
	steps(t, l, 1)
	if ok, err := drive(l, true); ok || err != nil {
		t.Errorf("and is no event; it said %v, %v", ok, err)
	}
}

func TestPostThatCannotWakeIsRefused(t *testing.T) {
	l, p, _ := newFake(t)
	p.failing["wake"] = errors.New("write failed")
	if l.Post(func() { t.Error("a refused post never runs; it did") }) {
		t.Error("a post that nobody would notice is refused; it was not")
	}
	drain(t, l)
}

func TestBurstOfPostsIsGivenBack(t *testing.T) {
	l, _, _ := newFake(t)
	for range 100 * keepPosts {
		l.Post(func() {})
	}
	drain(t, l)
	drain(t, l)
	if kept := cap(l.mail.posts) + cap(l.turn.posts); kept > 4*keepPosts {
		t.Errorf("a burst leaves little room behind; it was for %d posts", kept)
	}
}

// Posts of many goroutines, on the real poller: every one runs, those of one
// goroutine in order, while the loop falls asleep between them.
func TestPostFromManyGoroutines(t *testing.T) {
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	const posters, each = 8, 5000
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var got [posters][]int
	left := posters * each
	var wg sync.WaitGroup
	for g := range posters {
		wg.Go(func() {
			for i := range each {
				l.Post(func() {
					got[g] = append(got[g], i)
					if left--; left == 0 {
						cancel()
					}
				})
				if i%50 == 0 {
					time.Sleep(time.Microsecond)
				}
			}
		})
	}
	if err := l.Run(ctx); err != context.Canceled {
		t.Errorf("Run ends with its context; it said %v", err)
	}
	wg.Wait()
	for g := range got {
		if len(got[g]) != each || !slices.IsSorted(got[g]) {
			t.Errorf("the posts of a goroutine run once each and in order; %d of %d did", len(got[g]), each)
		}
	}
	if err := l.Close(); err != nil {
		t.Errorf("Close succeeds; it said %v", err)
	}
}

// Close against posts that are under way; the race detector and the closed
// descriptor's next owner are the judges.
func TestPostDuringClose(t *testing.T) {
	for range 100 {
		l, err := New()
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for l.Post(func() {}) {
					l.Stats()
				}
			})
		}
		for range 10 {
			if _, err := l.TryProcessOneEvent(); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
	}
}

func TestNilFunctionsPanicAtTheCaller(t *testing.T) {
	l, _, _ := newFake(t)
	for name, call := range map[string]func(){
		"Post":   func() { l.Post(nil) },
		"After":  func() { l.After(0, nil) },
		"FD":     func() { FD(3, Readable, nil) },
		"Spread": func() { l.Spread(nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s of nothing panics; it did not", name)
				}
			}()
			call()
		}()
	}
}
