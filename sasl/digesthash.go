package sasl

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// digestHash is what the hashes of RFC 2831 section 2.1.2.1 are made of.
type digestHash struct {
	a1                               [md5.Size]byte // H(A1)
	nonce, cnonce, qop, uri, authzid string
}

// addSecret makes H(A1). It returns the user name as it is to be sent.
//
// A server of ISO 8859-1 can be told no other characters. With one of UTF-8 what can
// be converted to ISO 8859-1 is hashed in it, each on its own, the realm too: so
// section 8's example and libsasl2.
func (h *digestHash) addSecret(utf8 bool, user, realm string, password []byte) (wire []byte, err error) {
	wire = []byte(user)
	hashedUser, err := digestText("user name", utf8, user)
	if err != nil {
		return nil, err
	}
	if !utf8 {
		wire = hashedUser
	}
	if b, ok := latin1(realm); ok && utf8 {
		realm = string(b)
	}
	hashedPassword, err := digestText("password", utf8, string(password))
	if err != nil {
		return nil, err
	}
	defer wipe(hashedPassword)
	secret := md5.New()
	for _, b := range [...][]byte{hashedUser, []byte(":" + realm + ":"), hashedPassword} {
		secret.Write(b)
	}
	a1 := md5.New()
	a1.Write(secret.Sum(nil))
	io.WriteString(a1, ":"+h.nonce+":"+h.cnonce)
	if h.authzid != "" {
		io.WriteString(a1, ":"+h.authzid)
	}
	a1.Sum(h.a1[:0])
	return wire, nil
}

// response is the client's with method "AUTHENTICATE", and the server's with none.
func (h *digestHash) response(method string) string {
	a2 := method + ":" + h.uri
	if h.qop != "auth" {
		a2 += ":00000000000000000000000000000000"
	}
	all := []string{hexMD5(h.a1), h.nonce, digestCount, h.cnonce, h.qop, hexMD5(md5.Sum([]byte(a2)))}
	return hexMD5(md5.Sum([]byte(strings.Join(all, ":"))))
}

func hexMD5(sum [md5.Size]byte) string { return hex.EncodeToString(sum[:]) }

// digestText is text as it is hashed: in ISO 8859-1 where that can be.
func digestText(what string, inUTF8 bool, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("sasl: %s: the %s is not UTF-8", digestName, what)
	}
	b, ok := latin1(s)
	switch {
	case ok:
		return b, nil
	case inUTF8:
		return []byte(s), nil
	}
	return nil, fmt.Errorf("sasl: %s: the %s has characters that the server's ISO 8859-1 has not", digestName, what)
}

// latin1 is text in ISO 8859-1; !ok: it has characters that are not in it.
func latin1(s string) (b []byte, ok bool) {
	b = make([]byte, 0, len(s))
	for _, r := range s {
		if r > 0xff {
			return nil, false
		}
		b = append(b, byte(r))
	}
	return b, true
}
