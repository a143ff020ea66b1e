package loops

import (
	"os"

	"golang.org/x/sys/unix"
)

// Bare is what nobody can go below: epoll_wait, and a call for each event.
type Bare struct {
	Nested bool // in another epoll, which is waited for in its place

	ep    int
	outer int
	evs   []unix.EpollEvent
	ready func(i int) error
}

func (l *Bare) Open(fds []int, ready func(i int) error) (err error) {
	l.ready, l.evs = ready, make([]unix.EpollEvent, 256)
	if l.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	for i, fd := range fds {
		ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
		if err := unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
			return os.NewSyscallError("epoll_ctl", err)
		}
	}
	if !l.Nested {
		return nil
	}
	if l.outer, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(l.outer, unix.EPOLL_CTL_ADD, l.ep, &ev))
}

// wait returns how many of evs are events.
func (l *Bare) wait() (int, error) {
	timeout := -1
	if l.Nested {
		timeout = 0
		if _, err := unix.EpollWait(l.outer, l.evs, -1); err != nil {
			return 0, err
		}
	}
	return unix.EpollWait(l.ep, l.evs, timeout)
}

func (l *Bare) Run(n int) error {
	for n > 0 {
		got, err := l.wait()
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return os.NewSyscallError("epoll_wait", err)
		}
		for _, ev := range l.evs[:got] {
			if err := l.ready(int(ev.Fd)); err != nil {
				return err
			}
		}
		n -= got
	}
	return nil
}
