package conntest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/imclient/imclient/tlsup"
)

// authority is a certificate authority of this process alone.
type authority struct {
	certificate *x509.Certificate
	key         ed25519.PrivateKey
	pool        *x509.CertPool
}

var theAuthority = sync.OnceValue(newAuthority)

func newAuthority() *authority {
	a := &authority{pool: x509.NewCertPool()}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "conntest"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	issued := a.issue(template)
	a.certificate, a.key = issued.Leaf, issued.PrivateKey.(ed25519.PrivateKey)
	a.pool.AddCert(a.certificate)
	return a
}

// issue makes a certificate, and a key for it; without an authority's own one, that
// one. Ed25519 has signatures that are all of one length, so that all handshakes are
// cut at the same places. It is valid by the test's [Clock] and by the system's.
func (a *authority) issue(template *x509.Certificate) tls.Certificate {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(err)
	template.SerialNumber = new(big.Int).SetBytes(private.Seed()[:8])
	template.NotBefore = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	template.NotAfter = time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)
	parent, signer := a.certificate, a.key
	if parent == nil {
		parent, signer = template, private
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	must(err)
	leaf, err := x509.ParseCertificate(der)
	must(err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private, Leaf: leaf}
}

// must is for what cannot fail.
func must(err error) {
	if err != nil {
		panic("conntest: " + err.Error())
	}
}

// Certificate returns a certificate for a server with these names or addresses,
// "server.test" if there are none, by an authority that was made for this process.
// [Policy] trusts it. Used as a client's, it is for the same names.
func Certificate(names ...string) tls.Certificate {
	if len(names) == 0 {
		names = []string{serverName}
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: names[0]},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	return theAuthority().issue(template)
}

var usualCertificate = sync.OnceValue(func() tls.Certificate { return Certificate() })

// curves makes handshakes short: with a kilobyte of post-quantum key each way
// there would be nothing more to see, and more bytes to cut them at.
var curves = []tls.CurveID{tls.X25519}

// TLSConfig returns a config for a server of the name that [New] gives,
// "server.test". It is the caller's, to be changed before it is used. Connections to
// servers of one config can resume each other's sessions.
func TLSConfig() *tls.Config {
	return &tls.Config{
		Certificates:     []tls.Certificate{usualCertificate()},
		CurvePreferences: curves,
		NextProtos:       []string{"imap"},
	}
}

// Policy returns a new policy, for Dialer.TLS, that trusts [Certificate]'s
// certificates and no others. Give the clients that shall resume each other's sessions
// the same one.
func Policy() *tlsup.Policy {
	return &tlsup.Policy{Config: &tls.Config{RootCAs: theAuthority().pool, CurvePreferences: curves}}
}

// CAFile writes the certificate of the authority to a file, for StartTLS and
// tlsup.Files, which is removed when the test ends.
func CAFile(tb testing.TB) string {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: theAuthority().certificate.Raw}
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		tb.Fatalf("conntest: %v", err)
	}
	return file
}
