package conn

import "time"

// Timeouts bounds waits. A zero field means its default, a negative one no
// bound.
type Timeouts struct {
	// Resolve: until the host's addresses are known; 30 s.
	Resolve time.Duration
	// Connect: from then until one of the addresses has answered; 30 s.
	Connect time.Duration
	// Greeting: from the connection until the first reply; 30 s.
	Greeting time.Duration
	// Command: silence while a command is pending, counted from the last byte
	// that came, or from the command if that is later; 5 min. A dialogue whose
	// "+" has come is exempt: in IDLE silence is what one waits for, and a dead
	// peer is the kernel's to find (TCP keepalive).
	Command time.Duration
}

const (
	defaultResolve  = 30 * time.Second
	defaultConnect  = 30 * time.Second
	defaultGreeting = 30 * time.Second
	defaultCommand  = 5 * time.Minute
)

func orDefault(d, standard time.Duration) time.Duration {
	if d == 0 {
		return standard
	}
	return d
}

// instant is a time as a connection keeps it: nanoseconds since epoch, by the
// monotonic clock.
type instant int64

var epoch = time.Now()

func (c *Client) now() instant { return instant(c.transport.k.now().Sub(epoch)) }

// past is a deadline for work that is there now.
var past = time.Unix(0, 0)

// NextDeadline returns when ProcessOneEvent or TryProcessOneEvent wants to be
// called though nothing is ready on the descriptor; a time in the past means
// now: whole replies are waiting. false: there is no such time.
func (c *Client) NextDeadline() (time.Time, bool) {
	if c.backlog {
		return past, true
	}
	if _, limit := c.wait(); limit > 0 {
		return epoch.Add(time.Duration(c.since) + limit), true
	}
	return time.Time{}, false
}

// wait tells what the connection waits for, since c.since, and how long it
// may; 0 or less: for ever.
func (c *Client) wait() (what string, limit time.Duration) {
	switch {
	case c.state == greeting:
		return "greeting", orDefault(c.d.Timeouts.Greeting, defaultGreeting)
	case c.state == ready && c.pending.len() > 0 && !c.idling():
		return "command", orDefault(c.d.Timeouts.Command, defaultCommand)
	}
	return "", 0
}

// idling reports whether a dialogue waits for us, or for news, not for an
// answer.
func (c *Client) idling() bool {
	m := c.out.waiting()
	return m != nil && m.kind == holdMark && m.owed > 0
}

// expired ends a connection that has waited too long.
func (c *Client) expired() bool {
	what, limit := c.wait()
	if limit <= 0 || c.now() < c.since+instant(limit) {
		return false
	}
	c.fail(&TimeoutError{Wait: what, Was: limit})
	return true
}
