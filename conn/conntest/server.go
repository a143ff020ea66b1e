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
	text   bool         // cut is of text, not of records
	sent   int          // bytes, for cut
	got    bytes.Buffer // from the client, not yet expected
	eof    bool         // the client has closed its end
	tls    *security    // nil: no TLS
	loop   *reactor.Loop
	worked bool // Workers do the client's handshake
	buf    [1 << 14]byte
}

// serverName is the name that the server is connected to by.
const serverName = "server.test"

// New returns a client, made by a copy of d, and the server that it is connected
// to, by the name "server.test". Where d says nothing of them, tags begin with "a",
// TLS goes by [Policy], and the client's time stands still but for [Server.Advance].
// Both are closed when the test ends.
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
	wrapped := wrap(&own)
	if own.TLS == nil {
		own.TLS = Policy()
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
	c, err := own.Attach(ends[0], serverName)
	if err != nil {
		tb.Fatalf("Attach: %v", err)
	}
	s := &Server{tb: tb, client: c, turn: c.TryProcessOneEvent, clock: clock, fd: ends[1], cut: cut, worked: own.Workers != nil}
	tb.Cleanup(func() {
		_ = c.Close()
		s.HangUp()
	})
	if wrapped {
		s.enter()
	}
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
	s.turn, s.loop = l.TryProcessOneEvent, l
}

// Play takes turns by a script, a line each:
//
//	S: text    the server sends text and a line end
//	S> text    the server sends text as it stands, Go escapes (\r \n \x00 \") undone
//	C: text    the client must send just this line next
//	C> text    the client must send just these bytes next, escapes undone
//	C-         the client must have sent nothing more
//	C.         the client must have sent nothing more and hung up
//	S.         the server hangs up
//	S/         the server will send nothing more, and listens on
//	S!         the server resets the connection
//	T+ 30s     time passes, by the client's clock
//	TLS        the server speaks TLS from here on, and both do their handshake
//	R> text    bytes as they stand, escapes undone, get between what the server sends
//	R.         the connection is cut off, with no goodbye by TLS
//
// After each of them the client has done all that there is to do. What is sent
// is cut as the test's [Cut] says. Blank lines and lines that begin with "#" say
// nothing.
//
// TLS stands behind the server's OK to STARTTLS, or, where the Dialer has ImplicitTLS,
// at the beginning. From then on S and C are what goes through TLS, "S." and "S/"
// begin with its close_notify, and "C." wants the client's. R is what somebody on the
// way does to the bytes outside.
func (s *Server) Play(script string) {
	s.tb.Helper()
	for line := range strings.Lines(script) {
		line = strings.TrimLeft(strings.TrimRight(line, "\r\n"), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		verb, text := line, ""
		if len(line) > 2 && line != "TLS" {
			verb, text = line[:2], strings.TrimPrefix(line[2:], " ")
		}
		if text != "" && slices.Contains([]string{"C-", "C.", "S.", "S/", "S!", "R."}, verb) {
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
		case "C.":
			s.ExpectClosed()
		case "S.":
			s.HangUp()
			s.Drive()
		case "S/":
			s.CloseWrite()
		case "S!":
			s.Reset()
			s.Drive()
		case "T+":
			d, err := time.ParseDuration(text)
			if err != nil {
				s.tb.Fatalf("conntest: script line %q: %v", line, err)
			}
			s.Advance(d)
		case "TLS":
			s.StartTLS(nil)
		case "R>":
			s.SendRaw(s.unescape(text))
		case "R.":
			s.Truncate()
			s.Drive()
		default:
			s.tb.Fatalf("conntest: script line %q begins with none of S: S> S. S/ S! C: C> C- C. T+ TLS R> R. #", line)
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

// maxEncoded is how much is encoded at a time: what is pending in an engine is moved
// when it grows.
const maxEncoded = 64 << 10

// Send sends bytes to the client, cut as the test's Cut says, and lets it
// process them.
func (s *Server) Send(text string) {
	s.tb.Helper()
	if s.tls == nil {
		s.SendRaw(text)
		return
	}
	for len(text) > 0 {
		n := min(len(text), maxEncoded)
		if s.text {
			n = s.cut.next(s.sent, n)
			s.passed(n)
		}
		s.encode(text[:n])
		s.Drive()
		text = text[n:]
	}
}

// SendRaw is Send past TLS.
func (s *Server) SendRaw(text string) {
	s.tb.Helper()
	for p := []byte(text); len(p) > 0 && s.fd >= 0; {
		p = p[s.write(p):]
		s.Drive()
	}
}

// write writes the next piece of p and returns how much of that was taken: all of p
// when the client has gone, since what it makes of the rest cannot be seen.
func (s *Server) write(p []byte) int {
	s.tb.Helper()
	if !s.text {
		p = p[:s.cut.next(s.sent, len(p))]
	}
	n, err := unix.Write(s.fd, p)
	switch {
	case err == unix.EAGAIN:
		return 0
	case err == unix.EPIPE || err == unix.ECONNRESET || s.fd < 0:
		return len(p)
	case err != nil:
		s.tb.Fatalf("conntest: write: %v", err)
	}
	if !s.text {
		s.passed(n)
	}
	return n
}

// passed counts what was sent of what is cut.
func (s *Server) passed(n int) {
	s.sent += n
	s.cut.reached(s.sent)
}

// pump writes the next piece of what TLS has to send.
func (s *Server) pump() bool {
	s.tb.Helper()
	if s.tls == nil || s.fd < 0 || len(s.tls.engine.Pending()) == 0 {
		return false
	}
	n := s.write(s.tls.engine.Pending())
	s.tls.engine.Sent(n)
	return n > 0
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

// Drive lets the client process all that is ready, takes in what it sends, and sends
// what TLS has to answer.
func (s *Server) Drive() {
	s.tb.Helper()
	for {
		did, err := s.turn()
		took := false
		for s.take() {
			took = true
		}
		switch {
		case err != nil:
			return
		case did || took || s.pump():
		case s.computing():
			if err := s.loop.ProcessOneEvent(); err != nil {
				s.tb.Fatalf("conntest: Loop.ProcessOneEvent: %v", err)
			}
		default:
			return
		}
	}
}

// computing reports whether the client waits for its Workers, which work while its
// loop does nothing.
func (s *Server) computing() bool {
	fd, read, _ := s.client.Interest()
	return s.worked && s.loop != nil && fd >= 0 && !read && s.client.TLS() == nil
}

// take reads what the client has sent.
func (s *Server) take() bool {
	n, err := unix.Read(s.fd, s.buf[:])
	if n <= 0 || err != nil {
		s.eof = s.eof || n == 0 || err == unix.ECONNRESET
		return false
	}
	s.receive(s.buf[:n])
	return true
}

func (s *Server) receive(p []byte) {
	if s.tls == nil {
		s.got.Write(p)
		return
	}
	s.tls.decode(p, func(p []byte) { s.got.Write(p) })
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

// ExpectClosed lets the client send, and fails unless it sends nothing and has closed
// the connection; where TLS was up and no error has ended it, with close_notify.
func (s *Server) ExpectClosed() {
	s.tb.Helper()
	s.ExpectNothing()
	if !s.eof {
		s.tb.Fatalf("the client hangs up\n got: the connection is open")
	}
	if s.tls != nil && s.tls.up && s.tls.err == nil {
		s.tb.Fatalf("the client hangs up with close_notify\n got: none")
	}
}

// HangUp closes the server's end, through TLS with close_notify; the client has not
// been told yet.
func (s *Server) HangUp() {
	s.tb.Helper()
	if s.tls != nil {
		s.tls.engine.CloseNotify()
		for s.pump() {
		}
	}
	s.Truncate()
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
	s.close()
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
