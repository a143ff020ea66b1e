package conn_test

import (
	"encoding/base64"
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
