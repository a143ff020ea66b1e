package conn_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
)

// traced is a scene whose want is the trace, without its first line.
type traced struct {
	says   string
	send   func(t *testing.T, c *conn.Client)
	script string
	want   []string
}

func (tc *traced) play(t *testing.T, cut *conntest.Cut) {
	var log conntest.Log
	d := &conn.Dialer{Trace: func(_ *conn.Client, line string) { log.Add(line) }}
	c, s := conntest.NewCut(t, d, cut)
	same(t, "the trace begins with the server's name", log.Take(), []string{"# connected to server.test"})
	if tc.send != nil {
		tc.send(t, c)
	}
	s.Play(tc.script)
	same(t, tc.says, log.Take(), tc.want)
}

// asked is a send of commands that may take secrets.
func asked(format string, args ...any) func(*testing.T, *conn.Client) {
	return func(t *testing.T, c *conn.Client) {
		t.Helper()
		for _, cmd := range []func() error{
			func() error { return c.Send(nil, nil, format, args...) },
			func() error { return c.Send(nil, nil, "NOOP") },
		} {
			if err := cmd(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func nonSync(send func(*testing.T, *conn.Client)) func(*testing.T, *conn.Client) {
	return func(t *testing.T, c *conn.Client) {
		c.SetFlags(conn.NonSyncLiteral)
		send(t, c)
	}
}

func TestTrace(t *testing.T) {
	for _, tc := range []traced{
		{
			says: "a string that went as a literal cannot forge a line either, waiting or not",
			send: func(t *testing.T, c *conn.Client) {
				asked("X %s {%s", "a\r\nC: b1 FORGED {3}\r\n", "b")(t, c)
				nonSync(asked("Y %s %s", "\nC: b1\n", "\xe4"))(t, c)
			},
			script: `
				C: a1 X {21}
				S: + go
				C> a\r\nC: b1 FORGED {3}\r\n {b\r\n
				C: a2 NOOP
				C> a3 Y {7+}\r\n\nC: b1\n {1+}\r\n\xe4\r\n
				C: a4 NOOP`,
			want: []string{
				"C: a1 X {21}",
				"S: + go",
				"C: <literal> {b",
				"C: a2 NOOP",
				"C: a3 Y {7+}",
				"C: <literal> {1+}",
				"C: <literal>",
				"C: a4 NOOP",
			},
		}, {
			says: "a trace has the lines of both sides, remarks, and literals without their contents",
			send: asked("APPEND x %l", []byte("a\r\nC: b1 FORGED\r\n")),
			script: `
				C: a1 APPEND x {17}
				S: + go
				C> a\r\nC: b1 FORGED\r\n\r\n
				C: a2 NOOP
				S: * 1 FETCH (BODY[] {17}
				S> a\r\nS: b1 FORGED\r\n X ~{0+}\r\n
				S: )
				S: a1 OK done
				S: b7 OK junk
				S: a2 NO
				S.`,
			want: []string{
				"C: a1 APPEND x {17}",
				"S: + go",
				"C: <literal>",
				"C: a2 NOOP",
				"S: * 1 FETCH (BODY[] {17}<literal> X ~{0+}<literal>)",
				"S: a1 OK done",
				"S: b7 OK junk",
				`# skipped: wire: server sent a malformed reply: a tagged reply to no pending command: "b7 OK junk"`,
				"S: a2 NO",
				"# closed: conn: the server closed the connection: EOF",
			},
		}, {
			says: "a secret that is an atom is ***",
			send: asked("LOGIN %s %p x", "user", "geheim"),
			script: `
				C: a1 LOGIN user geheim x
				C: a2 NOOP`,
			want: []string{"C: a1 LOGIN user *** x", "C: a2 NOOP"},
		}, {
			says: "a secret that is quoted is ***, quotes and all",
			send: asked("LOGIN %p %p", "us er", `ge"heim`),
			script: `
				C: a1 LOGIN "us er" "ge\"heim"
				C: a2 NOOP`,
			want: []string{"C: a1 LOGIN *** ***", "C: a2 NOOP"},
		}, {
			says: "a secret that is a literal is ***, its length too",
			send: asked("LOGIN user %p x", "ge\nheim\n"),
			script: `
				C: a1 LOGIN user {8}
				S: + go
				C> ge\nheim\n x\r\n
				C: a2 NOOP`,
			want: []string{"C: a1 LOGIN user ***", "S: + go", "C: *** x", "C: a2 NOOP"},
		}, {
			says: "two secrets that are literals are two ***",
			send: asked("LOGIN %p %p", "ü", "geheim\n"),
			script: `
				C: a1 LOGIN {2}
				S: +
				C: ü {7}
				S: +
				C> geheim\n\r\n
				C: a2 NOOP`,
			want: []string{"C: a1 LOGIN ***", "S: +", "C: *** ***", "S: +", "C: ***", "C: a2 NOOP"},
		}, {
			says: "a secret that is a literal which does not wait is one ***",
			send: nonSync(asked("LOGIN user %p x", "ge\r\nheim\n")),
			script: `
				C> a1 LOGIN user {9+}\r\nge\r\nheim\n x\r\n
				C: a2 NOOP`,
			want: []string{"C: a1 LOGIN user *** x", "C: a2 NOOP"},
		}, {
			says: "secrets that were never sent, because a literal was refused, are not shown, and those behind them are ***",
			send: func(t *testing.T, c *conn.Client) {
				asked("LOGIN %s %p", "ü", "geheim")(t, c)
				asked("LOGIN %p %p", "ü", "geheim")(t, c)
				asked("LOGIN %s %p", "user", "geheim")(t, c)
			},
			script: `
				C: a1 LOGIN {2}
				S: a1 NO
				C: a2 NOOP
				C: a3 LOGIN {2}
				S: a3 NO
				C: a4 NOOP
				C: a5 LOGIN user geheim
				C: a6 NOOP`,
			want: []string{
				"C: a1 LOGIN {2}", "S: a1 NO", "C: a2 NOOP",
				"C: a3 LOGIN ***", "S: a3 NO", "C: a4 NOOP",
				"C: a5 LOGIN user ***", "C: a6 NOOP",
			},
		}, {
			says: "what is said in an AUTHENTICATE dialogue is ***, other dialogues are shown",
			send: func(t *testing.T, c *conn.Client) {
				var ignored conntest.Log
				talk(t, c, &ignored, "a1", "AUTHENTICATE X", "Z2Vo", "ZWlt", "*")
				talk(t, c, &ignored, "a2", "authenticate x", "Z2Vo")
				talk(t, c, &ignored, "a3", "IDLE", "DONE")
				talk(t, c, &ignored, "a4", "AUTHENTICATED")
			},
			script: `
				C: a1 AUTHENTICATE X
				S: + Y2hhbGxlbmdl
				C: Z2Vo
				S: +
				C: ZWlt
				S: +
				C: *
				S: a1 NO
				C: a2 authenticate x
				S: +
				C: Z2Vo
				S: a2 OK
				C: a3 IDLE
				S: + idling
				C: DONE
				S: a3 OK`,
			want: []string{
				"C: a1 AUTHENTICATE X", "S: + Y2hhbGxlbmdl", "C: ***", "S: +", "C: ***", "S: +", "C: ***", "S: a1 NO",
				"C: a2 authenticate x", "S: +", "C: ***", "S: a2 OK",
				"C: a3 IDLE", "S: + idling", "C: DONE", "S: a3 OK",
				"C: a4 AUTHENTICATED",
			},
		}, {
			says: "the verb AUTHENTICATE may be an argument",
			send: func(t *testing.T, c *conn.Client) {
				cmd := &conn.Command{OnContinue: func(c *conn.Client, _ any, _ *conn.Reply) { _ = c.Continue("Z2Vo") }}
				if err := c.SendCommand(cmd, "%a %s", "AUTHENTICATE", "X"); err != nil {
					t.Fatal(err)
				}
			},
			script: `
				C: a1 AUTHENTICATE X
				S: +
				C: Z2Vo`,
			want: []string{"C: a1 AUTHENTICATE X", "S: +", "C: ***"},
		}, {
			says: "bytes that a terminal would obey are escaped",
			script: `
				S> * X \x1b[31m\x00\x7f\tü\r.\r\n* Y\n`,
			want: []string{`S: * X \x1b[31m\x00\x7f\x09\xc3\xbc\x0d.`, "S: * Y"},
		},
	} {
		t.Run(tc.says, func(t *testing.T) { conntest.EveryCut(t, tc.play) })
	}
}

func TestTraceOfLongLines(t *testing.T) {
	long := strings.Repeat("x", 996)
	(&traced{
		says: "a trace shows the first thousand bytes of a line",
		send: func(t *testing.T, c *conn.Client) {
			asked("X %a", long)(t, c) // with its tag a thousand and one bytes
		},
		script: "C: a1 X " + long + "\nC: a2 NOOP\nS: * X " + long + "\nS: * X " + long + "x\nS: * X " + long + " {1}\nS: yz",
		want: []string{
			"C: a1 X " + long[:995] + "...", "C: a2 NOOP",
			"S: * X " + long, "S: * X " + long + "...", "S: * X " + long + "...",
		},
	}).play(t, nil)
}

// A socket that takes a few bytes at a time does not tear the lines of a trace.
func TestTraceOfPartialWrites(t *testing.T) {
	var trace []string
	c, server := pair(t, &conn.Dialer{TagPrefix: "a", Trace: func(_ *conn.Client, line string) { trace = append(trace, line) }})
	fd, _ := c.GetSelectInfo()
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1); err != nil {
		t.Fatal(err)
	}
	c.SetFlags(conn.NonSyncLiteral)
	want := []string{"# connected to server.test"}
	var bytesWant strings.Builder
	for i := range 300 {
		secret := strings.Repeat("geheim", i)
		if i%2 == 0 {
			secret = "geheim " + secret[:min(len(secret), 900)]
		}
		data := bytes.Repeat([]byte("data"), i+1)
		if err := c.Send(nil, nil, "X %a %p %l y", "visible", secret, data); err != nil {
			t.Fatal(err)
		}
		tag := fmt.Sprint("a", i+1)
		want = append(want, fmt.Sprintf("C: %s X visible *** {%d+}", tag, len(data)), "C: <literal> y")
		fmt.Fprintf(&bytesWant, "%s X visible ", tag)
		switch {
		case len(secret) >= 1024:
			fmt.Fprintf(&bytesWant, "{%d+}\r\n%s", len(secret), secret)
		case i%2 == 0:
			fmt.Fprintf(&bytesWant, "%q", secret)
		default:
			bytesWant.WriteString(secret)
		}
		fmt.Fprintf(&bytesWant, " {%d+}\r\n%s y\r\n", len(data), data)
	}
	writes := c.Stats().Writes
	if got := server.drain(t, c); got != bytesWant.String() {
		t.Errorf("what is written in pieces arrives whole\n got: %d bytes\nwant: %d", len(got), bytesWant.Len())
	}
	if writes = c.Stats().Writes - writes; writes < 10 {
		t.Errorf("the socket takes a few bytes at a time\n got: %d writes", writes)
	}
	if !slices.Equal(trace, want) {
		t.Errorf("the trace has whole lines however they are written\n got: %q\nwant: %q", trace, want)
	}
}

func TestStats(t *testing.T) {
	const in = "* OK ready\r\n* 1 FETCH {5}\r\nhello\r\na1 X\r\n*\r\n+\r\nb1 OK\r\n+ go\r\na1 NO\r\na2 OK\r\n"
	const out = "a1 X {2}\r\nü\r\na2 NOOP\r\n"
	conntest.EveryCut(t, func(t *testing.T, cut *conntest.Cut) {
		c, s := conntest.NewCut(t, &conn.Dialer{}, cut)
		if got := c.Stats(); got != (conn.Stats{}) {
			t.Errorf("counters begin at 0\n got: %+v", got)
		}
		if err := c.Send(nil, nil, "X %s", "ü"); err != nil {
			t.Fatal(err)
		}
		if err := c.Send(nil, nil, "NOOP"); err != nil {
			t.Fatal(err)
		}
		s.Play(`
			C: a1 X {2}
			S: * OK ready
			S> * 1 FETCH {5}\r\nhello\r\n
			S: a1 X
			S: *
			S: + go
			C: ü
			C: a2 NOOP
			S: +
			S: b1 OK
			S: a1 NO
			S: a2 OK`)
		got := c.Stats()
		if got.Reads < 1 || got.Writes != 2 {
			t.Errorf("system calls that moved bytes are counted\n got: %d reads, %d writes", got.Reads, got.Writes)
		}
		got.Reads, got.Writes = 0, 0
		want := conn.Stats{
			BytesIn: uint64(len(in)), BytesOut: uint64(len(out)), Commands: 2, Replies: 9,
			Junk: conn.Junk{UnknownTag: 1, Malformed: 1, Continuation: 1},
		}
		if got != want {
			t.Errorf("counters do not depend on how bytes come\n got: %+v\nwant: %+v", got, want)
		}
		before := c.Stats()
		s.Play(`S.`)
		if c.Stats() != before {
			t.Errorf("counters stay after the end\n got: %+v\nwant: %+v", c.Stats(), before)
		}
	})
}
