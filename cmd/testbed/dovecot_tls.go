//go:build linux

package main

import (
	"crypto/x509"
	"os"
	"path/filepath"
)

// FaultyHosts are those that have a certificate of their own, one with a fault.
func (d *dovecot) FaultyHosts() []string { return []string{expiredHost, wrongHost, selfSignedHost} }

// TLSDir holds the CA's certificate, and certificates and keys named after the
// addresses.
func (d *dovecot) TLSDir() string { return filepath.Join(d.Dir, "tls") }

// writeCertificates fills TLSDir. Each certificate that is faulty has one fault
// and no other.
func (d *dovecot) writeCertificates(ca *authority) error {
	if err := os.Mkdir(d.TLSDir(), 0o755); err != nil {
		return err
	}
	for _, c := range []struct {
		host     string
		template *x509.Certificate
		sign     func(*x509.Certificate) (identity, error)
	}{
		{plainHost, forServer("localhost", plainHost, disabledHost, clientCertHost), ca.sign},
		{expiredHost, expired(forServer("localhost", expiredHost)), ca.sign},
		{wrongHost, forServer("elsewhere.example"), ca.sign},
		{selfSignedHost, forServer("localhost", selfSignedHost), selfSigned},
	} {
		id, err := c.sign(c.template)
		if err != nil {
			return err
		}
		file := filepath.Join(d.TLSDir(), c.host)
		if err := id.write(file+".pem", file+".key"); err != nil {
			return err
		}
	}
	return ca.write(filepath.Join(d.TLSDir(), "ca.pem"))
}
