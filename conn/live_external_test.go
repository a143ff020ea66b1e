package conn_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/sasl"
)

// eachCertified runs f for each way to TLS at a server that asks for certificates.
func eachCertified(t *testing.T, f func(t *testing.T, p livePlace)) {
	eachPlace(t, "", func(t *testing.T, p livePlace) {
		if p.version == 0 {
			return // nothing to show
		}
		if strings.HasPrefix(p.name, "dovecot") {
			host, _, err := net.SplitHostPort(fromBed(t, "DOVECOT_CLIENTCERT"))
			if err != nil {
				t.Fatal(err)
			}
			p.host = host
		}
		f(t, p)
	})
}

// Who shows a certificate is whom that names, whether that is said or not.
func TestDovecotAndCyrusExternal(t *testing.T) {
	eachCertified(t, func(t *testing.T, p livePlace) {
		for _, user := range []string{"", fromBed(t, "USER")} {
			s := p.dial(t, certified(t))
			if err := s.logIn(user, sasl.External()); err != nil {
				t.Fatalf("a certificate logs in %q: %v", user, err)
			}
			s.checkReader()
		}
	})
}

// Without a certificate EXTERNAL is not tried, and the next mechanism is.
func TestDovecotAndCyrusExternalWithoutCertificate(t *testing.T) {
	eachPlace(t, "", func(t *testing.T, p livePlace) {
		s := p.dial(t)
		if err := s.logIn("", sasl.External()); !errors.Is(err, sasl.ErrAuthFailed) {
			t.Errorf("nobody is logged in\n got: %v", err)
		}
		same(t, "nothing is tried", s.tried(), nil)
		if err := s.logIn("", sasl.External(), sasl.CRAMMD5(sasl.Static(inBed(t, "USER", "PASSWORD")))); err != nil {
			t.Errorf("the password logs in: %v", err)
		}
		s.checkReader()
	})
}

// A certificate that the server has not asked for, there was no TLS, proves nothing to
// it. After its NO the next mechanism follows.
func TestDovecotExternalRefused(t *testing.T) {
	eachPlace(t, "dovecot, ", func(t *testing.T, p livePlace) {
		s := p.dial(t, certified(t))
		if err := s.logIn("", sasl.External()); !errors.Is(err, sasl.ErrAuthFailed) || !errors.As(err, new(*conn.ReplyError)) {
			t.Errorf("the server refuses\n got: %v", err)
		}
		if err := s.logIn("", sasl.External(), sasl.CRAMMD5(sasl.Static(inBed(t, "USER", "PASSWORD")))); err != nil {
			t.Errorf("the password logs in: %v", err)
		}
		same(t, "each in its turn", s.tried(), []string{"EXTERNAL", "EXTERNAL", "CRAM-MD5"})
		s.checkReader()
	})
}

// A certificate lets nobody act for another user.
func TestCyrusExternalActing(t *testing.T) {
	eachPlace(t, "cyrus, ", func(t *testing.T, p livePlace) {
		s := p.dial(t, certified(t))
		if err := s.logIn(fromBed(t, "USER2"), sasl.External()); !errors.Is(err, sasl.ErrAuthFailed) {
			t.Errorf("the server refuses\n got: %v", err)
		}
		same(t, "it was asked", s.tried(), []string{"EXTERNAL"})
		if err := s.logIn("", sasl.External()); err != nil {
			t.Errorf("the connection is as it was: %v", err)
		}
		s.checkReader()
	})
}
