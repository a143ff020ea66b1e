package sasl

import "errors"

// Prot is a bitmask of permissible protection mechanisms (protallowed of
// imclient_authenticate): what may lie between the protocol and the socket once
// the login is done. The strongest that both sides have is chosen.
type Prot uint8

const (
	// ProtNone: no security layer.
	ProtNone Prot = 1 << iota
	// ProtIntegrity: nobody can change what is sent.
	ProtIntegrity
	// ProtPrivacy: nobody can read it either.
	ProtPrivacy
	// ProtAny leaves the choice open (SASL_PROT_ANY).
	ProtAny = ProtNone | ProtIntegrity | ProtPrivacy
)

// ErrPrematureOK is an OK from the server before the exchange was satisfied:
// it has not proved what the mechanism wants proved, so it may be anybody. It is
// 2 of the manual page, extreme failure.
var ErrPrematureOK = errors.New("sasl: server said OK before it proved itself")

// Params is what one login needs to know.
type Params struct {
	Service string // "imap", "acap"; with Host the name of the service
	Host    string // the server's name as the caller gave it, never what DNS says
	// User is whom to act for (authorization identity). "": whomever the
	// credentials belong to.
	User string
	Prot Prot // what may come of it; 0 is ProtNone
	// MaxReceive is the largest packet of a security layer that can be taken, in
	// bytes, announced to the server.
	MaxReceive int
}

// Mechanism is a way to log in: a reusable factory, with its credentials in it.
type Mechanism interface {
	// Name is the mechanism's registered name, "SCRAM-SHA-256".
	Name() string
	// New begins a login.
	New(Params) Exchange
}

// Exchange is one login. Its methods never block and never do slow work: what
// must be fetched or derived is handed out as Step.Work. After an error it is
// at its end. Errors never hold a secret.
type Exchange interface {
	// Start returns the initial response. A nil Response means that the
	// mechanism has none and the server speaks first; an empty one is a response
	// of no bytes, which is something else (RFC 4422 section 3.3).
	Start() (Step, error)
	// Next answers a challenge, already decoded from base64. The challenge is
	// valid during the call only.
	Next(challenge []byte) (Step, error)
	// Satisfied reports whether the server may say OK now: it has proved all
	// that the mechanism asks it to. An OK before that is [ErrPrematureOK].
	Satisfied() bool
}

// Step is what an exchange wants next.
type Step struct {
	// Response is to be sent, not yet encoded in base64; see Start for nil.
	Response []byte
	// Work, if not nil, comes before a response can be given: it may block and
	// burn time, is to be run once, on any goroutine, and returns the step to go
	// on with. Nothing else of the exchange may be called before it has returned.
	Work func() (Step, error)
}
