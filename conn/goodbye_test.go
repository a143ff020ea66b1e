package conn_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/tlsup"
)

// gathering is a connection that, once it is told to, writes when it is closed.
type gathering struct {
	net.Conn
	on      bool
	written bytes.Buffer
}

func (g *gathering) Write(p []byte) (int, error) {
	if g.on {
		return g.written.Write(p)
	}
	return g.Conn.Write(p)
}

// SetWriteDeadline does nothing: crypto/tls lets nothing out behind its close_notify.
func (g *gathering) SetWriteDeadline(time.Time) error { return nil }

func (g *gathering) Close() error {
	_, _ = g.Conn.Write(g.written.Bytes())
	return g.Conn.Close()
}

// A command that succeeded has done so though the server's close_notify was in the
// segment of its reply, as it is when servers answer LOGOUT: a caller who waits for
// the reply by ProcessOneEvent must not take the end for a failure.
func TestGoodbyeBehindLastWords(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		g := &gathering{Conn: c}
		s := tls.Server(g, local())
		_, _ = fmt.Fprint(s, "* OK ready\r\n")
		_, _ = io.ReadFull(s, make([]byte, len("a1 LOGOUT\r\n")))
		g.on = true
		_, _ = fmt.Fprint(s, "* BYE bye\r\na1 OK done\r\n")
		_ = s.Close()
	}()
	var log conntest.Log
	d := &conn.Dialer{TagPrefix: "a", ImplicitTLS: true, OnClose: log.OnClose, TLS: &tlsup.Policy{Files: tlsup.Files{CA: conntest.CAFile(t)}}}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	c, err := d.Connect("127.0.0.1", port)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send(log.Proc("logout"), nil, "LOGOUT"); err != nil {
		t.Fatal(err)
	}
	for c.Err() == nil {
		if err := c.ProcessOneEvent(); err != nil {
			t.Errorf("the event that brings the reply is no failure\n got: %v", err)
		}
	}
	same(t, "the command has succeeded, and the end has come", log.Take(), []string{`logout OK "done"`, "closed: conn: the server closed the connection: EOF"})
	if err := c.ProcessOneEvent(); !errors.Is(err, io.EOF) {
		t.Errorf("of the end the next call tells\n got: %v", err)
	}
}
