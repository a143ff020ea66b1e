package reactor

import "time"

// Stats counts what a loop has done since it was made.
type Stats struct {
	Sources   int    // in the loop now
	Turns     uint64 // times round the loop
	Waits     uint64 // turns that began with a wait; the others found work waiting
	Wakeups   uint64 // waits that ended because of Post or the end of a context
	Events    uint64 // of the kernel, delivered
	Stale     uint64 // of the kernel, dropped: the source had gone, or a Descriptor wants something else now
	Spurious  uint64 // calls of a source that had nothing to do
	Posts     uint64 // posted functions run
	Timers    uint64 // timers fired
	Deadlines uint64 // sources called because of NextDeadline
	Failed    uint64 // sources removed because of an error, their own or the kernel's

	// How late timers and deadlines ran: the last one, and the worst.
	Lag, MaxLag time.Duration
}

// Stats returns the counters as they stood when the present turn began, or the last
// call of the loop ended. Safe on any goroutine.
func (l *Loop) Stats() Stats {
	m := &l.mail
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stats
}

// late notes how late something ran that was due at when.
func (l *Loop) late(when int64) {
	l.stats.Lag = time.Duration(l.tick - when)
	l.stats.MaxLag = max(l.stats.MaxLag, l.stats.Lag)
}
