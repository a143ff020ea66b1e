package conn_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/tlsup"
	"github.com/imclient/imclient/wire"
)

// scene is a connection's life on the scripted server: what the application
// sends first, what is then played, and what its callbacks are told. It is
// played with the server's bytes whole, one by one, and cut at each place.
type scene struct {
	says   string // what the scene proves
	dial   func(d *conn.Dialer, log *conntest.Log)
	send   func(send sender)
	script string
	want   []string
	err    string // why the connection ended, see kind; "": it is alive
	check  func(t *testing.T, c *conn.Client)
}

// sender sends a command, whose completion is logged under its tag.
type sender func(format string, args ...any)

// each plays scenes. Unless a scene's dial says otherwise, untagged replies are
// logged under "*".
func each(t *testing.T, scenes []scene) {
	for _, sc := range scenes {
		t.Run(sc.says, func(t *testing.T) {
			conntest.EveryCut(t, sc.play)
		})
	}
}

// whole plays long scenes, whose cuts would say nothing new.
func whole(t *testing.T, scenes []scene) {
	for _, sc := range scenes {
		t.Run(sc.says, func(t *testing.T) { sc.play(t, nil) })
	}
}

func (sc *scene) play(t *testing.T, cut *conntest.Cut) {
	var log conntest.Log
	d := &conn.Dialer{Callbacks: []conn.Callback{{Proc: told(&log, "*")}}}
	if sc.dial != nil {
		sc.dial(d, &log)
	}
	c, s := conntest.NewCut(t, d, cut)
	if sc.send != nil {
		sc.send(sending(t, c, &log))
	}
	s.Play(sc.script)
	same(t, sc.says, log.Take(), sc.want)
	if got := kind(c.Err()); got != sc.err {
		t.Errorf("%s\n got the end: %q (%v)\nwant the end: %q", sc.says, got, c.Err(), sc.err)
	}
	if sc.check != nil {
		sc.check(t, c)
	}
}

// sending returns a sender for the first commands of a connection.
func sending(t *testing.T, c *conn.Client, log *conntest.Log) sender {
	number := 0
	return func(format string, args ...any) {
		t.Helper()
		number++
		if err := c.Send(told(log, fmt.Sprint("a", number)), nil, format, args...); err != nil {
			t.Fatalf("Send(%q) queues a command: %v", format, err)
		}
	}
}

// commands is the send of a scene whose commands have no arguments.
func commands(formats ...string) func(sender) {
	return func(send sender) {
		for _, format := range formats {
			send(format)
		}
	}
}

// told is Log.Proc, but for the end of a connection it tells the kind of error,
// and whether the command may be sent again.
func told(log *conntest.Log, name string) conn.Proc {
	proc := log.Proc(name)
	return func(c *conn.Client, rock any, r *conn.Reply) {
		if r.Err == nil {
			proc(c, rock, r)
			return
		}
		line := name + " " + r.Keyword + ": " + kind(r.Err)
		if conn.SafeToRetry(r.Err) {
			line += ", safe to retry"
		}
		log.Add(line)
	}
}

// closing logs OnClose in the same way.
func closing(log *conntest.Log) func(*conn.Client, error) {
	return func(_ *conn.Client, err error) { log.Add("closed: " + kind(err)) }
}

// kind names what sort of error err is; "" for nil.
func kind(err error) string {
	var syntax *wire.SyntaxError
	var limit *wire.LimitError
	var format *wire.FormatError
	var system *os.SyscallError
	var certificate *tlsup.CertificateError
	var handshake *tlsup.HandshakeError
	switch {
	case err == nil:
		return ""
	case errors.Is(err, conn.ErrTLSRequired):
		return "TLS required"
	case errors.Is(err, conn.ErrInjected):
		return "injected"
	case errors.As(err, &certificate):
		return "certificate"
	case errors.As(err, &handshake):
		return "no TLS"
	case errors.As(err, &syntax):
		return "syntax"
	case errors.As(err, &limit):
		return "limit of a " + limit.What
	case errors.As(err, &format):
		return "format"
	case errors.As(err, &system):
		return system.Error()
	case errors.Is(err, io.EOF):
		return "EOF"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "unexpected EOF"
	case errors.Is(err, conn.ErrClosed):
		return "Close"
	}
	return err.Error()
}

// same compares what callbacks were told.
func same(t *testing.T, says string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s\n got: %q\nwant: %q", says, got, want)
	}
}

// refused fails unless err is want, as errors.Is sees it.
func refused(t *testing.T, says string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s\n got: %v\nwant: %v", says, err, want)
	}
}

// peer is the other end of a client's socketpair, for what conntest's server,
// which always reads, cannot do.
type peer int

// pair returns a client and its peer. Both are closed when the test ends.
func pair(t *testing.T, d *conn.Dialer) (*conn.Client, peer) {
	t.Helper()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.Attach(ends[0], "server.test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close()
		_ = unix.Close(ends[1])
	})
	return c, peer(ends[1])
}

// settle drives a client until nothing is ready.
func settle(t *testing.T, c *conn.Client) {
	t.Helper()
	for did := true; did; {
		var err error
		if did, err = c.TryProcessOneEvent(); err != nil {
			t.Fatalf("the connection lives\n got: %v", err)
		}
	}
}

// read returns what has come; nothing is no error.
func (p peer) read(t *testing.T) string {
	t.Helper()
	b := make([]byte, 1<<16)
	n, err := unix.Read(int(p), b)
	if err != nil && err != unix.EAGAIN {
		t.Fatal(os.NewSyscallError("read", err))
	}
	return string(b[:max(n, 0)])
}

// drain reads all that the client has to say.
func (p peer) drain(t *testing.T, c *conn.Client) string {
	t.Helper()
	var all strings.Builder
	for {
		settle(t, c)
		text := p.read(t)
		if text == "" {
			return all.String()
		}
		all.WriteString(text)
	}
}

func (p peer) write(t *testing.T, text string) {
	t.Helper()
	if n, err := unix.Write(int(p), []byte(text)); n != len(text) {
		t.Fatalf("the socket takes %d bytes\n got: %d, %v", len(text), n, err)
	}
}
