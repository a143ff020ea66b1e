package gss

import (
	"bytes"
	"testing"

	"github.com/jcmturner/gokrb5/v8/crypto"
)

// What is encrypted here is opened by gokrb5, and the other way round; nothing else is.
func TestEncryptMessage(t *testing.T) {
	for _, etype := range etypes {
		t.Run(EncTypeName(etype), func(t *testing.T) {
			theirs, err := crypto.GetEtype(etype)
			if err != nil {
				t.Fatal(err)
			}
			key := testKey(etype)
			for n := 1; n < 100; n++ {
				for _, usage := range []uint32{11, 12} {
					plain := text(n)
					b, err := encryptMessage(key, usage, bytes.Clone(plain))
					if err != nil {
						t.Fatal(err)
					}
					if got, err := theirs.DecryptMessage(key.Value, bytes.Clone(b), usage); err != nil || !bytes.Equal(got, plain) {
						t.Fatalf("%d bytes: gokrb5 opens what is ours\n got: %x, %v", n, got, err)
					}
					_, b, err = theirs.EncryptMessage(key.Value, bytes.Clone(plain), usage)
					if err != nil {
						t.Fatal(err)
					}
					before := bytes.Clone(b)
					if got, err := decryptMessage(key, usage, b); err != nil || !bytes.Equal(got, plain) {
						t.Fatalf("%d bytes: and what is gokrb5's is opened\n got: %x, %v", n, got, err)
					}
					if profiles[etype] != nil && !bytes.Equal(b, before) {
						t.Fatalf("%d bytes: which stays as it is", n)
					}
					if _, err := decryptMessage(key, usage+1, bytes.Clone(b)); err == nil {
						t.Fatalf("%d bytes: not what is for another use", n)
					}
				}
			}
		})
	}
}

func TestDecryptMessageRefuses(t *testing.T) {
	for _, etype := range etypes {
		t.Run(EncTypeName(etype), func(t *testing.T) {
			key := testKey(etype)
			b, err := encryptMessage(key, 12, text(40))
			if err != nil {
				t.Fatal(err)
			}
			open := func(b []byte) error {
				_, err := decryptMessage(key, 12, b)
				return err
			}
			if unguarded := open; profiles[etype] == nil { // gokrb5 does it
				open = func(b []byte) error { return guard("message", func() error { return unguarded(b) }) }
			}
			for cut := range b {
				if open(bytes.Clone(b[:cut])) == nil {
					t.Errorf("%d bytes of %d are no message", cut, len(b))
				}
				altered := bytes.Clone(b)
				altered[cut] ^= 1
				if open(altered) == nil {
					t.Errorf("byte %d was changed", cut)
				}
			}
		})
	}
}
