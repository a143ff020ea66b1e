package gss

import (
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"slices"

	"github.com/jcmturner/gokrb5/v8/crypto"
)

// errMessage is a message that was not encrypted with the key, or was changed.
var errMessage = errors.New("gss: a message that the key does not open")

// encryptMessage is the cipher of EncryptedData (RFC 3961 section 5.3, RFC 8009 section
// 5). For AES it is that of wrap tokens, which derives keys in a tenth of the time that
// gokrb5 takes.
func encryptMessage(key Key, usage uint32, plain []byte) ([]byte, error) {
	p := profiles[key.EType]
	if p == nil {
		etype, err := crypto.GetEtype(key.EType)
		if err != nil {
			return nil, err
		}
		_, b, err := etype.EncryptMessage(key.Value, plain, usage)
		return b, err
	}
	if len(key.Value) != p.keyLen {
		return nil, errMessage
	}
	c, f := p.message(key, usage, cipher.NewCBCEncrypter)
	b := make([]byte, confounderLen, confounderLen+len(plain)+p.macLen)
	rand.Read(b)
	return c.encrypt(f, append(b, plain...), 0), nil
}

// decryptMessage is the other way round. It leaves b as it is, and gives no plaintext of
// less than a byte: no message is that short.
func decryptMessage(key Key, usage uint32, b []byte) ([]byte, error) {
	p := profiles[key.EType]
	if p == nil {
		etype, err := crypto.GetEtype(key.EType)
		if err != nil {
			return nil, err
		}
		return etype.DecryptMessage(key.Value, b, usage)
	}
	end := len(b) - p.macLen
	if end <= confounderLen || len(key.Value) != p.keyLen {
		return nil, errMessage
	}
	c, f := p.message(key, usage, cipher.NewCBCDecrypter)
	plain := slices.Clone(b[:end])
	if !c.decrypt(f, plain, b[end:]) {
		clear(plain)
		return nil, errMessage
	}
	return plain[confounderLen:], nil
}

// message is what encrypts one message.
func (p *profile) message(key Key, usage uint32, newMode func(cipher.Block, []byte) cipher.BlockMode) (*cfx, *flow) {
	c := &cfx{profile: p, key: key.Value, hash: p.newHash().(digest)}
	f := &flow{usage: usage, newMode: newMode}
	c.ready(f, true)
	return c, f
}
