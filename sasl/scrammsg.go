package sasl

import (
	"bytes"
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// What a server may send: all of it is longer than any server has use for.
const (
	maxServerMessage = 8 << 10 // bytes
	maxServerNonce   = 1 << 10
	maxSalt          = 1 << 10
)

// ServerError is server-error of SCRAM (RFC 5802 section 7): the server's own reason
// to refuse.
type ServerError struct {
	Mechanism string
	// Value is one of the names that RFC 5802 lists, or "other": an unknown one is
	// not shown.
	Value string
}

func (e *ServerError) Error() string {
	return "sasl: " + e.Mechanism + ": the server refuses: " + e.Value
}

// Unwrap returns [ErrAuthFailed], and with it [ErrDowngrade] where the server says
// that it can bind though its list of mechanisms, as it came here, did not.
func (e *ServerError) Unwrap() []error {
	if e.Value == "server-does-support-channel-binding" {
		return []error{ErrAuthFailed, ErrDowngrade}
	}
	return []error{ErrAuthFailed}
}

// serverErrors are the values of server-error-value.
var serverErrors = []string{
	"invalid-encoding", "extensions-not-supported", "invalid-proof",
	"channel-bindings-dont-match", "server-does-support-channel-binding",
	"channel-binding-not-supported", "unsupported-channel-binding-type",
	"unknown-user", "invalid-username-encoding", "no-resources", "other-error",
}

func serverError(mechanism, value string) error {
	for _, known := range serverErrors {
		if value == known {
			return &ServerError{Mechanism: mechanism, Value: value}
		}
	}
	return &ServerError{Mechanism: mechanism, Value: "other"}
}

// serverFirst is server-first-message.
type serverFirst struct {
	nonce      string // ours and the server's
	salt       []byte
	iterations int // not checked against the limits; at most 10 digits
}

// parseServerFirst reads nonce "," salt "," iteration-count ["," extensions]. All
// errors are *ChallengeError or *ServerError.
func parseServerFirst(mechanism string, message []byte, ours string) (first serverFirst, err error) {
	a, err := parseAttributes(mechanism, message)
	if err != nil {
		return first, err
	}
	if len(a) < 3 || a[0].name != 'r' || a[1].name != 's' || a[2].name != 'i' {
		return first, badChallenge(mechanism, "nonce, salt and iteration count are not what it begins with")
	}
	if first.nonce, err = parseNonce(mechanism, a[0].value, ours); err != nil {
		return first, err
	}
	first.salt, err = decodeBase64(a[1].value)
	if err != nil || len(first.salt) > maxSalt {
		return first, badChallenge(mechanism, "the salt is no base64 of at most %d bytes", maxSalt)
	}
	if first.iterations, err = parseIterations(mechanism, a[2].value); err != nil {
		return first, err
	}
	return first, checkExtensions(mechanism, a[3:])
}

// parseNonce: the server's is ours and something of its own behind it, printable.
func parseNonce(mechanism, nonce, ours string) (string, error) {
	if len(nonce) > maxServerNonce {
		return "", badChallenge(mechanism, "the nonce is longer than %d bytes", maxServerNonce)
	}
	for i := range len(nonce) {
		if nonce[i] < 0x21 || nonce[i] > 0x7e {
			return "", badChallenge(mechanism, "the nonce is not printable")
		}
	}
	theirs, ok := strings.CutPrefix(nonce, ours)
	if !ok {
		return "", badChallenge(mechanism, "the nonce does not begin with ours")
	}
	if theirs == "" {
		return "", badChallenge(mechanism, "the server added nothing to our nonce")
	}
	return nonce, nil
}

// parseIterations reads posit-number.
func parseIterations(mechanism, digits string) (n int, err error) {
	const most = 9 // digits: fits an int of 32 bits
	if digits[0] == '0' || len(digits) > most {
		return 0, badChallenge(mechanism, "the iteration count does not begin with 1 to 9, or has more than %d digits", most)
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return 0, badChallenge(mechanism, "the iteration count is no number")
		}
		n = n*10 + int(digits[i]-'0')
	}
	return n, nil
}

// parseServerFinal reads verifier ["," extensions] and returns the signature.
func parseServerFinal(mechanism string, message []byte) ([]byte, error) {
	a, err := parseAttributes(mechanism, message)
	if err != nil {
		return nil, err
	}
	if a[0].name != 'v' {
		return nil, badChallenge(mechanism, "the server's signature is not what it begins with")
	}
	signature, err := decodeBase64(a[0].value)
	if err != nil {
		return nil, badChallenge(mechanism, "the server's signature is no base64")
	}
	return signature, checkExtensions(mechanism, a[1:])
}

type attribute struct {
	name  byte
	value string // not empty
}

// parseAttributes reads attr-val *("," attr-val); there is at least one. A server's
// error in place of it all is returned as such.
func parseAttributes(mechanism string, message []byte) ([]attribute, error) {
	switch {
	case len(message) > maxServerMessage:
		return nil, badChallenge(mechanism, "it is longer than %d bytes", maxServerMessage)
	case !utf8.Valid(message) || bytes.IndexByte(message, 0) >= 0:
		return nil, badChallenge(mechanism, "it is not UTF-8 without NUL")
	}
	var attributes []attribute
	for part := range strings.SplitSeq(string(message), ",") {
		if len(part) < 3 || part[1] != '=' || !isLetter(part[0]) {
			return nil, badChallenge(mechanism, "it is no list of attributes")
		}
		attributes = append(attributes, attribute{name: part[0], value: part[2:]})
	}
	if attributes[0].name == 'e' {
		return nil, serverError(mechanism, attributes[0].value)
	}
	if attributes[0].name == 'm' {
		return nil, badChallenge(mechanism, "it demands an extension that is not known here")
	}
	return attributes, nil
}

// checkExtensions lets optional ones pass, which are those that mean nothing yet.
func checkExtensions(mechanism string, extensions []attribute) error {
	for _, e := range extensions {
		if strings.IndexByte("anmrcspive", e.name) >= 0 {
			return badChallenge(mechanism, "an attribute stands where it cannot")
		}
	}
	return nil
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// decodeBase64 takes base64 as RFC 5802 section 7 has it: encoding/base64 would pass over
// line ends.
func decodeBase64(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, base64.CorruptInputError(strings.IndexAny(text, "\r\n"))
	}
	return base64.StdEncoding.Strict().DecodeString(text)
}
