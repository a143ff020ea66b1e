package sasl

import (
	"errors"

	"github.com/imclient/imclient/sasl/internal/gss"
)

// gssapiCodec is a security layer of wrap tokens (RFC 4752 section 3.3).
type gssapiCodec struct {
	wrapper *gss.Wrapper
	private bool
}

func (c *gssapiCodec) name() string {
	if c.private {
		return "GSSAPI privacy"
	}
	return "GSSAPI integrity"
}

func (c *gssapiCodec) shortest() int { return c.wrapper.Shortest() }
func (c *gssapiCodec) overhead() int { return c.wrapper.Overhead(c.private) }

func (c *gssapiCodec) seal(dst, p []byte) ([]byte, error) {
	return c.wrapper.Seal(dst, p, c.private)
}

func (c *gssapiCodec) open(packet []byte) ([]byte, error) {
	data, private, err := c.wrapper.Open(packet)
	if err != nil {
		var token *gss.TokenError
		if errors.As(err, &token) {
			err = &LayerError{What: "a packet that is no good: " + token.What}
		}
		return nil, err
	}
	if c.private && !private { // nobody has changed it, but it was to be read
		return nil, &LayerError{What: "a packet that is not encrypted, where that was agreed on"}
	}
	return data, nil
}
