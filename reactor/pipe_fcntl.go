//go:build aix || darwin

package reactor

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// pipe holds off the start of processes, which would inherit the descriptors, until
// they are marked.
func (system) pipe() (r, w int, err error) {
	var fds [2]int
	syscall.ForkLock.RLock()
	if err = unix.Pipe(fds[:]); err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	for _, fd := range fds {
		if err == nil {
			err = unix.SetNonblock(fd, true)
		}
	}
	return fds[0], fds[1], err
}
