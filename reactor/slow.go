package reactor

import (
	"fmt"
	"reflect"
	"runtime"
	"time"
)

// Slow tells of a callback that took long, and of all others that waited for it.
type Slow struct {
	// Source is the source that was called; nil for a function: a timer's, a posted
	// one, or one of Spread.
	Source Source
	FD     int    // of the source, when it was called; -1 for a function
	Func   string // the function, as in a stack trace; "" for a source
	// Took is the time that it held the loop, by the wall: time that the process
	// did not get a processor is in it.
	Took time.Duration
}

// String says it in one line: `*conn.Client, descriptor 7: 1.2s` or `main.refresh.func1: 1.2s`.
func (s Slow) String() string {
	if s.Source == nil {
		return fmt.Sprintf("%s: %v", s.Func, s.Took)
	}
	return fmt.Sprintf("%T, descriptor %d: %v", s.Source, s.FD, s.Took)
}

// OnSlow has f called on the loop's goroutine after each callback of the loop that
// took longer than limit: a call of a source, a timer's function, a posted one, one
// of Spread. It replaces the function that was set before; nil sets none. f is a callback like any
// other, but what it takes itself is not looked at.
//
// An inner loop is a source that takes as long as a turn of it. Which of its own
// callbacks was slow, its own OnSlow tells. A callback that panics is not reported.
//
// It costs two readings of the clock for each event while it is set, and nothing
// while it is not.
func (l *Loop) OnSlow(limit time.Duration, f func(Slow)) {
	l.driver.check("Loop.OnSlow")
	l.slow = nil
	if f != nil && !l.closed {
		l.slow = &slow{limit, f}
	}
}

// slow is what OnSlow was given.
type slow struct {
	limit  time.Duration
	report func(Slow)
}

// watch is the instant at which a callback begins, if somebody wants to know; else never.
func (l *Loop) watch() int64 {
	if l.slow == nil {
		return never
	}
	return l.read()
}

// run calls a function: posted, a timer's, or of Spread.
func (l *Loop) run(f func()) {
	began := l.watch()
	f()
	if began != never {
		l.took(began, Slow{FD: -1}, f)
	}
}

// took reports a callback if it was slow; f is its function, if it is no source.
func (l *Loop) took(began int64, what Slow, f func()) {
	w := l.slow // as the callback left it
	if w == nil {
		return
	}
	if what.Took = time.Duration(l.read() - began); what.Took <= w.limit {
		return
	}
	if f != nil {
		what.Func = runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name()
	}
	w.report(what)
}
