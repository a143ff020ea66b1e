package conn_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/reactor"
)

// A command that was given up completes unseen, whichever way.
func TestDetach(t *testing.T) {
	for _, tc := range []struct{ says, script string }{
		{"by its tagged reply", "S: a1 FOO between\nS: + x\nS: a1 OK done"},
		{"by the end of the connection", "S: + x\nS."},
	} {
		t.Run(tc.says, func(t *testing.T) {
			var log conntest.Log
			c, s := conntest.New(t, &conn.Dialer{})
			cmd := &conn.Command{Finish: log.Proc("gone"), OnContinue: log.Proc("gone")}
			if err := errors.Join(c.SendCommand(cmd, "IDLE"), c.Send(log.Proc("next"), nil, "NOOP")); err != nil {
				t.Fatal(err)
			}
			s.Play("S: * OK\nC: a1 IDLE")
			cmd.Detach()
			s.Play(tc.script)
			if got := log.Take(); len(got) > 1 || len(got) == 1 && got[0][:4] != "next" {
				t.Errorf("no proc of a detached command is called: %q", got)
			}
		})
	}
}

func TestMaxQueued(t *testing.T) {
	for _, tc := range []struct {
		says      string
		max       int64
		fits, not int // commands of 9 bytes, "a1 NOOP\r\n"
	}{
		{"one over the bound is refused", 17, 2, 3},
		{"one at the bound is not", 18, 3, 4},
		{"no bound", -1, 9, 0},
		{"an empty queue takes anything", 1, 1, 2},
	} {
		c, s := conntest.New(t, &conn.Dialer{MaxQueued: tc.max})
		calls := 0
		finish := func(*conn.Client, any, *conn.Reply) { calls++ }
		for i := 1; i <= max(tc.fits, tc.not); i++ {
			err := c.Send(finish, nil, "NOOP")
			if refused := tc.not > 0 && i >= tc.not; errors.Is(err, conn.ErrBackpressure) != refused || err != nil && !refused {
				t.Errorf("%s: command %d: %v", tc.says, i, err)
			}
		}
		s.Drive()
		if err := c.Send(finish, nil, "NOOP"); err != nil {
			t.Errorf("%s: what was written does not count: %v", tc.says, err)
		}
		_ = c.Close()
		if calls != tc.fits+1 {
			t.Errorf("%s: what was refused never completes: %d calls", tc.says, calls)
		}
	}
}

// A panic in a callback ends its connection, reaches whoever drives it, and costs
// no other callback its call.
func TestPanic(t *testing.T) {
	type oops struct{}
	boom := func(*conn.Client, any, *conn.Reply) { panic(oops{}) }
	for _, tc := range []struct {
		says   string
		arm    func(d *conn.Dialer, c *conn.Client) error
		script string
		want   []string
	}{
		{"in an untagged callback", func(_ *conn.Dialer, c *conn.Client) error {
			c.AddCallback(conn.Callback{Keyword: "X", Proc: boom})
			return nil
		}, "S> * X\\r\\n* Y\\r\\n", []string{"b EOF", "closed"}},
		{"in a completion", func(_ *conn.Dialer, c *conn.Client) error {
			return c.Send(boom, nil, "NOOP")
		}, "C: a1 NOOP\nS> a1 OK\\r\\n* Y\\r\\n", []string{"b EOF", "closed"}},
		{"in an EOF completion", func(_ *conn.Dialer, c *conn.Client) error {
			return c.Send(boom, nil, "NOOP")
		}, "S.", []string{"b EOF", "closed"}},
	} {
		t.Run(tc.says, func(t *testing.T) {
			var log []string
			d := &conn.Dialer{OnClose: func(_ *conn.Client, err error) { log = append(log, "closed") }}
			c, s := conntest.New(t, d)
			err := tc.arm(d, c)
			if err == nil {
				err = c.Send(func(_ *conn.Client, _ any, r *conn.Reply) { log = append(log, "b "+r.Keyword) }, nil, "NOOP")
			}
			if err != nil {
				t.Fatal(err)
			}
			panicked := func() (p bool) {
				defer func() { _, p = recover().(oops) }()
				s.Play(tc.script)
				return
			}()
			if !panicked {
				t.Fatal("the panic reaches who drives the connection")
			}
			if c.Err() == nil {
				t.Error("the connection has ended")
			}
			if at, ok := c.NextDeadline(); !slices.Equal(log, tc.want) && (!ok || at.After(time.Now())) {
				t.Errorf("the last callbacks want a call now: %v %v, after %q", at, ok, log)
			}
			if _, err := c.TryProcessOneEvent(); err == nil {
				t.Error("the next call says that it has ended")
			}
			_ = c.Close()
			same(t, tc.says, log, tc.want)
		})
	}
}

// A loop does not know a connection any more whose last callbacks run. They all do,
// whichever of them panic.
func TestPanicsAtTheEndInALoop(t *testing.T) {
	l, err := reactor.New()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var log []string
	c, s := conntest.New(t, &conn.Dialer{OnClose: func(*conn.Client, error) {
		log = append(log, "closed")
		panic("closed")
	}})
	for i := range 4 {
		finish := func(_ *conn.Client, _ any, r *conn.Reply) {
			log = append(log, fmt.Sprint(i, " ", r.Keyword))
			if i%2 == 0 {
				panic(i)
			}
		}
		if err := c.Send(finish, nil, "NOOP"); err != nil {
			t.Fatal(err)
		}
	}
	s.Join(l)
	panicked := func() (p any) {
		defer func() { p = recover() }()
		s.Play("S.")
		return nil
	}()
	if panicked != "closed" {
		t.Errorf("the last panic reaches who drives the loop: %v", panicked)
	}
	same(t, "every last callback is called, once", log, []string{"0 EOF", "1 EOF", "2 EOF", "3 EOF", "closed"})
	if err := l.Remove(c); err != reactor.ErrNotAdded {
		t.Errorf("the loop is rid of it: %v", err)
	}
}

// A panic that no loop has seen, because the connection was driven by hand, leaves the
// last callbacks to the loop's next turn all the same.
func TestPanicByHandInALoop(t *testing.T) {
	l, err := reactor.New()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	closed := 0
	c, s := conntest.New(t, &conn.Dialer{
		Callbacks: []conn.Callback{{Proc: func(*conn.Client, any, *conn.Reply) { panic("oops") }}},
		OnClose:   func(*conn.Client, error) { closed++ },
	})
	if err := l.Add(c); err != nil {
		t.Fatal(err)
	}
	if _, err := l.TryProcessOneEvent(); err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic reaches who drives the connection")
			}
		}()
		s.Send("* OK\r\n")
	}()
	for range 2 {
		if _, err := l.TryProcessOneEvent(); err != nil {
			t.Fatal(err)
		}
	}
	if closed != 1 {
		t.Errorf("OnClose was called %d times", closed)
	}
}
