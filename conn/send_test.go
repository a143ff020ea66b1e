package conn_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/wire"
)

func TestSendErrors(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for _, tc := range []struct {
		name, format string
		args         []any
	}{
		{"unknown verb", "X %x", []any{1}},
		{"% at the end", "X %", nil},
		{"missing argument", "X %s %s", []any{"a"}},
		{"superfluous argument", "X %s", []any{"a", "b"}},
		{"nil argument", "X %s", []any{nil}},
		{"empty command", "", nil},
		{"number for a string", "X %s", []any{5}},
		{"string for a number", "X %d", []any{"5"}},
		{"unsigned for a signed number", "X %d", []any{5, uint(5)}},
		{"signed for an unsigned number", "X %u", []any{5}},
		{"string for a list", "X %v", []any{"a"}},
		{"string for a literal", "X %l", []any{"a"}},
		{"CR in the format", "X\rY", nil},
		{"LF in the format", "X\nY", nil},
		{"NUL in the format", "X\x00Y", nil},
		{"CR LF in the format, behind a good argument", "X %s\r\na2 Y", []any{"a"}},
		{"CR in an atom", "X %a", []any{"a\rb"}},
		{"LF in an atom", "X %a", []any{"a\nb"}},
		{"space in an atom", "X %a", []any{"a b"}},
		{"empty atom", "X %a", []any{""}},
		{"CR LF in a checked text", "X %a", []any{wire.Text("a\r\nb")}},
		{"NUL in a string", "X %s", []any{"a\x00b"}},
		{"NUL in a secret", "LOGIN x %p", []any{"a\x00b"}},
		{"NUL in a list", "X %v", []any{[]string{"a", "b\x00"}}},
		{"error behind a literal that waits", "X %s %a", []any{"ü", ""}},
		{"error behind a literal by reference", "X %l %a", []any{[]byte("data"), ""}},
		{"error behind a long string", "X %s %a", []any{long, ""}},
		{"an end that is the header of a literal", "X {5}", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var log conntest.Log
			c, s := conntest.New(t, &conn.Dialer{OnClose: closing(&log)})
			err := c.Send(told(&log, "refused"), nil, tc.format, tc.args...)
			var format *wire.FormatError
			if !errors.As(err, &format) {
				t.Errorf("a wrong command is refused with a *wire.FormatError\n got: %v", err)
			}
			if !errors.Is(err, conn.ErrMisuse) {
				t.Errorf("and that is the caller's fault\n got: %v", err)
			}
			if _, wantToWrite := c.GetSelectInfo(); wantToWrite {
				t.Error("after an error nothing is to be written")
			}
			s.ExpectNothing()
			if err := c.Send(told(&log, "a1"), nil, "NOOP"); err != nil {
				t.Fatal(err)
			}
			if err := c.Send(told(&log, "refused"), nil, tc.format, tc.args...); err == nil {
				t.Error("a wrong command is refused also behind another one")
			}
			if err := c.Send(told(&log, "a2"), nil, "CHECK"); err != nil {
				t.Fatal(err)
			}
			s.Play(`
				C: a1 NOOP
				C: a2 CHECK
				C-
				S: a1 OK
				S: a2 OK
				S.`)
			same(t, "an error costs neither a tag nor a completion, and leaves the connection as it was",
				log.Take(), []string{`a1 OK ""`, `a2 OK ""`, "closed: EOF"})
		})
	}
}

// Each verb arrives as wire formats it; wire's own tests have the hard cases.
func TestSendVerbs(t *testing.T) {
	each(t, []scene{{
		says: "commands are sent with their tag and line end",
		send: func(send sender) {
			send("NOOP")
			send("X 100%% %a %a", "atom", wire.Text("1:* (FLAGS)"))
			send("X %s %s %s", "atom", "two words", `a"b\c`)
			send("X %d %u", -5, uint64(1<<64-1))
			send("X (%v)", []string{"a", "", "NIL"})
			send("LOGIN %s %p", "user", "pass word")
		},
		script: `
			C: a1 NOOP
			C: a2 X 100% atom 1:* (FLAGS)
			C: a3 X atom "two words" "a\"b\\c"
			C: a4 X -5 18446744073709551615
			C: a5 X (a "" "NIL")
			C: a6 LOGIN user "pass word"
			C-`,
	}})
}

func TestPipelining(t *testing.T) {
	const n = 1000
	var log conntest.Log
	c, s := conntest.New(t, &conn.Dialer{})
	send := sending(t, c, &log)
	var out, in strings.Builder
	var want []string
	for i := 1; i <= n; i++ {
		send("NOOP")
		fmt.Fprintf(&out, "a%d NOOP\r\n", i)
		fmt.Fprintf(&in, "* %d EXISTS\r\na%d OK %d\r\n", i, i, i)
		want = append(want, fmt.Sprintf(`a%d OK "%d"`, i, i))
	}
	s.Expect(out.String())
	s.Send(in.String())
	same(t, "a thousand commands are answered in order", log.Take(), want)
	if w := c.Stats().Writes; w != 1 {
		t.Errorf("a thousand short commands are one write\n got: %d", w)
	}

	// Once more in any order, with the numbers going on.
	answers := make([]string, n)
	for i := range answers {
		send("NOOP")
		answers[i] = fmt.Sprintf("a%d", n+i+1)
	}
	s.Drive()
	rand.New(rand.NewPCG(1, 2)).Shuffle(n, func(i, j int) { answers[i], answers[j] = answers[j], answers[i] })
	for _, tag := range answers {
		s.Send(tag + " NO\r\n")
	}
	for i := range answers {
		answers[i] += ` NO ""`
	}
	same(t, "a thousand commands complete in whatever order the server likes", log.Take(), answers)
	if got, want := c.Stats().Commands, uint64(2*n); got != want {
		t.Errorf("completed commands are counted\n got: %d\nwant: %d", got, want)
	}
}

// One command that the server is slow to answer does not hold back the others.
func TestSlowCommandAmongMany(t *testing.T) {
	var log conntest.Log
	c, s := conntest.New(t, &conn.Dialer{})
	send := sending(t, c, &log)
	send("SEARCH")
	s.Play(`C: a1 SEARCH`)
	for i := 2; i <= 300; i++ {
		send("NOOP")
		s.Play(fmt.Sprintf("C: a%d NOOP\nS: a%d OK", i, i))
	}
	if got := len(log.Take()); got != 299 {
		t.Errorf("later commands complete while the first is pending\n got: %d\nwant: 299", got)
	}
	s.Play(`S: a1 OK found`)
	same(t, "the slow command completes at last", log.Take(), []string{`a1 OK "found"`})
}

func TestWantToWrite(t *testing.T) {
	c, s := conntest.New(t, &conn.Dialer{})
	is := func(says string, want bool) {
		t.Helper()
		fd, got := c.GetSelectInfo()
		ifd, read, write := c.Interest()
		if got != want || write != want || !read || fd < 0 || fd != ifd {
			t.Errorf("%s\n got: GetSelectInfo %d %t, Interest %d %t %t\nwant to write: %t", says, fd, got, ifd, read, write, want)
		}
	}
	is("a new connection wants to read only", false)
	if err := c.Send(nil, nil, "LOGIN %s %s", "ü", "ö"); err != nil {
		t.Fatal(err)
	}
	is("a queued command is to be written", true)
	s.Play(`C: a1 LOGIN {2}`)
	is("bytes behind a + that has not come do not count", false)
	if err := c.Send(nil, nil, "NOOP"); err != nil {
		t.Fatal(err)
	}
	is("neither does a command behind them", false)
	s.Play(`
		S: +
		C: ü {2}`)
	is("nor the second literal", false)
	s.Play(`
		S: +
		C: ö
		C: a2 NOOP`)
	is("all is written", false)
	if err := c.SendCommand(&conn.Command{OnContinue: func(*conn.Client, any, *conn.Reply) {}}, "IDLE"); err != nil {
		t.Fatal(err)
	}
	is("a dialogue's command is to be written", true)
	if err := c.Send(nil, nil, "NOOP"); err != nil {
		t.Fatal(err)
	}
	s.Play(`C: a3 IDLE`)
	is("a command behind a dialogue waits", false)
	if err := c.Continue("DONE"); err != nil {
		t.Fatal(err)
	}
	is("an answer waits for its +", false)
	s.Play(`
		S: + idling
		C: DONE`)
	is("the dialogue is not over before its tagged reply", false)
	s.Play(`
		S: a3 OK
		C: a4 NOOP`)
	is("all is written again", false)
	s.Play(`S.`)
	if fd, write := c.GetSelectInfo(); fd != -1 || write {
		t.Errorf("after the end there is no descriptor\n got: %d %t", fd, write)
	}
}

// A peer that does not read makes the client wait for it, not grow or fail.
func TestFullSocket(t *testing.T) {
	c, server := pair(t, &conn.Dialer{TagPrefix: "a"})
	c.SetFlags(conn.NonSyncLiteral)
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	if err := c.Send(nil, nil, "APPEND x %l", data); err != nil {
		t.Fatal(err)
	}
	settle(t, c)
	if _, wantToWrite := c.GetSelectInfo(); !wantToWrite {
		t.Error("what a full socket did not take is still to be written")
	}
	want := "a1 APPEND x {1048576+}\r\n" + string(data) + "\r\n"
	if got := server.drain(t, c); got != want {
		t.Errorf("a command that a full socket took in pieces arrives whole\n got: %d bytes\nwant: %d", len(got), len(want))
	}
}
