package conn

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/tlsup"
)

// rigCertificate is the certificate of a rig's server, which is its own authority.
var rigCertificate = sync.OnceValue(func() tls.Certificate {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Unix(1<<32, 0),
		DNSNames:     []string{"server.test"},
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private, Leaf: leaf}
})

// rigPolicy trusts a rig's server.
func rigPolicy() *tlsup.Policy {
	pool := x509.NewCertPool()
	pool.AddCert(rigCertificate().Leaf)
	return &tlsup.Policy{Config: &tls.Config{RootCAs: pool, CurvePreferences: []tls.CurveID{tls.X25519}}}
}

// insideTLS says that the tests of rigs are to run inside TLS, see TestInsideTLS.
var insideTLS = os.Getenv("CONN_INSIDE_TLS") != ""

// wrapRig makes a Dialer one for a rig inside TLS.
func wrapRig(d *Dialer) (wrapped bool) {
	if !insideTLS || d.ImplicitTLS || d.RequireTLS || d.TLS != nil {
		return false
	}
	d.ImplicitTLS, d.TLS = true, rigPolicy()
	if trace := d.Trace; trace != nil {
		d.Trace = func(c *Client, line string) {
			if !strings.HasPrefix(line, "# TLS") {
				trace(c, line)
			}
		}
	}
	return true
}

// enter does the handshake of a rig that was wrapped, before anything is bent.
func (r *rig) enter() {
	r.t.Helper()
	r.straight = true
	r.startTLS(nil)
	for r.drive() == nil && r.exchange() {
	}
	r.drive() // a session ticket
	if r.c.TLS() == nil {
		r.t.Fatalf("the handshake is done: %v", r.c.Err())
	}
	r.straight, r.reads, r.writes = false, 0, 0
	r.c.stats = Stats{}
}

// rigTLS is TLS at the server's end.
type rigTLS struct {
	engine *tlsup.Engine
	up     bool
	err    error
}

// startTLS makes the server speak TLS. config nil: as the client expects.
func (r *rig) startTLS(config *tls.Config) {
	r.t.Helper()
	if config == nil {
		config = &tls.Config{Certificates: []tls.Certificate{rigCertificate()}, CurvePreferences: []tls.CurveID{tls.X25519}}
	}
	r.tls = &rigTLS{engine: tlsup.Server(config)}
	r.tls.up, r.tls.err = r.tls.engine.Step()
	r.t.Cleanup(r.tls.engine.Abort)
}

// exchange takes what the client has sent, and sends what TLS has to say to it.
func (r *rig) exchange() (did bool) {
	raw := r.rawHeard()
	r.plain = append(r.plain, r.tls.take(raw)...)
	return r.flush() || raw != ""
}

// flush sends what TLS has to send.
func (r *rig) flush() (did bool) {
	for flight := r.tls.flight(); flight != ""; flight = r.tls.flight() {
		r.rawPut(flight)
		did = true
	}
	return did
}

// take decodes records.
func (s *rigTLS) take(raw string) (plain []byte) {
	s.engine.Feed([]byte(raw))
	defer s.engine.Keep()
	if !s.up && s.err == nil {
		s.up, s.err = s.engine.Step()
	}
	var b [1 << 12]byte
	for s.up && s.err == nil {
		var n int
		if n, s.err = s.engine.Read(b[:]); n == 0 {
			break
		}
		plain = append(plain, b[:n]...)
	}
	return plain
}

// flight is what the server has to send, which is gone then.
func (s *rigTLS) flight() string {
	flight := string(s.engine.Pending())
	s.engine.Sent(len(flight))
	return flight
}

// put sends bytes from the server, which the client has not seen yet.
func (r *rig) put(text string) {
	r.t.Helper()
	if r.tls == nil || !r.tls.up {
		r.rawPut(text)
		return
	}
	if err := r.tls.engine.Write([]byte(text)); err != nil {
		r.t.Fatal(err)
	}
	r.flush()
}

func (r *rig) rawPut(text string) {
	r.t.Helper()
	if _, err := unix.Write(r.server, []byte(text)); err != nil {
		r.t.Fatal(err)
	}
}

// heard returns what the client has sent.
func (r *rig) heard() string {
	if r.tls == nil {
		return r.rawHeard()
	}
	for r.exchange() {
	}
	text := string(r.plain)
	r.plain = nil
	return text
}

func (r *rig) rawHeard() string {
	var b [1 << 16]byte
	n, err := unix.Read(r.server, b[:])
	if err != nil || n < 0 {
		return ""
	}
	return string(b[:n])
}

// hangUp is the server's last word.
func (r *rig) hangUp() {
	if r.tls != nil {
		r.tls.engine.CloseNotify()
		r.flush()
	}
	_ = unix.Shutdown(r.server, unix.SHUT_WR)
}

// A rig's server that speaks TLS hears and says what one without does.
func TestRigTLS(t *testing.T) {
	r := newRig(t, &Dialer{ImplicitTLS: true, TLS: rigPolicy()}, nil)
	r.enter()
	mustSend(t, r.c, nil, "NOOP")
	r.drive()
	if got := r.heard(); got != "a1 NOOP\r\n" {
		t.Errorf("the server hears what is sent: %q", got)
	}
	r.say("a1 OK\r\n")
	if got := r.c.Stats(); got.Commands != 1 || got.Replies != 1 {
		t.Errorf("the client hears what is said: %+v", got)
	}
	_ = r.c.Close()
	if r.heard(); r.tls.err != io.EOF {
		t.Errorf("the client's last word is close_notify: %v", r.tls.err)
	}
}
