package gss

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"slices"
)

// RFC 4121 section 2: key usages of wrap tokens, with and without confidentiality.
const (
	usageAcceptorSeal  uint32 = 22
	usageInitiatorSeal uint32 = 24
)

// RFC 4121 section 4.2.2: flags.
const (
	sentByAcceptor byte = 1 << iota
	sealed
	acceptorSubkey
)

// A token begins with a header (RFC 4121 section 4.2.6.2): token ID, flags, filler,
// extra count, right rotation count, sequence number.
const (
	headerLen = 16
	extraAt   = 4
	rotateAt  = 6
	seqAt     = 8

	wrapID = 0x0504
	filler = 0xff
)

const confounderLen = aes.BlockSize

// cfx makes and opens tokens of RFC 4121 section 4.2 ("crypto framework").
type cfx struct {
	profile    *profile
	key        []byte // the protocol key
	hash       digest // of both directions' HMACs
	send, recv flow
	sum        [sha512.Size384]byte
}

// zeroIV is what each message is encrypted with, and RFC 8009 has the HMAC begin with.
var zeroIV = make([]byte, aes.BlockSize)

// flow is one direction.
type flow struct {
	counter
	usage   uint32
	flags   byte // without sealed
	newMode func(cipher.Block, []byte) cipher.BlockMode
	purpose byte // of the key that mac has: integrityKey or checksumKey; 0: none yet
	mac     mac
	cts     *cts // nil: nothing was private yet
}

func newCFX(p *profile, key []byte, o WrapperOptions) *cfx {
	var subkey byte
	if o.AcceptorSubkey {
		subkey = acceptorSubkey
	}
	initiator := flow{usage: usageInitiatorSeal, flags: subkey}
	acceptor := flow{usage: usageAcceptorSeal, flags: subkey | sentByAcceptor}
	c := &cfx{profile: p, key: slices.Clone(key), hash: p.newHash().(digest), send: initiator, recv: acceptor}
	if o.Acceptor {
		c.send, c.recv = acceptor, initiator
	}
	c.send.counter, c.send.newMode = count64(o.SendSeq), cipher.NewCBCEncrypter
	c.recv.counter, c.recv.newMode = count64(o.RecvSeq), cipher.NewCBCDecrypter
	return c
}

func (c *cfx) shortest() int { return headerLen + c.profile.macLen }

func (c *cfx) overhead(private bool) int {
	if private {
		return headerLen + confounderLen + headerLen + c.profile.macLen
	}
	return headerLen + c.profile.macLen
}

// ready derives the keys that one direction needs for what comes next, unless it has
// them: a context changes its mind once, behind the negotiation of RFC 4752.
func (c *cfx) ready(f *flow, private bool) {
	purpose := checksumKey
	if private {
		purpose = integrityKey
	}
	if f.purpose != purpose {
		f.mac = newMAC(c.hash, c.profile.derive(c.key, f.usage, purpose))
		f.purpose = purpose
	}
	if private && f.cts == nil {
		f.cts = newCTS(c.profile.derive(c.key, f.usage, encryptionKey), f.newMode)
	}
}

func (c *cfx) seal(dst, p []byte, private bool) ([]byte, error) {
	f := &c.send
	if f.spent {
		return dst, errExhausted
	}
	c.ready(f, private)
	start := len(dst)
	dst = slices.Grow(dst, len(p)+c.overhead(private))
	dst = f.appendHeader(dst, private)
	header := dst[start:]
	if private {
		dst = c.appendSealed(dst, p, header)
	} else {
		dst = append(append(dst, p...), c.checksum(f, p, header)...)
		binary.BigEndian.PutUint16(header[extraAt:], uint16(c.profile.macLen))
	}
	f.step()
	return dst, nil
}

// appendHeader appends one whose counts are zero.
func (f *flow) appendHeader(dst []byte, private bool) []byte {
	flags := f.flags
	if private {
		flags |= sealed
	}
	dst = binary.BigEndian.AppendUint16(dst, wrapID)
	dst = append(dst, flags, filler, 0, 0, 0, 0)
	return binary.BigEndian.AppendUint64(dst, f.next)
}

// appendSealed appends what RFC 4121 section 4.2.4 has encrypted: the data and the
// header, here without filler between them. It is rotated by nothing.
func (c *cfx) appendSealed(dst, p, header []byte) []byte {
	at := len(dst)
	dst = dst[:at+confounderLen]
	rand.Read(dst[at:])
	dst = append(append(dst, p...), header...)
	return c.encrypt(&c.send, dst, at)
}

// encrypt encrypts what dst has from at on, and appends its HMAC.
func (c *cfx) encrypt(f *flow, dst []byte, at int) []byte {
	b := dst[at:]
	if c.profile.rfc8009 {
		f.cts.encrypt(b)
		return append(dst, c.sealedSum(f, b)...)
	}
	sum := c.sealedSum(f, b)
	f.cts.encrypt(b)
	return append(dst, sum...)
}

// decrypt decrypts b, and reports whether sum is its HMAC.
func (c *cfx) decrypt(f *flow, b, sum []byte) bool {
	if c.profile.rfc8009 {
		if !equal(sum, c.sealedSum(f, b)) {
			return false
		}
		f.cts.decrypt(b)
		return true
	}
	f.cts.decrypt(b)
	return equal(sum, c.sealedSum(f, b))
}

// sealedSum is the HMAC of a message: of its plaintext (RFC 3961 section 5.3), or by
// RFC 8009 section 5 of the IV and the ciphertext.
func (c *cfx) sealedSum(f *flow, b []byte) []byte {
	f.mac.begin(c.hash)
	if c.profile.rfc8009 {
		c.hash.Write(zeroIV)
	}
	c.hash.Write(b)
	return f.mac.end(c.hash, c.sum[:])[:c.profile.macLen]
}

// checksum is the HMAC of what is only signed: of the data and of a header whose counts
// are zero.
func (c *cfx) checksum(f *flow, data, header []byte) []byte {
	f.mac.begin(c.hash)
	c.hash.Write(data)
	c.hash.Write(header)
	return f.mac.end(c.hash, c.sum[:])[:c.profile.macLen]
}

func (c *cfx) open(token []byte) (data []byte, private bool, err error) {
	f := &c.recv
	if len(token) < c.shortest() {
		return nil, false, &TokenError{What: fmt.Sprintf("a token of %d bytes, which cannot hold its checksum", len(token))}
	}
	header, body := token[:headerLen:headerLen], token[headerLen:len(token):len(token)]
	if private, err = f.checkHeader(header); err != nil {
		return nil, false, err
	}
	extra := int(binary.BigEndian.Uint16(header[extraAt:]))
	unrotate(body, int(binary.BigEndian.Uint16(header[rotateAt:])))
	binary.BigEndian.PutUint16(header[rotateAt:], 0)
	c.ready(f, private)
	if private {
		data, err = c.openSealed(header, body, extra)
	} else {
		data, err = c.openSigned(header, body, extra)
	}
	if err == nil {
		err = f.take(binary.BigEndian.Uint64(header[seqAt:]))
	}
	if err != nil {
		return nil, false, err
	}
	return data, private, nil
}

// checkHeader looks at what a header must say whatever the token holds. Flags that
// RFC 4121 has not given a meaning are ignored, as it demands.
func (f *flow) checkHeader(header []byte) (private bool, err error) {
	flags := header[2]
	switch wrong := flags ^ f.flags; {
	case binary.BigEndian.Uint16(header) != wrapID:
		err = &TokenError{What: fmt.Sprintf("a token with ID %#04x, where a wrap token was due", binary.BigEndian.Uint16(header))}
	case header[3] != filler:
		err = &TokenError{What: "a token without its filler"}
	case wrong&sentByAcceptor != 0:
		err = &TokenError{What: "a token that was sent the other way"}
	case wrong&acceptorSubkey != 0:
		err = &TokenError{What: "a token with another key: its flag for the acceptor's subkey is wrong"}
	}
	return flags&sealed != 0, err
}

// openSealed opens a confidential token's body, whose end is a copy of the header as it
// was before the token was rotated.
func (c *cfx) openSealed(header, body []byte, extra int) ([]byte, error) {
	end := len(body) - c.profile.macLen
	if end < confounderLen+extra+headerLen {
		return nil, &TokenError{What: fmt.Sprintf("a confidential token of %d bytes with an extra count of %d", headerLen+len(body), extra)}
	}
	b, sum := body[:end], body[end:]
	if !c.decrypt(&c.recv, b, sum) || !equal(b[end-headerLen:], header) {
		return nil, badChecksum()
	}
	n := end - headerLen - extra
	return b[confounderLen:n:n], nil
}

// openSigned opens the body of a token without confidentiality.
func (c *cfx) openSigned(header, body []byte, extra int) ([]byte, error) {
	if extra != c.profile.macLen {
		return nil, &TokenError{What: fmt.Sprintf("an extra count of %d, where the checksum has %d bytes", extra, c.profile.macLen)}
	}
	binary.BigEndian.PutUint16(header[extraAt:], 0)
	n := len(body) - c.profile.macLen
	if !equal(body[n:], c.checksum(&c.recv, body[:n], header)) {
		return nil, badChecksum()
	}
	return body[:n:n], nil
}

// unrotate undoes a rotation to the right (RFC 4121 section 4.2.5) in place, by any count.
func unrotate(b []byte, count int) {
	if count %= len(b); count == 0 {
		return
	}
	// Windows rotates each token by 28.
	var few [64]byte
	if count <= len(few) {
		copy(few[:], b[:count])
		copy(b, b[count:])
		copy(b[len(b)-count:], few[:count])
		return
	}
	slices.Reverse(b[:count])
	slices.Reverse(b[count:])
	slices.Reverse(b)
}
