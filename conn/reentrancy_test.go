package conn_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/reactor"
)

// Each completion sends the next command. Callbacks of one connection never
// nest.
func TestSendInCallback(t *testing.T) {
	conntest.EveryCut(t, func(t *testing.T, cut *conntest.Cut) {
		var log conntest.Log
		c, s := conntest.NewCut(t, &conn.Dialer{}, cut)
		depth := 0
		var next conn.Proc
		next = func(c *conn.Client, rock any, r *conn.Reply) {
			depth++
			if depth > 1 {
				t.Error("one callback ends before the next begins")
			}
			n := rock.(int)
			log.Add(fmt.Sprintf("%d %s", n, r.Keyword))
			if n < 5 {
				if err := c.Send(next, n+1, "NOOP %d", n+1); err != nil {
					t.Errorf("Send is allowed in a callback\n got: %v", err)
				}
			}
			depth--
		}
		next(c, 0, &conn.Reply{Keyword: "start"})
		s.Play(`
			C: a1 NOOP 1
			S: a1 OK
			C: a2 NOOP 2
			S: a2 NO
			C: a3 NOOP 3
			S: a3 BAD
			C: a4 NOOP 4
			S: a4 OK
			C: a5 NOOP 5
			S: a5 OK
			C-`)
		same(t, "a completion may send the next command", log.Take(),
			[]string{"0 start", "1 OK", "2 NO", "3 BAD", "4 OK", "5 OK"})
	})
}

// One read brings many replies; the callback of each sends commands of every
// sort, and all of them leave in order after the read.
func TestSendManyInCallback(t *testing.T) {
	var log conntest.Log
	c, s := conntest.New(t, &conn.Dialer{})
	n := 0
	c.AddCallback(conn.Callback{Keyword: "EXISTS", Flags: numbered, Proc: func(c *conn.Client, _ any, r *conn.Reply) {
		n++
		c.SetFlags(conn.NonSyncLiteral)
		if err := c.Send(told(&log, fmt.Sprint("a", n)), nil, "FETCH %d %s", r.MsgNo, "ü"); err != nil {
			t.Error(err)
		}
		c.ClearFlags(conn.NonSyncLiteral)
	}})
	s.Send("* 1 EXISTS\r\n* 2 EXISTS\r\n* 3 EXISTS\r\n")
	s.Play(`
		C: a1 FETCH 1 {2+}
		C: ü
		C: a2 FETCH 2 {2+}
		C: ü
		C: a3 FETCH 3 {2+}
		C: ü
		C-
		S: a3 OK
		S: a1 OK
		S: a2 OK`)
	same(t, "commands from callbacks leave in order, by the flags of their time", log.Take(),
		[]string{`a3 OK ""`, `a1 OK ""`, `a2 OK ""`})
}

func TestReentrant(t *testing.T) {
	conntest.EveryCut(t, func(t *testing.T, cut *conntest.Cut) {
		var log conntest.Log
		drive := func(c *conn.Client, where string) {
			log.Add(where)
			refused(t, "ProcessOneEvent in "+where+" of its connection is refused", c.ProcessOneEvent(), conn.ErrReentrant)
			did, err := c.TryProcessOneEvent()
			refused(t, "TryProcessOneEvent in "+where+" of its connection is refused", err, conn.ErrReentrant)
			refused(t, "ErrReentrant is a misuse", err, conn.ErrMisuse)
			if did {
				t.Errorf("nothing is done in %s", where)
			}
		}
		proc := func(where string) conn.Proc {
			return func(c *conn.Client, _ any, r *conn.Reply) { drive(c, where+" "+r.Keyword) }
		}
		c, s := conntest.NewCut(t, &conn.Dialer{
			Callbacks: []conn.Callback{{Proc: proc("untagged")}},
			OnClose:   func(c *conn.Client, _ error) { drive(c, "OnClose") },
		}, cut)
		if err := c.SendCommand(&conn.Command{Finish: proc("dialogue"), OnContinue: proc("OnContinue")}, "IDLE"); err != nil {
			t.Fatal(err)
		}
		if err := c.Send(proc("behind"), nil, "NOOP"); err != nil {
			t.Fatal(err)
		}
		s.Play(`
			C: a1 IDLE
			S> * X\r\n+ go\r\na1 ENTRY\r\na1 OK\r\n
			C: a2 NOOP
			S.`)
		same(t, "refused calls cost no reply", log.Take(),
			[]string{"untagged X", "OnContinue +", "dialogue ENTRY", "dialogue OK", "behind EOF", "OnClose"})
		if got := kind(c.Err()); got != "EOF" {
			t.Errorf("a refused call is not the end\n got: %q", got)
		}
	})
}

// A callback drives another connection, whose callback drives a third, and so
// on, each in the middle of its read. What the outer ones were given stays.
func TestDriveAnother(t *testing.T) {
	conntest.EveryCut(t, func(t *testing.T, cut *conntest.Cut) {
		const depth = 4
		var log conntest.Log
		clients := make([]*conn.Client, depth)
		servers := make([]*conntest.Server, depth)
		for i := range depth {
			clients[i], servers[i] = conntest.NewCut(t, &conn.Dialer{}, cut)
			cut = nil // for the outermost alone
			clients[i].AddCallback(conn.Callback{Keyword: "Y", Proc: told(&log, fmt.Sprint(i))}, conn.Callback{Keyword: "X", Proc: func(_ *conn.Client, _ any, r *conn.Reply) {
				before := r.Clone()
				if i+1 < depth {
					servers[i+1].Send("* Y before\r\n* X " + string(r.Text) + "+\r\n* Y behind\r\n")
				}
				for _, outer := range clients[:i] {
					refused(t, "a connection in whose callback we are cannot be driven", outer.ProcessOneEvent(), conn.ErrReentrant)
					if err := outer.Send(nil, nil, "NOOP"); err != nil {
						t.Errorf("but it takes commands\n got: %v", err)
					}
				}
				if string(r.Text) != string(before.Text) || r.Keyword != before.Keyword {
					t.Errorf("driving another connection leaves the reply alone\n got: %s %q\nwant: %s %q",
						r.Keyword, r.Text, before.Keyword, before.Text)
				}
				log.Add(fmt.Sprintf("%d %s", i, r.Text))
			}})
		}
		servers[0].Send("* Y one\r\n* X text\r\n* Y two\r\n")
		same(t, "connections are driven from callbacks of others, to depth", log.Take(), []string{
			`0 Y "one"`,
			`1 Y "before"`, `2 Y "before"`, `3 Y "before"`, "3 text+++", `3 Y "behind"`, "2 text++", `2 Y "behind"`, "1 text+", `1 Y "behind"`,
			"0 text", `0 Y "two"`,
		})
		for i, server := range servers {
			for n := range depth - 1 - i { // each connection within has sent one
				server.Expect(fmt.Sprintf("a%d NOOP\r\n", n+1))
			}
			server.ExpectNothing()
		}
	})
}

func TestCloseAnother(t *testing.T) {
	conntest.EveryCut(t, func(t *testing.T, cut *conntest.Cut) {
		var log conntest.Log
		other, otherServer := conntest.New(t, &conn.Dialer{OnClose: closing(&log)})
		if err := other.Send(told(&log, "other"), nil, "NOOP"); err != nil {
			t.Fatal(err)
		}
		c, s := conntest.NewCut(t, &conn.Dialer{OnClose: closing(&log)}, cut)
		c.AddCallback(
			conn.Callback{Keyword: "X", Proc: func(*conn.Client, any, *conn.Reply) {
				_ = other.Close()
				log.Add("X")
			}},
			conn.Callback{Keyword: "Y", Proc: func(c *conn.Client, _ any, _ *conn.Reply) {
				// Close of this connection from within the callback of a third one.
				third, thirdServer := conntest.New(t, &conn.Dialer{})
				third.AddCallback(conn.Callback{Proc: func(*conn.Client, any, *conn.Reply) { _ = c.Close() }})
				thirdServer.Send("* Z\r\n")
				log.Add("Y")
			}})
		s.Send("* X\r\n* Y\r\n* X\r\n")
		same(t, "Close of another connection takes effect at once, of one that is being driven when it returns", log.Take(),
			[]string{"other EOF: Close", "closed: Close", "X", "Y", "closed: Close"})
		otherServer.Expect("a1 NOOP\r\n")
	})
}

func TestInLoop(t *testing.T) {
	l := newLoop(t)
	var log conntest.Log
	c, s := conntest.New(t, &conn.Dialer{Callbacks: []conn.Callback{{Proc: func(c *conn.Client, _ any, r *conn.Reply) {
		log.Add(r.Keyword)
		refused(t, "in a callback the calls that wait are refused", c.ProcessOneEvent(), conn.ErrMisuse)
		_, err := c.TryProcessOneEvent()
		refused(t, "those that drive too", err, conn.ErrReentrant)
	}}}})
	s.Join(l)
	refused(t, "the calls that wait are refused on a connection in a loop", c.ProcessOneEvent(), conn.ErrInLoop)
	refused(t, "ErrInLoop is a misuse", conn.ErrInLoop, conn.ErrMisuse)
	s.Play(`S: * X`)
	same(t, "the loop drives the connection", log.Take(), []string{"X"})
	if err := l.Remove(c); err != nil {
		t.Fatal(err)
	}
	if _, err := c.TryProcessOneEvent(); err != nil {
		t.Errorf("a connection that left its loop is bare again\n got: %v", err)
	}
	if err := c.Send(nil, nil, "NOOP"); err != nil {
		t.Fatal(err)
	}
	if err := c.ProcessOneEvent(); err != nil {
		t.Errorf("ProcessOneEvent drives a bare connection\n got: %v", err)
	}
}

// newLoop returns a loop that is closed when the test ends.
func newLoop(t *testing.T) *reactor.Loop {
	t.Helper()
	l, err := reactor.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// Two clients in one loop, each sending from the other's callbacks.
func TestTwoInOneLoop(t *testing.T) {
	conntest.EveryCut(t, func(t *testing.T, cut *conntest.Cut) {
		var log conntest.Log
		l := newLoop(t)
		x, xs := conntest.NewCut(t, &conn.Dialer{TagPrefix: "x", OnClose: closing(&log)}, cut)
		y, ys := conntest.New(t, &conn.Dialer{TagPrefix: "y", OnClose: closing(&log)})
		xs.Join(l)
		ys.Join(l)
		relay := func(to *conn.Client) conn.Callback {
			return conn.Callback{Keyword: "X", Proc: func(_ *conn.Client, _ any, r *conn.Reply) {
				if err := to.Send(told(&log, to.ServerName()), nil, "NOOP %s", string(r.Text)); err != nil {
					t.Errorf("Send to another connection of the loop is allowed\n got: %v", err)
				}
			}}
		}
		x.AddCallback(relay(y))
		y.AddCallback(relay(x), conn.Callback{Keyword: "BYE", Proc: func(*conn.Client, any, *conn.Reply) { _ = x.Close() }})
		xs.Send("* X one\r\n* X two\r\n")
		ys.Play(`
			C: y1 NOOP one
			C: y2 NOOP two
			S: y2 OK
			S: * X three
			S: y1 OK`)
		xs.Play(`
			C: x1 NOOP three
			S: x1 NO`)
		same(t, "connections of one loop work through each other's callbacks", log.Take(),
			[]string{`server.test OK ""`, `server.test OK ""`, `server.test NO ""`})
		ys.Play(`
			S: * BYE
			S.`)
		same(t, "and end each other", log.Take(), []string{"closed: Close", "closed: EOF"})
		for _, c := range []*conn.Client{x, y} {
			refused(t, "a client that has ended has left the loop by itself", l.Remove(c), reactor.ErrNotAdded)
		}
	})
}

// A flood is dispatched in turns, and the others in the loop have theirs.
func TestFloodInLoop(t *testing.T) {
	const n = 2000
	l := newLoop(t)
	got, atQuiet := 0, -1
	flood, floodServer := pair(t, &conn.Dialer{Callbacks: []conn.Callback{{Proc: func(*conn.Client, any, *conn.Reply) { got++ }}}})
	quiet, quietServer := pair(t, &conn.Dialer{Callbacks: []conn.Callback{{Proc: func(*conn.Client, any, *conn.Reply) { atQuiet = got }}}})
	floodServer.write(t, strings.Repeat("* X\r\n", n))
	quietServer.write(t, "* X\r\n")
	for _, c := range []*conn.Client{flood, quiet} {
		if err := l.Add(c); err != nil {
			t.Fatal(err)
		}
	}
	for did := true; did; {
		var err error
		if did, err = l.TryProcessOneEvent(); err != nil {
			t.Fatal(err)
		}
	}
	if got != n {
		t.Errorf("a flood is dispatched to its end, though nothing more comes\n got: %d replies\nwant: %d", got, n)
	}
	if atQuiet < 0 || atQuiet > 256 {
		t.Errorf("a flood takes at most 256 replies before another connection's turn\n got: %d", atQuiet)
	}
}
