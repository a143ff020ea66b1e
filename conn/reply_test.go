package conn_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/wire"
)

func TestLiteral(t *testing.T) {
	each(t, []scene{
		{
			says: "a literal stands in the text, with its header, however it is announced",
			script: `
				S: * 1 FETCH (BODY[] {5}
				S> hello)\r\n
				S: * 2 FETCH (BODY[]{5}
				S> hello)\r\n
				S: * X {5+}
				S> hello\r\n
				S: * X ~{5}
				S> hello\r\n
				S: * X ~{5+}
				S> hello\r\n
				S: * X {005}
				S> hello\r\n`,
			want: []string{
				`* 1 FETCH "(BODY[] {5}\r\nhello)"`, `* 2 FETCH "(BODY[]{5}\r\nhello)"`,
				`* X "{5+}\r\nhello"`, `* X "~{5}\r\nhello"`, `* X "~{5+}\r\nhello"`, `* X "{005}\r\nhello"`,
			},
		}, {
			says: "a reply may hold any number of literals",
			script: `
				S: * LIST () {1}
				S> / {3}\r\na b tail {2}\r\n\r\n {1+}\r\nx\r\n
				S: * OK next`,
			want: []string{`* LIST "() {1}\r\n/ {3}\r\na b tail {2}\r\n\r\n {1+}\r\nx"`, `* OK "next"`},
		}, {
			says: "a literal may be empty",
			script: `
				S: * X {0}
				S> \r\n
				S: * X a {0}
				S: {0}
				S:  b
				S: * OK next`,
			want: []string{`* X "{0}\r\n"`, `* X "a {0}\r\n{0}\r\n b"`, `* OK "next"`},
		}, {
			says: "what looks like protocol in a literal is data",
			send: commands("FETCH 1 BODY[]"),
			script: `
				C: a1 FETCH 1 BODY[]
				S: * 1 FETCH (BODY[] {31}
				S> * 5 EXISTS\r\na1 OK\r\n+ \r\n* BYE x)\r\n
				S: a1 OK done`,
			want: []string{`* 1 FETCH "(BODY[] {31}\r\n* 5 EXISTS\r\na1 OK\r\n+ \r\n* BYE x)"`, `a1 OK "done"`},
		}, {
			says: "a literal that ends like the header of one announces none",
			script: `
				S: * LIST () "/" {9}
				S> inbox {7}\r\n
				S: * LIST () "/" {3}
				S> {7}\r\n
				S: * OK next`,
			want: []string{`* LIST "() \"/\" {9}\r\ninbox {7}"`, `* LIST "() \"/\" {3}\r\n{7}"`, `* OK "next"`},
		}, {
			says: "a header within a quoted string announces nothing",
			script: `
				S: * X "a {3}
				S: * X "a \" {3}
				S: * X "a" {1}
				S> " {1}\r\nb\r\n
				S: * X "a \\" {1}
				S> b\r\n`,
			want: []string{`* X "\"a {3}"`, `* X "\"a \\\" {3}"`, `* X "\"a\" {1}\r\n\" {1}\r\nb"`, `* X "\"a \\\\\" {1}\r\nb"`},
		}, {
			says: "what is not quite a header is text",
			script: `
				S: * X {}
				S: * X {+}
				S: * X { 3}
				S: * X {3 }
				S: * X {-3}
				S: * X {3++}
				S: * X {3}x
				S> * X {3} \r\n
				S: * X 3}
				S: * X {0x3}`,
			want: []string{
				`* X "{}"`, `* X "{+}"`, `* X "{ 3}"`, `* X "{3 }"`, `* X "{-3}"`,
				`* X "{3++}"`, `* X "{3}x"`, `* X "{3} "`, `* X "3}"`, `* X "{0x3}"`,
			},
		}, {
			says: "status replies hold text for people, never a literal",
			send: commands("NOOP", "NOOP", "NOOP"),
			script: `
				C: a1 NOOP
				S: * OK hello {3}
				S: * no hello ~{3}
				S: * BAD hello {3+}
				S: * 5 OK hello {3}
				S: * Preauth hello {3}
				S: * BYE {3}
				S: a1 OK done {3}
				S: a2 no done {3+}
				S: a3 BAD {3}`,
			want: []string{
				`* OK "hello {3}"`, `* no "hello ~{3}"`, `* BAD "hello {3+}"`, `* 5 OK "hello {3}"`,
				`* Preauth "hello {3}"`, `* BYE "{3}"`, `a1 OK "done {3}"`, `a2 no "done {3+}"`, `a3 BAD "{3}"`,
			},
		}, {
			says: "any byte may be in a literal, and all but LF in text",
			script: `
				S: * X {5}
				S> \x00\xff\n\r+\r\n
				S> * X \x00\xff\t\x7f\r\n`,
			want: []string{"* X \"{5}\\r\\n\\x00\\xff\\n\\r+\"", `* X "\x00\xff\t\x7f"`},
		},
	})
}

func TestText(t *testing.T) {
	each(t, []scene{
		{
			says: "text is what follows the space behind the keyword, spaces and all",
			script: `
				S: * SEARCH
				S> * SEARCH \r\n
				S> * SEARCH  1  2 \r\n
				S> * 5 X\tY  z\r\n`,
			want: []string{`* SEARCH ""`, `* SEARCH ""`, `* SEARCH " 1  2 "`, "* 5 X\tY \" z\""},
		}, {
			says: "a bare LF ends a line and costs no byte",
			send: commands("NOOP"),
			script: `
				C: a1 NOOP
				S> * X hello\n* OK\n* Z \n* X {2}\nab\n* Y {0}\n\na1 OK done\n`,
			want: []string{`* X "hello"`, `* OK ""`, `* Z ""`, `* X "{2}\nab"`, `* Y "{0}\n"`, `a1 OK "done"`},
		}, {
			says: "a CR that ends no line is text",
			script: `
				S> * X a\rb\r\n* X a\r\r\n* X \r\n`,
			want: []string{`* X "a\rb"`, `* X "a\r"`, `* X ""`},
		},
	})
}

func TestTagged(t *testing.T) {
	each(t, []scene{
		{
			says: "tagged OK, NO and BAD of any case complete a command, with the spelling received",
			send: commands("A", "B", "C", "D", "E", "F"),
			script: `
				C: a1 A
				S: a1 OK [READ-ONLY] done
				S: a2 NO no
				S: a3 BAD bad
				S: a4 ok
				S: a5 nO no
				S: a6 Bad `,
			want: []string{
				`a1 OK "[READ-ONLY] done"`, `a2 NO "no"`, `a3 BAD "bad"`, `a4 ok ""`, `a5 nO "no"`, `a6 Bad ""`,
			},
		}, {
			says: "a command completes once, a second answer is to an unknown tag",
			send: commands("NOOP", "NOOP"),
			script: `
				C: a1 NOOP
				S: a1 OK
				S: a1 OK
				S: a1 BAD
				S: a2 OK
				S: a2 OK`,
			want:  []string{`a1 OK ""`, `a2 OK ""`},
			check: junk(conn.Junk{UnknownTag: 3}),
		}, {
			says: "commands complete in any order",
			send: commands("A", "B", "C", "D"),
			script: `
				C: a1 A
				C: a2 B
				C: a3 C
				C: a4 D
				S: a3 OK c
				S: * 1 EXISTS
				S: a4 NO d
				S: a1 OK a
				S: a3 OK again
				S: a2 BAD b`,
			want:  []string{`a3 OK "c"`, `* 1 EXISTS ""`, `a4 NO "d"`, `a1 OK "a"`, `a2 BAD "b"`},
			check: junk(conn.Junk{UnknownTag: 1}),
		}, {
			says: "other tagged replies are for the command too and leave it pending (ACAP, IMSP)",
			send: commands("SEARCH"),
			script: `
				C: a1 SEARCH
				S: a1 ENTRY "x" {8}
				S> a1 OK no\r\n
				S: a1 MODTIME "19970728105252"
				S: a1 entry
				S: a1 OK done
				S: a1 ENTRY late`,
			want: []string{
				`a1 ENTRY "\"x\" {8}\r\na1 OK no"`, `a1 MODTIME "\"19970728105252\""`, `a1 entry ""`, `a1 OK "done"`,
			},
			check: junk(conn.Junk{UnknownTag: 1}),
		}, {
			says: "a tag is compared byte by byte, not by its number",
			send: commands("A", "B"),
			script: `
				C: a1 A
				S: a01 OK zero
				S: A1 OK case
				S: 1 OK number
				S: a OK prefix
				S: a1x OK tail
				S: b1 OK other
				S: a0 OK none
				S: a3 OK future
				S: a18446744073709551617 OK wrapped
				S: a1. OK dot
				S: aa1 OK twice
				S> \x00a1 OK NUL\r\n
				S: a1 OK right
				S: a2 OK right`,
			want:  []string{`a1 OK "right"`, `a2 OK "right"`},
			check: junk(conn.Junk{UnknownTag: 12}),
		}, {
			says: "a command without finish completes in silence",
			dial: func(d *conn.Dialer, log *conntest.Log) {
				d.Callbacks = []conn.Callback{{Keyword: "OK", Proc: func(c *conn.Client, _ any, _ *conn.Reply) {
					_ = c.Send(nil, nil, "NOOP")
				}}}
			},
			script: `
				S: * OK ready
				C: a1 NOOP
				S: a1 X
				S: a1 OK
				S: a1 OK`,
			check: func(t *testing.T, c *conn.Client) {
				junk(conn.Junk{UnknownTag: 1})(t, c)
				if n := c.Stats().Commands; n != 1 {
					t.Errorf("a command without finish counts as completed\n got: %d", n)
				}
			},
		},
	})
}

func TestLimits(t *testing.T) {
	limits := func(d *conn.Dialer, _ *conntest.Log) {
		d.Limits = wire.Limits{Line: 20, Literal: 10, Reply: 50}
	}
	each(t, []scene{
		{
			says: "lines, literals and replies may be as long as their limits",
			dial: limits,
			script: `
				S: * X 6789 123456789 1
				S> * X 67890 {10}\r\n0123456789 345678901 {8}\r\n01234567\r\n
				S: * X`,
			want: []string{`* X "6789 123456789 1"`, `* X "67890 {10}\r\n0123456789 345678901 {8}\r\n01234567"`, `* X ""`},
		}, {
			says:   "a line of one byte more ends the connection",
			dial:   limits,
			script: `S: * X 6789 123456789 12`,
			err:    "limit of a line",
		}, {
			says:   "so does a line without end, at the byte that is too much",
			dial:   limits,
			script: `S> * X 6789 123456789 12`,
			err:    "limit of a line",
		}, {
			says:   "so does a line behind a literal",
			dial:   limits,
			script: `S> * X {1}\r\na23456789 123456789 12`,
			err:    "limit of a line",
		}, {
			says:   "a literal of one byte more ends the connection when its header comes",
			dial:   limits,
			script: `S: * X {11}`,
			err:    "limit of a literal",
		}, {
			says:   "a size that no integer holds is over the limit",
			script: `S: * X {99999999999999999999999999}`,
			err:    "limit of a literal",
		}, {
			says:   "the size 2^32 is over the limit and does not wrap",
			script: `S: * X {4294967296}`,
			err:    "limit of a literal",
		}, {
			says:   "a reply of one byte more ends the connection, by its text",
			dial:   limits,
			script: `S> * X 67890 {10}\r\n0123456789 345678901 {8}\r\n012345678`,
			err:    "limit of a reply",
		}, {
			says:   "or by the header of a literal",
			dial:   limits,
			script: `S> * X 67890 {10}\r\n0123456789 345678901 {9}\r\n`,
			err:    "limit of a reply",
		}, {
			says:   "a limit that is passed within a status line counts as well",
			dial:   limits,
			script: `S> * OK 6789 123456789 12`,
			err:    "limit of a line",
		},
	})
}

func TestDefaultLimits(t *testing.T) {
	const line, literal = 8 << 20, 64 << 20
	var text int
	dialer := func() *conn.Dialer {
		return &conn.Dialer{Callbacks: []conn.Callback{{Proc: func(_ *conn.Client, _ any, r *conn.Reply) { text = len(r.Text) }}}}
	}
	c, s := conntest.New(t, dialer())
	s.Send("* SEARCH " + strings.Repeat("1", line-len("* SEARCH ")) + "\r\n")
	if want := line - len("* SEARCH "); text != want || c.Err() != nil {
		t.Errorf("a line may have 8 MiB\n got: %d bytes of text, %v\nwant: %d", text, c.Err(), want)
	}
	s.Send("* SEARCH " + strings.Repeat("1", line-len("* SEARCH ")+1))
	if got := kind(c.Err()); got != "limit of a line" {
		t.Errorf("a line may not have a byte more\n got: %v", c.Err())
	}
	c, s = conntest.New(t, dialer())
	s.Send(fmt.Sprintf("* X {%d}\r\n", literal))
	if c.Err() != nil {
		t.Errorf("a literal may have 64 MiB\n got: %v", c.Err())
	}
	c, s = conntest.New(t, dialer())
	s.Send(fmt.Sprintf("* X {%d}\r\n", literal+1))
	if got := kind(c.Err()); got != "limit of a literal" {
		t.Errorf("a literal may not have a byte more\n got: %v", c.Err())
	}
}

// What a server sent can go to a log: it is cut, and quoted by Error.
func TestServerErrors(t *testing.T) {
	long := strings.Repeat("\x1b", 300)
	c, s := conntest.New(t, &conn.Dialer{JunkAllowance: -1})
	s.Send("*" + long + "\r\n")
	var syntax *wire.SyntaxError
	if !errors.As(c.Err(), &syntax) || len(syntax.Input) != 200 || syntax.Input[:2] != "*\x1b" {
		t.Errorf("a *wire.SyntaxError holds the first 200 bytes of what broke the rules\n got: %#v", c.Err())
	}
	if text := c.Err().Error(); strings.ContainsRune(text, '\x1b') || !strings.Contains(text, `\x1b`) {
		t.Errorf("its text quotes them\n got: %q", text)
	}
	c, s = conntest.New(t, &conn.Dialer{Limits: wire.Limits{Line: 250}})
	s.Send("* " + long)
	var limit *wire.LimitError
	if !errors.As(c.Err(), &limit) || limit.What != "line" || limit.Limit != 250 || len(limit.Input) != 200 {
		t.Errorf("a *wire.LimitError tells what and how much, and holds the first 200 bytes\n got: %#v", c.Err())
	}
}
