package conn_test

import (
	"crypto"
	"errors"
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/sasl"
	"github.com/imclient/imclient/wire"
)

// scramFirst answers a client-first-message, in base64 as it came.
func scramFirst(t *testing.T, encoded, iterations string) string {
	t.Helper()
	_, nonce, ok := strings.Cut(plainOf(t, encoded), ",r=")
	if !ok {
		t.Fatalf("a client-first-message has a nonce\n got: %q", encoded)
	}
	return base64Of("r=" + nonce + "srv,s=" + base64Of("NaClNaCl") + ",i=" + iterations)
}

// lastWord is the last of what the client has said.
func lastWord(t *testing.T, s *conntest.Server) string {
	t.Helper()
	words := strings.Fields(s.Received())
	if len(words) == 0 {
		t.Fatal("the client says something")
	}
	return words[len(words)-1]
}

// An OK is premature at each place before the last, whatever the mechanism.
func TestPrematureOKLater(t *testing.T) {
	for says, tc := range map[string]struct {
		mech sasl.Mechanism
		plus bool
		play func(t *testing.T, s *conntest.Server) // up to the OK
	}{
		"LOGIN without the password": {mech: sasl.Login(tim()), play: func(t *testing.T, s *conntest.Server) {
			s.Play("C: a2 AUTHENTICATE LOGIN\nS: + VXNlcm5hbWU6\nC: dGlt")
		}},
		"SCRAM without the server's first": {mech: sasl.SCRAM(crypto.SHA1, tim(), sasl.SCRAMOptions{}), plus: true, play: func(t *testing.T, s *conntest.Server) {
			lastWord(t, s)
		}},
		"SCRAM without the server's proof": {mech: sasl.SCRAM(crypto.SHA512, tim(), sasl.SCRAMOptions{}), play: func(t *testing.T, s *conntest.Server) {
			s.Play("S: + " + scramFirst(t, lastWord(t, s), "4096"))
			if proof := plainOf(t, lastWord(t, s)); !strings.Contains(proof, ",p=") {
				t.Errorf("the client proves itself\n got: %q", proof)
			}
		}},
		"SCRAM with proof, bound": {mech: sasl.SCRAM(crypto.SHA256, tim(), sasl.SCRAMOptions{}), plus: true, play: func(t *testing.T, s *conntest.Server) {
			s.Play("S: + " + scramFirst(t, lastWord(t, s), "4096"))
			lastWord(t, s)
		}},
		"DIGEST-MD5 without rspauth": {mech: sasl.DIGESTMD5(tim(), sasl.DigestOptions{}), play: func(t *testing.T, s *conntest.Server) {
			s.Play("C: a2 AUTHENTICATE DIGEST-MD5\nS: + " + base64Of((&conn.DigestPeer{QOP: "auth"}).Challenge()))
			lastWord(t, s)
		}},
		"OAUTHBEARER whose token is refused": {mech: sasl.OAuthBearer(everything()), play: func(t *testing.T, s *conntest.Server) {
			s.Received()
			s.Play("S: + " + base64Of(`{"status":"invalid_token"}`) + "\nC: AQ==")
		}},
		"XOAUTH2 whose token is refused": {mech: sasl.XOAuth2(everything()), play: func(t *testing.T, s *conntest.Server) {
			s.Received()
			s.Play("S: + " + base64Of(`{"status":"401"}`) + "\nC: ")
		}},
	} {
		t.Run(says, func(t *testing.T) {
			offer, tag := tc.mech.Name(), "a2"
			c, s := conntest.New(t, &conn.Dialer{ImplicitTLS: tc.plus})
			if tc.plus {
				s.StartTLS(nil)
				offer += "-PLUS"
			}
			s.Play("S: * OK [CAPABILITY SASL-IR AUTH=" + offer + "]")
			o := authenticate(t, c, tc.mech, sasl.Plain(tim()))
			tc.play(t, s)
			s.Play("S: " + tag + " OK in")
			if o.calls != 1 || !errors.Is(o.err, sasl.ErrPrematureOK) || !errors.Is(c.Err(), sasl.ErrPrematureOK) {
				t.Errorf("the OK is premature, and the connection ends\n got: %d calls, %v", o.calls, o.err)
			}
			if sent := s.Received(); sent != "" {
				t.Errorf("nothing is said any more\n got: %q", sent)
			}
		})
	}
}

// Whatever challenges a server sends, each mechanism comes to its end: with "*", which
// the server answers, before it has heard more than sixteen, and with no way in.
func TestHostileChallenges(t *testing.T) {
	limit := 48 << 10
	for says, challenge := range map[string]string{
		"empty":              "",
		"one byte":           base64Of("x"),
		"the same for ever":  base64Of("<1896.697170952@postoffice.reston.mci.net>"),
		"no base64":          "!",
		"as large as may be": strings.Repeat("A", limit),
		"too large":          strings.Repeat("A", limit+4),
		"NUL":                base64Of("\x00\x00\x00"),
		"lists without end":  base64Of(strings.Repeat("a=b,", 1000)),
		"braces without end": base64Of(strings.Repeat("{", 1000)),
	} {
		for _, m := range sasl.All(everything()) {
			t.Run(says+" to "+m.Name(), func(t *testing.T) {
				c, s := conntest.New(t, new(conn.Dialer))
				s.Play("S: * OK [CAPABILITY SASL-IR AUTH=" + m.Name() + "]")
				o := authenticate(t, c, m)
				sent := s.Received()
				for n := 0; !strings.HasSuffix(sent, "*\r\n"); n++ {
					if sent == "" || n > 16 {
						t.Fatalf("it is answered, and given up in the end\n got: %q to challenge %d, %v", sent, n, c.Err())
					}
					s.Play("S: + " + challenge)
					sent = s.Received()
				}
				s.Play("S: a2 NO cancelled\nC-")
				if o.calls != 1 || !errors.Is(o.err, sasl.ErrAuthFailed) || c.Err() != nil {
					t.Errorf("the login has failed, and the connection lives\n got: %d calls, %v, %v", o.calls, o.err, c.Err())
				}
			})
		}
	}
	t.Run("a line without end", func(t *testing.T) {
		c, s := conntest.New(t, &conn.Dialer{Limits: wire.Limits{Line: 64 << 10}})
		s.Play("S: * OK [CAPABILITY AUTH=LOGIN]")
		o := authenticate(t, c, sasl.Login(tim()))
		s.Play("C: a2 AUTHENTICATE LOGIN\nS> + ")
		for n := 0; c.Err() == nil && n < 100; n++ {
			s.Send(strings.Repeat("A", 1<<10))
		}
		if o.calls != 1 || kind(o.err) != "limit of a line" {
			t.Errorf("it has the limit of any line\n got: %d calls, %v", o.calls, o.err)
		}
	})
}

// What somebody on the way takes out of the list, or says NO to, does not bring the
// secret out.
func TestLoginDowngrade(t *testing.T) {
	for _, tc := range []struct {
		says, offers string
		floor        sasl.Floor
		secure       bool
		script       string // all that is heard
		want         error
	}{
		{says: "no cleartext mechanism because a mutual one failed", offers: "AUTH=SCRAM-SHA-256 AUTH=PLAIN AUTH=LOGIN",
			script: "a2 AUTHENTICATE SCRAM-SHA-256", want: sasl.ErrAuthFailed},
		{says: "nor inside TLS", offers: "AUTH=DIGEST-MD5 AUTH=PLAIN", secure: true,
			script: "a2 AUTHENTICATE DIGEST-MD5", want: sasl.ErrAuthFailed},
		{says: "none below the floor", offers: "AUTH=CRAM-MD5 AUTH=PLAIN", floor: sasl.Floor{Strength: sasl.Strength("DIGEST-MD5")}, want: sasl.ErrAuthFailed},
		{says: "none below it after one above it", offers: "AUTH=DIGEST-MD5 AUTH=CRAM-MD5", floor: sasl.Floor{Strength: sasl.Strength("DIGEST-MD5")},
			script: "a2 AUTHENTICATE DIGEST-MD5", want: sasl.ErrAuthFailed},
		{says: "none that is not bound, where that is required", offers: "AUTH=SCRAM-SHA-256-PLUS AUTH=SCRAM-SHA-256", floor: sasl.Floor{Binding: true}, secure: true,
			script: "a2 AUTHENTICATE SCRAM-SHA-256-PLUS", want: sasl.ErrAuthFailed},
		{says: "where the list has none that is bound, too", offers: "AUTH=SCRAM-SHA-256", floor: sasl.Floor{Binding: true}, secure: true, want: sasl.ErrAuthFailed},
	} {
		t.Run(tc.says, func(t *testing.T) {
			c, s := conntest.New(t, &conn.Dialer{AuthFloor: tc.floor, ImplicitTLS: tc.secure})
			if tc.secure {
				s.StartTLS(nil)
			}
			s.Play("S: * OK [CAPABILITY " + tc.offers + "]")
			o := new(outcome)
			err := c.AuthenticateAsync(sasl.All(tim()), "imap", "", sasl.ProtAny, o.done)
			if tc.script != "" {
				s.Play("C: " + tc.script + "\nC-\nS: a2 NO")
				err = o.err
			}
			s.ExpectNothing()
			refused(t, "the login fails, and nothing more is said", err, tc.want)
		})
	}
	t.Run("none at all after a wrong proof", func(t *testing.T) {
		c, s := conntest.New(t, new(conn.Dialer))
		s.Play("S: * OK [CAPABILITY SASL-IR AUTH=SCRAM-SHA-256 AUTH=DIGEST-MD5 AUTH=CRAM-MD5 AUTH=PLAIN]")
		o := authenticate(t, c, sasl.All(tim())...)
		s.Play("S: + " + scramFirst(t, lastWord(t, s), "4096"))
		lastWord(t, s)
		s.Play("S: + " + base64Of("v="+base64Of(strings.Repeat("x", 32))) + "\nC: *\nC-\nS: a2 BAD cancelled\nC-")
		refused(t, "the server does not know the password", o.err, sasl.ErrNotProved)
	})
	t.Run("nor when the server can bind what we were not offered to", func(t *testing.T) {
		c, s := conntest.New(t, &conn.Dialer{ImplicitTLS: true})
		s.StartTLS(nil)
		s.Play("S: * OK [CAPABILITY SASL-IR AUTH=SCRAM-SHA-256 AUTH=CRAM-MD5]")
		o := authenticate(t, c, sasl.All(tim())...)
		first := lastWord(t, s)
		if got := plainOf(t, first); !strings.HasPrefix(got, "y,,") {
			t.Errorf("we could\n got: %q", got)
		}
		s.Play("S: + " + scramFirst(t, first, "4096"))
		lastWord(t, s)
		s.Play("S: + " + base64Of("e=server-does-support-channel-binding") + "\nC: *\nC-\nS: a2 NO\nC-")
		refused(t, "somebody has changed the list", o.err, sasl.ErrDowngrade)
	})
}
