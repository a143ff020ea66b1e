package conn_test

import (
	"cmp"
	"context"
	"crypto"
	"crypto/tls"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/sasl"
	"github.com/imclient/imclient/tlsup"
)

// livePlace is a way into a real server.
type livePlace struct {
	name     string
	address  string // variable of the testbed
	version  uint16 // of TLS; 0: in the clear
	implicit bool
	host     string // "": the address'
}

// Under TLS 1.2 Cyrus binds a login by tls-unique, as it does, wrongly, under 1.3.
var livePlaces = []livePlace{
	{"dovecot", "DOVECOT", 0, false, ""},
	{"dovecot, STARTTLS", "DOVECOT", tls.VersionTLS13, false, ""},
	{"dovecot, imaps", "DOVECOT_TLS", tls.VersionTLS13, true, ""},
	{"cyrus", "CYRUS", 0, false, ""},
	{"cyrus, STARTTLS 1.2", "CYRUS", tls.VersionTLS12, false, ""},
	{"cyrus, STARTTLS 1.3", "CYRUS", tls.VersionTLS13, false, ""},
	{"cyrus, imaps 1.2", "CYRUS_TLS", tls.VersionTLS12, true, ""},
	{"cyrus, imaps 1.3", "CYRUS_TLS", tls.VersionTLS13, true, ""},
}

// eachPlace runs f for each way into the servers whose name begins so.
func eachPlace(t *testing.T, server string, f func(t *testing.T, p livePlace)) {
	fromBed(t, "DOVECOT")
	for _, p := range livePlaces {
		if strings.HasPrefix(p.name, server) {
			t.Run(p.name, func(t *testing.T) { f(t, p) })
		}
	}
}

// dial connects, by the name that the servers' realms and certificates have.
func (p livePlace) dial(t *testing.T, options ...func(*conn.Dialer)) *session {
	t.Helper()
	return p.dialAs(t, "localhost", options...)
}

// dialAs connects by a name of the caller's, which no look-up has to know.
func (p livePlace) dialAs(t *testing.T, name string, options ...func(*conn.Dialer)) *session {
	t.Helper()
	var address string
	placed := func(d *conn.Dialer) { address = p.configure(t, d, name) }
	placed(new(conn.Dialer))
	s := dial(t, address, append([]func(*conn.Dialer){placed}, options...)...)
	if p.version != 0 && !p.implicit {
		if err := s.StartTLS("", "", "", ""); err != nil {
			t.Fatalf("STARTTLS: %v", err)
		}
	}
	return s
}

// configure has a dialer connect there by a name, and returns that with the port.
func (p livePlace) configure(t *testing.T, d *conn.Dialer, name string) (address string) {
	t.Helper()
	host, port, err := net.SplitHostPort(fromBed(t, p.address))
	if err != nil {
		t.Fatal(err)
	}
	ip := netip.MustParseAddr(cmp.Or(p.host, host))
	d.Resolve = func(context.Context, string) ([]netip.Addr, error) { return []netip.Addr{ip}, nil }
	d.RequireTLS, d.ImplicitTLS, d.TLS = p.version != 0, p.implicit, trusting(t, p.version)
	d.TLS.Config.ServerName = "localhost"
	return net.JoinHostPort(name, port)
}

// certified is the option of who shows USER's certificate where it is asked for.
func certified(t *testing.T) func(*conn.Dialer) {
	t.Helper()
	files := tlsup.Files{CA: fromBed(t, "CA"), Cert: fromBed(t, "CLIENTCERT"), Key: fromBed(t, "CLIENTKEY")}
	return func(d *conn.Dialer) { d.TLS.Files = files }
}

// logIn authenticates; user is whom to act for.
func (s *session) logIn(user string, mechs ...sasl.Mechanism) error {
	return s.Authenticate(mechs, "imap", user, sasl.ProtNone)
}

// tried lists the mechanisms of all AUTHENTICATE commands so far.
func (s *session) tried() (names []string) {
	for _, line := range s.trace {
		if _, what, ok := strings.Cut(line, " AUTHENTICATE "); ok && strings.HasPrefix(line, "C: ") {
			name, _, _ := strings.Cut(what, " ")
			names = append(names, name)
		}
	}
	return names
}

// checkReader fails unless it is USER who is logged in, whose INBOX nobody else has.
func (s *session) checkReader() {
	s.t.Helper()
	if n := s.messages("INBOX"); n != 300 {
		s.t.Errorf("the session is USER's, who has 300 messages\n got: %d", n)
	}
}

// messages is how many there are; -1: there is no such mailbox.
func (s *session) messages(mailbox string) int64 {
	s.t.Helper()
	n := int64(-1)
	s.on("EXISTS", conn.CallbackNumbered, func(r *conn.Reply) { n = r.MsgNo })
	if r := s.send("EXAMINE %s", mailbox).wait(); r.Keyword != "OK" {
		return -1
	}
	return n
}

// inBed are the credentials of an account of the testbed's.
func inBed(t *testing.T, user, password string) sasl.Credentials {
	t.Helper()
	return sasl.Credentials{Username: fromBed(t, user), Password: []byte(fromBed(t, password))}
}

// passwordMechanisms are those of a password that the servers have, each alone.
func passwordMechanisms(c sasl.Credentials) []sasl.Mechanism {
	p := sasl.Static(c)
	return []sasl.Mechanism{
		sasl.SCRAM(crypto.SHA256, p, sasl.SCRAMOptions{}), sasl.SCRAM(crypto.SHA1, p, sasl.SCRAMOptions{}),
		sasl.DIGESTMD5(p, sasl.DigestOptions{}), sasl.CRAMMD5(p), sasl.Plain(p), sasl.Login(p),
	}
}
