package conn

import (
	"bufio"
	"context"
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
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imclient/imclient/reactor"
	"github.com/imclient/imclient/tlsup"
)

// tlsServer is an IMAP server on loopback with a certificate for "localhost".
type tlsServer struct {
	address, ca string
	config      *tls.Config
}

func newTLSServer(t testing.TB, implicit bool) *tlsServer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	s := &tlsServer{ca: filepath.Join(t.TempDir(), "ca.pem")}
	s.config = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	os.WriteFile(s.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s.address = l.Addr().String()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c, implicit)
		}
	}()
	return s
}

func (s *tlsServer) serve(c net.Conn, implicit bool) {
	defer c.Close()
	if implicit {
		c = tls.Server(c, s.config)
	}
	fmt.Fprintf(c, "* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n")
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		tag, cmd, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch cmd {
		case "STARTTLS":
			fmt.Fprintf(c, "%s OK begin\r\n", tag)
			c = tls.Server(c, s.config)
			r = bufio.NewReader(c)
		case "FETCH":
			fmt.Fprintf(c, "* 1 FETCH (BODY[] {200000}\r\n%s)\r\n%s OK done\r\n", strings.Repeat("x", 200000), tag)
		default:
			fmt.Fprintf(c, "%s OK done\r\n", tag)
		}
	}
}

func TestSmokeTLS(t *testing.T) {
	for _, implicit := range []bool{false, true} {
		s := newTLSServer(t, implicit)
		d := &Dialer{ImplicitTLS: implicit, RequireTLS: true, TLS: &tlsup.Policy{Files: tlsup.Files{CA: s.ca}}, Trace: func(_ *Client, line string) { t.Log(line) }}
		_, port, _ := net.SplitHostPort(s.address)
		c, err := d.Connect("127.0.0.1", port)
		if err != nil {
			t.Fatal(err)
		}
		if !implicit {
			if err := c.Send(nil, nil, "NOOP"); err != ErrTLSRequired {
				t.Fatal(err)
			}
			if err := c.StartTLS("", "", "", ""); err != nil {
				t.Fatal(err)
			}
		}
		n := 0
		for range 3 {
			mustSend(t, c, func(_ *Client, _ any, r *Reply) { t.Log(r.Keyword); n++ }, "FETCH")
		}
		for n < 3 {
			if err := c.ProcessOneEvent(); err != nil {
				t.Fatal(err)
			}
		}
		t.Log(c.TLS().ConnectionState.Version, c.Stats())
		c.Close()
	}
}

func TestSmokeTLSLoop(t *testing.T) {
	for _, workers := range []*Workers{nil, NewWorkers(2)} {
		for _, implicit := range []bool{false, true} {
			s := newTLSServer(t, implicit)
			l, _ := reactor.New()
			d := &Dialer{ImplicitTLS: implicit, Workers: workers, RequireTLS: true, TLS: &tlsup.Policy{Files: tlsup.Files{CA: s.ca}}}
			_, port, _ := net.SplitHostPort(s.address)
			n, resumed := 0, 0
			ctx, cancel := context.WithCancel(context.Background())
			finish := func(c *Client, _ any, r *Reply) {
				if r.Keyword != "OK" {
					t.Error(r.Keyword, r.Err)
				}
				if c.TLS().DidResume {
					resumed++
				}
				n++
				c.Close()
				if n == 200 {
					cancel()
				}
			}
			for range 200 {
				d.ConnectAsync(ctx, l, "127.0.0.1", port, func(c *Client, err error) {
					if err != nil {
						t.Error(err)
						cancel()
						return
					}
					if implicit {
						mustSend(t, c, finish, "FETCH")
						return
					}
					c.StartTLSAsync("", "", "", "", func(err error) {
						if err != nil {
							t.Error(err)
							cancel()
						}
					})
					mustSend(t, c, finish, "FETCH")
				})
			}
			began := time.Now()
			l.Run(ctx)
			l.Close()
			t.Log(n, resumed, time.Since(began))
		}
	}
}
