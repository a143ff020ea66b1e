package conn_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/sasl"
)

// tim is the user of RFC 2195 section 2.
func tim() sasl.Provider {
	return sasl.Static(sasl.Credentials{Username: "tim", Password: []byte("tanstaaftanstaaf")})
}

// logIn begins a login, whose end is logged.
func logIn(t *testing.T, c *conn.Client, log *conntest.Log, mechs ...sasl.Mechanism) {
	t.Helper()
	err := c.AuthenticateAsync(mechs, "imap", "", sasl.ProtAny, func(err error) { log.Add(fmt.Sprint("login: ", err)) })
	if err != nil {
		t.Fatalf("AuthenticateAsync begins a login: %v", err)
	}
}

// A login asks what the server has, tries the strongest first and the next after its
// NO, holds later commands back, and asks again what a friend may do.
func TestAuthenticate(t *testing.T) {
	conntest.EveryCut(t, func(t *testing.T, cut *conntest.Cut) {
		var log conntest.Log
		var trace []string
		c, s := conntest.NewCut(t, &conn.Dialer{Trace: func(_ *conn.Client, line string) {
			if line[0] == 'C' {
				trace = append(trace, line)
			}
		}}, cut)
		logIn(t, c, &log, sasl.Plain(tim()), sasl.CRAMMD5(tim()))
		if err := c.Send(told(&log, "noop"), nil, "NOOP"); err != nil {
			t.Fatal(err)
		}
		s.Play(`
			S: * OK ready
			C: a2 CAPABILITY
			C-
			S: * CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=CRAM-MD5
			S: a2 OK
			C: a3 AUTHENTICATE CRAM-MD5
			S: + PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+
			C: dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw
			S: a3 NO not today
			C: a4 AUTHENTICATE PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm
			C-
			S: a4 OK in
			C: a5 CAPABILITY
			C-
			S: * CAPABILITY IMAP4rev1 IDLE
			S: a5 OK
			C: a10 NOOP
			S: a10 OK done
			C-`)
		same(t, "the login ends before what waited for it", log.Take(), []string{"login: <nil>", `noop OK "done"`})
		if got := c.Capabilities(); got != "IMAP4rev1 IDLE" {
			t.Errorf("capabilities are those of a friend\n got: %q", got)
		}
		want := []string{
			"C: a2 CAPABILITY", "C: a3 AUTHENTICATE CRAM-MD5", "C: ***",
			"C: a4 AUTHENTICATE PLAIN ***", "C: a5 CAPABILITY", "C: a10 NOOP",
		}
		if !slices.Equal(trace, want) {
			t.Errorf("a trace shows no secret\n got: %q\nwant: %q", trace, want)
		}
	})
}
