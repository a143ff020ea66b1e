package sasl

import (
	"context"
	"fmt"
	"io"
)

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

// Params is what one login needs to know.
type Params struct {
	Service string // "imap", "acap"; with Host the name of the service
	Host    string // the server's name as the caller gave it, never what DNS says
	// User is whom to act for (authorization identity). "": whomever the
	// credentials belong to.
	User string
	// CurrentUser names who runs the process; it is asked where neither the credentials
	// nor User say whose password it is. nil: nobody.
	CurrentUser func() string
	Prot        Prot // what may come of it; 0 is ProtNone
	// MaxReceive is the largest packet of a security layer that can be taken, in
	// bytes, announced to the server.
	MaxReceive int
	// Binding returns what binds the login to the TLS below, by the kind's name in
	// the registry of RFC 5056: "tls-exporter", "tls-unique", "tls-server-end-point";
	// an error where this connection has none of that kind. nil: no TLS, or the login
	// is not to be bound.
	Binding func(kind string) ([]byte, error)
	// BindingOffered: the login is by the mechanism's -PLUS form, because the
	// server's list has it. With Binding it decides the flag of RFC 5802 section 6:
	// both, "p"; Binding alone, "y"; no Binding, "n".
	BindingOffered bool
	Port           int       // where it connected to; 0: it does not say
	Last           error     // why the try before this one, in the same Authenticate, failed; nil in the first
	Rand           io.Reader // nil: crypto/rand
}

// Mechanism is a way to log in: a reusable factory, with its credentials in it. It
// is used for any number of logins at a time, from any goroutine. It may be
// [Described] and [Prepared] as well.
type Mechanism interface {
	// Name is the mechanism's registered name, "SCRAM-SHA-256", without -PLUS.
	Name() string
	// New begins a login.
	New(Params) Exchange
}

// Described is what a [Mechanism] may have besides: what [Choose] has to know of
// it. One without is taken for the worst: it tells its secret to whoever listens,
// the server proves nothing, no security layer comes of it, and its strength is 0.
type Described interface {
	Traits() Traits
}

// Traits are what a mechanism is worth.
type Traits struct {
	Cleartext bool // whoever listens learns a secret that logs in again
	Mutual    bool // the server proves that it knows the secret, too
	Anonymous bool // nobody is logged in
	External  bool // the proof lies below: a TLS client certificate, a unix socket
	Binds     bool // it has a -PLUS form, which binds the login to the TLS below
	Prot      Prot // the security layers that it can make; 0 is ProtNone
	Renews    bool // its provider may have another secret after a failure: it is tried once more
	Strength  int  // the higher is tried first; 0 to 1000, see [Strength]
}

// Prepared is what a [Mechanism] may have besides: whether a login with it can be
// tried at all.
type Prepared interface {
	// Ready returns nil, or why not: no password, no ticket. It answers at once. The
	// error wraps [ErrNoCredentials] where that is why.
	Ready(Params) error
}

// Exchange is one login. Its methods never block and never do slow work: what
// must be fetched or derived is handed out as Step.Work. After an error it is at
// its end. Errors never hold a secret, nor anything that the server may have made
// of one. An exchange may be [Layered], an [Outcome] and an [Explainer] as well.
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
	// Response is to be sent, not yet encoded in base64; see Start for nil. It
	// belongs to the caller, who overwrites it once it is sent: it may hold a secret.
	Response []byte
	// Work, if not nil, comes before a response can be given: it may block and
	// burn time, is to be run once, on any goroutine, and returns the step to go
	// on with, which may be work again. Nothing else of the exchange may be called
	// before it has returned. When ctx is done it returns as soon as it can.
	Work func(ctx context.Context) (Step, error)
}

// Format implements [fmt.Formatter]: a response may be a secret, so only its length is
// shown, whatever the verb.
func (s Step) Format(f fmt.State, verb rune) {
	switch {
	case s.Work != nil:
		io.WriteString(f, "{Work}")
	case s.Response == nil:
		io.WriteString(f, "{}")
	default:
		fmt.Fprintf(f, "{Response:%d bytes}", len(s.Response))
	}
}

// Layered is what an [Exchange] may be besides: one that negotiates a security
// layer. Its methods are called once, when the server has said OK.
type Layered interface {
	// Layer is what the connection goes through from the byte behind the OK on,
	// above any TLS; nil: nothing.
	Layer() Layer
	// Prot is what the layer gives, one bit; without a layer ProtNone.
	Prot() Prot
	// SSF is the layer's security strength factor: 0 for none, 1 for integrity
	// alone, else the length of the key in bits (RFC 4422 section 3.7 has the idea, SASL
	// libraries the number).
	SSF() int
}

// Layer is a security layer (RFC 4422 section 3.7) without a socket: bytes from
// below are fed, what they decode to is read; bytes from above are written, what
// they encode to is pending until it has been sent. Errors are final; those that the
// server is to blame for are [*LayerError].
type Layer interface {
	// Feed takes what came from below. p is lent, and may be written to, until Keep.
	Feed(p []byte)
	// Read moves decoded bytes to p. 0 and no error: feed more first.
	Read(p []byte) (int, error)
	// Keep ends the loan: the layer copies what it could not use yet.
	Keep()
	// Write takes all of p.
	Write(p []byte) error
	// Pending is the encoded output, valid until the next call of another method;
	// Sent drops its first n bytes.
	Pending() []byte
	Sent(n int)
}

// Outcome is what an [Exchange] may be besides: one that wants to know how the
// login ended.
type Outcome interface {
	// Done is called once, at the end of the exchange: nil after the server's OK, an
	// error that wraps [ErrAuthFailed] after its NO, else why the exchange was given
	// up. The exchange lets go of its secrets.
	Done(err error)
}

// Explainer is what an [Exchange] may be besides: one in which the server can say
// why it is going to refuse.
type Explainer interface {
	// Explain returns what the server said, [*OAuthError] or [*ServerError]; nil:
	// nothing.
	Explain() error
}
