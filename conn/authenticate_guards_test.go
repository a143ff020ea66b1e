package conn_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/sasl"
)

// A "+" that nothing waits for ends the connection wherever a login is.
func TestLoginNotAsked(t *testing.T) {
	for says, script := range map[string]string{
		"while it asks for the list": "S: * OK\nC: a2 CAPABILITY\nS: +\nC.",
		"while it asks again":        "S: * OK [CAPABILITY AUTH=X]\nC: a2 AUTHENTICATE X\nS: a2 OK\nC: a3 CAPABILITY\nS: +\nC.",
	} {
		c, s := conntest.New(t, new(conn.Dialer))
		o := authenticate(t, c, &odd{name: "X", ready: true})
		s.Play(script)
		if o.calls != 1 || kind(o.err) != "syntax" {
			t.Errorf("%s the connection ends\n got: %d calls, %v", says, o.calls, o.err)
		}
	}
	l := newLoop(t)
	c, s := conntest.New(t, new(conn.Dialer))
	s.Join(l)
	s.Play("S: * OK [CAPABILITY AUTH=X]")
	o := authenticate(t, c, workingUntilCancelled())
	s.Play("S: +\nC.")
	if o.calls != 1 || kind(o.err) != "syntax" {
		t.Errorf("before AUTHENTICATE was sent the connection ends\n got: %d calls, %v", o.calls, o.err)
	}
}

// Work whose answer nobody waits for any more is cancelled at once.
func TestAnsweredWorkIsCancelled(t *testing.T) {
	for _, script := range []string{"S: a2 NO", "S: +"} {
		l := newLoop(t)
		cancelled := false
		m := &odd{name: "X", next: func([]byte) (sasl.Step, error) {
			return sasl.Step{Work: func(ctx context.Context) (sasl.Step, error) {
				<-ctx.Done()
				cancelled = true
				return sasl.Step{}, ctx.Err()
			}}, nil
		}}
		c, s := conntest.New(t, new(conn.Dialer))
		s.Join(l)
		s.Play("S: * OK [CAPABILITY AUTH=X]")
		o := authenticate(t, c, m)
		s.Play("C: a2 AUTHENTICATE X\nS: +\nC-\n" + script)
		for o.calls == 0 { // the work may have returned before Play did
			if s.Received() == "*\r\n" {
				s.Play("S: a2 NO")
				continue
			}
			if o.calls == 0 {
				if err := l.ProcessOneEvent(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if !cancelled || o.calls != 1 || !errors.Is(o.err, sasl.ErrAuthFailed) {
			t.Errorf("after %q it ends\n got: cancelled %t, %d calls, %v", script, cancelled, o.calls, o.err)
		}
	}
}

// A mechanism that cannot begin is passed over, and the server hears nothing of it.
func TestLoginCannotBegin(t *testing.T) {
	places(t, func(t *testing.T, join func(*conntest.Server)) {
		for _, err := range []error{sasl.ErrNoCredentials, errors.New("no random numbers")} {
			m := &odd{name: "X", start: func() (sasl.Step, error) { return sasl.Step{}, err }}
			c, s := conntest.New(t, new(conn.Dialer))
			join(s)
			s.Play("S: * OK [CAPABILITY SASL-IR AUTH=X AUTH=ANONYMOUS AUTH=Y]")
			o := authenticate(t, c, m, &odd{name: "Y", ready: true})
			s.Play("C: a2 AUTHENTICATE Y\nC-\nS: a2 NO\nC-")
			if len(m.ends) != 1 || !errors.Is(m.ends[0], err) || !errors.Is(o.err, err) {
				t.Errorf("the exchange is told, and the error says why\n got: %v, %v", m.ends, o.err)
			}
		}
	})
}

// An initial response that was not asked for is overwritten, too.
func TestInitialResponseIsWiped(t *testing.T) {
	response := []byte("hunter2")
	m := &odd{name: "X", start: func() (sasl.Step, error) { return sasl.Step{Response: response}, nil }}
	c, s := conntest.New(t, new(conn.Dialer))
	s.Play("S: * OK [CAPABILITY AUTH=X AUTH=Y]")
	authenticate(t, c, m, &odd{name: "Y"})
	s.Play("C: a2 AUTHENTICATE X\nS: a2 NO\nC: a3 AUTHENTICATE Y")
	if !bytes.Equal(response, make([]byte, len(response))) {
		t.Errorf("when the next mechanism begins it is gone\n got: %q", response)
	}
}

// What a caller may do around a login.
func TestAuthenticateCalls(t *testing.T) {
	offers := "S: * OK [CAPABILITY SASL-IR AUTH=PLAIN]"
	t.Run("no done", func(t *testing.T) {
		c, s := conntest.New(t, new(conn.Dialer))
		s.Play(offers)
		if err := c.AuthenticateAsync([]sasl.Mechanism{sasl.Plain(tim())}, "imap", "", sasl.ProtAny, nil); err != nil {
			t.Fatal(err)
		}
		s.Received()
		s.Play("S: a2 OK [CAPABILITY IDLE] in")
		if stats := c.Stats(); c.Err() != nil || c.Capabilities() != "IDLE" || stats.Commands != 1 {
			t.Errorf("the login succeeds, and is a command\n got: %v, %q, %d", c.Err(), c.Capabilities(), stats.Commands)
		}
	})
	t.Run("after the end", func(t *testing.T) {
		c, _ := conntest.New(t, new(conn.Dialer))
		_ = c.Close()
		err := c.AuthenticateAsync([]sasl.Mechanism{sasl.Plain(tim())}, "imap", "", sasl.ProtAny, func(error) { t.Error("done is not called") })
		refused(t, "it is refused", err, conn.ErrClosed)
	})
	t.Run("after an hour of silence", func(t *testing.T) {
		c, s := conntest.New(t, new(conn.Dialer))
		s.Play(offers + "\nT+ 1h")
		o := authenticate(t, c, sasl.Plain(tim()))
		s.Received()
		s.Advance(59 * time.Second)
		if c.Err() != nil || o.calls != 0 {
			t.Errorf("the server has its minute from then on\n got: %v", c.Err())
		}
	})
	t.Run("what it calls does not drive", func(t *testing.T) {
		var nested []error
		c, s := conntest.New(t, &conn.Dialer{Trace: func(c *conn.Client, line string) {
			if line == "# trying PLAIN" {
				_, err := c.TryProcessOneEvent()
				nested = append(nested, err)
			}
		}})
		s.Play(offers)
		authenticate(t, c, sasl.Plain(tim()))
		if len(nested) != 1 || !errors.Is(nested[0], conn.ErrReentrant) {
			t.Errorf("an event within it is refused\n got: %v", nested)
		}
	})
	t.Run("in a callback", func(t *testing.T) {
		o := new(outcome)
		begin := func(c *conn.Client, _ any, _ *conn.Reply) {
			if err := c.AuthenticateAsync([]sasl.Mechanism{sasl.Plain(tim())}, "imap", "", sasl.ProtAny, o.done); err != nil {
				t.Errorf("it is legal there\n got: %v", err)
			}
			_, err := c.TryProcessOneEvent()
			refused(t, "and events are not, behind it", err, conn.ErrReentrant)
			refused(t, "nor is the one that waits", c.Authenticate(nil, "imap", "", sasl.ProtAny), conn.ErrReentrant)
		}
		c, s := conntest.New(t, &conn.Dialer{Callbacks: []conn.Callback{{Keyword: "GO", Proc: begin}}})
		s.Play(offers + "\nS: * GO\nC: a2 AUTHENTICATE PLAIN " + base64Of("\x00tim\x00tanstaaftanstaaf") + "\nS: a2 OK [CAPABILITY IDLE] in")
		if o.calls != 1 || o.err != nil || c.Err() != nil {
			t.Errorf("it succeeds\n got: %d calls, %v", o.calls, o.err)
		}
	})
}
