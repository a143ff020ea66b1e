package tlsup

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
)

func mustBind(t *testing.T, state tls.ConnectionState, kind string) []byte {
	t.Helper()
	data, err := State{state}.ChannelBinding(kind)
	if err != nil {
		t.Errorf("there is a binding %s\n got: %v", kind, err)
	}
	return data
}

func TestChannelBinding(t *testing.T) {
	root := newRoot(t, "Root")
	leaf := root.leaf(t, mail.Host)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		server := serverConfig(leaf)
		server.MaxVersion = version
		p := trusting(root)
		var before []byte
		for _, resumed := range []bool{false, true} {
			m := meet(t, configFor(t, p, mail), server)
			if m.clientErr != nil || m.client.DidResume != resumed {
				t.Fatal(m.clientErr, m.client.DidResume)
			}
			theirs, err := m.server.ExportKeyingMaterial("EXPORTER-Channel-Binding", []byte{}, 32)
			if err != nil {
				t.Fatal(err)
			}
			ours := mustBind(t, m.client, "tls-exporter")
			if !bytes.Equal(ours, theirs) || bytes.Equal(ours, before) {
				t.Errorf("tls-exporter is the same on both sides, and another on each connection\n got: %x\nwant: %x", ours, theirs)
			}
			before = ours
			sum := sha256.Sum256(leaf.Certificate[0])
			if got := mustBind(t, m.client, "tls-server-end-point"); !bytes.Equal(got, sum[:]) {
				t.Errorf("tls-server-end-point is the hash of the server's certificate\n got: %x\nwant: %x", got, sum)
			}
			if version == tls.VersionTLS13 {
				continue
			}
			if got := mustBind(t, m.client, "tls-unique"); len(got) != 12 || !bytes.Equal(got, m.server.TLSUnique) {
				t.Errorf("tls-unique is the same on both sides\n got: %x\nwant: %x", got, m.server.TLSUnique)
			}
		}
	}
}

func TestNoChannelBinding(t *testing.T) {
	root := newRoot(t, "Root")
	p := trusting(root)
	old := serverConfig(root.leaf(t, mail.Host))
	old.MaxVersion = tls.VersionTLS12
	m12 := meet(t, configFor(t, p, mail), old)
	m13 := meet(t, configFor(t, p, mail), serverConfig(root.leaf(t, mail.Host)))
	// With renegotiation allowed crypto/tls exports nothing, as without an extended
	// master secret; its own server always has that one.
	unsafe := configFor(t, p, mail).Clone()
	unsafe.Renegotiation = tls.RenegotiateFreelyAsClient
	noExporter := meet(t, unsafe, old)
	none := m12.client
	none.TLSUnique = nil
	ed := m12.client
	ed.PeerCertificates = []*x509.Certificate{{SignatureAlgorithm: x509.PureEd25519}}
	for _, tc := range []struct {
		name  string
		state tls.ConnectionState
		kind  string
		want  string
	}{
		{"TLS 1.3", m13.client, "tls-unique", "TLS 1.3 has none"},
		{"no exporter", noExporter.client, "tls-unique", "extended master secret"},
		{"no exporter", noExporter.client, "tls-exporter", "extended master secret"},
		{"none", none, "tls-unique", "crypto/tls has none"},
		{"Ed25519", ed, "tls-server-end-point", "Ed25519"},
		{"no handshake", tls.ConnectionState{}, "tls-exporter", "not complete"},
		{"no certificate", tls.ConnectionState{HandshakeComplete: true}, "tls-server-end-point", "no certificate"},
		{"an unknown kind", m13.client, "tls-\n", `"tls-\n": it is not a kind`},
		{"no kind", m13.client, "", "not a kind"},
	} {
		data, err := State{tc.state}.ChannelBinding(tc.kind)
		if data != nil || !errors.Is(err, ErrNoBinding) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: there is no %q, and the error says why\n got: %x, %v\nwant: %s", tc.name, tc.kind, data, err, tc.want)
		}
	}
}

func TestBindingIsTheCallers(t *testing.T) {
	root := newRoot(t, "Root")
	server := serverConfig(root.leaf(t, mail.Host))
	server.MaxVersion = tls.VersionTLS12
	m := meet(t, configFor(t, trusting(root), mail), server)
	first := mustBind(t, m.client, "tls-unique")
	first[0]++
	if second := mustBind(t, m.client, "tls-unique"); bytes.Equal(first, second) {
		t.Error("the slice is the caller's")
	}
}

func TestEndPointHash(t *testing.T) {
	for signature, want := range map[x509.SignatureAlgorithm]crypto.Hash{
		x509.MD5WithRSA: crypto.SHA256, x509.SHA1WithRSA: crypto.SHA256, x509.ECDSAWithSHA1: crypto.SHA256, x509.DSAWithSHA1: crypto.SHA256,
		x509.SHA256WithRSA: crypto.SHA256, x509.SHA256WithRSAPSS: crypto.SHA256, x509.ECDSAWithSHA256: crypto.SHA256, x509.DSAWithSHA256: crypto.SHA256,
		x509.SHA384WithRSA: crypto.SHA384, x509.SHA384WithRSAPSS: crypto.SHA384, x509.ECDSAWithSHA384: crypto.SHA384,
		x509.SHA512WithRSA: crypto.SHA512, x509.SHA512WithRSAPSS: crypto.SHA512, x509.ECDSAWithSHA512: crypto.SHA512,
		x509.PureEd25519: 0, x509.MD2WithRSA: 0, x509.UnknownSignatureAlgorithm: 0,
	} {
		if got := endPointHash(signature); got != want {
			t.Errorf("the hash is that of the signature, SHA-256 for weak ones (RFC 5929 section 4.1): %v\n got: %v\nwant: %v", signature, got, want)
		}
	}
}

// The end point is hashed by the algorithm that its certificate is signed with,
// which is its issuer's, not the one of its own key.
func TestEndPointOfSignedCertificate(t *testing.T) {
	root := newRoot(t, "Root")
	strong := root.leaf(t, mail.Host, func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA512 })
	m := meet(t, configFor(t, trusting(root), mail), serverConfig(strong))
	sum := sha512.Sum512(strong.Certificate[0])
	if got := mustBind(t, m.client, "tls-server-end-point"); !bytes.Equal(got, sum[:]) {
		t.Errorf("the hash is SHA-512 where the signature's is\n got: %x\nwant: %x", got, sum)
	}

	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	own := leafOf(t, nil, key, mail.Host, nil)
	p := &Policy{Unverified: true, Config: &tls.Config{Time: clock}}
	m = meet(t, configFor(t, p, mail), serverConfig(own))
	if _, err := (State{m.client}).ChannelBinding("tls-server-end-point"); m.clientErr != nil || !errors.Is(err, ErrNoBinding) {
		t.Errorf("there is none for Ed25519\n got: %v, %v", err, m.clientErr)
	}
	by := leafOf(t, root, key, mail.Host, nil)
	m = meet(t, configFor(t, trusting(root), mail), serverConfig(by))
	sum256 := sha256.Sum256(by.Certificate[0])
	if got := mustBind(t, m.client, "tls-server-end-point"); !bytes.Equal(got, sum256[:]) {
		t.Errorf("an Ed25519 key under an ECDSA signature has one\n got: %x\nwant: %x", got, sum256)
	}
}
