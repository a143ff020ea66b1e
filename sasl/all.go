package sasl

import "crypto"

// All returns every mechanism that logs in with what p has, for [Choose] to choose
// of: all but ANONYMOUS, and GSSAPI, which may ask a KDC before anything else is tried
// and has a cache of its own to share: append GSSAPI(k). Its SCRAM mechanisms share the keys that they keep, so call
// it once, and use what it returns for all connections.
func All(p Provider) []Mechanism {
	options := SCRAMOptions{Keys: new(Keys)}
	return []Mechanism{
		External(),
		SCRAM(crypto.SHA512, p, options),
		SCRAM(crypto.SHA256, p, options),
		SCRAM(crypto.SHA1, p, options),
		DIGESTMD5(p, DigestOptions{}),
		CRAMMD5(p),
		OAuthBearer(p),
		XOAuth2(p),
		Plain(p),
		Login(p),
	}
}
