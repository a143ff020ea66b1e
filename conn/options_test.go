package conn_test

import (
	"net"
	"net/netip"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/conn"
)

// socketOptions are those that the package documentation promises.
var socketOptions = []struct {
	name          string
	level, option int
	want          int
}{
	{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
	{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
	{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 60},
	{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15},
	{"TCP_KEEPCNT", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 4},
	{"TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 120_000},
}

func checkOptions(t *testing.T, how string, c *conn.Client) {
	t.Helper()
	fd, _ := c.GetSelectInfo()
	for _, o := range socketOptions {
		if got, err := unix.GetsockoptInt(fd, o.level, o.option); err != nil || got != o.want {
			t.Errorf("%s of a socket that was %s is %d\n got: %d, %v", o.name, how, o.want, got, err)
		}
	}
}

func TestSocketOptions(t *testing.T) {
	port := silent(t, "tcp", "127.0.0.1:0")
	c, err := conn.Connect("127.0.0.1", port)
	if err != nil {
		t.Fatal(err)
	}
	checkOptions(t, "connected", c)
	// What the caller sets afterwards stays.
	fd, _ := c.GetSelectInfo()
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 7); err != nil {
		t.Fatal(err)
	}
	if _, err := c.TryProcessOneEvent(); err != nil {
		t.Fatal(err)
	}
	if got, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT); got != 7 || err != nil {
		t.Errorf("a connected socket's options are the caller's\n got: %d, %v", got, err)
	}
	_ = c.Close()

	own, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	file, err := own.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	fd, err = unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	c, err = new(conn.Dialer).Attach(fd, "server.test")
	if err != nil {
		t.Fatal(err)
	}
	checkOptions(t, "attached", c)
	_ = c.Close()
}

// A unix socket has no such options, and is none the worse for it.
func TestUnixSocketWithoutOptions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	silent(t, "unix", path)
	c, err := conn.Connect(path, "")
	if err != nil {
		t.Fatalf("a unix socket connects without TCP's options\n got: %v", err)
	}
	defer c.Close()
	fd, _ := c.GetSelectInfo()
	if got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE); got != 0 || err != nil {
		t.Errorf("and its own are left alone\n got: %d, %v", got, err)
	}
}

func TestLocalAddr(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	d := &conn.Dialer{LocalAddr: netip.MustParseAddr("127.0.0.2")}
	c, err := d.Connect("localhost", port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if got := server.RemoteAddr().(*net.TCPAddr).IP.String(); got != "127.0.0.2" {
		t.Errorf("connections come from LocalAddr\n got: %s", got)
	}

	d.LocalAddr = netip.MustParseAddr("192.0.2.1") // TEST-NET-1: nobody has it
	c, err = d.Connect("localhost", port)
	refused(t, "an address that is not ours cannot be bound", err, unix.EADDRNOTAVAIL)
	if c != nil {
		t.Error("and nothing is connected")
	}
	path := filepath.Join(t.TempDir(), "socket")
	silent(t, "unix", path)
	c, err = d.Connect(path, "")
	if err != nil {
		t.Fatalf("LocalAddr is nothing to unix sockets\n got: %v", err)
	}
	_ = c.Close()
}
