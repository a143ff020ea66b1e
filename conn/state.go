package conn

// state is where a client is in its life. Only setState changes it.
type state uint8

const (
	// greeting: connected, nothing heard. Commands are written all the same,
	// as the C library does; what is special is the deadline. The first reply,
	// whatever it is, leads to ready.
	greeting state = iota
	// ready: replies and commands flow. A STARTTLS that the server accepts leads to
	// securing, everything else to closing.
	ready
	// securing: a TLS handshake, at once where TLS is implicit, or after STARTTLS.
	// Commands queue, and nothing but the handshake's records is written. Leads to
	// greeting where nothing was heard yet, else to ready, or to closing.
	securing
	// closing: the end is decided, by the peer, an error or Close, and err says
	// why. No reply is dispatched any more. What is left is done when the
	// outermost call returns: closing the descriptor, then the last callbacks.
	closing
	// closed: the descriptor is gone and the last callbacks run: the commands'
	// "EOF", oldest first, then OnClose. One that panics does not cost the others
	// their call: the next call goes on with them.
	closed
	// dead: final. No callback will ever run again.
	dead
)

// moves lists the legal transitions; a test walks all pairs.
var moves = [...]uint8{
	greeting: 1<<ready | 1<<securing | 1<<closing,
	ready:    1<<securing | 1<<closing,
	securing: 1<<greeting | 1<<ready | 1<<closing,
	closing:  1 << closed,
	closed:   1 << dead,
	dead:     0,
}

func (c *Client) setState(s state) {
	if moves[c.state]&(1<<s) == 0 {
		panic("conn: illegal transition")
	}
	c.state = s
}
