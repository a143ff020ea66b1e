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

// bodySize is many records.
const bodySize = 200_000

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
	err = os.WriteFile(s.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
	if err != nil {
		t.Fatal(err)
	}
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
			fmt.Fprintf(c, "* 1 FETCH (BODY[] {%d}\r\n%s)\r\n%s OK done\r\n", bodySize, strings.Repeat("x", bodySize), tag)
		default:
			fmt.Fprintf(c, "%s OK done\r\n", tag)
		}
	}
}

// eachSocketTLS runs f against a server with implicit TLS, and with STARTTLS.
func eachSocketTLS(t *testing.T, f func(t *testing.T, d *Dialer, port string)) {
	for _, implicit := range []bool{false, true} {
		t.Run(fmt.Sprintf("implicit=%v", implicit), func(t *testing.T) {
			s := newTLSServer(t, implicit)
			_, port, _ := net.SplitHostPort(s.address)
			f(t, &Dialer{ImplicitTLS: implicit, RequireTLS: true, TLS: &tlsup.Policy{Files: tlsup.Files{CA: s.ca}}}, port)
		})
	}
}

// A bare connection over a real socket: literals of many records come whole.
func TestTLSSocketBare(t *testing.T) {
	eachSocketTLS(t, func(t *testing.T, d *Dialer, port string) {
		c, err := d.Connect("127.0.0.1", port)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if !d.ImplicitTLS {
			if err := c.Send(nil, nil, "NOOP"); err != ErrTLSRequired {
				t.Fatalf("no command goes out before TLS\n got: %v", err)
			}
			if err := c.StartTLS("", "", "", ""); err != nil {
				t.Fatal(err)
			}
		}
		const fetches = 3
		whole, done := 0, 0
		c.AddCallback(Callback{Keyword: "FETCH", Flags: CallbackNumbered, Proc: func(_ *Client, _ any, r *Reply) {
			if strings.Count(string(r.Text), "x") == bodySize {
				whole++
			}
		}})
		for range fetches {
			mustSend(t, c, func(*Client, any, *Reply) { done++ }, "FETCH")
		}
		for done < fetches {
			if err := c.ProcessOneEvent(); err != nil {
				t.Fatal(err)
			}
		}
		if whole != fetches || c.TLS().Version != tls.VersionTLS13 {
			t.Errorf("all comes through TLS\n got: %d of %d bodies, %s", whole, fetches, tls.VersionName(c.TLS().Version))
		}
	})
}

// Two hundred connections in one loop negotiate TLS at once, whoever computes.
func TestTLSSocketsInLoop(t *testing.T) {
	const conns = 200
	for _, workers := range []*Workers{nil, NewWorkers(2)} {
		eachSocketTLS(t, func(t *testing.T, d *Dialer, port string) {
			d.Workers = workers
			l, err := reactor.New()
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			fetched := 0
			check := func(err error) bool {
				if err != nil {
					t.Errorf("every connection negotiates TLS\n got: %v", err)
					cancel()
				}
				return err == nil
			}
			finish := func(c *Client, _ any, r *Reply) {
				if check(r.AsError()) {
					fetched++
				}
				_ = c.Close()
				if fetched == conns {
					cancel()
				}
			}
			for range conns {
				d.ConnectAsync(ctx, l, "127.0.0.1", port, func(c *Client, err error) {
					if ctx.Err() != nil || !check(err) {
						return
					}
					if !d.ImplicitTLS {
						check(c.StartTLSAsync("", "", "", "", func(err error) { check(err) }))
					}
					mustSend(t, c, finish, "FETCH")
				})
			}
			if err := l.Run(ctx); err != context.Canceled || fetched != conns {
				t.Errorf("each connection fetches through TLS\n got: %d of %d, %v", fetched, conns, err)
			}
		})
	}
}
