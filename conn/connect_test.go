package conn_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/reactor"
)

// greeter listens and greets all who come, until the test ends; then it has
// closed what it opened.
func greeter(t *testing.T, network, address string) (port string) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		_ = l.Close()
		<-ended
	})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			_, _ = fmt.Fprint(c, "* OK ready\r\n")
		}
	}()
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		return strconv.Itoa(a.Port)
	}
	return ""
}

// bound returns a bound TCP socket on 127.0.0.1 and its port. Without a
// listen(2) it refuses connections.
func bound(t *testing.T) (fd int, port string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fd, strconv.Itoa(name.(*unix.SockaddrInet4).Port)
}

// deaf returns a port on 127.0.0.1 to which connecting never ends: its queue of
// connections has one place, which is taken.
func deaf(t *testing.T) (port string) {
	t.Helper()
	fd, port := bound(t)
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return port
}

// A socketSet holds this process's open sockets by the kernel's names for them:
// not what loops and the runtime open for themselves.
type socketSet map[string]bool

func sockets(t *testing.T) socketSet {
	t.Helper()
	const dir = "/proc/self/fd/"
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	set := make(socketSet)
	for _, e := range entries {
		if to, err := os.Readlink(dir + e.Name()); err == nil && strings.HasPrefix(to, "socket:") {
			set[to] = true
		}
	}
	return set
}

// opened returns how many sockets are open that were not when before was made.
func (before socketSet) opened(t *testing.T) (n int) {
	t.Helper()
	for s := range sockets(t) {
		if !before[s] {
			n++
		}
	}
	return n
}

// silent listens and accepts nobody, so that the other ends of connections are
// no sockets of this process.
func silent(t *testing.T, network, address string) (port string) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		return strconv.Itoa(a.Port)
	}
	return ""
}

func TestConnect(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	greeter(t, "unix", path)
	port := greeter(t, "tcp", "127.0.0.1:0")
	for _, host := range []string{"127.0.0.1", "[127.0.0.1]", "::ffff:127.0.0.1", "localhost", "LocalHost", path} {
		var log conntest.Log
		d := &conn.Dialer{Callbacks: []conn.Callback{{Proc: told(&log, "*")}}, OnClose: closing(&log)}
		c, err := d.Connect(host, port)
		if err != nil {
			t.Errorf("Connect to %s succeeds\n got: %v", host, err)
			continue
		}
		same(t, "Connect does not read the greeting", log.Take(), nil)
		if got := c.ServerName(); got != host {
			t.Errorf("ServerName is what the caller gave\n got: %q\nwant: %q", got, host)
		}
		if err := c.ProcessOneEvent(); err != nil {
			t.Errorf("the client of Connect is bare\n got: %v", err)
		}
		same(t, "the greeting is an untagged reply", log.Take(), []string{`* OK "ready"`})
		_ = c.Close()
		same(t, "the client is closed", log.Take(), []string{"closed: Close"})
	}
	c, err := conn.Connect("127.0.0.1", port)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

func TestConnectErrors(t *testing.T) {
	_, closedPort := bound(t)
	dir := t.TempDir()
	for _, tc := range []struct {
		name, host, port string
		want             error
	}{
		{"a closed port", "127.0.0.1", closedPort, unix.ECONNREFUSED},
		{"a closed port of a name", "localhost", closedPort, unix.ECONNREFUSED},
		{"a path that is not there", dir + "/none", "", unix.ENOENT},
		{"a path that is no socket", dir, "", unix.ECONNREFUSED},
		{"a path that is too long", "/" + strings.Repeat("x", 200), "", unix.EINVAL},
		{"an unknown host", "host.invalid", "143", conn.ErrHostNotFound},
		{"no host", "", "143", conn.ErrHostNotFound},
		{"an unknown service", "127.0.0.1", "nosuchservice", conn.ErrServiceNotFound},
		{"an unknown service of an unknown host", "host.invalid", "nosuchservice", conn.ErrServiceNotFound},
		{"port 0", "127.0.0.1", "0", conn.ErrServiceNotFound},
		{"port 65536", "127.0.0.1", "65536", conn.ErrServiceNotFound},
		{"a negative port", "127.0.0.1", "-143", conn.ErrServiceNotFound},
		{"a port with a tail", "127.0.0.1", "143x", conn.ErrServiceNotFound},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := sockets(t)
			d := &conn.Dialer{OnClose: func(*conn.Client, error) { t.Error("there is no connection to be closed") }}
			c, err := d.Connect(tc.host, tc.port)
			if c != nil || !errors.Is(err, tc.want) {
				t.Fatalf("connecting to %s fails\n got: %v\nwant: %v", tc.name, err, tc.want)
			}
			var system *os.SyscallError
			if _, isErrno := tc.want.(unix.Errno); isErrno && !errors.As(err, &system) {
				t.Errorf("a failed system call is an *os.SyscallError\n got: %#v", err)
			}
			if n := before.opened(t); n != 0 {
				t.Errorf("a failed Connect leaves no socket open\n got: %d more", n)
			}
		})
	}
}

// What the resolver said can be looked at, and a bad TagPrefix troubles nobody.
func TestConnectErrorsInside(t *testing.T) {
	busy := &net.DNSError{Err: "try again", Name: "host.test", IsTemporary: true}
	d := &conn.Dialer{Resolve: func(context.Context, string) ([]netip.Addr, error) { return nil, busy }}
	_, err := d.Connect("host.test", "143")
	var dns *net.DNSError
	if !errors.Is(err, conn.ErrHostNotFound) || !errors.As(err, &dns) || dns != busy {
		t.Errorf("ErrHostNotFound has the resolver's error in it\n got: %v", err)
	}
	d = &conn.Dialer{LocalAddr: netip.MustParseAddr("::1")}
	_, err = d.Connect("127.0.0.1", "143")
	if want := `conn: host not found: "127.0.0.1" has no address of the family of LocalAddr, ::1`; err == nil || err.Error() != want {
		t.Errorf("an address that cannot be tried is told as what it is\n got: %v\nwant: %s", err, want)
	}
	d = &conn.Dialer{TagPrefix: "1", Resolve: func(context.Context, string) ([]netip.Addr, error) {
		t.Error("with a bad TagPrefix nothing is begun")
		return nil, busy
	}}
	_, err = d.Connect("host.test", "143")
	refused(t, "a bad TagPrefix", err, conn.ErrMisuse)
}

// The known services need no /etc/services. Nobody may listen on their ports
// here; then the refusal names the port.
func TestServices(t *testing.T) {
	for service, want := range map[string]string{
		"": "143", "imap": "143", "imsp": "406", "acap": "674", "imaps": "993", "143": "143", "00143": "143",
	} {
		c, err := conn.Connect("127.0.0.1", service)
		got := fmt.Sprint(err)
		if err == nil {
			fd, _ := c.GetSelectInfo()
			peer, _ := unix.Getpeername(fd)
			got = fmt.Sprint("127.0.0.1:", peer.(*unix.SockaddrInet4).Port, ":")
			_ = c.Close()
		}
		if !strings.Contains(got, "127.0.0.1:"+want+":") {
			t.Errorf("service %q is port %s\n got: %s", service, want, got)
		}
	}
}

// async is one ConnectAsync under way.
type async struct {
	calls  int
	client *conn.Client
	err    error
}

func connectAsync(ctx context.Context, d *conn.Dialer, l *reactor.Loop, host, port string) *async {
	a := new(async)
	d.ConnectAsync(ctx, l, host, port, func(c *conn.Client, err error) {
		a.calls++
		a.client, a.err = c, err
	})
	return a
}

// wait turns the loop until done was called.
func (a *async) wait(t *testing.T, l *reactor.Loop) {
	t.Helper()
	if a.calls != 0 {
		t.Fatal("done is not called before ConnectAsync has returned")
	}
	for a.calls == 0 {
		if err := l.ProcessOneEvent(); err != nil {
			t.Fatal(err)
		}
	}
	turnAll(t, l)
	if a.calls != 1 {
		t.Errorf("done is called once\n got: %d", a.calls)
	}
}

// turnAll turns the loop while there is something to do.
func turnAll(t *testing.T, l *reactor.Loop) {
	t.Helper()
	for did := true; did; {
		var err error
		if did, err = l.TryProcessOneEvent(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestConnectAsync(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	greeter(t, "unix", path)
	port := greeter(t, "tcp", "127.0.0.1:0")
	for _, host := range []string{"127.0.0.1", "localhost", path} {
		l := newLoop(t)
		var log conntest.Log
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		d := &conn.Dialer{Callbacks: []conn.Callback{{Proc: told(&log, "*")}}, OnClose: closing(&log)}
		var client *conn.Client
		d.ConnectAsync(ctx, l, host, port, func(c *conn.Client, err error) {
			if err != nil {
				t.Fatalf("ConnectAsync to %s succeeds\n got: %v", host, err)
			}
			client = c
			log.Add("connected to " + c.ServerName())
			refused(t, "the client is in the loop already", l.Add(c), reactor.ErrAdded)
		})
		same(t, "ConnectAsync calls nobody before it has returned", log.Take(), nil)
		var lines []string
		for len(lines) < 2 {
			if err := l.ProcessOneEvent(); err != nil {
				t.Fatal(err)
			}
			lines = append(lines, log.Take()...)
		}
		same(t, "done comes before the greeting", lines, []string{"connected to " + host, `* OK "ready"`})
		cancel()
		turnAll(t, l)
		if err := client.Err(); err != nil {
			t.Errorf("once done was called, the context has no say\n got: %v", err)
		}
		_ = client.Close()
		same(t, "a client in a loop can be closed", log.Take(), []string{"closed: Close"})
	}
}

func TestConnectAsyncErrors(t *testing.T) {
	_, closedPort := bound(t)
	for _, tc := range []struct {
		host, port string
		want       error
	}{
		{"127.0.0.1", closedPort, unix.ECONNREFUSED},
		{"localhost", closedPort, unix.ECONNREFUSED},
		{"/none", "", unix.ENOENT},
		{"host.invalid", "imap", conn.ErrHostNotFound},
		{"127.0.0.1", "nosuchservice", conn.ErrServiceNotFound},
	} {
		l := newLoop(t)
		a := connectAsync(context.Background(), new(conn.Dialer), l, tc.host, tc.port)
		a.wait(t, l)
		refused(t, "done gets the error of connecting to "+tc.host+" "+tc.port, a.err, tc.want)
	}
}

func TestConnectAsyncCancelled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	silent(t, "unix", path)
	port, deafPort := silent(t, "tcp", "127.0.0.1:0"), deaf(t)
	why := errors.New("why")
	for _, tc := range []struct{ name, host, port string }{
		{"address", "127.0.0.1", port},
		{"deaf address", "127.0.0.1", deafPort},
		{"path", path, ""},
	} {
		for _, when := range []string{"before", "at once", "during"} {
			if when == "during" && tc.port != deafPort {
				continue // it would be connected
			}
			t.Run(tc.name+" "+when, func(t *testing.T) {
				l := newLoop(t)
				before := sockets(t)
				ctx, cancel := context.WithCancelCause(context.Background())
				if when == "before" {
					cancel(why)
				}
				a := connectAsync(ctx, &conn.Dialer{OnClose: func(*conn.Client, error) { t.Error("there is no connection to be closed") }}, l, tc.host, tc.port)
				if when == "during" {
					turnAll(t, l)
					if n := before.opened(t); n != 1 || a.calls != 0 {
						t.Fatalf("connecting is under way\n got: %d sockets more, done called %d times", n, a.calls)
					}
				}
				cancel(why)
				a.wait(t, l)
				refused(t, "done gets the cause of the context's end", a.err, why)
				if n := before.opened(t); a.client != nil || n != 0 {
					t.Errorf("nothing is left behind\n got: client %v, %d sockets more", a.client, n)
				}
			})
		}
	}
	for _, host := range []string{"localhost", "host.invalid"} {
		l := newLoop(t)
		ctx, cancel := context.WithCancel(context.Background())
		a := connectAsync(ctx, new(conn.Dialer), l, host, port)
		cancel()
		a.wait(t, l)
		refused(t, "a name that is being looked up is given up", a.err, context.Canceled)
	}
}

// A callback cancels in the turn in which another attempt has connected, too.
func TestConnectAsyncCancelledInTurn(t *testing.T) {
	port := silent(t, "tcp", "127.0.0.1:0")
	l := newLoop(t)
	before := sockets(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	run, stop := context.WithCancel(context.Background())
	defer stop()
	var clients []*conn.Client
	var results []error
	for range 3 {
		new(conn.Dialer).ConnectAsync(ctx, l, "127.0.0.1", port, func(c *conn.Client, err error) {
			cancel()
			clients, results = append(clients, c), append(results, err)
			if len(results) == 3 {
				stop()
			}
		})
	}
	if err := l.Run(run); err != context.Canceled {
		t.Fatal(err)
	}
	refused(t, "the first has connected", results[0], nil)
	refused(t, "what connects when its context has ended is given up", results[1], context.Canceled)
	refused(t, "and so on", results[2], context.Canceled)
	_ = clients[0].Close()
	if n := before.opened(t); n != 0 {
		t.Errorf("what is given up is closed\n got: %d sockets more", n)
	}
}

// A context that has ended costs the server not even a connection.
func TestConnectAsyncTooLate(t *testing.T) {
	fd, port := bound(t)
	if err := unix.Listen(fd, 1); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	l := newLoop(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	a := connectAsync(ctx, new(conn.Dialer), l, "127.0.0.1", port)
	a.wait(t, l)
	refused(t, "done gets the context's error", a.err, context.Canceled)
	if _, _, err := unix.Accept(fd); err != unix.EAGAIN {
		t.Errorf("nobody has connected\n got: %v", err)
	}
}

func TestConnectAsyncLoopClosed(t *testing.T) {
	port := deaf(t)
	for _, turns := range []bool{false, true} {
		before := sockets(t)
		l, err := reactor.New()
		if err != nil {
			t.Fatal(err)
		}
		a := connectAsync(context.Background(), new(conn.Dialer), l, "127.0.0.1", port)
		if turns {
			turnAll(t, l)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		switch {
		case turns && (a.calls != 1 || !errors.Is(a.err, reactor.ErrClosed)):
			t.Errorf("a connection that is being made when its loop is closed is reported\n got: %d calls, %v", a.calls, a.err)
		case !turns && a.calls != 0:
			t.Errorf("what has not begun when the loop is closed never ends\n got: %v", a.err)
		}
		if n := before.opened(t); n != 0 {
			t.Errorf("closing the loop leaves no socket open\n got: %d more", n)
		}
	}
}
