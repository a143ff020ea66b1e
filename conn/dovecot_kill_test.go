package conn_test

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/conn"
)

// spare is servers of the test's own.
type spare map[string]string // variables, without their prefix

func startSpare(t *testing.T) spare {
	t.Helper()
	cmd := exec.Command(fromBed(t, "TESTBED"), "-serve")
	cmd.Stderr = os.Stderr
	hold, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = hold.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the spare testbed ends well: %v", err)
		}
	})
	vars := spare{}
	for scanner := bufio.NewScanner(output); scanner.Scan(); {
		name, value, _ := strings.Cut(scanner.Text(), "=")
		vars[strings.TrimPrefix(name, "IMCLIENT_TEST_")] = value
	}
	if vars["DOVECOT_PID"] == "" {
		t.Fatal("the spare testbed starts Dovecot")
	}
	return vars
}

// signal sends a signal to all of Dovecot's processes.
func (s spare) signal(t *testing.T, signal unix.Signal) {
	t.Helper()
	group, err := strconv.Atoi(s["DOVECOT_PID"])
	if err != nil || group <= 1 {
		t.Fatalf("DOVECOT_PID is a process group: %q", s["DOVECOT_PID"])
	}
	if err := unix.Kill(-group, signal); err != nil {
		t.Fatalf("kill: %v", err)
	}
}

// duty is what a member of a fleet has under way when its server dies.
type duty struct {
	name    string
	prepare func(m *member, ready func()) // once it has selected INBOX; nil: it is ready
	begin   func(m *member)               // when all are ready
	stopped func(m *member)               // when the server has stopped: no answer will come
	written func(m *member) bool          // all of it that can be; nil: nothing wants to be written
	lost    int                           // commands that end with EOF, at least
	unsent  int                           // of them, those of which no byte is written
}

// duties need a literal larger than what sockets hold.
func duties(large []byte) []duty {
	return []duty{
		{
			name:  "large messages are on their way",
			begin: func(m *member) { m.sendAll(5, "FETCH 1:* (BODY.PEEK[])") },
			lost:  4,
		}, {
			name:    "commands are written and not answered",
			stopped: func(m *member) { m.sendAll(20, "NOOP") },
			lost:    20,
		}, {
			name:    "IDLE holds commands back",
			prepare: func(m *member, ready func()) { m.idle(ready, nil) },
			stopped: func(m *member) { m.sendAll(10, "NOOP") },
			lost:    11,
			unsent:  10,
		}, {
			name: "a literal waits and holds commands back",
			stopped: func(m *member) {
				m.ClearFlags(conn.NonSyncLiteral)
				m.sendAll(5, "APPEND INBOX %l", large)
			},
			lost:   5,
			unsent: 4,
		}, {
			name: "a literal is on its way",
			stopped: func(m *member) {
				m.SetFlags(conn.NonSyncLiteral)
				m.sendAll(3, "APPEND INBOX %l", large)
			},
			written: func(m *member) bool { return m.Stats().BytesOut > 1000 },
			lost:    3,
			unsent:  2,
		},
	}
}

func (m *member) sendAll(n int, format string, args ...any) {
	for range n {
		m.send(nil, format, args...)
	}
}

func (d *duty) hasWritten(m *member) bool {
	if d.written != nil {
		return d.written(m)
	}
	_, want := m.GetSelectInfo()
	return !want
}

// outage is a fleet whose server is stopped in mid-reply, gets more commands,
// and is killed.
type outage struct {
	*fleet
	server  spare
	duties  []duty
	waiting int // members that are not ready
	stopped bool
}

func (f *outage) duty(m *member) *duty { return &f.duties[m.number%len(f.duties)] }

func (f *outage) enlist(m *member) {
	ready := func() {
		if f.waiting--; f.waiting == 0 {
			f.begin()
		}
	}
	m.send(nil, "LOGIN %s %p", f.server["USER"], f.server["PASSWORD"])
	m.send(func() {
		if prepare := f.duty(m).prepare; prepare != nil {
			prepare(m, ready)
		} else {
			ready()
		}
	}, "SELECT INBOX")
}

func (f *outage) begin() {
	for _, m := range f.members {
		if begin := f.duty(m).begin; begin != nil {
			begin(m)
		}
	}
}

// fetched stops the server when the first large messages come.
func (f *outage) fetched(m *member, r *conn.Reply) {
	if f.stopped || r.MsgNo < 20 {
		return
	}
	f.stopped = true
	f.server.signal(f.t, unix.SIGSTOP)
	for _, m := range f.members {
		if stopped := f.duty(m).stopped; stopped != nil {
			stopped(m)
		}
	}
	f.killWhenWritten()
}

func (f *outage) killWhenWritten() {
	for _, m := range f.members {
		if !f.duty(m).hasWritten(m) {
			f.loop.Post(f.killWhenWritten) // look again in the next turn
			return
		}
	}
	f.killed = true
	f.server.signal(f.t, unix.SIGKILL)
}

func TestDovecotKilled(t *testing.T) {
	server := startSpare(t)
	before := descriptors(t)
	bare := dial(t, server["DOVECOT"])
	bare.send("LOGIN %s %p", server["USER"], server["PASSWORD"]).ok()

	const size = 50
	f := &outage{fleet: newFleet(t), server: server, duties: duties(lines(16 << 20)), waiting: size}
	f.on("FETCH", conn.CallbackNumbered, f.fetched)
	for range size {
		f.connect(server["DOVECOT"], f.enlist)
	}
	f.run()
	for _, m := range f.members {
		checkLost(t, m, f.duty(m))
	}
	checkBareLost(t, bare)
	givenBack(t, before)
}

// isHangUp reports whether err is what a connection ends with whose server was
// killed.
func isHangUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE)
}

// checkLost looks at how a member's commands ended: some with OK, and from then
// on all with EOF, the oldest first.
func checkLost(t *testing.T, m *member, d *duty) {
	t.Helper()
	first := slices.IndexFunc(m.completed, func(e *errand) bool { return e.err != nil })
	if !isHangUp(m.Err()) || first < 0 {
		t.Fatalf("%s: the connection ends in mid-work: %v", d.name, m.Err())
	}
	lost := m.completed[first:]
	unsent := 0
	for i, e := range lost {
		if !errors.Is(e.err, m.Err()) {
			t.Errorf("%s: a lost command is told why the connection ended: %v, %v", d.name, e.err, m.Err())
		}
		if i > 0 && slices.Index(m.sent, e) < slices.Index(m.sent, lost[i-1]) {
			t.Errorf("%s: lost commands complete in the order in which they were sent: %s", d.name, e.format)
		}
		if conn.SafeToRetry(e.err) {
			unsent++
		} else if unsent > 0 {
			t.Errorf("%s: behind a command that was not sent none was sent: %s", d.name, e.format)
		}
	}
	if len(lost) < d.lost || unsent != d.unsent {
		t.Errorf("%s: %d commands are lost, %d of them not sent: %d, %d", d.name, d.lost, d.unsent, len(lost), unsent)
	}
}

// checkBareLost has commands sent on a connection whose server is dead.
func checkBareLost(t *testing.T, s *session) {
	t.Helper()
	var all []*sent
	for range 100 {
		all = append(all, s.send("NOOP"))
	}
	var err error
	for err == nil {
		err = s.ProcessOneEvent()
	}
	if !isHangUp(err) || err != s.Err() {
		t.Errorf("a bare connection ends with its server: %v, %v", err, s.Err())
	}
	for _, c := range all {
		if c.reply == nil || c.reply.Keyword != "EOF" || !errors.Is(c.reply.Err, err) {
			t.Fatalf("each command completes with EOF: %+v", c.reply)
		}
	}
	if err := s.Send(nil, nil, "NOOP"); err != s.Err() {
		t.Errorf("nothing can be sent afterwards: %v", err)
	}
}
