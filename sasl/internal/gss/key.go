package gss

import (
	"fmt"
	"io"
)

// Key is a session key or a subkey.
type Key struct {
	EType int32 // its encryption type, a number of RFC 3961's registry
	Value []byte
}

// Format implements [fmt.Formatter]: the value is not shown.
func (k Key) Format(f fmt.State, verb rune) {
	io.WriteString(f, "("+EncTypeName(k.EType)+" key, not shown)")
}

// opaque is embedded in what holds keys in unexported fields, which package fmt would
// show otherwise.
type opaque struct{}

// Format implements [fmt.Formatter].
func (opaque) Format(f fmt.State, verb rune) { io.WriteString(f, "(gss: not shown)") }

// Encryption types that are supported.
const (
	aes128SHA1   int32 = 17 // RFC 3962
	aes256SHA1   int32 = 18
	aes128SHA256 int32 = 19 // RFC 8009
	aes256SHA384 int32 = 20
	rc4HMAC      int32 = 23 // RFC 4757
)

// names are also of what is only refused.
var names = map[int32]string{
	1:            "des-cbc-crc",
	2:            "des-cbc-md4",
	3:            "des-cbc-md5",
	16:           "des3-cbc-sha1",
	aes128SHA1:   "aes128-cts-hmac-sha1-96",
	aes256SHA1:   "aes256-cts-hmac-sha1-96",
	aes128SHA256: "aes128-cts-hmac-sha256-128",
	aes256SHA384: "aes256-cts-hmac-sha384-192",
	rc4HMAC:      "rc4-hmac",
	24:           "rc4-hmac-exp",
	25:           "camellia128-cts-cmac",
	26:           "camellia256-cts-cmac",
}

// EncTypeName is the name of an encryption type, for people.
func EncTypeName(etype int32) string {
	if name, ok := names[etype]; ok {
		return name
	}
	return fmt.Sprintf("encryption type %d", etype)
}

// Supported reports whether contexts with keys of an encryption type are implemented.
func Supported(etype int32) bool { return profiles[etype] != nil || etype == rc4HMAC }
