package conn_test

import (
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/sasl"
)

func contractAuthenticate(t *testing.T) {
	var log conntest.Log
	c, s := conntest.New(t, &conn.Dialer{Callbacks: []conn.Callback{{Keyword: "EXISTS", Flags: numbered, Proc: told(&log, "*")}}})
	send := sending(t, c, &log)
	send("NOOP")
	logIn(t, c, &log, sasl.Plain(tim()), sasl.CRAMMD5(tim()))
	if err := c.Send(told(&log, "later"), nil, "CHECK"); err != nil {
		t.Fatal(err)
	}
	s.Play(`
		S: * OK [CAPABILITY SASL-IR AUTH=PLAIN AUTH=CRAM-MD5]
		C: a1 NOOP
		C-
		S: a1 OK
		C: a3 AUTHENTICATE CRAM-MD5
		C-
		S: * 1 EXISTS
		S: + ?
		C: *
		C-
		S: a3 BAD cancelled
		C: a4 AUTHENTICATE PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm
		C-
		S: a4 OK
		C: a5 CAPABILITY
		C-
		S: a5 OK
		C: a11 CHECK
		S: a11 OK`)
	same(t, "a login is alone on its way, and goes on to the next mechanism", log.Take(),
		[]string{`a1 OK ""`, `* 1 EXISTS ""`, "login: <nil>", `later OK ""`})
	if got := c.Capabilities(); got != "" {
		t.Errorf("what the server said to a stranger is forgotten\n got: %q", got)
	}
	c, s = conntest.New(t, new(conn.Dialer))
	s.Play("S: * OK [CAPABILITY AUTH=PLAIN AUTH=CRAM-MD5]")
	logIn(t, c, &log, sasl.Plain(tim()), sasl.CRAMMD5(tim()))
	s.Play("C: a2 AUTHENTICATE CRAM-MD5\nS: a2 BAD\nC-")
	if got := log.Take(); len(got) != 1 || got[0] == "login: <nil>" {
		t.Errorf("after BAD no other is tried\n got: %q", got)
	}
	provedBy(t, "TestPrematureOK")
	provedBy(t, "TestInitialResponse")
	provedBy(t, "TestLoginLayer")
}
