//go:build unix

package reactor

import (
	"errors"
	"io"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A world is a poller and the kernel below it: the tests of what all pollers have in
// common run in each. The real kernel is one with its own poller and with poll(2), and
// the model of kqueue(2) with and without EVFILT_USER.
type world struct {
	files     // of sources
	newPoller func() (poller, error)
	clock     func() time.Time
	pair      func() (a, b int, err error) // connected stream sockets, non-blocking
	file      func(t testing.TB) int       // a regular one
	sleep     func(fd int) error           // until fd is readable, as a host does
	dup       func(fd int) (int, error)
	real      bool // the clock is everybody's, and descriptors are inherited
	nestable  bool // loops have a descriptor
}

// inWorlds runs a test in every world.
func inWorlds(t *testing.T, test func(t *testing.T, w *world)) {
	for name, make := range map[string]func() *world{
		"own":               ownWorld,
		"poll":              pollWorld,
		"kqueue":            func() *world { return newModel(true, time.Nanosecond).world() },
		"kqueue with pipes": func() *world { return newModel(false, time.Millisecond).world() },
	} {
		t.Run(name, func(t *testing.T) { test(t, make()) })
	}
}

// inNestingWorlds leaves out poll(2), whose loops have no descriptor.
func inNestingWorlds(t *testing.T, test func(t *testing.T, w *world)) {
	inWorlds(t, func(t *testing.T, w *world) {
		if w.nestable {
			test(t, w)
			return
		}
		inner, outer := w.loop(t), newReal(t)
		if fd, write := inner.GetSelectInfo(); fd != -1 || write {
			t.Errorf("a loop that nobody can watch says so; it said %d", fd)
		}
		if err := outer.Add(inner); err != ErrNoDescriptor {
			t.Errorf("and cannot be in another; Add said %v", err)
		}
	})
}

// ownWorld is the system's own.
func ownWorld() *world {
	return &world{
		files: system{}, newPoller: newPoller, clock: time.Now, real: true, nestable: true,
		pair: func() (a, b int, err error) {
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
			for _, fd := range fds {
				unix.CloseOnExec(fd)
				err = errors.Join(err, unix.SetNonblock(fd, true))
			}
			return fds[0], fds[1], err
		},
		file: func(t testing.TB) int {
			fd, err := unix.Open(filepath.Join(t.TempDir(), "file"), unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			return fd
		},
		sleep: func(fd int) error {
			fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			_, err := unix.Poll(fds, -1)
			for err == unix.EINTR {
				_, err = unix.Poll(fds, -1)
			}
			return err
		},
		dup: func(fd int) (int, error) {
			syscall.ForkLock.RLock()
			defer syscall.ForkLock.RUnlock()
			copied, err := unix.Dup(fd)
			if err == nil {
				unix.CloseOnExec(copied)
			}
			return copied, err
		},
	}
}

func pollWorld() *world {
	w := ownWorld()
	w.newPoller = func() (poller, error) { return newPoll(system{}) }
	w.nestable = false
	return w
}

func (w *world) loop(t testing.TB) *Loop {
	t.Helper()
	p, err := w.newPoller()
	if err != nil {
		t.Fatal(err)
	}
	l := newLoop(p, w.clock)
	t.Cleanup(func() { l.Close() })
	return l
}

func (w *world) newPair(t testing.TB) (a, b *stream) {
	t.Helper()
	x, y, err := w.pair()
	if err != nil {
		t.Fatal(err)
	}
	a, b = &stream{k: w.files, fd: x}, &stream{k: w.files, fd: y}
	t.Cleanup(func() {
		a.close()
		b.close()
	})
	return a, b
}

func (w *world) newCounter(t testing.TB) *counter {
	t.Helper()
	r, wr, err := counterDescriptors(w)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.close(r)
		if wr != r {
			w.close(wr)
		}
	})
	return &counter{k: w.files, fd: r, feed: wr}
}

func newReal(t testing.TB) *Loop              { return ownWorld().loop(t) }
func newPair(t testing.TB) (a, b *stream)     { return ownWorld().newPair(t) }
func newCounter(t testing.TB) *counter        { return ownWorld().newCounter(t) }
func (c *counter) GetSelectInfo() (int, bool) { return c.fd, false }
func (c *counter) SetNotify(changed func())   { c.notify = changed }
func (s *stream) GetSelectInfo() (int, bool)  { return s.fd, len(s.out) > 0 }
func (s *stream) SetNotify(changed func())    { s.changed = changed }
func (s *stream) Interest() (int, bool, bool) { return s.fd, !s.paused, len(s.out) > 0 }

// counter is a source over the cheapest descriptor there is: an eventfd(2) or a pipe.
type counter struct {
	k        files
	fd, feed int
	buf      [64]byte
	calls    int // that found something
	notify   func()
}

// signal writes what both kinds take, and an eventfd counts as one.
func (c *counter) signal() { _, _ = c.k.write(c.feed, eight) }

func (c *counter) TryProcessOneEvent() (bool, error) {
	found := false
	for {
		n, err := c.k.read(c.fd, c.buf[:])
		if err == unix.EAGAIN {
			return found, nil
		}
		if !found {
			found = true
			c.calls++
		}
		if n < len(c.buf) || err != nil {
			return true, err
		}
	}
}

// stream is a source over one end of a pipe or a socket: it reads all that comes and
// writes what it is given.
type stream struct {
	k       files
	fd      int
	paused  bool
	in, out []byte
	err     error  // why it ended; io.EOF
	heard   func() // called after each read
	changed func()
}

func (s *stream) TryProcessOneEvent() (bool, error) {
	if !s.paused {
		var buf [4096]byte
		n, err := s.k.read(s.fd, buf[:])
		switch {
		case n > 0:
			s.in = append(s.in, buf[:n]...)
			if s.heard != nil {
				s.heard()
			}
			return true, nil
		case err == nil:
			s.err = io.EOF
			return true, s.err
		case err != unix.EAGAIN:
			s.err = err
			return true, err
		}
	}
	if len(s.out) > 0 {
		n, err := s.k.write(s.fd, s.out)
		if n > 0 {
			s.out = s.out[n:]
			return true, nil
		}
		if err != unix.EAGAIN {
			s.err = err
			return true, err
		}
	}
	return false, nil
}

func (s *stream) send(b []byte) {
	s.out = append(s.out, b...)
	s.tell()
}

func (s *stream) pause(paused bool) {
	s.paused = paused
	s.tell()
}

// tell tells the loop, if the source is still in one.
func (s *stream) tell() {
	if s.changed != nil {
		s.changed()
	}
}

// close closes as the contract says: told first, closed after.
func (s *stream) close() {
	if s.fd < 0 {
		return
	}
	fd := s.fd
	s.fd = -1
	s.tell()
	s.k.close(fd)
}

// run drives a loop until done says so.
func run(t testing.TB, l *Loop, done func() bool) {
	t.Helper()
	for !done() {
		if _, err := drive(l, true); err != nil {
			t.Fatalf("a step succeeds; it said %v", err)
		}
	}
}

// settled drives a loop until it has nothing to do.
func settled(t testing.TB, l *Loop) {
	t.Helper()
	for {
		ok, err := l.TryProcessOneEvent()
		if err != nil {
			t.Fatalf("TryProcessOneEvent succeeds; it said %v", err)
		}
		if !ok {
			return
		}
	}
}

// hostUntil drives a loop as a level-triggered host does, or, if it has no descriptor,
// lets it wait by itself. It returns how often the host found nothing.
func (w *world) hostUntil(t testing.TB, l *Loop, done func() bool) (idle int) {
	t.Helper()
	for !done() {
		fd, _ := l.GetSelectInfo()
		if fd < 0 {
			if err := l.ProcessOneEvent(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := w.sleep(fd); err != nil {
			t.Fatal(err)
		}
		ok, err := l.TryProcessOneEvent()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			idle++
		}
	}
	return idle
}

// portableDescriptors are the own ones of a loop over poll(2) or a kqueue.
func portableDescriptors(l *Loop) []int {
	switch p := l.poller.(type) {
	case *poll:
		return []int{p.pipe.r, p.pipe.w}
	case *kqueue:
		if p.pipe == nil {
			return []int{p.kq}
		}
		return []int{p.kq, p.pipe.r, p.pipe.w}
	}
	panic("a poller that tests do not know")
}
