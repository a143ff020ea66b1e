package conn_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/reactor"
)

// fleet is connections in one loop, on the test's goroutine. What goes wrong
// ends the test at once, so that nothing waits for what will not come.
type fleet struct {
	t      *testing.T
	loop   *reactor.Loop
	dialer conn.Dialer
	ctx    context.Context
	stop   context.CancelFunc
	killed bool // the server: commands complete with EOF from now on

	members  []*member
	byClient map[*conn.Client]*member
	left     int // members that have not ended
}

// member is a connection of a fleet.
type member struct {
	*conn.Client
	f         *fleet
	number    int
	sent      []*errand
	completed []*errand
	closed    int // times that OnClose was called
	idling    bool
}

// errand is a command of a member.
type errand struct {
	format      string
	completions int
	err         error // the last completion's
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	l, err := reactor.New()
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{t: t, loop: l, byClient: map[*conn.Client]*member{}}
	f.ctx, f.stop = context.WithCancel(context.Background())
	f.dialer.OnClose = func(c *conn.Client, err error) { f.byClient[c].gone(err) }
	f.dialer.Timeouts = patient
	return f
}

// on registers f for untagged replies of all connections made later.
func (f *fleet) on(keyword string, flags conn.CallbackFlags, proc func(m *member, r *conn.Reply)) {
	f.dialer.Callbacks = append(f.dialer.Callbacks, conn.Callback{Keyword: keyword, Flags: flags,
		Proc: func(c *conn.Client, _ any, r *conn.Reply) {
			m := f.byClient[c]
			m.open(keyword)
			proc(m, r)
		}})
}

// connect adds a member. It is returned before its connection stands, which
// begin is told.
func (f *fleet) connect(address string, begin func(m *member)) *member {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		f.t.Fatal(err)
	}
	m := &member{f: f, number: len(f.members)}
	f.members = append(f.members, m)
	f.left++
	f.dialer.ConnectAsync(f.ctx, f.loop, host, port, func(c *conn.Client, err error) {
		if err != nil || m.Client != nil {
			f.fail("connection %d is made once, without an error: %v", m.number, err)
			return
		}
		m.Client = c
		f.byClient[c] = m
		begin(m)
	})
	return m
}

func (f *fleet) fail(format string, args ...any) {
	f.t.Helper()
	if !f.t.Failed() {
		f.t.Errorf(format, args...)
	}
	f.stop()
}

// run drives the loop until the last connection has ended. Then every command
// has completed once, and the loop and its descriptors are given back.
func (f *fleet) run() {
	f.t.Helper()
	err := f.loop.Run(f.ctx)
	if !errors.Is(err, context.Canceled) {
		f.t.Errorf("the loop runs until the context ends: %v", err)
	}
	if n := f.loop.Stats().Sources; n > 0 && f.left == 0 {
		f.t.Errorf("a connection leaves the loop when it ends: %d are in it", n)
	}
	if f.left > 0 { // something went wrong, and has been said
		f.dialer.OnClose = nil
		for c := range f.byClient {
			_ = c.Close()
		}
	}
	if err := f.loop.Close(); err != nil {
		f.t.Error(err)
	}
	if f.t.Failed() {
		f.t.FailNow()
	}
	for _, m := range f.members {
		for _, e := range m.sent {
			if e.completions != 1 {
				f.t.Errorf("every command completes once: connection %d: %s: %d times", m.number, e.format, e.completions)
			}
		}
		if m.closed != 1 {
			f.t.Errorf("OnClose is called once: connection %d: %d times", m.number, m.closed)
		}
	}
}

// send sends a command, which must succeed; then is called when it has.
func (m *member) send(then func(), format string, args ...any) {
	m.sendCommand(conn.Command{}, then, format, args...)
}

// idle sends an IDLE; idling is called when the server waits with us.
func (m *member) idle(idling, then func()) {
	m.sendCommand(conn.Command{OnContinue: func(*conn.Client, any, *conn.Reply) {
		m.open("+")
		m.idling = true
		idling()
	}}, then, "IDLE")
}

// done ends an IDLE.
func (m *member) done() {
	m.idling = false
	if err := m.Continue("DONE"); err != nil {
		m.f.fail("Continue ends an IDLE: %v", err)
	}
}

func (m *member) sendCommand(cmd conn.Command, then func(), format string, args ...any) {
	e := &errand{format: format}
	m.sent = append(m.sent, e)
	cmd.Finish = func(_ *conn.Client, _ any, r *conn.Reply) {
		m.open(format)
		m.completed = append(m.completed, e)
		e.completions++
		e.err = r.AsError()
		switch {
		case e.err == nil && then != nil:
			then()
		case e.err != nil && !(m.f.killed && r.Keyword == "EOF"):
			m.f.fail("connection %d: %s succeeds: %v", m.number, format, e.err)
		}
	}
	if err := m.SendCommand(&cmd, format, args...); err != nil {
		m.f.fail("connection %d: Send(%q) queues a command: %v", m.number, format, err)
	}
}

// open fails if the connection has told its end.
func (m *member) open(what string) {
	if m.closed > 0 {
		m.f.fail("no callback comes after OnClose: connection %d: %s", m.number, what)
	}
}

// gone is OnClose.
func (m *member) gone(err error) {
	m.open("OnClose")
	m.closed++
	if err != m.Err() {
		m.f.fail("OnClose tells why the connection ended: connection %d: %v, %v", m.number, err, m.Err())
	}
	if m.f.left--; m.f.left == 0 {
		m.f.stop()
	}
}

// descriptors returns what is open: number and target.
func descriptors(t *testing.T) []string {
	t.Helper()
	time.AfterFunc(time.Hour, func() {}).Stop() // the first timer makes a poller for Go's own use
	const dir = "/proc/self/fd/"
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var open []string
	for _, e := range entries {
		if to, err := os.Readlink(dir + e.Name()); err == nil { // else it was the directory's own
			open = append(open, e.Name()+" "+to)
		}
	}
	return open
}

// givenBack fails if descriptors are open that were not before.
func givenBack(t *testing.T, before []string) {
	t.Helper()
	after := descriptors(t)
	left := slices.DeleteFunc(after, func(fd string) bool { return slices.Contains(before, fd) })
	if len(left) > 0 {
		t.Errorf("every descriptor is given back: %d are open: %q", len(left), left)
	}
}

// All 2,000 are in IDLE at the same time when one message wakes them.
func TestDovecotTwoThousandConnections(t *testing.T) {
	const size = 2000
	user, password := loadAccount(t, fleetAccount)
	address := fromBed(t, "DOVECOT")
	mailbox := login(t, user, password).mailbox("fleet")
	before, goroutines := descriptors(t), runtime.NumGoroutine()

	f := newFleet(t)
	idling, woken := 0, 0
	f.on("EXISTS", conn.CallbackNumbered, func(m *member, r *conn.Reply) {
		if m.idling && r.MsgNo == 1 {
			woken++
			m.done()
		}
	})
	wake := func() {
		if f.left != size {
			f.fail("%d connections stand at once: %d", size, f.left)
		}
		if n := runtime.NumGoroutine(); n > goroutines {
			f.fail("no connection has a goroutine: %d before, %d now", goroutines, n)
		}
		f.connect(address, func(m *member) {
			m.send(nil, "LOGIN %s %p", user, password)
			m.send(nil, "APPEND %s %l", mailbox, []byte("Subject: wake up\r\n\r\n"))
			m.send(nil, "LOGOUT")
		})
	}
	for range size {
		f.connect(address, func(m *member) {
			m.send(nil, "LOGIN %s %p", user, password)
			m.send(nil, "SELECT %s", mailbox)
			for range 5 {
				m.send(nil, "NOOP")
			}
			m.idle(func() {
				if idling++; idling == size {
					wake()
				}
			}, nil)
			m.send(nil, "NOOP")
			m.send(nil, "LOGOUT")
		})
	}
	f.run()
	if woken != size {
		t.Errorf("the message wakes each connection once: %d of %d", woken, size)
	}
	for _, m := range f.members {
		if !errors.Is(m.Err(), io.EOF) {
			t.Errorf("after LOGOUT the server hangs up: connection %d: %v", m.number, m.Err())
		}
	}
	givenBack(t, before)
}
