//go:build linux

package main

import (
	"errors"
	"net"
	"os"
	"strconv"
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

func TestReservedPortIsNotTakenForClients(t *testing.T) {
	port, release, err := reservePort(plainHost)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: port})
	if !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("who does not set SO_REUSEADDR must not get a reserved port: %v", err)
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
