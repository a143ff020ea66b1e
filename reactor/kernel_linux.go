package reactor

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// kernel is every system call of epoll's poller. Tests put one in its place that
// fails. Errors are plain errnos.
type kernel interface {
	epollCreate() (int, error)
	epollCtl(ep, op, fd int, ev *unix.EpollEvent) error
	epollWait(ep int, evs []unix.EpollEvent, msec int) (int, error)
	epollWait2(ep int, evs []unix.EpollEvent, timeout *timespec) (int, error)
	eventfd() (int, error)
	timerfd() (int, error)
	timerfdSettime(fd int, spec *unix.ItimerSpec) error
	read(fd int, b []byte) (int, error)
	write(fd int, b []byte) (int, error)
	close(fd int) error
}

// timespec is the kernel's __kernel_timespec, of 64 bits everywhere, which the system
// calls take that are newer than the year 2038 problem's solution.
type timespec struct{ sec, nsec int64 }

type linux struct{ system }

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

// epollWait2 is for a wait that may block.
func (linux) epollWait2(ep int, evs []unix.EpollEvent, timeout *timespec) (int, error) {
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(ep),
		uintptr(unsafe.Pointer(&evs[0])), uintptr(len(evs)), uintptr(unsafe.Pointer(timeout)), 0, 0)
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
