package reactor

import (
	"errors"
	"fmt"
)

// ErrMisuse is wrapped by every error that is the caller's fault and says nothing
// about the system: test with errors.Is(err, ErrMisuse).
var ErrMisuse = errors.New("reactor: misuse")

// The ways to misuse a Loop. Each wraps [ErrMisuse].
var (
	// ErrClosed: the loop has been closed.
	ErrClosed error = misuse("the loop is closed")
	// ErrReentrant: Run, ProcessOneEvent or TryProcessOneEvent was called from a
	// callback of the same loop.
	ErrReentrant error = misuse("the loop is already running")
	// ErrBadSource: the source is nil, or of a type that == cannot compare, so
	// that Remove could never find it.
	ErrBadSource error = misuse("the source is nil or cannot be compared")
	// ErrNoDescriptor: the source has no descriptor (GetSelectInfo says -1).
	ErrNoDescriptor error = misuse("the source has no descriptor")
	// ErrAdded: the source is in the loop already.
	ErrAdded error = misuse("the source is in the loop already")
	// ErrNotAdded: the source is not in the loop.
	ErrNotAdded error = misuse("the source is not in the loop")
	// ErrDescriptorTaken: another source in the loop has this descriptor. One
	// source may want both directions; two sources need two descriptors (dup(2)).
	ErrDescriptorTaken error = misuse("another source has this descriptor")
	// ErrNotPollable: the descriptor is one that is always ready, like a regular
	// file or a directory, or a device that the system has no support for, and
	// cannot be watched. Which devices those are differs: epoll(7) refuses /dev/null
	// and /dev/zero, which poll(2), and so a loop of NewPoll, takes for always ready.
	ErrNotPollable error = misuse("the descriptor is a file that cannot be polled")
)

type misuse string

func (m misuse) Error() string { return "reactor: " + string(m) }
func (m misuse) Unwrap() error { return ErrMisuse }

// A SourceError says that the kernel refused to watch a source, and why. The
// source is not in the loop, or no longer; the loop is as good as before.
type SourceError struct {
	Source Source
	FD     int
	// Err is an *os.SyscallError, [ErrDescriptorTaken] or [ErrNotPollable]. EBADF
	// means that the descriptor was closed behind the loop's back, without Remove.
	//
	// Do not rely on it. Only poll(2), a loop of [NewPoll], finds that out by itself,
	// in its next wait. The tables of epoll(7) and kqueue(2) lose such a descriptor
	// without a word: the loop learns of it when it next tells the kernel of another
	// interest, and a source whose interest never changes stays in the loop, deaf.
	Err error
}

func (e *SourceError) Error() string {
	return fmt.Sprintf("reactor: source %T, descriptor %d: %v", e.Source, e.FD, e.Err)
}

func (e *SourceError) Unwrap() error { return e.Err }
