package reactor

import "time"

// batchSize is how many events of the kernel a turn takes at most. The cost of a
// wait is spread over so many that more would not show.
const batchSize = 256

// quietWaits is after how many waits in which there was nothing to do a poller's
// descriptor should be quiet. It is the second, if no source says false to readiness.
const quietWaits = 3

// phase is what a turn is at. The phases follow each other in this order.
type phase uint8

const (
	// over: the turn is done, or there was none yet. What follows is a wait.
	over phase = iota
	// posts: functions that had been posted when the wait ended.
	posts
	// expiry: timers and deadlines of sources that have come.
	expiry
	// batch: events that the wait brought.
	batch
	// leftovers: sources that hold work, or want to write and may be able to. Each
	// is called once; what is left then is the next turn's.
	leftovers
	// spread: the turn's share of the functions of Spread.
	spread
)

// turn is one way round the loop.
type turn struct {
	phase    phase
	lastSeq  uint64 // deadlines filed later are the next turn's
	posts    []func()
	nextPost int
	batch    []event // as large as a batch can be
	events   int     // in batch
	next     int     // in batch
	more     bool    // the kernel had more events than fit
	unquiet  bool    // the wait has left the poller's descriptor readable for nothing
	ready    []*slot // the loop's ready list as it was when leftovers began
	nextSlot int
	spread   int // functions of Spread that are still to be run in this turn
}

// step deals with one event: the next one of this turn, or else the first of a new
// turn, for which it may wait. False says that the new turn had none. However the
// loop is driven, this is the only way that anything happens.
func (l *Loop) step(wait bool) (bool, error) {
	if l.closed {
		return false, ErrClosed
	}
	if len(l.faults) > 0 {
		err := l.faults[0]
		l.faults = l.faults[1:]
		return false, err
	}
	if l.next() {
		return true, nil
	}
	for waits := 1; ; waits++ {
		if l.closed {
			return false, ErrClosed
		}
		if err := l.begin(wait); err != nil {
			return false, err
		}
		if l.next() {
			return true, nil
		}
		// Who waits for edges of our descriptor believes a false, so that must come
		// after a wait that leaves it in a state to have some.
		switch t := &l.turn; {
		case wait || !t.unquiet:
			return false, nil
		case waits == quietWaits:
			t.more = true // a wake of our own is an edge
			return false, nil
		}
	}
}

// begin waits and starts a turn with what there is.
func (l *Loop) begin(wait bool) error {
	l.settle()
	if l.closed { // by a source that was only asked
		return ErrClosed
	}
	l.census()
	var timeout time.Duration
	if wait && len(l.ready) == 0 && len(l.faults) == 0 && l.backlog.n == 0 {
		now := l.read()
		if timeout = l.untilEarliest(now); timeout != 0 && !l.mail.park(l, now) {
			timeout = 0
		}
	}
	l.stats.Turns++
	if timeout != 0 {
		l.stats.Waits++
	}
	got, err := l.poller.wait(l.turn.batch, timeout)
	l.now = l.clock()
	l.tick = int64(l.now.Sub(l.origin))
	t := &l.turn
	if got.woken {
		l.stats.Wakeups++
	}
	t.posts, t.nextPost = l.mail.collect(l, t.posts, got.woken), 0
	t.events, t.next, t.more, t.unquiet = got.n, 0, got.more, got.unquiet
	t.lastSeq = l.deadlines.seq
	t.spread = l.backlog.share()
	t.phase = posts
	if broken, ok := err.(*brokenWatch); ok {
		s := l.table.lookup(broken.event)
		if s == nil {
			return nil
		}
		return l.expel(s, broken.err)
	}
	return err
}

// untilEarliest is the time from now, which is not the beginning of the turn, to the
// first deadline; negative if there is none.
func (l *Loop) untilEarliest(now int64) time.Duration {
	when := l.deadlines.earliest()
	if when == never {
		return -1
	}
	return time.Duration(max(0, when-now))
}

// next deals with the next event of the turn, and reports whether there was one.
// Events that turn out to be nothing are passed over.
func (l *Loop) next() bool {
	t := &l.turn
	for {
		switch t.phase {
		case posts:
			if t.nextPost < len(t.posts) {
				f := t.posts[t.nextPost]
				t.posts[t.nextPost] = nil
				t.nextPost++
				l.stats.Posts++
				l.run(f)
				return true
			}
			t.phase = expiry
		case expiry:
			if !l.deadlines.due(l.tick, t.lastSeq) {
				t.phase = batch
			} else if l.expire(l.deadlines.remove(0)) {
				return true
			}
		case batch:
			if t.next == t.events {
				t.phase = leftovers
				t.ready, l.ready, t.nextSlot = l.ready, t.ready[:0], 0
				break
			}
			t.next++
			if l.deliver(t.batch[t.next-1]) {
				return true
			}
		case leftovers:
			if t.nextSlot == len(t.ready) {
				t.phase = spread
				break
			}
			s := t.ready[t.nextSlot]
			t.ready[t.nextSlot] = nil
			t.nextSlot++
			s.onReady = false
			if !s.removed() && (s.held || s.untried()) && l.callAgain(s) {
				return true
			}
		case spread:
			if t.spread == 0 {
				t.phase = over
				return false
			}
			t.spread--
			l.stats.Spread++
			l.run(l.backlog.pop())
			return true
		case over:
			return false
		}
	}
}

// expire deals with a deadline that has come.
func (l *Loop) expire(d deadline) bool {
	if t, ok := d.owner.(*Timer); ok {
		l.stats.Timers++
		l.lag.note(d.when, l.tick)
		l.run(t.f)
		return true
	}
	// A source's deadline may have moved on since it was filed: perhaps not past this
	// turn, but past others that have come.
	s := d.owner.(*slot)
	l.asking = s
	t, ok := s.deadliner.NextDeadline()
	l.asking = nil
	if !ok || s.removed() {
		return false
	}
	if when := l.at(t); when > d.when {
		l.deadlines.add(deadline{when, l.turn.lastSeq, s})
		return false
	}
	l.stats.Deadlines++
	l.lag.note(d.when, l.tick)
	return l.call(s)
}

// deliver calls the source that an event of the kernel is for.
func (l *Loop) deliver(ev event) bool {
	s := l.table.lookup(ev)
	if s == nil {
		l.stats.Stale++
		return false
	}
	if s.outdated() {
		l.stats.Stale++
		return false
	}
	l.stats.Events++
	return l.call(s)
}

// callAgain calls a source for what it has left. It has then had its share of the turn.
func (l *Loop) callAgain(s *slot) bool {
	ok := l.call(s)
	if s.held && !s.removed() {
		l.stats.Exhausted++
	}
	return ok
}

// call has a source deal with an event, and reports whether it had one. A source
// that fails has dealt with its last.
func (l *Loop) call(s *slot) bool {
	var ok bool
	var err error
	fd, began := s.fd, l.watch()
	l.calling = s
	if s.inner == nil {
		ok, err = s.src.TryProcessOneEvent()
	} else {
		ok, err = l.callInner(s)
	}
	l.calling = nil
	switch {
	case s.removed(): // by itself
		ok = true
	case err != nil:
		l.stats.Failed++
		l.drop(s)
		ok = true
	default:
		if !ok {
			s.blocked = true
			l.stats.Spurious++
		}
		l.review(s)
	}
	if began != never {
		l.took(began, Slow{Source: s.src, FD: int(fd)}, nil)
	}
	return ok
}
