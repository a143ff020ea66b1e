package conntest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/reactor"
)

// Server is the other end of a Client's connection. Its methods drive the
// client: callbacks run in them. What goes wrong ends the test.
type Server struct {
	tb     testing.TB
	client *conn.Client
	turn   func() (bool, error) // one event of the client
	clock  *Clock               // nil: the test's Dialer has one
	fd     int                  // -1 after HangUp
	cut    *Cut
	sent   int          // bytes, for cut
	got    bytes.Buffer // from the client, not yet expected
	buf    [1 << 14]byte
}

// New returns a client, made by a copy of d, and the server that it is connected
// to. Where d says nothing of them, tags begin with "a" and the client's time
// stands still but for [Server.Advance]. Both are closed when the test ends.
func New(tb testing.TB, d *conn.Dialer) (*conn.Client, *Server) {
	tb.Helper()
	return NewCut(tb, d, nil)
}

// NewCut is New for a test that [EveryCut] runs.
func NewCut(tb testing.TB, d *conn.Dialer, cut *Cut) (*conn.Client, *Server) {
	tb.Helper()
	own := *d
	if own.TagPrefix == "" {
		own.TagPrefix = "a"
	}
	var clock *Clock
	if own.Now == nil {
		clock = new(Clock)
		own.Now = clock.Now
	}
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		tb.Fatalf("socketpair: %v", err)
	}
	for _, fd := range ends {
		unix.CloseOnExec(fd)
		if err := unix.SetNonblock(fd, true); err != nil {
			tb.Fatalf("SetNonblock: %v", err)
		}
	}
	c, err := own.Attach(ends[0], "server.test")
	if err != nil {
		tb.Fatalf("Attach: %v", err)
	}
	s := &Server{tb: tb, client: c, turn: c.TryProcessOneEvent, clock: clock, fd: ends[1], cut: cut}
	tb.Cleanup(func() {
		_ = c.Close()
		s.HangUp()
	})
	return c, s
}

// Join puts the client in a loop: from then on the server's methods turn the
// loop, with all that is in it, and not the client alone. The loop has its own
// clock: while the client waits for a deadline by a clock that is moved by hand,
// do not leave the loop to its Run, which would find the deadline long past.
func (s *Server) Join(l *reactor.Loop) {
	s.tb.Helper()
	if err := l.Add(s.client); err != nil {
		s.tb.Fatalf("conntest: Loop.Add: %v", err)
	}
	s.turn = l.TryProcessOneEvent
}

// Play takes turns by a script, a line each:
//
//	S: text    the server sends text and a line end
//	S> text    the server sends text as it stands, Go escapes (\r \n \x00 \") undone
//	C: text    the client must send just this line next
//	C> text    the client must send just these bytes next, escapes undone
//	C-         the client must have sent nothing more
//	S.         the server hangs up
//	S!         the server resets the connection
//	T+ 30s     time passes, by the client's clock
//
// After each of them the client has done all that there is to do. What is sent
// is cut as the test's [Cut] says. Blank lines and lines that begin with "#" say
// nothing.
func (s *Server) Play(script string) {
	s.tb.Helper()
	for line := range strings.Lines(script) {
		line = strings.TrimLeft(strings.TrimRight(line, "\r\n"), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		verb, text := line, ""
		if len(line) > 2 {
			verb, text = line[:2], strings.TrimPrefix(line[2:], " ")
		}
		if text != "" && slices.Contains([]string{"C-", "S.", "S!"}, verb) {
			s.tb.Fatalf("conntest: script line %q: nothing may follow %s", line, verb)
		}
		switch verb {
		case "S:":
			s.Send(text + "\r\n")
		case "S>":
			s.Send(s.unescape(text))
		case "C:":
			s.Expect(text + "\r\n")
		case "C>":
			s.Expect(s.unescape(text))
		case "C-":
			s.ExpectNothing()
		case "S.":
			s.HangUp()
			s.Drive()
		case "S!":
			s.Reset()
			s.Drive()
		case "T+":
			d, err := time.ParseDuration(text)
			if err != nil {
				s.tb.Fatalf("conntest: script line %q: %v", line, err)
			}
			s.Advance(d)
		default:
			s.tb.Fatalf("conntest: script line %q begins with none of S: S> S. S! C: C> C- T+ #", line)
		}
	}
}

func (s *Server) unescape(text string) string {
	s.tb.Helper()
	plain, err := unquote(text)
	if err != nil {
		s.tb.Fatalf("conntest: %q: %v", text, err)
	}
	return plain
}

// Send sends bytes to the client, cut as the test's Cut says, and lets it
// process them.
func (s *Server) Send(text string) {
	s.tb.Helper()
	for len(text) > 0 {
		n := s.cut.next(s.sent, len(text))
		s.write(text[:n])
		s.sent += n
		s.cut.reached(s.sent)
		text = text[n:]
		s.Drive()
	}
}

// write writes all of text; while the client has not read enough, it is driven.
func (s *Server) write(text string) {
	s.tb.Helper()
	p := []byte(text)
	for len(p) > 0 {
		n, err := unix.Write(s.fd, p)
		switch {
		case err == unix.EAGAIN:
			s.Drive()
		case err == unix.EPIPE || err == unix.ECONNRESET || s.fd < 0:
			return // the client has gone: what it makes of the rest cannot be seen
		case err != nil:
			s.tb.Fatalf("conntest: write: %v", err)
		default:
			p = p[n:]
		}
	}
}

// Advance lets time pass, by the client's clock, and lets it process what has come
// due. Where the test's Dialer has a clock, it is the test that moves it.
func (s *Server) Advance(d time.Duration) {
	s.tb.Helper()
	if s.clock == nil {
		s.tb.Fatalf("conntest: the client has its time from Dialer.Now")
	}
	s.clock.Advance(d)
	s.Drive()
}

// Drive lets the client process all that is ready, and takes in what it sends.
func (s *Server) Drive() {
	s.tb.Helper()
	for {
		did, err := s.turn()
		took := false
		for s.take() {
			took = true
		}
		if !did && !took || err != nil {
			return
		}
	}
}

// take reads what the client has sent.
func (s *Server) take() bool {
	n, err := unix.Read(s.fd, s.buf[:])
	if n <= 0 || err != nil {
		return false
	}
	s.got.Write(s.buf[:n])
	return true
}

// Expect lets the client send, and fails unless the next bytes are want.
func (s *Server) Expect(want string) {
	s.tb.Helper()
	s.Drive()
	got := s.got.Next(len(want))
	if string(got) != want {
		s.tb.Fatalf("the client sends what was expected\n got: %q\nwant: %q", append(bytes.Clone(got), s.got.Bytes()...), want)
	}
}

// ExpectNothing lets the client send, and fails if it does.
func (s *Server) ExpectNothing() {
	s.tb.Helper()
	s.Drive()
	if s.got.Len() > 0 {
		s.tb.Fatalf("the client sends nothing\n got: %q", s.got.Bytes())
	}
}

// Received lets the client send and returns all that was not yet expected.
func (s *Server) Received() string {
	s.Drive()
	text := s.got.String()
	s.got.Reset()
	return text
}

// HangUp closes the server's end; the client has not been told yet.
func (s *Server) HangUp() {
	if s.fd >= 0 {
		s.take()
		_ = unix.Close(s.fd)
		s.fd = -1
	}
}

// Reset closes the server's end so that the client gets ECONNRESET, behind what
// was sent before; the client has not been told yet.
func (s *Server) Reset() {
	s.tb.Helper()
	if s.fd < 0 {
		return
	}
	// The kernel resets a socket that is closed while input waits in it. A byte
	// on the client's descriptor is the way to have some.
	if fd, _ := s.client.GetSelectInfo(); fd >= 0 {
		if _, err := unix.Write(fd, []byte{0}); err != nil && err != unix.EAGAIN {
			s.tb.Fatalf("conntest: write: %v", err)
		}
	}
	_ = unix.Close(s.fd)
	s.fd = -1
}

// Log collects what callbacks got, one line a reply, for a test to compare.
type Log struct{ lines []string }

// Proc returns a callback that writes down its replies under a name:
// `name 5 FETCH "(FLAGS ())"`; the end of a connection with its error.
func (l *Log) Proc(name string) conn.Proc {
	return func(_ *conn.Client, _ any, r *conn.Reply) {
		line := name
		if r.MsgNo >= 0 {
			line += fmt.Sprintf(" %d", r.MsgNo)
		}
		line += fmt.Sprintf(" %s %q", r.Keyword, r.Text)
		if r.Err != nil {
			line += " " + r.Err.Error()
		}
		l.lines = append(l.lines, line)
	}
}

// OnClose is for Dialer.OnClose and writes down why a connection ended:
// `closed: EOF`.
func (l *Log) OnClose(_ *conn.Client, err error) { l.Add("closed: " + err.Error()) }

// Add writes a line of the test's own.
func (l *Log) Add(line string) { l.lines = append(l.lines, line) }

// Take returns the lines since the last Take.
func (l *Log) Take() []string {
	lines := l.lines
	l.lines = nil
	return lines
}
