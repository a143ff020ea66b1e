package conn_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
)

// junk is a check of what was skipped.
func junk(want conn.Junk) func(*testing.T, *conn.Client) {
	return func(t *testing.T, c *conn.Client) {
		t.Helper()
		if got := c.Stats().Junk; got != want {
			t.Errorf("lines that are skipped are counted by kind\n got: %+v\nwant: %+v", got, want)
		}
	}
}

// Each of these lines is skipped and counted, and costs no reply around it.
func TestJunk(t *testing.T) {
	malformed, continuation := conn.Junk{Malformed: 1}, conn.Junk{Continuation: 1}
	for _, tc := range []struct {
		name, line string // line: in Go escapes
		want       conn.Junk
	}{
		{"an empty line", ``, malformed},
		{"a CR", `\r`, malformed},
		{"a star alone", `*`, malformed},
		{"a star and a space", `* `, malformed},
		{"a number alone", `* 5`, malformed},
		{"a number and a space", `* 5 `, malformed},
		{"an empty keyword", `*  EXISTS`, malformed},
		{"an empty keyword behind a number", `* 5  EXISTS`, malformed},
		{"no space behind the star", `*OK ready`, malformed},
		{"a space in front", ` * OK ready`, malformed},
		{"a space alone", ` `, malformed},
		{"a word alone", `BYE`, malformed},
		{"our tag alone", `a1`, malformed},
		{"our tag and a space", `a1 `, malformed},
		{"our tag and an empty keyword", `a1  OK`, malformed},
		{"a number of 33 bits", `* 4294967296 EXISTS`, malformed},
		{"a number of 64 bits", `* 18446744073709551615 EXISTS`, malformed},
		{"a number of 65 bits", `* 18446744073709551617 EXISTS`, malformed},
		{"a number of 50 digits", `* ` + strings.Repeat("9", 50) + ` EXISTS`, malformed},
		{"a plus without a space", `+go`, malformed},
		{"two pluses", `++ go`, malformed},
		{"a stray plus", `+`, continuation},
		{"a stray plus with a space", `+ `, continuation},
		{"a stray plus with text", `+ go {5}`, continuation},
		{"an unknown tag", `b7 OK x`, conn.Junk{UnknownTag: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			conntest.EveryCut(t, (&scene{
				says: "a line that is no reply is skipped",
				send: commands("NOOP"),
				script: `
					C: a1 NOOP
					S: * OK before
					S> ` + tc.line + `\r\n
					S: * OK behind
					S: a1 OK done`,
				want:  []string{`* OK "before"`, `* OK "behind"`, `a1 OK "done"`},
				check: junk(tc.want),
			}).play)
		})
	}
}

// Whether a malformed line means the literal that it announces nobody can know.
func TestMalformedWithLiteral(t *testing.T) {
	for _, line := range []string{
		`{3}`, `* {3}`, `* 5 {3}`, `*  {3}`, ` X {3}`, `*X {3}`, `* 4294967296 FETCH {3}`, `a1 {3}`, `+X {3}`, `* 5  {3+}`, `* ~{3}`,
	} {
		t.Run(line, func(t *testing.T) {
			conntest.EveryCut(t, (&scene{
				says: "a malformed line that announces a literal ends the connection",
				dial: func(d *conn.Dialer, log *conntest.Log) { d.OnClose = closing(log) },
				send: commands("NOOP"),
				script: `
					C: a1 NOOP
					S: ` + line + `
					S: a1 OK done`,
				want: []string{`a1 EOF: syntax`, `closed: syntax`},
				err:  "syntax",
			}).play)
		})
	}
}

func TestJunkAllowance(t *testing.T) {
	kinds := []struct{ name, line string }{{"malformed", "*"}, {"continuation", "+"}, {"unknown tag", "b OK"}}
	for _, tc := range []struct {
		option, allowed int
		play            func(*testing.T, []scene)
	}{{0, 16, whole}, {2, 2, each}, {-1, 0, each}} {
		for _, kind := range kinds {
			t.Run(fmt.Sprintf("%d %s", tc.option, kind.name), func(t *testing.T) {
				allowed := strings.Repeat("S: "+kind.line+"\n", tc.allowed)
				dial := func(d *conn.Dialer, _ *conntest.Log) { d.JunkAllowance = tc.option }
				tc.play(t, []scene{
					{
						says:   "junk within the allowance is skipped",
						dial:   dial,
						send:   commands("NOOP"),
						script: "C: a1 NOOP\n" + allowed + "S: a1 OK",
						want:   []string{`a1 OK ""`},
					}, {
						says:   "a completed command resets the count of junk",
						dial:   dial,
						send:   commands("NOOP", "NOOP"),
						script: "C: a1 NOOP\n" + allowed + "S: a1 OK\n" + allowed + "S: a2 NO",
						want:   []string{`a1 OK ""`, `a2 NO ""`},
					}, {
						says:   "one more line of junk ends the connection, and nothing behind it is a reply",
						dial:   dial,
						send:   commands("NOOP"),
						script: "C: a1 NOOP\n" + allowed + "S: * OK still\nS: " + kind.line + "\nS: a1 OK",
						want:   []string{`* OK "still"`, `a1 EOF: syntax`},
						err:    "syntax",
					},
				})
			})
		}
	}
}

func TestJunkOfAllKinds(t *testing.T) {
	whole(t, []scene{{
		says: "junk of all kinds is counted together, and no untagged or intermediate reply resets the count",
		send: commands("NOOP", "NOOP"),
		script: `
			C: a1 NOOP
			` + strings.Repeat("S: *\nS: +\nS: b1 OK\nS: * X\nS: a1 X\n", 5) + `
			S: *
			S: *`,
		want: append(slices.Repeat([]string{`* X ""`, `a1 X ""`}, 5), `a1 EOF: syntax`, `a2 EOF: syntax`),
		err:  "syntax",
	}})
}

// A server that answers what it cannot have seen guesses, or worse.
func TestAnswerToUnwrittenCommand(t *testing.T) {
	literal := func(send sender) { send("LOGIN %s x", "ü"); send("NOOP") }
	each(t, []scene{
		{
			says: "only the connection's end says EOF: from the server it is junk",
			send: commands("NOOP"),
			script: `
				C: a1 NOOP
				S: a1 EOF it says
				S: a1 eof
				S: a1 OK done`,
			want:  []string{`a1 OK "done"`},
			check: junk(conn.Junk{Malformed: 2}),
		},
		{
			says: "a tagged OK for a command that waits in the queue is a protocol error",
			send: literal,
			script: `
				C: a1 LOGIN {2}
				S: a2 OK`,
			want: []string{`a1 EOF: syntax`, `a2 EOF: syntax, safe to retry`},
			err:  "syntax",
		}, {
			says: "so is a tagged NO",
			send: literal,
			script: `
				C: a1 LOGIN {2}
				S: a2 NO`,
			want: []string{`a1 EOF: syntax`, `a2 EOF: syntax, safe to retry`},
			err:  "syntax",
		}, {
			says: "so is an intermediate reply",
			send: literal,
			script: `
				C: a1 LOGIN {2}
				S: a2 X`,
			want: []string{`a1 EOF: syntax`, `a2 EOF: syntax, safe to retry`},
			err:  "syntax",
		}, {
			says: "a tagged OK for a half-written command is a protocol error",
			send: literal,
			script: `
				C: a1 LOGIN {2}
				S: a1 OK`,
			want: []string{`a1 EOF: syntax`, `a2 EOF: syntax, safe to retry`},
			err:  "syntax",
		}, {
			says: "an intermediate reply to a half-written command is its business",
			send: literal,
			script: `
				C: a1 LOGIN {2}
				S: a1 X
				S: + go
				C: ü x
				C: a2 NOOP
				S: a1 OK
				S: a2 OK`,
			want: []string{`a1 X ""`, `a1 OK ""`, `a2 OK ""`},
		},
	})
}

// The greeting and the guess come in one read, before the command can be sent.
func TestGuessedTag(t *testing.T) {
	for _, tc := range []struct {
		says   string
		before int // replies between the greeting and the guess
		loop   bool
	}{
		{"the guess follows the greeting", 0, false},
		{"the guess lies behind what one read takes", 14_000, false},
		{"the guess lies behind what a turn dispatches", 300, true},
		{"the guess lies behind what one read of a loop takes", 14_000, true},
	} {
		t.Run(tc.says, func(t *testing.T) {
			var log conntest.Log
			c, server := pair(t, &conn.Dialer{TagPrefix: "a", Callbacks: []conn.Callback{{Keyword: "OK", Proc: func(c *conn.Client, _ any, _ *conn.Reply) {
				if err := c.Send(told(&log, "a1"), nil, "NOOP"); err != nil {
					t.Error(err)
				}
			}}}})
			if tc.loop {
				c.SetNotify(func() {})
			}
			server.write(t, "* OK ready\r\n"+strings.Repeat("* X\r\n", tc.before)+"a1 OK guessed\r\n")
			var err error
			for did := true; did && err == nil; {
				did, err = c.TryProcessOneEvent()
			}
			same(t, "what was received is processed before a new command is written", log.Take(), []string{"a1 EOF: syntax, safe to retry"})
			if got := server.read(t); got != "" {
				t.Errorf("nothing is written\n got: %q", got)
			}
			if got := kind(c.Err()); got != "syntax" {
				t.Errorf("a guessed tag ends the connection\n got: %v", c.Err())
			}
		})
	}
}

// Warn is told of the first line that is skipped, and of no other.
func TestWarn(t *testing.T) {
	var warnings []string
	d := &conn.Dialer{Warn: func(_ *conn.Client, text string) { warnings = append(warnings, text) }}
	_, s := conntest.New(t, d)
	s.Play("S: * OK\nS: what\nS: + and\nS: a7 OK so")
	if len(warnings) != 1 || !strings.Contains(warnings[0], "what") {
		t.Errorf("a person is told once\n got: %q", warnings)
	}
}

// The allowance holds up to the largest that there is.
func TestLargestAllowance(t *testing.T) {
	for _, allowance := range []int{65_000, 1 << 40} {
		c, s := conntest.New(t, &conn.Dialer{JunkAllowance: allowance})
		s.Send(strings.Repeat("junk\r\n", 65_000))
		if c.Err() != nil {
			t.Errorf("65,000 lines are within an allowance of %d: %v", allowance, c.Err())
		}
		s.Send("junk\r\n")
		if kind(c.Err()) != "syntax" {
			t.Errorf("one more is not: %v", c.Err())
		}
	}
}
