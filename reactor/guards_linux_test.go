package reactor

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// Where epoll and poll part, as the comments on ErrNotPollable and SourceError say.

func TestDevicesThatOnlyPollTakes(t *testing.T) {
	for _, name := range []string{"/dev/null", "/dev/zero"} {
		fd, err := unix.Open(name, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		s := newFull(fd)
		if err := newReal(t).Add(s); !errors.Is(err, ErrNotPollable) {
			t.Errorf("epoll refuses %s; Add said %v", name, err)
		}
		l := pollWorld().loop(t)
		mustAdd(t, l, s)
		if steps(t, l, 3); s.calls != 3 {
			t.Errorf("poll takes %s, which is always ready; in three turns it was %d times", name, s.calls)
		}
	}
}

// A source over epoll whose descriptor is closed too early, and whose interest never
// changes, stays and is deaf.
func TestClosedTooEarlyIsDeaf(t *testing.T) {
	l := newReal(t)
	counts, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.FcntlInt(uintptr(counts), unix.F_DUPFD_CLOEXEC, 900) // a number that nobody takes meanwhile
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(counts)
	s := newFull(fd)
	mustAdd(t, l, s)
	settled(t, l)
	unix.Close(fd)
	settled(t, l)
	s.changed() // another deadline, say
	settled(t, l)
	if l.table.n != 1 || s.calls != 0 {
		t.Errorf("epoll forgets the descriptor without a word; %d sources are left, %d calls", l.table.n, s.calls)
	}
	s.paused = true
	s.changed()
	if err := l.ProcessOneEvent(); !errors.Is(err, unix.EBADF) || l.table.n != 0 {
		t.Errorf("another interest brings it out, as EBADF; it was %v, %d sources are left", err, l.table.n)
	}
}
