package conn_test

import (
	"crypto"
	"runtime"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/sasl"
)

// Five hundred log in at the same time, from one goroutine: no byte of a login is sent
// before all connections stand. The keys are derived once, while all wait for that.
func TestDovecotFiveHundredLogins(t *testing.T) {
	const size = 500
	keys := new(sasl.Keys)
	account := inBed(t, "SCRAMUSER", "SCRAMPASSWORD")
	mechs := []sasl.Mechanism{sasl.SCRAM(crypto.SHA256, sasl.Static(account), sasl.SCRAMOptions{Keys: keys})}
	before, goroutines := descriptors(t), runtime.NumGoroutine()

	f := newFleet(t)
	stand, in := 0, 0
	entered := func() {
		if in++; in < size {
			return
		}
		if f.left != size {
			f.fail("%d are logged in at the same time: %d", size, f.left)
		}
		for _, m := range f.members {
			m.send(func() { m.send(nil, "LOGOUT") }, "STATUS INBOX (MESSAGES)")
		}
	}
	enter := func(m *member) {
		err := m.AuthenticateAsync(mechs, "imap", "", sasl.ProtNone, func(err error) {
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
	for range size {
		f.connect(fromBed(t, "DOVECOT"), func(*member) {
			if stand++; stand < size {
				return
			}
			for _, m := range f.members {
				enter(m)
			}
		})
	}
	f.run()
	if s := keys.Stats(); s.Derived != 1 || s.Found != size-1 || s.Kept != 1 {
		t.Errorf("keys are derived once, and kept for the others\n got: %+v", s)
	}
	conn.AtMost(t, goroutines)
	givenBack(t, before)
}
