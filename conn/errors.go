package conn

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/imclient/imclient/sasl"
)

// Errors of the caller's making, and of names. The others that this package
// returns are *wire.FormatError (the caller's command; it is ErrMisuse, too),
// *wire.SyntaxError and *wire.LimitError (the server broke the protocol or a
// limit), [*ReplyError] (it said NO or BAD), [*TimeoutError] (it kept silent),
// [*os.SyscallError] (the system), io.EOF and io.ErrUnexpectedEOF (the server hung
// up, between replies or within one), and of ConnectAsync the cause of its
// context's end and [reactor.ErrClosed]. Nearly all are wrapped: use errors.Is and
// errors.As.
var (
	// ErrHostNotFound is the manual page's -1: the host has no address.
	ErrHostNotFound = errors.New("conn: host not found")
	// ErrServiceNotFound is the manual page's -2: the port is neither a number
	// nor a known service.
	ErrServiceNotFound = errors.New("conn: service not found")
	// ErrClosed means that Close was called.
	ErrClosed = errors.New("conn: connection closed by this side")
	// ErrMisuse is the family of calls that cannot be right: errors.Is(err,
	// ErrMisuse) holds for each of them.
	ErrMisuse = errors.New("conn: misuse")
	// ErrReentrant means that a call which waits was made on a connection from
	// one of its own callbacks.
	ErrReentrant = fmt.Errorf("%w: a callback drives its own connection", ErrMisuse)
	// ErrInLoop means that a call which waits was made on a connection that a
	// reactor.Loop drives.
	ErrInLoop = fmt.Errorf("%w: the connection is driven by a loop", ErrMisuse)
	// ErrCleartext means that a secret, of a %p or of a login, would have crossed a
	// network in the clear. Nothing was sent. See Dialer.AllowCleartextAuth.
	ErrCleartext = sasl.ErrCleartext
	// ErrBackpressure means that more is queued than Dialer.MaxQueued: the server
	// is slower than the caller. Nothing of the command was queued.
	ErrBackpressure = errors.New("conn: too much output is queued")
	// ErrPanicked is why a connection ended whose callback panicked: what was being
	// dispatched cannot be resumed. The panic itself goes on to whoever drove the
	// connection. Whoever recovers it finds the last callbacks ("EOF", OnClose)
	// still due: the next call of ProcessOneEvent or TryProcessOneEvent runs them,
	// a loop's next turn, or Close. A panic in one of those keeps none of the
	// others from being called.
	ErrPanicked = errors.New("conn: a callback panicked")
)

// formatMisuse is a *wire.FormatError as one of the family.
type formatMisuse struct{ error }

func (e formatMisuse) Unwrap() error        { return e.error }
func (e formatMisuse) Is(target error) bool { return target == ErrMisuse }

// How the other side can end a connection.
var (
	errHungUp = fmt.Errorf("conn: the server closed the connection: %w", io.EOF)
	errCutOff = fmt.Errorf("conn: the server closed the connection within a reply: %w", io.ErrUnexpectedEOF)
)

// hungUp reports whether an end is the stream's. An announced one counts, too: it may
// have come before the reason why nothing can be written.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// lost says what a failed system call means for a connection. Other errors say so
// themselves.
func lost(err error) error {
	if _, ok := err.(*os.SyscallError); ok {
		return fmt.Errorf("conn: connection lost: %w", err)
	}
	return err
}

// ReplyError is a tagged NO or BAD: the server understood and refused, or did
// not understand.
type ReplyError struct {
	Keyword string // "NO" or "BAD", as received
	Text    string // what the server said, at most 200 bytes of it
}

func (e *ReplyError) Error() string {
	return "conn: server answered " + e.Keyword + ": " + strconv.QuoteToASCII(e.Text)
}

// TimeoutError says which wait was too long. It is a net.Error.
type TimeoutError struct {
	Wait string        // "resolve", "connect", "TLS handshake", "greeting", "authentication", "reply", "command" or "logout"
	Was  time.Duration // the limit, see [Timeouts]
}

func (e *TimeoutError) Error() string {
	return "conn: timed out after " + e.Was.String() + ", waiting for: " + e.Wait
}

// Timeout reports true (net.Error).
func (e *TimeoutError) Timeout() bool { return true }

// Temporary reports false (net.Error): the connection has ended.
func (e *TimeoutError) Temporary() bool { return false }

// endError is what the "EOF" completion of a command carries: why the
// connection ended, and whether the command may have reached the server.
type endError struct {
	cause     error
	unwritten bool
}

func (e *endError) Error() string {
	if e.unwritten {
		return e.cause.Error() + " (command not sent)"
	}
	return e.cause.Error()
}

func (e *endError) Unwrap() error { return e.cause }

// SafeToRetry reports whether err, from a Reply with the keyword "EOF", says
// that no byte of its command was written, so that sending it again on another
// connection cannot do its work twice.
func SafeToRetry(err error) bool {
	var e *endError
	return errors.As(err, &e) && e.unwritten
}
