package conn_test

import (
	"crypto/tls"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
)

// A panic, in what TLS calls or in what is called when TLS has come, goes to whoever
// drives the connection and ends it. The last callbacks are called all the same.
func TestTLSPanics(t *testing.T) {
	inEveryWay(t, func(t *testing.T, way string) {
		policy := conntest.Policy()
		policy.Config.VerifyConnection = func(tls.ConnectionState) error { panic("of TLS's") }
		x := newTLSTalk(t, conn.Dialer{TLS: policy, RequireTLS: true}, way, nil)
		x.startTLS()
		x.login()
		x.Play("S: * OK\nC: a1 STARTTLS\nS: a1 OK")
		x.panics("of TLS's", func() { x.Play("TLS") })
		x.says("nothing has come of it", "TLS: conn: a callback panicked", "a2 EOF: conn: a callback panicked (command not sent), safe to retry", "closed: conn: a callback panicked")

		x = newTLSTalk(t, conn.Dialer{ImplicitTLS: true, TLS: policy}, way, nil)
		x.login()
		x.panics("of TLS's", func() { x.Play("TLS") })
		x.says("at once or later", "a1 EOF: conn: a callback panicked (command not sent), safe to retry", "closed: conn: a callback panicked")

		x = newTLSTalk(t, conn.Dialer{}, way, nil)
		x.sent++
		err := x.c.StartTLSAsync("", "", "", "", func(err error) {
			if x.over(err); err == nil {
				panic("of done's")
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		x.send("NOOP")
		x.Play("S: * OK\nC: a1 STARTTLS\nS: a1 OK")
		x.panics("of done's", func() { x.Play("TLS") })
		x.says("done is called once", `* OK ""`, "TLS", "a2 EOF: conn: a callback panicked (command not sent), safe to retry", "closed: conn: a callback panicked")
	})
}

// panics fails unless f panics with what, and lets the connection end.
func (x *tlsTalk) panics(what string, f func()) {
	x.t.Helper()
	func() {
		defer func() {
			if got := recover(); got != what {
				x.t.Errorf("the panic comes out\n got: %v\nwant: %s", got, what)
			}
		}()
		f()
	}()
	x.Drive()
	x.sentHello()
}
