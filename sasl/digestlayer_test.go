package sasl

import (
	"crypto/des"
	"encoding/hex"
	"math/bits"
	"testing"
)

// 7 bytes spread over 8. LAN Manager's hash does the same, so it has well-known
// results: this is that of PASSWORD.
func TestDESKey(t *testing.T) {
	for half, want := range map[string]string{
		"PASSWOR":                   "e52cac67419a9a22",
		"D\x00\x00\x00\x00\x00\x00": "4a3b108f3fa6cb6d",
	} {
		block, err := des.NewCipher(desKey([]byte(half)))
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 8)
		block.Encrypt(got, []byte("KGS!@#$%"))
		if hex.EncodeToString(got) != want {
			t.Errorf("with the key of %q it is %x, not %s", half, got, want)
		}
	}
	for _, k := range []string{"\x00\x00\x00\x00\x00\x00\x00", "\xff\xff\xff\xff\xff\xff\xff", "\x01\x23\x45\x67\x89\xab\xcd"} {
		for i, b := range desKey([]byte(k)) {
			if bits.OnesCount8(b)%2 != 1 {
				t.Errorf("the parity of byte %d of the key of %x is even", i, k)
			}
		}
	}
}
