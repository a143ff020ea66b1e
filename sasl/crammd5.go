package sasl

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"encoding/hex"
)

// CRAMMD5 is CRAM-MD5 (RFC 2195): a keyed hash of the server's challenge. The
// password is not sent, but the server proves nothing, and whoever listens can try
// passwords at leisure. It has no authorization identity.
func CRAMMD5(p Provider) Mechanism { return &cramMD5{provider: p} }

type cramMD5 struct {
	opaque
	provider Provider
}

func (m *cramMD5) Name() string { return "CRAM-MD5" }

func (m *cramMD5) Traits() Traits { return Traits{Strength: Strength("CRAM-MD5")} }

func (m *cramMD5) Ready(Params) error {
	if err := allowedHash("MD5"); err != nil {
		return err
	}
	return readyPassword(m.provider)
}

func (m *cramMD5) New(params Params) Exchange {
	return &cramMD5Exchange{provider: m.provider, params: params}
}

type cramMD5Exchange struct {
	opaque
	provider Provider
	params   Params
	phase    phase
	authcid  string
	password Secret
}

func (x *cramMD5Exchange) Start() (Step, error) {
	if !x.phase.move(fresh, asking) {
		return Step{}, ErrFinished
	}
	return credentials(x.provider, "CRAM-MD5", x.params, x.ready)
}

func (x *cramMD5Exchange) ready(c Credentials) (Step, error) {
	defer c.Wipe()
	authcid, err := c.onlyPassword("CRAM-MD5", x.params)
	if err != nil {
		return Step{}, err
	}
	x.authcid, x.password = authcid, bytes.Clone(c.Password)
	x.phase = waiting
	return Step{}, nil
}

func (x *cramMD5Exchange) Next(challenge []byte) (Step, error) {
	switch {
	case x.phase.move(waiting, answered):
		return x.answer(challenge)
	case x.phase.move(answered, ended):
		return Step{}, badChallenge("CRAM-MD5", "it is the second, where one is all")
	}
	return Step{}, ErrFinished
}

// answer is the name, a space, and the digest in hexadecimal. A name may hold
// spaces: the server takes the last one for the border.
func (x *cramMD5Exchange) answer(challenge []byte) (Step, error) {
	defer x.forget()
	// Without a timestamp or random number in it, the answer to an old one would do.
	// RFC 2195 has them in angle brackets; servers differ in what stands around.
	if len(challenge) < len("<1@a>") {
		x.phase = ended
		return Step{}, badChallenge("CRAM-MD5", "there is nothing new in it")
	}
	mac := hmac.New(md5.New, x.password)
	mac.Write(challenge)
	response := append([]byte(x.authcid), ' ')
	return Step{Response: hex.AppendEncode(response, mac.Sum(nil))}, nil
}

func (x *cramMD5Exchange) Satisfied() bool { return x.phase == answered }

func (x *cramMD5Exchange) Done(error) {
	x.forget()
	x.phase = ended
}

func (x *cramMD5Exchange) forget() {
	wipe(x.password)
	x.password = nil
}
