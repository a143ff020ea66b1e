package conn_test

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"net"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/reactor"
)

// The sample program of the manual page, imclient(3), with LOGIN where that one
// uses Kerberos. server and port are those of a small server within this test.
func Example() {
	server, port := exampleServer()

	callbackCapability := func(c *conn.Client, rock any, reply *conn.Reply) {
		*rock.(*string) = string(reply.Text) // a copy: Text is lent
	}
	endCommand := func(c *conn.Client, rock any, reply *conn.Reply) {
		if err := reply.AsError(); err != nil {
			log.Fatal(err)
		}
		*rock.(*int)--
	}

	imclient, err := conn.Connect(server, port)
	if err != nil {
		log.Fatalf("error: Couldn't connect to %s %s: %v", server, port, err)
	}
	var capability string
	imclient.AddCallback(conn.Callback{
		Keyword: "CAPABILITY",
		Flags:   conn.CallbackNoLiteral,
		Proc:    callbackCapability,
		Rock:    &capability,
	})
	nc := 2
	if err := imclient.Send(endCommand, &nc, "LOGIN %s %p", "user", "pass word"); err != nil {
		log.Fatal(err)
	}
	if err := imclient.Send(endCommand, &nc, "CAPABILITY"); err != nil {
		log.Fatal(err)
	}
	for nc > 0 {
		if err := imclient.ProcessOneEvent(); err != nil {
			log.Fatal(err)
		}
	}
	if strings.Contains(capability, "LITERAL+") {
		imclient.SetFlags(conn.NonSyncLiteral)
	}
	if err := imclient.Send(nil, nil, "LOGOUT"); err != nil {
		log.Fatal(err)
	}
	_ = imclient.Close() // writes the LOGOUT first; always nil
	fmt.Println("capability text is:", capability)
	// Output: capability text is: IMAP4rev2 LITERAL+ IDLE AUTH=SCRAM-SHA-256 AUTH=PLAIN
}

func ExampleClient_Send() {
	c := exampleClient()
	defer c.Close()
	pending := 0
	finish := func(c *conn.Client, rock any, r *conn.Reply) {
		pending--
		fmt.Println(rock, "answered", r.Keyword)
	}
	send := func(format string, args ...any) {
		if err := c.Send(finish, format, format, args...); err != nil {
			fmt.Println(err) // nothing was sent
			return
		}
		pending++
	}
	send("NOOP")
	send("SELECT %s", "INBOX")
	send("SELECT %s", "in\x00box")
	for pending > 0 {
		if err := c.ProcessOneEvent(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// wire: command "SELECT": argument 1: %s: holds a NUL byte
	// NOOP answered OK
	// SELECT %s answered NO
}

// IDLE is a command with OnContinue: the server says when it is idling, and
// Continue ends it.
func ExampleClient_SendCommand() {
	c := exampleClient()
	defer c.Close()
	c.AddCallback(conn.Callback{
		Keyword: "EXISTS",
		Flags:   conn.CallbackNumbered,
		Proc: func(c *conn.Client, _ any, r *conn.Reply) {
			fmt.Println(r.MsgNo, "messages")
			if err := c.Continue("DONE"); err != nil {
				log.Fatal(err)
			}
		},
	})
	done := false
	idle := &conn.Command{
		OnContinue: func(_ *conn.Client, _ any, r *conn.Reply) { fmt.Printf("%s\n", r.Text) },
		Finish: func(_ *conn.Client, _ any, r *conn.Reply) {
			done = true
			fmt.Println(r.Keyword)
		},
	}
	if err := c.SendCommand(idle, "IDLE"); err != nil {
		log.Fatal(err)
	}
	for !done {
		if err := c.ProcessOneEvent(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// idling
	// 4 messages
	// OK
}

// Many connections, one goroutine: each callback says what comes next.
func ExampleDialer_ConnectAsync() {
	loop, err := reactor.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	ctx, stop := context.WithCancel(context.Background())

	const connections = 3
	ended := 0
	dialer := &conn.Dialer{
		OnClose: func(*conn.Client, error) {
			if ended++; ended == connections {
				stop()
			}
		},
	}
	logout := func(c *conn.Client, _ any, r *conn.Reply) {
		_ = c.Send(nil, nil, "LOGOUT") // then the server hangs up
	}
	connected := func(c *conn.Client, err error) {
		if err == nil {
			err = c.Send(logout, nil, "LOGIN %s %p", "user", "pass word")
		}
		if err != nil {
			log.Fatal(err)
		}
	}
	for range connections {
		host, port := exampleServer()
		dialer.ConnectAsync(ctx, loop, host, port, connected)
	}
	fmt.Println(loop.Run(ctx))
	fmt.Println(ended, "connections ended")
	// Output:
	// context canceled
	// 3 connections ended
}

// A client in somebody else's loop, here one around poll(2).
func ExampleClient_GetSelectInfo() {
	c := exampleClient()
	defer c.Close()
	done := false
	finish := func(_ *conn.Client, _ any, r *conn.Reply) {
		done = true
		fmt.Println(r.Keyword)
	}
	if err := c.Send(finish, nil, "NOOP"); err != nil {
		log.Fatal(err)
	}
	for !done {
		fd, wantToWrite := c.GetSelectInfo()
		events := int16(unix.POLLIN)
		if wantToWrite {
			events |= unix.POLLOUT
		}
		timeout := -1
		if t, ok := c.NextDeadline(); ok {
			timeout = max(int(time.Until(t).Milliseconds())+1, 0)
		}
		fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
		if _, err := unix.Poll(fds, timeout); err != nil && err != unix.EINTR {
			log.Fatal(err)
		}
		if _, err := c.TryProcessOneEvent(); err != nil {
			log.Fatal(err)
		}
	}
	// Output: OK
}

// exampleClient returns a client that is connected to an exampleServer.
func exampleClient() *conn.Client {
	host, port := exampleServer()
	c, err := conn.Connect(host, port)
	if err != nil {
		log.Fatal(err)
	}
	return c
}

// exampleServer serves one connection on a loopback port.
func exampleServer() (host, port string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		defer l.Close()
		if c, err := l.Accept(); err == nil {
			defer c.Close()
			serveExample(c)
		}
	}()
	host, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	return host, port
}

// serveExample answers like an IMAP server of few words.
func serveExample(c net.Conn) {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(c, format+"\r\n", args...) }
	say("* OK ready")
	lines := bufio.NewScanner(c)
	for lines.Scan() {
		tag, command, _ := strings.Cut(lines.Text(), " ")
		switch command {
		case "AUTHENTICATE SCRAM-SHA-256":
			say("%s NO [AUTHENTICATIONFAILED] no such user", tag)
			continue
		case "CAPABILITY":
			say("* CAPABILITY IMAP4rev2 LITERAL+ IDLE AUTH=SCRAM-SHA-256 AUTH=PLAIN")
		case `LOGIN user "pass word"`, "NOOP":
		case "IDLE":
			say("+ idling")
			say("* 4 EXISTS")
			if !lines.Scan() || lines.Text() != "DONE" {
				return
			}
		case "LOGOUT":
			say("* BYE so soon")
			say("%s OK", tag)
			return
		default:
			say("%s NO", tag)
			continue
		}
		say("%s OK done", tag)
	}
}
