package reactor_test

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/reactor"
)

// pollAdapter drives sources with poll(2) and no Loop at all: for a program that has
// a few of them and a poll loop of its own. It honours all that a source can say.
type pollAdapter []reactor.Source

// turn waits for one or more of the sources and calls those that are ready or due.
// What a source's error means is the program's business.
func (a pollAdapter) turn(failed func(reactor.Source, error)) error {
	fds, timeout := make([]unix.PollFd, len(a)), -1
	due := make([]time.Time, len(a))
	for i, s := range a {
		fd, write := s.GetSelectInfo()
		read := true
		if in, ok := s.(reactor.Interester); ok {
			fd, read, write = in.Interest()
		}
		fds[i].Fd = int32(fd)
		if read {
			fds[i].Events |= unix.POLLIN
		}
		if write {
			fds[i].Events |= unix.POLLOUT
		}
		if d, ok := s.(reactor.Deadliner); ok {
			if at, ok := d.NextDeadline(); ok {
				due[i] = at
				left := time.Until(at) + time.Millisecond - 1 // rounded up, or it would spin
				if ms := max(0, int(left/time.Millisecond)); timeout < 0 || ms < timeout {
					timeout = ms
				}
			}
		}
	}
	if _, err := unix.Poll(fds, timeout); err != nil && !errors.Is(err, unix.EINTR) {
		return err
	}
	for i, s := range a {
		if fds[i].Revents != 0 || !due[i].IsZero() && !due[i].After(time.Now()) {
			if _, err := s.TryProcessOneEvent(); err != nil {
				failed(s, err)
			}
		}
	}
	return nil
}

// An adapter for poll(2): sources without a Loop.
func Example_adapterPoll() {
	r, w := newPipe()
	ended := false
	source := &pipe{fd: r, line: func(s string) { fmt.Println("read:", s) }, end: func() { ended = true }}
	fmt.Fprint(fdWriter(w), "hello")
	unix.Close(w)
	for adapter := (pollAdapter{source}); !ended; {
		err := adapter.turn(func(_ reactor.Source, err error) {
			fmt.Println("finished:", err)
			unix.Close(r)
		})
		if err != nil {
			panic(err)
		}
	}
	// Output:
	// read: hello
	// finished: EOF
}
