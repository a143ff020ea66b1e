package sasl

import (
	"errors"
	"fmt"
)

var (
	// ErrAuthFailed is 1 of the manual page: the server refused the login, or none of
	// the mechanisms could be tried.
	ErrAuthFailed = errors.New("sasl: authentication failed")
	// ErrPrematureOK is an OK from the server before the exchange was satisfied: it
	// has not proved what the mechanism wants proved, so it may be anybody. It is 2
	// of the manual page, extreme failure.
	ErrPrematureOK = errors.New("sasl: server said OK before it proved itself")
	// ErrNotProved is a proof of the server's that is wrong: it does not know the
	// password, or has not the service's key, and may be anybody. No other mechanism is
	// tried after it.
	ErrNotProved = errors.New("sasl: the server's proof is wrong: it does not know the password or key, or somebody sits between")
	// ErrNoCredentials: there is no password, token or name of the kind that the
	// mechanism needs. The next mechanism is tried; nothing was sent: an exchange that
	// has had a challenge does not return it.
	ErrNoCredentials = errors.New("sasl: no credentials")
	// ErrCleartext: whoever listens would learn the secret. Nothing was sent. Package
	// conn has the same one.
	ErrCleartext = errors.New("sasl: not in the clear: TLS, a privacy layer or the caller's permission is missing")
	// ErrNoBinding: the TLS below has no channel binding of a kind that the mechanism
	// takes, or there is no TLS.
	ErrNoBinding = errors.New("sasl: no channel binding")
	// ErrNoProtection: the server offers no security layer that Params.Prot allows, nor
	// to go without one where it does. Nothing that depends on a secret was sent.
	ErrNoProtection = errors.New("sasl: the server has none of the security layers that are allowed")
	// ErrDowngrade: somebody between has taken the stronger mechanisms out of the
	// server's list. No other mechanism is tried after it.
	ErrDowngrade = errors.New("sasl: the server has mechanisms that were taken out of its list on the way")
	// ErrFinished is a call to an exchange that is at its end, or not in this state.
	ErrFinished = errors.New("sasl: the exchange is not in a state for this call")
)

// ChallengeError is a challenge that breaks the mechanism's rules; the server is to
// blame. It holds nothing of the challenge, which may hold what we sent before. The
// login is to be given up.
type ChallengeError struct {
	Mechanism string
	What      string // "the nonce does not begin with ours"
}

func (e *ChallengeError) Error() string { return "sasl: " + e.Mechanism + " challenge: " + e.What }

// LayerError is a packet of a security layer that the server should not have sent,
// or that somebody changed. The connection is to end.
type LayerError struct {
	Mechanism string
	What      string // "packet of 70000 bytes, where 65536 were agreed"
}

func (e *LayerError) Error() string { return "sasl: " + e.Mechanism + " layer: " + e.What }

// ProviderError is an error of a [Provider], or the context's while it was asked;
// the caller is to blame. Where it wraps [ErrNoCredentials] the next mechanism is
// tried, else none.
type ProviderError struct {
	Mechanism string
	Err       error
}

func (e *ProviderError) Error() string {
	return "sasl: credentials for " + e.Mechanism + ": " + e.Err.Error()
}

// Unwrap returns Err.
func (e *ProviderError) Unwrap() error { return e.Err }

// errDerivation is what others get who wait for a derivation that panics.
var errDerivation = errors.New("sasl: key derivation did not end")

// errGivenUp is what they get if it has not even begun: one of them begins anew.
var errGivenUp = errors.New("sasl: key derivation did not begin")

// keysToBlame reports whether a login that ended so may have failed because of the
// keys it used: not when the connection died, when a thousand others will come back
// for them.
func keysToBlame(err error) bool {
	return errors.Is(err, ErrAuthFailed) || errors.Is(err, ErrNotProved)
}

// badChallenge is a *ChallengeError; args must be numbers or names, never bytes of
// the challenge.
func badChallenge(mechanism, format string, args ...any) error {
	return &ChallengeError{Mechanism: mechanism, What: fmt.Sprintf(format, args...)}
}
