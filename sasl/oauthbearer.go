package sasl

import "strconv"

// OAuthBearer is OAUTHBEARER (RFC 7628): a bearer token of OAuth 2.0. Where the server
// says in a challenge why it refuses it, that is an [*OAuthError], the answer that it
// waits for is given, and the provider is asked once more, with the error.
//
// It is not built on go-sasl's client: that ends at the challenge without the
// answer, so that the server's NO never comes; it does not escape "," and "=" in the
// name, drops openid-configuration, and takes the token as a string.
func OAuthBearer(p Provider) Mechanism {
	return &bearer{name: "OAUTHBEARER", provider: p, message: oauthBearerMessage, after: "\x01"}
}

// oauthBearerMessage is a gs2-header and pairs, each ended by ^A, and one ^A more
// (RFC 7628 section 3.1).
func oauthBearerMessage(params Params, user string, token Secret) []byte {
	head := "n,"
	if user != "" {
		head += "a=" + saslname(user)
	}
	head += ",\x01"
	if params.Host != "" {
		head += "host=" + params.Host + "\x01"
	}
	if params.Port > 0 {
		head += "port=" + strconv.Itoa(params.Port) + "\x01"
	}
	return bearerMessage(head, token)
}

// bearerMessage ends a message with the token. It is made in one piece, so that one
// piece is to be overwritten.
func bearerMessage(head string, token Secret) []byte {
	const scheme, end = "auth=Bearer ", "\x01\x01"
	message := make([]byte, 0, len(head)+len(scheme)+len(token)+len(end))
	message = append(append(message, head...), scheme...)
	return append(append(message, token...), end...)
}
