package tlsup

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// today is when the tests take place: Config.Time of everybody in them.
var today = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return today }

// An issuer is an authority, or the key of a self-signed certificate.
type issuer struct {
	cert *x509.Certificate
	key  crypto.Signer
	sent [][]byte // what a server sends of it and its issuers: not the root
}

// An edit gives a certificate its fault.
type edit func(*x509.Certificate)

var serials atomic.Int64

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign makes a certificate; by == nil: self-signed.
func sign(t testing.TB, template *x509.Certificate, key crypto.Signer, by *issuer, edits []edit) *x509.Certificate {
	t.Helper()
	template.SerialNumber = big.NewInt(serials.Add(1))
	template.NotBefore, template.NotAfter = today.AddDate(-1, 0, 0), today.AddDate(1, 0, 0)
	for _, e := range edits {
		e(template)
	}
	parent, parentKey := template, key
	if by != nil {
		parent, parentKey = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func authorityTemplate(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
}

func newRoot(t testing.TB, name string, edits ...edit) *issuer {
	t.Helper()
	key := newKey(t)
	return &issuer{cert: sign(t, authorityTemplate(name), key, nil, edits), key: key}
}

func (i *issuer) intermediate(t testing.TB, name string, edits ...edit) *issuer {
	t.Helper()
	key := newKey(t)
	cert := sign(t, authorityTemplate(name), key, i, edits)
	return &issuer{cert: cert, key: key, sent: append([][]byte{cert.Raw}, i.sent...)}
}

// leaf makes a certificate for a server of that name, or a client's.
func (i *issuer) leaf(t testing.TB, name string, edits ...edit) tls.Certificate {
	t.Helper()
	return leafOf(t, i, newKey(t), name, edits)
}

func leafOf(t testing.TB, by *issuer, key crypto.Signer, name string, edits []edit) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "cn." + name},
		DNSNames:    []string{name},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	cert := sign(t, template, key, by, edits)
	chain := [][]byte{cert.Raw}
	if by != nil {
		chain = append(chain, by.sent...)
	}
	return tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: cert}
}

func selfSigned(t testing.TB, name string, edits ...edit) tls.Certificate {
	t.Helper()
	return leafOf(t, nil, newKey(t), name, edits)
}

func pool(certs ...*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, cert := range certs {
		p.AddCert(cert)
	}
	return p
}

func certPEM(ders ...[]byte) []byte {
	var out []byte
	for _, der := range ders {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return out
}

func keyPEM(t testing.TB, key crypto.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// A folder holds files whose times are made up: each write is an hour after the
// one before, and all are long ago.
type folder struct {
	t    testing.TB
	path string
	time time.Time
}

func newFolder(t testing.TB) *folder {
	t.Helper()
	return &folder{t: t, path: t.TempDir(), time: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)}
}

func (f *folder) join(name string) string { return filepath.Join(f.path, name) }

func (f *folder) write(name string, data []byte) string {
	f.t.Helper()
	path := f.join(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		f.t.Fatal(err)
	}
	f.age(name)
	if dir := filepath.Dir(name); dir != "." {
		f.age(dir)
	}
	return path
}

// age gives a file the next time.
func (f *folder) age(name string) {
	f.t.Helper()
	f.time = f.time.Add(time.Hour)
	if err := os.Chtimes(f.join(name), f.time, f.time); err != nil {
		f.t.Fatal(err)
	}
}

func (f *folder) writePair(certName, keyName string, pair tls.Certificate) Files {
	f.t.Helper()
	return Files{Cert: f.write(certName, certPEM(pair.Certificate...)), Key: f.write(keyName, keyPEM(f.t, pair.PrivateKey))}
}

// A meeting is what came of a handshake on both sides.
type meeting struct {
	client, server       tls.ConnectionState
	clientErr, serverErr error
}

// meet connects a client and a server. The server says one byte, so that the client
// has read what follows a handshake under TLS 1.3: tickets, or a refusal.
func meet(t testing.TB, client, server *tls.Config) (m meeting) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	served := make(chan struct{})
	go func() {
		defer close(served)
		raw, err := listener.Accept()
		if err != nil {
			m.serverErr = err
			return
		}
		defer raw.Close()
		conn := tls.Server(raw, server)
		if m.serverErr = conn.Handshake(); m.serverErr == nil {
			conn.Write([]byte("*"))
		}
		m.server = conn.ConnectionState()
		io.Copy(io.Discard, raw) // until the client has gone: a reset would overtake what we sent
	}()
	raw, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(raw, client)
	if m.clientErr = conn.Handshake(); m.clientErr == nil {
		_, m.clientErr = io.ReadFull(conn, make([]byte, 1))
	}
	m.client = conn.ConnectionState()
	raw.Close()
	<-served
	return m
}

// configFor is For where nothing may go wrong.
func configFor(t testing.TB, p *Policy, peer Peer) *tls.Config {
	t.Helper()
	config, _, err := p.For(peer)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// serverConfig is a server with that certificate. All of them share their ticket
// keys, so that any would resume what another began.
func serverConfig(pair tls.Certificate) *tls.Config {
	config := &tls.Config{Certificates: []tls.Certificate{pair}, Time: clock}
	config.SetSessionTicketKeys([][32]byte{{1}})
	return config
}

// trusting is a policy that trusts these issuers.
func trusting(roots ...*issuer) *Policy {
	certs := make([]*x509.Certificate, len(roots))
	for i, root := range roots {
		certs[i] = root.cert
	}
	return &Policy{Config: &tls.Config{RootCAs: pool(certs...), Time: clock}}
}

// mail is the peer of most tests.
var mail = Peer{Host: "mail.example.org", Port: "143"}
