package conn_test

import (
	"errors"
	"testing"

	"github.com/imclient/imclient/sasl"
)

// Every mechanism of a password logs in with the right one and fails with a wrong
// one, which leaves the connection as it was.
func TestDovecotAndCyrusLogin(t *testing.T) {
	eachPlace(t, "", func(t *testing.T, p livePlace) {
		right, wrong := inBed(t, "USER", "PASSWORD"), inBed(t, "USER", "PASSWORD2")
		refused := passwordMechanisms(wrong)
		for i, m := range passwordMechanisms(right) {
			t.Run(m.Name(), func(t *testing.T) {
				s := p.dial(t)
				if err := s.logIn("", m); err != nil {
					t.Fatalf("the right password logs in: %v", err)
				}
				s.checkReader()
				s = p.dial(t)
				if err := s.logIn("", refused[i]); !errors.Is(err, sasl.ErrAuthFailed) || len(s.tried()) == 0 {
					t.Errorf("a wrong password fails\n got: %v after %q", err, s.tried())
				}
				if err := s.logIn("", m); err != nil {
					t.Errorf("then the right one logs in, on the same connection: %v", err)
				}
				s.checkReader()
			})
		}
	})
}

// Who proves nothing is nobody.
func TestDovecotAndCyrusAnonymous(t *testing.T) {
	eachPlace(t, "", func(t *testing.T, p livePlace) {
		s := p.dial(t)
		if err := s.logIn("", sasl.Anonymous("somebody@imclient.test")); err != nil {
			t.Fatalf("ANONYMOUS logs in: %v", err)
		}
		// Others may have left nobody some mail meanwhile, but USER's 300 are not his.
		if n := s.messages("INBOX"); n == 300 {
			t.Errorf("nobody is not USER\n got: %d messages", n)
		}
		s = p.dial(t)
		err := s.logIn("", sasl.CRAMMD5(sasl.Static(inBed(t, "USER", "PASSWORD2"))), sasl.Anonymous(""))
		if !errors.Is(err, sasl.ErrAuthFailed) {
			t.Errorf("who was refused is not logged in as nobody\n got: %v", err)
		}
		same(t, "that is not tried", s.tried(), []string{"CRAM-MD5"})
	})
}
