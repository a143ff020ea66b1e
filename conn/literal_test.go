package conn_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
)

func TestSynchronizingLiteral(t *testing.T) {
	login := func(send sender) { send("LOGIN %s %s", "ü", "x"); send("NOOP") }
	double := func(send sender) { send("LOGIN %s %s", "ü", "ö"); send("NOOP") }
	each(t, []scene{
		{
			says: "a literal waits for the server's +, and later commands behind it",
			send: login,
			script: `
				C: a1 LOGIN {2}
				C-
				S: + go ahead
				C: ü x
				C: a2 NOOP
				C-
				S: a1 OK in
				S: a2 OK`,
			want: []string{`a1 OK "in"`, `a2 OK ""`},
		}, {
			says: "a + needs neither space nor text",
			send: double,
			script: `
				C: a1 LOGIN {2}
				C-
				S: +
				C: ü {2}
				C-
				S> + \r\n
				C: ö
				C: a2 NOOP
				C-`,
		}, {
			says: "NO in place of the + drops the rest of the command",
			send: login,
			script: `
				C: a1 LOGIN {2}
				C-
				S: a1 NO too long
				C: a2 NOOP
				C-
				S: a2 OK`,
			want: []string{`a1 NO "too long"`, `a2 OK ""`},
		}, {
			says: "BAD does too",
			send: login,
			script: `
				C: a1 LOGIN {2}
				S: a1 bad
				C: a2 NOOP
				C-`,
			want: []string{`a1 bad ""`},
		}, {
			says: "of two literals the second can be refused",
			send: double,
			script: `
				C: a1 LOGIN {2}
				S: + go
				C: ü {2}
				C-
				S: a1 NO
				C: a2 NOOP
				C-
				S: a2 OK`,
			want: []string{`a1 NO ""`, `a2 OK ""`},
		}, {
			says: "two literals refused at the first are both dropped",
			send: double,
			script: `
				C: a1 LOGIN {2}
				S: a1 NO
				C: a2 NOOP
				C-`,
			want: []string{`a1 NO ""`},
		}, {
			says: "a + after a refusal is for nobody",
			send: login,
			script: `
				C: a1 LOGIN {2}
				S: a1 NO
				C: a2 NOOP
				S: + late
				C-`,
			want:  []string{`a1 NO ""`},
			check: junk(conn.Junk{Continuation: 1}),
		}, {
			says: "the next command's literal waits for its own +",
			send: func(send sender) { send("LOGIN %s %s", "ü", "x"); send("SELECT %s", "ö") },
			script: `
				C: a1 LOGIN {2}
				S: a1 NO
				C: a2 SELECT {2}
				C-
				S: +
				C: ö
				S: a2 OK`,
			want: []string{`a1 NO ""`, `a2 OK ""`},
		}, {
			says: "a tagged OK in place of the + is a protocol error",
			send: login,
			script: `
				C: a1 LOGIN {2}
				S: a1 OK done`,
			want: []string{`a1 EOF: syntax`, `a2 EOF: syntax, safe to retry`},
			err:  "syntax",
		}, {
			says: "the end of the connection in place of the + completes the commands",
			send: login,
			script: `
				C: a1 LOGIN {2}
				S.`,
			want: []string{`a1 EOF: EOF`, `a2 EOF: EOF, safe to retry`},
			err:  "EOF",
		}, {
			says: "while a literal waits, other replies are delivered",
			send: func(send sender) { send("NOOP"); send("LOGIN %s %s", "ü", "x") },
			script: `
				C: a1 NOOP
				C: a2 LOGIN {2}
				S: * 5 EXISTS
				S: a1 OK
				S: * X {4}
				S> + x\n\r\n
				C-
				S: + go
				C: ü x`,
			want: []string{`* 5 EXISTS ""`, `a1 OK ""`, `* X "{4}\r\n+ x\n"`},
		}, {
			says: "a + is one literal's",
			send: double,
			script: `
				C: a1 LOGIN {2}
				S: +
				C: ü {2}
				C-
				S: +
				C: ö
				C: a2 NOOP
				S: +
				C-`,
			check: junk(conn.Junk{Continuation: 1}),
		}, {
			says: "an empty literal waits too",
			send: func(send sender) { send("X %l", []byte{}); send("NOOP") },
			script: `
				C: a1 X {0}
				C-
				S: +
				C> \r\n
				C: a2 NOOP`,
		},
	})
}

// A "+" that came before the literal's header was sent is not remembered.
func TestEarlyContinuation(t *testing.T) {
	conntest.EveryCut(t, func(t *testing.T, cut *conntest.Cut) {
		c, s := conntest.NewCut(t, &conn.Dialer{}, cut)
		s.Play(`S: + early`)
		if err := c.Send(nil, nil, "LOGIN %s x", "ü"); err != nil {
			t.Fatal(err)
		}
		s.Play(`
			C: a1 LOGIN {2}
			C-
			S: + now
			C: ü x`)
		junk(conn.Junk{Continuation: 1})(t, c)
	})
}

// The + and the NO come in one read: the literal has begun, as far as the server
// can tell, and is sent to its end.
func TestRefusedInMidLiteral(t *testing.T) {
	conntest.EveryCut(t, func(t *testing.T, cut *conntest.Cut) {
		var log conntest.Log
		data := bytes.Repeat([]byte("0123456789abcde\n"), 1<<13)
		c, s := conntest.NewCut(t, &conn.Dialer{}, cut)
		if err := c.Send(told(&log, "a1"), nil, "APPEND x %l", data); err != nil {
			t.Fatal(err)
		}
		if err := c.Send(told(&log, "a2"), nil, "NOOP"); err != nil {
			t.Fatal(err)
		}
		s.Play(`C: a1 APPEND x {131072}`)
		s.Send("+\r\na1 NO full\r\n")
		s.Expect(string(data) + "\r\na2 NOOP\r\n")
		s.Play(`S: a2 OK`)
		same(t, "a literal that has begun is sent to its end though the command is refused", log.Take(),
			[]string{`a1 NO "full"`, `a2 OK ""`})
	})
}

func TestNonSyncLiteral(t *testing.T) {
	conntest.EveryCut(t, func(t *testing.T, cut *conntest.Cut) {
		var log conntest.Log
		c, s := conntest.NewCut(t, &conn.Dialer{}, cut)
		send := sending(t, c, &log)
		c.SetFlags(conn.NonSyncLiteral)
		send("LOGIN %s %s", "ü", "ö")
		send("APPEND x %l", []byte("data"))
		send("APPEND x %L", []byte{0})
		c.ClearFlags(conn.NonSyncLiteral)
		send("SELECT %s", "ü")
		send("NOOP")
		s.Play(`
			C: a1 LOGIN {2+}
			C: ü {2+}
			C: ö
			C: a2 APPEND x {4+}
			C: data
			C> a3 APPEND x ~{1+}\r\n\x00\r\n
			C: a4 SELECT {2}
			C-
			S: a1 NO
			S: a3 OK
			C-
			S: +
			C: ü
			C: a5 NOOP
			S: a2 OK`)
		same(t, "with NonSyncLiteral literals do not wait; the flag counts when a command is sent", log.Take(),
			[]string{`a1 NO ""`, `a3 OK ""`, `a2 OK ""`})
		junk(conn.Junk{})(t, c)
	})
}

// The caller's bytes go out from where they are.
func TestLiteralByReference(t *testing.T) {
	for _, flags := range []conn.Flags{0, conn.NonSyncLiteral} {
		var log conntest.Log
		data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
		c, s := conntest.New(t, &conn.Dialer{})
		c.SetFlags(flags)
		send := sending(t, c, &log)
		send("APPEND x %l", data)
		send("APPEND x (%l %l)", []byte("short"), data[:100])
		copy(data, "changed") // nobody should; here it shows that nothing was copied
		plus, wait := "+", ""
		if flags == 0 {
			plus, wait = "", "C-\nS: +\n"
		}
		s.Play("C: a1 APPEND x {1048576" + plus + "}\n" + wait)
		s.Expect(string(data) + "\r\n")
		s.Play("C: a2 APPEND x ({5" + plus + "}\n" + wait + "C: short {100" + plus + "}\n" + wait)
		s.Expect(string(data[:100]) + ")\r\n")
		s.Play(`
			C-
			S: a2 OK
			S: a1 OK`)
		same(t, "commands with literals by reference complete", log.Take(), []string{`a2 OK ""`, `a1 OK ""`})
		if got, least := c.Stats().BytesOut, uint64(len(data)+5+100); got < least {
			t.Errorf("the bytes of literals count as bytes out\n got: %d\nwant: at least %d", got, least)
		}
	}
}

func TestManyLiteralsByReference(t *testing.T) {
	const n = 100 // more than one writev takes
	c, s := conntest.New(t, &conn.Dialer{})
	c.SetFlags(conn.NonSyncLiteral)
	var want strings.Builder
	for i := range n {
		text := fmt.Sprintf("message %d", i)
		if err := c.Send(nil, nil, "APPEND x %l", []byte(text)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&want, "a%d APPEND x {%d+}\r\n%s\r\n", i+1, len(text), text)
	}
	s.Expect(want.String())
	s.ExpectNothing()
}
