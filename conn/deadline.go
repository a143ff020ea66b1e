package conn

import (
	"math"
	"time"
)

// Timeouts bounds waits. A zero field means its default, a negative one no
// bound.
type Timeouts struct {
	// Resolve: until the host's addresses are known; 30 s.
	Resolve time.Duration
	// Connect: from then until one of the addresses has answered; 30 s.
	Connect time.Duration
	// Handshake: from the beginning of a TLS handshake until its end, without the time
	// for which it waits for its turn in the loop, and silence before that, while
	// STARTTLS is being answered; 30 s.
	Handshake time.Duration
	// Greeting: from the connection, or the end of its TLS handshake, until the first
	// reply; 30 s.
	Greeting time.Duration
	// Authenticate: silence of the server while a login is under way, without the time
	// that our own work takes; 1 min.
	Authenticate time.Duration
	// Command: silence while a command is pending, counted from the last byte that
	// came, or from the first pending command if that is later; 5 min. A dialogue whose
	// "+" has come is exempt: in IDLE silence is what one waits for, and a dead
	// peer is the kernel's to find (TCP keepalive).
	Command time.Duration
	// Reply: silence within a reply that has begun, in IDLE too: a literal that was
	// announced and does not come; 1 min.
	Reply time.Duration
	// Logout: like Command, while the oldest pending command is LOGOUT; 10 s.
	Logout time.Duration
}

const (
	defaultResolve      = 30 * time.Second
	defaultConnect      = 30 * time.Second
	defaultHandshake    = 30 * time.Second
	defaultGreeting     = 30 * time.Second
	defaultAuthenticate = time.Minute
	defaultCommand      = 5 * time.Minute
	defaultReply        = time.Minute
	defaultLogout       = 10 * time.Second
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

// plus adds a limit to an instant. A sum that does not fit is never.
func (t instant) plus(limit time.Duration) instant {
	if sum := t + instant(limit); sum > t {
		return sum
	}
	return never
}

func (c *Client) now() instant { return instant(c.clock().Sub(epoch)) }

func (c *Client) clock() time.Time {
	if c.d.Now != nil {
		return c.d.Now()
	}
	return c.transport.k.now()
}

// never is the instant of a wait without an end.
const never = instant(math.MaxInt64)

// past is a deadline for work that is there now.
var past = time.Unix(0, 0)

// NextDeadline returns when ProcessOneEvent or TryProcessOneEvent wants to be
// called though nothing is ready on the descriptor; a time in the past means
// now: there are whole replies, or last callbacks, that wait for a call. false:
// there is no such time. Legal in a callback.
func (c *Client) NextDeadline() (time.Time, bool) {
	if c.backlog || c.state == closing || c.state == closed {
		return past, true
	}
	if _, _, at := c.wait(); at != never {
		return epoch.Add(time.Duration(at)), true
	}
	return time.Time{}, false
}

// wait tells what the connection waits for, how long it may, and until when.
func (c *Client) wait() (what string, limit time.Duration, until instant) {
	t := &c.d.Timeouts
	switch oldest := c.pending.oldest(); {
	case c.state == greeting:
		what, limit = "greeting", orDefault(t.Greeting, defaultGreeting)
	case c.state == securing && !c.transport.tls().waits():
		what, limit = "TLS handshake", orDefault(t.Handshake, defaultHandshake)
	case c.state != ready:
	case c.in != nil:
		what, limit = "reply", orDefault(t.Reply, defaultReply)
	case oldest == nil || c.idling():
	case c.login != nil && c.login.stage != unbegun:
		if c.login.cancel == nil {
			what, limit = "authentication", orDefault(t.Authenticate, defaultAuthenticate)
		}
	case oldest.verb == startTLS:
		what, limit = "TLS handshake", orDefault(t.Handshake, defaultHandshake)
	case oldest.verb == logout:
		what, limit = "logout", orDefault(t.Logout, defaultLogout)
	default:
		what, limit = "command", orDefault(t.Command, defaultCommand)
	}
	until = never
	if limit > 0 {
		until = c.since.plus(limit)
	}
	if c.timed > 0 {
		if cmd := c.earliest(); cmd.due < until {
			what, limit, until = "command", cmd.Timeout, cmd.due
		}
	}
	return what, limit, until
}

// earliest returns the pending command whose own Timeout comes first.
func (c *Client) earliest() *Command {
	first := &Command{due: never}
	for n := c.pending.first; n != c.pending.next; n++ {
		cmd := c.pending.find(n)
		if cmd == nil || !cmd.whole {
			continue
		}
		if extra := cmd.extra(); extra.due != 0 && extra.due < first.due {
			first = extra
		}
	}
	return first
}

// waitBegins starts the wait for an answer, unless another is on: for the
// greeting, or for the rest of a reply. In a callback since is now already.
func (c *Client) waitBegins() {
	if c.state == ready && c.in == nil && !c.busy {
		c.since = c.now()
	}
}

// idling reports whether a dialogue waits for us, or for news, not for an
// answer.
func (c *Client) idling() bool {
	m := c.out.waiting()
	return m != nil && m.kind == holdMark && m.owed > 0 && !m.said
}

// expired ends a connection that has waited too long.
func (c *Client) expired() bool {
	what, limit, until := c.wait()
	if until == never || c.now() < until {
		return false
	}
	c.fail(&TimeoutError{Wait: what, Was: limit})
	return true
}
