package sasl

import "bytes"

// Login is LOGIN (draft-murchison-sasl-login): the server asks for the name, then
// for the password, and gets them as they stand. It is obsolete, and has no
// authorization identity.
//
// It is not built on go-sasl's client, which is made for SMTP: that sends the name as
// an initial response, where the draft has none and servers differ in what they make
// of one, and refuses to go on unless the server's words are "Password:".
func Login(p Provider) Mechanism { return &login{provider: p} }

type login struct {
	opaque
	provider Provider
}

func (m *login) Name() string { return "LOGIN" }

func (m *login) Traits() Traits { return Traits{Cleartext: true, Strength: Strength("LOGIN")} }

func (m *login) Ready(Params) error { return readyPassword(m.provider) }

func (m *login) New(params Params) Exchange {
	return &loginExchange{provider: m.provider, params: params}
}

type loginExchange struct {
	opaque
	provider Provider
	params   Params
	phase    phase
	authcid  string
	password Secret // nil once it is sent
}

func (x *loginExchange) Start() (Step, error) {
	if !x.phase.move(fresh, asking) {
		return Step{}, ErrFinished
	}
	return credentials(x.provider, "LOGIN", x.params, x.ready)
}

func (x *loginExchange) ready(c Credentials) (Step, error) {
	defer c.Wipe()
	authcid, err := c.onlyPassword("LOGIN", x.params)
	if err != nil {
		return Step{}, err
	}
	x.authcid, x.password = authcid, bytes.Clone(c.Password)
	x.phase = waiting
	return Step{}, nil
}

// Next goes by the number of the challenge: the words differ from server to server,
// and are for people.
func (x *loginExchange) Next([]byte) (Step, error) {
	switch {
	case x.phase.move(waiting, named):
		return Step{Response: []byte(x.authcid)}, nil
	case x.phase.move(named, answered):
		password := x.password
		x.password = nil
		return Step{Response: password}, nil
	case x.phase.move(answered, ended):
		return Step{}, badChallenge("LOGIN", "it is the third, where two are all")
	}
	return Step{}, ErrFinished
}

func (x *loginExchange) Satisfied() bool { return x.phase == answered }

func (x *loginExchange) Done(error) {
	wipe(x.password)
	x.password, x.phase = nil, ended
}
