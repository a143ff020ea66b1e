package tlsup

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Files say who we are and whom to trust, in PEM. They are read at the first
// handshake and again when they change.
type Files struct {
	// Cert holds our certificate and behind it those of its issuers, as far as the
	// server may need them; Key its private key, without a passphrase. Key "" means
	// that the key is in Cert, too. Both "": we have no certificate.
	Cert, Key string
	// CA is a file of the authorities to trust, CAPath a directory of such files,
	// whatever their names; what is not PEM in it is passed over. Both: all of them.
	// Neither: Policy.Config.RootCAs, or the system's roots, which crypto/x509 reads
	// once for the life of the process.
	CA, CAPath string
}

// A keyPair is our certificate with its key.
type keyPair struct {
	file        string
	certificate *tls.Certificate
	warned      bool // that it is out of date
}

func newPairSource(files Files) *source[*keyPair] {
	s := &source[*keyPair]{files: []string{files.Cert}}
	switch {
	case files.Cert == "":
		s.files = nil
	case files.Key != "" && files.Key != files.Cert:
		s.files = append(s.files, files.Key)
	}
	s.parse = func(docs []document) (*keyPair, []string, error) {
		if files.Cert == "" && files.Key != "" {
			return nil, nil, &FileError{File: files.Key, Fault: "it is a key without a certificate", Remedy: "name the file of its certificate"}
		}
		return parsePair(docs)
	}
	return s
}

// parsePair makes a pair of one file or two; nil of none.
func parsePair(docs []document) (*keyPair, []string, error) {
	if len(docs) == 0 {
		return nil, nil, nil
	}
	cert, key := docs[0], docs[len(docs)-1]
	if fault := certificateFault(cert); fault != nil {
		return nil, nil, fault
	}
	if fault := keyFault(key); fault != nil {
		return nil, nil, fault
	}
	pair, err := tls.X509KeyPair(cert.data, key.data)
	if err != nil {
		return nil, nil, pairFault(cert, key, err)
	}
	if pair.Leaf == nil { // GODEBUG=x509keypairleaf=0
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, nil, pairFault(cert, key, err)
		}
	}
	return &keyPair{file: cert.path, certificate: &pair}, nil, nil
}

// outOfDate warns, once, of a certificate that servers will refuse. It is sent all
// the same: that is for them to say.
func (id *keyPair) outOfDate(now time.Time) string {
	if id == nil || id.warned {
		return ""
	}
	leaf := id.certificate.Leaf
	fault := ""
	switch {
	case now.After(leaf.NotAfter):
		fault = "the client certificate expired on " + stamp(leaf.NotAfter)
	case now.Before(leaf.NotBefore):
		fault = "the client certificate is not valid before " + stamp(leaf.NotBefore)
	default:
		return ""
	}
	id.warned = true
	return (&FileError{File: id.file, Fault: fault, Remedy: "servers will refuse it"}).Error()
}

func certificateFault(doc document) *FileError {
	blocks, fault := pemBlocks(doc)
	if fault != nil {
		return fault
	}
	for _, block := range blocks {
		if block.Type == "CERTIFICATE" {
			return nil
		}
	}
	return &FileError{File: doc.path, Fault: "it holds no certificate, but " + blockTypes(blocks), Remedy: "name the file with the certificate; its key has an argument of its own"}
}

func keyFault(doc document) *FileError {
	blocks, fault := pemBlocks(doc)
	if fault != nil {
		return fault
	}
	for _, block := range blocks {
		if !isKey(block) {
			continue
		}
		if isEncrypted(block) {
			return &FileError{File: doc.path, Fault: "its private key is under a passphrase, which nobody is here to enter",
				Remedy: "take the passphrase off (openssl pkey -in FILE -out NEWFILE) and protect the file by its mode"}
		}
		return nil
	}
	return &FileError{File: doc.path, Fault: "it holds no private key, but " + blockTypes(blocks), Remedy: "name the file with the private key"}
}

func isKey(block *pem.Block) bool {
	return block.Type == "PRIVATE KEY" || strings.HasSuffix(block.Type, " PRIVATE KEY")
}

// isEncrypted knows both forms: of PKCS #8 (RFC 5958 section 3) and of RFC 1421
// section 4.6.1.1, which OpenSSL used to write.
func isEncrypted(block *pem.Block) bool {
	return block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED")
}

// pairFault says why a certificate and a key make no pair.
func pairFault(cert, key document, err error) *FileError {
	_, certErr := parseCertificates(cert)
	switch text := err.Error(); {
	case certErr != nil:
		return certErr
	case strings.Contains(text, "does not match") && keyIsAnothers(cert, key):
		return &FileError{File: cert.path, Fault: "its certificates are in the wrong order", Remedy: "put our own first and its issuers behind it", Err: err}
	case strings.Contains(text, "does not match"):
		return &FileError{File: key.path, Fault: "the private key is not that of the certificate in " + strconv.Quote(cert.path), Remedy: "name a certificate and its own key", Err: err}
	}
	return &FileError{File: key.path, Fault: "its private key is of no form or kind that crypto/tls knows (RSA, ECDSA, Ed25519)", Remedy: "convert it (openssl pkcs8 -topk8 -nocrypt)", Err: err}
}

// keyIsAnothers reports whether the key fits one of the certificates behind the
// first.
func keyIsAnothers(cert, key document) bool {
	rest := cert.data
	for {
		block, behind := pem.Decode(rest)
		if block == nil {
			return false
		}
		if block.Type == "CERTIFICATE" {
			if _, err := tls.X509KeyPair(pem.EncodeToMemory(block), key.data); err == nil {
				return true
			}
		}
		rest = behind
	}
}

func newRootsSource(files Files) *source[*x509.CertPool] {
	s := &source[*x509.CertPool]{dir: files.CAPath}
	if files.CA != "" {
		s.files = []string{files.CA}
	}
	s.parse = func(docs []document) (*x509.CertPool, []string, error) { return parseRoots(docs, files.CAPath) }
	return s
}

// parseRoots makes a pool of a file, of what was found in a directory, or of both;
// nil of neither. Certificates that crypto/x509 does not take are passed over, with
// a warning, while there are others: every larger collection has some.
func parseRoots(docs []document, dir string) (*x509.CertPool, []string, error) {
	if len(docs) == 0 && dir == "" {
		return nil, nil, nil
	}
	pool := x509.NewCertPool()
	var warnings []string
	inDir := 0
	for _, doc := range docs {
		certs, fault := parseCertificates(doc)
		if fault != nil && len(certs) == 0 && !doc.inDir {
			return nil, nil, fault
		}
		if fault != nil && !errors.Is(fault, errNoCertificate) {
			warnings = append(warnings, fault.Error()+" (passed over)")
		}
		for _, cert := range certs {
			pool.AddCert(cert)
		}
		if doc.inDir {
			inDir += len(certs)
		}
	}
	if dir != "" && inDir == 0 {
		return nil, nil, &FileError{File: dir, Fault: "no file in this directory holds a certificate in PEM", Remedy: "put the CA certificates to trust there"}
	}
	return pool, bounded(warnings), nil
}

// bounded keeps a directory full of faults from becoming as many warnings.
func bounded(warnings []string) []string {
	const most = 3
	if len(warnings) <= most {
		return warnings
	}
	return append(slices.Clip(warnings[:most]), fmt.Sprintf("tlsup: %d more CA certificates were passed over", len(warnings)-most))
}

// errNoCertificate is in a FileError about a file that holds none at all.
var errNoCertificate = errors.New("no certificate")

// parseCertificates returns the certificates of a file, and what is wrong with the
// first that is not among them.
func parseCertificates(doc document) (certs []*x509.Certificate, fault *FileError) {
	blocks, fault := pemBlocks(doc)
	if fault != nil {
		return nil, fault
	}
	seen := false
	for i, block := range blocks {
		if block.Type != "CERTIFICATE" && block.Type != "X509 CERTIFICATE" {
			continue
		}
		seen = true
		cert, err := x509.ParseCertificate(block.Bytes)
		switch {
		case err == nil:
			certs = append(certs, cert)
		case fault == nil:
			fault = &FileError{File: doc.path, Fault: fmt.Sprintf("a certificate in it (PEM block %d) is none: %s", i+1, printable(err.Error())), Remedy: "replace it", Err: err}
		}
	}
	if !seen {
		return nil, &FileError{File: doc.path, Fault: "it holds no certificate, but " + blockTypes(blocks), Remedy: noCertificateRemedy(blocks), Err: errNoCertificate}
	}
	return certs, fault
}

func noCertificateRemedy(blocks []*pem.Block) string {
	for _, block := range blocks {
		if block.Type == "TRUSTED CERTIFICATE" {
			return "convert OpenSSL's own form (openssl x509 -in FILE -out NEWFILE)"
		}
	}
	return "name a file of CA certificates"
}

// pemBlocks returns what is in a file, at least one block.
func pemBlocks(doc document) (blocks []*pem.Block, fault *FileError) {
	if doc.err != nil {
		return nil, doc.err
	}
	for rest := doc.data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		blocks = append(blocks, block)
	}
	switch {
	case len(blocks) > 0:
		return blocks, nil
	case len(bytes.TrimSpace(doc.data)) == 0:
		return nil, &FileError{File: doc.path, Fault: "it is empty", Remedy: "name a PEM file", Err: errNoCertificate}
	case doc.data[0] == 0x30: // an ASN.1 SEQUENCE
		return nil, &FileError{File: doc.path, Fault: "it is not PEM, and may be DER", Remedy: "convert it (openssl x509 or pkey, -inform DER -in FILE -out NEWFILE)", Err: errNoCertificate}
	case bytes.Contains(doc.data, []byte("-----BEGIN ")):
		return nil, &FileError{File: doc.path, Fault: "its PEM is broken or cut short", Remedy: "write it anew"}
	}
	return nil, &FileError{File: doc.path, Fault: "it is not PEM", Remedy: "name a PEM file", Err: errNoCertificate}
}

func blockTypes(blocks []*pem.Block) string {
	var types []string
	for _, block := range blocks {
		if quoted := quote(block.Type); !slices.Contains(types, quoted) && len(types) < maxListed {
			types = append(types, quoted)
		}
	}
	return strings.Join(types, ", ")
}

// stamp is a certificate's time for a person.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
