package reactor

import (
	"errors"
	"math"
	"time"
)

// A loop outside Run is in the hands of a host: a program's own select, poll or epoll
// on the loop's descriptor, or an outer Loop. This file keeps what the host can see
// in step with what the loop has to do.

// longestAlarm keeps a deadline in the next century within a 32-bit time_t.
const longestAlarm = math.MaxInt32 * time.Millisecond

// GetSelectInfo returns the descriptor by which a select, poll or epoll, level- or
// edge-triggered, can wait for the whole loop: wait until it is readable, then call
// [Loop.TryProcessOneEvent]. Timers and posted functions show through it, too. It is
// never written, so the other result is false. After Close it is -1.
func (l *Loop) GetSelectInfo() (fd int, wantToWrite bool) {
	l.driver.check("Loop.GetSelectInfo")
	if l.closed {
		return -1, false
	}
	return l.poller.descriptor(), false
}

// NextDeadline returns when the loop wants to be called at the latest: a time long
// past if it has work left, or else the earliest deadline. ok is false if there is
// none. A host that waits on the descriptor need not ask.
func (l *Loop) NextDeadline() (deadline time.Time, ok bool) {
	l.driver.check("Loop.NextDeadline")
	if l.closed {
		return time.Time{}, false
	}
	if l.workLeft() || l.mail.pending() {
		return l.origin, true
	}
	when := l.deadlines.earliest()
	if when == never {
		return time.Time{}, false
	}
	return l.origin.Add(time.Duration(when)), true
}

// SetNotify makes the loop a [Notifier]. It is for an outer Loop to call: a host
// that has set a function is one that asks NextDeadline after each call, and does
// not see timers and work left in the descriptor.
func (l *Loop) SetNotify(changed func()) {
	l.driver.check("Loop.SetNotify")
	l.hostNotify = changed
	switch {
	case l.closed:
		l.hostNotify = nil
	case changed == nil:
		l.touched()
	default:
		l.noteFault(l.disarm())
	}
}

// processTurn deals with what is left of the turn, or else with a whole new one. It
// is what an outer loop calls in place of TryProcessOneEvent: a turn is bounded, and
// what it costs to enter and leave the loop is then spread over its events.
func (l *Loop) processTurn() (ok bool, err error) {
	if err := l.enter(); err != nil {
		return false, err
	}
	defer l.leave(&err)
	ok, err = l.step(false)
	if err == nil {
		for l.next() {
			ok = true
		}
	}
	return ok, err
}

// callInner has an inner loop deal with a turn. An error about a source of that loop
// is for whoever drives us to hear, and no reason to give the loop up. Any other is,
// and is heard too: nobody else would.
func (l *Loop) callInner(s *slot) (ok bool, err error) {
	fd := int(s.fd)
	ok, err = s.inner.processTurn()
	if err == nil {
		return ok, nil
	}
	var fault *SourceError
	switch {
	case errors.As(err, &fault):
		l.noteFault(err)
		return true, nil
	case errors.Is(err, ErrReentrant): // it is a callback of its own that drives us
		return false, nil
	}
	l.noteFault(&SourceError{s.src, fd, err})
	return false, err
}

// enter begins a call that drives the loop.
func (l *Loop) enter() error {
	if l.closed {
		return ErrClosed
	}
	if l.inside {
		return ErrReentrant
	}
	l.inside = true
	l.driver.begin()
	return nil
}

// leave ends a call that drives the loop, also by a panic in a callback or a question,
// and adds to its error.
func (l *Loop) leave(err *error) {
	defer l.handBack(err) // though a question panics
	panicked := l.calling != nil || l.asking != nil
	// While work is queued the host calls again before it sleeps, which is time enough.
	if !panicked && !l.closed && !l.workQueued() {
		l.settle()
	}
}

func (l *Loop) handBack(err *error) {
	for _, s := range [...]*slot{l.calling, l.asking} {
		if s != nil { // it panicked, and is asked again
			l.markDirty(s)
		}
	}
	l.calling, l.asking = nil, nil
	l.inside = false
	if !l.closed {
		if e := l.surface(); *err == nil {
			*err = e
		} else {
			l.noteFault(e)
		}
	}
	l.driver.end()
}

// touched is called when something was set that a host in its wait must learn of.
func (l *Loop) touched() {
	switch {
	case l.inside || l.closed:
	case l.hostNotify != nil:
		l.hostNotify()
	default:
		l.noteFault(l.surface())
	}
}

// noteFault keeps an error for the next step, because it may come up in a callback
// of somebody who has nothing to do with it.
func (l *Loop) noteFault(err error) {
	if err != nil {
		l.faults = append(l.faults, err)
	}
}

// surface shows the host what there is to do. Work left in user space is nothing
// that the kernel knows of, and an edge-triggered host would miss even events that
// wait in the kernel if this loop has taken them once, so it is a wake of our own
// that makes the descriptor readable.
func (l *Loop) surface() error {
	l.census()
	left := l.workLeft()
	var now int64
	if !left && !l.mail.dozing {
		now = l.read()
	}
	if l.hostNotify != nil {
		l.mail.entrust(l, left, now)
		l.hostNotify() // it may not be the outer loop that has driven this one
		return nil
	}
	if err := l.mail.expose(l, left, now); left || err != nil {
		return err // with work left, a later call will set the alarm
	}
	if err := l.arm(); err != nil {
		_ = l.mail.expose(l, true, now) // the host must come again, to have its alarm set
		return err
	}
	return nil
}

// workLeft reports whether there is something to do without the kernel's saying so.
func (l *Loop) workLeft() bool {
	return l.workQueued() || len(l.dirty) > 0
}

// workQueued reports whether the turn is not over, or has left something to the next.
func (l *Loop) workQueued() bool {
	t := &l.turn
	return t.nextPost < len(t.posts) || l.deadlines.due(l.tick, t.lastSeq) ||
		t.next < t.events || t.more || t.nextSlot < len(t.ready) ||
		len(l.ready) > 0 || l.backlog.n > 0 || len(l.faults) > 0
}

// arm sets the alarm to the earliest deadline. One that moves later is left: the
// alarm goes off for nothing then, once, which is cheaper than to set it every time.
func (l *Loop) arm() error {
	if l.alarmAt <= l.tick {
		l.alarmAt = never // it has gone off
	}
	when := l.deadlines.earliest()
	if when >= l.alarmAt {
		return nil
	}
	now := l.read()
	d := min(max(0, time.Duration(when-now)), longestAlarm)
	if err := l.poller.alarm(d); err != nil {
		return err
	}
	l.alarmAt = later(now, d)
	return nil
}

// disarm takes the alarm back when nobody needs it any more.
func (l *Loop) disarm() error {
	if l.alarmAt == never {
		return nil
	}
	l.alarmAt = never
	return l.poller.alarm(-1)
}
