package conn_test

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/sasl"
	"github.com/imclient/imclient/tlsup"
)

// A login that waits for STARTTLS is made up of what is known when TLS stands: the
// choice, the channel binding, the server's list.
func TestLoginBehindStartTLS(t *testing.T) {
	for _, required := range []bool{true, false} {
		t.Run(fmt.Sprintf("RequireTLS=%t", required), func(t *testing.T) {
			places(t, func(t *testing.T, join func(*conntest.Server)) {
				var log conntest.Log
				var warned []string
				c, s := conntest.New(t, &conn.Dialer{RequireTLS: required, TLS: conntest.Policy(), Warn: func(_ *conn.Client, text string) {
					warned = append(warned, text)
				}})
				join(s)
				s.Play("S: * OK [CAPABILITY STARTTLS SASL-IR AUTH=PLAIN AUTH=CRAM-MD5]")
				if err := c.StartTLSAsync("", "", "", "", func(err error) { log.Add(fmt.Sprint("TLS: ", err)) }); err != nil {
					t.Fatal(err)
				}
				logIn(t, c, &log, sasl.All(tim())...)
				s.Play("C: a1 STARTTLS\nC-\nS: a1 OK begin\nTLS\nC: a3 CAPABILITY\nC-\nS: * CAPABILITY SASL-IR AUTH=PLAIN AUTH=SCRAM-SHA-256 AUTH=SCRAM-SHA-256-PLUS\nS: a3 OK")
				binding := "p=tls-exporter"
				state, err := s.TLS()
				if err != nil || state == nil {
					t.Fatalf("there is TLS\n got: %v", err)
				}
				sent := s.Received()
				if !strings.HasPrefix(sent, "a4 AUTHENTICATE SCRAM-SHA-256-PLUS "+base64Of(binding + ",,")[:12]) {
					t.Errorf("the login is bound to TLS\n got: %q", sent)
				}
				s.Play("S: a4 NO")
				if sent := s.Received(); !strings.HasPrefix(sent, "a5 AUTHENTICATE SCRAM-SHA-256 "+base64Of("n,,")) {
					t.Errorf("then it is not bound, over TLS that was verified\n got: %q", sent)
				}
				same(t, "TLS stands", log.Take(), []string{"TLS: <nil>"})
				if len(warned) != 2 || !strings.Contains(warned[0], "CRAM-MD5") || !strings.Contains(warned[1], "channel binding") {
					t.Errorf("what was offered before TLS and is gone is told, and so is the missing binding\n got: %q", warned)
				}
			})
		})
	}
}

// After NO to STARTTLS the login goes on in the clear where that may be.
func TestLoginAfterStartTLSRefused(t *testing.T) {
	var log conntest.Log
	c, s := conntest.New(t, &conn.Dialer{TLS: conntest.Policy()})
	s.Play("S: * OK [CAPABILITY STARTTLS SASL-IR AUTH=PLAIN]")
	if err := c.StartTLSAsync("", "", "", "", func(err error) { log.Add("TLS") }); err != nil {
		t.Fatal(err)
	}
	logIn(t, c, &log, sasl.Plain(tim()))
	s.Play("C: a1 STARTTLS\nC-\nS: a1 NO\nC: a3 AUTHENTICATE PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\nS: a3 OK [CAPABILITY IDLE] in")
	same(t, "the login has its turn", log.Take(), []string{"TLS", "login: <nil>"})
}

// Where TLS is required and none is on its way, there is no login.
func TestLoginWithoutRequiredTLS(t *testing.T) {
	c, s := conntest.New(t, &conn.Dialer{RequireTLS: true, TLS: conntest.Policy()})
	s.Play("S: * OK [CAPABILITY STARTTLS AUTH=PLAIN]")
	err := c.AuthenticateAsync(sasl.All(tim()), "imap", "", sasl.ProtAny, nil)
	refused(t, "it is refused at once", err, conn.ErrTLSRequired)
	s.Play("C-")
}

// Kinds of binding by the version of TLS; one that somebody has cut out of the list is
// missed, by the flag "y".
func TestLoginBinding(t *testing.T) {
	for _, tc := range []struct {
		version uint16
		offers  string
		mech    string
		flag    string
	}{
		{tls.VersionTLS13, "AUTH=SCRAM-SHA-256 AUTH=SCRAM-SHA-256-PLUS", "SCRAM-SHA-256-PLUS", "p=tls-exporter,,"},
		{tls.VersionTLS12, "AUTH=SCRAM-SHA-256 AUTH=SCRAM-SHA-256-PLUS", "SCRAM-SHA-256-PLUS", "p=tls-"},
		{tls.VersionTLS13, "AUTH=SCRAM-SHA-256", "SCRAM-SHA-256", "y,,"},
	} {
		c, s := conntest.New(t, &conn.Dialer{ImplicitTLS: true, TLS: conntest.Policy()})
		config := conntest.TLSConfig()
		config.MaxVersion = tc.version
		s.StartTLS(config)
		s.Play("S: * OK [CAPABILITY SASL-IR " + tc.offers + "]")
		authenticate(t, c, sasl.SCRAM(crypto.SHA256, tim(), sasl.SCRAMOptions{}))
		sent := strings.Fields(s.Received())
		if len(sent) != 4 || sent[2] != tc.mech || !strings.HasPrefix(plainOf(t, sent[3]), tc.flag) {
			t.Errorf("over TLS %x the login is by %s with %s\n got: %q", tc.version, tc.mech, tc.flag, sent)
		}
	}
}

// What the caller wants at least is asked of every mechanism.
func TestAuthFloor(t *testing.T) {
	c, s := conntest.New(t, &conn.Dialer{AuthFloor: sasl.Floor{Mutual: true}})
	s.Play("S: * OK [CAPABILITY SASL-IR AUTH=PLAIN AUTH=CRAM-MD5]")
	err := c.AuthenticateAsync(sasl.All(tim()), "imap", "", sasl.ProtAny, func(error) { t.Error("done is not called after an error") })
	refused(t, "none is left", err, sasl.ErrAuthFailed)
	s.Play("C-")
}

// What a server says it can do: after a login by the OK, or by what came with it, or by
// an answer to CAPABILITY; what was said before a login that failed holds no longer
// than until the next.
func TestCapabilitiesAfterLogin(t *testing.T) {
	for script, want := range map[string]string{
		"S: a2 OK [CAPABILITY IDLE] in\nC-":                                "IDLE",
		"S: * CAPABILITY QUOTA\nS: a2 OK in\nC-":                           "QUOTA",
		"S: a2 OK in\nC: a3 CAPABILITY\nS: * CAPABILITY ACL\nS: a3 OK\nC-": "ACL",
		"S: a2 OK in\nC: a3 CAPABILITY\nS: a3 NO\nC-":                      "",
		"S: * CAPABILITY LIE\nS: a2 NO\nC-":                                "LIE",
	} {
		c, s := conntest.New(t, new(conn.Dialer))
		s.Play("S: * OK [CAPABILITY SASL-IR AUTH=PLAIN]")
		o := authenticate(t, c, sasl.Plain(tim()))
		s.Received()
		s.Play(script)
		if got := c.Capabilities(); o.calls != 1 || got != want {
			t.Errorf("after %q\n got: %q, %d calls, %v\nwant: %q", script, got, o.calls, o.err, want)
		}
		if o.err == nil {
			continue
		}
		if err := c.Send(nil, nil, "LOGIN tim %p", "x"); err != nil {
			t.Fatal(err)
		}
		tag, _, _ := strings.Cut(s.Received(), " ")
		s.Play("S: " + tag + " OK in")
		if got := c.Capabilities(); got != "" {
			t.Errorf("a later login forgets what a stranger was told\n got: %q", got)
		}
	}
}

// nil is no initial response, empty is one, and where the server takes none it waits
// for the first challenge.
func TestInitialResponse(t *testing.T) {
	says := func(b []byte) func() (sasl.Step, error) {
		return func() (sasl.Step, error) { return sasl.Step{Response: slices.Clone(b)}, nil }
	}
	for _, tc := range []struct {
		ir       string
		response []byte
		script   string
	}{
		{"SASL-IR ", nil, "C: a2 AUTHENTICATE X\nC-\nS: +\nC: \nC-"},
		{"SASL-IR ", []byte{}, "C: a2 AUTHENTICATE X =\nC-\nS: +\nC: \nC-"},
		{"SASL-IR ", []byte("\x00"), "C: a2 AUTHENTICATE X AA==\nC-\nS: +\nC: \nC-"},
		{"", nil, "C: a2 AUTHENTICATE X\nC-\nS: +\nC: \nC-"},
		{"", []byte{}, "C: a2 AUTHENTICATE X\nC-\nS: +\nC: \nC-\nS: + QQ==\nC: \nC-"},
		{"", []byte("\x00"), "C: a2 AUTHENTICATE X\nC-\nS: +\nC: AA==\nC-\nS: + QQ==\nC: \nC-"},
	} {
		conntest.EveryCut(t, func(t *testing.T, cut *conntest.Cut) {
			var challenges []string
			m := &odd{name: "X", ready: true, start: says(tc.response), next: func(b []byte) (sasl.Step, error) {
				challenges = append(challenges, string(b))
				return sasl.Step{}, nil
			}}
			c, s := conntest.NewCut(t, new(conn.Dialer), cut)
			s.Play("S: * OK [CAPABILITY " + tc.ir + "AUTH=X]")
			o := authenticate(t, c, m)
			s.Play(tc.script + "\nS: a2 OK [CAPABILITY IDLE] in\nC-")
			want := strings.Count(tc.script, "S: +")
			if tc.ir == "" && tc.response != nil {
				want-- // the first asks for the initial response
			}
			if len(challenges) != want || o.calls != 1 || o.err != nil {
				t.Errorf("each challenge is the mechanism's, and the login succeeds\n got: %q, %d calls, %v", challenges, o.calls, o.err)
			}
		})
	}
}

// After NO to a login that is bound the same hash follows without that where the
// certificate was verified, and nothing where it was not.
func TestLoginAfterBound(t *testing.T) {
	for _, verified := range []bool{true, false} {
		policy := conntest.Policy()
		if !verified {
			policy = &tlsup.Policy{Unverified: true}
		}
		c, s := conntest.New(t, &conn.Dialer{ImplicitTLS: true, TLS: policy})
		s.StartTLS(conntest.TLSConfig())
		s.Play("S: * OK [CAPABILITY AUTH=SCRAM-SHA-256 AUTH=SCRAM-SHA-256-PLUS AUTH=CRAM-MD5]")
		o := authenticate(t, c, sasl.SCRAM(crypto.SHA256, tim(), sasl.SCRAMOptions{}), sasl.CRAMMD5(tim()))
		s.Play("C: a2 AUTHENTICATE SCRAM-SHA-256-PLUS\nS: a2 NO")
		switch sent := s.Received(); {
		case verified && sent != "a3 AUTHENTICATE SCRAM-SHA-256\r\n":
			t.Errorf("the same hash follows\n got: %q", sent)
		case !verified && (sent != "" || o.calls != 1 || !errors.Is(o.err, sasl.ErrAuthFailed)):
			t.Errorf("nothing follows\n got: %q, %d calls, %v", sent, o.calls, o.err)
		}
	}
}

// A Kerberos ticket is longer than servers let a command line be.
func TestLongInitialResponse(t *testing.T) {
	for _, tc := range []struct {
		length int
		script string // before the response
		prefix string
	}{
		{6000, "", "a2 AUTHENTICATE X "},
		{6001, "C: a2 AUTHENTICATE X\nC-\nS: +", ""},
	} {
		response := bytes.Repeat([]byte{'x'}, tc.length)
		m := &odd{name: "X", ready: true, start: func() (sasl.Step, error) {
			return sasl.Step{Response: slices.Clone(response)}, nil
		}}
		c, s := conntest.New(t, new(conn.Dialer))
		s.Play("S: * OK [CAPABILITY SASL-IR AUTH=X]")
		o := authenticate(t, c, m)
		s.Play(tc.script)
		got := strings.TrimRight(s.Received(), "\r\n")
		if want := tc.prefix + base64.StdEncoding.EncodeToString(response); got != want {
			t.Errorf("one of 8,000 bytes goes with the command, a longer one when it is asked for\n got: %.40q..., %d bytes", got, len(got))
		}
		s.Play("S: a2 OK [CAPABILITY IDLE] in\nC-")
		if o.calls != 1 || o.err != nil {
			t.Errorf("the login succeeds\n got: %d calls, %v", o.calls, o.err)
		}
	}
}
