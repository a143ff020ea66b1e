package conn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/reactor"
)

// session is one run: a client, what its application is told, and the server.
type session struct {
	t        *testing.T
	k        *faulty
	loop     *reactor.Loop // nil: the client is bare
	listener int
	server   int // -1: none accepted
	in       []byte
	sent     []byte // all that the server has got
	literal  int    // bytes of a literal that the server waits for
	tag      string // whose
	rest     string // of what the server is saying

	goroutine  string // that all this runs on
	client     *Client
	connectErr error
	connected  int
	waitErr    error    // that made the owner of a bare client give up
	sending    bool     // within Send
	log        []string // completions, in order
	unsent     []string // commands that are safe to retry
	due        int      // commands that were queued
	closed     int
	err        error
	trace      strings.Builder
	login      []byte // the memory that held the password
	peak       int    // bytes that the client held
	waits      int
}

const (
	tortureText   = "Subject: x\r\n\r\nbody\r\n"
	tortureSecret = "secret word"
)

// torture runs the session with a fault.
func torture(t *testing.T, f fault, bare bool) *session {
	t.Helper()
	s := &session{t: t, k: &faulty{t: t, fault: f, calls: map[string]int{}}, server: -1, goroutine: goroutine()}
	port := s.listen()
	defer unix.Close(s.listener)
	d := &Dialer{
		kernel: s.k, TagPrefix: "a",
		Callbacks: []Callback{{Proc: func(*Client, any, *Reply) { s.called() }}},
		OnClose: func(_ *Client, err error) {
			s.called()
			s.closed++
			s.err = err
		},
		Resolve: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, nil
		},
	}
	if bare {
		// Traced, too: that is another way through the framer.
		d.Trace = func(_ *Client, line string) { fmt.Fprintln(&s.trace, line) }
		s.playBare(d, port)
	} else {
		s.playInLoop(d, port)
	}
	if s.server >= 0 {
		unix.Close(s.server)
	}
	return s
}

func (s *session) listen() (port string) {
	s.t.Helper()
	var err error
	if s.listener, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		s.t.Fatal(err)
	}
	if err := errors.Join(unix.Bind(s.listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(s.listener, 1)); err != nil {
		s.t.Fatal(err)
	}
	at, err := unix.Getsockname(s.listener)
	if err != nil {
		s.t.Fatal(err)
	}
	return fmt.Sprint(at.(*unix.SockaddrInet4).Port)
}

// playBare is the session of an owner who waits: the server works while he sleeps.
// When the system refuses to let him, he gives up.
func (s *session) playBare(d *Dialer, port string) {
	s.k.asleep = s.attend
	s.begin(d.Connect("127.0.0.1", port))
	c := s.client
	if c == nil {
		return
	}
	for len(s.log) < s.due && c.Err() == nil {
		if err := c.ProcessOneEvent(); err != nil && c.Err() == nil {
			s.waitErr = err
			break
		}
	}
	s.waits = s.k.calls["poll"]
	_ = c.Close()
	_ = c.Close()
}

// playInLoop lets loop and server take turns until neither has anything to do.
func (s *session) playInLoop(d *Dialer, port string) {
	var err error
	if s.loop, err = reactor.New(); err != nil {
		s.t.Fatal(err)
	}
	defer s.loop.Close()
	d.ConnectAsync(context.Background(), s.loop, "127.0.0.1", port, s.begin)
	for quiet := 0; quiet < 3; quiet++ {
		if s.turn() || s.serve() {
			quiet = -1
		}
	}
	s.waits = int(s.loop.Stats().Waits)
	if s.client != nil {
		_ = s.client.Close()
		_ = s.client.Close()
	}
	s.turn()
	if at, ok := s.loop.NextDeadline(); ok || s.loop.Stats().Sources > 0 {
		s.t.Errorf("I5: the loop is left with nothing: %d sources, a deadline at %v", s.loop.Stats().Sources, at)
	}
}

// turn lets the loop do what it can.
func (s *session) turn() (did bool) {
	for {
		again, err := s.loop.TryProcessOneEvent()
		if err != nil {
			s.t.Fatalf("the loop lives: %v", err)
		}
		if !again {
			return did
		}
		did = true
	}
}

func (s *session) begin(c *Client, err error) {
	s.connected++
	s.client, s.connectErr = c, err
	if err != nil {
		return
	}
	s.send("LOGIN %s %p", "alice", tortureSecret)
	s.login = c.out.buf.b[:cap(c.out.buf.b)]
	for range 4 {
		s.send("NOOP")
	}
	s.send("APPEND x %l", []byte(tortureText))
	s.send("FETCH 1 BODY[]")
	idle := &Command{Finish: s.finish(), OnContinue: func(c *Client, _ any, _ *Reply) {
		s.called()
		if err := c.Continue("DONE"); err != nil {
			s.t.Errorf("DONE: %v", err)
		}
	}}
	if err := c.SendCommand(idle, "IDLE"); err != nil {
		s.t.Fatal(err)
	}
	s.send("LOGOUT")
}

func (s *session) send(format string, args ...any) {
	s.sending = true
	if err := s.client.Send(s.finish(), nil, format, args...); err != nil {
		s.t.Fatal(err)
	}
	s.sending = false
}

// finish returns the completion of the next command.
func (s *session) finish() Proc {
	s.due++
	number := fmt.Sprint(s.due)
	return func(c *Client, _ any, r *Reply) {
		s.called()
		if r.Keyword == "EOF" && c.Err() == nil {
			s.t.Errorf("I1: EOF is the end of the connection: command %s", number)
		}
		s.log = append(s.log, number+" "+r.Keyword)
		if SafeToRetry(r.Err) {
			s.unsent = append(s.unsent, number)
		}
	}
}

// called is the beginning of every callback.
func (s *session) called() {
	if s.closed > 0 || s.sending || goroutine() != s.goroutine {
		s.t.Errorf("I2: callbacks come before OnClose (%d), never within Send (%t) or on another goroutine", s.closed, s.sending)
	}
	c := s.client
	held := 0
	if c.in != nil {
		held += cap(c.in.b)
	}
	if c.out.buf != nil {
		held += cap(c.out.buf.b)
	}
	s.peak = max(s.peak, held)
	if c.Err() == nil {
		return
	}
	if err := c.Close(); err != nil {
		s.t.Errorf("I10: Close in a callback: %v", err)
	}
	if err := c.Send(nil, nil, "NOOP"); err != c.Err() {
		s.t.Errorf("I10: Send in a callback after the end says why: %v", err)
	}
}

// goroutine names the one that it runs on.
func goroutine() string {
	var b [64]byte
	name, _, _ := bytes.Cut(b[:runtime.Stack(b[:], false)], []byte("["))
	return string(name)
}

// attend is the server while the client sleeps: it works until there is something
// to wake up for.
func (s *session) attend(fd int, events int16) {
	for {
		far := s.server
		if far < 0 {
			far = s.listener
		}
		timeout := -1
		if s.rest != "" {
			timeout = 0
		}
		fds := []unix.PollFd{{Fd: int32(fd), Events: events}, {Fd: int32(far), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, timeout); err == unix.EINTR {
			continue
		} else if err != nil {
			s.t.Fatal(err)
		}
		if fds[0].Revents != 0 || !s.serve() {
			return
		}
	}
}

// serve is the server: it takes what has come and answers whole lines.
func (s *session) serve() (did bool) {
	if s.server < 0 {
		fd, _, err := unix.Accept4(s.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return false
		}
		s.server = fd
		// Nobody waits in this test, so no byte may be held back.
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
			s.t.Fatal(err)
		}
		s.say("* OK hello\r\n")
		return true
	}
	if s.rest != "" {
		s.say(s.rest)
		s.rest = ""
	} else {
		var b [4096]byte
		n, err := unix.Read(s.server, b[:])
		if err != nil || n <= 0 {
			return false
		}
		s.sent = append(s.sent, b[:n]...)
		s.in = append(s.in, b[:n]...)
	}
	for s.rest == "" && s.answer() {
	}
	return true
}

func (s *session) answer() bool {
	if s.literal > 0 {
		if len(s.in) < s.literal+2 {
			return false
		}
		s.in, s.literal = s.in[s.literal+2:], 0
		s.say(s.tag + " OK appended\r\n")
		return true
	}
	line, rest, whole := bytes.Cut(s.in, []byte("\r\n"))
	if !whole {
		return false
	}
	s.in = rest
	tag, command, _ := strings.Cut(string(line), " ")
	switch verb, _, _ := strings.Cut(command, " "); verb {
	case "APPEND":
		s.tag, s.literal = tag, len(tortureText)
		s.say("+ go on\r\n")
	case "FETCH":
		s.say(fmt.Sprintf("* 1 FETCH (BODY[] {%d}\r\n%s", len(tortureText), tortureText[:5]))
		s.rest = tortureText[5:] + ")\r\n" + tag + " OK done\r\n"
	case "IDLE":
		s.tag = tag
		s.say("+ idling\r\n* 2 EXISTS\r\n")
	case "":
		s.say(s.tag + " OK awake\r\n") // DONE
	case "LOGOUT":
		s.say("* BYE\r\n" + tag + " OK bye\r\n")
	default:
		s.say(tag + " OK done\r\n")
	}
	return true
}

func (s *session) say(text string) { _, _ = unix.Write(s.server, []byte(text)) }
