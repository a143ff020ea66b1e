package krb5

import (
	"slices"
	"strings"
)

// Encryption types that we have (RFC 3961 section 8; RFC 8009; RFC 4757).
const (
	aes128SHA1   = 17
	aes256SHA1   = 18
	aes128SHA256 = 19
	aes256SHA384 = 20
	rc4HMAC      = 23
)

// Encryption types that are only names here, so that a list of them is known to be
// one of types that we do not have.
const (
	des3SHA1    = 16
	camellia128 = 25
	camellia256 = 26
)

// etypeNames are those of MIT's krb5.conf(5), which knows them in any case.
var etypeNames = map[string][]int32{
	"aes128-cts-hmac-sha1-96": {aes128SHA1}, "aes128-cts": {aes128SHA1}, "aes128-sha1": {aes128SHA1},
	"aes256-cts-hmac-sha1-96": {aes256SHA1}, "aes256-cts": {aes256SHA1}, "aes256-sha1": {aes256SHA1},
	"aes128-cts-hmac-sha256-128": {aes128SHA256}, "aes128-sha2": {aes128SHA256},
	"aes256-cts-hmac-sha384-192": {aes256SHA384}, "aes256-sha2": {aes256SHA384},
	"arcfour-hmac": {rc4HMAC}, "rc4-hmac": {rc4HMAC}, "arcfour-hmac-md5": {rc4HMAC},
	"des3-cbc-sha1": {des3SHA1}, "des3-hmac-sha1": {des3SHA1}, "des3-cbc-sha1-kd": {des3SHA1},
	"camellia128-cts-cmac": {camellia128}, "camellia128-cts": {camellia128},
	"camellia256-cts-cmac": {camellia256}, "camellia256-cts": {camellia256},

	"aes":      {aes256SHA1, aes128SHA1, aes256SHA384, aes128SHA256},
	"rc4":      {rc4HMAC},
	"des3":     {des3SHA1},
	"camellia": {camellia256, camellia128},
}

// defaultEtypes is MIT's order of those that we have. rc4-hmac is in it only where it
// is allowed: RFC 8429 section 3 wants it gone.
func defaultEtypes(rc4 bool) []int32 {
	types := []int32{aes256SHA1, aes128SHA1, aes256SHA384, aes128SHA256}
	if rc4 {
		types = append(types, rc4HMAC)
	}
	return types
}

// parseEtypes reads a list as krb5.conf(5) has it under "Encryption types": names and
// families, DEFAULT, and "-" before what to take out again. Unknown names are passed
// over, as MIT does, whose versions forget the weak ones. Only those that we have
// remain; the list may be empty.
func parseEtypes(list string, defaults []int32) []int32 {
	var types []int32
	for _, word := range strings.FieldsFunc(strings.ToLower(list), func(r rune) bool { return strings.ContainsRune(" \t\r\n,", r) }) {
		name := strings.TrimLeft(word[:1], "+-") + word[1:]
		named := etypeNames[name]
		if name == "default" {
			named = defaults
		}
		for _, t := range named {
			at := slices.Index(types, t)
			switch {
			case word[0] == '-' && at >= 0:
				types = slices.Delete(types, at, at+1)
			case word[0] != '-' && at < 0 && keyLength(t) > 0:
				types = append(types, t)
			}
		}
	}
	return types
}
