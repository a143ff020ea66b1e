package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"time"
)

// certify makes a certificate authority and a certificate of its that is good for
// host. The embedded server shows the one, its parent is handed the other and trusts
// nobody else: connections are verified as those to any server are. The authority's
// key is not kept.
func certify(host net.IP) (server tls.Certificate, authority []byte, err error) {
	ca, caKey, err := issue(&x509.Certificate{
		Subject:  pkix.Name{CommonName: "imload's embedded CA"},
		IsCA:     true,
		KeyUsage: x509.KeyUsageCertSign,
	}, nil, nil)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	leaf, key, err := issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: "imload's embedded server"},
		IPAddresses: []net.IP{host},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, ca, caKey)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, ca.Raw, nil
}

// issue makes a certificate with a key of its own. Without a parent it signs itself.
func issue(template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	// An hour back: a clock may be set right while we run. No run lasts a year.
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0)
	template.BasicConstraintsValid = true
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		return nil, nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return certificate, key, err
}
