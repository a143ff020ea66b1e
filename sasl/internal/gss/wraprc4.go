package gss

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
)

const rc4KeyLen = 16

// A token of RFC 4757 section 7.3, behind the framing of RFC 1964 section 1.1, is
// token ID, algorithms and filler, then the encrypted sequence number, the checksum,
// a confounder, and the data with their padding.
const (
	rc4HeadLen       = 8
	rc4SeqLen        = 8
	rc4SumLen        = 8
	rc4ConfounderLen = 8
	rc4Padding       = 1 // "padded" to whole bytes: one byte, which is 1
	rc4MaxPadding    = 8 // RFC 1964 section 1.2.2.3

	rc4TextAt = rc4HeadLen + rc4SeqLen + rc4SumLen // where the confounder begins
	rc4Least  = rc4TextAt + rc4ConfounderLen + rc4Padding
)

// rc4Heads are token ID (02 01), SGN_ALG (HMAC), SEAL_ALG (none, or RC4), filler.
var (
	rc4Signed = []byte{2, 1, 0x11, 0, 0xff, 0xff, 0xff, 0xff}
	rc4Sealed = []byte{2, 1, 0x11, 0, 0x10, 0, 0xff, 0xff}
)

// mechanism is the OID of Kerberos V5 in DER: 1.2.840.113554.1.2.2.
var mechanism = []byte{6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2}

// rc4Tokens makes and opens tokens of RFC 4757 section 7.3.
type rc4Tokens struct {
	hash       digest // MD5
	signing    mac    // with Ksign
	sealing    mac    // with what Kcrypt is made from
	numbering  mac    // with what Kseq is made from
	send, recv rc4Flow
	number     [rc4SeqLen]byte
	sum        [md5.Size]byte
}

// rc4Flow is one direction. The keys are the same for both.
type rc4Flow struct {
	counter
	sender byte // what stands four times behind a sequence number
}

func newRC4Tokens(key []byte, o WrapperOptions) *rc4Tokens {
	r := &rc4Tokens{
		hash: md5.New().(digest),
		send: rc4Flow{count32(o.SendSeq), 0},
		recv: rc4Flow{count32(o.RecvSeq), 0xff},
	}
	if o.Acceptor {
		r.send.sender, r.recv.sender = r.recv.sender, r.send.sender
	}
	local := slices.Clone(key)
	for i := range local {
		local[i] ^= 0xf0
	}
	for _, k := range []struct {
		mac  *mac
		from []byte
		salt string
	}{{&r.signing, key, "signaturekey\x00"}, {&r.sealing, local, "\x00\x00\x00\x00"}, {&r.numbering, key, "\x00\x00\x00\x00"}} {
		m := hmac.New(md5.New, k.from)
		m.Write([]byte(k.salt))
		*k.mac = newMAC(r.hash, m.Sum(nil))
	}
	return r
}

// shortest is without data, which takes one byte to say how long the rest is.
func (r *rc4Tokens) shortest() int { return 1 + 1 + len(mechanism) + rc4Least }

// overhead is with any length that four bytes can say, which a fifth announces.
func (r *rc4Tokens) overhead(bool) int { return 1 + 5 + len(mechanism) + rc4Least }

func (r *rc4Tokens) seal(dst, p []byte, private bool) ([]byte, error) {
	f := &r.send
	if f.spent {
		return dst, errExhausted
	}
	head := rc4Signed
	if private {
		head = rc4Sealed
	}
	dst = slices.Grow(dst, len(p)+r.overhead(private))
	dst = appendLength(append(dst, framed), len(mechanism)+rc4Least+len(p))
	dst = append(dst, mechanism...)
	at := len(dst)
	dst = append(dst, head...)
	dst = dst[:at+rc4TextAt+rc4ConfounderLen]
	rand.Read(dst[at+rc4TextAt:])
	dst = append(append(dst, p...), rc4Padding)
	r.protect(f, dst[at:], private)
	f.step()
	return dst, nil
}

// protect fills checksum and number of a token in, and encrypts it if it is private.
func (r *rc4Tokens) protect(f *rc4Flow, token []byte, private bool) {
	text := token[rc4TextAt:]
	sum := token[rc4HeadLen+rc4SeqLen : rc4TextAt]
	copy(sum, r.checksum(token[:rc4HeadLen], text))
	number := token[rc4HeadLen : rc4HeadLen+rc4SeqLen]
	binary.BigEndian.PutUint32(number, uint32(f.next))
	for i := range number[4:] {
		number[4+i] = f.sender
	}
	copy(r.number[:], number)
	if private {
		r.crypt(r.sealing, r.number[:4], text)
	}
	copy(r.number[:], sum)
	r.crypt(r.numbering, r.number[:], number)
}

// checksum is SGN_CKSUM: the HMAC of the MD5 of a key usage, the head and the text.
func (r *rc4Tokens) checksum(head, text []byte) []byte {
	r.hash.Reset()
	r.hash.Write(rc4UsageWrap)
	r.hash.Write(head)
	r.hash.Write(text)
	sum := r.hash.Sum(r.sum[:0])
	r.signing.begin(r.hash)
	r.hash.Write(sum)
	return r.signing.end(r.hash, r.sum[:])[:rc4SumLen]
}

// rc4UsageWrap is 13 in four bytes, the lowest one first: the usage of a wrap token's checksum.
var rc4UsageWrap = []byte{13, 0, 0, 0}

// crypt encrypts or decrypts with the key that m makes of salt.
func (r *rc4Tokens) crypt(m mac, salt, b []byte) {
	m.begin(r.hash)
	r.hash.Write(salt)
	var c arcfour
	c.setKey((*[rc4KeyLen]byte)(m.end(r.hash, r.sum[:])))
	c.crypt(b)
}

func (r *rc4Tokens) open(token []byte) (data []byte, private bool, err error) {
	b, err := unframe(token)
	if err != nil {
		return nil, false, err
	}
	if len(b) < rc4Least {
		return nil, false, &TokenError{What: fmt.Sprintf("a token of %d bytes, which cannot hold its checksum", len(token))}
	}
	switch head := b[:rc4HeadLen]; {
	case bytes.Equal(head, rc4Sealed):
		private = true
	case !bytes.Equal(head, rc4Signed):
		return nil, false, &TokenError{What: "a token that is no wrap token of rc4-hmac: ID, algorithms or filler are others"}
	}
	data, err = r.verify(&r.recv, b, private)
	if err != nil {
		return nil, false, err
	}
	return data, private, nil
}

func (r *rc4Tokens) verify(f *rc4Flow, b []byte, private bool) ([]byte, error) {
	number, sum, text := b[rc4HeadLen:rc4HeadLen+rc4SeqLen], b[rc4HeadLen+rc4SeqLen:rc4TextAt], b[rc4TextAt:]
	copy(r.number[:], sum)
	r.crypt(r.numbering, r.number[:], number)
	copy(r.number[:], number)
	if private {
		r.crypt(r.sealing, r.number[:4], text)
	}
	if !equal(sum, r.checksum(b[:rc4HeadLen], text)) {
		return nil, badChecksum()
	}
	for _, b := range number[4:] {
		if b != f.sender {
			return nil, &TokenError{What: "a token that was sent the other way"}
		}
	}
	data, err := unpad(text[rc4ConfounderLen:])
	if err != nil {
		return nil, err
	}
	return data, f.take(uint64(binary.BigEndian.Uint32(number)))
}

// unpad takes off what RFC 1964 section 1.2.2.3 has behind the data: up to eight bytes,
// each of which says how many.
func unpad(text []byte) ([]byte, error) {
	pad := int(text[len(text)-1])
	n := len(text) - pad
	if pad < 1 || pad > rc4MaxPadding || n < 0 {
		return nil, &TokenError{What: "a token whose padding is none"}
	}
	for _, b := range text[n:] {
		if int(b) != pad {
			return nil, &TokenError{What: "a token whose padding is none"}
		}
	}
	return text[:n:n], nil
}

// framed is the tag of a token of RFC 1964: [APPLICATION 0], constructed.
const framed = 0x60

// appendLength appends a length in DER.
func appendLength(dst []byte, n int) []byte {
	if n < 0x80 {
		return append(dst, byte(n))
	}
	size := (bits.Len(uint(n)) + 7) / 8
	dst = append(dst, 0x80|byte(size))
	for size--; size >= 0; size-- {
		dst = append(dst, byte(n>>(8*size)))
	}
	return dst
}

// unframe takes the framing of RFC 1964 section 1.1 off. There is one way to write it.
func unframe(token []byte) ([]byte, error) {
	if len(token) < 2 || token[0] != framed {
		return nil, errNoFraming()
	}
	b, size := token[1:], 1
	if b[0] > 0x80 {
		size += int(b[0] & 0x7f)
	}
	if len(b) < size {
		return nil, errNoFraming()
	}
	var room [9]byte
	rest := b[size:]
	if !bytes.Equal(b[:size], appendLength(room[:0], len(rest))) || !bytes.HasPrefix(rest, mechanism) {
		return nil, errNoFraming()
	}
	return rest[len(mechanism):], nil
}

func errNoFraming() error {
	return &TokenError{What: "a token without the framing of one of Kerberos V5"}
}

// arcfour is RC4 as crypto/rc4 has it, but its key can be changed: each token has two
// of them.
type arcfour struct {
	s    [256]uint32
	i, j uint8
}

var identity = func() (s [256]uint32) {
	for i := range s {
		s[i] = uint32(i)
	}
	return s
}()

func (c *arcfour) setKey(key *[rc4KeyLen]byte) {
	c.s = identity
	var j uint8
	for i := range c.s {
		j += uint8(c.s[i]) + key[i%len(key)]
		c.s[i], c.s[j] = c.s[j], c.s[i]
	}
}

func (c *arcfour) crypt(b []byte) {
	i, j := c.i, c.j
	for k, v := range b {
		i++
		x := c.s[i]
		j += uint8(x)
		y := c.s[j]
		c.s[i], c.s[j] = y, x
		b[k] = v ^ uint8(c.s[uint8(x+y)])
	}
	c.i, c.j = i, j
}
