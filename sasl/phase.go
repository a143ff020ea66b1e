package sasl

// phase is where an exchange is. Each uses those that it needs, in this order.
type phase uint8

const (
	// fresh: Start has not been called.
	fresh phase = iota
	// asking: the provider has been asked for credentials.
	asking
	// waiting: for a challenge; no secret has been used.
	waiting
	// named: the name has been sent, or the client-first-message.
	named
	// deriving: keys are being computed.
	deriving
	// proving: the last response has been sent, and the server owes a proof.
	proving
	// agreeing: the server has proved itself, and owes its offer of layers.
	agreeing
	// answered: all has been said; the server may say OK.
	answered
	// refused: the server has said why it will say NO.
	refused
	// ended: by an error, or the login is over.
	ended
)

// move goes from one phase to the next, if it is that one.
func (p *phase) move(from, to phase) bool {
	if *p != from {
		return false
	}
	*p = to
	return true
}
