package conn_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/sasl"
)

// Faults that others were warned of in what surrounds a login, each once more as a test
// of its own; those in mechanisms and layers are in package sasl.
var loginAdvisories = []struct {
	name string
	test func(t *testing.T)
}{
	{"CVE-2020-28896 (mutt): the server is no good from the first line on, and the password follows", func(t *testing.T) {
		for _, greeting := range []string{"* NO", "* BAD", "* BYE", "* PREAUTH", "a1 OK", "+", "junk"} {
			c, s := conntest.New(t, &conn.Dialer{RequireTLS: true, TLS: conntest.Policy()})
			if err := c.StartTLSAsync("", "", "", "", nil); err != nil {
				t.Fatal(err)
			}
			o := authenticate(t, c, sasl.Plain(tim()))
			s.Play("S: " + greeting + " [CAPABILITY SASL-IR AUTH=PLAIN] hello\nC.")
			if o.calls != 1 || o.err == nil || !conn.SafeToRetry(o.err) {
				t.Errorf("after %q nothing is sent\n got: %d calls, %v", greeting, o.calls, o.err)
			}
		}
	}},
	{"CVE-2025-14524 (curl), login referrals: the token goes to whom the server names", func(t *testing.T) {
		const url = "imap://tim;AUTH=*@evil.test/"
		d := &conn.Dialer{Resolve: func(_ context.Context, host string) ([]netip.Addr, error) {
			t.Errorf("nobody connects to %s", host)
			return nil, errors.New("no")
		}}
		c, s := conntest.New(t, d)
		s.Play("S: * OK [CAPABILITY SASL-IR AUTH=XOAUTH2]")
		o := authenticate(t, c, sasl.XOAuth2(everything()))
		s.Received()
		s.Play("S: a2 NO [REFERRAL " + url + "] go there\nC-")
		if o.calls != 1 || !errors.Is(o.err, sasl.ErrAuthFailed) || !strings.Contains(o.err.Error(), url) {
			t.Errorf("it is the caller who is told\n got: %d calls, %v", o.calls, o.err)
		}
	}},
	{"CVE-2018-16839, CVE-2018-14618 (curl): sizes of credentials that overflow in sum", func(t *testing.T) {
		password := strings.Repeat("p", 1<<20)
		c, s := conntest.New(t, new(conn.Dialer))
		s.Play("S: * OK [CAPABILITY SASL-IR AUTH=PLAIN]")
		authenticate(t, c, sasl.Plain(sasl.Static(sasl.Credentials{Username: "tim", Password: []byte(password)})))
		s.Play("C: a2 AUTHENTICATE PLAIN\nS: +")
		if sent := s.Received(); sent != base64Of("\x00tim\x00"+password)+"\r\n" {
			t.Errorf("a long password is sent as it is\n got: %d bytes", len(sent))
		}
	}},
	{"CVE-2026-8925 (curl): the state of a login is freed twice", func(t *testing.T) {
		for says, end := range map[string]func(c *conn.Client, s *conntest.Server){
			"Close":         func(c *conn.Client, _ *conntest.Server) { _ = c.Close() },
			"EOF":           func(_ *conn.Client, s *conntest.Server) { s.Play("S.") },
			"reset":         func(_ *conn.Client, s *conntest.Server) { s.Play("S!") },
			"silence":       func(_ *conn.Client, s *conntest.Server) { s.Advance(time.Hour) },
			"NO":            func(_ *conn.Client, s *conntest.Server) { s.Play("S: a2 NO") },
			"OK":            func(_ *conn.Client, s *conntest.Server) { s.Play("S: a2 OK [CAPABILITY X] in") },
			"given up":      func(_ *conn.Client, s *conntest.Server) { s.Play("S: + ?\nC: *\nS: a2 BAD") },
			"while givenup": func(c *conn.Client, s *conntest.Server) { s.Play("S: + ?\nC: *\nS.") },
			"junk":          func(_ *conn.Client, s *conntest.Server) { s.Play("S: a2 HELLO") },
			"premature":     func(_ *conn.Client, s *conntest.Server) { s.Play("S: + ?\nC: *\nS: a2 OK") },
		} {
			m := &odd{name: "X", ready: true}
			c, s := conntest.New(t, new(conn.Dialer))
			s.Play("S: * OK [CAPABILITY AUTH=X]")
			o := authenticate(t, c, m)
			s.Play("C: a2 AUTHENTICATE X")
			end(c, s)
			_ = c.Close()
			s.Drive()
			if o.calls != 1 || len(m.ends) != 1 || (m.ends[0] == nil) != (says == "OK") {
				t.Errorf("%s: done and the exchange are told once\n got: %d calls, %v", says, o.calls, m.ends)
			}
		}
	}},
	{"CVE-2009-0688 (Cyrus SASL): base64 that has no room behind it", func(t *testing.T) {
		for n := range 70 {
			want := strings.Repeat("x", n)
			got := "none"
			m := &odd{name: "X", next: func(b []byte) (sasl.Step, error) {
				got = string(b)
				return sasl.Step{}, nil
			}}
			c, s := conntest.New(t, new(conn.Dialer))
			s.Play("S: * OK [CAPABILITY AUTH=X]")
			authenticate(t, c, m)
			s.Play("C: a2 AUTHENTICATE X\nS: + " + base64Of(want) + "\nC: ")
			if got != want {
				t.Errorf("a challenge of %d bytes is what it was\n got: %q", n, got)
			}
		}
	}},
	{"CVE-2026-41319 (MailKit): a list that was forged before TLS brings PLAIN in place of SCRAM", func(t *testing.T) {
		c, s := conntest.New(t, &conn.Dialer{RequireTLS: true, TLS: conntest.Policy()})
		s.Play("S: * OK [CAPABILITY STARTTLS SASL-IR AUTH=PLAIN]")
		if err := c.StartTLSAsync("", "", "", "", nil); err != nil {
			t.Fatal(err)
		}
		authenticate(t, c, sasl.All(tim())...)
		s.Play("C: a1 STARTTLS\nS: a1 OK\nTLS\nC: a3 CAPABILITY\nS: * CAPABILITY SASL-IR AUTH=PLAIN AUTH=SCRAM-SHA-256\nS: a3 OK")
		if sent := s.Received(); !strings.HasPrefix(sent, "a4 AUTHENTICATE SCRAM-SHA-256 ") {
			t.Errorf("the list within TLS decides\n got: %q", sent)
		}
	}},
	{"e107292, 0739df9 (imapflow): what the OK says before the layer is believed behind it", func(t *testing.T) {
		c, s := conntest.New(t, new(conn.Dialer))
		p := &digestPeer{conn.DigestPeer{QOP: "auth-int"}}
		p.logIn(t, c, s)
		s.Send("* CAPABILITY LIE\r\na2 OK [CAPABILITY LIE] in\r\n")
		if got := p.Open(t, s.Received()); got != "a3 CAPABILITY\r\n" || c.Capabilities() != "" {
			t.Errorf("it is asked again\n got: %q, %q", got, c.Capabilities())
		}
	}},
	{"GO-2026-5039, GO-2025-4008: hostile text in errors", func(t *testing.T) {
		hostile := "\x1b]0;owned\x07\u202e" + strings.Repeat("A", 10_000)
		for _, script := range []string{"a2 NO " + hostile, "a2 BAD " + hostile, "a2 OK " + hostile, "a2 " + hostile, "b7 OK " + hostile, hostile} {
			c, s := conntest.New(t, new(conn.Dialer))
			s.Play("S: * OK [CAPABILITY AUTH=LOGIN]")
			o := authenticate(t, c, sasl.Login(tim()))
			s.Play("C: a2 AUTHENTICATE LOGIN\nS: " + script)
			text := o.err.Error()
			if o.calls != 1 || len(text) > 1000 || strings.ContainsAny(text, "\x1b\x07\u202e") {
				t.Errorf("%.10q is quoted and cut\n got: %d bytes, %.300q", script, len(text), text)
			}
		}
	}},
}

// The others have their tests elsewhere: success before the server's proof
// (ponylang/postgres 204, 209, 210) in TestPrematureOK, PLAIN in the clear
// (GO-2021-0178) in TestLoginInTheClear, data that lies in the layer unseen (libpq) in
// TestLoginLayerHidesNothing, other people's credentials (CVE-2022-22576,
// CVE-2026-4873) in package sasl's TestKeysFound.
func TestLoginAdvisories(t *testing.T) {
	for _, a := range loginAdvisories {
		t.Run(a.name, a.test)
	}
}
