package conn

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"

	"github.com/imclient/imclient/tlsup"
)

// HaveTLS reports whether the library has TLS (imclient_havetls). It always has.
func HaveTLS() bool { return true }

// TLS tells what is known of the connection's TLS: version, cipher, the server's
// certificates, resumption, and channel bindings. nil: there is no TLS, or not yet.
// Legal in a callback.
func (c *Client) TLS() *tlsup.State {
	if !c.secured() {
		return nil
	}
	state := c.transport.tls().engine.State()
	return &state
}

// secured reports whether bytes go through TLS.
func (c *Client) secured() bool {
	t := c.transport.tls()
	return t != nil && t.up
}

// Errors of TLS that are this package's. The others are those of package tlsup.
var (
	// ErrTLSRequired means that Dialer.RequireTLS is set and there is no TLS: Send
	// was called before StartTLS, which sends nothing, or the server refused
	// STARTTLS or greeted with something that rules it out, which ends the
	// connection.
	ErrTLSRequired = errors.New("conn: TLS is required")
	// ErrNoSTARTTLS means that the server's list of capabilities has no STARTTLS in
	// it. Somebody on the way may have taken it out.
	ErrNoSTARTTLS = errors.New("conn: the server does not offer STARTTLS")
	// ErrInjected means that there were bytes between the server's OK to STARTTLS and
	// TLS: somebody on the way tried to have them taken for the server's own.
	ErrInjected = errors.New("conn: plain text behind the server's OK to STARTTLS")
)

// How a stream through TLS ends that close_notify did not end.
var (
	errTruncated       = fmt.Errorf("conn: the TLS stream was cut off within a reply, by the network or by somebody on the way: %w", io.ErrUnexpectedEOF)
	errTruncatedRecord = fmt.Errorf("conn: the TLS stream was cut off within a record, by the network or by somebody on the way: %w", io.ErrUnexpectedEOF)
	errUnannounced     = fmt.Errorf("conn: the server closed the connection without TLS's close_notify: %w", io.EOF)
)

// cutOff tells what an end of the stream means that TLS has not announced.
func (c *Client) cutOff() error {
	switch {
	case c.in != nil:
		return errTruncated
	case c.transport.tls().engine.Partial():
		return errTruncatedRecord
	}
	return errUnannounced
}

// tlsPolicy is the Dialer's, or else the one that all share.
func (d *Dialer) tlsPolicy() *tlsup.Policy {
	if d.TLS != nil {
		return d.TLS
	}
	return tlsup.Default
}

func (c *Client) warn(text string) {
	if c.d.Warn != nil {
		c.d.Warn(c, text)
	}
}

// describe names what was negotiated.
func describe(s *tlsup.State) string {
	text := tls.VersionName(s.Version) + ", " + tls.CipherSuiteName(s.CipherSuite)
	if s.DidResume {
		text += ", resumed"
	}
	return text
}
