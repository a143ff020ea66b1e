package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/tlsup"
	"github.com/imclient/imclient/wire"
)

// fail counts an error of this session under its verb and class.
func (s *session) fail(v verb, err error) {
	if s.fleet.aborting {
		s.failAs(v, "no answer", "the run is over, and we cannot wait for ever")
		return
	}
	text := withoutPackage(err)
	if v == verbLogin {
		text = s.whyNoLogin(err)
	}
	s.count(v, classOf(err), text)
}

// withoutPackage is an error's text without the name of the package that it is from.
func withoutPackage(err error) string {
	return strings.TrimPrefix(strings.TrimPrefix(err.Error(), "conn: "), "tlsup: ")
}

// failAs counts what is wrong though no error says so.
func (s *session) failAs(v verb, class, detail string) {
	s.count(v, class, class+": "+detail)
}

// count counts an error and shows the first of its kind.
func (s *session) count(v verb, class, text string) {
	if !s.fleet.meter.fail(v.String() + ": " + class) {
		return
	}
	if s.bye != "" {
		text += fmt.Sprintf(" (the server's last words: %q)", s.bye)
	}
	who := ""
	if s.account.user != "" {
		who = " (" + s.account.user + ")"
	}
	s.fleet.console.printf("imload: connection %d%s: %s: %s", s.id, who, v, text)
}

// classOf sorts errors into few kinds: what varies from one to the next, like
// the server's words, is not in it.
func classOf(err error) string {
	var (
		refused *conn.ReplyError
		silent  *conn.TimeoutError
		number  syscall.Errno
		syntax  *wire.SyntaxError
		limit   *wire.LimitError
		format  *wire.FormatError
	)
	switch {
	case classOfTLS(err) != "":
		return classOfTLS(err)
	case classOfLogin(err) != "":
		return classOfLogin(err)
	case errors.As(err, &refused):
		return refused.Keyword
	case errors.As(err, &silent):
		return "timeout (" + silent.Wait + ")"
	case errors.As(err, &number):
		return number.Error()
	case errors.As(err, &syntax), errors.As(err, &limit):
		return "protocol error"
	case errors.As(err, &format):
		return "not sendable"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "server hung up"
	case errors.Is(err, conn.ErrHostNotFound):
		return "host not found"
	case errors.Is(err, conn.ErrServiceNotFound):
		return "service not found"
	case errors.Is(err, conn.ErrCleartext):
		return "password refused in the clear"
	}
	return "error"
}

// classOfTLS is classOf for what goes wrong before there is TLS; "" for the rest.
func classOfTLS(err error) string {
	var (
		refused   *conn.ReplyError
		unknown   x509.UnknownAuthorityError
		invalid   x509.CertificateInvalidError
		misnamed  x509.HostnameError
		cert      *tlsup.CertificateError
		notTLS    *tlsup.NotTLSError
		handshake *tlsup.HandshakeError
	)
	switch {
	case errors.Is(err, conn.ErrNoSTARTTLS):
		return "STARTTLS not offered"
	case errors.Is(err, conn.ErrTLSRequired) && errors.As(err, &refused):
		return "STARTTLS refused"
	case errors.Is(err, conn.ErrTLSRequired):
		return "no STARTTLS"
	case errors.Is(err, conn.ErrInjected):
		return "plain text before TLS"
	case errors.As(err, &unknown):
		return "certificate of an unknown issuer"
	case errors.As(err, &misnamed):
		return "certificate for another host"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "certificate out of date"
	case errors.As(err, &cert):
		return "certificate refused"
	case errors.As(err, &notTLS):
		return "no TLS on that port"
	case errors.As(err, &handshake) && handshake.Alert != "":
		return "TLS alert " + handshake.Alert
	case errors.As(err, &handshake):
		return "TLS handshake failed"
	}
	return ""
}
