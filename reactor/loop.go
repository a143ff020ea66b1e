package reactor

import (
	"context"
	"time"
)

// A Source has a descriptor and something to do when it is ready. GetSelectInfo
// tells the descriptor, -1 when there is none any more, and whether to wait until it
// can be written too; reading is always waited for (but see [Interester]).
// TryProcessOneEvent deals with one event and never waits; false says that nothing
// was ready, neither to read nor to write. An error says that the source is finished.
//
// A source is called whenever it may have something to do, and sometimes when it has
// not: readiness is a hint. It is called for any event of the descriptor, errors and
// hang-ups included, and, because that mostly works at once, when it newly wants to
// write. One call should do a bounded amount of work; a source with work left over
// says so by a NextDeadline that has come, see [Deadliner]. The other methods are
// questions, asked at any time, and should change nothing.
type Source interface {
	GetSelectInfo() (fd int, wantToWrite bool)
	TryProcessOneEvent() (bool, error)
}

// A Deadliner is a [Source] that wants to be called at a certain time without an
// event. A time that has come, by [Loop.Now], means "I still hold work": the source
// is called once a turn until it says otherwise. Times should come from time.Now or
// [Loop.Now], which have the monotonic clock in them.
type Deadliner interface {
	NextDeadline() (deadline time.Time, ok bool)
}

// An Interester is a [Source] that can refuse to read. It is asked in place of
// GetSelectInfo.
type Interester interface {
	Interest() (fd int, read, write bool)
}

// A Notifier is a [Source] that tells the loop when the answers of its other methods
// may have changed, other than by TryProcessOneEvent. The loop asks all sources that
// are no Notifiers again in every turn; a loop with many sources needs Notifiers.
//
// Add calls SetNotify with a function to call on the loop's goroutine: after each
// change of interest or deadline, and before the descriptor is closed. By then
// GetSelectInfo must say -1, or the descriptor that takes its place and is open
// already: when changed returns, the kernel has forgotten the old one and it can be
// closed. It is idempotent, cheap, allocates nothing, and may call SetNotify.
//
// When the source is removed, for whatever reason, SetNotify(nil) is called, the last
// call that the loop makes to it. That can be during a call of changed. What changed
// does after that is nothing.
type Notifier interface {
	SetNotify(changed func())
}

// A Member is a [Source] that is told which loop drives it, so that it can reach the
// loop's Post, After and Spread.
//
// Add calls SetLoop once the source is in the loop, before SetNotify; an Add that
// fails does not. When the source is removed, for whatever reason (Remove, an error,
// a descriptor that is -1 or that the kernel refuses, Close), SetLoop(nil) is called
// once, and SetNotify(nil) after it. Both are callbacks like any other; but a source
// that is going is not put into a loop again before the last of them.
type Member interface {
	SetLoop(l *Loop)
}

// Loop drives sources, timers and posted functions from one goroutine. It is itself
// a [Source], a [Deadliner] and a [Notifier]: see the package documentation. All
// methods but [Loop.Post] and [Loop.Stats] belong to that goroutine.
type Loop struct {
	poller poller
	clock  func() time.Time

	origin time.Time // instant 0
	now    time.Time // read once a turn
	tick   int64     // now as an instant

	table      table
	polled     []*slot // sources that cannot notify
	dirty      []*slot // to be asked again before the next wait
	ready      []*slot // to be called without an event
	backlog    backlog
	deadlines  deadlines
	calling    *slot   // in its TryProcessOneEvent
	asking     *slot   // in one of its questions
	faults     []error // of the kernel, to be told one by one
	turn       turn
	inside     bool // a call of Run, ProcessOneEvent or TryProcessOneEvent is under way
	driver     driver
	closed     bool   // never reset
	slow       *slow  // nil: nobody wants to know
	hostNotify func() // set while an outer Loop drives this one
	alarmAt    int64  // what the poller's alarm is set to

	mail  mailbox
	stats Stats // counters only; Stats has the rest from the mailbox
	lag   lags  // since the mailbox last got it
}

// New makes a loop with nothing in it: over epoll(7) on Linux, kqueue(2) on macOS and
// the BSDs, and else over poll(2), for which see [NewPoll]. Close it when done. Errors
// are *os.SyscallError.
func New() (*Loop, error) {
	p, err := newPoller()
	if err != nil {
		return nil, err
	}
	return newLoop(p, time.Now), nil
}

func newLoop(p poller, clock func() time.Time) *Loop {
	now := clock()
	l := &Loop{poller: p, clock: clock, origin: now, now: now, alarmAt: never}
	l.turn.batch = make([]event, batchSize)
	l.backlog.limit = usualSpread
	l.mail.parked, l.mail.dozing = true, true // in foreign hands until a call comes in
	return l
}

// Run drives the loop until ctx is done and returns ctx.Err(), or [ErrClosed] after a
// Close. A source's own error removes that source and is no reason to return: the
// source knows. Other errors are the poller's: an *os.SyscallError about the loop
// itself, or a [*SourceError] about a source that has been removed for it. After the
// latter the loop is sound, and calling Run again goes on where it was.
//
// In a callback it returns [ErrReentrant].
func (l *Loop) Run(ctx context.Context) (err error) {
	l.driver.check("Loop.Run")
	if err := l.enter(); err != nil {
		return err
	}
	defer l.leave(&err)
	if err := l.disarm(); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, l.interrupt)()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := l.step(true); err != nil {
			return err
		}
	}
}

// ProcessOneEvent deals with one event: a ready source, a deadline, or a function that
// was posted or spread. It waits if there is none. For a loop of its own, [Loop.Run] is faster:
// after every call of ProcessOneEvent the loop is made ready for a foreign wait.
//
// Errors are those of [Loop.Run].
func (l *Loop) ProcessOneEvent() (err error) {
	l.driver.check("Loop.ProcessOneEvent")
	if err := l.enter(); err != nil {
		return err
	}
	defer l.leave(&err)
	for {
		if ok, err := l.step(true); ok || err != nil {
			return err
		}
	}
}

// TryProcessOneEvent deals with one event and never waits. False says that none was
// ready. A caller in an edge-triggered wait calls it until it says false.
//
// Errors are those of [Loop.Run].
func (l *Loop) TryProcessOneEvent() (ok bool, err error) {
	l.driver.check("Loop.TryProcessOneEvent")
	if err := l.enter(); err != nil {
		return false, err
	}
	defer l.leave(&err)
	return l.step(false)
}

// Now returns the time at which the present turn began, or the last one, outside a
// turn. It costs nothing and is the same for all callbacks of a turn.
func (l *Loop) Now() time.Time {
	l.driver.check("Loop.Now")
	return l.now
}

// instant is Now inside a turn. Outside, where the last turn may be long past, it
// reads the clock.
func (l *Loop) instant() int64 {
	if l.inside {
		return l.tick
	}
	return l.read()
}

// read reads the clock.
func (l *Loop) read() int64 { return int64(l.clock().Sub(l.origin)) }

// at turns a time into an instant.
func (l *Loop) at(t time.Time) int64 {
	d := t.Sub(l.now)
	if d < 0 {
		return l.tick + int64(d)
	}
	return later(l.tick, d)
}

// Close removes all sources, stops all timers, drops the functions that were posted or
// spread and have not run, and closes the loop's descriptors. The sources' own descriptors stay open.
// Legal in a callback: the call that is under way then returns, Run with [ErrClosed].
// Closing again does nothing. The error, if any, is an *os.SyscallError.
func (l *Loop) Close() error {
	l.driver.check("Loop.Close")
	if l.closed {
		return nil
	}
	l.closed = true
	if l.hostNotify != nil {
		l.hostNotify() // the outer loop lets go of our descriptor while it is open
	}
	l.backlog = backlog{}
	l.stats.Sources, l.stats.Spreading = 0, 0
	err := l.mail.close(l)
	slots := l.table.byFD
	l.table = table{gen: l.table.gen}
	l.turn = turn{}
	l.polled, l.dirty, l.ready, l.calling, l.asking, l.faults, l.slow = nil, nil, nil, nil, nil, nil, nil
	l.deadlines.clear()
	for _, s := range slots {
		if s != nil {
			s.fd = -1
		}
	}
	for _, s := range slots {
		if s != nil {
			s.dismiss() // by now it finds all others removed, too
		}
	}
	return err
}
