package conn_test

import (
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/sasl"
)

// How a connection was logged in is told once it is, of the mechanism that did it.
func TestSASL(t *testing.T) {
	c, s := conntest.New(t, new(conn.Dialer))
	s.Play("S: * OK [CAPABILITY SASL-IR AUTH=CRAM-MD5 AUTH=PLAIN]")
	o := authenticate(t, c, sasl.Plain(tim()), sasl.CRAMMD5(tim()))
	s.Play("C: a2 AUTHENTICATE CRAM-MD5\nS: a2 NO\nC: a3 AUTHENTICATE PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm")
	if got, want := c.SASL(), (conn.SASL{Prot: sasl.ProtNone}); got != want {
		t.Errorf("nobody has logged in\n got: %+v\nwant: %+v", got, want)
	}
	s.Play("S: a3 OK [CAPABILITY IDLE] in")
	if got, want := c.SASL(), (conn.SASL{Mechanism: "PLAIN", Prot: sasl.ProtNone}); o.err != nil || got != want {
		t.Errorf("the last of two has logged in: %v\n got: %+v\nwant: %+v", o.err, got, want)
	}
}

// What the layer gives is told with it, and after the end of the connection too.
func TestSASLLayer(t *testing.T) {
	for qop, want := range map[string]conn.SASL{
		"auth-int":  {Mechanism: "DIGEST-MD5", Prot: sasl.ProtIntegrity, SSF: 1},
		"auth-conf": {Mechanism: "DIGEST-MD5", Prot: sasl.ProtPrivacy, SSF: 128},
	} {
		c, s := conntest.New(t, new(conn.Dialer))
		p := &digestPeer{conn.DigestPeer{QOP: qop}}
		p.logIn(t, c, s)
		s.Send("a2 OK in\r\n")
		_ = c.Close()
		if got := c.SASL(); got != want {
			t.Errorf("%s\n got: %+v\nwant: %+v", qop, got, want)
		}
	}
}
