package reactor

import (
	"fmt"
	"slices"
	"time"
)

// lawTimer is a timer and what the model knows of it.
type lawTimer struct {
	*Timer
	w    *lawWorld
	id   int
	when time.Time
	turn int // of the loop on trial, if it was set in a callback; else 0
}

func (t *lawTimer) String() string {
	return fmt.Sprintf("timer %d of %v", t.id, t.when.Sub(lawBegin))
}

// after makes a timer.
func (w *lawWorld) after(id int, d time.Duration) {
	if w.closed {
		return
	}
	t := &lawTimer{w: w, id: id}
	w.timers[id] = t
	t.file(d)
	t.Timer = w.loop.After(d, func() { w.callback(t.fire) })
}

// file notes that the timer is set. Those that are set stand in the order in which
// they were.
func (t *lawTimer) file(d time.Duration) {
	w := t.w
	w.shows()
	now := w.k.time()
	t.turn = 0
	if w.called {
		now, t.turn = w.loop.Now(), w.turn
	}
	t.when = now.Add(d)
	w.set = append(w.set, t)
}

// unfile notes that it is not set any more, and reports whether it was.
func (t *lawTimer) unfile() bool {
	i := slices.Index(t.w.set, t)
	if i >= 0 {
		t.w.set = slices.Delete(t.w.set, i, i+1)
		t.w.excuses++ // it may have woken the host already
	}
	return i >= 0
}

func (t *lawTimer) reset(d time.Duration) {
	if t == nil || t.w.closed {
		return
	}
	was := t.unfile()
	t.file(d)
	if said := t.Timer.Reset(d); said != was {
		t.w.breach("Reset says whether the timer was set, %v; it said %v", was, said)
	}
}

func (t *lawTimer) stop() {
	if t == nil || t.w.closed {
		return
	}
	was := t.unfile()
	if said := t.Timer.Stop(); said != was {
		t.w.breach("Stop says whether the timer was set, %v; it said %v", was, said)
	}
}

// fire is the callback.
func (t *lawTimer) fire() bool {
	w := t.w
	w.note("%v", t)
	i := slices.Index(w.set, t)
	if i < 0 {
		w.breach("a timer fires once for each time that it is set; %v did again", t)
	}
	if t.when.After(w.loop.Now()) {
		w.breach("a timer does not fire before its time; %v did at %v", t, w.loop.Now().Sub(lawBegin))
	}
	if t.turn == w.turn {
		w.breach("a timer that is set in a turn waits for the next; %v did not", t)
	}
	for j, u := range w.set {
		if u.when.Before(t.when) || u.when.Equal(t.when) && j < i {
			w.breach("timers fire in order, equal ones as they were set; %v fired before %v", t, u)
		}
	}
	w.set = slices.Delete(w.set, i, i+1)
	w.sources[t.id].act()
	return true
}
