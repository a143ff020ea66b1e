//go:build linux

package main

import (
	"errors"
	"net"
	"os"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReservedPort(t *testing.T) {
	port, release, err := reservePort(plainHost, disabledHost)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	other, releaseOther, err := reservePort(plainHost, disabledHost)
	if err != nil {
		t.Fatal(err)
	}
	if other == port {
		t.Errorf("a reserved port must not be given to another: %d", port)
	}
	releaseOther()

	for _, host := range []string{plainHost, disabledHost} {
		// Go sets SO_REUSEADDR, as servers do.
		listener, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			t.Errorf("a server must be able to listen on the port that is reserved for it: %v", err)
			continue
		}
		defer listener.Close()
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Errorf("clients must reach the server while the port is still reserved: %v", err)
			continue
		}
		conn.Close()
	}
}

// TestReservedPortForDatagrams has a server listen as the KDC does; Go does not set
// SO_REUSEADDR for datagrams.
func TestReservedPortForDatagrams(t *testing.T) {
	port, release, err := reservePort(plainHost)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	reuse := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			if err := unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
				t.Error(err)
			}
		})
	}}
	server, err := reuse.ListenPacket(t.Context(), "udp", net.JoinHostPort(plainHost, strconv.Itoa(port)))
	if err != nil {
		t.Fatalf("a server must be able to bind the port that is reserved for it: %v", err)
	}
	defer server.Close()
	client, err := net.Dial("udp", server.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Write([]byte("datagram")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 16)
	if n, _, err := server.ReadFrom(buf); err != nil || string(buf[:n]) != "datagram" {
		t.Errorf("the server must be given the datagrams while the port is still reserved: %q, %v", buf[:n], err)
	}
}

func TestReservedPortIsNotTakenForClients(t *testing.T) {
	port, release, err := reservePort(plainHost)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
		fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: port})
		if !errors.Is(err, unix.EADDRINUSE) {
			t.Errorf("who does not set SO_REUSEADDR must not get a reserved port: kind %d: %v", kind, err)
		}
	}
}

func TestNoPortIsFree(t *testing.T) {
	before := openDescriptors(t)
	// The same address twice can never be bound to one port.
	_, _, err := reservePort(plainHost, plainHost)
	if !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("the search for a port must end: %v", err)
	}
	if _, _, err := reservePort("no address"); err == nil {
		t.Error("what is no address must be an error")
	}
	if after := openDescriptors(t); after > before {
		t.Errorf("a search in vain must leave no descriptor open: %d before, %d after", before, after)
	}
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}
