package reactor

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// kernel is every system call of this package. Tests put one in its place that
// fails. Errors are plain errnos.
type kernel interface {
	epollCreate() (int, error)
	epollCtl(ep, op, fd int, ev *unix.EpollEvent) error
	epollWait(ep int, evs []unix.EpollEvent, msec int) (int, error)
	eventfd() (int, error)
	timerfd() (int, error)
	timerfdSettime(fd int, spec *unix.ItimerSpec) error
	read(fd int, b []byte) (int, error)
	write(fd int, b []byte) (int, error)
	close(fd int) error
}

type linux struct{}

func (linux) epollCreate() (int, error) { return unix.EpollCreate1(unix.EPOLL_CLOEXEC) }

func (linux) epollCtl(ep, op, fd int, ev *unix.EpollEvent) error {
	return unix.EpollCtl(ep, op, fd, ev)
}

// epollWait tells the scheduler only of a call that can block: telling it costs as
// much as an epoll_wait that finds something.
func (linux) epollWait(ep int, evs []unix.EpollEvent, msec int) (int, error) {
	var n uintptr
	var errno unix.Errno
	if msec == 0 {
		n, _, errno = unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(ep),
			uintptr(unsafe.Pointer(&evs[0])), uintptr(len(evs)), 0, 0, 0)
	} else {
		n, _, errno = unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(ep),
			uintptr(unsafe.Pointer(&evs[0])), uintptr(len(evs)), uintptr(msec), 0, 0)
	}
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func (linux) eventfd() (int, error) {
	return unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
}

func (linux) timerfd() (int, error) {
	return unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
}

func (linux) timerfdSettime(fd int, spec *unix.ItimerSpec) error {
	return unix.TimerfdSettime(fd, 0, spec, nil)
}

func (linux) read(fd int, b []byte) (int, error)  { return unix.Read(fd, b) }
func (linux) write(fd int, b []byte) (int, error) { return unix.Write(fd, b) }
func (linux) close(fd int) error                  { return unix.Close(fd) }
