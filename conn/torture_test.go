package conn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/reactor"
)

// A whole session, from connecting to LOGOUT, is run clean while the calls to the
// kernel are counted. Then it is run again and again, and each time one call does
// not do what it should: it fails, once or from then on, or does less than it was
// asked. After each run the invariants hold.

// fault is what goes wrong: the n-th call of op, from 1.
type fault struct {
	op     string
	n      int
	err    error // nil: a short read or write, of one byte
	sticky bool  // all later calls of op as well
}

func (f fault) String() string {
	s := fmt.Sprintf("%s %d: ", f.op, f.n)
	if f.err == nil {
		s += "one byte"
	} else {
		s += f.err.Error()
	}
	if f.sticky {
		s += ", from then on"
	}
	return s
}

// faulty is the real kernel but for the fault.
type faulty struct {
	system
	fault fault
	calls map[string]int
	hit   bool
}

// fails counts a call and reports whether it is the one.
func (k *faulty) fails(op string) bool {
	k.calls[op]++
	n := k.calls[op]
	if op != k.fault.op || n != k.fault.n && (!k.fault.sticky || n < k.fault.n) {
		return false
	}
	k.hit = true
	return true
}

func (k *faulty) fail(op string) error {
	if k.fails(op) {
		return k.fault.err
	}
	return nil
}

func (k *faulty) socket(domain int) (int, error) {
	if err := k.fail("socket"); err != nil {
		return -1, err
	}
	return k.system.socket(domain)
}

func (k *faulty) connect(fd int, to unix.Sockaddr) error {
	if err := k.fail("connect"); err != nil {
		return err
	}
	return k.system.connect(fd, to)
}

func (k *faulty) adopt(fd int) error {
	if err := k.fail("adopt"); err != nil {
		return err
	}
	return k.system.adopt(fd)
}

func (k *faulty) stream(fd int) error {
	if err := k.fail("stream"); err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	return k.system.stream(fd)
}

func (k *faulty) peer(fd int) (unix.Sockaddr, error) {
	if err := k.fail("peer"); err != nil {
		return nil, err
	}
	return k.system.peer(fd)
}

func (k *faulty) socketError(fd int) error {
	if err := k.fail("socketError"); err != nil {
		return err
	}
	return k.system.socketError(fd)
}

func (k *faulty) setsockopt(fd, level, option, value int) error {
	if err := k.fail("setsockopt"); err != nil {
		return err
	}
	return k.system.setsockopt(fd, level, option, value)
}

func (k *faulty) poll(fd int, events int16, timeout time.Duration) (bool, error) {
	if err := k.fail("poll"); err != nil {
		return false, err
	}
	return k.system.poll(fd, events, timeout)
}

func (k *faulty) close(fd int) error {
	err := k.system.close(fd) // a close that fails has closed all the same
	return errors.Join(err, k.fail("close"))
}

func (k *faulty) read(fd int, p []byte) (int, error) {
	if k.fails("read") {
		if k.fault.err != nil {
			return 0, k.fault.err
		}
		p = p[:1]
	}
	return k.system.read(fd, p)
}

func (k *faulty) write(fd int, p []byte) (int, error) {
	if k.fails("write") {
		if k.fault.err != nil {
			return 0, k.fault.err
		}
		p = p[:1]
	}
	return k.system.write(fd, p)
}

func (k *faulty) writev(fd int, iov [][]byte) (int, error) {
	if k.fails("writev") {
		if k.fault.err != nil {
			return 0, k.fault.err
		}
		return k.system.write(fd, iov[0][:1])
	}
	return k.system.writev(fd, iov)
}

// session is one run.
type session struct {
	t        *testing.T
	k        *faulty
	loop     *reactor.Loop
	listener int
	server   int // -1: none accepted
	in       []byte
	sent     []byte // all that the server has got
	literal  int    // bytes of a literal that the server waits for
	tag      string // whose

	client     *Client
	connectErr error
	connected  int
	log        []string // completions, in order
	due        int      // commands that were queued
	closed     int
	err        error
}

const tortureText = "Subject: x\r\n\r\nbody\r\n"

func torture(t *testing.T, f fault) *session {
	t.Helper()
	s := &session{t: t, k: &faulty{fault: f, calls: map[string]int{}}, server: -1}
	var err error
	if s.loop, err = reactor.New(); err != nil {
		t.Fatal(err)
	}
	defer s.loop.Close()
	if s.listener, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(s.listener)
	if err := errors.Join(unix.Bind(s.listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(s.listener, 1)); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(s.listener)
	if err != nil {
		t.Fatal(err)
	}
	port := fmt.Sprint(at.(*unix.SockaddrInet4).Port)
	d := &Dialer{
		kernel: s.k, TagPrefix: "a",
		OnClose: func(_ *Client, err error) { s.closed++; s.err = err },
		Resolve: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, nil
		},
	}
	d.ConnectAsync(context.Background(), s.loop, "127.0.0.1", port, s.begin)
	s.play()
	if s.client != nil {
		_ = s.client.Close()
		_ = s.client.Close()
	}
	if s.server >= 0 {
		unix.Close(s.server)
	}
	return s
}

// play lets loop and server take turns until neither has anything to do.
func (s *session) play() {
	for quiet := 0; quiet < 3; quiet++ {
		for {
			did, err := s.loop.TryProcessOneEvent()
			if err != nil {
				s.t.Fatalf("the loop lives: %v", err)
			}
			if !did {
				break
			}
			quiet = 0
		}
		if s.serve() {
			quiet = 0
		}
	}
}

func (s *session) begin(c *Client, err error) {
	s.connected++
	s.client, s.connectErr = c, err
	if err != nil {
		return
	}
	s.send("LOGIN %s %p", "alice", "secret word")
	for range 4 {
		s.send("NOOP")
	}
	s.send("APPEND x %l", []byte(tortureText))
	s.send("FETCH 1 BODY[]")
	idle := &Command{Finish: s.finish(), OnContinue: func(c *Client, _ any, _ *Reply) {
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
	if err := s.client.Send(s.finish(), nil, format, args...); err != nil {
		s.t.Fatal(err)
	}
}

// finish returns the completion of the next command.
func (s *session) finish() Proc {
	s.due++
	number := s.due
	return func(_ *Client, _ any, r *Reply) {
		if s.closed > 0 {
			s.t.Errorf("no callback comes after OnClose: command %d", number)
		}
		s.log = append(s.log, fmt.Sprint(number, " ", r.Keyword))
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
	var b [4096]byte
	n, err := unix.Read(s.server, b[:])
	if err != nil || n <= 0 {
		return false
	}
	s.sent = append(s.sent, b[:n]...)
	s.in = append(s.in, b[:n]...)
	for s.answer() {
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
		s.say(fmt.Sprintf("* 1 FETCH (BODY[] {%d}\r\n%s)\r\n%s OK done\r\n", len(tortureText), tortureText, tag))
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

// openFiles counts the descriptors of the process.
func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestTorture(t *testing.T) {
	clean := torture(t, fault{})
	var want []string
	for i := range clean.due {
		want = append(want, fmt.Sprint(i+1, " OK"))
	}
	if !slices.Equal(clean.log, want) || !errors.Is(clean.err, ErrClosed) {
		t.Fatalf("the clean run is clean: %q, %v", clean.log, clean.err)
	}
	files, goroutines := openFiles(t), runtime.NumGoroutine()
	runs := 0
	for op := range clean.k.calls {
		for _, f := range faultsOf(op) {
			for f.n = 1; ; f.n++ {
				s := torture(t, f)
				if !s.k.hit {
					break
				}
				runs++
				s.judge(f, clean)
				if t.Failed() {
					t.Fatalf("after %v", f)
				}
			}
		}
	}
	if n := openFiles(t); n > files {
		t.Errorf("no descriptor is lost: %d, before %d", n, files)
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Errorf("no goroutine is left: %d, before %d", n, goroutines)
	}
	t.Logf("%d runs; calls of the clean one: %v", runs, clean.k.calls)
}

// faultsOf lists what can go wrong with a call.
func faultsOf(op string) []fault {
	var faults []fault
	hard := func(errs ...error) {
		for _, err := range errs {
			faults = append(faults, fault{op: op, err: err}, fault{op: op, err: err, sticky: true})
		}
	}
	switch op {
	case "read":
		faults = []fault{{op: op, err: unix.EAGAIN}, {op: op}, {op: op, sticky: true}}
		hard(unix.ECONNRESET, unix.ETIMEDOUT, unix.EIO)
	case "write", "writev":
		faults = []fault{{op: op, err: unix.EAGAIN}, {op: op}, {op: op, sticky: true}}
		hard(unix.EPIPE, unix.ECONNRESET, unix.ENOBUFS, unix.EIO)
	case "socket":
		hard(unix.EMFILE, unix.ENFILE, unix.ENOBUFS)
	case "connect", "socketError":
		hard(unix.ECONNREFUSED, unix.ENETUNREACH, unix.ETIMEDOUT)
	default:
		hard(unix.EIO)
	}
	return faults
}

// judge holds a run against the clean one.
func (s *session) judge(f fault, clean *session) {
	t := s.t
	t.Helper()
	if s.connected != 1 {
		t.Errorf("connecting ends once: %d", s.connected)
	}
	harmless := f.err == nil || f.err == unix.EAGAIN || f.op == "setsockopt" || f.op == "close"
	if harmless {
		if !slices.Equal(s.log, clean.log) || !bytes.Equal(s.sent, clean.sent) || s.connectErr != nil {
			t.Errorf("what passes changes nothing\n got: %q, %v\nwant: %q", s.log, s.connectErr, clean.log)
		}
		return
	}
	var errno syscall.Errno
	var system *os.SyscallError
	reason := s.connectErr
	if s.client != nil {
		reason = s.err
	}
	if !errors.As(reason, &system) || !errors.As(reason, &errno) || errno != f.err {
		t.Errorf("the error says which call failed, and how: %v", reason)
	}
	if s.client == nil {
		if s.closed != 0 || len(s.log) != 0 {
			t.Errorf("where there was no connection nothing completes: %q", s.log)
		}
		return
	}
	if s.closed != 1 {
		t.Errorf("OnClose comes once: %d", s.closed)
	}
	if len(s.log) != s.due {
		t.Errorf("each command completes once: %q", s.log)
	}
	ended := false
	for i, line := range s.log {
		number, keyword, _ := strings.Cut(line, " ")
		if number != fmt.Sprint(i+1) || ended && keyword != "EOF" {
			t.Errorf("replies come in order, then EOF, oldest first: %q", s.log)
		}
		ended = keyword == "EOF"
	}
	if !bytes.HasPrefix(clean.sent, s.sent) {
		t.Errorf("what was sent is a beginning of the clean run's: %q", s.sent)
	}
	if strings.Contains(fmt.Sprint(reason), "secret") {
		t.Errorf("no error holds a secret: %v", reason)
	}
	if err := s.client.Send(nil, nil, "NOOP"); !errors.Is(err, s.err) || errors.Is(err, io.EOF) {
		t.Errorf("a Send after the end says why: %v", err)
	}
}
