package sasl

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// OAuthError is why a server refuses a token, as it said so itself in a challenge
// (RFC 7628 section 3.2.2). What it says is shown quoted and cut to 200 bytes, and
// without the token.
type OAuthError struct {
	Mechanism     string
	Status        string // "invalid_token", or the status of HTTP, "401"
	Schemes       string
	Scope         string // what the token must be good for; "": whatever
	Configuration string // URL of the issuer's metadata (OpenID Connect Discovery)
}

func (e *OAuthError) Error() string {
	text := "sasl: " + e.Mechanism + ": the server refuses the token"
	for _, field := range []struct{ name, value string }{
		{"status", e.Status}, {"schemes", e.Schemes}, {"scope", e.Scope}, {"configuration", e.Configuration},
	} {
		if field.value != "" {
			text += ", " + field.name + " " + strconv.QuoteToASCII(field.value)
		}
	}
	return text
}

// Unwrap returns [ErrAuthFailed].
func (e *OAuthError) Unwrap() error { return ErrAuthFailed }

// maxServerText is how many bytes of what a server says are kept for an error.
const maxServerText = 200

// parseOAuthError decodes a challenge; token is what is not to be shown of it.
func parseOAuthError(mechanism string, challenge []byte, token string) (*OAuthError, error) {
	var said struct {
		Status        json.RawMessage `json:"status"` // a number, too, whatever the RFC says
		Schemes       string          `json:"schemes"`
		Scope         string          `json:"scope"`
		Configuration string          `json:"openid-configuration"`
	}
	if json.Unmarshal(challenge, &said) != nil || !bytes.HasPrefix(bytes.TrimLeft(challenge, " \t\r\n"), []byte("{")) {
		return nil, badChallenge(mechanism, "it is not a JSON object with an error in it")
	}
	var status string
	if json.Unmarshal(said.Status, &status) != nil {
		status = string(said.Status)
	}
	show := func(s string) string {
		if token != "" {
			s = strings.ReplaceAll(s, token, "***")
		}
		return s[:min(len(s), maxServerText)]
	}
	return &OAuthError{
		Mechanism:     mechanism,
		Status:        show(status),
		Schemes:       show(said.Schemes),
		Scope:         show(said.Scope),
		Configuration: show(said.Configuration),
	}, nil
}

// bearer is a mechanism that sends a bearer token and may hear, in a challenge, why
// it is refused.
type bearer struct {
	opaque
	name     string
	provider Provider
	message  func(params Params, user string, token Secret) []byte
	// after is the answer to the server's explanation, for which it waits before it
	// says NO.
	after string
}

func (m *bearer) Name() string { return m.name }

func (m *bearer) Traits() Traits {
	_, fixed := m.provider.(*static)
	return Traits{Cleartext: true, Renews: !fixed, Strength: Strength(m.name)}
}

func (m *bearer) Ready(Params) error { return readyToken(m.provider) }

func (m *bearer) New(params Params) Exchange { return &bearerExchange{m: m, params: params} }

type bearerExchange struct {
	opaque
	m      *bearer
	params Params
	phase  phase
	token  Secret // for what the server says to be shown without it
	reason *OAuthError
}

func (x *bearerExchange) Start() (Step, error) {
	if !x.phase.move(fresh, asking) {
		return Step{}, ErrFinished
	}
	return credentials(x.m.provider, x.m.name, x.params, x.initial)
}

func (x *bearerExchange) initial(c Credentials) (Step, error) {
	defer c.Wipe()
	if err := x.check(c); err != nil {
		return Step{}, err
	}
	// The identity that is sent is whose mailbox it is to be: servers want it even
	// where the token says it.
	params := x.params
	params.CurrentUser = nil // a token says whose it is
	authcid, user := c.identities(params)
	if user == "" {
		user = authcid
	}
	if strings.ContainsAny(user+x.params.Host, "\x00\x01") {
		return Step{}, noCredentials(x.m.name + " cannot carry a control character in a name")
	}
	x.token = bytes.Clone(c.Token)
	x.phase = answered
	return Step{Response: x.m.message(x.params, user, c.Token)}, nil
}

// check returns nil for a token that can stand in "Bearer token" (RFC 6750 section
// 2.1; more characters than that are seen, but blanks and controls end it).
func (x *bearerExchange) check(c Credentials) error {
	if len(c.Token) == 0 {
		return noCredentials("no token")
	}
	for _, b := range c.Token {
		if b <= ' ' || b > '~' {
			return noCredentials("a token holds no blanks, control characters or 8-bit characters")
		}
	}
	return nil
}

func (x *bearerExchange) Next(challenge []byte) (Step, error) {
	switch {
	case x.phase.move(answered, refused):
		reason, err := parseOAuthError(x.m.name, challenge, string(x.token))
		x.forget()
		if err != nil {
			x.phase = ended
			return Step{}, err
		}
		x.reason = reason
		return Step{Response: []byte(x.m.after)}, nil
	case x.phase.move(refused, ended):
		return Step{}, badChallenge(x.m.name, "it comes after the one that said why the token is refused")
	}
	return Step{}, ErrFinished
}

// Satisfied: an OK after the server has said why it refuses is no OK.
func (x *bearerExchange) Satisfied() bool { return x.phase == answered }

// Explain implements [Explainer].
func (x *bearerExchange) Explain() error {
	if x.reason == nil {
		return nil
	}
	return x.reason
}

func (x *bearerExchange) Done(error) {
	x.forget()
	x.phase = ended
}

func (x *bearerExchange) forget() {
	wipe(x.token)
	x.token = nil
}
