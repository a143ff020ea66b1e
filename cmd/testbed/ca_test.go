//go:build linux

package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func newTestAuthority(t *testing.T) *authority {
	t.Helper()
	ca, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// signed returns a certificate that ca has made.
func signed(t *testing.T, ca *authority, template *x509.Certificate) *x509.Certificate {
	t.Helper()
	id, err := ca.sign(template)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(id.cert)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// verify checks cert as somebody does who trusts ca alone.
func verify(ca *authority, cert *x509.Certificate, host string, usage x509.ExtKeyUsage) error {
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	_, err := cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, KeyUsages: []x509.ExtKeyUsage{usage}})
	return err
}

func TestAuthoritySigns(t *testing.T) {
	ca := newTestAuthority(t)
	server := signed(t, ca, forServer("localhost", "127.0.0.1"))
	for host, good := range map[string]bool{"localhost": true, "127.0.0.1": true, "127.0.0.2": false, "elsewhere.example": false} {
		if err := verify(ca, server, host, x509.ExtKeyUsageServerAuth); (err == nil) != good {
			t.Errorf("a server's certificate must be for the hosts it names, and for no others: %s: %v", host, err)
		}
	}
	user := signed(t, ca, forUser("alice"))
	if user.Subject.CommonName != "alice" {
		t.Errorf("a user's certificate must name him: %v", user.Subject)
	}
	if err := verify(ca, user, "", x509.ExtKeyUsageClientAuth); err != nil {
		t.Errorf("a user's certificate must do for clients: %v", err)
	}
	if verify(ca, user, "", x509.ExtKeyUsageServerAuth) == nil || verify(ca, server, "", x509.ExtKeyUsageClientAuth) == nil {
		t.Error("no user may pass for a server, and no server for a user")
	}
	stranger := signed(t, newTestAuthority(t), forUser("alice"))
	if _, ok := errors.AsType[x509.UnknownAuthorityError](verify(ca, stranger, "", x509.ExtKeyUsageClientAuth)); !ok {
		t.Error("what another CA of the same name has signed must not be trusted")
	}
}

func TestExpired(t *testing.T) {
	cert := signed(t, newTestAuthority(t), expired(forServer("localhost")))
	if age := time.Since(cert.NotAfter); age < time.Hour || age > 48*time.Hour {
		t.Errorf("an expired certificate must have been good until yesterday: %v", cert.NotAfter)
	}
	if cert.NotAfter.Sub(cert.NotBefore) < 24*time.Hour {
		t.Errorf("an expired certificate must have been good once: from %v", cert.NotBefore)
	}
}

func TestCertificateFiles(t *testing.T) {
	dir := t.TempDir()
	caFile, certFile, keyFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "cert.key")
	ca := newTestAuthority(t)
	id, err := ca.sign(forUser("alice"))
	if err := errors.Join(err, ca.write(caFile), id.write(certFile, keyFile)); err != nil {
		t.Fatal(err)
	}
	if pair, err := tls.LoadX509KeyPair(certFile, keyFile); err != nil || !bytes.Equal(pair.Certificate[0], id.cert) {
		t.Errorf("the files must hold a certificate and its key: %v", err)
	}
	text, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	if block, rest := pem.Decode(text); block == nil || !bytes.Equal(block.Bytes, ca.cert.Raw) || len(rest) > 0 {
		t.Errorf("the CA's file must hold its certificate alone: %q", text)
	}
	for file, want := range map[string]os.FileMode{caFile: 0o644, certFile: 0o644, keyFile: 0o600} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm()&^want != 0 {
			t.Errorf("anybody may read a certificate, but only its owner a key: %s: %v, %v", filepath.Base(file), info.Mode(), err)
		}
	}
	if err := id.write(filepath.Join(dir, "missing", "cert.pem"), keyFile); err == nil {
		t.Error("a file that cannot be written must be an error")
	}
}
