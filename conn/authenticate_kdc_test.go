package conn_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/reactor"
	"github.com/imclient/imclient/sasl"
)

// kdc is one that takes requests and answers none.
type kdc struct {
	t        *testing.T
	listener net.Listener
	mech     sasl.Mechanism
}

func newKDC(t *testing.T) *kdc {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	conf := filepath.Join(t.TempDir(), "krb5.conf")
	text := fmt.Sprintf("[libdefaults]\n udp_preference_limit = 1\n[realms]\n X.TEST = {\n  kdc = %s\n }\n[domain_realm]\n server.test = X.TEST\n", l.Addr())
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return &kdc{t, l, sasl.GSSAPI(sasl.NewKerberos(sasl.KerberosOptions{
		Config: conf, Principal: "tim@X.TEST", Provider: tim(), Timeout: time.Hour,
	}))}
}

// asked takes a request.
func (k *kdc) asked() net.Conn {
	k.t.Helper()
	c, err := k.listener.Accept()
	if err != nil {
		k.t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
		k.t.Fatalf("a request comes\n got: %v", err)
	}
	return c
}

// givenUp waits until nobody wants the answer any more.
func (k *kdc) givenUp(c net.Conn) {
	k.t.Helper()
	if _, err := io.Copy(io.Discard, c); err != nil {
		k.t.Fatal(err)
	}
	_ = c.Close()
}

// While a ticket is fetched elsewhere, whatever ends the login ends that: the KDC is not
// waited for, and nothing is left of it.
func TestTicketNotWaitedFor(t *testing.T) {
	play := func(script string) func(*conntest.Server, *conn.Client, *reactor.Loop) error {
		return func(s *conntest.Server, _ *conn.Client, _ *reactor.Loop) error {
			s.Play(script)
			return nil
		}
	}
	for says, tc := range map[string]struct {
		end  func(*conntest.Server, *conn.Client, *reactor.Loop) error
		want func(error) bool
	}{
		"NO":         {play("S: a2 NO\nC."), isSyntax},
		"OK":         {play("S: a2 OK\nC."), isSyntax},
		"+":          {play("S: +\nC."), isSyntax},
		"BYE":        {play("S: * BYE\nS/\nC."), isEnd},
		"EOF":        {play("S/\nC."), isEnd},
		"reset":      {play("S!"), isEnd},
		"Close":      {func(_ *conntest.Server, c *conn.Client, _ *reactor.Loop) error { return c.Close() }, func(err error) bool { return errors.Is(err, conn.ErrClosed) }},
		"Remove":     {func(_ *conntest.Server, c *conn.Client, l *reactor.Loop) error { return l.Remove(c) }, func(err error) bool { return errors.Is(err, conn.ErrMisuse) }},
		"the loop's": {func(_ *conntest.Server, _ *conn.Client, l *reactor.Loop) error { return l.Close() }, nil},
	} {
		t.Run(says, func(t *testing.T) {
			k := newKDC(t)
			l := newLoop(t)
			c, s := conntest.New(t, new(conn.Dialer))
			s.Join(l)
			s.Play("S: * OK [CAPABILITY SASL-IR AUTH=GSSAPI]")
			o := authenticate(t, c, k.mech)
			asked := k.asked()
			s.Play("C-\nS: * 1 EXISTS\nC-") // the loop goes on
			if o.calls != 0 {
				t.Fatalf("the login waits\n got: %v", o.err)
			}
			if err := tc.end(s, c, l); err != nil {
				t.Fatal(err)
			}
			if tc.want != nil && (o.calls != 1 || !tc.want(o.err) || c.Err() == nil) {
				t.Errorf("the login ends with the connection\n got: %d calls, %v", o.calls, o.err)
			}
			_ = c.Close()
			k.givenUp(asked)
			if o.calls != 1 {
				t.Errorf("it is told once\n got: %d calls", o.calls)
			}
		})
	}
}

func isSyntax(err error) bool { return kind(err) == "syntax" }
func isEnd(err error) bool {
	return err != nil && !errors.Is(err, conn.ErrClosed) && kind(err) != "syntax"
}

// A KDC that hangs up is none that can be reached: nothing was said to the server, and
// the next mechanism follows; if there is none the error says why.
func TestTicketNotThere(t *testing.T) {
	for _, next := range []bool{false, true} {
		k := newKDC(t)
		l := newLoop(t)
		c, s := conntest.New(t, new(conn.Dialer))
		s.Join(l)
		s.Play("S: * OK [CAPABILITY SASL-IR AUTH=GSSAPI AUTH=PLAIN]")
		mechs := []sasl.Mechanism{k.mech}
		if next {
			mechs = append(mechs, sasl.Plain(tim()))
		}
		o := authenticate(t, c, mechs...)
		_ = k.asked().Close()
		_ = k.listener.Close()
		sent := ""
		for o.calls == 0 && sent == "" {
			if err := l.ProcessOneEvent(); err != nil {
				t.Fatal(err)
			}
			sent = s.Received()
		}
		var kerberos *sasl.KerberosError
		switch {
		case next && !strings.HasSuffix(sent, " AUTHENTICATE PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n"):
			t.Errorf("the next mechanism follows\n got: %q, %v", sent, o.err)
		case !next && (sent != "" || !errors.As(o.err, &kerberos) || kerberos.Kind != sasl.KerberosNoKDC || c.Err() != nil):
			t.Errorf("the error says that there is no KDC\n got: %q, %v, %v", sent, o.err, c.Err())
		}
	}
}
