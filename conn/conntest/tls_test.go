package conntest_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/reactor"
	"github.com/imclient/imclient/tlsup"
)

// STARTTLS plays the same however the records are cut.
func TestStartTLS(t *testing.T) {
	ca := conntest.CAFile(t)
	conntest.EveryCut(t, func(t *testing.T, cut *conntest.Cut) {
		playStartTLS(t, &conn.Dialer{}, cut, nil, ca)
	})
}

// A client in a loop, with Workers or without, plays like any other.
func TestStartTLSInLoop(t *testing.T) {
	for _, workers := range []*conn.Workers{nil, conn.NewWorkers(2)} {
		loop, err := reactor.New()
		if err != nil {
			t.Fatal(err)
		}
		defer loop.Close()
		playStartTLS(t, &conn.Dialer{Workers: workers}, nil, loop, "")
	}
}

func playStartTLS(t *testing.T, d *conn.Dialer, cut *conntest.Cut, loop *reactor.Loop, ca string) {
	t.Helper()
	var log conntest.Log
	d.RequireTLS, d.OnClose = true, log.OnClose
	c, s := conntest.NewCut(t, d, cut)
	if loop != nil {
		s.Join(loop)
	}
	err := c.StartTLSAsync("", "", ca, "", func(err error) { log.Add(fmt.Sprint("TLS: ", err)) })
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send(log.Proc("noop"), nil, "NOOP"); err != nil {
		t.Fatal(err)
	}
	s.Play(`
		S: * OK ready
		C: a1 STARTTLS
		C-
		S: a1 OK begin
		TLS
		C: a2 NOOP
		S: a2 OK done
		C-
	`)
	state, err := s.TLS()
	if err != nil || state == nil || state.ServerName != "server.test" {
		t.Fatalf("the server knows of TLS\n got: %v, %v", state, err)
	}
	if err := c.Send(nil, nil, "LOGOUT"); err != nil {
		t.Fatal(err)
	}
	s.Play(`
		C: a3 LOGOUT
		S: * BYE
		S.`)
	want := []string{"TLS: <nil>", `noop OK "done"`, "closed: conn: the server closed the connection: EOF"}
	if got := log.Take(); !slices.Equal(got, want) {
		t.Errorf("callbacks are told\n got: %q\nwant: %q", got, want)
	}
}

// secure returns a client with implicit TLS, and its server, the handshake done.
func secure(t testing.TB) (*conn.Client, *conntest.Server) {
	t.Helper()
	c, s := conntest.New(t, &conn.Dialer{ImplicitTLS: true})
	s.Play(`
		TLS
		S: * OK ready`)
	return c, s
}

// However the server ends, the client hears what a client of a real one would.
func TestEnds(t *testing.T) {
	for script, want := range map[string]error{
		"S.":                       io.EOF,
		"S/":                       io.EOF,
		"S> * 1 EXI\nS/":           io.ErrUnexpectedEOF,
		"S> * 1 EXI\nR.":           io.ErrUnexpectedEOF,
		`R> \x17\x03\x03` + "\nR.": io.ErrUnexpectedEOF,
	} {
		c, s := secure(t)
		if s.Play(script); !errors.Is(c.Err(), want) {
			t.Errorf("the client knows how the server ended: %q\n got: %v\nwant: %v", script, c.Err(), want)
		}
	}
	c, s := secure(t)
	s.Play("R.")
	if err := c.Err(); err == nil || !strings.Contains(err.Error(), "close_notify") {
		t.Errorf("R. is no goodbye\n got: %v", err)
	}
	c, s = conntest.New(t, &conn.Dialer{})
	s.Play(`
		S: * OK
		S/
		C.`)
	if !errors.Is(c.Err(), io.EOF) {
		t.Errorf("without TLS S/ is shutdown(2)\n got: %v", c.Err())
	}
}

// The client's end is seen: as a closed socket, and as close_notify.
func TestExpectClosed(t *testing.T) {
	c, s := secure(t)
	_ = c.Close()
	s.Play("C.")
	r := &recorder{TB: t}
	if failure := r.run(func() { _, s := secure(r); s.Play("C.") }); !strings.Contains(failure, "the connection is open") {
		t.Errorf("C. fails while the client is there\n got: %q", failure)
	}
}

// A handshake that fails is the client's to judge; what the server knows of it is told.
func TestHandshakeFails(t *testing.T) {
	c, s := conntest.New(t, &conn.Dialer{ImplicitTLS: true, TLS: new(tlsup.Policy)})
	s.Play("TLS")
	var refused *tlsup.CertificateError
	if !errors.As(c.Err(), &refused) {
		t.Errorf("the system does not trust this process's authority\n got: %v", c.Err())
	}
	if state, err := s.TLS(); state != nil || err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("the server hears why\n got: %v, %v", state, err)
	}
	s.Play("C.")
	for script, want := range map[string]string{
		"TLS\nTLS":                       "speaks TLS already",
		"S: * OK\nC: a1 NOOP\nTLS\nS: x": "handshake is not done",
	} {
		if failure := failureOf(t, script); !strings.Contains(failure, want) {
			t.Errorf("TLS that cannot be ends the test\n%s\n got: %q\nwant: %q", script, failure, want)
		}
	}
}

// Certificates are for the names that the test says, and configs are the test's own.
func TestCertificate(t *testing.T) {
	for names, good := range map[string]bool{"server.test": true, "other.test": false, "other.test server.test": true, "127.0.0.1": false} {
		c, s := conntest.New(t, &conn.Dialer{ImplicitTLS: true})
		config := conntest.TLSConfig()
		config.Certificates = []tls.Certificate{conntest.Certificate(strings.Fields(names)...)}
		config.MaxVersion = tls.VersionTLS12
		s.StartTLS(config)
		if err := c.Err(); (err == nil) != good {
			t.Errorf("server.test has the certificate of %s\n got: %v\nwant: accepted: %t", names, err, good)
		}
		if state := c.TLS(); good && (state == nil || state.Version != tls.VersionTLS12) {
			t.Errorf("the config is the test's\n got: %v", state)
		}
	}
}

// Clients of one policy resume each other's sessions, others do not.
func TestSessions(t *testing.T) {
	config, policy := conntest.TLSConfig(), conntest.Policy()
	for i, own := range []*tlsup.Policy{policy, policy, nil} {
		c, s := conntest.New(t, &conn.Dialer{ImplicitTLS: true, TLS: own})
		s.StartTLS(config)
		s.Play("S: * OK")
		if state := c.TLS(); state == nil || state.DidResume != (i == 1) {
			t.Errorf("client %d resumes: %t\n got: %v, %v", i, i == 1, state, c.Err())
		}
	}
}

// What somebody on the way puts in arrives as it is, in its place.
func TestSendRaw(t *testing.T) {
	c, s := secure(t)
	s.Play(`R> * OK\r\n`)
	var syntax *tlsup.NotTLSError
	if !errors.As(c.Err(), &syntax) || string(syntax.Input) != "* OK\r\n" {
		t.Errorf("bytes get between the records\n got: %v", c.Err())
	}
}
