package conn_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/tlsup"
)

// secureServer is a server on loopback, on goroutines, for calls that block. It answers
// OK to everything, STARTTLS included, and then speaks TLS.
type secureServer struct {
	config *tls.Config
	port   string
	peers  chan []*x509.Certificate // the client's certificates, of each handshake
}

func newSecureServer(t *testing.T, config *tls.Config) *secureServer {
	t.Helper()
	s, stop, err := startSecureServer(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return s
}

func startSecureServer(config *tls.Config) (s *secureServer, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	s = &secureServer{config: config, port: port, peers: make(chan []*x509.Certificate, 16)}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	return s, func() { _ = l.Close() }, nil
}

func (s *secureServer) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	_, _ = fmt.Fprint(c, "* OK ready\r\n")
	lines := bufio.NewReader(c)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		tag, command, _ := strings.Cut(strings.TrimSpace(line), " ")
		_, _ = fmt.Fprintf(c, "%s OK done\r\n", tag)
		if command != "STARTTLS" {
			continue
		}
		secure := tls.Server(c, s.config)
		if secure.Handshake() != nil {
			return
		}
		s.peers <- secure.ConnectionState().PeerCertificates
		c, lines = secure, bufio.NewReader(secure)
	}
}

// connect returns a connection to the server, in the clear.
func (s *secureServer) connect(t *testing.T, d *conn.Dialer) *conn.Client {
	t.Helper()
	c, err := d.Connect("127.0.0.1", s.port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// converse has a command answered.
func converse(t *testing.T, c *conn.Client) {
	t.Helper()
	keyword := ""
	err := c.Send(func(_ *conn.Client, _ any, r *conn.Reply) { keyword = r.Keyword }, nil, "NOOP")
	for err == nil && keyword == "" {
		err = c.ProcessOneEvent()
	}
	if err != nil || keyword != "OK" {
		t.Errorf("the conversation goes on through TLS\n got: %q, %v", keyword, err)
	}
}

// local is a server's config for its address.
func local() *tls.Config {
	config := conntest.TLSConfig()
	config.Certificates = []tls.Certificate{conntest.Certificate("127.0.0.1")}
	return config
}

// writePEM writes a certificate and its key to two files.
func writePEM(t *testing.T, certificate tls.Certificate) (certFile, keyFile string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	err = errors.Join(
		os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}), 0o600),
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600),
	)
	if err != nil {
		t.Fatal(err)
	}
	return certFile, keyFile
}

var pageTLS = []sentence{
	{"havetls/compiled with TLS", func(t *testing.T) {
		if !conn.HaveTLS() {
			t.Error("the library has TLS")
		}
	}},
	{"havetls/starttls may be used", func(t *testing.T) {
		c := newSecureServer(t, local()).connect(t, new(conn.Dialer))
		if err := c.StartTLS("", "", conntest.CAFile(t), ""); err != nil || c.TLS() == nil {
			t.Errorf("StartTLS secures the connection\n got: %v", err)
		}
	}},
	{"starttls/issues and negotiates", func(t *testing.T) {
		var trace []string
		c := newSecureServer(t, local()).connect(t, &conn.Dialer{TagPrefix: "a", Trace: func(_ *conn.Client, line string) {
			if strings.HasPrefix(line, "C: ") {
				trace = append(trace, line)
			}
		}})
		if err := c.StartTLS("", "", conntest.CAFile(t), ""); err != nil {
			t.Fatal(err)
		}
		converse(t, c)
		same(t, "a STARTTLS command is issued, and what follows goes through TLS", trace, []string{"C: a1 STARTTLS", "C: a2 NOOP"})
	}},
	{"starttls/client certificate and key", func(t *testing.T) {
		config := local()
		config.ClientAuth = tls.RequireAnyClientCert
		s := newSecureServer(t, config)
		own := conntest.Certificate("client.test")
		certFile, keyFile := writePEM(t, own)
		c := s.connect(t, new(conn.Dialer))
		if err := c.StartTLS(certFile, keyFile, conntest.CAFile(t), ""); err != nil {
			t.Fatal(err)
		}
		converse(t, c)
		if peer := <-s.peers; len(peer) != 1 || !slices.Equal(peer[0].Raw, own.Certificate[0]) {
			t.Errorf("we authenticate ourselves by the certificate of certFile\n got: %d certificates", len(peer))
		}
	}},
	{"starttls/no client certificate", func(t *testing.T) {
		config := local()
		config.ClientAuth = tls.RequestClientCert
		s := newSecureServer(t, config)
		c := s.connect(t, new(conn.Dialer))
		if err := c.StartTLS("", "", conntest.CAFile(t), ""); err != nil {
			t.Fatal(err)
		}
		if peer := <-s.peers; len(peer) != 0 {
			t.Errorf("without both arguments no certificate is sent\n got: %d", len(peer))
		}
	}},
	{"starttls/file or directory of CAs", func(t *testing.T) {
		s := newSecureServer(t, local())
		caFile := conntest.CAFile(t)
		for _, ca := range [][2]string{{caFile, ""}, {"", filepath.Dir(caFile)}, {caFile, filepath.Dir(caFile)}} {
			c := s.connect(t, new(conn.Dialer))
			if err := c.StartTLS("", "", ca[0], ca[1]); err != nil {
				t.Errorf("the certificates of CAfile and CApath vouch for the server\n got: %v", err)
			}
		}
	}},
	{"starttls/unverified with a warning", func(t *testing.T) {
		s := newSecureServer(t, local())
		err := s.connect(t, new(conn.Dialer)).StartTLS("", "", "", "")
		if !errors.As(err, new(*tlsup.CertificateError)) {
			t.Errorf("ours: if both are empty the system's authorities must vouch for the server\n got: %v", err)
		}
		var warnings []string
		d := &conn.Dialer{
			TLS:  &tlsup.Policy{Unverified: true},
			Warn: func(_ *conn.Client, text string) { warnings = append(warnings, text) },
		}
		c := s.connect(t, d)
		if err := c.StartTLS("", "", "", ""); err != nil {
			t.Errorf("by an option the connection may succeed\n got: %v", err)
		}
		same(t, "but a warning is given", warnings, []string{
			`tlsup: the certificate of "127.0.0.1" is not verified: whoever is on the path can read and change everything`,
		})
	}},
}
