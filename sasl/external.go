package sasl

import (
	"strings"
	"unicode/utf8"

	gosasl "github.com/emersion/go-sasl"
)

// External is EXTERNAL (RFC 4422 appendix A): who we are has been proved below, by
// a TLS client certificate or a unix socket, and Params.User is whom to act for; "" is
// whomever that proof belongs to.
func External() Mechanism {
	return &wrapped{
		name:   "EXTERNAL",
		traits: Traits{External: true, Strength: Strength("EXTERNAL")},
		client: func(p Params) (gosasl.Client, error) { return gosasl.NewExternalClient(p.User), nil },
		ready: func(p Params) error {
			if !utf8.ValidString(p.User) || strings.Contains(p.User, "\x00") {
				return noCredentials("an authorization identity is UTF-8 without NUL")
			}
			return nil
		},
		quick: true,
	}
}
