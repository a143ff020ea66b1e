package reactor

import (
	"time"

	"golang.org/x/sys/unix"
)

// longestPoll fits into a time_t of 32 bits.
const longestPoll = 1 << 30 * time.Second

// poll is ppoll(2), which knows nanoseconds.
func (system) poll(fds []unix.PollFd, timeout time.Duration) (int, error) {
	if timeout < 0 {
		return unix.Ppoll(fds, nil, nil)
	}
	spec := unix.NsecToTimespec(int64(min(timeout, longestPoll)))
	return unix.Ppoll(fds, &spec, nil)
}
