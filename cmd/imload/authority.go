package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"time"
)

// certificates are an authority's, and of those that it vouches for.
type certificates struct {
	authority *x509.Certificate
	server    tls.Certificate
	client    []byte // and its key, PEM
}

// clientName is whom the client's certificate is for.
const clientName = "imload"

// certify makes a certificate authority, a certificate of its that is good for host,
// and one for a client. The embedded server shows the one, its parent is handed the
// others and trusts nobody else: connections are verified as those to any server are.
// The authority's key is not kept.
func certify(host net.IP) (*certificates, error) {
	ca, caKey, err := issue(&x509.Certificate{
		Subject:  pkix.Name{CommonName: "imload's embedded CA"},
		IsCA:     true,
		KeyUsage: x509.KeyUsageCertSign,
	}, nil, nil)
	if err != nil {
		return nil, err
	}
	leaf, key, err := issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: "imload's embedded server"},
		IPAddresses: []net.IP{host},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, ca, caKey)
	if err != nil {
		return nil, err
	}
	server := tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
	client, clientKey, err := issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: clientName},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, ca, caKey)
	if err != nil {
		return nil, err
	}
	text, err := asPEM(client, clientKey)
	return &certificates{ca, server, text}, err
}

// config is a server's; ask: it wants to see certificates of clients.
func (c *certificates) config(ask bool) *tls.Config {
	// Session tickets are crypto/tls's own affair: all connections share the config,
	// and with it the keys to them.
	config := &tls.Config{Certificates: []tls.Certificate{c.server}}
	if ask {
		config.ClientAuth, config.ClientCAs = tls.VerifyClientCertIfGiven, x509.NewCertPool()
		config.ClientCAs.AddCert(c.authority)
	}
	return config
}

func asPEM(certificate *x509.Certificate, key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
	return append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...), nil
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
