package conn

// Each of these tests fails when one certain check of the package is taken away that no
// other test would miss.

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/wire"
)

// One byte of it written, and nobody knows what the server made of a command.
func TestOneByteWritten(t *testing.T) {
	r := newRig(t, &Dialer{}, func(r *rig) { r.maxWrite = 1 })
	var got error
	mustSend(t, r.c, func(_ *Client, _ any, reply *Reply) { got = reply.Err }, "NOOP")
	if _, err := r.c.TryProcessOneEvent(); err != nil {
		t.Fatal(err)
	}
	r.hangUp()
	r.drive()
	if r.heard() != "a" || got == nil || SafeToRetry(got) {
		t.Errorf("a command that has begun to be written is not safe to retry: %v", got)
	}
}

// A callback that panics within Close leaves a connection that can be asked, not a busy one.
func TestPanicInClose(t *testing.T) {
	r := newRig(t, &Dialer{}, nil)
	mustSend(t, r.c, func(*Client, any, *Reply) { panic("callback") }, "NOOP")
	func() {
		defer func() { _ = recover() }()
		_ = r.c.Close()
	}()
	if _, err := r.c.TryProcessOneEvent(); err != ErrClosed {
		t.Errorf("after a panic in Close the connection has ended: %v", err)
	}
}

// After a panic nothing more is dispatched.
func TestPanicThenMore(t *testing.T) {
	heard := 0
	d := &Dialer{Callbacks: []Callback{{Keyword: "X", Proc: func(*Client, any, *Reply) {
		if heard++; heard == 1 {
			panic("callback")
		}
	}}}}
	r := newRig(t, d, nil)
	for range 2 {
		r.put("* X\r\n")
		func() {
			defer func() { _ = recover() }()
			_, _ = r.c.TryProcessOneEvent()
		}()
	}
	if heard != 1 || r.c.Err() != ErrPanicked {
		t.Errorf("after a panic nothing is dispatched: %d, %v", heard, r.c.Err())
	}
}

// The deadline comes between the look at it and the wait.
func TestDeadlineMeanwhile(t *testing.T) {
	looks := []time.Duration{0, 29 * time.Second, 31 * time.Second} // by Attach, by the event, by the wait
	d := &Dialer{Now: func() time.Time {
		at := looks[0]
		looks = looks[min(1, len(looks)-1):]
		return epoch.Add(at)
	}}
	r := newRig(t, d, func(r *rig) { r.pollErr = unix.ENOMEM })
	if err := r.c.ProcessOneEvent(); !errors.Is(err, unix.ENOMEM) {
		t.Fatal(err)
	}
	if r.timeout != 0 {
		t.Errorf("a deadline that has come is no wait without an end: %v", r.timeout)
	}
}

// Close in a callback ends the last words too.
func TestCloseInLastWords(t *testing.T) {
	heard := 0
	d := &Dialer{Callbacks: []Callback{{Keyword: "X", Proc: func(c *Client, _ any, _ *Reply) {
		if heard++; heard == 2 {
			_ = c.Close()
		}
	}}}}
	r := newRig(t, d, func(r *rig) { r.writeErr = unix.EPIPE })
	mustSend(t, r.c, nil, "NOOP")
	r.maxRead = len("* X\r\n")
	r.put(strings.Repeat("* X\r\n", 20))
	if r.drive(); heard != 2 || r.c.Err() != ErrClosed {
		t.Errorf("after Close no reply is dispatched: %d, %v", heard, r.c.Err())
	}
}

// Why a connection that cannot be written to has ended.
func TestLastWordsReason(t *testing.T) {
	for _, tc := range []struct {
		says, last string
		hangUp     bool
		write      error
		want       func(error) bool
	}{
		{"a hanging up is told as that", "", true, unix.EPIPE, func(err error) bool { return err == errHungUp }},
		{"one within a reply too", "* Y", true, unix.EPIPE, func(err error) bool { return err == errCutOff }},
		{"a peer that has vanished did not hang up", "", true, unix.ETIMEDOUT, func(err error) bool { return errors.Is(err, unix.ETIMEDOUT) && !errors.Is(err, io.EOF) }},
		{"nor within a reply", "* Y", true, unix.ETIMEDOUT, func(err error) bool {
			return errors.Is(err, unix.ETIMEDOUT) && !errors.Is(err, io.ErrUnexpectedEOF)
		}},
		{"what ends it before the writing does is the reason", "{3}\r\n", false, unix.ECONNRESET, func(err error) bool { return errors.As(err, new(*wire.SyntaxError)) }},
	} {
		r := newRig(t, &Dialer{}, func(r *rig) { r.writeErr = tc.write; r.maxRead = len("* X\r\n") })
		mustSend(t, r.c, nil, "NOOP")
		r.put("* X\r\n* X\r\n" + tc.last)
		if tc.hangUp {
			r.hangUp()
		}
		for r.c.Err() == nil {
			_, _ = r.c.TryProcessOneEvent()
		}
		if !tc.want(r.c.Err()) {
			t.Errorf("%s: %v", tc.says, r.c.Err())
		}
	}
}

// After the server has broken the protocol nothing is written any more.
func TestNothingWrittenAfterTheEnd(t *testing.T) {
	r := newRig(t, &Dialer{}, nil)
	mustSend(t, r.c, nil, "NOOP")
	if r.say("{3}\r\n"); r.c.Err() == nil || r.heard() != "" {
		t.Errorf("what was queued is not written after the end: %v", r.c.Err())
	}
}

// An answer that went out whole does not make the next one a begun line.
func TestRefusedBetweenAnswers(t *testing.T) {
	r := newRig(t, &Dialer{}, func(r *rig) { r.maxWrite = len("one\r\n") })
	answers := []string{"one", "two"}
	cmd := &Command{OnContinue: func(c *Client, _ any, _ *Reply) {
		if err := c.Continue(answers[0]); err != nil {
			t.Error(err)
		}
		answers = answers[1:]
	}}
	if err := r.c.SendCommand(cmd, "X"); err != nil {
		t.Fatal(err)
	}
	r.drive()
	got := r.heard()
	r.put("+\r\n+\r\n")
	if _, err := r.c.TryProcessOneEvent(); err != nil {
		t.Fatal(err)
	}
	mustSend(t, r.c, nil, "NOOP")
	r.say("a1 BAD\r\n")
	if got += r.heard(); got != "a1 X\r\none\r\na2 NOOP\r\n" {
		t.Errorf("an answer that has not begun is not sent: %q", got)
	}
}

// A "+" that comes while the header, or the literal behind it, is on its way is for nothing.
func TestContinuationMeanwhile(t *testing.T) {
	r := newRig(t, &Dialer{}, func(r *rig) { r.maxWrite = 3 })
	mustSend(t, r.c, nil, "X %l", []byte("literal"))
	step := func(plus string) {
		r.put(plus)
		if _, err := r.c.TryProcessOneEvent(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.c.TryProcessOneEvent(); err != nil {
		t.Fatal(err)
	}
	step("+\r\n")
	if r.drive(); r.heard() != "a1 X {7}\r\n" {
		t.Error("a + before the header is whole is not its answer")
	}
	step("+\r\n")
	step("+\r\n")
	if r.drive(); r.heard() != "literal\r\n" || r.c.stats.Junk.Continuation != 2 {
		t.Errorf("a + within the literal is for nothing: %+v", r.c.stats.Junk)
	}
}

// What the budget left is heard before anything is written.
func TestBacklogBeforeOutput(t *testing.T) {
	r := newRig(t, &Dialer{}, nil)
	r.c.SetNotify(func() {})
	mustSend(t, r.c, nil, "NOOP")
	r.put(strings.Repeat("* X\r\n", replyBudget+1))
	if _, err := r.c.TryProcessOneEvent(); err != nil || r.heard() != "" {
		t.Error("nothing is written before the server was heard out")
	}
	if r.drive(); r.heard() != "a1 NOOP\r\n" {
		t.Error("then it is")
	}
}

// The earliest of several limits holds, whoever has none, and whoever is done.
func TestEarliestTimeout(t *testing.T) {
	r := newRig(t, &Dialer{}, func(r *rig) { r.clock = epoch.Add(time.Hour) })
	r.say("* OK\r\n")
	left := func(want time.Duration) {
		t.Helper()
		if at, _ := r.c.NextDeadline(); at.Sub(r.clock) != want {
			t.Errorf("the wait ends in %v: %v", want, at.Sub(r.clock))
		}
	}
	for _, d := range []time.Duration{0, time.Hour} {
		if err := r.c.SendCommand(&Command{Timeout: d}, "NOOP"); err != nil {
			t.Fatal(err)
		}
	}
	r.drive()
	left(defaultCommand)
	for _, d := range []time.Duration{time.Second, time.Minute} {
		if err := r.c.SendCommand(&Command{Timeout: d}, "NOOP"); err != nil {
			t.Fatal(err)
		}
	}
	r.drive()
	left(time.Second)
	r.say("a3 OK\r\n")
	left(time.Minute)
}

// The budget may end just where what was read does.
func TestBudgetToTheByte(t *testing.T) {
	r := newRig(t, &Dialer{}, nil)
	r.c.SetNotify(func() {})
	r.say(strings.Repeat("* X\r\n", replyBudget))
	r.say("* X\r\n")
	if r.c.Err() != nil || r.c.stats.Replies != replyBudget+1 {
		t.Errorf("all replies are delivered: %d, %v", r.c.stats.Replies, r.c.Err())
	}
}

// After Close in a callback a layer's next replies are nobody's.
func TestCloseInLayer(t *testing.T) {
	n := 0
	r := newRig(t, &Dialer{Callbacks: []Callback{{Proc: func(c *Client, _ any, _ *Reply) { n++; _ = c.Close() }}}}, nil)
	client, server := stacks(2)
	layered(r, client)
	r.say(encode(t, server, "* 1 EXI")) // what is kept leaves little room for the next read
	r.say(encode(t, server, "STS\r\n"+strings.Repeat("* 1 EXISTS\r\n", 1000)))
	if n != 1 {
		t.Errorf("after Close nothing is dispatched: %d replies", n)
	}
}

// NO to a command of which nothing was written is a lie, however near its turn is,
// and so is OK while its last byte is not.
func TestAnswerTooSoon(t *testing.T) {
	for _, tc := range []struct {
		written int
		says    string
	}{{0, "a1 NO\r\n"}, {0, "a1 X\r\n"}, {len("a1 NOOP\r"), "a1 OK\r\n"}} {
		r := newRig(t, &Dialer{}, func(r *rig) { r.maxWrite = tc.written; r.writeErr = unix.EAGAIN })
		mustSend(t, r.c, nil, "NOOP")
		if tc.written > 0 {
			r.writeErr = nil
			if _, err := r.c.TryProcessOneEvent(); err != nil {
				t.Fatal(err)
			}
			r.writeErr = unix.EAGAIN
		}
		if r.say(tc.says); !errors.As(r.c.Err(), new(*wire.SyntaxError)) {
			t.Errorf("%q when %d bytes were written ends the connection: %v", tc.says, tc.written, r.c.Err())
		}
	}
}

// Which tagged replies teach capabilities, and complete.
func TestTagged(t *testing.T) {
	r := newRig(t, &Dialer{}, nil)
	var got []string
	for range 2 {
		mustSend(t, r.c, func(_ *Client, _ any, reply *Reply) { got = append(got, reply.Keyword) }, "NOOP")
	}
	r.drive()
	r.say("* OK\r\nb1 OK [CAPABILITY A] x\r\na1 BYE\r\na1 PREAUTH\r\na1 NO [CAPABILITY A] x\r\na2 BAD [CAPABILITY A] x\r\n")
	if r.c.Capabilities() != "" {
		t.Errorf("only the OK of a pending command teaches: %q", r.c.Capabilities())
	}
	if strings.Join(got, " ") != "BYE PREAUTH NO BAD" || r.c.stats.Commands != 2 {
		t.Errorf("only OK, NO and BAD complete: %q, %d", got, r.c.stats.Commands)
	}
}

// A line that ends the connection is told, but not at any length, nor with a secret in it.
func TestErrorText(t *testing.T) {
	r := newRig(t, &Dialer{JunkAllowance: -1}, nil)
	r.say("b1 OK " + strings.Repeat("x", 5000) + "\r\n")
	var syntax *wire.SyntaxError
	if !errors.As(r.c.Err(), &syntax) || len(syntax.Input) != 200 {
		t.Errorf("an error quotes 200 bytes: %v", r.c.Err())
	}
	r = newRig(t, &Dialer{Limits: wire.Limits{Line: 30}}, nil)
	r.say("* OK\r\n")
	mustSend(t, r.c, nil, "LOGIN %s %p", "alice", "hunter2")
	r.drive()
	r.say("* X LOGIN alice hunter2 and much more\r\n")
	if err := r.c.Err(); !errors.As(err, new(*wire.LimitError)) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("nobody is told the secret: %v", err)
	}
}

// ClearFlags clears what it is told to.
func TestClearFlags(t *testing.T) {
	for _, tc := range []struct {
		flags []Flags
		want  wire.Literals
	}{{[]Flags{0}, wire.NonSynchronizing}, {[]Flags{NonSyncLiteral, 0}, wire.Synchronizing}} {
		r := newRig(t, &Dialer{}, nil)
		r.say("* OK [CAPABILITY LITERAL+] x\r\n")
		for _, f := range tc.flags {
			r.c.ClearFlags(f)
		}
		if r.c.literals() != tc.want {
			t.Errorf("after ClearFlags %v: %v", tc.flags, r.c.literals())
		}
	}
}

// A connection that is closing wants nothing.
func TestClosingWantsNothing(t *testing.T) {
	d := &Dialer{Callbacks: []Callback{{Proc: func(c *Client, _ any, _ *Reply) {
		mustSend(t, c, nil, "NOOP")
		_ = c.Close()
		if _, read, write := c.Interest(); read || write {
			t.Errorf("after Close nothing is to be waited for: %v, %v", read, write)
		}
	}}}}
	r := newRig(t, d, nil)
	r.say("* OK\r\n")
}

// A list that is not kept leaves nothing of the one before.
func TestForgottenList(t *testing.T) {
	for _, list := range []string{strings.Repeat("X", maxList+1), "{1}\r\nX"} {
		r := newRig(t, &Dialer{}, nil)
		r.say("* OK [CAPABILITY LITERAL+ LITERAL- XYZ] x\r\n")
		if !r.c.Has("xyz") {
			t.Error("case does not count in Z")
		}
		r.say("* CAPABILITY " + list + "\r\n")
		if r.c.literals() != wire.Synchronizing {
			t.Error("with nothing known literals wait")
		}
	}
}
