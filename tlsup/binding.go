package tlsup

import (
	"crypto"
	_ "crypto/sha256" // the hashes of tls-server-end-point
	_ "crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strconv"
)

// State is what TLS says of a connection: version, cipher, the peer's chain, whether
// a session was resumed, the ALPN protocol, and what SASL binds a login to.
type State struct{ tls.ConnectionState }

// ChannelBinding returns the data that bind a login to this connection, by the
// kind's name in the registry of RFC 5056:
//
//   - "tls-exporter" (RFC 9266): under TLS 1.3, and under 1.2 with an extended
//     master secret (RFC 7627).
//   - "tls-unique" (RFC 5929 section 3): under TLS 1.2 with an extended master
//     secret. TLS 1.3 has none (RFC 8446 appendix C.5), and without that secret
//     two connections can be made to share one.
//   - "tls-server-end-point" (RFC 5929 section 4): the hash of the server's
//     certificate.
//
// The slice is the caller's. The error wraps [ErrNoBinding] and says why there is
// none: a login that goes on must then do so without a binding.
func (s State) ChannelBinding(kind string) ([]byte, error) {
	if !s.HandshakeComplete {
		return nil, noBinding(kind, "the handshake is not complete")
	}
	switch kind {
	case "tls-exporter":
		return s.exporter(kind)
	case "tls-unique":
		return s.unique(kind)
	case "tls-server-end-point":
		return s.serverEndPoint(kind)
	}
	return nil, noBinding(strconv.QuoteToASCII(kind), "it is not a kind that is known here")
}

func noBinding(kind, reason string) error {
	return fmt.Errorf("%w: %s: %s", ErrNoBinding, kind, reason)
}

func (s State) exporter(kind string) ([]byte, error) {
	// The context is present and empty (RFC 9266 section 2): in TLS 1.2 that is not
	// the same as none. Without an extended master secret, where RFC 9266 section
	// 4.2 forbids it, crypto/tls refuses by itself (unless GODEBUG=tlsunsafeekm=1).
	data, err := s.ExportKeyingMaterial("EXPORTER-Channel-Binding", []byte{}, 32)
	if err != nil {
		return nil, noBinding(kind, "TLS 1.2 without an extended master secret (RFC 7627), or with renegotiation")
	}
	return data, nil
}

func (s State) unique(kind string) ([]byte, error) {
	if s.Version >= tls.VersionTLS13 {
		return nil, noBinding(kind, "TLS 1.3 has none; use tls-exporter (RFC 9266)")
	}
	// crypto/tls has it for a full handshake without an extended master secret, too,
	// which it does not show otherwise than by its exporter.
	if _, err := s.exporter(kind); err != nil {
		return nil, err
	}
	if len(s.TLSUnique) == 0 {
		return nil, noBinding(kind, "crypto/tls has none")
	}
	return append([]byte(nil), s.TLSUnique...), nil
}

func (s State) serverEndPoint(kind string) ([]byte, error) {
	if len(s.PeerCertificates) == 0 {
		return nil, noBinding(kind, "the server has no certificate")
	}
	leaf := s.PeerCertificates[0]
	hash := endPointHash(leaf.SignatureAlgorithm)
	if hash == 0 {
		return nil, noBinding(kind, "it is not defined for a certificate signed with "+leaf.SignatureAlgorithm.String())
	}
	h := hash.New()
	h.Write(leaf.Raw)
	return h.Sum(nil), nil
}

// endPointHash is the hash of a signature algorithm, with SHA-256 in place of MD5
// and SHA-1; 0 where there is not exactly one, as for Ed25519, for which RFC 5929
// section 4.1 leaves the binding undefined.
func endPointHash(signature x509.SignatureAlgorithm) crypto.Hash {
	switch signature {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1,
		x509.SHA256WithRSA, x509.SHA256WithRSAPSS, x509.DSAWithSHA256, x509.ECDSAWithSHA256:
		return crypto.SHA256
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		return crypto.SHA384
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		return crypto.SHA512
	}
	return 0
}
