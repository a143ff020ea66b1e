package conn_test

import (
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
)

// knows checks what is known at the end of a scene.
func knows(want string) func(*testing.T, *conn.Client) {
	return func(t *testing.T, c *conn.Client) {
		t.Helper()
		if got := c.Capabilities(); got != want {
			t.Errorf("the capabilities known are\n got: %q\nwant: %q", got, want)
		}
		for word := range strings.FieldsSeq(want) {
			if !c.Has(word) || !c.Has(strings.ToLower(word)) || c.Has(word+"X") || c.Has(word[1:]) {
				t.Errorf("Has finds whole words in any case: %q", word)
			}
		}
		if c.Has("") || c.Has(" ") {
			t.Error("nothing is no capability")
		}
	}
}

func quiet(d *conn.Dialer, _ *conntest.Log) { d.Callbacks = nil }

func TestCapabilities(t *testing.T) {
	loginOK := []string{`a1 OK "done"`}
	each(t, []scene{
		{
			says:   "the greeting's code is a list",
			dial:   quiet,
			script: `S: * OK [CAPABILITY IMAP4rev1 IDLE LITERAL+] hello`,
			check:  knows("IMAP4rev1 IDLE LITERAL+"),
		}, {
			says:   "PREAUTH's too, in any case",
			dial:   quiet,
			script: `S: * preauth [capability IMAP4rev1] hello`,
			check:  knows("IMAP4rev1"),
		}, {
			says: "a later list takes the place of an earlier one",
			dial: quiet,
			script: `
				S: * OK [CAPABILITY IMAP4rev1 IDLE] hello
				S: * CAPABILITY IMAP4rev1 ENABLE`,
			check: knows("IMAP4rev1 ENABLE"),
		}, {
			says: "NO, BAD and BYE, a number, a code without its end, and another word tell nothing",
			dial: quiet,
			script: `
				S: * NO [CAPABILITY A] x
				S: * BAD [CAPABILITY A] x
				S: * BYE [CAPABILITY A] x
				S: * OK [CAPABILITY A
				S: * OK [CAPABILITYX A] x
				S: * OK x [CAPABILITY A] x
				S: * 1 CAPABILITY A`,
			check: knows(""),
		}, {
			says: "what was said to a stranger is forgotten by LOGIN",
			dial: quiet,
			send: commands("LOGIN a b"),
			script: `
				S: * OK [CAPABILITY IMAP4rev1 LITERAL+] hello
				C: a1 LOGIN a b
				S: a1 OK done`,
			want:  loginOK,
			check: knows(""),
		}, {
			says: "a code on LOGIN's OK is the new list",
			dial: quiet,
			send: commands("LOGIN a b"),
			script: `
				S: * OK [CAPABILITY IMAP4rev1 STARTTLS] hello
				C: a1 LOGIN a b
				S: a1 OK [CAPABILITY IMAP4rev1 IDLE] done`,
			want:  []string{`a1 OK "[CAPABILITY IMAP4rev1 IDLE] done"`},
			check: knows("IMAP4rev1 IDLE"),
		}, {
			says: "so is a reply between LOGIN and its OK, as Dovecot says it",
			dial: quiet,
			send: commands("LOGIN a b"),
			script: `
				S: * OK [CAPABILITY IMAP4rev1 STARTTLS] hello
				C: a1 LOGIN a b
				S: * CAPABILITY IMAP4rev1 IDLE
				S: a1 OK done`,
			want:  loginOK,
			check: knows("IMAP4rev1 IDLE"),
		}, {
			says: "the greeting does not pass for that when LOGIN was sent before it came",
			dial: quiet,
			send: commands("LOGIN a b"),
			script: `
				C: a1 LOGIN a b
				S: * OK [CAPABILITY IMAP4rev1 STARTTLS] hello
				S: a1 OK done`,
			want:  loginOK,
			check: knows(""),
		}, {
			says: "a refused LOGIN forgets nothing",
			dial: quiet,
			send: commands("LOGIN a b"),
			script: `
				S: * OK [CAPABILITY IMAP4rev1] hello
				C: a1 LOGIN a b
				S: a1 NO done`,
			want:  []string{`a1 NO "done"`},
			check: knows("IMAP4rev1"),
		}, {
			says: "what came with a refused LOGIN is forgotten by the next, like all that a stranger was told",
			dial: quiet,
			send: commands("LOGIN a b", "NOOP", "LOGIN a c"),
			script: `
				S: * OK hello
				C: a1 LOGIN a b
				S: * CAPABILITY OLD
				S: a1 NO done
				S: a2 OK done
				S: a3 OK done`,
			want:  []string{`a1 NO "done"`, `a2 OK "done"`, `a3 OK "done"`},
			check: knows(""),
		}, {
			says: "the list in a LOGIN's own OK holds, whatever else is pending",
			dial: quiet,
			send: commands("NOOP", "LOGIN a b"),
			script: `
				S: * OK [CAPABILITY OLD] hello
				C: a1 NOOP
				C: a2 LOGIN a b
				S: a2 OK [CAPABILITY NEW] done
				S: a1 OK done`,
			want:  []string{`a2 OK "[CAPABILITY NEW] done"`, `a1 OK "done"`},
			check: knows("NEW"),
		}, {
			says:   "case counts but for the letters of ASCII",
			dial:   quiet,
			script: "S: * CAPABILITY ſTARTTLS id[ X@\nS: * CAPABILITY ID[ x`",
			check: func(t *testing.T, c *conn.Client) {
				for name, want := range map[string]bool{"STARTTLS": false, "id[": true, "ID{": false, "X`": true, "X@": false, "x": false} {
					if c.Has(name) != want {
						t.Errorf("Has(%q) is %v", name, want)
					}
				}
			},
		}, {
			says:   "a list with a literal in it is none, and what was known may be over",
			dial:   quiet,
			script: "S: * CAPABILITY A LITERAL+\nS> * CAPABILITY {1}\\r\\nX\\r\\n",
			check:  knows(""),
		}, {
			says: "AUTHENTICATE is a login",
			dial: quiet,
			send: commands("AUTHENTICATE X-NONE"),
			script: `
				S: * OK [CAPABILITY IMAP4rev1] hello
				C: a1 AUTHENTICATE X-NONE
				S: a1 OK done`,
			want:  loginOK,
			check: knows(""),
		},
	})
}

// A server cannot make an idle connection keep more than a list is long.
func TestLongestCapabilities(t *testing.T) {
	for _, tc := range []struct{ n, want int }{{8192, 8192}, {8193, 0}} {
		c, s := conntest.New(t, &conn.Dialer{})
		s.Send("* CAPABILITY " + strings.Repeat("X", tc.n) + "\r\n")
		if got := len(c.Capabilities()); got != tc.want {
			t.Errorf("of a list of %d bytes are kept: %d, not %d", tc.n, got, tc.want)
		}
	}
}

// How a literal is announced, by what the server said and the caller wants.
func TestLiteralChoice(t *testing.T) {
	small, large := strings.Repeat("\xe4", 4096), strings.Repeat("\xe4", 4097)
	sync, nonSync := "}", "+}"
	for _, tc := range []struct {
		says         string
		capabilities string
		d            conn.Dialer
		do           func(c *conn.Client)
		small, large string
	}{
		{"nothing is known: wait", "", conn.Dialer{}, nil, sync, sync},
		{"LITERAL+", "LITERAL+", conn.Dialer{}, nil, nonSync, nonSync},
		{"LITERAL- up to 4,096 bytes", "LITERAL-", conn.Dialer{}, nil, nonSync, sync},
		{"both: LITERAL+", "LITERAL- LITERAL+", conn.Dialer{}, nil, nonSync, nonSync},
		{"the flag counts more than silence", "", conn.Dialer{}, func(c *conn.Client) { c.SetFlags(conn.NonSyncLiteral) }, nonSync, nonSync},
		{"the flag counts more than LITERAL-", "LITERAL-", conn.Dialer{}, func(c *conn.Client) { c.SetFlags(conn.NonSyncLiteral) }, nonSync, nonSync},
		{"a cleared flag counts more than LITERAL+", "LITERAL+", conn.Dialer{}, func(c *conn.Client) { c.ClearFlags(conn.NonSyncLiteral) }, sync, sync},
		{"set again", "", conn.Dialer{}, func(c *conn.Client) {
			c.ClearFlags(conn.NonSyncLiteral)
			c.SetFlags(conn.NonSyncLiteral)
		}, nonSync, nonSync},
		{"SyncLiterals counts more than LITERAL+", "LITERAL+", conn.Dialer{SyncLiterals: true}, nil, sync, sync},
		{"a longer word is another", "LITERAL+X LITERAL-X", conn.Dialer{}, nil, sync, sync},
	} {
		for _, literal := range []struct{ text, end, size string }{{small, tc.small, "4096"}, {large, tc.large, "4097"}} {
			d := tc.d
			c, s := conntest.New(t, &d)
			s.Play("S: * OK [CAPABILITY " + tc.capabilities + "] hello")
			if tc.do != nil {
				tc.do(c)
			}
			if err := c.Send(nil, nil, "X %s", literal.text); err != nil {
				t.Fatal(err)
			}
			want := "a1 X {" + literal.size + literal.end + "\r\n"
			if got, _, _ := strings.Cut(s.Received(), "\xe4"); got != want {
				t.Errorf("%s\n got: %q\nwant: %q", tc.says, got, want)
			}
		}
	}
}
