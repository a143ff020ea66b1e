//go:build linux

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"time"
)

const authorityName = "testbed CA"

// authority is the CA of one testbed. All servers in it share it; nobody else
// trusts it, and its key is never written down.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// identity is what somebody proves who it is with: a certificate and its key.
type identity struct {
	cert []byte // DER
	key  *ecdsa.PrivateKey
}

func newAuthority() (*authority, error) {
	template := newTemplate(authorityName)
	template.IsCA = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	own, err := selfSigned(template)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(own.cert)
	return &authority{cert: cert, key: own.key}, err
}

// sign makes a key and a certificate for it.
func (a *authority) sign(template *x509.Certificate) (identity, error) {
	return certify(template, a.cert, a.key)
}

func selfSigned(template *x509.Certificate) (identity, error) {
	return certify(template, template, nil)
}

// certify makes a key and has signer certify it, or the key itself when signer
// is nil.
func certify(template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return identity{}, err
	}
	if signer == nil {
		signer = key
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	return identity{cert: cert, key: key}, err
}

// newTemplate is what all certificates have in common. They have been good for a
// while, so that one can have expired, and outlive any testbed.
func newTemplate(commonName string) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: commonName},
		NotBefore:             time.Now().AddDate(0, -1, 0),
		NotAfter:              time.Now().AddDate(1, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
	}
}

// forServer is a server's certificate, for host names and IP addresses.
func forServer(hosts ...string) *x509.Certificate {
	template := newTemplate(hosts[0])
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return template
}

// forUser is a client's certificate. Servers find the account in its common name.
func forUser(user string) *x509.Certificate {
	template := newTemplate(user)
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return template
}

// expired makes a template's time end yesterday.
func expired(template *x509.Certificate) *x509.Certificate {
	template.NotAfter = time.Now().AddDate(0, 0, -1)
	return template
}

// write writes the certificate that others need to know whom they talk to.
func (a *authority) write(file string) error {
	return writePEM(file, "CERTIFICATE", a.cert.Raw, 0o644)
}

// write writes the certificate, which anybody may see, and the key, which only
// its owner may read.
func (i identity) write(certFile, keyFile string) error {
	key, err := x509.MarshalPKCS8PrivateKey(i.key)
	if err != nil {
		return err
	}
	return errors.Join(
		writePEM(certFile, "CERTIFICATE", i.cert, 0o644),
		writePEM(keyFile, "PRIVATE KEY", key, 0o600),
	)
}

func writePEM(file, kind string, der []byte, mode os.FileMode) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode)
}
