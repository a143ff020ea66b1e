package conn_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/reactor"
	"github.com/imclient/imclient/tlsup"
)

// arrival is a ConnectAsync with implicit TLS, on a loop, to a server that the test
// plays itself.
type arrival struct {
	t        *testing.T
	loop     *reactor.Loop
	listener int
	server   int // -1: not accepted yet
	engine   *tlsup.Engine
	up       bool

	client *conn.Client
	err    error
	told   int // times that done was called
	closed int // times that OnClose was
	trace  []string
	shuts  string // at a line of the trace that begins so it is closed
	clock  conntest.Clock
}

// arrive begins to connect.
func arrive(t *testing.T, ctx context.Context, d conn.Dialer) *arrival {
	t.Helper()
	a := &arrival{t: t, server: -1}
	var err error
	if a.listener, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.Bind(a.listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(a.listener, 1)); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(a.listener)
	if err != nil {
		t.Fatal(err)
	}
	if a.loop, err = reactor.New(); err != nil {
		t.Fatal(err)
	}
	config := conntest.TLSConfig()
	config.Certificates = []tls.Certificate{conntest.Certificate("127.0.0.1")}
	a.engine = tlsup.Server(config)
	_, _ = a.engine.Step()
	d.ImplicitTLS, d.Now = true, a.clock.Now
	d.OnClose = func(*conn.Client, error) { a.closed++ }
	d.Trace = func(c *conn.Client, line string) {
		a.trace = append(a.trace, line)
		if a.shuts != "" && strings.HasPrefix(line, a.shuts) {
			_ = c.Close()
		}
	}
	if d.TLS == nil {
		d.TLS = conntest.Policy()
	}
	d.ConnectAsync(ctx, a.loop, "127.0.0.1", portOf(at), func(c *conn.Client, err error) {
		a.told++
		a.client, a.err = c, err
	})
	return a
}

func portOf(at unix.Sockaddr) string {
	return strings.TrimPrefix((&net.TCPAddr{Port: at.(*unix.SockaddrInet4).Port}).String(), ":")
}

// turns lets the loop turn until what is waited for is there.
func (a *arrival) turns(until func() bool) {
	a.t.Helper()
	for !until() {
		if err := a.loop.ProcessOneEvent(); err != nil {
			a.t.Fatal(err)
		}
		a.serve()
	}
}

// serve takes what has come.
func (a *arrival) serve() {
	if a.server < 0 {
		fd, _, err := unix.Accept4(a.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		a.server = fd
	}
	var b [1 << 14]byte
	n, err := unix.Read(a.server, b[:])
	if err != nil || n <= 0 {
		return
	}
	a.engine.Feed(b[:n])
	if !a.up {
		a.up, _ = a.engine.Step()
	}
	a.engine.Keep()
}

// hello turns the loop until the client's ClientHello has come, which is not answered.
func (a *arrival) hello() {
	a.t.Helper()
	a.turns(func() bool { return len(a.engine.Pending()) > 0 })
	if a.told != 0 {
		a.t.Errorf("done waits for TLS: %v", a.err)
	}
}

// answer sends what the server has to say.
func (a *arrival) answer() {
	a.t.Helper()
	p := a.engine.Pending()
	if _, err := unix.Write(a.server, p); err != nil {
		a.t.Fatal(err)
	}
	a.engine.Sent(len(p))
}

// over looks what is left of a client that nobody was given.
func (a *arrival) over(want error) {
	a.t.Helper()
	if a.told != 1 || a.client != nil || !errors.Is(a.err, want) {
		a.t.Errorf("done is told once why there is no client\n got: %d times, %v, %v\nwant: %v", a.told, a.client, a.err, want)
	}
	if a.closed != 0 {
		a.t.Error("OnClose is not called for a client that nobody was given")
	}
	if n := a.loop.Stats().Sources; n != 0 {
		a.t.Errorf("nothing is left in the loop: %d sources", n)
	}
	var b [1 << 12]byte
	n, err := unix.Read(a.server, b[:])
	for n > 0 {
		n, err = unix.Read(a.server, b[:])
	}
	if err == unix.EAGAIN {
		a.t.Errorf("the connection is closed: %v", err)
	}
	a.close()
}

func (a *arrival) close() {
	a.engine.Abort()
	_ = a.loop.Close()
	_ = unix.Close(a.listener)
	_ = unix.Close(a.server)
}

// A connection whose handshake does not come to its end is nobody's, however it ends.
func TestTLSNotConnected(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	for _, workers := range []*conn.Workers{nil, conn.NewWorkers(1)} {
		d := conn.Dialer{Workers: workers}

		a := arrive(t, context.Background(), d)
		a.hello()
		_ = a.loop.Close()
		a.over(reactor.ErrClosed)

		a = arrive(t, context.Background(), d)
		a.hello()
		a.answer()
		if err := a.loop.ProcessOneEvent(); err != nil { // it has read the server's flight, and computes
			t.Fatal(err)
		}
		_ = a.loop.Close()
		a.over(reactor.ErrClosed)

		why := errors.New("changed my mind")
		ctx, cancel := context.WithCancelCause(context.Background())
		a = arrive(t, ctx, d)
		a.hello()
		cancel(why)
		a.turns(func() bool { return a.told > 0 })
		a.over(why)

		for _, line := range []string{"# connected", "# TLS handshake", "# TLS 1.3"} {
			a = arrive(t, context.Background(), d)
			a.shuts = line
			a.turns(func() bool {
				if len(a.engine.Pending()) > 0 {
					a.answer()
				}
				return a.told > 0
			})
			a.over(conn.ErrClosed)
		}

		a = arrive(t, context.Background(), conn.Dialer{Workers: workers, TLS: new(tlsup.Policy)})
		a.hello()
		a.answer()
		a.turns(func() bool { return a.told > 0 })
		var certificate *tlsup.CertificateError
		if !errors.As(a.err, &certificate) || certificate.Host != "127.0.0.1" {
			t.Errorf("a certificate by nobody known is refused\n got: %v", a.err)
		}
		a.serve() // the alert
		a.over(certificate)

		a = arrive(t, context.Background(), d)
		a.hello()
		a.clock.Advance(30 * time.Second)
		a.turns(func() bool { return a.told > 0 })
		var timeout *conn.TimeoutError
		if !errors.As(a.err, &timeout) || timeout.Wait != "TLS handshake" {
			t.Errorf("a server that says nothing is waited for no longer than Timeouts.Handshake\n got: %v", a.err)
		}
		a.over(timeout)

		a = arrive(t, context.Background(), d)
		a.hello()
		_ = unix.Shutdown(a.server, unix.SHUT_WR)
		a.turns(func() bool { return a.told > 0 })
		var handshake *tlsup.HandshakeError
		if !errors.As(a.err, &handshake) {
			t.Errorf("a server that hangs up is told as a handshake that failed\n got: %v", a.err)
		}
		a.over(handshake)
	}
	conn.AtMost(t, goroutines)
}

// With implicit TLS done comes when TLS stands, and what is sent in it goes through.
func TestTLSConnected(t *testing.T) {
	for _, workers := range []*conn.Workers{nil, conn.NewWorkers(1)} {
		a := arrive(t, context.Background(), conn.Dialer{Workers: workers})
		a.hello()
		a.answer()
		a.turns(func() bool { return a.told > 0 })
		if a.err != nil || a.client.TLS() == nil || a.loop.Stats().Sources != 1 {
			t.Fatalf("the client is there, in the loop, with TLS\n got: %v", a.err)
		}
		same(t, "the trace says how it came about", a.trace, []string{"# connected to 127.0.0.1", "# TLS handshake", "# TLS 1.3, TLS_AES_128_GCM_SHA256"})
		_ = a.client.Close()
		if a.closed != 1 {
			t.Errorf("this one's end is told to OnClose\n got: %d times", a.closed)
		}
		a.close()
	}
}

// Connect, which waits, tells of a failed handshake in the same way, and OnClose nothing.
func TestTLSConnectWaits(t *testing.T) {
	config := conntest.TLSConfig()
	config.Certificates = []tls.Certificate{conntest.Certificate("127.0.0.1")}
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.(*tls.Conn).Handshake()
			_ = c.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	closed := 0
	for _, line := range []string{"# connected", "# TLS handshake", "# TLS 1.3"} {
		d := &conn.Dialer{ImplicitTLS: true, TLS: conntest.Policy(), OnClose: func(*conn.Client, error) { closed++ }}
		d.Trace = func(c *conn.Client, text string) {
			if strings.HasPrefix(text, line) {
				_ = c.Close()
			}
		}
		if c, err := d.Connect("127.0.0.1", port); c != nil || err != conn.ErrClosed || closed != 0 {
			t.Errorf("who is closed on the way is not connected to\n got: %v, %d times OnClose", err, closed)
		}
	}
	d := &conn.Dialer{ImplicitTLS: true, TLS: new(tlsup.Policy), OnClose: func(*conn.Client, error) { closed++ }}
	var certificate *tlsup.CertificateError
	if c, err := d.Connect("127.0.0.1", port); c != nil || !errors.As(err, &certificate) || closed != 0 {
		t.Errorf("who is not trusted is not connected to\n got: %v, %d times OnClose", err, closed)
	}
	d = &conn.Dialer{ImplicitTLS: true, TLS: conntest.Policy(), OnClose: func(*conn.Client, error) { closed++ }}
	c, err := d.Connect("127.0.0.1", port)
	if err != nil || c.TLS() == nil {
		t.Fatalf("who is trusted is\n got: %v", err)
	}
	if _ = c.Close(); closed != 1 {
		t.Errorf("its end is told to OnClose\n got: %d times", closed)
	}
}

// What is not verified is warned of, at each handshake, and a resumption is traced.
func TestTLSWarns(t *testing.T) {
	for _, implicit := range []bool{false, true} {
		policy := &tlsup.Policy{Unverified: true}
		config := conntest.TLSConfig()
		for _, resumed := range []string{"", ", resumed"} {
			var told []string
			d := &conn.Dialer{
				ImplicitTLS: implicit,
				TLS:         policy,
				Warn:        func(_ *conn.Client, text string) { told = append(told, "warning: "+text) },
				Trace:       func(_ *conn.Client, line string) { told = append(told, line) },
			}
			c, s := conntest.New(t, d)
			want := []string{"# connected to server.test"}
			if !implicit {
				if err := c.StartTLSAsync("", "", "", "", func(error) {}); err != nil {
					t.Fatal(err)
				}
				s.Play("S: * OK\nC: a1 STARTTLS\nS: a1 OK")
				want = append(want, "S: * OK", "C: a1 STARTTLS", "S: a1 OK")
			}
			s.StartTLS(config)
			s.Play("S: * BYE\nS.")
			same(t, "a person is warned", told, append(want,
				"# TLS handshake",
				`warning: tlsup: the certificate of "server.test" is not verified: whoever is on the path can read and change everything`,
				"# TLS 1.3, TLS_AES_128_GCM_SHA256"+resumed, "S: * BYE",
				"# closed: conn: the server closed the connection: EOF"))
		}
	}
}
