package conn

import (
	"math/bits"
	"sync"
)

// command is what is remembered of a command until its tagged reply. It is small,
// because thousands of connections with many each do not fit the caches.
type command struct {
	finish Proc
	rock   any    // with whole: the *Command, which has finish and rock
	end    int64  // its position in the queue; 0: the place is empty
	size   uint32 // bytes before that which are its own
	verb   verb
	whole  bool // it was sent by SendCommand
	secret bool // there is a secret in it
}

// extra returns what the command carries; nil: it was sent by Send.
func (cmd *command) extra() *Command {
	if !cmd.whole {
		return nil
	}
	return cmd.rock.(*Command)
}

// pending is the commands without a tagged reply, found by the number in their
// tag: a ring whose places are consecutive numbers. Completed out of order,
// a place stays empty until the older ones are done.
type pending struct {
	ring  *ring   // nil while one place is enough
	first uint64  // the oldest that may be there
	next  uint64  // the number of the next command
	one   command // the place without a ring
}

// ring has a power of two of places. Rings are pooled: one that a burst of
// pipelining has stretched does not stay with an idle connection.
type ring struct{ places []command }

// minRing is the size of the first ring, large enough for most pipelining.
const minRing = 16

var ringPools [24]sync.Pool

func newRing(n int) *ring {
	class := bits.Len(uint(n - 1))
	if class < len(ringPools) {
		if r, ok := ringPools[class].Get().(*ring); ok {
			return r
		}
	}
	return &ring{make([]command, 1<<class)}
}

// release gives back a ring whose places are all empty.
func (r *ring) release() {
	if class := bits.Len(uint(len(r.places) - 1)); class < len(ringPools) {
		ringPools[class].Put(r)
	}
}

func (p *pending) len() int { return int(p.next - p.first) }

func (p *pending) at(number uint64) *command {
	if p.ring == nil {
		return &p.one
	}
	return &p.ring.places[number&uint64(len(p.ring.places)-1)]
}

// add makes a place for the next command, and returns it.
func (p *pending) add() *command {
	if p.ring == nil {
		if p.len() == 1 {
			p.grow(minRing)
		}
	} else if n := len(p.ring.places); p.len() == n {
		p.grow(2 * n)
	}
	p.next++
	return p.at(p.next - 1)
}

// grow moves the commands to a ring of twice the size.
func (p *pending) grow(size int) {
	old := *p
	p.ring = newRing(size)
	for i := old.first; i != old.next; i++ {
		*p.at(i) = *old.at(i)
		*old.at(i) = command{}
	}
	p.one = command{}
	if old.ring != nil {
		old.ring.release()
	}
}

// find returns a pending command; nil when there is none of that number.
func (p *pending) find(number uint64) *command {
	if number-p.first >= p.next-p.first {
		return nil
	}
	if c := p.at(number); c.end != 0 {
		return c
	}
	return nil
}

// oldest returns the oldest pending command, nil when there is none.
func (p *pending) oldest() *command {
	if p.len() == 0 {
		return nil
	}
	return p.at(p.first)
}

// begin is the position of the command's first byte.
func (cmd *command) begin() int64 { return cmd.end - int64(cmd.size) }

// call hands a reply to the command's callback, unless the caller has given it
// up.
func (cmd *command) call(c *Client, r *Reply) {
	finish, rock := cmd.finish, cmd.rock
	if extra := cmd.extra(); extra != nil {
		finish, rock = extra.Finish, extra.Rock
	}
	if finish != nil {
		finish(c, rock, r)
	}
}

// secret reports whether one of the commands has a secret in it, or asks for one.
func (p *pending) secret() bool {
	for n := p.first; n != p.next; n++ {
		if cmd := p.find(n); cmd != nil && (cmd.secret || cmd.verb == authenticate) {
			return true
		}
	}
	return false
}

// take removes a pending command and returns it.
func (p *pending) take(number uint64) command {
	c := *p.at(number)
	*p.at(number) = command{}
	for p.first != p.next && p.at(p.first).end == 0 {
		p.first++
	}
	if p.first == p.next && p.ring != nil {
		p.ring.release()
		p.ring = nil
	}
	return c
}
