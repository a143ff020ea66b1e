package conn_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/reactor"
)

// mailroom is a daemon of one goroutine and one loop: it takes orders from a pipe,
// has a connection for each, and tells visitors of its listener how far it is.
type mailroom struct {
	loop          *reactor.Loop
	ctx           context.Context
	dialer        conn.Dialer
	begun, ended  int
	orders, visit *reactor.Descriptor
}

// takeOrders reads the pipe once; each word is an order. At the pipe's end it stops.
func (m *mailroom) takeOrders(fd int) error {
	var buf [512]byte
	n, err := unix.Read(fd, buf[:])
	if n == 0 {
		err = m.loop.Remove(m.orders) // before it is closed
		unix.Close(fd)
	}
	for range strings.Fields(string(buf[:max(n, 0)])) {
		m.begun++
		host, port := exampleServer()
		m.dialer.ConnectAsync(m.ctx, m.loop, host, port, m.connected)
	}
	return err
}

func (m *mailroom) connected(c *conn.Client, err error) {
	logout := func(c *conn.Client, _ any, _ *conn.Reply) { _ = c.Send(nil, nil, "LOGOUT") }
	if err == nil {
		err = c.Send(logout, nil, "LOGIN %s %p", "user", "pass word")
	}
	if err != nil {
		log.Fatal(err)
	}
}

// greet accepts one visitor. Its short answer always fits into a new socket.
func (m *mailroom) greet(listener int) error {
	fd, _, err := unix.Accept(listener)
	if err != nil {
		return err
	}
	_, err = unix.Write(fd, fmt.Appendf(nil, "%d of %d connections ended", m.ended, m.begun))
	unix.Close(fd)
	return err
}

// A listener, a pipe and connections in one loop.
func Example_oneLoop() {
	loop, err := reactor.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	ctx, stop := context.WithCancel(context.Background())
	m := &mailroom{loop: loop, ctx: ctx}
	r, w, listener, address := exampleDescriptors()
	defer unix.Close(listener)
	m.orders = reactor.FD(r, reactor.Readable, func() error { return m.takeOrders(r) })
	m.visit = reactor.FD(listener, reactor.Readable, func() error { return m.greet(listener) })
	for _, source := range []*reactor.Descriptor{m.orders, m.visit} {
		if err := loop.Add(source); err != nil {
			log.Fatal(err)
		}
	}
	// The visitor is another program, or here another goroutine.
	visit := func() {
		visitor, err := net.Dial("tcp", address)
		if err != nil {
			log.Fatal(err)
		}
		answer, _ := io.ReadAll(visitor)
		visitor.Close()
		loop.Post(func() {
			fmt.Printf("%s\n", answer)
			stop()
		})
	}
	m.dialer.OnClose = func(*conn.Client, error) {
		if m.ended++; m.ended == 3 {
			go visit()
		}
	}
	if _, err := unix.Write(w, []byte("one two three\n")); err != nil {
		log.Fatal(err)
	}
	unix.Close(w)
	fmt.Println(loop.Run(ctx))
	// Output:
	// 3 of 3 connections ended
	// context canceled
}

// exampleDescriptors makes a pipe and a listener. Both may block: a Descriptor is
// called only when there is something to read.
func exampleDescriptors() (r, w, listener int, address string) {
	var fds [2]int
	if err := unix.Pipe(fds[:]); err != nil {
		log.Fatal(err)
	}
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		log.Fatal(err)
	}
	loopback := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if err := unix.Bind(listener, loopback); err != nil {
		log.Fatal(err)
	}
	if err := unix.Listen(listener, 8); err != nil {
		log.Fatal(err)
	}
	name, err := unix.Getsockname(listener)
	if err != nil {
		log.Fatal(err)
	}
	return fds[0], fds[1], listener, fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port)
}
