//go:build linux

package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
	"time"
)

// trusting is the configuration of a client that trusts the testbed's CA alone.
func trusting(t *testing.T, vars map[string]string) *tls.Config {
	t.Helper()
	text, err := os.ReadFile(vars["CA"])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		t.Fatalf("CA must be the name of a file with a certificate: %q", text)
	}
	return &tls.Config{RootCAs: roots}
}

// connectors are the two ways to TLS, to any of a server's addresses.
func connectors(t *testing.T, vars map[string]string, server string) map[string]func(host string, config *tls.Config) (*mailClient, error) {
	t.Helper()
	_, plainPort, err := net.SplitHostPort(vars[server])
	if err != nil {
		t.Fatal(err)
	}
	_, tlsPort, err := net.SplitHostPort(vars[server+"_TLS"])
	if err != nil {
		t.Fatal(err)
	}
	return map[string]func(string, *tls.Config) (*mailClient, error){
		"STARTTLS": func(host string, config *tls.Config) (*mailClient, error) {
			return connectStartTLS(net.JoinHostPort(host, plainPort), config)
		},
		"imaps": func(host string, config *tls.Config) (*mailClient, error) {
			return connectTLS(net.JoinHostPort(host, tlsPort), config)
		},
	}
}

func testTLS(t *testing.T, vars map[string]string, server string, hosts ...string) {
	config := trusting(t, vars)
	for way, connect := range connectors(t, vars, server) {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for _, name := range []string{"", "localhost"} {
				for _, host := range hosts {
					config := config.Clone()
					config.MinVersion, config.MaxVersion, config.ServerName = version, version, name
					what := fmt.Sprintf("%s, %s as %q, %s", way, host, name, tls.VersionName(version))
					c, err := connect(host, config)
					if err != nil {
						t.Errorf("TLS must be possible and the server be who it should be: %s: %v", what, err)
						continue
					}
					if reply, err := c.do("CAPABILITY"); err != nil || bytes.Contains(reply, []byte(" STARTTLS")) {
						t.Errorf("CAPABILITY must not say STARTTLS when there is TLS: %s: %q, %v", what, reply, err)
					}
					if _, err := c.login(vars["USER"], vars["PASSWORD"]); err != nil {
						t.Errorf("LOGIN must be possible with TLS: %s: %v", what, err)
					}
					c.conn.Close()
				}
			}
		}
	}
}

// testFaultyCertificates has each certificate refused for its fault, and accepted
// by a client that does not mind that one fault.
func testFaultyCertificates(t *testing.T, vars map[string]string) {
	faults := []struct {
		variable string
		isFault  func(error) bool
		tolerate func(config *tls.Config, cert *x509.Certificate)
	}{
		{"DOVECOT_EXPIRED", func(err error) bool {
			invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
			return ok && invalid.Reason == x509.Expired && invalid.Cert.NotAfter.Before(time.Now())
		}, func(config *tls.Config, cert *x509.Certificate) {
			config.Time = func() time.Time { return cert.NotAfter }
		}},
		{"DOVECOT_WRONGHOST", func(err error) bool {
			_, ok := errors.AsType[x509.HostnameError](err)
			return ok
		}, func(config *tls.Config, cert *x509.Certificate) {
			config.ServerName = cert.DNSNames[0]
		}},
		{"DOVECOT_SELFSIGNED", func(err error) bool {
			_, ok := errors.AsType[x509.UnknownAuthorityError](err)
			return ok
		}, func(config *tls.Config, cert *x509.Certificate) {
			config.RootCAs.AddCert(cert)
		}},
	}
	for _, fault := range faults {
		host, _, err := net.SplitHostPort(vars[fault.variable])
		if err != nil {
			t.Fatal(err)
		}
		for way, connect := range connectors(t, vars, "DOVECOT") {
			config := trusting(t, vars)
			_, err := connect(host, config)
			unverified, ok := errors.AsType[*tls.CertificateVerificationError](err)
			if !ok || !fault.isFault(err) {
				t.Errorf("the certificate must have its fault: %s, %s: %v", fault.variable, way, err)
				continue
			}
			fault.tolerate(config, unverified.UnverifiedCertificates[0])
			c, err := connect(host, config)
			if err != nil {
				t.Errorf("the certificate must have no other fault: %s, %s: %v", fault.variable, way, err)
				continue
			}
			if _, err := c.login(vars["USER"], vars["PASSWORD"]); err != nil {
				t.Errorf("who does not mind must be served: %s, %s: %v", fault.variable, way, err)
			}
			c.conn.Close()
		}
	}
}

// testResumption resumes sessions one after another, each with the ticket that
// the one before has brought.
func testResumption(t *testing.T, vars map[string]string) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for way, connect := range connectors(t, vars, "DOVECOT") {
			config := trusting(t, vars)
			config.MinVersion, config.MaxVersion = version, version
			config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			for i := range 5 {
				c, err := connect(plainHost, config)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := c.do("NOOP"); err != nil { // TLS 1.3 sends tickets after the handshake
					t.Fatal(err)
				}
				if resumed := c.conn.(*tls.Conn).ConnectionState().DidResume; resumed != (i > 0) {
					t.Errorf("all TLS sessions but the first must be resumed: number %d, %s, %s: %v", i+1, way, tls.VersionName(version), resumed)
				}
				c.conn.Close()
			}
		}
	}
}

func testClientCertificates(t *testing.T, vars map[string]string, server, host string) {
	own, err := tls.LoadX509KeyPair(vars["CLIENTCERT"], vars["CLIENTKEY"])
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		whose   string
		cert    *tls.Certificate
		trusted bool
	}{
		{"that of the testbed's CA", &own, true},
		{"that of another CA", foreignCertificate(t, vars["USER"]), false},
		{"none", new(tls.Certificate), false},
	}
	for way, connect := range connectors(t, vars, server) {
		for _, c := range cases {
			config, asked := trusting(t, vars), false
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				asked = true
				return c.cert, nil
			}
			client, err := connect(host, config)
			if err != nil && server == "CYRUS" && !c.trusted && len(c.cert.Certificate) > 0 {
				continue // Cyrus breaks the handshake off
			}
			if err != nil {
				t.Errorf("a certificate must be optional: %s, %s: %v", c.whose, way, err)
				continue
			}
			if !asked {
				t.Errorf("the server must ask for a certificate: %s", way)
			}
			if _, err := client.do("AUTHENTICATE EXTERNAL ="); (err == nil) != c.trusted {
				t.Errorf("a certificate must be accepted if, and only if, it is from the testbed's CA: %s, %s: %v", c.whose, way, err)
			}
			client.conn.Close()
		}
	}
}

// foreignCertificate differs from the testbed's own in nothing but the CA's key.
func foreignCertificate(t *testing.T, user string) *tls.Certificate {
	t.Helper()
	client, err := newTestAuthority(t).sign(forUser(user))
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{client.cert}, PrivateKey: client.key}
}
