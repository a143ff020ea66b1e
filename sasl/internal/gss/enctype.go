package gss

import (
	"crypto/aes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"
	"math/bits"
)

// profile is an encryption type that is built on AES: of RFC 3962, or of RFC 8009,
// which derives keys otherwise and has its HMAC over the ciphertext.
type profile struct {
	keyLen    int // bytes of the protocol key, and of Ke
	macKeyLen int // bytes of Kc and Ki
	macLen    int // bytes of an HMAC that are sent
	newHash   func() hash.Hash
	rfc8009   bool
}

var profiles = map[int32]*profile{
	aes128SHA1:   {keyLen: 16, macKeyLen: 16, macLen: 12, newHash: sha1.New},
	aes256SHA1:   {keyLen: 32, macKeyLen: 32, macLen: 12, newHash: sha1.New},
	aes128SHA256: {keyLen: 16, macKeyLen: 16, macLen: 16, newHash: sha256.New, rfc8009: true},
	aes256SHA384: {keyLen: 32, macKeyLen: 24, macLen: 24, newHash: sha512.New384, rfc8009: true},
}

// What a derived key is for; it is the last byte of the constant that the key is
// derived with (RFC 3961 section 5.3).
const (
	encryptionKey byte = 0xaa // Ke
	integrityKey  byte = 0x55 // Ki, for the HMAC of what is encrypted
	checksumKey   byte = 0x99 // Kc, for the HMAC of what is not
)

// derive makes the key for a usage of the protocol key.
func (p *profile) derive(key []byte, usage uint32, purpose byte) []byte {
	n := p.macKeyLen
	if purpose == encryptionKey {
		n = p.keyLen
	}
	if p.rfc8009 {
		return p.kdf(key, usage, purpose, n)
	}
	return deriveRandom(key, usage, purpose)[:n]
}

// kdf is KDF-HMAC-SHA2 of RFC 8009 section 3, for n bytes.
func (p *profile) kdf(key []byte, usage uint32, purpose byte, n int) []byte {
	m := hmac.New(p.newHash, key)
	b := binary.BigEndian.AppendUint32(nil, 1)
	b = binary.BigEndian.AppendUint32(b, usage)
	b = append(b, purpose, 0)
	m.Write(binary.BigEndian.AppendUint32(b, uint32(n)*8))
	return m.Sum(nil)[:n]
}

// deriveRandom is DR of RFC 3961 section 5.1, as long as any key.
func deriveRandom(key []byte, usage uint32, purpose byte) []byte {
	c := mustAES(key)
	out := make([]byte, 2*aes.BlockSize)
	first, second := out[:aes.BlockSize], out[aes.BlockSize:]
	in := fold(usage, purpose)
	c.Encrypt(first, in[:])
	c.Encrypt(second, first)
	return out
}

// fold is n-fold (RFC 3961 section 5.1) of the five bytes of a constant to a block:
// copies of them, each rotated by 13 bits against the one before, are added up by
// blocks in one's complement.
func fold(usage uint32, purpose byte) (block [aes.BlockSize]byte) {
	const width = 5 * 8
	var copies [5 * aes.BlockSize]byte
	c := uint64(usage)<<8 | uint64(purpose)
	for at := 0; at < len(copies); at += 5 {
		copies[at] = byte(c >> 32)
		binary.BigEndian.PutUint32(copies[at+1:], uint32(c))
		c = (c>>13 | c<<(width-13)) & (1<<width - 1)
	}
	var high, low, carry uint64
	for at := 0; at < len(copies); at += aes.BlockSize {
		low, carry = bits.Add64(low, binary.BigEndian.Uint64(copies[at+8:]), carry)
		high, carry = bits.Add64(high, binary.BigEndian.Uint64(copies[at:]), carry)
	}
	low, carry = bits.Add64(low, 0, carry)
	binary.BigEndian.PutUint64(block[:], high+carry)
	binary.BigEndian.PutUint64(block[8:], low)
	return block
}
