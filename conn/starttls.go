package conn

import (
	"fmt"
	"strconv"

	"github.com/imclient/imclient/tlsup"
	"github.com/imclient/imclient/wire"
)

// StartTLS issues STARTTLS and negotiates TLS (imclient_starttls), and blocks until
// the connection is secure or has failed to be. It is for bare connections: in a
// loop it is [ErrInLoop], in a callback [ErrReentrant]. See [Client.StartTLSAsync].
func (c *Client) StartTLS(certFile, keyFile, caFile, caPath string) error {
	return c.untilDone(func(done func(error)) error {
		return c.StartTLSAsync(certFile, keyFile, caFile, caPath, done)
	})
}

// StartTLSAsync is StartTLS without waiting: done is called once, from a later call
// that drives the connection, unless an error is returned at once. Legal in a callback.
//
// certFile and keyFile are the client's certificate and its key, PEM; both "" if the
// server wants none; keyFile "" if the key is in certFile. caFile is a file, caPath a
// directory of certificates of those who may vouch for the server. If all four are "",
// the Dialer's TLS has the say; if it names nobody either, those whom the system
// trusts. A server whose certificate they do not vouch for, or that has none for
// [Client.ServerName], is refused; the manual page's connection that "may succeed but
// a warning will be printed" is [tlsup.Policy]'s Unverified.
//
// STARTTLS waits until all pending commands have completed, an IDLE too, which needs its
// DONE for that, and later ones wait until TLS has been negotiated. When it has,
// nothing of what the server said before holds any more: Has and Capabilities know
// nothing.
//
// Errors: *[tlsup.FileError] about the files; [ErrNoSTARTTLS]; [ErrTLSRequired];
// [ErrMisuse] when TLS is on already or on its way; done gets these and a [*ReplyError]
// when the server refused, after which the connection goes on in the clear unless
// Dialer.RequireTLS is set; [ErrInjected], *[tlsup.CertificateError],
// *[tlsup.HandshakeError], [*TimeoutError] and what else can end a connection, which
// has then ended.
func (c *Client) StartTLSAsync(certFile, keyFile, caFile, caPath string, done func(error)) error {
	if err := c.refusal(); err != nil {
		return err
	}
	if c.transport.tls() != nil || c.starting {
		return fmt.Errorf("%w: TLS is on already, or on its way", ErrMisuse)
	}
	if c.lacksSTARTTLS() {
		err := c.noSTARTTLS()
		if c.d.RequireTLS {
			c.end(err)
		}
		return err
	}
	terms, err := c.d.terms(tlsup.Peer{Host: c.ServerName(), Port: c.peerPort(), Files: tlsup.Files{
		Cert: certFile, Key: keyFile, CA: caFile, CAPath: caPath,
	}})
	if err != nil {
		return err
	}
	if done == nil {
		done = func(error) {}
	}
	err = c.send(command{finish: answered, rock: &startingTLS{terms, done}}, "STARTTLS", nil)
	c.starting = err == nil
	return err
}

// startingTLS is a STARTTLS that the server has not answered.
type startingTLS struct {
	terms *terms
	done  func(error)
}

// switches reports whether a command changes how bytes go over the connection.
func (cmd *command) switches() bool {
	_, ok := cmd.rock.(*startingTLS)
	return ok
}

// answered is the end of a STARTTLS command. Only OK leads to a handshake.
func answered(c *Client, rock any, r *Reply) {
	s := rock.(*startingTLS)
	c.starting = false
	err := r.AsError()
	switch {
	case r.Err != nil: // the connection has ended
	case err != nil && c.d.RequireTLS:
		err = fmt.Errorf("%w: %w", ErrTLSRequired, err)
		c.fail(err)
	case err == nil && wire.StatusOf([]byte(r.Keyword)) != wire.OK:
		c.fail(syntax("no answer to STARTTLS", append([]byte(r.Keyword+" "), r.Text...)))
		return // it is still pending
	case err == nil:
		c.secure(s.terms, s.done)
		return
	}
	s.done(err)
}

// lacksSTARTTLS reports whether the server has said what it can do, and STARTTLS is not
// in it.
func (c *Client) lacksSTARTTLS() bool { return c.capable.text() != "" && !c.Has("STARTTLS") }

// noSTARTTLS is the error for that.
func (c *Client) noSTARTTLS() error {
	if c.d.RequireTLS {
		return fmt.Errorf("%w: %w", ErrTLSRequired, ErrNoSTARTTLS)
	}
	return ErrNoSTARTTLS
}

// withdraw takes a STARTTLS back that was queued before the server's list of
// capabilities came, which has none: somebody may have taken it out.
func (c *Client) withdraw(number uint64) {
	c.starting = false
	cmd := c.pending.take(number)
	c.out.withdraw(number, cmd.end)
	err := c.noSTARTTLS()
	if c.d.RequireTLS {
		c.fail(err)
	}
	cmd.rock.(*startingTLS).done(err)
	c.lift()
}

// lift lets a command that waited to be the only one go out, if it is.
func (c *Client) lift() {
	if len(c.out.marks) == 0 || c.state != ready {
		return
	}
	if c.starting && c.lacksSTARTTLS() {
		if oldest := c.pending.oldest(); oldest.verb == startTLS && c.out.position() <= oldest.begin() {
			c.withdraw(c.pending.first)
			return
		}
	}
	c.out.lift(c.pending.first)
	if a := c.login; a != nil && a.stage == unbegun && a.number == c.pending.first {
		a.begin()
	}
}

// mayConverse reports whether commands may be queued: where TLS is required, not
// before it is on its way.
func (c *Client) mayConverse() bool {
	return !c.d.RequireTLS || c.transport.tls() != nil || c.starting
}

// muted reports whether nothing that the server says may reach a callback: TLS is
// required, and there is none yet.
func (c *Client) muted() bool { return c.d.RequireTLS && !c.secured() }

// unsecured says of an error about what the server said that it was said in the clear,
// where TLS is required: whose words they were nobody knows.
func (c *Client) unsecured(err error) error {
	switch err.(type) {
	case *wire.SyntaxError, *wire.LimitError:
		if c.muted() {
			return fmt.Errorf("%w: %w", ErrTLSRequired, err)
		}
	}
	return err
}

// strict reports whether a line that is no reply of ours ends the connection at once:
// where somebody on the way could have put it in to good effect.
func (c *Client) strict() bool {
	if c.muted() {
		return true
	}
	if a := c.login; a != nil && a.stage != unbegun {
		return true
	}
	oldest := c.pending.oldest()
	return oldest != nil && (oldest.verb == startTLS || oldest.verb == authenticate) && c.out.position() > oldest.begin()
}

// checkGreeting looks whether TLS can still come after a greeting. PREAUTH rules out
// STARTTLS (RFC 9051 section 6.2.1).
func (c *Client) checkGreeting(h *wire.Head, line []byte) {
	if h.Kind == wire.Untagged {
		switch wire.StatusOf(h.Keyword) {
		case wire.OK, wire.NotStatus: // ACAP's greeting is "* ACAP"
			return
		}
	}
	c.fail(fmt.Errorf("%w, and the server greets, in the clear, with %s", ErrTLSRequired, strconv.QuoteToASCII(string(line[:min(len(line), 200)]))))
}
