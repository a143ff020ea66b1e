//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package reactor

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// The flags are the same everywhere, or this does not compile.
var _ [0]int = [evAdd ^ unix.EV_ADD | evDelete ^ unix.EV_DELETE | evOneshot ^ unix.EV_ONESHOT | evClear ^ unix.EV_CLEAR]int{}

// bsd is the real kernel of systems with kqueue(2).
type bsd struct {
	system
	raw []unix.Kevent_t
}

func newPoller() (poller, error) { return newKqueue(&bsd{}) }

// kqueue makes a descriptor that fork(2) does not copy, so there is no hurry.
func (*bsd) kqueue() (int, error) {
	fd, err := unix.Kqueue()
	if err == nil {
		unix.CloseOnExec(fd)
	}
	return fd, err
}

func (*bsd) change(kq int, c kevent) error {
	var change [1]unix.Kevent_t
	k := &change[0]
	unix.SetKevent(k, c.ident, filters[c.filter], int(c.flags))
	switch {
	case c.trigger:
		k.Fflags = noteTrigger
	case c.filter == filterTimer:
		k.Fflags, k.Data = noteTick, c.ticks
	}
	_, err := unix.Kevent(kq, change[:], nil, nil)
	return err
}

func (b *bsd) events(kq int, into []kevent, timeout time.Duration) (int, error) {
	if len(b.raw) != len(into) {
		b.raw = make([]unix.Kevent_t, len(into))
	}
	var spec *unix.Timespec
	if timeout >= 0 {
		t := unix.NsecToTimespec(int64(timeout))
		spec = &t
	}
	n, err := unix.Kevent(kq, nil, b.raw, spec)
	if err != nil {
		return 0, err
	}
	for i := range b.raw[:n] {
		k := &b.raw[i]
		into[i] = kevent{ident: int(k.Ident), filter: filter(slices.Index(filters, int(k.Filter)))}
	}
	return n, nil
}

func (*bsd) tick() time.Duration { return timerTick }

func (*bsd) userEvents() bool { return len(filters) > int(filterUser) }
