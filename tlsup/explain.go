package tlsup

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Explain says what an error of a handshake means, and what to do:
// *CertificateError if it is about the server's certificate, *HandshakeError for
// everything else. Errors of this package, and nil, come back as they are. Under TLS
// 1.3 a server refuses our certificate when the handshake is complete on our side:
// such an error comes from the first read, and may be explained as well.
//
// peer is what [Policy.For] was called with. Safe on any goroutine.
func (p *Policy) Explain(peer Peer, err error) error {
	if err == nil || isExplained(err) {
		return err
	}
	x := explainer{peer: peer, files: p.filesFor(peer), now: p.now()}
	x.name = peer.Host
	if name, fault := p.nameFor(peer); fault == nil {
		x.name = name
	}
	if fault, remedy := x.certificate(err); fault != "" {
		return &CertificateError{Host: x.name, Fault: fault, Remedy: remedy, Err: err}
	}
	e := &HandshakeError{Host: x.name, Err: err}
	e.Alert, e.Fault, e.Remedy = x.handshake(err)
	return e
}

func isExplained(err error) bool {
	var (
		certificate *CertificateError
		handshake   *HandshakeError
		file        *FileError
		host        *HostError
	)
	return errors.As(err, &certificate) || errors.As(err, &handshake) || errors.As(err, &file) || errors.As(err, &host)
}

// An explainer has what an explanation refers to. The functions that return what is
// wrong and what to do return "" if the error is none of theirs.
type explainer struct {
	peer  Peer
	name  string // that the certificate should have
	files Files
	now   time.Time
}

func (x explainer) certificate(err error) (fault, remedy string) {
	var (
		pin      *PinError
		host     x509.HostnameError
		unknown  x509.UnknownAuthorityError
		invalid  x509.CertificateInvalidError
		noRoots  x509.SystemRootsError
		critical x509.UnhandledCriticalExtension
		rejected *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &pin):
		return pinFault(pin)
	case errors.As(err, &host) && host.Certificate != nil:
		return nameMismatch(host.Certificate, host.Host)
	case errors.As(err, &unknown) && unknown.Cert != nil:
		return x.unknownAuthority(unknown, err)
	case errors.As(err, &invalid) && invalid.Cert != nil:
		return x.invalid(invalid, err)
	case errors.As(err, &noRoots):
		return "this system has no authorities that could be trusted", x.trustRemedy("its issuer")
	case errors.As(err, &critical):
		return "it has a critical extension that is not known here", askOperator
	case errors.As(err, &rejected):
		return printable(trimPrefix(rejected.Err.Error())), askOperator
	}
	return certificateText(err)
}

// certificateText knows what crypto/tls says of certificates without a type.
func certificateText(err error) (fault, remedy string) {
	text := err.Error()
	for _, prefix := range []string{
		"tls: failed to parse certificate from server: ",
		"tls: server sent certificate containing RSA key larger than ",
		"tls: server's certificate contains an unsupported type of public key: ",
		"tls: invalid signature by the server certificate: ",
		"tls: certificate used with invalid signature algorithm",
	} {
		if strings.HasPrefix(text, prefix) {
			return printable(trimPrefix(text)), askOperator
		}
	}
	return "", ""
}

func trimPrefix(text string) string {
	return strings.TrimPrefix(strings.TrimPrefix(text, "tls: "), "x509: ")
}

func pinFault(e *PinError) (fault, remedy string) {
	keys := make([]string, 0, len(e.Certificates))
	for _, certificate := range e.Certificates {
		keys = append(keys, fmt.Sprintf("%x of %s", Pin(certificate), quote(certificate.Subject.String())))
	}
	return "none of its keys is pinned: it has " + enumerate(keys),
		"if it has changed its key for a good reason, pin one of these, or else do not connect"
}

func nameMismatch(certificate *x509.Certificate, wanted string) (fault, remedy string) {
	var names []string
	for _, name := range certificate.DNSNames {
		names = append(names, quote(name))
	}
	for _, address := range certificate.IPAddresses {
		names = append(names, address.String())
	}
	if len(names) > 0 {
		return "it is for " + enumerate(names) + ", not for " + quote(wanted), "connect to it by one of its names, or set Config.ServerName"
	}
	if name := certificate.Subject.CommonName; name != "" {
		return "it has a common name only (" + quote(name) + "), which is no longer used, and no alternative names", "the server needs a certificate with a subjectAltName"
	}
	return "it is for no name at all", "the server needs a certificate with a subjectAltName"
}

func (x explainer) invalid(e x509.CertificateInvalidError, err error) (fault, remedy string) {
	switch e.Reason {
	case x509.Expired:
		return x.outOfDate(e.Cert, isOwn(e.Cert, err))
	case x509.IncompatibleUsage:
		return "it is not made for servers (extended key usage)", "the server needs a certificate with the usage serverAuth"
	case x509.NotAuthorizedToSign:
		return "it was signed by a certificate that is no authority's", askOperator
	case x509.TooManyIntermediates:
		return "more authorities are between it and its root than that allows (path length)", askOperator
	case x509.CANotAuthorizedForThisName, x509.UnconstrainedName:
		return "an authority above it may not sign for its names (name constraints): " + printable(e.Detail), "the server needs a certificate of another authority"
	}
	return printable(trimPrefix(e.Error())), askOperator
}

// isOwn reports whether a certificate that was refused is the server's own, and not
// one above it.
func isOwn(certificate *x509.Certificate, err error) bool {
	var rejected *tls.CertificateVerificationError
	return !errors.As(err, &rejected) || len(rejected.UnverifiedCertificates) == 0 || certificate.Equal(rejected.UnverifiedCertificates[0])
}

// outOfDate says which date makes a certificate invalid.
func (x explainer) outOfDate(certificate *x509.Certificate, own bool) (fault, remedy string) {
	which := "it"
	if !own {
		which = "the certificate of its authority " + quote(certificate.Subject.String())
	}
	remedy = "a new one is needed, or this machine's clock, which says " + stamp(x.now) + ", is wrong"
	if x.now.Before(certificate.NotBefore) {
		return which + " is not valid before " + stamp(certificate.NotBefore), remedy
	}
	return which + " expired on " + stamp(certificate.NotAfter), remedy
}

func (x explainer) unknownAuthority(e x509.UnknownAuthorityError, err error) (fault, remedy string) {
	if fault, remedy := x.refusedAuthority(e); fault != "" {
		return fault, remedy
	}
	subject, issuer := quote(e.Cert.Subject.String()), quote(e.Cert.Issuer.String())
	own := isOwn(e.Cert, err)
	selfSigned := string(e.Cert.RawIssuer) == string(e.Cert.RawSubject)
	switch {
	case selfSigned && own:
		return "it is self-signed (" + subject + ")", x.trustRemedy("it")
	case selfSigned:
		return "its chain ends in a self-signed certificate (" + subject + ") that is not trusted", x.trustRemedy("that")
	case own:
		return "its issuer " + issuer + " is not known", x.trustRemedy("that") + "; or the server leaves out an intermediate certificate that it should send"
	}
	return "the issuer " + issuer + " at the end of its chain is not known", x.trustRemedy("that")
}

// refusedAuthority looks into the hint of an UnknownAuthorityError: the issuer is
// known, but crypto/x509 did not take it. It shows the hint in its text only.
func (x explainer) refusedAuthority(e x509.UnknownAuthorityError) (fault, remedy string) {
	why, authority := hint(e.Error())
	switch {
	case why == "":
		return "", ""
	case strings.Contains(why, "insecure algorithm"):
		return "it, or one above it, is signed with " + e.Cert.SignatureAlgorithm.String() + ", which is too weak", "the server needs a new one"
	case strings.Contains(why, "not authorized to sign other certificates"), strings.Contains(why, "parent certificate cannot sign"):
		return "it was signed by " + quote(authority) + ", which is no authority", askOperator
	}
	return "an authority of the name of its issuer (" + quote(authority) + ") is known, but did not sign it: " + printable(trimPrefix(why)),
		x.trustRemedy("its new certificate")
}

// hint takes an UnknownAuthorityError's text apart.
func hint(text string) (why, authority string) {
	_, rest, found := strings.Cut(text, "(possibly because of ")
	if !found {
		return "", ""
	}
	quoted, err := strconv.QuotedPrefix(rest)
	if err != nil {
		return "", ""
	}
	why, _ = strconv.Unquote(quoted)
	rest = strings.TrimPrefix(rest[len(quoted):], " while trying to verify candidate authority certificate ")
	if quoted, err = strconv.QuotedPrefix(rest); err == nil {
		authority, _ = strconv.Unquote(quoted)
	}
	return why, authority
}

// trustRemedy says how to trust a certificate.
func (x explainer) trustRemedy(which string) string {
	var named []string
	for _, file := range []string{x.files.CA, x.files.CAPath} {
		if file != "" {
			named = append(named, strconv.Quote(file))
		}
	}
	if len(named) == 0 {
		return "if " + which + " is to be trusted, name it as CA file or in a CA directory (Files.CA, Files.CAPath)"
	}
	return "if " + which + " is to be trusted, add it to " + strings.Join(named, " or ")
}

// enumerate joins what may be long, and is the server's.
func enumerate(items []string) string {
	if len(items) > maxListed {
		return strings.Join(items[:maxListed], ", ") + fmt.Sprintf(" and %d more", len(items)-maxListed)
	}
	return strings.Join(items, ", ")
}

func (x explainer) handshake(err error) (alert, fault, remedy string) {
	if code, fromServer, ok := alertOf(err); ok {
		text := alertNamed(code)
		if !fromServer {
			return "", "the server broke the protocol, and was told so: alert " + text.name, askOperator
		}
		if text.remedy == "" {
			text.remedy = x.identityRemedy(code)
		}
		return text.name, "the server refused our handshake: alert " + text.name + ": " + text.fault, text.remedy
	}
	fault, remedy = x.transport(err)
	return "", fault, remedy
}

// identityRemedy is what to do about our certificate.
func (x explainer) identityRemedy(code uint8) string {
	switch {
	case code == 40 && x.files.Cert == "": // how servers ask for a certificate before TLS 1.3
		return "name a client certificate (Files.Cert, Files.Key) if it wants one, or " + askOperator
	case code == 40:
		return askOperator
	case x.files.Cert == "":
		return "name a client certificate (Files.Cert, Files.Key)"
	case code == 116:
		return "the one in " + strconv.Quote(x.files.Cert) + " has a key of a kind that the server does not take"
	}
	return "the one in " + strconv.Quote(x.files.Cert) + " was sent; name another, or " + askOperator
}

// oldVersion is how crypto/tls says that the server chose a version that we do not
// allow, in hexadecimal.
const oldVersion = "tls: server selected unsupported protocol version "

func (x explainer) transport(err error) (fault, remedy string) {
	var (
		notTLS *NotTLSError
		header tls.RecordHeaderError // from crypto/tls without an Engine
	)
	text := err.Error()
	switch {
	case errors.As(err, &notTLS) && notTLS.First:
		return "what the server sent is not TLS: it began with " + quote(string(notTLS.Input)), x.plainRemedy()
	case errors.As(err, &notTLS):
		return "what the server sent is no longer TLS: it went on with " + quote(string(notTLS.Input)), askOperator
	case errors.As(err, &header):
		return "what the server sent is not TLS: it began with " + quote(string(header.RecordHeader[:])), x.plainRemedy()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the server closed the connection in the middle of the handshake", askOperator
	case strings.HasPrefix(text, oldVersion+"30"):
		return "the server offers TLS 1.0 or 1.1 at most; 1.2 is required", "it needs an update"
	case text == "tls: server selected unadvertised ALPN protocol", text == "tls: server advertised unrequested ALPN extension":
		return "the server chose a protocol that we did not offer by ALPN", "its port may be another service's"
	}
	return printable(trimPrefix(text)), ""
}

func (x explainer) plainRemedy() string {
	if x.peer.Implicit {
		return "its port may want STARTTLS (143) instead of TLS from the first byte (993)"
	}
	return "it took STARTTLS and went on in the clear, which is its fault, or that of somebody on the path"
}
