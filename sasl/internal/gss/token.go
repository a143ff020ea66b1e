package gss

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// TokenID tells what is in a context token (RFC 4121 section 4.1).
type TokenID uint16

// The context tokens.
const (
	APReqToken    TokenID = 0x0100
	APRepToken    TokenID = 0x0200
	KRBErrorToken TokenID = 0x0300
)

// Frame puts the pseudo-ASN.1 of RFC 2743 section 3.1 around a context token.
func Frame(id TokenID, inner []byte) []byte {
	n := len(mechanism) + 2 + len(inner)
	token := appendLength(append(make([]byte, 0, n+6), 0x60), n)
	token = append(token, mechanism...)
	token = binary.BigEndian.AppendUint16(token, uint16(id))
	return append(token, inner...)
}

// Unframe is the other way round. What it returns lies in token.
func Unframe(token []byte) (id TokenID, inner []byte, err error) {
	rest, ok := bytes.CutPrefix(token, []byte{0x60})
	if !ok {
		return 0, nil, &TokenError{What: "it does not begin as a token of the GSS-API does"}
	}
	n, rest := readLength(rest)
	switch {
	case n != len(rest):
		return 0, nil, &TokenError{What: fmt.Sprintf("it says that its length is %d, where %d bytes follow", n, len(rest))}
	case !bytes.HasPrefix(rest, mechanism):
		return 0, nil, &TokenError{What: "it is of another mechanism than Kerberos V5"}
	}
	rest = rest[len(mechanism):]
	if len(rest) < 2 {
		return 0, nil, &TokenError{What: "it ends before it says what it is"}
	}
	return TokenID(binary.BigEndian.Uint16(rest)), rest[2:], nil
}

// readLength takes a length off b, of at most four bytes; -1: there is none. (Not all
// that frame tokens write the shortest form.)
func readLength(b []byte) (n int, rest []byte) {
	if len(b) == 0 {
		return -1, b
	}
	first, b := int(b[0]), b[1:]
	if first < 0x80 {
		return first, b
	}
	digits := first & 0x7f
	if digits < 1 || digits > 4 || digits > len(b) {
		return -1, b
	}
	var n64 int64
	for _, d := range b[:digits] {
		n64 = n64<<8 | int64(d)
	}
	if n64 > int64(len(b)) {
		return -1, b
	}
	return int(n64), b[digits:]
}
