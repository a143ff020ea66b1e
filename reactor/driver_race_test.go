//go:build race

package reactor

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// elsewhere runs f on a goroutine of its own, waits for it, and returns what it
// panicked with.
func elsewhere(f func()) (panicked any) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { panicked = recover() }()
		f()
	}()
	<-done
	return panicked
}

// Every call that belongs to the loop's goroutine panics on another one while the
// loop is driven, and names itself, both goroutines and the way out. The callback
// waits for the other goroutine, so there is no race for the detector to find.
func TestCallsFromAnotherGoroutinePanic(t *testing.T) {
	l, _, _ := newFake(t)
	timer := l.After(time.Hour, func() {})
	s, d := newFull(3), FD(4, Readable, nop)
	mustAdd(t, l, s, d)
	calls := map[string]func(){
		"Loop.Add":                        func() { _ = l.Add(newFull(9)) },
		"Loop.Remove":                     func() { _ = l.Remove(s) },
		"Loop.Run":                        func() { _ = l.Run(context.Background()) },
		"Loop.ProcessOneEvent":            func() { _ = l.ProcessOneEvent() },
		"Loop.TryProcessOneEvent":         func() { _, _ = l.TryProcessOneEvent() },
		"Loop.After":                      func() { l.After(0, func() {}) },
		"Loop.Now":                        func() { l.Now() },
		"Loop.OnSlow":                     func() { l.OnSlow(0, nil) },
		"Loop.GetSelectInfo":              func() { l.GetSelectInfo() },
		"Loop.NextDeadline":               func() { l.NextDeadline() },
		"Loop.SetNotify":                  func() { l.SetNotify(nil) },
		"Loop.Spread":                     func() { l.Spread(func() {}) },
		"Loop.SpreadLimit":                func() { l.SpreadLimit(4) },
		"Loop.Close":                      func() { l.Close() },
		"Timer.Reset":                     func() { timer.Reset(0) },
		"Timer.Stop":                      func() { timer.Stop() },
		"changed, a Notifier's function,": func() { s.changed() },
	}
	test := func() {
		for name, call := range calls {
			var me uint64
			want := elsewhere(func() {
				me = goroutine()
				call()
			})
			says := fmt.Sprintf("reactor: %s on goroutine %d while goroutine %d drives the loop; use Post", name, me, goroutine())
			if want != says {
				t.Errorf("the panic says\n%q; it said\n%q", says, want)
			}
		}
		if got := elsewhere(func() { d.Want(0) }); got == nil {
			t.Error("Want of a Descriptor in the loop panics; it did not")
		}
		if got := elsewhere(func() { l.Stats(); l.Post(func() {}) }); got != nil {
			t.Errorf("Post and Stats are safe anywhere; they panicked with %v", got)
		}
	}
	for name, drive := range map[string]func() error{
		"Run": func() error {
			ctx, cancel := context.WithCancel(context.Background())
			l.Post(cancel)
			if err := l.Run(ctx); err != context.Canceled {
				return err
			}
			return nil
		},
		"ProcessOneEvent":    l.ProcessOneEvent,
		"TryProcessOneEvent": func() error { _, err := l.TryProcessOneEvent(); return err },
		"processTurn":        func() error { _, err := l.processTurn(); return err },
	} {
		tested := false
		l.Post(func() { test(); tested = true })
		for !tested { // a post of the test before may come first
			if err := drive(); err != nil {
				t.Fatalf("%s goes on as if nothing had been; it said %v", name, err)
			}
		}
	}
}

// What looks like misuse and is none.
func TestNoFalseAlarm(t *testing.T) {
	l, outer := newReal(t), newReal(t)
	ran := 0
	for range 3 { // the loop goes from hand to hand, and nobody drives it meanwhile
		if got := elsewhere(func() {
			l.After(0, func() { ran++ })
			if _, err := l.TryProcessOneEvent(); err != nil {
				t.Error(err)
			}
			mustAdd(t, outer, l)
			steps(t, outer, 0)
			_ = outer.Remove(l)
		}); got != nil {
			t.Errorf("a loop that nobody drives is anybody's; the call panicked with %v", got)
		}
	}
	if ran != 3 {
		t.Errorf("each of three goroutines drove the loop; %d did", ran)
	}
	outer.Post(func() { // a callback drives another loop, which changes and is closed
		l.Post(func() {
			outer.After(time.Hour, func() {}).Stop()
			l.Now()
			l.Close()
		})
		if err := l.ProcessOneEvent(); err != nil {
			t.Error(err)
		}
		ran++
	})
	outer.Post(func() { panic("in a callback") })
	if got := elsewhere(func() { _ = outer.ProcessOneEvent() }); got != nil || ran != 4 {
		t.Errorf("a callback may drive another loop; it panicked with %v", got)
	}
	if got := elsewhere(func() { _ = outer.ProcessOneEvent() }); got != "in a callback" {
		t.Errorf("a callback's own panic comes through; it was %v", got)
	}
	outer.After(0, func() { ran++ }) // nobody drives it after the panic
	if err := outer.ProcessOneEvent(); err != nil || ran != 5 {
		t.Errorf("after a panic nobody drives the loop; it said %v", err)
	}
}
