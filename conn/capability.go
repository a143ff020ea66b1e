package conn

import (
	"bytes"
	"strings"
	"unique"

	"github.com/imclient/imclient/wire"
)

// capabilities is what the server last said it can do. The list is kept once for
// all connections that were told the same.
type capabilities struct {
	list  unique.Handle[string] // zero: nothing is known
	plus  bool                  // LITERAL+ is in it
	minus bool                  // LITERAL- is in it
	fresh bool                  // heard while a login was being answered
}

func (k *capabilities) text() string {
	if k.list == (unique.Handle[string]{}) {
		return ""
	}
	return k.list.Value()
}

func (k *capabilities) has(name string) bool {
	for rest := k.text(); rest != ""; {
		var word string
		word, rest, _ = strings.Cut(rest, " ")
		if equalFold(word, name) {
			return true
		}
	}
	return false
}

// equalFold is strings.EqualFold for the letters of ASCII.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if a[i] != b[i] && (a[i]|0x20 != b[i]|0x20 || a[i]|0x20 < 'a' || a[i]|0x20 > 'z') {
			return false
		}
	}
	return true
}

// maxList is the longest list that is kept, in bytes: idle connections keep it.
const maxList = 8192

// learn takes over a new list, whatever was known before. One that is too long, or
// has a literal in it, leaves nothing known.
func (k *capabilities) learn(list []byte, fresh bool) {
	if len(list) > maxList || bytes.IndexByte(list, '\n') >= 0 {
		*k = capabilities{fresh: fresh}
		return
	}
	k.list = unique.Make(string(list))
	k.plus, k.minus, k.fresh = k.has("LITERAL+"), k.has("LITERAL-"), fresh
}

// Has reports whether the server's last list of capabilities has name in it:
// "IDLE", "LITERAL+", "AUTH=PLAIN". Case does not count. The list is kept current
// from the greeting, CAPABILITY replies and the codes of OK replies. It is
// forgotten by a login that was not followed by a new one (RFC 9051 section
// 6.2), or by one of more than 8,192 bytes or with a literal: nothing is known then,
// and a CAPABILITY command asks. It allocates nothing. Legal in a callback, which finds
// a list that its own reply brought.
func (c *Client) Has(name string) bool { return name != "" && c.capable.has(name) }

// Capabilities returns the list that Has looks at, words with a space between,
// as received; "" when nothing is known. Legal in a callback.
func (c *Client) Capabilities() string { return c.capable.text() }

// hear looks for a list of capabilities in an untagged reply.
func (c *Client) hear(h *wire.Head, text []byte) {
	if h.Number >= 0 {
		return
	}
	if wire.EqualFold(h.Keyword, "CAPABILITY") {
		c.capable.learn(text, c.loggingIn())
		return
	}
	switch wire.StatusOf(h.Keyword) {
	case wire.OK, wire.PREAUTH:
		c.hearCode(text, c.loggingIn())
	}
}

// hearCode looks for a list in the code of a status reply. fresh: it holds for the
// time after a login.
func (c *Client) hearCode(text []byte, fresh bool) {
	const code = "[CAPABILITY "
	if len(text) <= len(code) || text[0] != '[' || !wire.EqualFold(text[:len(code)], code) {
		return
	}
	for i := len(code); i < len(text); i++ {
		if text[i] == ']' {
			c.capable.learn(text[len(code):i], fresh)
			return
		}
	}
}

// loggingIn reports whether the server is answering a login, so that what it says
// holds for the time after it.
func (c *Client) loggingIn() bool {
	oldest := c.pending.oldest()
	return c.state == ready && oldest != nil && oldest.verb.logsIn() && c.out.position() >= oldest.end
}

// loggedIn forgets what a server said to a stranger, once that has logged in.
func (c *Client) loggedIn(ok bool) {
	if ok && !c.capable.fresh {
		c.capable = capabilities{}
	}
	c.capable.fresh = false
}

// literals says how literals are announced: as the caller has said, else as the
// server has, unless the caller forbade that.
func (c *Client) literals() wire.Literals {
	switch {
	case c.flags&NonSyncLiteral != 0:
		return wire.NonSynchronizing
	case c.syncOnly || c.d.SyncLiterals || c.starting:
		return wire.Synchronizing // what the server will say through TLS is not known
	case c.capable.plus:
		return wire.NonSynchronizing
	case c.capable.minus:
		return wire.NonSynchronizingSmall
	}
	return wire.Synchronizing
}
