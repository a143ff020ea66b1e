package conn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/reactor"
	"github.com/imclient/imclient/tlsup"
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
	how      tortureWay
	tls      *rigTLS    // the server's; nil: none
	peer     loginPeer  // the server's side of a login; nil: no AUTHENTICATE came
	sealed   loginLayer // the server's layer; nil: none
	coming   loginLayer // it will be
	packets  []byte     // came, not whole yet

	goroutine  string // that all this runs on
	client     *Client
	connectErr error
	connected  int
	waitErr    error    // that made the owner of a bare client give up
	sending    bool     // within Send
	log        []string // completions, in order
	unsent     []string // commands that are safe to retry
	due        int      // commands that were queued
	secured    int      // times that StartTLS's done was called
	loggedIn   int      // times that AuthenticateAsync's done was called
	loginErr   error
	responses  [][]byte   // that the mechanism has given, in its own memory
	noting     sync.Mutex // for responses: work has some elsewhere
	closed     int
	err        error
	trace      strings.Builder
	login      []byte // the memory that held the password
	peak       int    // bytes that the client held
	waits      int
	patient    int // waits for work elsewhere, of which there are more or fewer
}

const (
	tortureText   = "Subject: x\r\n\r\nbody\r\n"
	tortureSecret = "secret word"
)

// tortureWay is how a session is driven, where TLS comes from, and how it logs in: by
// LOGIN, if nothing is said.
type tortureWay struct {
	bare, workers, startTLS, implicit bool
	login                             tortureLogin
	kerberos                          *KerberosRig // for logins by GSSAPI
}

func (w tortureWay) String() string {
	name := map[bool]string{true: "bare", false: "in a loop"}[w.bare]
	if w.workers {
		name = "with Workers"
	}
	switch {
	case w.startTLS:
		name += ", STARTTLS"
	case w.implicit:
		name += ", implicit TLS"
	}
	if w.login != "" {
		name += ", " + string(w.login)
	}
	return name
}

func (w tortureWay) secure() bool { return w.startTLS || w.implicit }

// encoded: what is written is not what is said, and is cut as it comes.
func (w tortureWay) encoded() bool { return w.secure() || w.login.layered() }

// torture runs the session with a fault.
func torture(t *testing.T, f fault, how tortureWay) *session {
	t.Helper()
	s := &session{t: t, k: &faulty{t: t, fault: f, calls: map[string]int{}}, server: -1, goroutine: goroutine(), how: how}
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
	if how.secure() {
		d.ImplicitTLS, d.RequireTLS, d.TLS = how.implicit, true, rigPolicy()
		d.TLS.Config.ServerName = "server.test"
	}
	if how.workers {
		d.Workers = NewWorkers(1)
	}
	if how.bare {
		// Traced, too: that is another way through the framer.
		d.Trace = func(_ *Client, line string) { fmt.Fprintln(&s.trace, line) }
		s.playBare(d, port)
	} else {
		s.playInLoop(d, port)
	}
	for how.encoded() && s.serve() { // what was sent at the end
	}
	if s.tls != nil {
		s.tls.engine.Abort()
	}
	if s.server >= 0 {
		unix.Close(s.server)
	}
	if how.kerberos != nil {
		s.sent, s.k.wrote = withoutTokens(s.sent), withoutTokens(s.k.wrote)
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
		if s.turn() || s.serve() || s.inFlight() {
			quiet = -1
		}
	}
	s.waits = int(s.loop.Stats().Waits) - s.patient
	if s.client != nil {
		_ = s.client.Close()
		_ = s.client.Close()
	}
	s.turn()
	if at, ok := s.loop.NextDeadline(); ok || s.loop.Stats().Sources > 0 {
		s.t.Errorf("I5: the loop is left with nothing: %d sources, a deadline at %v", s.loop.Stats().Sources, at)
	}
}

// inFlight reports whether the kernel still holds bytes of the client's back, as it may
// where TCP_NODELAY could not be set.
func (s *session) inFlight() bool {
	if s.client == nil || s.client.transport.fd < 0 || s.server < 0 {
		return false
	}
	n, err := unix.IoctlGetInt(int(s.client.transport.fd), unix.TIOCOUTQ)
	return err == nil && n > 0
}

// turn lets the loop do what it can.
func (s *session) turn() (did bool) {
	for {
		again, err := s.loop.TryProcessOneEvent()
		if err != nil {
			s.t.Fatalf("the loop lives: %v", err)
		}
		if !again && s.elsewhere() {
			again = true
			before := s.loop.Stats().Waits
			if err := s.loop.ProcessOneEvent(); err != nil {
				s.t.Fatalf("the loop lives: %v", err)
			}
			s.patient += int(s.loop.Stats().Waits - before)
		}
		if !again {
			return did
		}
		did = true
	}
}

// elsewhere reports whether the client waits for work on another goroutine.
func (s *session) elsewhere() bool {
	c := s.client
	if c == nil || c.Err() != nil {
		return false
	}
	t := c.transport.tls()
	return t != nil && t.lent() || c.login != nil && c.login.cancel != nil
}

func (s *session) begin(c *Client, err error) {
	s.connected++
	s.client, s.connectErr = c, err
	if err != nil {
		return
	}
	if s.how.startTLS {
		s.startTLS()
	}
	if s.how.login == "" {
		s.send("LOGIN %s %p", "alice", tortureSecret)
		s.login = c.out.buf.b[:cap(c.out.buf.b)]
	} else {
		s.authenticate()
	}
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

func (s *session) startTLS() {
	err := s.client.StartTLSAsync("", "", "", "", func(err error) {
		s.called()
		s.secured++
		if (err == nil) != (s.client.Err() == nil) {
			s.t.Errorf("I1: StartTLS fails when the connection does: %v, %v", err, s.client.Err())
		}
	})
	if err != nil {
		s.t.Fatal(err)
	}
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
		if s.how.implicit {
			s.beginTLS()
		} else {
			s.greet()
		}
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
		s.take(b[:n])
	}
	for s.rest == "" && s.answer() {
	}
	return true
}

// take is what the server does with what it has read.
func (s *session) take(raw []byte) {
	if s.tls != nil {
		up := s.tls.up
		raw = s.tls.take(string(raw))
		s.write(s.tls.flight())
		if s.tls.up && !up && s.how.implicit {
			s.greet()
		}
	}
	if s.sealed != nil {
		raw = s.unseal(raw)
	}
	s.sent = append(s.sent, raw...)
	s.in = append(s.in, raw...)
}

func (s *session) greet() {
	switch {
	case s.how.login == "":
		s.say("* OK hello\r\n")
	case s.how.startTLS:
		s.say("* OK [" + s.how.login.offer() + " STARTTLS] hello\r\n")
	default:
		s.say("* OK [" + s.how.login.offer() + "] hello\r\n")
	}
}

// beginTLS makes TLS of what the server reads and says from here on.
func (s *session) beginTLS() {
	s.tls = &rigTLS{engine: tlsup.Server(versionConfig(0))}
	s.tls.up, s.tls.err = s.tls.engine.Step()
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
	if s.peer != nil {
		s.converse(string(line))
		return true
	}
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
	case "AUTHENTICATE":
		s.tag = tag
		s.meet(command)
	case "CAPABILITY":
		s.say("* " + s.how.login.offer() + "\r\n" + tag + " OK done\r\n")
	case "STARTTLS":
		s.say(tag + " OK begin\r\n")
		s.beginTLS()
	case "LOGOUT":
		s.say("* BYE\r\n" + tag + " OK bye\r\n")
	default:
		s.say(tag + " OK done\r\n")
	}
	return true
}

func (s *session) say(text string) {
	if s.sealed != nil {
		text = s.sealed.Seal(text)
	}
	if s.tls != nil && s.tls.up {
		if err := s.tls.engine.Write([]byte(text)); err != nil {
			s.t.Fatal(err)
		}
		text = s.tls.flight()
	}
	s.write(text)
}

func (s *session) write(text string) { _, _ = unix.Write(s.server, []byte(text)) }
