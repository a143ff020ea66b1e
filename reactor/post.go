package reactor

import "sync"

// keepPosts is how many posted functions a loop keeps room for. The room for a turn
// that had more is given back to the collector.
const keepPosts = 1024

// mailbox is what other goroutines can reach of a loop.
type mailbox struct {
	mu        sync.Mutex
	posts     []func()
	posted    int64 // the instant of the first of posts
	parked    bool  // the loop waits, or a foreign host does in its place: a post must wake it
	signalled bool  // a wake has been made that no wait has consumed
	closed    bool
	ledger
}

// Post has f called on the loop's goroutine, in the next turn, after what was posted
// before. It reports whether it will be: false once the loop is closed, or if the loop
// is asleep and the system fails to wake it; f is not called then, and another Post
// tries again. A Close that comes before the turn drops f. Post panics if f is nil.
//
// Safe on any goroutine, callbacks included. In the long run it allocates nothing while
// no turn has more than 1,024 posts, and costs a write(2) only when it is the first to
// find the loop asleep.
func (l *Loop) Post(f func()) bool {
	if f == nil {
		panic("reactor: Post of a nil function")
	}
	m := &l.mail
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || m.parked && m.signal(l.poller) != nil {
		return false
	}
	if len(m.posts) == 0 {
		m.posted = l.read()
	}
	m.posts = append(m.posts, f)
	return true
}

// interrupt ends the wait that is under way, or else the next.
func (l *Loop) interrupt() {
	m := &l.mail
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		_ = m.signal(l.poller)
	}
}

// signal makes sure that a wake is pending. It is called with mu held, so that no
// wake can come after the poller's close.
func (m *mailbox) signal(p poller) error {
	if m.signalled {
		return nil
	}
	if err := p.wake(); err != nil {
		return err
	}
	m.signalled = true
	return nil
}

// park notes that a wait begins, unless there are posts to run first.
func (m *mailbox) park(l *Loop, now int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.parked = len(m.posts) == 0
	if m.parked {
		m.publish(l)
		m.doze(now)
	}
	return m.parked
}

// collect ends a wait and returns the posts. It keeps spent for those to come.
func (m *mailbox) collect(l *Loop, spent []func(), woken bool) []func() {
	if len(spent) > keepPosts {
		spent = nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.parked = false
	if woken {
		m.signalled = false
	}
	if !m.dozing { // else nothing has changed since
		m.publish(l)
	}
	m.rouse(l.tick)
	arrived := m.posts
	m.posts = spent[:0]
	if len(arrived) > 0 {
		m.postLag.note(m.posted, l.tick)
	}
	return arrived
}

// expose hands the loop to a foreign host, which will find its descriptor readable
// if there is work left or a post, and not for that reason otherwise.
func (m *mailbox) expose(l *Loop, left bool, now int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.parked = true
	m.publish(l)
	if left || len(m.posts) > 0 {
		return m.signal(l.poller)
	}
	m.doze(now)
	if !m.signalled {
		return nil
	}
	m.signalled = false
	return l.poller.hush()
}

// entrust hands the loop to an outer one, which asks NextDeadline for work left. A
// post from another goroutine still has to wake it.
func (m *mailbox) entrust(l *Loop, left bool, now int64) {
	m.mu.Lock()
	m.parked = true
	m.publish(l)
	if !left && len(m.posts) == 0 {
		m.doze(now)
	}
	m.mu.Unlock()
}

// pending reports whether functions have been posted.
func (m *mailbox) pending() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.posts) > 0
}

// close drops the posts and closes the poller. No Post can reach it afterwards.
func (m *mailbox) close(l *Loop) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.posts = nil
	m.publish(l)
	m.rouse(l.read())
	return l.poller.close()
}
