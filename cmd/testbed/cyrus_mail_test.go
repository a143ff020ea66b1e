//go:build linux

package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/imclient/imclient/cmd/internal/mailgen"
)

func TestAppendCommands(t *testing.T) {
	commands := string(appendCommands([]mailgen.Message{{Data: []byte("one")}, {Data: []byte("two\r\n")}, {Data: []byte("three")}}))
	for i, want := range []string{
		"2 APPEND INBOX () ", "+0000\" {3+}\r\none (\\Seen) ", " {5+}\r\ntwo\r\n (\\Answered \\Seen) ", " {5+}\r\nthree\r\n3 LOGOUT\r\n",
	} {
		if !strings.Contains(commands, want) {
			t.Errorf("one APPEND must bring all messages with their flags: %d: %q, want %q", i, commands, want)
		}
	}
	if date := mailgen.Date(2).Format("02-Jan-2006 15:04:05 -0700"); !strings.Contains(commands, `"`+date+`"`) {
		t.Errorf("a message must have its date: %q, want %s", commands, date)
	}
}

// answering is the address of a server that says answers, whatever it is told.
func answering(t *testing.T, answers string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = bufio.NewReader(conn).ReadString('\n')
		_, _ = io.WriteString(conn, answers)
	}()
	return listener.Addr().String()
}

func TestSendCommands(t *testing.T) {
	for answers, good := range map[string]bool{
		"* OK hello\r\n1 OK in\r\n2 OK done\r\n* BYE\r\n3 OK out\r\n":  true,
		"* OK hello\r\n1 NO who?\r\n2 BAD no\r\n* BYE\r\n3 OK out\r\n": false,
		"* OK hello\r\n1 OK in\r\n2 NO full\r\n* BYE\r\n3 OK out\r\n":  false,
		"* OK hello\r\n1 OK in\r\n2 OK done\r\n":                       false,
		"* OK hello\r\n1 OK in\r\n* BYE too much\r\n":                  false,
		"": false,
	} {
		if err := sendCommands(context.Background(), answering(t, answers), []byte("1 LOGIN a b\r\n")); (err == nil) != good {
			t.Errorf("who sends commands must know whether they were all carried out: %q: %v", answers, err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	listener, err := net.Listen("tcp", "127.0.0.1:0") // and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if err := sendCommands(ctx, listener.Addr().String(), nil); err == nil {
		t.Error("the wait for answers must end with the context")
	}
}
