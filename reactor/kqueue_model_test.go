//go:build unix

package reactor

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// model is a kernel with kqueue(2) as the manual pages of FreeBSD and macOS describe
// it, with pipes, socket pairs and files for it to watch. Where systems differ it is
// the least helpful of them. Its time passes when somebody waits for it, and only then.
//
//   - A filter is known by its number and its kind. To add one again changes nothing,
//     not even a timer. To delete one that is not there is ENOENT, and a descriptor
//     that is not open is EBADF.
//   - Filters leave with the descriptor, not with the file: a copy does not keep them.
//   - A filter that becomes active goes to the end of the queue, and a wait takes from
//     the front what is still active. Then EV_ONESHOT deletes it, EV_CLEAR waits for
//     it to become active anew, and any other goes to the end.
//   - A kqueue is readable while its queue is not empty, although nothing in there may
//     be active any more.
//   - The writer of a pipe without reader cannot be watched for writing, EPIPE, nor is
//     it told of the reader's going but by EVFILT_READ.
type model struct {
	mu     sync.Mutex
	woken  sync.Cond // somebody else's goroutine changed something
	now    time.Time
	fds    []*object // by descriptor, nil: not open
	lowest int       // no descriptor below is free
	queues []*object // all kqueues
	hasUsr bool
	unit   time.Duration
}

// object is an open file.
type object struct {
	kind  fileKind
	refs  int     // descriptors
	in    []byte  // to read
	peer  *object // where writes go
	mute  bool    // the reading end of a pipe
	deaf  bool    // the writing end
	dev   bool    // without support for kqueue
	queue *queue  // of a kqueue
	notes []*note // by which it is watched
}

// queue is what a kqueue is made of.
type queue struct {
	notes  map[noteKey]*note
	active []*note
	timer  *note
}

type noteKey struct {
	ident  int
	filter filter
}

// note is a filter in a kqueue.
type note struct {
	kevent
	q      *object // the kqueue
	of     *object // what it watches
	queued bool
	fired  bool      // a timer or user event
	due    time.Time // a timer
}

// modelRoom is how much a pipe or a socket holds.
const modelRoom = 1 << 16

func newModel(userEvents bool, unit time.Duration) *model {
	m := &model{now: time.Unix(1e9, 0), hasUsr: userEvents, unit: unit}
	m.woken.L = &m.mu
	m.fds = make([]*object, 3)
	for i := range m.fds { // the process has been given these
		m.fds[i] = &object{refs: 1, dev: true}
	}
	return m
}

// world is the model for tests that run over several kernels.
func (m *model) world() *world {
	return &world{
		files:     m,
		newPoller: func() (poller, error) { return newKqueue(m) },
		clock:     m.time,
		pair: func() (a, b int, err error) {
			m.mu.Lock()
			defer m.mu.Unlock()
			x, y := &object{}, &object{}
			x.peer, y.peer = y, x
			return m.open(x), m.open(y), nil
		},
		file:     func(testing.TB) int { return m.special(&object{kind: plainFile}) },
		sleep:    m.sleep,
		dup:      m.dup,
		nestable: true,
	}
}

func (m *model) time() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

func (m *model) special(o *object) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.open(o)
}

func (m *model) open(o *object) int {
	o.refs++
	fd := m.lowest
	for m.at(fd) != nil {
		fd++
	}
	if fd == len(m.fds) {
		m.fds = append(m.fds, nil)
	}
	m.fds[fd], m.lowest = o, fd+1
	return fd
}

func (m *model) at(fd int) *object {
	if fd < 0 || fd >= len(m.fds) {
		return nil
	}
	return m.fds[fd]
}

func (m *model) dup(fd int) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.at(fd)
	if o == nil {
		return -1, unix.EBADF
	}
	return m.open(o), nil
}

func (m *model) pipe() (r, w int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	reader, writer := &object{kind: pipeFile, mute: true}, &object{kind: pipeFile, deaf: true}
	reader.peer, writer.peer = writer, reader
	return m.open(reader), m.open(writer), nil
}

func (m *model) kind(fd int) (fileKind, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.at(fd)
	if o == nil {
		return otherFile, unix.EBADF
	}
	return o.kind, nil
}

func (m *model) read(fd int, b []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.at(fd)
	switch {
	case o == nil || o.deaf:
		return -1, unix.EBADF
	case len(o.in) > 0:
		n := copy(b, o.in)
		o.in = o.in[n:]
		m.touch(o.peer)
		return n, nil
	case o.peer.refs == 0:
		return 0, nil
	}
	return -1, unix.EAGAIN
}

func (m *model) write(fd int, b []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.at(fd)
	if o == nil || o.mute {
		return -1, unix.EBADF
	}
	if o.peer.refs == 0 {
		return -1, unix.EPIPE
	}
	n := min(len(b), modelRoom-len(o.peer.in))
	if n == 0 {
		return -1, unix.EAGAIN
	}
	o.peer.in = append(o.peer.in, b[:n]...)
	m.touch(o.peer)
	return n, nil
}

func (m *model) close(fd int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.at(fd)
	if o == nil {
		return unix.EBADF
	}
	for _, n := range slices.Clone(o.notes) {
		if n.ident == fd {
			n.drop()
		}
	}
	m.fds[fd], m.lowest = nil, min(m.lowest, fd)
	o.refs--
	if o.refs == 0 && o.peer != nil {
		m.touch(o.peer)
	}
	if o.refs == 0 && o.queue != nil {
		for _, n := range o.queue.notes {
			n.drop()
		}
		m.queues = slices.DeleteFunc(m.queues, func(q *object) bool { return q == o })
	}
	return nil
}

// drop deletes a filter.
func (n *note) drop() {
	is := func(o *note) bool { return o == n }
	q := n.q.queue
	delete(q.notes, noteKey{n.ident, n.filter})
	if n.queued {
		q.active = slices.DeleteFunc(q.active, is)
	}
	if n.of != nil {
		n.of.notes = slices.DeleteFunc(n.of.notes, is)
	}
	if q.timer == n {
		q.timer = nil
	}
}

func (o *object) readable() bool {
	switch {
	case o.queue != nil:
		return len(o.queue.active) > 0
	case o.kind == plainFile:
		return true
	}
	return len(o.in) > 0 || o.peer.refs == 0
}

func (o *object) writable() bool {
	switch {
	case o.queue != nil || o.mute:
		return false
	case o.kind == plainFile:
		return true
	case o.peer.refs == 0:
		return o.kind != pipeFile
	}
	return len(o.peer.in) < modelRoom
}

func (n *note) isActive() bool {
	switch n.filter {
	case filterRead:
		return n.of.readable()
	case filterWrite:
		return n.of.writable()
	}
	return n.fired
}

// touch tells all who watch o that it changed.
func (m *model) touch(o *object) {
	for _, n := range o.notes {
		m.activate(n)
	}
	m.woken.Broadcast()
}

// activate queues a filter if it is active, and tells who watches the kqueue.
func (m *model) activate(n *note) {
	if !n.queued && n.isActive() {
		n.queued = true
		n.q.queue.active = append(n.q.queue.active, n)
		m.touch(n.q)
	}
}

func (m *model) kqueue() (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := &object{kind: pipeFile, queue: &queue{notes: map[noteKey]*note{}}}
	m.queues = append(m.queues, q)
	return m.open(q), nil
}

func (m *model) change(kq int, c kevent) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := m.at(kq)
	if q == nil || q.queue == nil {
		return unix.EBADF
	}
	var of *object
	if c.filter <= filterWrite {
		if of = m.at(c.ident); of == nil {
			return unix.EBADF
		}
	}
	n := q.queue.notes[noteKey{c.ident, c.filter}]
	switch {
	case c.flags&evDelete != 0 && n != nil:
		n.drop()
		return nil
	case n != nil:
		// Already there.
	case c.flags&evAdd == 0:
		return unix.ENOENT
	case of != nil && (of.dev || of == q), c.filter == filterTimer && c.ticks <= 0:
		return unix.EINVAL
	case c.filter == filterWrite && of.kind == pipeFile && of.peer != nil && of.peer.refs == 0:
		return unix.EPIPE
	default:
		n = &note{kevent: c, q: q, of: of}
		q.queue.notes[noteKey{c.ident, c.filter}] = n
		if of != nil {
			of.notes = append(of.notes, n)
		}
		if c.filter == filterTimer {
			n.due = m.now.Add(time.Duration(c.ticks) * m.unit)
			q.queue.timer = n
		}
	}
	n.fired = n.fired || c.trigger
	m.activate(n)
	return nil
}

func (m *model) events(kq int, into []kevent, timeout time.Duration) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := m.at(kq)
	if q == nil || q.queue == nil {
		return -1, unix.EBADF
	}
	var n int
	m.wait(timeout, func() bool {
		n = q.queue.scan(into)
		return n > 0
	})
	return n, nil
}

// scan looks at each filter in the queue once, as long as into has room.
func (q *queue) scan(into []kevent) (n int) {
	for range len(q.active) {
		if n == len(into) {
			break
		}
		first := q.active[0]
		q.active = q.active[1:]
		if !first.isActive() {
			first.queued = false
			continue
		}
		into[n] = kevent{ident: first.ident, filter: first.filter}
		n++
		switch {
		case first.flags&evOneshot != 0:
			first.queued = false
			first.drop()
		case first.flags&evClear != 0:
			first.queued, first.fired = false, false
		default:
			q.active = append(q.active, first)
		}
	}
	return n
}

// wait has time pass until done or timeout.
func (m *model) wait(timeout time.Duration, done func() bool) {
	until := m.now.Add(timeout)
	for {
		next := m.ring()
		if done() || timeout >= 0 && !m.now.Before(until) {
			return
		}
		if timeout >= 0 && (next.IsZero() || until.Before(next)) {
			next = until
		}
		if next.IsZero() {
			m.woken.Wait()
		} else {
			m.now = next
		}
	}
}

// ring has timers fire that are due, and returns when the next one is.
func (m *model) ring() (next time.Time) {
	for _, q := range m.queues {
		switch n := q.queue.timer; {
		case n == nil || n.fired:
		case !n.due.After(m.now):
			n.fired = true
			m.activate(n)
		case next.IsZero() || n.due.Before(next):
			next = n.due
		}
	}
	return next
}

// sleep is what a foreign host does: it waits until a descriptor is readable.
func (m *model) sleep(fd int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.at(fd)
	if o == nil {
		return errors.New("a host waits for a descriptor that is not open")
	}
	m.wait(-1, o.readable)
	return nil
}

func (m *model) tick() time.Duration { return m.unit }
func (m *model) userEvents() bool    { return m.hasUsr }
