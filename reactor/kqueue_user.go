//go:build darwin || freebsd

package reactor

import (
	"time"

	"golang.org/x/sys/unix"
)

// Timers count nanoseconds.
const (
	noteTrigger = unix.NOTE_TRIGGER
	noteTick    = unix.NOTE_NSECONDS
	timerTick   = time.Nanosecond
)

// filters are the system's numbers of ours.
var filters = []int{
	filterRead:  unix.EVFILT_READ,
	filterWrite: unix.EVFILT_WRITE,
	filterTimer: unix.EVFILT_TIMER,
	filterUser:  unix.EVFILT_USER,
}
