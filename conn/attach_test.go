package conn_test

import (
	"errors"
	"os"
	"regexp"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/conn"
)

func TestAttach(t *testing.T) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ends[1])
	c, err := new(conn.Dialer).Attach(ends[0], "some name")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.ServerName(); got != "some name" {
		t.Errorf("ServerName is what the caller gave\n got: %q", got)
	}
	fd, wantToWrite := c.GetSelectInfo()
	if fd != ends[0] || wantToWrite {
		t.Errorf("the descriptor is the caller's\n got: %d %t\nwant: %d", fd, wantToWrite, ends[0])
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("children do not inherit it\n got: flags %#x, %v", flags, err)
	}
	if did, err := c.TryProcessOneEvent(); did || err != nil { // a blocking socket would hang here
		t.Errorf("nothing is ready\n got: %t %v", did, err)
	}
	_ = c.Close()
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("Close closes it\n got: %v", err)
	}
}

func TestAttachErrors(t *testing.T) {
	unconnected, _ := bound(t)
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ends[0])
	defer unix.Close(ends[1])
	closed := ends[1] + 1000
	datagrams, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(datagrams[0])
	defer unix.Close(datagrams[1])
	for _, tc := range []struct {
		name   string
		fd     int
		prefix string
		want   error
	}{
		{"no descriptor", -1, "", unix.EBADF},
		{"a closed one", closed, "", unix.EBADF},
		{"a file", int(file.Fd()), "", unix.ENOTSOCK},
		{"an unconnected socket", unconnected, "", unix.ENOTCONN},
		{"a socket for datagrams", datagrams[0], "", conn.ErrMisuse},
		{"a socket with the TagPrefix 1", ends[0], "1", conn.ErrMisuse},
		{"a socket with the TagPrefix a1", ends[0], "a1", conn.ErrMisuse},
		{"a socket with the TagPrefix *", ends[0], "*", conn.ErrMisuse},
		{"a socket with a TagPrefix of 16 letters", ends[0], "abcdefghijklmnop", conn.ErrMisuse},
		{"a socket with a TagPrefix of two words", ends[0], "a b", conn.ErrMisuse},
		{"a socket with a TagPrefix that is not ASCII", ends[0], "ü", conn.ErrMisuse},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := &conn.Dialer{TagPrefix: tc.prefix, OnClose: func(*conn.Client, error) { t.Error("there is no connection to be closed") }}
			c, err := d.Attach(tc.fd, "server.test")
			if c != nil || !errors.Is(err, tc.want) {
				t.Fatalf("Attach of %s fails\n got: %v\nwant: %v", tc.name, err, tc.want)
			}
			var system *os.SyscallError
			if tc.want != conn.ErrMisuse && !errors.As(err, &system) {
				t.Errorf("a failed system call is an *os.SyscallError\n got: %#v", err)
			}
			if tc.want == unix.EBADF {
				return
			}
			if _, err := unix.FcntlInt(uintptr(tc.fd), unix.F_GETFD, 0); err != nil {
				t.Errorf("a descriptor that was refused is still the caller's\n got: %v", err)
			}
		})
	}
}

func TestTagPrefix(t *testing.T) {
	for prefix, want := range map[string]string{
		"": `^[a-z]{2}1 NOOP\r\n$`, "K": `^K1 NOOP\r\n$`, "4u": `^4u1 NOOP\r\n$`,
	} {
		c, server := pair(t, &conn.Dialer{TagPrefix: prefix})
		if err := c.Send(nil, nil, "NOOP"); err != nil {
			t.Fatal(err)
		}
		if got := server.drain(t, c); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("tags are the prefix and a decimal\n got: %q\nwant: %s", got, want)
		}
	}
}
