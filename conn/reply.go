package conn

import (
	"bytes"

	"github.com/imclient/imclient/wire"
)

// Reply is what a [Proc] gets: an untagged reply, the tagged reply that
// completes its command (or an intermediate one, ACAP and IMSP), a "+", or the
// end of the connection. It and its Text are valid until the callback returns;
// Clone keeps them. In race builds both are overwritten then.
type Reply struct {
	// Keyword is the word as received, "FETCH", "OK"; "+" for a continuation
	// and "EOF" when the connection has ended. It may be kept.
	Keyword string
	// MsgNo is the number before the keyword, 0 to 4,294,967,295; -1: none.
	MsgNo int64
	// Text is what follows the keyword, literals in place with their headers
	// and line ends. It aliases the receive buffer and is the callback's to
	// overwrite.
	Text []byte
	// Err, with the keyword "EOF", says why the connection ended; see
	// [SafeToRetry].
	Err error
}

// Clone returns a copy that the callback's end does not touch.
func (r *Reply) Clone() *Reply {
	c := *r
	c.Text = bytes.Clone(r.Text)
	return &c
}

// AsError returns what a completion means: nil for OK, a [*ReplyError] for NO
// and BAD, Err for "EOF". Other replies are no completion and give nil.
func (r *Reply) AsError() error {
	if r.Err != nil {
		return r.Err
	}
	switch wire.StatusOf([]byte(r.Keyword)) {
	case wire.NO, wire.BAD:
		return &ReplyError{Keyword: r.Keyword, Text: string(r.Text[:min(len(r.Text), 200)])}
	}
	return nil
}

// intern returns b as a string without an allocation for the words that
// servers say all day.
func intern(b []byte) string {
	switch string(b) {
	case "OK":
		return "OK"
	case "NO":
		return "NO"
	case "BAD":
		return "BAD"
	case "BYE":
		return "BYE"
	case "PREAUTH":
		return "PREAUTH"
	case "FETCH":
		return "FETCH"
	case "EXISTS":
		return "EXISTS"
	case "RECENT":
		return "RECENT"
	case "EXPUNGE":
		return "EXPUNGE"
	case "VANISHED":
		return "VANISHED"
	case "FLAGS":
		return "FLAGS"
	case "LIST":
		return "LIST"
	case "STATUS":
		return "STATUS"
	case "SEARCH":
		return "SEARCH"
	case "ESEARCH":
		return "ESEARCH"
	case "CAPABILITY":
		return "CAPABILITY"
	}
	return string(b)
}
