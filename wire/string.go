package wire

import "bytes"

// String is a string of a reply: borrowed bytes in which the backslashes of a
// quoted string still stand. It is valid as long as the text that it came from.
type String struct {
	raw     []byte
	escaped bool
	null    bool
}

// IsNIL reports whether the server sent NIL, which is not the empty string.
func (s String) IsNIL() bool { return s.null }

// Bytes returns the string without its escapes: borrowed if it has none, as nearly
// all; else written to scratch from its beginning, and scratch grown if need be.
func (s String) Bytes(scratch []byte) []byte {
	if !s.escaped {
		return s.raw
	}
	return s.AppendTo(scratch[:0])
}

// AppendTo appends the string without its escapes to dst.
func (s String) AppendTo(dst []byte) []byte {
	raw, from := s.raw, 0
	for s.escaped {
		i := bytes.IndexByte(raw[from:], '\\')
		if i < 0 {
			break
		}
		dst = append(dst, raw[:from+i]...)
		raw = raw[from+i+1:]
		from = 1 // the byte behind a backslash is no backslash
	}
	return append(dst, raw...)
}

// String returns a copy of the string without its escapes.
func (s String) String() string {
	if !s.escaped {
		return string(s.raw)
	}
	return string(s.AppendTo(nil))
}

// Equal reports whether the string, without its escapes, is t. It allocates
// nothing.
func (s String) Equal(t string) bool {
	if !s.escaped {
		return string(s.raw) == t
	}
	n := 0
	for i := 0; i < len(s.raw); i++ {
		if s.raw[i] == '\\' {
			i++
		}
		if n == len(t) || s.raw[i] != t[n] {
			return false
		}
		n++
	}
	return n == len(t)
}
