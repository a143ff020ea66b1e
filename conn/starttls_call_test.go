package conn_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/wire"
)

// StartTLS is called once, and by whom it may be.
func TestTLSTwice(t *testing.T) {
	inEveryWay(t, func(t *testing.T, way string) {
		x := newTLSTalk(t, conn.Dialer{}, way, nil)
		again := func(when string) {
			t.Helper()
			if err := x.c.StartTLSAsync("", "", "", "", x.over); !errors.Is(err, conn.ErrMisuse) {
				t.Errorf("StartTLS is refused %s\n got: %v", when, err)
			}
		}
		x.startTLS()
		again("while STARTTLS waits")
		x.Play("S: * OK\nC: a1 STARTTLS")
		again("while it is being answered")
		x.Play("S: a1 OK")
		again("during the handshake")
		x.Play("TLS\nC-")
		again("when there is TLS")
		_ = x.c.Close()
		if err := x.c.StartTLSAsync("", "", "", "", x.over); err != conn.ErrClosed {
			t.Errorf("after the end StartTLS says why\n got: %v", err)
		}
		x.says("none of them comes back", `* OK ""`, "TLS", "closed: Close")
	})
}

// With implicit TLS there is nothing to start.
func TestTLSImplicit(t *testing.T) {
	inEveryWay(t, func(t *testing.T, way string) {
		inSomeCuts(t, way, 61, func(t *testing.T, cut *conntest.Cut) {
			x := newTLSTalk(t, conn.Dialer{ImplicitTLS: true, RequireTLS: true}, way, cut)
			refused(t, "TLS is on its way", x.c.StartTLSAsync("", "", "", "", x.over), conn.ErrMisuse)
			x.login()
			x.Play("TLS\nC: a1 LOGIN alice \"secret word\"\nS: * PREAUTH welcome\nS: a1 OK\nC-")
			x.says("PREAUTH through TLS is as good as any greeting", `* PREAUTH "welcome"`, `a1 OK ""`)
			if state := x.c.TLS(); state == nil || state.NegotiatedProtocol != "imap" {
				t.Errorf("ALPN says imap\n got: %v", state)
			}
		})
	})
}

// STARTTLS is no command like others.
func TestTLSBySend(t *testing.T) {
	x := newTLSTalk(t, conn.Dialer{}, "bare", nil)
	for _, err := range []error{
		x.c.Send(nil, nil, "STARTTLS"),
		x.c.Send(nil, nil, "starttls"),
		x.c.Send(nil, nil, "STARTTLS "),
		x.c.Send(nil, nil, "StartTLS now"),
		x.c.Send(nil, nil, "%a", "STARTTLS"),
		x.c.Send(nil, nil, "%a", wire.Text("STARTTLS")),
		x.c.SendCommand(&conn.Command{}, "STARTTLS"),
		x.c.SendCommand(&conn.Command{OnContinue: x.log.Proc("+")}, "STARTTLS"),
	} {
		refused(t, "STARTTLS is StartTLS's to send", err, conn.ErrMisuse)
	}
	x.Play("S: * OK\nC-")
	x.send("STARTTLSX")
	x.Play("C: a1 STARTTLSX\nS: a1 BAD")
	x.says("the connection lives", `* OK ""`, `a1 BAD ""`)
}

// The call that waits is for bare connections, outside callbacks.
func TestTLSWaits(t *testing.T) {
	var inCallback error
	x := newTLSTalk(t, conn.Dialer{}, "bare", nil)
	x.c.AddCallback(conn.Callback{Proc: func(c *conn.Client, _ any, _ *conn.Reply) { inCallback = c.StartTLS("", "", "", "") }})
	x.Play("S: * OK")
	refused(t, "StartTLS in a callback would wait for itself", inCallback, conn.ErrReentrant)
	x = newTLSTalk(t, conn.Dialer{}, "in a loop", nil)
	refused(t, "in a loop it would hold all others up", x.c.StartTLS("", "", "", ""), conn.ErrInLoop)
	x.Play("S: * OK\nC-")
}

// StartTLSAsync may be called in a callback, as at the greeting, and a file that is bad
// troubles nobody.
func TestTLSInCallback(t *testing.T) {
	inEveryWay(t, func(t *testing.T, way string) {
		x := newTLSTalk(t, conn.Dialer{}, way, nil)
		if err := x.c.StartTLSAsync("", "", "/no/such/file", "", x.over); err == nil {
			t.Error("a file that is not there is no authority")
		}
		x.c.AddCallback(conn.Callback{Keyword: "OK", Proc: func(*conn.Client, any, *conn.Reply) {
			x.startTLS()
			x.send("NOOP")
		}})
		x.Play("S: * OK\nC: a1 STARTTLS\nS: a1 OK\nTLS\nC: a2 NOOP\nS: a2 OK\nC-")
		x.says("what was sent in the callback comes in order", "TLS", `a2 OK ""`)
	})
}

// A list of capabilities without STARTTLS is an answer already.
func TestTLSStripped(t *testing.T) {
	inEveryWay(t, func(t *testing.T, way string) {
		x := newTLSTalk(t, conn.Dialer{}, way, nil)
		x.Play("S: * OK [CAPABILITY IMAP4rev1 XSTARTTLS]")
		refused(t, "the server does not offer it", x.c.StartTLSAsync("", "", "", "", x.over), conn.ErrNoSTARTTLS)
		x.send("NOOP")
		x.Play("C: a1 NOOP\nS: * CAPABILITY starttls\nS: a1 OK\nC-")
		x.startTLS()
		x.sent-- // of the tags
		x.Play("C: a2 STARTTLS\nS: a2 OK\nTLS\nC-")
		x.says("it goes on in the clear", `* OK "[CAPABILITY IMAP4rev1 XSTARTTLS]"`, `* CAPABILITY "starttls"`, `a1 OK ""`, "TLS")

		x = newTLSTalk(t, conn.Dialer{RequireTLS: true}, way, nil)
		x.Play("S: * OK [CAPABILITY IMAP4rev1]\nC-")
		err := x.c.StartTLSAsync("", "", "", "", x.over)
		refused(t, "TLS is required", err, conn.ErrTLSRequired)
		refused(t, "and the server does not offer it", err, conn.ErrNoSTARTTLS)
		x.Play("C.")
		x.says("that is the end", "closed: TLS required")

		x = newTLSTalk(t, conn.Dialer{RequireTLS: true}, way, nil)
		x.Play("S: * OK [CAPABILITY IMAP4rev1]\nC-")
		x.send("LOGOUT")
		refused(t, "it is, too, with a command under way", x.c.StartTLSAsync("", "", "", "", x.over), conn.ErrTLSRequired)
		x.says("which is told", "a1 EOF: TLS required, safe to retry", "closed: TLS required")
	})
}

// Before StartTLS a client with RequireTLS says nothing but LOGOUT, and hears nothing.
func TestTLSRequired(t *testing.T) {
	inEveryWay(t, func(t *testing.T, way string) {
		x := newTLSTalk(t, conn.Dialer{RequireTLS: true}, way, nil)
		idle := &conn.Command{Finish: x.log.Proc("idle"), OnContinue: x.log.Proc("+")}
		talking := func() {
			t.Helper()
			refused(t, "nothing is said in the clear", x.c.Send(x.log.Proc("noop"), nil, "NOOP"), conn.ErrTLSRequired)
			refused(t, "above all no secret", x.c.Send(nil, nil, "LOGIN alice %p", "secret word"), conn.ErrTLSRequired)
			refused(t, "nor a dialogue", x.c.SendCommand(idle, "IDLE"), conn.ErrTLSRequired)
			refused(t, "nor LOGOUT with more to it", x.c.Send(nil, nil, "LOGOUT %s", "x"), conn.ErrTLSRequired)
		}
		talking()
		x.Play("S: * OK\nC-")
		talking()
		x.send("LOGOUT")
		x.Play("C: a1 LOGOUT\nS: * BYE evil\nS: * 66 EXISTS\nS: a1 OK evil\nC-\nS/\nC.")
		x.says("of LOGOUT the end is told, and nothing else", `a1 OK ""`, "closed: EOF")
	})
}

// A trace shows secrets no more than in the clear.
func TestTLSSecretIsRedacted(t *testing.T) {
	var trace []string
	x := newTLSTalk(t, conn.Dialer{RequireTLS: true, Trace: func(_ *conn.Client, line string) { trace = append(trace, line) }}, "bare", nil)
	x.startTLS()
	x.login()
	x.Play("S: * OK\nC: a1 STARTTLS\nS: a1 OK begin\nTLS\nC: a2 LOGIN alice \"secret word\"\nS: a2 OK\nS.")
	same(t, "a trace tells all but secrets and records", trace, []string{
		"# connected to server.test", "S: * OK", "C: a1 STARTTLS", "S: a1 OK begin", "# TLS handshake",
		"# TLS 1.3, TLS_AES_128_GCM_SHA256", "C: a2 LOGIN alice ***", "S: a2 OK", "# closed: conn: the server closed the connection: EOF",
	})
}

// Close is allowed in whatever is called on the way to TLS and behind it, and is the end.
func TestTLSCloseInCallbacks(t *testing.T) {
	const script = "S: * OK\nC: a1 NOOP\nS: a1 OK\nC: a2 STARTTLS\nS: * 1 EXISTS\nS: a2 OK begin\nTLS\nC: a3 NOOP\nC-\n" +
		"S: * 2 EXISTS\nS: a3 OK\nS: * 3 EXISTS\nS: * BYE"
	inEveryWay(t, func(t *testing.T, way string) {
		// The n-th thing that is called closes the connection.
		for n := 1; ; n++ {
			var x *tlsTalk
			called, closed := 0, false
			closes := func(c *conn.Client) {
				if closed {
					t.Errorf("after Close in call %d nothing is called but the ends", n)
				}
				if called++; called == n {
					closed = true
					if err := c.Close(); err != nil {
						t.Errorf("Close returns nil\n got: %v", err)
					}
				}
			}
			d := conn.Dialer{
				Trace: func(c *conn.Client, line string) {
					if !strings.HasPrefix(line, "# closed") && c.Err() == nil {
						closes(c)
					}
				},
				Warn: func(c *conn.Client, _ string) { closes(c) },
			}
			x = newTLSTalk(t, d, way, nil)
			finish := func(c *conn.Client, _ any, r *conn.Reply) {
				x.log.Add(r.Keyword)
				if r.Err == nil {
					closes(c)
				}
			}
			x.c.AddCallback(conn.Callback{Proc: func(c *conn.Client, _ any, _ *conn.Reply) { closes(c) }})
			due := 0
			count := func(err error) {
				if err == nil {
					due++
				}
			}
			count(x.c.Send(finish, nil, "NOOP"))
			count(x.c.StartTLSAsync("", "", "", "", func(err error) {
				if x.log.Add("TLS"); err == nil {
					closes(x.c)
				}
			}))
			count(x.c.Send(finish, nil, "NOOP"))
			x.playUntilClosed(script)
			_ = x.c.Close()
			log := x.log.Take()
			if len(log) != due+1 || log[due] != "closed: Close" {
				t.Errorf("each command and STARTTLS ends once, then the connection, when call %d closes it\n got: %q", n, log)
			}
			if !closed {
				if n < 15 {
					t.Errorf("many things are called\n got: %d", n)
				}
				break
			}
		}
	})
}

// playUntilClosed plays a script as long as there is somebody to play it to.
func (x *tlsTalk) playUntilClosed(script string) {
	x.t.Helper()
	for line := range strings.Lines(script) {
		if x.Drive(); x.c.Err() != nil {
			break
		}
		x.Play(line)
	}
	x.Received()
}
