package gss

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
)

// cts is one direction of AES in CBC mode with ciphertext stealing (RFC 3962 section
// 5, RFC 8009 section 4). Each message begins with an IV of zeros. The mode cannot be
// told so: it goes on from the last block of ciphertext that it has seen, which is
// therefore taken out of the first block of plaintext again.
type cts struct {
	mode  cipher.BlockMode
	chain [aes.BlockSize]byte // that last block
	block [aes.BlockSize]byte // scratch: here, so that it need not be allocated
}

func newCTS(key []byte, newMode func(cipher.Block, []byte) cipher.BlockMode) *cts {
	c := new(cts)
	c.mode = newMode(mustAES(key), zeroIV)
	return c
}

// mustAES is for keys whose length was checked.
func mustAES(key []byte) cipher.Block {
	c, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	return c
}

// encrypt works in place, on more than one block.
func (c *cts) encrypt(b []byte) {
	cut := beforeLast(b)
	c.unchain(b)
	c.mode.CryptBlocks(b[:cut], b[:cut])
	clear(c.block[:])
	copy(c.block[:], b[cut:])
	c.mode.CryptBlocks(c.block[:], c.block[:])
	c.chain = c.block
	// The last two blocks change places, and the one that is last now is cut off.
	copy(b[cut:], b[cut-aes.BlockSize:cut])
	copy(b[cut-aes.BlockSize:], c.block[:])
}

// decrypt works in place, on more than one block.
func (c *cts) decrypt(b []byte) {
	cut := beforeLast(b)
	whole, part := b[cut-aes.BlockSize:cut], b[cut:]
	c.mode.CryptBlocks(c.block[:], whole)
	c.unchain(c.block[:])
	copy(c.chain[:], whole)
	// The last block of plaintext had been filled up with zeros: behind part, the block
	// that was decrypted is the ciphertext that had been cut off.
	copy(whole, part)
	copy(whole[len(part):], c.block[len(part):])
	subtle.XORBytes(part, part, c.block[:])
	copy(c.block[:], whole)
	c.mode.CryptBlocks(b[:cut], b[:cut])
	c.unchain(b)
	c.chain = c.block
}

// beforeLast is where the last block of b begins, whole or not.
func beforeLast(b []byte) int { return (len(b) - 1) &^ (aes.BlockSize - 1) }

func (c *cts) unchain(b []byte) { subtle.XORBytes(b, b[:aes.BlockSize], c.chain[:]) }
