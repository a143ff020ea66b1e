package conn_test

import (
	"crypto"
	"errors"
	"testing"

	"github.com/imclient/imclient/sasl"
)

// A ticket is its principal's: as such, and by the name that the principal has on the
// server, which is then sent.
func TestDovecotAndCyrusKerberosUser(t *testing.T) {
	eachPlace(t, "", func(t *testing.T, p livePlace) {
		k := ticket(t)
		for name, user := range map[string]string{"nobody named": "", "named": fromBed(t, "USER")} {
			t.Run(name, func(t *testing.T) {
				s := p.dial(t)
				if err := s.kerberized(user, sasl.ProtAny, k); err != nil {
					t.Fatalf("USER's ticket logs in: %v", err)
				}
				s.checkReader()
			})
		}
	})
}

// The administrator's ticket acts for another user, whose mail it is then.
func TestDovecotAndCyrusKerberosActing(t *testing.T) {
	eachPlace(t, "", func(t *testing.T, p livePlace) {
		k := byPassword(t, "ADMIN", "ADMINPASSWORD")
		s := p.dial(t)
		if err := s.kerberized(fromBed(t, "USER"), sasl.ProtAny, k); err != nil {
			t.Fatalf("the administrator may act for others: %v", err)
		}
		s.checkReader()
		s = p.dial(t)
		if err := s.kerberized("", sasl.ProtAny, k); err != nil {
			t.Fatalf("and for himself: %v", err)
		}
		if n := s.messages("INBOX"); n > 0 {
			t.Errorf("then he has no mail\n got: %d messages", n)
		}
	})
}

// A user cannot act for another one with his ticket: the server says NO, and the next
// mechanism has its turn, in the same Authenticate.
func TestDovecotAndCyrusKerberosNotActing(t *testing.T) {
	eachPlace(t, "", func(t *testing.T, p livePlace) {
		k, admin := ticket(t), fromBed(t, "ADMIN")
		s := p.dial(t)
		if err := s.kerberized(admin, sasl.ProtAny, k); !errors.Is(err, sasl.ErrAuthFailed) {
			t.Errorf("the server refuses\n got: %v", err)
		}
		same(t, "that is the server's to say", s.tried(), []string{"GSSAPI"})

		next := sasl.SCRAM(crypto.SHA1, sasl.Static(inBed(t, "ADMIN", "ADMINPASSWORD")), sasl.SCRAMOptions{})
		if p.version != 0 { // which -PLUS form servers get wrong is TestCyrusBound's business
			next = sasl.CRAMMD5(sasl.Static(inBed(t, "ADMIN", "ADMINPASSWORD")))
		}
		if err := s.Authenticate([]sasl.Mechanism{next, sasl.GSSAPI(k)}, "imap", admin, sasl.ProtAny); err != nil {
			t.Fatalf("the next mechanism logs in: %v", err)
		}
		same(t, "behind the one that is stronger", s.tried(), []string{"GSSAPI", "GSSAPI", next.Name()})
		if got := s.SASL().Mechanism; got != next.Name() {
			t.Errorf("it is the one that has logged in\n got: %s", got)
		}
	})
}
