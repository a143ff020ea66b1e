package conn_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/reactor"
	"github.com/imclient/imclient/tlsup"
)

// Close while a worker has the engine takes it back before anything else is done with
// it, a last write of what is queued included.
func TestCloseWhileWorkerHasEngine(t *testing.T) {
	loop, err := reactor.New()
	if err != nil {
		t.Fatal(err)
	}
	defer loop.Close()
	begun, goOn := make(chan struct{}), make(chan struct{})
	policy := conntest.Policy()
	policy.Config.VerifyConnection = func(tls.ConnectionState) error {
		close(begun)
		<-goOn
		return nil
	}
	var log conntest.Log
	c, s := conntest.New(t, &conn.Dialer{TLS: policy, Workers: conn.NewWorkers(1), OnClose: closing(&log)})
	s.Join(loop)
	if err := c.StartTLSAsync("", "", "", "", func(err error) { log.Add("TLS: " + kind(err)) }); err != nil {
		t.Fatal(err)
	}
	sending(t, c, &log)("NOOP")
	s.Play("S: * OK\nC: a1 STARTTLS\nS: a1 OK begin")
	loop.Post(func() {
		go func() {
			<-begun
			loop.Post(func() {
				close(goOn)
				_ = c.Close()
			})
		}()
	})
	s.StartTLS(nil)
	for c.Err() == nil {
		s.Drive()
	}
	same(t, "everybody is told once", log.Take(), []string{"TLS: Close", "a1 EOF: Close, safe to retry", "closed: Close"})
}

// What the policy has to say once, about files, is said whichever way TLS comes.
func TestPolicyWarns(t *testing.T) {
	for _, implicit := range []bool{false, true} {
		ca := filepath.Join(t.TempDir(), "ca.pem")
		good, err := os.ReadFile(conntest.CAFile(t))
		if err == nil {
			err = os.WriteFile(ca, good, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		policy := &tlsup.Policy{Files: tlsup.Files{CA: ca}}
		var warnings []string
		connect := func() {
			c, s := conntest.New(t, &conn.Dialer{TLS: policy, ImplicitTLS: implicit, Warn: func(_ *conn.Client, text string) {
				warnings = append(warnings, text)
			}})
			if implicit {
				s.StartTLS(nil)
			} else {
				if err := c.StartTLSAsync("", "", "", "", nil); err != nil {
					t.Fatal(err)
				}
				s.Play("S: * OK\nC: a1 STARTTLS\nS: a1 OK\nTLS")
			}
			if c.TLS() == nil {
				t.Fatalf("TLS is negotiated: %v", c.Err())
			}
		}
		connect()
		if err := os.WriteFile(ca, []byte("what is this"), 0o600); err != nil {
			t.Fatal(err)
		}
		connect()
		connect()
		if len(warnings) != 1 || !strings.Contains(warnings[0], "stays in use") {
			t.Errorf("a bad new file keeps the old one and warns, once; implicit TLS: %v\n got: %q", implicit, warnings)
		}
	}
}

// Connect gives out a connection with TLS, or an error and nothing else: no descriptor
// stays open, whatever a callback does.
func TestConnectGivesAllOrNothing(t *testing.T) {
	port := greeter(t, "tcp", "127.0.0.1:0")
	closed := 0
	d := &conn.Dialer{
		ImplicitTLS: true,
		TLS:         &tlsup.Policy{Unverified: true},
		Warn:        func(c *conn.Client, _ string) { _ = c.Close() },
		OnClose:     func(*conn.Client, error) { closed++ },
	}
	c, err := d.Connect("127.0.0.1", port)
	if c != nil || !errors.Is(err, conn.ErrClosed) || closed != 0 {
		t.Errorf("a connection that Warn has closed is given to nobody\n got: %v, %v, OnClose called %d times", c, err, closed)
	}

	server := newSecureServer(t, local())
	_, err = (&conn.Dialer{ImplicitTLS: true}).Connect("127.0.0.1", server.port)
	var foreign *tlsup.HandshakeError
	if !errors.As(err, &foreign) || !strings.Contains(err.Error(), `"* OK "`) {
		t.Errorf("a server without TLS on that port is named as such\n got: %v", err)
	}

	l, err := tls.Listen("tcp", "127.0.0.1:0", local())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			peer, err := l.Accept()
			if err != nil {
				return
			}
			_ = peer.(*tls.Conn).Handshake()
			_ = peer.Close()
		}
	}()
	_, secure, _ := net.SplitHostPort(l.Addr().String())
	policy := conntest.Policy()
	policy.Config.VerifyConnection = func(tls.ConnectionState) error { panic("no") }
	func() {
		defer func() { _ = recover() }()
		_, _ = (&conn.Dialer{ImplicitTLS: true, TLS: policy}).Connect("127.0.0.1", secure)
	}()
	if stats := policy.Stats(); stats.Failed != 1 {
		t.Errorf("a connection that a callback's panic has ended is given back\n got: %d failed handshakes", stats.Failed)
	}
}

// Files are looked at before anybody is troubled.
func TestBadFilesTroubleNobody(t *testing.T) {
	_, shut := bound(t)
	d := &conn.Dialer{ImplicitTLS: true, TLS: &tlsup.Policy{Files: tlsup.Files{CA: "/does/not/exist"}}}
	_, err := d.Connect("127.0.0.1", shut)
	if !errors.As(err, new(*tlsup.FileError)) {
		t.Errorf("a missing file is what is wrong, not the port\n got: %v", err)
	}
}

// The list of capabilities that comes after StartTLS was called, with the greeting, is
// looked at before STARTTLS is sent: somebody may have taken it out.
func TestStrippedBeforeGreeting(t *testing.T) {
	for _, required := range []bool{false, true} {
		var log conntest.Log
		c, s := conntest.New(t, &conn.Dialer{TLS: conntest.Policy(), RequireTLS: required, OnClose: closing(&log)})
		if err := c.StartTLSAsync("", "", "", "", func(err error) {
			log.Add(fmt.Sprint("TLS: ", errors.Is(err, conn.ErrNoSTARTTLS), errors.Is(err, conn.ErrTLSRequired)))
		}); err != nil {
			t.Fatal(err)
		}
		sending(t, c, &log)("NOOP")
		s.Play("S: * OK [CAPABILITY IMAP4rev1] ready")
		if required {
			s.Play("C-")
			got := log.Take()
			if len(got) != 3 || got[0] != "TLS: true true" || !strings.HasPrefix(got[1], "a1 EOF") {
				t.Errorf("nothing is sent, and the connection ends\n got: %q", got)
			}
			continue
		}
		s.Play("C: a2 NOOP\nS: a2 OK done")
		same(t, "STARTTLS is not sent, and the connection goes on in the clear", log.Take(), []string{"TLS: true false", `a1 OK "done"`})
	}
}

// A server that keeps silent about STARTTLS has as long as for a handshake.
func TestSilenceAboutSTARTTLS(t *testing.T) {
	c, s := conntest.New(t, &conn.Dialer{TLS: conntest.Policy(), Timeouts: conn.Timeouts{Handshake: time.Second}})
	if err := c.StartTLSAsync("", "", "", "", nil); err != nil {
		t.Fatal(err)
	}
	s.Play("S: * OK\nC: a1 STARTTLS\nT+ 1s")
	var timeout *conn.TimeoutError
	if !errors.As(c.Err(), &timeout) || timeout.Wait != "TLS handshake" {
		t.Errorf("silence about STARTTLS ends the connection\n got: %v", c.Err())
	}
}

// Who cut a stream off within a record cannot be known to have cut off a reply.
func TestCutOffTexts(t *testing.T) {
	var texts []string
	for _, said := range []string{"* 1 EXISTS\r\n", "* 1 EXI"} {
		c, s := conntest.New(t, &conn.Dialer{TLS: conntest.Policy(), ImplicitTLS: true})
		s.StartTLS(nil)
		s.Send(said)
		s.Truncate()
		s.Drive()
		texts = append(texts, c.Err().Error())
		if said == "* 1 EXI" && !errors.Is(c.Err(), io.ErrUnexpectedEOF) {
			t.Errorf("an end within a reply is unexpected\n got: %v", c.Err())
		}
	}
	want := []string{
		"conn: the server closed the connection without TLS's close_notify: EOF",
		"conn: the TLS stream was cut off within a reply, by the network or by somebody on the way: unexpected EOF",
	}
	if !slices.Equal(texts, want) {
		t.Errorf("the error says how the stream ended\n got: %q\nwant: %q", texts, want)
	}
}
