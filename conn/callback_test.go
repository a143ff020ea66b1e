package conn_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
)

// entry is a Callback whose replies are logged under a name; without a name it
// has no Proc.
type entry struct {
	keyword string
	flags   conn.CallbackFlags
	name    string
}

func (e entry) callback(log *conntest.Log) conn.Callback {
	cb := conn.Callback{Keyword: e.keyword, Flags: e.flags}
	if e.name != "" {
		cb.Proc = told(log, e.name)
	}
	return cb
}

// entries is the dial of a scene: the Dialer's callbacks.
func entries(list ...entry) func(*conn.Dialer, *conntest.Log) {
	return func(d *conn.Dialer, log *conntest.Log) {
		d.Callbacks = nil
		for _, e := range list {
			d.Callbacks = append(d.Callbacks, e.callback(log))
		}
	}
}

const (
	numbered  = conn.CallbackNumbered
	noLiteral = conn.CallbackNoLiteral
)

func TestLookup(t *testing.T) {
	each(t, []scene{
		{
			says:   "callbacks of the Dialer get the greeting",
			dial:   entries(entry{"OK", 0, "greeting"}),
			script: `S: * OK [CAPABILITY IMAP4rev2] ready`,
			want:   []string{`greeting OK "[CAPABILITY IMAP4rev2] ready"`},
		}, {
			says: "the first entry with the keyword gets the reply, in order of registration",
			dial: entries(entry{"LIST", 0, "first"}, entry{"LIST", noLiteral, "second"}),
			script: `
				S: * LIST a`,
			want: []string{`first LIST "a"`},
		}, {
			says: "but entries for bare lines of OK, NO, BAD and BYE come first, whenever they were added",
			dial: entries(
				entry{"OK", 0, "ok"}, entry{"OK", noLiteral, "ok line"}, entry{"NO", 0, "no"}, entry{"no", noLiteral, "no line"},
				entry{"BAD", 0, "bad"}, entry{"BAD", noLiteral, "bad line"}, entry{"BYE", 0, "bye"}, entry{"BYE", noLiteral, "bye line"},
				entry{"PREAUTH", 0, "preauth"}, entry{"PREAUTH", noLiteral, "preauth line"},
				entry{"OK", numbered, "ok 5"}, entry{"OK", numbered | noLiteral, "ok 5 line"}, entry{"OK", noLiteral, "late"}),
			script: `
				S: * PREAUTH
				S: * OK
				S: * NO
				S: * BAD
				S: * 5 OK
				S: * BYE`,
			want: []string{`preauth PREAUTH ""`, `late OK ""`, `no line NO ""`, `bad line BAD ""`, `ok 5 5 OK ""`, `bye line BYE ""`},
		}, {
			says: "a keyword is a whole word",
			dial: entries(entry{"LIST", 0, "list"}, entry{"", 0, "default"}),
			script: `
				S: * LISTS a
				S: * LIS a
				S: * LIST`,
			want: []string{`default LISTS "a"`, `default LIS "a"`, `list LIST ""`},
		}, {
			says: "the default is the entry without keyword and flags, wherever it stands, and gets numbered replies too",
			dial: entries(entry{"", 0, "default"}, entry{"EXISTS", numbered, "exists"}, entry{"FLAGS", 0, "flags"}),
			script: `
				S: * 5 EXISTS
				S: * FLAGS (\Seen)
				S: * 3 RECENT
				S: * SEARCH 1 2`,
			want: []string{`exists 5 EXISTS ""`, `flags FLAGS "(\\Seen)"`, `default 3 RECENT ""`, `default SEARCH "1 2"`},
		}, {
			says: "an entry without keyword but with flags is no default",
			dial: entries(entry{"", numbered, "numbered"}, entry{"", noLiteral, "line"}),
			script: `
				S: * 5 EXISTS
				S: * SEARCH 1`,
		}, {
			says: "without a default a reply that nobody registered for is dropped, with its literal",
			dial: entries(entry{"OK", 0, "ok"}),
			script: `
				S: * LIST () "/" {7}
				S> * OK no)\r\n
				S: * OK yes`,
			want: []string{`ok OK "yes"`},
		}, {
			says: "the numbered and the unnumbered form of a keyword are two entries",
			dial: entries(entry{"X", numbered, "numbered"}, entry{"X", 0, "plain"}),
			script: `
				S: * X 1
				S: * 1 X`,
			want: []string{`plain X "1"`, `numbered 1 X ""`},
		}, {
			says: "an entry gets only the form that it was registered for",
			dial: entries(entry{"EXISTS", 0, "plain"}, entry{"SEARCH", numbered, "numbered"}, entry{"", 0, "default"}),
			script: `
				S: * 5 EXISTS
				S: * SEARCH 5`,
			want: []string{`default 5 EXISTS ""`, `default SEARCH "5"`},
		}, {
			says: "numbers go from 0 to 4,294,967,295 and may begin with zeros",
			script: `
				S: * 0 EXISTS
				S: * 007 EXISTS
				S: * 4294967295 EXISTS`,
			want: []string{`* 0 EXISTS ""`, `* 7 EXISTS ""`, `* 4294967295 EXISTS ""`},
		}, {
			says: "some servers put more than one space before the number",
			script: `
				S: *  1843 EXISTS`,
			want: []string{`* 1843 EXISTS ""`},
		}, {
			says: "a word that only begins with digits is a keyword",
			script: `
				S: * 123ABC text
				S: * 7 8
				S: * 7 8 9`,
			want: []string{`* 123ABC "text"`, `* 7 8 ""`, `* 7 8 "9"`},
		}, {
			says: "a nil Proc calls nothing, not even the default",
			dial: entries(entry{"EXISTS", numbered, ""}, entry{"", 0, "default"}),
			script: `
				S: * 5 EXISTS
				S: * 5 RECENT`,
			want: []string{`default 5 RECENT ""`},
		}, {
			says: "case does not count, and Keyword is as the server spelled it",
			dial: entries(entry{"Exists", numbered, "exists"}, entry{"bye", 0, "bye"}),
			script: `
				S: * 5 EXISTS
				S: * 5 exists
				S: * 5 eXiStS
				S: * Bye bye`,
			want: []string{`exists 5 EXISTS ""`, `exists 5 exists ""`, `exists 5 eXiStS ""`, `bye Bye "bye"`},
		}, {
			says:   "case is that of ASCII letters alone",
			dial:   entries(entry{"{", 0, "brace"}, entry{"[", 0, "bracket"}, entry{"@", 0, "at"}, entry{"", 0, "default"}),
			script: "S: * { x\nS: * [ x\nS: * @ x\nS: * ` x",
			want:   []string{`brace { "x"`, `bracket [ "x"`, `at @ "x"`, "default ` \"x\""},
		}, {
			says: "a keyword that is not ASCII is compared byte by byte",
			dial: entries(entry{"ü", 0, "small"}, entry{"Ü", 0, "capital"}, entry{"\xfc", 0, "byte"}, entry{"", 0, "default"}),
			script: `
				S: * ü x
				S: * Ü x
				S> * \xfc x\r\n
				S> * \xdc x\r\n`,
			want: []string{`small ü "x"`, `capital Ü "x"`, "byte \xfc \"x\"", "default \xdc \"x\""},
		}, {
			says: "keywords are whatever stands between spaces",
			script: `
				S: * " x
				S> * \x00\xff y\r\n
				S> * a\tb z\r\n`,
			want: []string{`* " "x"`, "* \x00\xff \"y\"", "* a\tb \"z\""},
		},
	})
}

// An entry is known by its keyword and flags: registering it again changes what
// is called, not its place.
func TestReregistration(t *testing.T) {
	each(t, []scene{
		{
			says: "of duplicates in Dialer.Callbacks the last one counts, in the place of the first",
			dial: entries(entry{"X", 0, "first"}, entry{"X", noLiteral, "behind"}, entry{"x", 0, "last"}),
			script: `
				S: * X a`,
			want: []string{`last X "a"`},
		}, {
			says:   "a duplicate that differs in flags is another entry",
			dial:   entries(entry{"X", noLiteral, "first"}, entry{"X", 0, "other"}),
			script: `S: * X a`,
			want:   []string{`first X "a"`},
		}, {
			says:   "an entry can be silenced by a duplicate without Proc",
			dial:   entries(entry{"X", 0, "first"}, entry{"", 0, "default"}, entry{"X", 0, ""}),
			script: `S: * X a`,
		}, {
			says:   "the default can be replaced",
			dial:   entries(entry{"", 0, "first"}, entry{"", 0, "second"}),
			script: `S: * X a`,
			want:   []string{`second X "a"`},
		},
	})
}

func TestAddCallback(t *testing.T) {
	conntest.EveryCut(t, func(t *testing.T, cut *conntest.Cut) {
		var log conntest.Log
		d := &conn.Dialer{Callbacks: []conn.Callback{
			entry{"X", 0, "old X"}.callback(&log),
			entry{"Y", 0, "old Y"}.callback(&log),
		}}
		c, s := conntest.NewCut(t, d, cut)
		s.Play(`S: * X 1`)
		c.AddCallback()
		c.AddCallback(entry{"Z", 0, "Z"}.callback(&log), entry{"X", 0, "new X"}.callback(&log))
		s.Play(`
			S: * X 2
			S: * Y 2
			S: * Z 2`)
		same(t, "AddCallback adds entries and changes those that are there", log.Take(),
			[]string{`old X X "1"`, `new X X "2"`, `old Y Y "2"`, `Z Z "2"`})

		_, s = conntest.New(t, d)
		s.Play(`
			S: * X 3
			S: * Z 3`)
		same(t, "AddCallback on one connection changes no other of the same Dialer", log.Take(), []string{`old X X "3"`})
	})
}

func TestRock(t *testing.T) {
	var got []any
	proc := func(_ *conn.Client, rock any, _ *conn.Reply) { got = append(got, rock) }
	c, s := conntest.New(t, &conn.Dialer{Callbacks: []conn.Callback{{Keyword: "X", Proc: proc, Rock: 1}}})
	s.Play(`S: * X`)
	c.AddCallback(conn.Callback{Keyword: "X", Proc: proc, Rock: "two"})
	s.Play(`S: * X`)
	if err := c.Send(proc, 3.0, "NOOP"); err != nil {
		t.Fatal(err)
	}
	s.Play(`
		C: a1 NOOP
		S: a1 OK`)
	if want := []any{1, "two", 3.0}; !slices.Equal(got, want) {
		t.Errorf("a callback gets the rock that it was registered with\n got: %v\nwant: %v", got, want)
	}
}

// A registration changed within a callback holds from the next reply on, also
// when that reply came in the same read.
func TestAddCallbackInCallback(t *testing.T) {
	conntest.EveryCut(t, func(t *testing.T, cut *conntest.Cut) {
		var log conntest.Log
		c, s := conntest.NewCut(t, &conn.Dialer{}, cut)
		next := 0
		var proc conn.Proc
		proc = func(c *conn.Client, rock any, r *conn.Reply) {
			log.Add(fmt.Sprintf("%v got %s", rock, r.Text))
			next++
			c.AddCallback(
				conn.Callback{Keyword: "X", Proc: proc, Rock: next},
				conn.Callback{Keyword: fmt.Sprint("NEW", next), Flags: noLiteral, Proc: told(&log, "new")})
		}
		c.AddCallback(conn.Callback{Keyword: "X", Proc: proc, Rock: 0})
		s.Send("* X a\r\n* NEW1 {3}\r\n* X b\r\n* NEW2 {3}\r\n* NEW3 {2}\r\n* X c\r\n")
		same(t, "a change of registration holds from the next reply on", log.Take(), []string{
			"0 got a", `new NEW1 "{3}"`, "1 got b", `new NEW2 "{3}"`,
			// Nobody has registered NEW3 yet: its literal is "* ".
		})
	})
}

func TestCallbackNoLiteral(t *testing.T) {
	each(t, []scene{
		{
			says: "with CallbackNoLiteral the line is the whole reply",
			dial: entries(entry{"CAPABILITY", noLiteral, "line"}, entry{"LIST", 0, "list"}),
			script: `
				S: * CAPABILITY IMAP4rev1 {3}
				S: * LIST {3}
				S> abc\r\n`,
			want: []string{`line CAPABILITY "IMAP4rev1 {3}"`, `list LIST "{3}\r\nabc"`},
		}, {
			says: "CallbackNoLiteral of the numbered form does not concern the other",
			dial: entries(entry{"X", noLiteral | numbered, "line"}, entry{"X", 0, "whole"}),
			script: `
				S: * 1 X a {1}
				S: * X a {1}
				S> b\r\n`,
			want: []string{`line 1 X "a {1}"`, `whole X "a {1}\r\nb"`},
		}, {
			says: "CallbackNoLiteral without Proc makes the line the whole reply all the same",
			dial: entries(entry{"X", noLiteral, ""}, entry{"Y", 0, "Y"}),
			script: `
				S: * X {100}
				S: * Y here`,
			want: []string{`Y Y "here"`},
		}, {
			says: "FETCH is framed by literals whatever was registered",
			dial: entries(entry{"FETCH", noLiteral | numbered, "fetch"}, entry{"FETCH", noLiteral, "plain"}, entry{"EXISTS", numbered, "exists"}),
			script: `
				S: * 1 FETCH (BODY[] {13}
				S> * 9 EXISTS\r\nx
				S: )
				S: * 1 fetch (X {13}
				S> * 9 EXISTS\r\nx
				S: )
				S: * FETCH {13}
				S> * 9 EXISTS\r\nx\r\n`,
			want: []string{
				`fetch 1 FETCH "(BODY[] {13}\r\n* 9 EXISTS\r\nx)"`,
				`fetch 1 fetch "(X {13}\r\n* 9 EXISTS\r\nx)"`,
				`plain FETCH "{13}\r\n* 9 EXISTS\r\nx"`,
			},
		}, {
			says: "FETCH is framed by literals for the default too",
			script: `
				S: * 1 FETCH {3}
				S> abc\r\n`,
			want: []string{`* 1 FETCH "{3}\r\nabc"`},
		},
	})
}

// What a callback does to the text, which is its own until it returns, is seen
// by nobody else.
func TestOverwriteText(t *testing.T) {
	conntest.EveryCut(t, func(t *testing.T, cut *conntest.Cut) {
		var log conntest.Log
		c, s := conntest.NewCut(t, &conn.Dialer{}, cut)
		c.AddCallback(conn.Callback{Proc: func(c *conn.Client, rock any, r *conn.Reply) {
			told(&log, "*")(c, rock, r)
			for i := range r.Text {
				r.Text[i] = '\n'
			}
			_ = append(r.Text, "overrun, this is what append does to bytes behind it"...)
		}})
		if err := c.Send(told(&log, "a1"), nil, "NOOP"); err != nil {
			t.Fatal(err)
		}
		s.Play(`
			C: a1 NOOP
			S> * X first {3}\r\nabc second\r\n* Y third\r\na1 OK done\r\n* Z last\r\n`)
		same(t, "text that a callback overwrites or appends to leaves the next replies alone", log.Take(),
			[]string{`* X "first {3}\r\nabc second"`, `* Y "third"`, `a1 OK "done"`, `* Z "last"`})
	})
}

func TestClone(t *testing.T) {
	var clone *conn.Reply
	_, s := conntest.New(t, &conn.Dialer{Callbacks: []conn.Callback{{Keyword: "X", Flags: numbered, Proc: func(_ *conn.Client, _ any, r *conn.Reply) {
		clone = r.Clone()
		clear(r.Text)
	}}}})
	s.Play(`
		S: * 5 X text
		S: * Y other`)
	if clone.Keyword != "X" || clone.MsgNo != 5 || string(clone.Text) != "text" {
		t.Errorf("a clone keeps what the reply was\n got: %+v", clone)
	}
}
