package server

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"sync/atomic"
	"time"
)

// TLS is a server that speaks TLS 1.3 from the first byte, and gives out session
// tickets. Its certificate is for 127.0.0.1 and comes from a CA that exists for
// as long as the server.
type TLS struct {
	listener net.Listener
	config   *tls.Config
	ca       string

	tally
	handshakes, resumed atomic.Int64
}

// ListenTLS opens a server on a free port of the loopback interface.
func ListenTLS() (*TLS, error) {
	ca, cert, err := certify(time.Now())
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   tls.VersionTLS13,
		// Mail servers fill their records from the start, crypto/tls by itself
		// would fill the first 128 KiB of a connection's into single segments.
		DynamicRecordSizingDisabled: true,
	}
	return &TLS{listener: listener, config: config, ca: ca}, nil
}

// certify makes a CA, in PEM, and a certificate that it signed. Both live for a
// day.
func certify(now time.Time) (ca string, cert tls.Certificate, err error) {
	issuer := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "benchmark CA"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: "benchmark server"},
		NotBefore:    issuer.NotBefore,
		NotAfter:     issuer.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses:  []net.IP{{127, 0, 0, 1}},
	}
	issuerKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", cert, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", cert, err
	}
	self, err := x509.CreateCertificate(rand.Reader, issuer, issuer, issuerKey.Public(), issuerKey)
	if err != nil {
		return "", cert, err
	}
	signed, err := x509.CreateCertificate(rand.Reader, leaf, issuer, key.Public(), issuerKey)
	if err != nil {
		return "", cert, err
	}
	ca = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: self}))
	return ca, tls.Certificate{Certificate: [][]byte{signed}, PrivateKey: key}, nil
}

// Status returns the address, the CA and the counts so far.
func (s *TLS) Status() Status {
	return Status{
		Addr:       s.listener.Addr().(*net.TCPAddr).AddrPort(),
		CA:         s.ca,
		Answered:   s.answered.Load(),
		Logins:     s.logins.Load(),
		Handshakes: s.handshakes.Load(),
		Resumed:    s.resumed.Load(),
	}
}

// Serve answers each connection on a goroutine of its own, until none can be
// accepted.
func (s *TLS) Serve() error {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return err
		}
		go s.serve(conn.(*net.TCPConn))
	}
}

// serve ends with the connection. What went wrong with it is for the client to
// notice.
func (s *TLS) serve(tcp *net.TCPConn) {
	defer tcp.Close()
	if err := tcp.SetLinger(0); err != nil { // the reason is in Server.accept
		return
	}
	conn := tls.Server(tcp, s.config)
	if err := conn.Handshake(); err != nil {
		return
	}
	s.handshakes.Add(1)
	if conn.ConnectionState().DidResume {
		s.resumed.Add(1)
	}
	if err := s.converse(conn); err != nil {
		return
	}
	if conn.CloseWrite() == nil && tcp.CloseWrite() == nil {
		tcp.Read(make([]byte, 1)) // the client closes first, so that what is on its way arrives
	}
}

// converse answers commands until LOGOUT.
func (s *TLS) converse(conn *tls.Conn) error {
	in, out := bufio.NewReader(conn), bufio.NewWriter(conn)
	var d dialogue
	out.WriteString(Greeting)
	for !d.over {
		if rest, _ := in.Peek(in.Buffered()); !bytes.Contains(rest, []byte("\n")) {
			if err := out.Flush(); err != nil {
				return err
			}
		}
		line, err := in.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("server: reading a line: %w", err)
		}
		line = bytes.TrimSuffix(line[:len(line)-1], []byte("\r"))
		out.Write(message(line))
		completion := d.complete(out.AvailableBuffer(), line)
		s.add(d.said)
		out.Write(completion)
	}
	return out.Flush()
}
