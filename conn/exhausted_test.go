package conn

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/reactor"
)

// exhausted is a system without a descriptor to spare, while errno is set.
type exhausted struct {
	system
	errno error
}

func (k *exhausted) socket(domain int) (int, error) {
	if k.errno != nil {
		return -1, k.errno
	}
	return k.system.socket(domain)
}

// Without descriptors nobody can connect. Who is connected stays so, and when there
// are some again the next one can.
func TestNoMoreDescriptors_E12(t *testing.T) {
	far, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	_, port, _ := net.SplitHostPort(far.Addr().String())
	l, err := reactor.New()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	heard := 0
	neighbour := newRig(t, &Dialer{Callbacks: []Callback{{Proc: func(*Client, any, *Reply) { heard++ }}}}, nil)
	if err := l.Add(neighbour.c); err != nil {
		t.Fatal(err)
	}
	k := &exhausted{}
	d := &Dialer{kernel: k}
	dial := func() (c *Client, err error) {
		t.Helper()
		called := false
		d.ConnectAsync(context.Background(), l, "127.0.0.1", port, func(got *Client, why error) { c, err, called = got, why, true })
		for !called {
			if err := l.ProcessOneEvent(); err != nil {
				t.Fatal(err)
			}
		}
		return c, err
	}
	for i, errno := range []error{unix.EMFILE, unix.ENFILE} {
		k.errno = errno
		c, err := dial()
		var system *os.SyscallError
		if c != nil || !errors.Is(err, errno) || !errors.As(err, &system) || system.Syscall != "socket" {
			t.Errorf("the caller is told: %v", err)
		}
		neighbour.put("* OK\r\n")
		for heard == i {
			if err := l.ProcessOneEvent(); err != nil {
				t.Fatal(err)
			}
		}
	}
	k.errno = nil
	c, err := dial()
	if err != nil {
		t.Fatalf("with descriptors again connecting works: %v", err)
	}
	_ = c.Close()
}
