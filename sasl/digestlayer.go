package sasl

import (
	"bytes"
	"crypto/cipher"
	"crypto/des"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rc4"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"math"
	"math/bits"
)

// Cipher is a cipher of DIGEST-MD5's auth-conf, by its name in RFC 2831 section
// 2.1.1. All of them are of their time: where TLS can be had, it is the better choice.
type Cipher string

// The ciphers there are.
const (
	RC4       Cipher = "rc4"
	TripleDES Cipher = "3des" // with two keys
	RC4x56    Cipher = "rc4-56"
	DES       Cipher = "des"
	RC4x40    Cipher = "rc4-40"
)

// defaultCiphers are in order of preference: the key's length, then speed. Before 3des
// comes rc4, for Cyrus SASL offers 3des also where its crypto library cannot do it.
var defaultCiphers = []Cipher{RC4, TripleDES, RC4x56, DES, RC4x40}

// strength is the effective length of the key in bits; 0: there is no such cipher.
func (c Cipher) strength() int {
	switch c {
	case RC4:
		return 128
	case TripleDES:
		return 112
	case RC4x56:
		return 56
	case DES:
		return 55 // as Cyrus SASL counts it, so that it comes after rc4-56
	case RC4x40:
		return 40
	}
	return 0
}

// blockSize is what data is padded to a multiple of; 0: it is not, nor without a cipher.
func (c Cipher) blockSize() int {
	if c == DES || c == TripleDES {
		return des.BlockSize
	}
	return 0
}

// overhead is by how much a packet can be longer than its data; "" is auth-int.
func (c Cipher) overhead() int { return c.blockSize() + digestMACLen + digestTailLen }

// sealingKey is Kcc or Kcs (RFC 2831 section 2.4), which are as long for all ciphers,
// but not made of as much.
func (c Cipher) sealingKey(a1 [md5.Size]byte, direction string) [md5.Size]byte {
	secret := a1[:]
	switch c {
	case RC4x40:
		secret = a1[:5]
	case RC4x56:
		secret = a1[:7]
	}
	return md5.Sum(append(bytes.Clone(secret), "Digest H(A1) to "+direction+" sealing key magic constant"...))
}

func signingKey(a1 [md5.Size]byte, direction string) [md5.Size]byte {
	return md5.Sum(append(a1[:], "Digest session key to "+direction+" signing key magic constant"...))
}

const (
	clientToServer = "client-to-server"
	serverToClient = "server-to-client"
)

const (
	digestMACLen  = 10 // of the HMAC's 16 bytes, encrypted with the data
	digestTailLen = 6  // version and sequence number, always in the clear
)

// digestVersion stands in each packet (RFC 2831 section 2.3: "message type").
const digestVersion = 1

// digestCodec is auth-int, or with a cipher auth-conf (RFC 2831 sections 2.3 and 2.4).
type digestCodec struct {
	cipher        Cipher // "": auth-int
	block         int    // its blockSize
	send, receive digestFlow
}

// digestFlow is one direction of it.
type digestFlow struct {
	mac   hash.Hash             // keyed with Ki
	crypt func(dst, src []byte) // nil: auth-int. What it is to do next depends on what it did: a stream, or CBC
	seq   uint64                // packets so far
	seqno [4]byte               // of a packet, and its HMAC: here, so that they need not be allocated
	sum   [md5.Size]byte
}

// newDigestCodec makes one end's codec of H(A1); c "" is auth-int. The server's end
// differs from the client's in which direction is which.
func newDigestCodec(c Cipher, a1 [md5.Size]byte, server bool) (*digestCodec, error) {
	out, in := clientToServer, serverToClient
	if server {
		out, in = in, out
	}
	d := &digestCodec{cipher: c, block: c.blockSize()}
	for _, f := range [...]struct {
		*digestFlow
		direction string
		encrypt   bool
	}{{&d.send, out, true}, {&d.receive, in, false}} {
		key := signingKey(a1, f.direction)
		f.mac = hmac.New(md5.New, key[:])
		if c == "" {
			continue
		}
		var err error
		if f.crypt, err = c.crypter(c.sealingKey(a1, f.direction), f.encrypt); err != nil {
			return nil, fmt.Errorf("sasl: %s: %w", d.name(), err)
		}
	}
	return d, nil
}

// crypter returns what encrypts, or decrypts, the packets of one direction. A block
// cipher's chain goes on from packet to packet, and begins with the last bytes of the key.
func (c Cipher) crypter(key [md5.Size]byte, encrypt bool) (func(dst, src []byte), error) {
	var b cipher.Block
	var err error
	switch c {
	case DES:
		b, err = des.NewCipher(desKey(key[:7]))
	case TripleDES:
		k1, k2 := desKey(key[:7]), desKey(key[7:14])
		b, err = des.NewTripleDESCipher(append(append(bytes.Clone(k1), k2...), k1...))
	default:
		stream, err := rc4.NewCipher(key[:])
		if err != nil {
			return nil, err
		}
		return stream.XORKeyStream, nil
	}
	if err != nil {
		return nil, err
	}
	iv := key[len(key)-des.BlockSize:]
	if encrypt {
		return cipher.NewCBCEncrypter(b, iv).CryptBlocks, nil
	}
	return cipher.NewCBCDecrypter(b, iv).CryptBlocks, nil
}

// desKey spreads 7 bytes over 8, each of which has 7 bits of key and, lowest, one that
// makes the number of ones odd.
func desKey(k []byte) []byte {
	var all uint64
	for _, b := range k {
		all = all<<8 | uint64(b)
	}
	key := make([]byte, 8)
	for i := range key {
		b := byte(all>>(49-7*i)) << 1
		key[i] = b | byte(bits.OnesCount8(b)&1^1)
	}
	return key
}

func (d *digestCodec) name() string {
	if d.cipher == "" {
		return "DIGEST-MD5 auth-int"
	}
	return "DIGEST-MD5 auth-conf " + string(d.cipher)
}

// shortest is a packet without data, and with the padding that this needs.
func (d *digestCodec) shortest() int {
	if d.block > 0 {
		return 2*d.block + digestTailLen
	}
	return digestMACLen + digestTailLen
}

func (d *digestCodec) overhead() int { return d.cipher.overhead() }

var errExhausted = errors.New("sasl: 2^32 packets were sent in one direction: the next one's sequence number was used before")

func (d *digestCodec) seal(dst, p []byte) ([]byte, error) {
	f := &d.send
	if f.seq > math.MaxUint32 {
		return dst, errExhausted
	}
	f.sign(p)
	start := len(dst)
	dst = append(dst, p...)
	if d.block > 0 {
		pad := d.block - (len(p)+digestMACLen)%d.block
		for range pad {
			dst = append(dst, byte(pad))
		}
	}
	dst = append(dst, f.sum[:digestMACLen]...)
	if f.crypt != nil {
		f.crypt(dst[start:], dst[start:])
	}
	dst = binary.BigEndian.AppendUint16(dst, digestVersion)
	dst = append(dst, f.seqno[:]...)
	f.seq++
	return dst, nil
}

// sign makes the HMAC of the next packet's number and data.
func (f *digestFlow) sign(p []byte) {
	binary.BigEndian.PutUint32(f.seqno[:], uint32(f.seq))
	f.mac.Reset()
	f.mac.Write(f.seqno[:])
	f.mac.Write(p)
	f.mac.Sum(f.sum[:0])
}

func (d *digestCodec) open(packet []byte) ([]byte, error) {
	f := &d.receive
	body, tail := packet[:len(packet)-digestTailLen], packet[len(packet)-digestTailLen:]
	if err := f.inTurn(tail); err != nil {
		return nil, err
	}
	if d.block > 0 && len(body)%d.block != 0 {
		return nil, &LayerError{What: fmt.Sprintf("a packet of %d bytes, which are no whole number of blocks", len(packet))}
	}
	if f.crypt != nil {
		f.crypt(body, body)
	}
	data, sum := body[:len(body)-digestMACLen], body[len(body)-digestMACLen:]
	data, padded := d.unpad(data)
	f.sign(data)
	// What is wrong, padding or checksum, is nobody's business.
	if !hmac.Equal(sum, f.sum[:digestMACLen]) || !padded {
		return nil, &LayerError{What: fmt.Sprintf("the checksum of packet %d is wrong", f.seq)}
	}
	f.seq++
	return data, nil
}

// inTurn checks the clear end of a packet.
func (f *digestFlow) inTurn(tail []byte) error {
	version, seqno := binary.BigEndian.Uint16(tail), binary.BigEndian.Uint32(tail[2:])
	switch {
	case version != digestVersion:
		return &LayerError{What: fmt.Sprintf("a packet of version %d instead of %d", version, digestVersion)}
	case f.seq > math.MaxUint32:
		return errExhausted
	case uint64(seqno) != f.seq:
		return &LayerError{What: fmt.Sprintf("packet %d came where packet %d was due", seqno, f.seq)}
	}
	return nil
}

// unpad takes the padding of a block cipher off; of what is none it takes nothing off.
func (d *digestCodec) unpad(data []byte) (unpadded []byte, ok bool) {
	if d.block == 0 {
		return data, true
	}
	pad := int(data[len(data)-1])
	if pad < 1 || pad > d.block || pad > len(data) {
		return data, false
	}
	for _, b := range data[len(data)-pad:] {
		if int(b) != pad {
			return data, false
		}
	}
	return data[:len(data)-pad], true
}

// newDigestLayer is the client's layer.
func newDigestLayer(c Cipher, a1 [md5.Size]byte, announced, theirs int) (*packetLayer, error) {
	d, err := newDigestCodec(c, a1, false)
	if err != nil {
		return nil, err
	}
	return newPacketLayer(d, announced, theirs)
}
