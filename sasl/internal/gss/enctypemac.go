package gss

import (
	"crypto/subtle"
	"encoding"
	"hash"
	"slices"
)

// digest is a hash whose state can be kept and restored; all of the standard library are.
type digest interface {
	hash.Hash
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

// mac is an HMAC (RFC 2104) of which only the states behind the key's two blocks are
// kept, one behind the other: what computes with them is the caller's hash, which
// several may share. Like that it takes half the memory of crypto/hmac's, and no more time.
type mac []byte

// newMAC takes a key that is no longer than a block of h.
func newMAC(h digest, key []byte) mac {
	return slices.Clone(appendKeyed(appendKeyed(nil, h, key, 0x36), h, key, 0x5c))
}

func appendKeyed(dst []byte, h digest, key []byte, pad byte) []byte {
	block := make([]byte, h.BlockSize())
	copy(block, key)
	for i := range block {
		block[i] ^= pad
	}
	h.Reset()
	h.Write(block)
	clear(block)
	dst, err := h.AppendBinary(dst)
	if err != nil {
		panic(err) // no hash has a reason to fail
	}
	return dst
}

// begin makes h ready for what the HMAC is to be of.
func (m mac) begin(h digest) { restore(h, m[:len(m)/2]) }

// end returns the HMAC of what was written to h, in the memory of sum.
func (m mac) end(h digest, sum []byte) []byte {
	sum = h.Sum(sum[:0])
	restore(h, m[len(m)/2:])
	h.Write(sum)
	return h.Sum(sum[:0])
}

func restore(h digest, state []byte) {
	if err := h.UnmarshalBinary(state); err != nil {
		panic(err) // a state of another hash
	}
}

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
