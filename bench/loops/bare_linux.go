package loops

import (
	"os"

	"golang.org/x/sys/unix"
)

// Bare is what nobody can go below: epoll_wait, and a call for each event.
type Bare struct {
	ep    int
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
	return nil
}

func (l *Bare) Run(n int) error {
	for n > 0 {
		got, err := unix.EpollWait(l.ep, l.evs, -1)
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
