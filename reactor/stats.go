package reactor

import "time"

// Stats is what a loop has done since it was made.
type Stats struct {
	Sources   int    // in the loop now
	Turns     uint64 // times round the loop
	Waits     uint64 // turns that were ready to sleep; the others had work left, or were a host's, which does not let us
	Wakeups   uint64 // turns that found our own wake: by Post, the end of a context, or to show work to a host
	Events    uint64 // of the kernel, delivered
	Stale     uint64 // of the kernel, dropped: the source had gone, or a Descriptor wants something else now
	Spurious  uint64 // calls of a source that had nothing to do
	Exhausted uint64 // times that a source, called for its share of a turn, left work for the next
	Posts     uint64 // posted functions run
	Timers    uint64 // timers fired
	Deadlines uint64 // sources called because of NextDeadline
	Spread    uint64 // functions of Spread run
	Spreading int    // that wait now for a turn to run in
	Failed    uint64 // sources removed because of an error, their own or the kernel's

	// Awake is the time from the beginnings of turns, when the wait is over, until
	// there was nothing left to do; Asleep is all other time since the loop was made:
	// its own waits, and the time in which a foreign host or an outer loop held it
	// with nothing to do, whatever that host did. A host that takes its time while
	// work is left keeps the loop Awake. Both run on up to the call of Stats, so that
	// their sum is the age of the loop (a closed one has stopped), and the growth of
	// Awake against that of both is the share of the time in which the loop was busy.
	Asleep, Awake time.Duration

	// Lag is how late timers and deadlines of sources ran: how long after its time
	// the turn began in which each was called.
	Lag Lag
	// PostLag is how long posted functions waited for their turn to begin. Of those
	// that run in one turn only the first, which has waited longest, is looked at.
	PostLag Lag
}

// Lag is how late things ran. Callbacks before them in the same turn are not in it;
// those are the business of [Loop.OnSlow].
type Lag struct {
	Last time.Duration // the latest; 0 if there was none since the loop was made
	// Mean and Max are over what ran since Stats was called before, by whomever;
	// 0 if nothing did. So let one reader take them and hand them on.
	Mean, Max time.Duration
}

// Stats returns the counters as they stood at the end of the latest turn or of the
// latest call by a foreign host, with Asleep and Awake up to now. Safe on any
// goroutine, and legal after Close. It begins a new period for the means and maxima, so a program should have one place
// that calls it, at regular times.
func (l *Loop) Stats() Stats {
	m := &l.mail
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.stats
	s.Asleep, s.Awake = m.asleep, m.awake
	if since := time.Duration(l.read() - m.since); m.closed {
		// nothing goes on
	} else if m.dozing {
		s.Asleep += since
	} else {
		s.Awake += since
	}
	s.Lag, s.PostLag = m.lag.take(), m.postLag.take()
	return s
}

// census notes how many there are.
func (l *Loop) census() {
	l.stats.Sources, l.stats.Spreading = l.table.n, l.backlog.n
}

// lags are what a [Lag] is made from.
type lags struct {
	last, sum, max time.Duration
	n              int64
}

// note adds one that was due at one instant and ran in the turn of another.
func (g *lags) note(due, ran int64) {
	g.last = time.Duration(max(0, ran-due)) // a post may come in after the clock was read
	g.sum += g.last
	g.max = max(g.max, g.last)
	g.n++
}

// merge moves what came later into g.
func (g *lags) merge(later *lags) {
	if later.n == 0 {
		return
	}
	g.last = later.last
	g.sum += later.sum
	g.max = max(g.max, later.max)
	g.n += later.n
	*later = lags{}
}

// take returns the figures and begins a new period.
func (g *lags) take() Lag {
	lag := Lag{Last: g.last, Max: g.max}
	if g.n > 0 {
		lag.Mean = g.sum / time.Duration(g.n)
	}
	*g = lags{last: g.last}
	return lag
}

// ledger is the part of a mailbox that Stats reads. The loop brings it up to date at
// the points where it takes the mailbox's lock anyhow.
type ledger struct {
	stats         Stats
	lag, postLag  lags
	asleep, awake time.Duration
	since         int64 // the instant up to which the two are
	dozing        bool  // what it has been since
}

// publish copies the loop's own figures.
func (g *ledger) publish(l *Loop) {
	g.stats = l.stats
	g.lag.merge(&l.lag)
}

// doze notes that there is nothing left to do.
func (g *ledger) doze(at int64) {
	if !g.dozing {
		g.awake += time.Duration(at - g.since)
		g.since, g.dozing = at, true
	}
}

// rouse notes that a turn begins.
func (g *ledger) rouse(at int64) {
	if g.dozing {
		g.asleep += time.Duration(at - g.since)
	} else {
		g.awake += time.Duration(at - g.since)
	}
	g.since, g.dozing = at, false
}
