//go:build unix && !linux

package conn

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// socket holds the lock that keeps a fork from coming between its calls.
func (s system) socket(domain int) (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.Socket(domain, unix.SOCK_STREAM, 0)
	if err != nil {
		return -1, err
	}
	if err := s.adopt(fd); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func (system) read(fd int, p []byte) (int, error) {
	for {
		n, err := unix.Read(fd, p)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

func (system) write(fd int, p []byte) (int, error) {
	for {
		n, err := unix.Write(fd, p)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// writev writes the first piece: not every system's writev(2) can be reached.
func (s system) writev(fd int, iov [][]byte) (int, error) { return s.write(fd, iov[0]) }
