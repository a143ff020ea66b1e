package conn

import (
	"time"

	"golang.org/x/sys/unix"
)

// kernel is every way by which this package reaches the system, its clock
// included, so that a test can fail any call at any position. Errors are bare
// errnos; EINTR never comes through.
type kernel interface {
	// socket makes a stream socket that does not block and is closed on exec.
	socket(domain int) (fd int, err error)
	// adopt gives a caller's socket the same two properties.
	adopt(fd int) error
	bind(fd int, from unix.Sockaddr) error
	// connect starts connecting; EINPROGRESS is the usual answer.
	connect(fd int, to unix.Sockaddr) error
	// socketError reads and clears the pending error: the outcome of connect.
	socketError(fd int) error
	// stream fails unless fd is a stream socket: an *os.SyscallError or ErrMisuse.
	stream(fd int) error
	// peer is the address of the other side.
	peer(fd int) (unix.Sockaddr, error)
	setsockopt(fd, level, option, value int) error
	read(fd int, p []byte) (int, error)
	write(fd int, p []byte) (int, error)
	writev(fd int, iov [][]byte) (int, error)
	// poll waits for one of events, at most for timeout (negative: for ever).
	// It reports whether one came.
	poll(fd int, events int16, timeout time.Duration) (bool, error)
	close(fd int) error
	now() time.Time
}
