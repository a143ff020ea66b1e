package reactor

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// counter is a source over an eventfd(2), the cheapest descriptor there is.
type counter struct {
	fd     int
	buf    [8]byte
	calls  int // that found something
	notify func()
}

func newCounter(t testing.TB) *counter {
	t.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return &counter{fd: fd}
}

func (c *counter) signal()                    { _, _ = unix.Write(c.fd, one) }
func (c *counter) GetSelectInfo() (int, bool) { return c.fd, false }
func (c *counter) SetNotify(changed func())   { c.notify = changed }

func (c *counter) TryProcessOneEvent() (bool, error) {
	_, err := unix.Read(c.fd, c.buf[:])
	if err == unix.EAGAIN {
		return false, nil
	}
	c.calls++
	return true, err
}

// stream is a source over one end of a pipe or a socket: it reads all that comes and
// writes what it is given.
type stream struct {
	fd      int
	paused  bool
	in, out []byte
	err     error  // why it ended; io.EOF
	heard   func() // called after each read
	changed func()
}

func (s *stream) Interest() (fd int, read, write bool) {
	return s.fd, !s.paused, len(s.out) > 0
}

func (s *stream) GetSelectInfo() (int, bool) { return s.fd, len(s.out) > 0 }
func (s *stream) SetNotify(changed func())   { s.changed = changed }

func (s *stream) TryProcessOneEvent() (bool, error) {
	if !s.paused {
		var buf [4096]byte
		n, err := unix.Read(s.fd, buf[:])
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
		n, err := unix.Write(s.fd, s.out)
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

func newPair(t testing.TB) (a, b *stream) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, b = &stream{fd: fds[0]}, &stream{fd: fds[1]}
	t.Cleanup(func() {
		a.close()
		b.close()
	})
	return a, b
}

// close closes as the contract says: told first, closed after.
func (s *stream) close() {
	if s.fd < 0 {
		return
	}
	fd := s.fd
	s.fd = -1
	s.tell()
	unix.Close(fd)
}

func newReal(t testing.TB) *Loop {
	t.Helper()
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
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

// More than a socket holds goes from one side to the other, both in one loop.
func TestSocketsBothWays(t *testing.T) {
	l := newReal(t)
	a, b := newPair(t)
	mustAdd(t, l, a, b)
	sent := make([]byte, 4<<20)
	for i := range sent {
		sent[i] = byte(i * i >> 3)
	}
	a.send(sent)
	b.send(sent[:1<<20])
	run(t, l, func() bool { return len(b.in) == len(sent) && len(a.in) == 1<<20 })
	if !slices.Equal(b.in, sent) || !slices.Equal(a.in, sent[:1<<20]) {
		t.Error("what arrives is what was sent; it was not")
	}
	settled(t, l)
	waits := l.stats.Turns
	if ok, _ := l.TryProcessOneEvent(); ok || l.stats.Turns != waits+1 {
		t.Error("a socket that can be written but has nothing to write is quiet; it was not")
	}
}

// E3: data, end of data and hang-up at once: all data first, then the end.
func TestDataBeforeHangUp_E3(t *testing.T) {
	l := newReal(t)
	a, b := newPair(t)
	mustAdd(t, l, b)
	if _, err := unix.Write(a.fd, make([]byte, 10_000)); err != nil {
		t.Fatal(err)
	}
	a.close()
	run(t, l, func() bool { return b.err != nil })
	if len(b.in) != 10_000 || b.err != io.EOF || b.changed != nil {
		t.Errorf("10,000 bytes come before the end, and the source is removed; there were %d, then %v", len(b.in), b.err)
	}
}

// E4: an error without readability. The write end of a pipe hears of nothing but
// EPOLLERR when its reader has gone.
func TestErrorAlone_E4(t *testing.T) {
	l := newReal(t)
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[1])
	called := 0
	w := &plain{fd: fds[1], do: func() (bool, error) {
		called++
		if _, err := unix.Write(fds[1], []byte{0}); err != unix.EPIPE {
			t.Errorf("the reader has gone: EPIPE; it was %v", err)
		}
		return true, unix.EPIPE
	}}
	mustAdd(t, l, w)
	if ok, err := l.TryProcessOneEvent(); ok || err != nil {
		t.Fatalf("a pipe that only can be written is quiet; it said %v, %v", ok, err)
	}
	unix.Close(fds[0])
	run(t, l, func() bool { return called > 0 })
	if l.table.n != 0 {
		t.Error("a source that fails is removed; it was not")
	}
}

// A paused source whose peer has gone hears of it once, and the loop sleeps on.
func TestPausedSourceDoesNotSpin(t *testing.T) {
	l := newReal(t)
	a, b := newPair(t)
	b.paused = true
	mustAdd(t, l, b)
	if _, err := unix.Write(a.fd, []byte("left unread")); err != nil {
		t.Fatal(err)
	}
	a.close()
	settled(t, l)
	events := l.stats.Events
	if events > 1 {
		t.Errorf("a hang-up nobody wants to hear of is told once at most; it was %d times", events)
	}
	fired := false
	l.After(20*time.Millisecond, func() { fired = true })
	waits := l.stats.Waits
	run(t, l, func() bool { return fired })
	if n := l.stats.Waits - waits; n != 1 {
		t.Errorf("the loop sleeps through; it woke %d times", n)
	}
	b.pause(false)
	run(t, l, func() bool { return b.err != nil })
	if string(b.in) != "left unread" {
		t.Errorf("once resumed it reads what was left; it was %q", b.in)
	}
}

// E8, with a real socket: after the blocked writer has written everything, the loop
// sleeps until its next deadline without waking.
func TestBlockedWriterSleeps_E8(t *testing.T) {
	l := newReal(t)
	a, b := newPair(t)
	mustAdd(t, l, a)
	a.send(make([]byte, 1<<20))
	settled(t, l)
	if len(a.out) == 0 {
		t.Fatal("a megabyte does not fit into the socket; it did")
	}
	waits, fired := l.stats.Waits, false
	timer := l.After(20*time.Millisecond, func() { fired = true })
	run(t, l, func() bool { return fired })
	if n := l.stats.Waits - waits; n != 1 {
		t.Errorf("a writer that is blocked waits; the loop woke %d times", n)
	}
	mustAdd(t, l, b)
	run(t, l, func() bool { return len(b.in) == 1<<20 })
	settled(t, l)
	waits, fired = l.stats.Waits, false
	timer.Reset(20 * time.Millisecond)
	run(t, l, func() bool { return fired })
	if n := l.stats.Waits - waits; n != 1 {
		t.Errorf("a writer that is done waits; the loop woke %d times", n)
	}
}

// E15, with a real copy of the descriptor, as a child would keep it.
func TestCopyOfAClosedDescriptor_E15(t *testing.T) {
	l := newReal(t)
	a, b := newPair(t)
	mustAdd(t, l, b)
	copied, err := unix.Dup(b.fd)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(copied)
	b.close()
	if _, err := unix.Write(a.fd, []byte("for the child")); err != nil {
		t.Fatal(err)
	}
	settled(t, l)
	if l.stats.Stale != 0 || l.stats.Events != 0 {
		t.Errorf("the kernel has nothing to tell of a source that was removed; %d events, %d stale", l.stats.Events, l.stats.Stale)
	}
	if err := l.poller.alarm(time.Hour); err != nil { // makes the timerfd
		t.Fatal(err)
	}
	for _, fd := range descriptors(l) {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("a child inherits no descriptor of the loop; it would %d (%v)", fd, err)
		}
	}
}

// descriptors are the loop's own.
func descriptors(l *Loop) []int {
	p := l.poller.(*epoll)
	return []int{p.ep, p.wakeFD, p.alarmFD}
}

func TestRegularFilesAreRefused(t *testing.T) {
	l := newReal(t)
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := l.Add(newFull(int(f.Fd()))); !errors.Is(err, ErrNotPollable) || !errors.Is(err, ErrMisuse) {
		t.Errorf("a regular file is refused as one; the error was %v", err)
	}
	var errno *os.SyscallError
	err = l.Add(newFull(1 << 30))
	if !errors.As(err, &errno) || errno.Err != unix.EBADF || len(l.table.byFD) > 1<<20 {
		t.Errorf("a number that is no descriptor is EBADF and costs no memory; it was %v", err)
	}
	if err := l.Add(l); err == nil {
		t.Error("a loop cannot be in itself; it was added")
	}
}

// A descriptor closed behind the loop's back is named when the kernel next hears of it.
func TestClosedBehindOurBack(t *testing.T) {
	l := newReal(t)
	_, b := newPair(t)
	mustAdd(t, l, b)
	unix.Close(b.fd)
	b.pause(true)
	err := l.ProcessOneEvent()
	var fault *SourceError
	if !errors.As(err, &fault) || fault.Source != b || !errors.Is(err, unix.EBADF) {
		t.Errorf("the error names the source, and says EBADF; it was %v", err)
	}
	b.fd = -1
	settled(t, l)
}

// E18: 19,500 descriptors, 1,100 of them before the first.
func TestManyDescriptors_E18(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	before, n := 1100, 19_500
	if limit.Max < uint64(n+100) {
		n = int(limit.Max) - 100
		before = min(before, n/2)
	}
	for range before {
		newCounter(t)
	}
	l := newReal(t)
	sources := make([]*counter, n-before)
	for i := range sources {
		sources[i] = newCounter(t)
		mustAdd(t, l, sources[i])
	}
	for _, s := range sources {
		s.signal()
	}
	left := len(sources)
	for range sources {
		steps(t, l, 1)
		left--
	}
	for _, s := range sources {
		if s.calls != 1 {
			t.Fatalf("each source has its one event; one of %d, number %d, had %d", len(sources), s.fd, s.calls)
		}
	}
	if ok, _ := l.TryProcessOneEvent(); ok || left != 0 {
		t.Error("and no other; there was one")
	}
}

// E9, with a real eventfd: after the close its number is somebody else's, who must
// find nothing written.
func TestNothingIsWrittenAfterClose_E9(t *testing.T) {
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	numbers := descriptors(l)
	ctx, cancel := context.WithCancel(context.Background())
	l.Post(func() { l.Close() })
	if err := l.Run(ctx); err != ErrClosed {
		t.Errorf("Run says ErrClosed; it said %v", err)
	}
	var heirs []*counter
	for range 3 {
		heirs = append(heirs, newCounter(t))
	}
	cancel()
	if l.Post(func() {}) {
		t.Error("Post after Close says false; it said true")
	}
	inherited := false
	for _, h := range heirs {
		inherited = inherited || slices.Contains(numbers, h.fd)
		if ok, _ := h.TryProcessOneEvent(); ok {
			t.Errorf("nothing is written to a number that was the loop's; %d was", h.fd)
		}
	}
	if !inherited {
		t.Error("the heirs have the loop's numbers, or this test shows nothing")
	}
}

// The end of a context wakes a loop that sleeps; if it did not, Run would not return.
func TestContextWakesTheLoop(t *testing.T) {
	l := newReal(t)
	for range 100 {
		ctx, cancel := context.WithCancel(context.Background())
		l.Post(func() { go cancel() })
		if err := l.Run(ctx); err != context.Canceled {
			t.Errorf("Run ends with its context; it said %v", err)
		}
	}
}

// A deadline that has come already shows, where a timerfd set to zero would be off.
func TestDeadlineOfNowShows(t *testing.T) {
	l := newReal(t)
	fired := false
	l.After(0, func() { fired = true })
	pollHost(t, l, func() bool { return fired })
}

func TestWaitRoundsUp(t *testing.T) {
	for _, c := range []struct {
		d  time.Duration
		ms int
	}{
		{-1, -1}, {0, 0}, {1, 1}, {time.Millisecond, 1}, {time.Millisecond + 1, 2},
		{1<<63 - 1, 1<<31 - 1},
	} {
		if got := milliseconds(c.d); got != c.ms {
			t.Errorf("a wait of %v is one of %d ms; it was %d", c.d, c.ms, got)
		}
	}
	l := newReal(t)
	fired := false
	l.After(1500*time.Microsecond, func() { fired = true })
	run(t, l, func() bool { return fired })
	if l.stats.Turns != 1 {
		t.Errorf("a wait that rounds up needs no second; there were %d", l.stats.Turns)
	}
}
