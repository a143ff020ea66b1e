package gss

import (
	"errors"
	"fmt"
	"math"
)

// Wrapper makes wrap tokens of messages, and messages of the peer's wrap tokens: those
// of RFC 4121 section 4.2, or with a key of rc4-hmac those of RFC 4757 section 7. It
// belongs to one context, and counts its tokens.
//
// An idle one takes 0.8 to 1.4 KiB for integrity, and with privacy 2 KiB, or 2.5 with
// SHA-384: of HMAC keys it keeps the one for what was done last, in either direction.
type Wrapper struct {
	opaque
	tokens
	ssf int
}

// tokens is what differs between the two kinds of tokens.
type tokens interface {
	seal(dst, p []byte, private bool) ([]byte, error)
	open(token []byte) (data []byte, private bool, err error)
	overhead(private bool) int
	shortest() int
}

// WrapperOptions are what a context's establishment has found, besides the key.
type WrapperOptions struct {
	Acceptor         bool   // which end we are
	AcceptorSubkey   bool   // the key is a subkey that the acceptor has sent
	SendSeq, RecvSeq uint64 // numbers of the first token in each direction
}

// NewWrapper makes one end's wrapper. The error is an [*UnsupportedError] for an
// encryption type that is not implemented. The key may be wiped then.
func NewWrapper(key Key, o WrapperOptions) (*Wrapper, error) {
	w := &Wrapper{ssf: 8 * len(key.Value)}
	want := rc4KeyLen
	p := profiles[key.EType]
	switch {
	case p != nil:
		want = p.keyLen
	case key.EType != rc4HMAC:
		return nil, &UnsupportedError{EType: key.EType}
	}
	if len(key.Value) != want {
		return nil, fmt.Errorf("gss: a key of %d bytes for %s, which takes %d", len(key.Value), EncTypeName(key.EType), want)
	}
	if p != nil {
		w.tokens = newCFX(p, key.Value, o)
	} else {
		w.tokens = newRC4Tokens(key.Value, o)
	}
	return w, nil
}

// Seal appends the token of p to dst, which must not overlap p. It allocates only
// where dst has no room. private asks for confidentiality. An error, with which
// dst is unchanged, is final: the sequence numbers are used up.
func (w *Wrapper) Seal(dst, p []byte, private bool) ([]byte, error) { return w.seal(dst, p, private) }

// Open returns the data of a token, in the token's memory, which it writes to, and
// whether it was confidential. What fails a check gives no data but an error, which
// is a [*TokenError] and final; the sequence number is checked to be the next one.
func (w *Wrapper) Open(token []byte) (data []byte, private bool, err error) { return w.open(token) }

// Overhead is by how many bytes a token can be longer than its data.
func (w *Wrapper) Overhead(private bool) int { return w.overhead(private) }

// Shortest is the length of the shortest token there can be, of either kind.
func (w *Wrapper) Shortest() int { return w.shortest() }

// SSF is the strength of a private token: bits of the key.
func (w *Wrapper) SSF() int { return w.ssf }

// counter is the sequence numbers of one direction: each is used once.
type counter struct {
	next, last uint64
	mask       uint64 // of the bits that are sent
	spent      bool   // last was used
}

// count64 ends with the greatest number, for RFC 4121 does not say that zero follows.
func count64(first uint64) counter {
	return counter{next: first, last: math.MaxUint64, mask: math.MaxUint64}
}

// count32 goes on from the greatest number to zero, and ends where it began: what
// RFC 4757 encrypts with depends on nothing but the key and the number.
func count32(first uint64) counter {
	const mask = math.MaxUint32
	return counter{next: first & mask, last: (first - 1) & mask, mask: mask}
}

func (c *counter) step() {
	c.spent = c.next == c.last
	c.next = (c.next + 1) & c.mask
}

// take accepts a peer's sequence number that was verified with its token.
func (c *counter) take(seq uint64) error {
	switch {
	case c.spent:
		return &TokenError{What: "a token came behind the last sequence number there is"}
	case seq != c.next:
		return &TokenError{What: fmt.Sprintf("token %d came where token %d was due", seq, c.next)}
	}
	c.step()
	return nil
}

var errExhausted = errors.New("gss: the sequence numbers of the context are used up")
