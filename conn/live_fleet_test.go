package conn_test

import (
	"crypto"
	"runtime"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/sasl"
)

// fiveHundred is how many log in at the same time, from one goroutine.
const fiveHundred = 500

// logInAtOnce has all log in at the same time, at a server by a name: no byte of a login
// is sent before all connections stand. Then each asks for what only who is in may know.
func logInAtOnce(t *testing.T, p livePlace, name string, mechs []sasl.Mechanism, prot sasl.Prot, check func(*member)) {
	t.Helper()
	before, goroutines := descriptors(t), runtime.NumGoroutine()
	f := newFleet(t)
	address := p.configure(t, &f.dialer, name)
	stand, in := 0, 0
	entered := func() {
		if in++; in < fiveHundred {
			return
		}
		if f.left != fiveHundred {
			f.fail("%d are logged in at the same time: %d", fiveHundred, f.left)
		}
		for _, m := range f.members {
			check(m)
			m.send(func() { m.send(nil, "LOGOUT") }, "STATUS INBOX (MESSAGES)")
		}
	}
	enter := func(m *member) {
		err := m.AuthenticateAsync(mechs, "imap", "", prot, func(err error) {
			if m.open("login"); err != nil {
				f.fail("connection %d logs in: %v", m.number, err)
				return
			}
			entered()
		})
		if err != nil {
			f.fail("connection %d begins to log in: %v", m.number, err)
		}
	}
	for range fiveHundred {
		f.connect(address, func(*member) {
			if stand++; stand < fiveHundred {
				return
			}
			for _, m := range f.members {
				enter(m)
			}
		})
	}
	f.run()
	conn.AtMost(t, goroutines)
	givenBack(t, before)
}

// Keys are derived once, while all wait for that.
func TestDovecotFiveHundredLogins(t *testing.T) {
	keys := new(sasl.Keys)
	account := inBed(t, "SCRAMUSER", "SCRAMPASSWORD")
	mechs := []sasl.Mechanism{sasl.SCRAM(crypto.SHA256, sasl.Static(account), sasl.SCRAMOptions{Keys: keys})}
	logInAtOnce(t, livePlaces[0], "localhost", mechs, sasl.ProtNone, func(*member) {})
	if s := keys.Stats(); s.Derived != 1 || s.Found != fiveHundred-1 || s.Kept != 1 {
		t.Errorf("keys are derived once, and kept for the others\n got: %+v", s)
	}
}
