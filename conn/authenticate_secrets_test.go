package conn_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/sasl"
)

// A server that repeats the secrets that it has heard, in whatever it says, gets none into
// an error, a warning, or a line of ours in the trace.
func TestServerRepeatsSecrets(t *testing.T) {
	secrets := []string{"tanstaaftanstaaf", "t0ken-of-tim"}
	provider := sasl.Static(sasl.Credentials{Username: "tim", Password: []byte(secrets[0]), Token: []byte(secrets[1])})
	for _, m := range sasl.All(provider) {
		for _, ir := range []string{"", "SASL-IR "} {
			for _, challenge := range []string{"", "VXNlcm5hbWU6", base64Of(`{"status":"t0ken-of-tim","scope":"t0ken-of-tim"}`), "!"} {
				for _, end := range []string{"NO", "BAD", "OK", "HELLO"} {
					var told []string
					c, s := conntest.New(t, telling(&told))
					s.Play("S: * OK [CAPABILITY " + ir + "AUTH=" + m.Name() + "]")
					o := authenticate(t, c, m)
					heard := s.Received()
					for range 2 {
						if !strings.HasSuffix(heard, "*\r\n") {
							s.Play("S: + " + challenge)
							heard += " " + s.Received()
						}
					}
					known := repeats(heard, secrets)
					s.Play("S: a2 " + end + " [CAPABILITY IDLE] " + strings.Join(known, " "))
					if o.calls != 1 {
						t.Fatalf("the login is over\n got: %d calls, %v", o.calls, c.Err())
					}
					shown := strings.Join(told, "\n") + fmt.Sprintf("%v %+v %#v %v", o.err, o.err, o.err, c.Err())
					for _, secret := range known {
						if strings.Contains(shown, secret) {
							t.Errorf("%s %q %s %s: nobody is told the secret %q\n got: %s", m.Name(), ir, challenge, end, secret, shown)
						}
					}
				}
			}
		}
	}
}

// telling is a Dialer that collects what it tells, but for the server's own lines.
func telling(told *[]string) *conn.Dialer {
	return &conn.Dialer{
		Trace: func(_ *conn.Client, line string) {
			if !strings.HasPrefix(line, "S: ") {
				*told = append(*told, line)
			}
		},
		Warn: func(_ *conn.Client, text string) { *told = append(*told, text) },
	}
}

// repeats is what a server knows of secrets from what it has heard.
func repeats(heard string, secrets []string) (known []string) {
	for _, word := range strings.Fields(heard) {
		meant, err := base64.StdEncoding.DecodeString(word)
		if err != nil {
			continue
		}
		for _, secret := range secrets {
			if strings.Contains(string(meant), secret) {
				known = append(known, word, secret)
			}
		}
	}
	return known
}

// Capabilities in the OK are the server's, whatever of them is a secret, too.
func TestSecretThatIsACapability(t *testing.T) {
	for _, secret := range []string{"IDLE", "1", "LITERAL"} {
		c, s := conntest.New(t, new(conn.Dialer))
		s.Play("S: * OK [CAPABILITY SASL-IR AUTH=PLAIN]")
		o := authenticate(t, c, sasl.Plain(sasl.Static(sasl.Credentials{Username: "tim", Password: []byte(secret)})))
		s.Received()
		s.Play("S: a2 OK [CAPABILITY IMAP4rev1 LITERAL+ IDLE] in")
		if got, want := c.Capabilities(), "IMAP4rev1 LITERAL+ IDLE"; o.err != nil || got != want {
			t.Errorf("they are as the server has them: %v\n got: %q\nwant: %q", o.err, got, want)
		}
	}
}

// Who prints a connection sees nothing of what is queued.
func TestClientIsPrinted(t *testing.T) {
	c, s := conntest.New(t, new(conn.Dialer))
	s.Play("S: * OK [CAPABILITY SASL-IR AUTH=PLAIN]")
	authenticate(t, c, sasl.Plain(tim()))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if got, want := fmt.Sprintf(verb, c), "conn.Client("+c.ServerName()+")"; got != want {
			t.Errorf("%s\n got: %s\nwant: %s", verb, got, want)
		}
	}
}

// A mechanism that finds out late that it has no credentials has failed, like any other
// that the server has heard of: what would send the secret does not follow.
func TestNoCredentialsTooLate(t *testing.T) {
	c, s := conntest.New(t, new(conn.Dialer))
	s.Play("S: * OK [CAPABILITY SASL-IR AUTH=DIGEST-MD5 AUTH=PLAIN AUTH=X AUTH=ANONYMOUS]")
	late := &odd{name: "X", next: func([]byte) (sasl.Step, error) { return sasl.Step{}, sasl.ErrNoCredentials }}
	digest := sasl.DIGESTMD5(tim(), sasl.DigestOptions{Realm: "elsewhere"})
	o := authenticate(t, c, digest, late, sasl.Plain(tim()), sasl.Anonymous(""))
	s.Play("C: a2 AUTHENTICATE DIGEST-MD5\nS: + " + base64Of(`realm="x",nonce="abc",qop="auth",algorithm=md5-sess`) +
		"\nC: *\nS: a2 BAD\nC: a3 AUTHENTICATE X\nS: +\nC: *\nS: a3 BAD\nC-")
	if o.calls != 1 || !errors.Is(o.err, sasl.ErrAuthFailed) || errors.Is(o.err, sasl.ErrNoCredentials) {
		t.Errorf("nothing follows\n got: %d calls, %v", o.calls, o.err)
	}
}
