package reactor

import (
	"fmt"
	"time"
)

// lawWorld is a loop on trial, its sources, and all that is outside it. It is the
// model, too: it knows what has been asked of the loop, and asks the kernel itself
// which descriptors are ready.
type lawWorld struct {
	backend lawBackend
	k       lawKernel
	loop    *Loop   // on trial
	outer   []*Loop // what it is nested in, from the inside
	sources [lawSources]*lawSource
	timers  [lawTimers]*lawTimer

	left   []program // what the world outside has not yet done
	until  time.Time // time passes up to here before it does more
	batch  int       // how many events a wait reports
	asleep *Loop     // sleeps in its own wait; nil: a foreign host has the goroutine
	over   bool      // nothing will happen any more
	closed bool      // the loop on trial has been

	turn    int       // of the loop on trial
	now     time.Time // its Now in this turn; zero: not heard yet
	called  bool      // a callback of the loop on trial is under way
	posted  int       // functions posted
	ran     int       // functions run
	spread  lawSpread
	set     []*lawTimer
	errands map[*Loop]int // functions posted to have a deed done where it may be

	happened int // events
	awake    bool
	mark     int // happened when the host woke
	idle     int // times the host woke for nothing, since it last slept
	excuses  int // reasons for that
	rang     int // alarms, before that
	glances  int // waits since something happened

	onCallback func() // faults: called before each callback
	onTold     func() // and after each word of a Notifier

	log     []string
	logging bool
}

// begin makes everything, and returns the loop that the host drives.
func (w *lawWorld) begin(p program, depth int, f lawFault) *Loop {
	w.loop = w.newLoop(w.k.newPoller, f)
	w.spread.limit = usualSpread
	top := w.loop
	for range depth {
		next := w.newLoop(w.newOuter, lawFault{})
		w.must(next.Add(top))
		w.outer, top = append(w.outer, next), next
	}
	for id := range w.sources {
		s := w.newSource(id)
		w.sources[id] = s
		s.add()
	}
	for _, group := range p.groups() {
		script := &w.left
		if by := group[0].by; by >= in0 {
			script = &w.sources[by-in0].script
		}
		*script = append(*script, group)
	}
	return top
}

func (w *lawWorld) newOuter() (poller, error) {
	if w.backend.outer != nil {
		return w.backend.outer(w.k)
	}
	return w.k.newPoller()
}

// newLoop makes a loop whose waits never sleep, with a fault in it.
func (w *lawWorld) newLoop(make func() (poller, error), f lawFault) *Loop {
	p, err := make()
	w.must(err)
	if f.put != nil {
		p = f.put(w, p)
	}
	staged := &stagedPoller{poller: p, world: w}
	l := newLoop(staged, w.k.time)
	staged.loop = l
	return l
}

// end gives back all descriptors, whatever has happened.
func (w *lawWorld) end() {
	for i := len(w.outer) - 1; i >= 0; i-- {
		w.outer[i].Close()
	}
	if w.loop != nil {
		w.closed = true
		w.loop.Close()
	}
	for _, s := range w.sources {
		if s != nil {
			s.link.close()
		}
	}
}

// breach is how the law was broken. It is thrown through the loop.
type breach string

func (w *lawWorld) breach(format string, args ...any) {
	panic(breach(fmt.Sprintf(format, args...)))
}

func (w *lawWorld) note(format string, args ...any) {
	if w.logging {
		w.log = append(w.log, fmt.Sprintf("%4v  ", w.k.time().Sub(lawBegin).Milliseconds())+fmt.Sprintf(format, args...))
	}
}

// lawBegin is when worlds begin.
var lawBegin = time.Unix(1e9, 0)

// sleep is what happens while whoever drives the loops is asleep, until the time own
// at the latest; zero: for ever. It returns after each thing that may have woken it.
//
// This is where the law is proved: nobody who is owed something may be asleep.
func (w *lawWorld) sleep(own time.Time) {
	w.settleWake()
	if debt := w.owed(); debt != "" {
		w.breach("nobody sleeps while there is something to do: %s", debt)
	}
	w.idle, w.excuses, w.rang, w.glances = 0, 0, w.k.rings(), 0
	if !w.k.time().Before(w.until) && len(w.left) == 0 {
		w.until = w.earliest()
	}
	switch {
	case w.k.time().Before(w.until):
		w.pass(own)
	case len(w.left) > 0:
		w.doNext(&w.left)
	case w.over:
		w.breach("what is posted wakes the loop; the last post did not")
	default:
		w.over = true
		if l := w.asleep; l != nil {
			l.Post(w.happens)
		}
	}
	if !own.IsZero() && !own.After(w.k.time()) {
		w.excuses++ // a deadline that has meanwhile moved later wakes once for nothing
	}
}

// pass lets time go by until something may be woken by it.
func (w *lawWorld) pass(own time.Time) {
	to := w.k.next(w.until)
	if own.After(w.k.time()) && own.Before(to) {
		to = own
	}
	w.k.set(to)
	w.note("time passes")
}

// owed says what the loop should be doing, "" if nothing.
func (w *lawWorld) owed() string {
	for _, n := range w.errands {
		if n > 0 {
			return "a function of the host was posted"
		}
	}
	if w.closed {
		return ""
	}
	if w.ran < w.posted {
		return fmt.Sprintf("function %d was posted", w.ran)
	}
	if len(w.spread.waiting) > 0 {
		return fmt.Sprintf("function %d was spread", w.spread.first)
	}
	for _, t := range w.set {
		if !t.when.After(w.k.time()) {
			return fmt.Sprintf("the time of %v has come", t)
		}
	}
	for _, s := range w.sources {
		if debt := s.owed(); debt != "" {
			return fmt.Sprintf("source %d %s", s.id, debt)
		}
	}
	return ""
}

// earliest is the first time at which something will be owed, zero if there is none.
func (w *lawWorld) earliest() (first time.Time) {
	sooner := func(t time.Time) {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	for _, t := range w.set {
		sooner(t.when)
	}
	for _, s := range w.sources {
		if s.added {
			sooner(s.deadline)
		}
	}
	return first
}

// woke is called when the wait of whoever drives the loops has ended.
func (w *lawWorld) woke() {
	w.settleWake()
	w.awake, w.mark = true, w.happened
}

// settleWake says whether it was worth it to wake. If nothing happened, there must be
// an excuse. That something was ready, posted or due is none: it is dealt with in the
// wake that it has caused, and causes no second one. These are, each for one wake and
// only until everybody sleeps again:
//
//   - a source has joined, left, or changed what it wants, or its far end hung up:
//     the loop has to look at it;
//   - a timer was stopped or set anew, when it may have woken somebody already;
//   - an alarm rang or a timeout passed: the deadline may have moved later since;
//   - a batch was full: there may have been more;
//   - the loop changed hands, or told an outer loop of something to do, which comes
//     to ask when that may have been done.
func (w *lawWorld) settleWake() {
	if w.awake && w.happened == w.mark {
		w.idle++
		w.note("woken for nothing")
		if excuses := w.excuses + w.k.rings() - w.rang; w.idle > excuses {
			w.breach("a host is not woken for nothing; it was, %d times, and there were %d excuses", w.idle, excuses)
		}
	}
	w.awake = false
}

// shows notes that the loop on trial has something new to do. The outer loops that
// it is in are told, and may come to ask when that has been done already.
func (w *lawWorld) shows() {
	if len(w.outer) > 0 {
		w.excuses++
	}
}

// begins notes a wait of a loop, with which a turn begins.
func (w *lawWorld) begins(l *Loop) {
	if l == w.loop {
		w.turn++
		w.now = time.Time{}
		w.spread.deals(w)
	}
	if w.glances++; w.glances > 100 {
		w.breach("a loop does not spin; it began %d turns and nothing happened", w.glances)
	}
}

// callback is around everything that the loop on trial calls. f reports whether
// something happened.
func (w *lawWorld) callback(f func() bool) {
	switch now := w.loop.Now(); {
	case w.closed:
		w.breach("a closed loop calls nobody; it did")
	case w.called:
		w.breach("callbacks are called one after the other; one was called in another")
	case w.now.IsZero():
		w.now = now
	case !w.now.Equal(now):
		w.breach("the time is read once a turn; it was %v and then %v", w.now.Sub(lawBegin), now.Sub(lawBegin))
	}
	if w.onCallback != nil {
		w.onCallback()
	}
	ranSpread := w.spread.first
	w.called = true
	if f() {
		w.happens()
	}
	w.called = false
	if w.spread.first == ranSpread && w.spread.turn == w.turn {
		w.breach("what is spread goes last in a turn; something else came after it")
	}
}

// happens counts an event.
func (w *lawWorld) happens() {
	w.happened++
	w.glances = 0
}
