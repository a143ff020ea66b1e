//go:build unix

package conn

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// system is the real kernel.
type system struct{}

func (system) adopt(fd int) error {
	unix.CloseOnExec(fd)
	return unix.SetNonblock(fd, true)
}

func (system) bind(fd int, from unix.Sockaddr) error { return unix.Bind(fd, from) }

func (system) connect(fd int, to unix.Sockaddr) error {
	err := unix.Connect(fd, to)
	if err == unix.EINTR { // it goes on by itself
		return unix.EINPROGRESS
	}
	return err
}

func (system) socketError(fd int) error {
	v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && v != 0 {
		err = syscall.Errno(v)
	}
	return err
}

func (system) stream(fd int) error {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err == nil && kind != unix.SOCK_STREAM {
		return fmt.Errorf("%w: descriptor %d is no stream socket", ErrMisuse, fd)
	}
	return os.NewSyscallError("getsockopt", err)
}

func (system) peer(fd int) (unix.Sockaddr, error) { return unix.Getpeername(fd) }

func (system) setsockopt(fd, level, option, value int) error {
	return unix.SetsockoptInt(fd, level, option, value)
}

func (system) poll(fd int, events int16, timeout time.Duration) (bool, error) {
	ms := -1
	if timeout >= 0 { // up to the next millisecond: a wait never ends early
		ms = int(min((timeout+time.Millisecond-1)/time.Millisecond, 1<<30))
	}
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: events}}
	n, err := unix.Poll(fds[:], ms)
	if err == unix.EINTR { // the caller looks at its deadline and comes again
		return false, nil
	}
	return n > 0, err
}

func (system) close(fd int) error { return unix.Close(fd) }

func (system) now() time.Time { return time.Now() }

// option is a socket option.
type option struct{ level, name, value int }

// patience sets how long the kernel tries to reach a peer that vanished without a
// word: probes when idle, and a bound on unacknowledged output. What there is of it
// differs from system to system.
func patience(k kernel, fd int) {
	for _, o := range append([]option{
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
	}, patient...) {
		// Best effort: a kernel that lacks one still carries the connection.
		_ = k.setsockopt(fd, o.level, o.name, o.value)
	}
}
