package sasl

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/xdg-go/stringprep"
)

// maxPrepared is how many bytes of a name or password are prepared: a person's are
// shorter, and normalizing takes time.
const maxPrepared = 4 << 10

// errPrep holds nothing of the string: it may be a password.
var errPrep = errors.New("SASLprep (RFC 4013) does not allow it")

// saslprep is the profile of stringprep for names and passwords (RFC 4013), for
// "stored strings", as RFC 5802 section 2.2 asks. The result is a copy. Nothing
// at all may be what is left of a string of characters that are mapped to nothing;
// it is refused.
func saslprep(s []byte) ([]byte, error) {
	switch {
	case len(s) > maxPrepared:
		return nil, fmt.Errorf("it is longer than %d bytes", maxPrepared)
	case isPlainASCII(s):
		return bytes.Clone(s), nil // nothing changes: no copies that cannot be overwritten
	case !utf8.Valid(s):
		return nil, errors.New("it is not UTF-8")
	}
	prepared, err := stringprep.SASLprep.Prepare(string(s))
	if err != nil || prepared == "" {
		return nil, errPrep // err tells the character
	}
	// Of more than thirty combining marks in a row everybody makes something else.
	if again, err := stringprep.SASLprep.Prepare(prepared); err != nil || again != prepared {
		return nil, errPrep
	}
	return []byte(prepared), nil
}

// isPlainASCII reports whether s is printable US-ASCII, and not empty.
func isPlainASCII(s []byte) bool {
	for _, c := range s {
		if c < 0x20 || c > 0x7e {
			return false
		}
	}
	return len(s) > 0
}
