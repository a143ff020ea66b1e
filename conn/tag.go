package conn

import (
	"bytes"
	"crypto/rand"
	"fmt"
)

// maxPrefix keeps tags short: some proxies break on long ones.
const maxPrefix = 15

// prefix is what a connection's tags begin with.
type prefix struct {
	b [maxPrefix]byte
	n uint8
}

func (p *prefix) bytes() []byte { return p.b[:p.n] }

// tagPrefix returns the prefix of a new connection's tags.
func (d *Dialer) tagPrefix() (p prefix, err error) {
	s := d.TagPrefix
	if s == "" {
		return randomPrefix(), nil
	}
	ok := len(s) <= maxPrefix && isLetter(s[len(s)-1])
	for i := range len(s) {
		ok = ok && (isLetter(s[i]) || '0' <= s[i] && s[i] <= '9')
	}
	if !ok {
		return p, fmt.Errorf("%w: TagPrefix %q is not up to %d letters and digits that end in a letter", ErrMisuse, s, maxPrefix)
	}
	p.n = uint8(copy(p.b[:], s))
	return p, nil
}

func isLetter(b byte) bool { return 'a' <= b|0x20 && b|0x20 <= 'z' }

// randomPrefix is hard to guess, so that nobody can answer a command who has not
// seen it.
func randomPrefix() prefix {
	var b [2]byte
	_, _ = rand.Read(b[:]) // it never fails
	const letters = "abcdefghijklmnopqrstuvwxyz"
	return prefix{b: [maxPrefix]byte{letters[int(b[0])%len(letters)], letters[int(b[1])%len(letters)]}, n: 2}
}

// parseTag returns the number in one of our tags.
func (c *Client) parseTag(tag []byte) (uint64, bool) {
	digits, ok := bytes.CutPrefix(tag, c.prefix.bytes())
	if !ok || len(digits) == 0 || len(digits) > 18 || digits[0] == '0' {
		return 0, false
	}
	var n uint64
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = 10*n + uint64(d-'0')
	}
	return n, true
}
