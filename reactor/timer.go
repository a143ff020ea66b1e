package reactor

import (
	"math"
	"time"
)

// never is the instant of no deadline. Instants are nanoseconds since the loop was
// made, on a clock that nobody can set back.
const never = math.MaxInt64

// owner is what a deadline is for: a *Timer or a *slot.
type owner interface {
	place(i int32) // tells it where it stands in the heap, -1: nowhere
}

// deadline is an entry of the heap. Equal instants go in the order of seq, which is
// that of filing.
type deadline struct {
	when  int64
	seq   uint64
	owner owner
}

func (d *deadline) before(e *deadline) bool {
	return d.when < e.when || d.when == e.when && d.seq < e.seq
}

// deadlines is a heap with four children to a node, which is shallower than two and
// touches fewer cache lines. Keys are in the entries, so that sifting follows no pointers.
type deadlines struct {
	heap []deadline
	seq  uint64 // the latest given out
}

// earliest is the instant of the first deadline.
func (q *deadlines) earliest() int64 {
	if len(q.heap) == 0 {
		return never
	}
	return q.heap[0].when
}

// due reports whether the first deadline has come by now and was filed no later than
// seq: what callbacks of a turn file in that very instant waits for the next turn.
func (q *deadlines) due(now int64, seq uint64) bool {
	if len(q.heap) == 0 {
		return false
	}
	d := &q.heap[0]
	return d.when < now || d.when == now && d.seq <= seq
}

func (q *deadlines) push(when int64, o owner) {
	q.seq++
	q.add(deadline{when, q.seq, o})
}

func (q *deadlines) add(d deadline) {
	q.heap = append(q.heap, deadline{})
	q.up(len(q.heap)-1, d)
}

// move files the deadline at place i anew.
func (q *deadlines) move(i int32, when int64) {
	q.seq++
	q.sift(int(i), deadline{when, q.seq, q.heap[i].owner})
}

// remove takes the deadline at place i out and returns it.
func (q *deadlines) remove(i int32) deadline {
	d := q.heap[i]
	last := len(q.heap) - 1
	moved := q.heap[last]
	q.heap[last] = deadline{} // lets go of the owner
	q.heap = q.heap[:last]
	if int(i) < last {
		q.sift(int(i), moved)
	}
	d.owner.place(-1)
	return d
}

// sift puts d where it belongs, given that place i is free.
func (q *deadlines) sift(i int, d deadline) {
	if i > 0 && d.before(&q.heap[(i-1)/4]) {
		q.up(i, d)
	} else {
		q.down(i, d)
	}
}

func (q *deadlines) up(i int, d deadline) {
	for i > 0 {
		parent := (i - 1) / 4
		if !d.before(&q.heap[parent]) {
			break
		}
		q.set(i, q.heap[parent])
		i = parent
	}
	q.set(i, d)
}

func (q *deadlines) down(i int, d deadline) {
	for {
		first := 4*i + 1
		if first >= len(q.heap) {
			break
		}
		least := first
		for c := first + 1; c < min(first+4, len(q.heap)); c++ {
			if q.heap[c].before(&q.heap[least]) {
				least = c
			}
		}
		if !q.heap[least].before(&d) {
			break
		}
		q.set(i, q.heap[least])
		i = least
	}
	q.set(i, d)
}

func (q *deadlines) set(i int, d deadline) {
	q.heap[i] = d
	d.owner.place(int32(i))
}

// clear drops all deadlines.
func (q *deadlines) clear() {
	for _, d := range q.heap {
		d.owner.place(-1)
	}
	q.heap = nil
}

// Timer calls a function once, on the loop's goroutine. It is made by [Loop.After].
// Its methods are legal in callbacks, its own included, and on the loop's goroutine only.
type Timer struct {
	loop   *Loop
	f      func()
	heapAt int32 // -1: stopped or fired
}

func (t *Timer) place(i int32) { t.heapAt = i }

// After calls f once, when d has passed since [Loop.Now] (outside a turn: since this
// call). With d <= 0 that is in the next turn, never in the present one. Timers of
// the same instant fire in the order in which they were set. It allocates the Timer
// and nothing else.
//
// On a closed loop the timer is a stopped one. After panics if f is nil.
func (l *Loop) After(d time.Duration, f func()) *Timer {
	l.driver.check("Loop.After")
	if f == nil {
		panic("reactor: After with a nil function")
	}
	t := &Timer{loop: l, f: f, heapAt: -1}
	t.Reset(d)
	return t
}

// Reset sets the timer to fire when d has passed, as if it were made now, and reports
// whether it was set before. It never allocates in the long run.
func (t *Timer) Reset(d time.Duration) bool {
	l := t.loop
	l.driver.check("Timer.Reset")
	if l.closed {
		return false
	}
	when := later(l.instant(), d)
	was := t.heapAt >= 0
	if was {
		l.deadlines.move(t.heapAt, when)
	} else {
		l.deadlines.push(when, t)
	}
	l.touched()
	return was
}

// Stop keeps the timer from firing and reports whether it was set.
func (t *Timer) Stop() bool {
	t.loop.driver.check("Timer.Stop")
	if t.heapAt < 0 {
		return false
	}
	t.loop.deadlines.remove(t.heapAt)
	return true
}

// later adds a duration to an instant. A sum that does not fit is never.
func later(at int64, d time.Duration) int64 {
	if d <= 0 {
		return at
	}
	if sum := at + int64(d); sum > at {
		return sum
	}
	return never
}
