//go:build netbsd || openbsd

package reactor

import (
	"time"

	"golang.org/x/sys/unix"
)

// Timers count milliseconds, as far as x/sys knows, and there is no EVFILT_USER: that
// of NetBSD 10 is not in x/sys.
const (
	noteTrigger = 0
	noteTick    = 0
	timerTick   = time.Millisecond
)

// filters are the system's numbers of ours. There are no user events.
var filters = []int{
	filterRead:  unix.EVFILT_READ,
	filterWrite: unix.EVFILT_WRITE,
	filterTimer: unix.EVFILT_TIMER,
}
