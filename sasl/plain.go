package sasl

import "strings"

// Plain is PLAIN (RFC 4616): the password as it stands, with an authorization
// identity. Names and password go as they are; preparing them is the server's
// business (section 2).
//
// It is not built on go-sasl's client: that takes the password as a string, which
// cannot be overwritten, joins strings to others, and lets a NUL in a name through,
// which moves the borders between the fields. What it says is the same; a test
// compares them.
func Plain(p Provider) Mechanism { return &plain{provider: p} }

type plain struct {
	opaque
	provider Provider
}

func (m *plain) Name() string { return "PLAIN" }

func (m *plain) Traits() Traits { return Traits{Cleartext: true, Strength: Strength("PLAIN")} }

func (m *plain) Ready(Params) error { return readyPassword(m.provider) }

func (m *plain) New(params Params) Exchange {
	return &plainExchange{provider: m.provider, params: params}
}

type plainExchange struct {
	opaque
	provider Provider
	params   Params
	phase    phase
}

func (x *plainExchange) Start() (Step, error) {
	if !x.phase.move(fresh, asking) {
		return Step{}, ErrFinished
	}
	return credentials(x.provider, "PLAIN", x.params, x.message)
}

// message is [authzid] NUL authcid NUL passwd.
func (x *plainExchange) message(c Credentials) (Step, error) {
	defer c.Wipe()
	authcid, authzid := c.identities(x.params)
	if err := c.needPassword(authcid); err != nil {
		return Step{}, err
	}
	if strings.Contains(authzid+authcid, "\x00") || hasNUL(c.Password) {
		return Step{}, noCredentials("PLAIN cannot carry a NUL in a name or password")
	}
	message := make([]byte, 0, len(authzid)+len(authcid)+len(c.Password)+2)
	message = append(message, authzid...)
	message = append(append(message, 0), authcid...)
	message = append(append(message, 0), c.Password...)
	x.phase = answered
	return Step{Response: message}, nil
}

func (x *plainExchange) Next([]byte) (Step, error) {
	if !x.phase.move(answered, ended) {
		return Step{}, ErrFinished
	}
	return Step{}, badChallenge("PLAIN", "there is to be none")
}

func (x *plainExchange) Satisfied() bool { return x.phase == answered }
