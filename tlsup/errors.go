package tlsup

import (
	"crypto/x509"
	"errors"
	"strconv"
)

// ErrNoBinding means that a connection has no channel binding of the kind that was
// asked for, or none that may be used. What wraps it says why.
var ErrNoBinding = errors.New("tlsup: no such channel binding")

// A FileError says what is wrong with a file or directory that was named in
// [Files], and what to do. Nothing that a key file holds gets into it.
type FileError struct {
	File   string // as it was named
	Fault  string // "it is empty"
	Remedy string // "name a PEM file"; may be ""
	Err    error  // of the system, or of crypto/x509; may be nil
}

func (e *FileError) Error() string {
	return "tlsup: file " + strconv.Quote(e.File) + ": " + advise(e.Fault, e.Remedy)
}

// Unwrap returns Err.
func (e *FileError) Unwrap() error { return e.Err }

// A HostError says why no certificate can be checked against a host, before
// anything was sent. It is the caller's fault.
type HostError struct {
	Host   string
	Fault  string
	Remedy string
}

func (e *HostError) Error() string {
	return "tlsup: host " + quote(e.Host) + ": " + advise(e.Fault, e.Remedy)
}

// A CertificateError says why the server's certificate was not accepted, and what
// to do. Text of the server's is quoted in it, and cut.
type CertificateError struct {
	Host   string // the caller's name for the server
	Fault  string // "it expired on 2026-01-02 03:04:05 UTC"
	Remedy string
	// Err is what crypto/tls said, or a [*PinError]: errors.As finds
	// *tls.CertificateVerificationError and the errors of crypto/x509 in it.
	Err error
}

func (e *CertificateError) Error() string {
	return "tlsup: the certificate of " + quote(e.Host) + " is not accepted: " + advise(e.Fault, e.Remedy)
}

// Unwrap returns Err.
func (e *CertificateError) Unwrap() error { return e.Err }

// A HandshakeError says why a handshake failed for another reason than the server's
// certificate, and what to do.
type HandshakeError struct {
	Host   string // the caller's name for the server
	Alert  string // what the server sent, by the name that RFC 8446 has for it ("certificate_required"); "": no alert
	Fault  string
	Remedy string
	Err    error // what crypto/tls or the transport said
}

func (e *HandshakeError) Error() string {
	return "tlsup: no TLS with " + quote(e.Host) + ": " + advise(e.Fault, e.Remedy)
}

// Unwrap returns Err.
func (e *HandshakeError) Unwrap() error { return e.Err }

// A PinError says that none of the keys that count is among [Policy].Pins.
type PinError struct {
	// Certificates are those whose keys were looked at: of the verified chains, or
	// the server's own alone where nothing is verified. See [Pin].
	Certificates []*x509.Certificate
}

func (e *PinError) Error() string {
	return "tlsup: the server's key is not pinned"
}

// advise joins what is wrong and what to do about it.
func advise(fault, remedy string) string {
	if remedy == "" {
		return fault
	}
	return fault + "; " + remedy
}

const (
	// maxQuoted is how many bytes of a text that is not ours an error repeats.
	maxQuoted = 200
	// maxListed is how many items it lists.
	maxListed = 5
)

// quote makes a text that may be hostile fit for a terminal and a log.
func quote(s string) string {
	if len(s) > maxQuoted {
		return strconv.QuoteToASCII(s[:maxQuoted]) + "..."
	}
	return strconv.QuoteToASCII(s)
}

// printable is quote without the quotes, for text that is a library's but may hold
// some of the server's.
func printable(s string) string {
	quoted := strconv.QuoteToASCII(s[:min(len(s), maxQuoted)])
	return quoted[1 : len(quoted)-1]
}
