package conn_test

import (
	"crypto"
	"errors"
	"testing"

	"github.com/imclient/imclient/sasl"
)

// actingMechanisms are those in which one can say whom one acts for.
func actingMechanisms(c sasl.Credentials) []sasl.Mechanism {
	p := sasl.Static(c)
	return []sasl.Mechanism{
		sasl.SCRAM(crypto.SHA256, p, sasl.SCRAMOptions{}), sasl.SCRAM(crypto.SHA1, p, sasl.SCRAMOptions{}),
		sasl.DIGESTMD5(p, sasl.DigestOptions{}), sasl.Plain(p),
	}
}

// The administrator logs in as another user, whose mail it is then.
func TestDovecotAndCyrusActing(t *testing.T) {
	eachPlace(t, "", func(t *testing.T, p livePlace) {
		admin, user := inBed(t, "ADMIN", "ADMINPASSWORD"), fromBed(t, "USER")
		for _, m := range actingMechanisms(admin) {
			t.Run(m.Name(), func(t *testing.T) {
				s := p.dial(t)
				if err := s.logIn(user, m); err != nil {
					t.Fatalf("the administrator may act for others: %v", err)
				}
				s.checkReader()
				s = p.dial(t)
				if err := s.logIn("", m); err != nil {
					t.Fatalf("and for himself: %v", err)
				}
				if n := s.messages("INBOX"); n > 0 {
					t.Errorf("then he has no mail\n got: %d messages", n)
				}
			})
		}
	})
}

// A user cannot log in as another one, and can then as himself.
func TestDovecotAndCyrusNotActing(t *testing.T) {
	eachPlace(t, "", func(t *testing.T, p livePlace) {
		for _, m := range actingMechanisms(inBed(t, "USER", "PASSWORD")) {
			t.Run(m.Name(), func(t *testing.T) {
				s := p.dial(t)
				if err := s.logIn(fromBed(t, "USER2"), m); !errors.Is(err, sasl.ErrAuthFailed) || len(s.tried()) == 0 {
					t.Errorf("the server refuses\n got: %v after %q", err, s.tried())
				}
				if err := s.logIn("", m); err != nil {
					t.Fatalf("the connection is as it was: %v", err)
				}
				s.checkReader()
			})
		}
	})
}

// Of mechanisms in which that cannot be said nothing is sent.
func TestDovecotAndCyrusCannotAct(t *testing.T) {
	eachPlace(t, "", func(t *testing.T, p livePlace) {
		admin := sasl.Static(inBed(t, "ADMIN", "ADMINPASSWORD"))
		s := p.dial(t)
		if err := s.logIn(fromBed(t, "USER"), sasl.CRAMMD5(admin), sasl.Login(admin)); !errors.Is(err, sasl.ErrNoCredentials) {
			t.Errorf("it is for want of credentials\n got: %v", err)
		}
		same(t, "nothing is sent", s.tried(), nil)
		if err := s.logIn(fromBed(t, "USER"), sasl.CRAMMD5(admin), sasl.Plain(admin)); err != nil {
			t.Errorf("a mechanism that can is used: %v", err)
		}
		s.checkReader()
	})
}
