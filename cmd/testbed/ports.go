//go:build linux

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// reservePorts is reservePort for several ports.
func reservePorts(hosts []string, ports ...*int) (release func(), err error) {
	var releases []func()
	release = func() {
		for _, r := range releases {
			r()
		}
	}
	for _, port := range ports {
		reserved, r, err := reservePort(hosts...)
		if err != nil {
			release()
			return nil, err
		}
		*port, releases = reserved, append(releases, r)
	}
	return release, nil
}

// reservePort finds a port that nothing uses on any of the IPv4 addresses, neither
// with TCP nor with UDP, and holds it until release is called: neither another
// testbed nor a connection gets it, while a server that sets SO_REUSEADDR, as all
// of them do, can listen.
//
// The trick is in socket(7): bind fails for who does not set SO_REUSEADDR, and
// for who does only while somebody listens. With UDP, where nobody does, it is
// the last one who is given the datagrams.
func reservePort(hosts ...string) (port int, release func(), err error) {
	for range 100 {
		port, release, err = tryPort(hosts)
		if !errors.Is(err, unix.EADDRINUSE) {
			return port, release, err
		}
	}
	return 0, nil, fmt.Errorf("no port is free on all of %v: %w", hosts, err)
}

func tryPort(hosts []string) (port int, release func(), err error) {
	var sockets []int
	closeAll := func() {
		for _, fd := range sockets {
			unix.Close(fd)
		}
	}
	defer func() {
		if err != nil {
			closeAll()
		}
	}()
	for _, host := range hosts {
		for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
			fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return 0, nil, os.NewSyscallError("socket", err)
			}
			sockets = append(sockets, fd)
			// The first one takes any port, the others the same.
			if port, err = bindPort(fd, host, port); err != nil {
				return 0, nil, err
			}
		}
	}
	for _, fd := range sockets {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return 0, nil, os.NewSyscallError("setsockopt", err)
		}
	}
	return port, closeAll, nil
}

// bindPort binds a socket to a port, or to any that is free if it is 0, and
// returns the port.
func bindPort(fd int, host string, port int) (int, error) {
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return 0, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: addr.As4(), Port: port}); err != nil {
		return 0, os.NewSyscallError("bind", err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return 0, os.NewSyscallError("getsockname", err)
	}
	return name.(*unix.SockaddrInet4).Port, nil
}
