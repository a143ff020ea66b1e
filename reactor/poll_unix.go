//go:build unix && !linux

package reactor

import (
	"time"

	"golang.org/x/sys/unix"
)

func (system) poll(fds []unix.PollFd, timeout time.Duration) (int, error) {
	return unix.Poll(fds, milliseconds(timeout))
}
