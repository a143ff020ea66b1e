package conn

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Dialer.Trace is called while the queue is being worked on.
func TestTraceMustNotSend(t *testing.T) {
	var d Dialer
	var errs []error
	d.Trace = func(c *Client, line string) {
		if line == "C: DONE" {
			errs = append(errs, c.Send(nil, nil, "X"), c.SendCommand(new(Command), "X"), c.Continue("x"))
		}
	}
	r := newRig(t, &d, nil)
	cmd := &Command{OnContinue: func(c *Client, _ any, _ *Reply) {
		if err := c.Continue("DONE"); err != nil {
			t.Error(err)
		}
	}}
	if err := r.c.SendCommand(cmd, "IDLE"); err != nil {
		t.Fatal(err)
	}
	r.drive()
	r.say("+\r\n")
	for _, err := range errs {
		if !errors.Is(err, ErrMisuse) {
			t.Errorf("sending from Trace is refused: %v", err)
		}
	}
	if got := r.heard(); len(errs) != 3 || got != "a1 IDLE\r\nDONE\r\n" {
		t.Errorf("and what is sent stays what it was: %q, %v", got, errs)
	}
	mustSend(t, r.c, nil, "NOOP")
	if err := r.c.SendCommand(nil, "NOOP"); !errors.Is(err, ErrMisuse) {
		t.Errorf("no command at all is refused, too: %v", err)
	}
}

// A Trace that panics at the very end leaves no descriptor open.
func TestTracePanicsAtTheEnd(t *testing.T) {
	closed := 0
	r := newRig(t, &Dialer{
		Trace: func(_ *Client, line string) {
			if strings.HasPrefix(line, "# closed") {
				panic(line)
			}
		},
		OnClose: func(*Client, error) { closed++ },
	}, nil)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic reaches who closes")
			}
		}()
		_ = r.c.Close()
	}()
	r.heard() // TLS's close_notify
	var b [1]byte
	if n, err := unix.Read(r.server, b[:]); n != 0 || err != nil || closed != 1 {
		t.Errorf("the descriptor is closed and OnClose called: %d, %v, %d times", n, err, closed)
	}
}

// Lines without end, of either side, are cut before they are kept.
func TestTraceKeepsNoLongLines(t *testing.T) {
	longest := 0
	r := newRig(t, &Dialer{Trace: func(_ *Client, line string) { longest = max(longest, len(line)) }},
		func(r *rig) { r.maxWrite = 1000 })
	mustSend(t, r.c, nil, "X %a", strings.Repeat("x", 1<<20))
	kept := 0
	keep := func() { kept = max(kept, cap(r.c.trace.out), cap(r.c.trace.in), cap(r.c.trace.tail)) }
	for range 300 {
		if _, err := r.c.TryProcessOneEvent(); err != nil {
			t.Fatal(err)
		}
		for r.heard() != "" {
			keep()
		}
	}
	r.say("* X")
	for range 300 {
		r.say(strings.Repeat(" x", 50) + " {0}\r\n")
		keep()
	}
	r.say("\r\n")
	if kept > 4*maxTraceLine || longest > 2*maxTraceLine {
		t.Errorf("lines are cut to %d bytes: %d were kept, %d shown", maxTraceLine, kept, longest)
	}
}

// Bytes that have been written are gone, also if the Trace that they are shown to
// panics: they are not written again, and their command is not safe to retry.
func TestTracePanicsOverOutput(t *testing.T) {
	for _, end := range []string{"Close", "event"} {
		var lines []string
		retry := 0
		r := newRig(t, &Dialer{Trace: func(_ *Client, line string) {
			if lines = append(lines, line); strings.HasPrefix(line, "C: ") {
				panic(line)
			}
		}}, nil)
		for range 3 {
			mustSend(t, r.c, func(_ *Client, _ any, reply *Reply) {
				if SafeToRetry(reply.Err) {
					retry++
				}
			}, "A")
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: the panic reaches who drives the connection", end)
				}
			}()
			if end == "Close" {
				_ = r.c.Close()
			} else {
				_, _ = r.c.TryProcessOneEvent()
			}
		}()
		_ = r.c.Close()
		if got, want := r.heard(), "a1 A\r\na2 A\r\na3 A\r\n"; got != want || retry != 0 {
			t.Errorf("%s: what is written is written once and known to be: %q, %d safe to retry", end, got, retry)
		}
	}
}

// A Close in the very first line of a trace is a Close like any other.
func TestCloseInTheFirstTrace(t *testing.T) {
	closed := 0
	r := newRig(t, &Dialer{
		Trace:   func(c *Client, _ string) { _ = c.Close() },
		OnClose: func(*Client, error) { closed++ },
	}, nil)
	if closed != 0 {
		t.Error("nothing is called before Attach has returned")
	}
	if at, ok := r.c.NextDeadline(); !ok || at.After(r.clock) {
		t.Errorf("the last callbacks want a call now: %v %v", at, ok)
	}
	if _, err := r.c.TryProcessOneEvent(); err != ErrClosed || closed != 1 {
		t.Errorf("and have it: %v, %d times", err, closed)
	}
}
