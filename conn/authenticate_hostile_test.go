package conn_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os/user"
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/sasl"
	"github.com/imclient/imclient/wire"
)

func base64Of(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// runner is the user that the test runs as.
func runner(t *testing.T) string {
	t.Helper()
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return u.Username
}

// everything has a password and a token.
func everything() sasl.Provider {
	return sasl.Static(sasl.Credentials{Username: "tim", Password: []byte("tanstaaftanstaaf"), Token: []byte("t0ken")})
}

// An OK before all was said ends the connection, whatever the mechanism, and whether
// the server takes initial responses or not.
func TestPrematureOK(t *testing.T) {
	for _, m := range sasl.All(everything()) {
		for _, ir := range []string{"", "SASL-IR "} {
			once := m.Name() == "EXTERNAL" || m.Name() == "PLAIN" || m.Name() == "OAUTHBEARER" || m.Name() == "XOAUTH2"
			if once && ir != "" {
				continue // all is said
			}
			t.Run(m.Name()+" "+ir, func(t *testing.T) {
				var log conntest.Log
				c, s := conntest.New(t, &conn.Dialer{OnClose: func(_ *conn.Client, err error) { log.Add("closed") }})
				s.Play("S: * OK [CAPABILITY " + ir + "AUTH=" + m.Name() + "]")
				o := authenticate(t, c, m)
				if sent := s.Received(); !strings.HasPrefix(sent, "a2 AUTHENTICATE "+m.Name()) {
					t.Fatalf("it is tried\n got: %q", sent)
				}
				if err := c.Send(log.Proc("later"), nil, "NOOP"); err != nil {
					t.Fatal(err)
				}
				s.Play("S: a2 OK come in\nC.")
				if o.calls != 1 || !errors.Is(o.err, sasl.ErrPrematureOK) || !errors.Is(c.Err(), sasl.ErrPrematureOK) || errors.Is(o.err, sasl.ErrAuthFailed) {
					t.Errorf("it is 2 of the page\n got: %d calls, %v", o.calls, o.err)
				}
				if !strings.Contains(o.err.Error(), "come in") {
					t.Errorf("what the server said is told\n got: %v", o.err)
				}
				if lines := log.Take(); len(lines) != 2 || lines[1] != "closed" {
					t.Errorf("what waited ends with the connection\n got: %q", lines)
				}
			})
		}
	}
}

// A server that does not follow the exchange gets "*" and has to answer that.
func TestLoginGivesUp(t *testing.T) {
	asks := func(n int) string { return strings.Repeat("S: +\nC: \n", n) }
	long := strings.Repeat("A", 48<<10+4)
	for _, tc := range []struct {
		says   string
		mech   *odd
		script string
		want   string
	}{
		{"bad base64", &odd{name: "X"}, "S: + ?", "no base64"},
		{"base64 with a CR in it", &odd{name: "X"}, "S: + QQ\r==", "no base64"},
		{"base64 with bits to spare", &odd{name: "X"}, "S: + QQF=", "no base64"},
		{"a challenge too large", &odd{name: "X"}, "S: + " + long, "limit of a challenge"},
		{"a challenge too many", &odd{name: "X"}, asks(16) + "S: +", "number of challenges"},
		{"a challenge that is refused", &odd{name: "X", next: func([]byte) (sasl.Step, error) {
			return sasl.Step{}, errors.New("nonsense")
		}}, "S: +", "nonsense"},
	} {
		t.Run(tc.says, func(t *testing.T) {
			places(t, func(t *testing.T, join func(*conntest.Server)) {
				c, s := conntest.New(t, &conn.Dialer{Callbacks: nil})
				join(s)
				s.Play("S: * OK [CAPABILITY SASL-IR AUTH=X AUTH=PLAIN]")
				o := authenticate(t, c, tc.mech, sasl.Plain(tim()))
				first := s.Received() // the stronger of the two comes first
				if strings.Contains(first, "PLAIN") {
					s.Play("S: a2 NO")
					s.Expect("a3 AUTHENTICATE X\r\n")
				}
				s.Play(tc.script + "\nC: *\nC-\nS: a3 BAD cancelled\nC-")
				if o.calls != 1 || !errors.Is(o.err, sasl.ErrAuthFailed) || c.Err() != nil {
					t.Fatalf("the login has failed, and the connection lives\n got: %d calls, %v", o.calls, o.err)
				}
				var limit *wire.LimitError
				if text := o.err.Error(); !strings.Contains(text, tc.want) && !(errors.As(o.err, &limit) && strings.HasSuffix(tc.want, limit.What)) {
					t.Errorf("the error says why: %s\n got: %s", tc.want, text)
				}
			})
		})
	}
	t.Run("OK to a *", func(t *testing.T) {
		c, s := conntest.New(t, new(conn.Dialer))
		s.Play("S: * OK [CAPABILITY AUTH=X]")
		o := authenticate(t, c, &odd{name: "X", ready: true})
		s.Play("C: a2 AUTHENTICATE X\nS: + ?\nC: *\nS: a2 OK\nC.")
		refused(t, "it is premature", o.err, sasl.ErrPrematureOK)
	})
}

// What cannot be an answer ends the connection at once.
func TestLoginAnsweredWrong(t *testing.T) {
	for says, script := range map[string]string{
		"a tag of nobody":              "S: b1 OK",
		"the tag of the place":         "S: a1 OK",
		"a tag that was not given yet": "S: a4 OK",
		"another answer to CAPABILITY": "S: a2 NO",
		"no status":                    "S: a3 HELLO",
		"BYE with the tag":             "S: a3 BYE",
		"a + behind a *":               "S: + ?\nC: *\nS: +",
		"a malformed line":             "S: nonsense",
	} {
		t.Run(says, func(t *testing.T) {
			c, s := conntest.New(t, new(conn.Dialer))
			o := authenticate(t, c, &odd{name: "X", ready: true})
			s.Play("S: * OK\nC: a2 CAPABILITY\nS: * CAPABILITY AUTH=X\nS: a2 OK\nC: a3 AUTHENTICATE X\n" + script + "\nC.")
			if o.calls != 1 || kind(o.err) != "syntax" {
				t.Errorf("the connection ends\n got: %d calls, %v", o.calls, o.err)
			}
		})
	}
}

// While our work is under way the server has nothing to say.
func TestAnsweredBeforeItAsked(t *testing.T) {
	for _, tc := range []struct {
		says, script, then, end string
	}{
		{"OK", "S: a2 OK", "C.", "premature"},
		{"NO", "S: a2 NO", "C-", "failed"},
		{"NO twice", "S: a2 NO\nS: a2 NO", "C.", "syntax"},
		{"a challenge", "S: +", "C: *\nS: a2 NO\nC-", "failed"},
		{"two challenges", "S: +\nS: +", "C.", "syntax"},
		{"a challenge behind NO", "S: a2 NO\nS: +", "C.", "syntax"},
	} {
		t.Run(tc.says, func(t *testing.T) {
			l := newLoop(t)
			release, worked := make(chan struct{}), make(chan struct{})
			m := &odd{name: "X", ready: true, next: func([]byte) (sasl.Step, error) {
				return sasl.Step{Work: func(context.Context) (sasl.Step, error) {
					defer close(worked)
					<-release
					return sasl.Step{Response: []byte("x")}, nil
				}}, nil
			}}
			c, s := conntest.New(t, new(conn.Dialer))
			s.Join(l)
			s.Play("S: * OK [CAPABILITY AUTH=X]")
			o := authenticate(t, c, m)
			s.Play("C: a2 AUTHENTICATE X\nS: +\nC-\n" + tc.script)
			close(release)
			<-worked
			for len(m.ends) == 0 && o.calls == 0 && !strings.HasPrefix(tc.then, "C: *") {
				if err := l.ProcessOneEvent(); err != nil {
					t.Fatal(err)
				}
			}
			if strings.HasPrefix(tc.then, "C: *") {
				if err := l.ProcessOneEvent(); err != nil {
					t.Fatal(err)
				}
			}
			s.Play(tc.then)
			got := kind(o.err)
			switch {
			case errors.Is(o.err, sasl.ErrPrematureOK):
				got = "premature"
			case errors.Is(o.err, sasl.ErrAuthFailed):
				got = "failed"
			}
			if o.calls != 1 || got != tc.end {
				t.Errorf("the login ends: %s\n got: %d calls, %v", tc.end, o.calls, o.err)
			}
		})
	}
}

// An answer to a command that was answered is none to the one that is being prepared.
func TestAnsweredBeforeItWasSaid(t *testing.T) {
	l := newLoop(t)
	m := workingUntilCancelled()
	c, s := conntest.New(t, new(conn.Dialer))
	s.Join(l)
	o := authenticate(t, c, m)
	s.Play("S: * OK\nC: a2 CAPABILITY\nS: * CAPABILITY AUTH=X\nS: a2 OK\nC-\nS: a2 NO\nC.")
	if o.calls != 1 || kind(o.err) != "syntax" {
		t.Errorf("the connection ends\n got: %d calls, %v", o.calls, o.err)
	}
}

// What the server says besides reaches its callbacks, and "+" before a login has begun
// is nobody's.
func TestUntaggedInLogin(t *testing.T) {
	each(t, []scene{{
		says: "untagged replies come at any time",
		dial: entries(entry{"", 0, "*"}),
		script: `
			S: * OK [CAPABILITY AUTH=LOGIN]
			S: * 1 EXISTS`,
		want: []string{`* OK "[CAPABILITY AUTH=LOGIN]"`, `* 1 EXISTS ""`},
	}})
	var log conntest.Log
	c, s := conntest.New(t, &conn.Dialer{Callbacks: []conn.Callback{{Proc: told(&log, "*")}}})
	s.Play("S: * OK [CAPABILITY AUTH=LOGIN]")
	if err := c.Send(told(&log, "noop"), nil, "NOOP"); err != nil {
		t.Fatal(err)
	}
	logIn(t, c, &log, sasl.Login(tim()))
	log.Take()
	s.Play(`
		C: a1 NOOP
		C-
		S: + for nobody
		S: a1 OK
		C: a3 AUTHENTICATE LOGIN
		S: * 1 EXISTS
		S: +
		C: dGlt
		S: * 2 EXISTS
		S: +
		C: dGFuc3RhYWZ0YW5zdGFhZg==
		S: * 3 EXISTS
		S: * CAPABILITY IDLE
		S: a3 OK
		C-`)
	same(t, "callbacks hear all", log.Take(), []string{
		`noop OK ""`, `* 1 EXISTS ""`, `* 2 EXISTS ""`, `* 3 EXISTS ""`, `* CAPABILITY "IDLE"`, "login: <nil>",
	})
}

// Nothing that a server repeats of a secret gets into an error.
func TestLoginErrorsHoldNoSecret(t *testing.T) {
	const secret = "tanstaaftanstaaf"
	encoded := base64Of("\x00tim\x00" + secret)
	for _, script := range []string{
		"S: a2 NO no " + secret,
		"S: a2 NO no " + encoded,
		"S: a2 BAD " + encoded + " " + secret,
		"S: + " + encoded + "\nC: *\nS: a2 NO " + secret[:4],
		"S: + ?" + secret + "\nC: *\nS: a2 OK " + encoded[:5],
		"S: a2 " + secret,
		"S: " + secret,
		"S: b1 OK " + encoded,
		"S: * 99999999999 " + secret + " {5}",
	} {
		var told []string
		c, s := conntest.New(t, telling(&told))
		s.Play("S: * OK [CAPABILITY SASL-IR AUTH=PLAIN]")
		o := authenticate(t, c, sasl.Plain(tim()))
		s.Play("C: a2 AUTHENTICATE PLAIN " + encoded + "\n" + script)
		if o.calls != 1 || o.err == nil {
			t.Fatalf("%q ends the login\n got: %d calls, %v", script, o.calls, o.err)
		}
		text := strings.Join(told, "\n") + fmt.Sprintf("%v %+v %#v %v", o.err, o.err, o.err, c.Err())
		if strings.Contains(text, secret) || strings.Contains(text, encoded) {
			t.Errorf("%q: nobody is told the secret\n got: %s", script, text)
		}
	}
}

func plainOf(t *testing.T, encoded string) string {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatalf("%q is base64: %v", encoded, err)
	}
	return string(b)
}
