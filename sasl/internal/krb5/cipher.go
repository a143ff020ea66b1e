package krb5

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"unicode/utf16"

	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/crypto/etype"
	"github.com/jcmturner/gokrb5/v8/types"
)

// Key usages (RFC 4120 section 7.5.1).
const (
	usageTimestamp     = 1
	usageASRep         = 3
	usageTGSChecksum   = 6
	usageTGSAuth       = 7
	usageTGSRepSession = 8
	usageTGSRepSubkey  = 9
)

var (
	errIntegrity = errors.New("it does not decrypt")
	errETypeLack = errors.New("its encryption type is none that we have")
)

// cipherFor returns gokrb5's encryption type of a key that fits it.
func cipherFor(key types.EncryptionKey) (etype.EType, error) {
	if n := keyLength(key.KeyType); n == 0 || n != len(key.KeyValue) {
		return nil, errETypeLack
	}
	return crypto.GetEtype(key.KeyType)
}

func encrypt(key types.EncryptionKey, usage uint32, plain []byte) (cipher []byte, err error) {
	e, err := cipherFor(key)
	if err != nil {
		return nil, err
	}
	err = guarded(func() error {
		_, cipher, err = e.EncryptMessage(key.KeyValue, plain, usage)
		return err
	})
	return cipher, err
}

// decrypt opens what is encrypted in key; gokrb5 wants to be kept from what is too
// short to be that.
func decrypt(key types.EncryptionKey, usage uint32, cipher []byte) (plain []byte, err error) {
	e, err := cipherFor(key)
	if err != nil {
		return nil, err
	}
	if len(cipher) < e.GetConfounderByteSize()+e.GetHMACBitLength()/8 {
		return nil, errIntegrity
	}
	err = guarded(func() error {
		plain, err = e.DecryptMessage(key.KeyValue, cipher, usage)
		return err
	})
	if err != nil {
		return nil, errIntegrity
	}
	return plain, nil
}

// checksum is the keyed checksum that goes with the key's encryption type.
func checksum(key types.EncryptionKey, usage uint32, data []byte) (kind int32, sum []byte, err error) {
	e, err := cipherFor(key)
	if err != nil {
		return 0, nil, err
	}
	err = guarded(func() error {
		sum, err = e.GetChecksumHash(key.KeyValue, data, usage)
		return err
	})
	return e.GetHashID(), sum, err
}

// s2k says how a password becomes a key: RFC 3961's string-to-key.
type s2k struct {
	etype  int32
	salt   string
	params string // s2kparams; "": the encryption type's own
}

const maxIterations = 1_000_000

// check bounds what the KDC may want computed, and what it may want to be weak: who
// sits between could have a timestamp encrypted in a key of few iterations, to guess
// the password by (RFC 3962 section 8). MIT has the same lower bound.
func (s s2k) check() error {
	least := int64(4096) // RFC 3962 section 4
	switch s.etype {
	case rc4HMAC:
		return nil // takes neither salt nor parameters (RFC 4757 section 2)
	case aes128SHA256, aes256SHA384:
		least = 32768 // RFC 8009 section 4
	}
	if s.params == "" {
		return nil
	}
	if len(s.params) != 4 {
		return errors.New("the parameters for the key of a password are not of 4 bytes")
	}
	n := int64(binary.BigEndian.Uint32([]byte(s.params)))
	if n == 0 {
		n = 1 << 32 // RFC 3962 section 4
	}
	switch {
	case n > maxIterations:
		return fmt.Errorf("a password is to become a key in %d iterations, more than %d", n, maxIterations)
	case n < least:
		return fmt.Errorf("a password is to become a key in %d iterations, too few to be safe: %d is the least", n, least)
	}
	return nil
}

// deriveKey computes the key of a password under limit, as it takes a processor for
// a while. gokrb5 wants the password as a string: that copy, and those of its own,
// cannot be overwritten.
func deriveKey(ctx context.Context, limit func(context.Context, func()) error, password []byte, how s2k) (key types.EncryptionKey, err error) {
	if err := how.check(); err != nil {
		return key, err
	}
	e, err := crypto.GetEtype(how.etype)
	if err != nil || keyLength(how.etype) == 0 {
		return key, errETypeLack
	}
	key.KeyType = how.etype
	var derived error
	err = limit(ctx, func() {
		derived = guarded(func() (err error) {
			key.KeyValue, err = stringToKey(e, password, how)
			return err
		})
	})
	if err == nil {
		err = derived
	}
	return key, err
}

func stringToKey(e etype.EType, password []byte, how s2k) ([]byte, error) {
	if how.etype == rc4HMAC {
		// MD4 of UTF-16 (RFC 4757 section 2), which gokrb5 makes only of ASCII.
		wide := utf16.Encode([]rune(string(password)))
		b := make([]byte, 0, 2*len(wide))
		for _, unit := range wide {
			b = binary.LittleEndian.AppendUint16(b, unit)
		}
		defer clear(b)
		defer clear(wide)
		return e.RandomToKey(b), nil
	}
	params := e.GetDefaultStringToKeyParams()
	if how.params != "" {
		params = hex.EncodeToString([]byte(how.params))
	}
	return e.StringToKey(string(password), how.salt, params)
}

// defaultSalt is realm and name without anything between (RFC 4120 section 4).
func defaultSalt(p Principal) string {
	salt := p.Realm
	for _, name := range p.Names {
		salt += name
	}
	return salt
}
