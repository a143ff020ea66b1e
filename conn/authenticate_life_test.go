package conn_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/sasl"
)

// places are where a connection can be driven: bare, and in a loop.
func places(t *testing.T, f func(t *testing.T, join func(*conntest.Server))) {
	t.Run("bare", func(t *testing.T) { f(t, func(*conntest.Server) {}) })
	t.Run("loop", func(t *testing.T) {
		l := newLoop(t)
		f(t, func(s *conntest.Server) { s.Join(l) })
	})
}

// odd is a mechanism of the test's own.
type odd struct {
	name  string
	start func() (sasl.Step, error)
	next  func(challenge []byte) (sasl.Step, error) // nil: answers with nothing
	ends  []error                                   // of its exchanges
	ready bool                                      // is satisfied
}

// workingUntilCancelled begins with work that only a cancel ends.
func workingUntilCancelled() *odd {
	return &odd{name: "X", start: func() (sasl.Step, error) {
		return sasl.Step{Work: func(ctx context.Context) (sasl.Step, error) {
			<-ctx.Done()
			return sasl.Step{}, ctx.Err()
		}}, nil
	}}
}

func (m *odd) Name() string                  { return m.name }
func (m *odd) Traits() sasl.Traits           { return sasl.Traits{Strength: 1} }
func (m *odd) New(sasl.Params) sasl.Exchange { return m }
func (m *odd) Satisfied() bool               { return m.ready }
func (m *odd) Done(err error)                { m.ends = append(m.ends, err) }
func (m *odd) Next(b []byte) (sasl.Step, error) {
	if m.next == nil {
		return sasl.Step{}, nil
	}
	return m.next(b)
}

func (m *odd) Start() (sasl.Step, error) {
	if m.start == nil {
		return sasl.Step{}, nil
	}
	return m.start()
}

// outcome is what done was told.
type outcome struct {
	calls int
	err   error
}

func (o *outcome) done(err error) { o.calls, o.err = o.calls+1, err }

// authenticate begins a login with what is known of the server from its greeting.
func authenticate(t *testing.T, c *conn.Client, mechs ...sasl.Mechanism) *outcome {
	t.Helper()
	o := new(outcome)
	if err := c.AuthenticateAsync(mechs, "imap", "", sasl.ProtAny, o.done); err != nil {
		t.Fatalf("AuthenticateAsync begins a login: %v", err)
	}
	return o
}

// A connection that is closed by whatever a login calls ends like any other: done is
// called once, and never within AuthenticateAsync.
func TestCloseInLogin(t *testing.T) {
	var c *conn.Client
	closes := func(context.Context, sasl.Ask) (sasl.Credentials, error) {
		_ = c.Close()
		return sasl.Credentials{Username: "tim", Password: []byte("x")}, nil
	}
	for _, tc := range []struct {
		where string
		dial  conn.Dialer
		mech  sasl.Mechanism
	}{
		{"Trace", conn.Dialer{Trace: func(c *conn.Client, line string) {
			if strings.HasPrefix(line, "# trying") {
				_ = c.Close()
			}
		}}, sasl.Plain(tim())},
		{"the provider", conn.Dialer{}, sasl.Plain(sasl.ProviderFunc(closes))},
	} {
		t.Run(tc.where+", within the call", func(t *testing.T) {
			var s *conntest.Server
			c, s = conntest.New(t, &tc.dial)
			s.Play("S: * OK [CAPABILITY SASL-IR AUTH=PLAIN]")
			o := new(outcome)
			err := c.AuthenticateAsync([]sasl.Mechanism{tc.mech}, "imap", "", sasl.ProtAny, o.done)
			if !errors.Is(err, conn.ErrClosed) || o.calls != 0 {
				t.Errorf("AuthenticateAsync tells the end, and done does not\n got: %v, %d calls", err, o.calls)
			}
			s.Play("C.")
		})
		t.Run(tc.where+", in an event", func(t *testing.T) {
			var s *conntest.Server
			c, s = conntest.New(t, &tc.dial)
			o := authenticate(t, c, tc.mech)
			s.Play("S: * OK [CAPABILITY SASL-IR AUTH=PLAIN]\nC.")
			if o.calls != 1 || !errors.Is(o.err, conn.ErrClosed) {
				t.Errorf("done is told the end, once\n got: %d calls, %v", o.calls, o.err)
			}
		})
	}
}

// Of a login of which nothing was said the end says so, of another not.
func TestLoginSafeToRetry(t *testing.T) {
	for script, want := range map[string]bool{
		"S.": true,
		"S: * OK [CAPABILITY SASL-IR AUTH=PLAIN]\nC: a2 AUTHENTICATE PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\nS.": false,
	} {
		c, s := conntest.New(t, new(conn.Dialer))
		o := authenticate(t, c, sasl.Plain(tim()))
		s.Play(script)
		if o.calls != 1 || conn.SafeToRetry(o.err) != want {
			t.Errorf("after %q it is safe to try again: %t\n got: %v", script, want, o.err)
		}
	}
}

// A panic in a provider ends the connection wherever the provider works, and the
// exchange lets go of its secrets.
func TestPanicInProvider(t *testing.T) {
	places(t, func(t *testing.T, join func(*conntest.Server)) {
		m := &odd{name: "X", start: func() (sasl.Step, error) {
			return sasl.Step{Work: func(context.Context) (sasl.Step, error) { panic("mine") }}, nil
		}}
		c, s := conntest.New(t, new(conn.Dialer))
		join(s)
		o := authenticate(t, c, m)
		panicked := func() (v any) {
			defer func() { v = recover() }()
			s.Send("* OK [CAPABILITY AUTH=X]\r\n")
			for o.calls == 0 {
				s.Drive()
			}
			return nil
		}()
		if panicked != "mine" {
			t.Errorf("the panic goes on to whoever drives\n got: %v", panicked)
		}
		s.Drive()
		_ = c.Close()
		if o.calls != 1 || !errors.Is(o.err, conn.ErrPanicked) || len(m.ends) != 1 {
			t.Errorf("the end is told once, to the exchange too\n got: %d calls, %v, %v", o.calls, o.err, m.ends)
		}
	})
}

// What works for a login in a loop is cancelled by the connection's end, and told no
// more than that it is over.
func TestLateWork(t *testing.T) {
	l := newLoop(t)
	cancelled := make(chan struct{})
	release := make(chan struct{})
	var trace []string
	m := &odd{name: "X", start: func() (sasl.Step, error) {
		return sasl.Step{Work: func(ctx context.Context) (sasl.Step, error) {
			<-ctx.Done()
			close(cancelled)
			<-release
			return sasl.Step{Response: []byte("late")}, nil
		}}, nil
	}}
	c, s := conntest.New(t, &conn.Dialer{Trace: func(_ *conn.Client, line string) { trace = append(trace, line) }})
	s.Join(l)
	s.Play("S: * OK [CAPABILITY AUTH=X]")
	o := authenticate(t, c, m)
	s.Advance(time.Hour)
	if c.Err() != nil {
		t.Fatalf("our own work has no deadline\n got: %v", c.Err())
	}
	_ = c.Close()
	if o.calls != 1 || !errors.Is(o.err, conn.ErrClosed) {
		t.Errorf("the end does not wait for work\n got: %d calls, %v", o.calls, o.err)
	}
	<-cancelled
	lines := len(trace)
	close(release)
	for len(m.ends) == 0 {
		if err := l.ProcessOneEvent(); err != nil {
			t.Fatal(err)
		}
	}
	if !errors.Is(m.ends[0], context.Canceled) || len(m.ends) != 1 || o.calls != 1 || len(trace) != lines {
		t.Errorf("only the exchange hears of it\n got: %v, %d calls, %q", m.ends, o.calls, trace[lines:])
	}
}

// A connection that is taken out of its loop while work is under way there ends: the
// work would come back to nobody.
func TestLeaveLoopInLogin(t *testing.T) {
	l := newLoop(t)
	m := workingUntilCancelled()
	c, s := conntest.New(t, new(conn.Dialer))
	s.Join(l)
	s.Play("S: * OK [CAPABILITY AUTH=X]")
	o := authenticate(t, c, m)
	if err := l.Remove(c); err != nil {
		t.Fatal(err)
	}
	if o.calls != 1 || !errors.Is(o.err, conn.ErrMisuse) || !errors.Is(c.Err(), conn.ErrMisuse) {
		t.Errorf("leaving ends the connection\n got: %d calls, %v", o.calls, o.err)
	}
	for len(m.ends) == 0 {
		if err := l.ProcessOneEvent(); err != nil {
			t.Fatal(err)
		}
	}
}

// A login may follow on another from its done, and is refused beside it.
func TestLoginAfterLogin(t *testing.T) {
	places(t, func(t *testing.T, join func(*conntest.Server)) {
		var log conntest.Log
		var c *conn.Client
		var s *conntest.Server
		again := func(err error) {
			log.Add(fmt.Sprint("first: ", errors.Is(err, sasl.ErrAuthFailed)))
			logIn(t, c, &log, sasl.CRAMMD5(tim()))
		}
		c, s = conntest.New(t, new(conn.Dialer))
		join(s)
		s.Play("S: * OK [CAPABILITY AUTH=LOGIN AUTH=CRAM-MD5]")
		if err := c.AuthenticateAsync([]sasl.Mechanism{sasl.Login(tim())}, "imap", "", sasl.ProtAny, again); err != nil {
			t.Fatal(err)
		}
		err := c.AuthenticateAsync([]sasl.Mechanism{sasl.Login(tim())}, "imap", "", sasl.ProtAny, nil)
		refused(t, "a login beside another is a misuse", err, conn.ErrMisuse)
		s.Play(`
			C: a2 AUTHENTICATE LOGIN
			S: + VXNlcm5hbWU6
			C: dGlt
			S: + UGFzc3dvcmQ6
			C: dGFuc3RhYWZ0YW5zdGFhZg==
			S: a2 NO
			C: a8 AUTHENTICATE CRAM-MD5
			S: + PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+
			C: dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw
			S: a8 OK [CAPABILITY IDLE] in
			C-`)
		same(t, "one after the other", log.Take(), []string{"first: true", "login: <nil>"})
	})
}

// A login that waits behind a literal that the server refuses, or behind IDLE, has its
// turn after that.
func TestLoginWaits(t *testing.T) {
	var log conntest.Log
	c, s := conntest.New(t, new(conn.Dialer))
	s.Play("S: * OK [CAPABILITY SASL-IR AUTH=PLAIN]")
	if err := c.Send(told(&log, "x"), nil, "X %s", "ü"); err != nil {
		t.Fatal(err)
	}
	logIn(t, c, &log, sasl.Plain(tim()))
	s.Play(`
		C: a1 X {2}
		C-
		S: a1 NO
		C: a3 AUTHENTICATE PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm
		S: a3 OK [CAPABILITY IDLE] in`)
	same(t, "after a literal that was refused", log.Take(), []string{`x NO ""`, "login: <nil>"})

	c, s = conntest.New(t, new(conn.Dialer))
	s.Play("S: * OK [CAPABILITY SASL-IR AUTH=PLAIN]")
	talk(t, c, &log, "idle", "IDLE")
	logIn(t, c, &log, sasl.Plain(tim()))
	s.Play("C: a1 IDLE\nS: +\nC-\nS: * 3 EXISTS\nC-")
	if err := c.Continue("DONE"); err != nil {
		t.Fatal(err)
	}
	s.Play(`
		C: DONE
		C-
		S: a1 OK
		C: a3 AUTHENTICATE PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm
		S: a3 OK [CAPABILITY IDLE] in`)
	same(t, "after IDLE", log.Take(), []string{`idle + ""`, `idle OK ""`, "login: <nil>"})
}

// Silence of the server is bounded, from the last byte or the end of our own work on.
func TestAuthenticateTimeout(t *testing.T) {
	c, s := conntest.New(t, new(conn.Dialer))
	s.Play("S: * OK [CAPABILITY AUTH=CRAM-MD5]")
	o := authenticate(t, c, sasl.CRAMMD5(tim()))
	s.Play("C: a2 AUTHENTICATE CRAM-MD5\nT+ 59s\nS: * 1 EXISTS\nT+ 59s\nS: + PDE+")
	s.Received()
	s.Advance(59 * time.Second)
	if o.calls != 0 {
		t.Fatalf("each byte gives the server its minute anew\n got: %v", o.err)
	}
	s.Advance(time.Second)
	var timeout *conn.TimeoutError
	if !errors.As(o.err, &timeout) || timeout.Wait != "authentication" || timeout.Was != time.Minute {
		t.Errorf("then the login is over\n got: %v", o.err)
	}
}

// Whom the login is for, where nobody says: who runs the process.
func TestCurrentUser(t *testing.T) {
	c, s := conntest.New(t, new(conn.Dialer))
	s.Play("S: * OK [CAPABILITY SASL-IR AUTH=PLAIN]")
	authenticate(t, c, sasl.Plain(sasl.Static(sasl.Credentials{Password: []byte("x")})))
	s.Play("C: a2 AUTHENTICATE PLAIN " + base64Of("\x00"+runner(t)+"\x00x"))
}
