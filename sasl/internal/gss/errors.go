package gss

// TokenError is a token that the peer should not have sent, or that somebody changed.
// The context is to end. It holds no byte of the token.
type TokenError struct {
	What string // "token 7 came where token 5 was due"
}

func (e *TokenError) Error() string { return "gss: " + e.What }

// badChecksum does not tell which of the checksums it was, or that it was the copy of
// a header: that is nobody's business.
func badChecksum() error { return &TokenError{What: "the checksum of a token is wrong"} }

// UnsupportedError is a key of an encryption type that is not implemented.
type UnsupportedError struct {
	EType int32
}

func (e *UnsupportedError) Error() string {
	return "gss: " + EncTypeName(e.EType) + " is not supported"
}
