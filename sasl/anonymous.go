package sasl

import (
	"unicode"
	"unicode/utf8"

	gosasl "github.com/emersion/go-sasl"
)

// Anonymous is ANONYMOUS (RFC 4505): nobody is logged in. trace is what the server
// is told of whoever it is, an e-mail address or at most 255 characters without "@";
// it may be "". It follows no other mechanism that was refused.
func Anonymous(trace string) Mechanism {
	return &wrapped{
		name:   "ANONYMOUS",
		traits: Traits{Anonymous: true, Strength: Strength("ANONYMOUS")},
		client: func(Params) (gosasl.Client, error) { return gosasl.NewAnonymousClient(trace), nil },
		ready:  func(params Params) error { return readyAnonymous(trace, params) },
		quick:  true,
	}
}

func readyAnonymous(trace string, params Params) error {
	switch {
	case params.User != "":
		return noCredentials("ANONYMOUS can act for no user")
	case !utf8.ValidString(trace) || utf8.RuneCountInString(trace) > 255:
		return noCredentials("trace information is at most 255 characters of UTF-8")
	}
	for _, r := range trace {
		if unicode.IsControl(r) {
			return noCredentials("trace information holds no control characters")
		}
	}
	return nil
}
