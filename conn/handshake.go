package conn

import (
	"crypto/tls"
	"io"
	"os"
	"time"

	"github.com/imclient/imclient/tlsup"
)

// security is TLS on a connection: the engine, which is its lowest layer, and the
// way to it, which is state securing. A handshake computes for about a millisecond in
// all. Bare that is done where the bytes come in. In a loop, which may have a
// thousand of them at once, it is left to the loop, which does a few in a turn, or to
// workers; until then nothing more is read, so that nothing happens out of order.
type security struct {
	engine *tlsup.Engine
	policy *tlsup.Policy
	peer   tlsup.Peer
	done   func(error)   // is owed to whoever waits for the handshake; nil: nobody
	up     bool          // the handshake is done
	heard  bool          // something has come through it
	before string        // the server's capabilities in the clear, as far as they were known
	errand *errand       // who will make the next step, and then go on; nil: the next event
	last   step          // what came of the last step
	busy   time.Duration // all steps
}

// errand is a step that is left to the loop, in its turn, or to a worker.
type errand struct {
	job   *job    // nil: it is the loop's
	asked instant // when the wait for it began
	void  bool    // the connection has ended, or left the loop
}

// step is what came of one step of a handshake.
type step struct {
	made     bool // and no conclusion has been drawn from it
	done     bool
	err      error
	panicked any // a callback of the tls.Config did
}

// identified reports whether there is a client certificate, so that the server may
// know by TLS who we are.
func (t *security) identified() bool {
	files := t.peer.Files
	if files == (tlsup.Files{}) {
		files = t.policy.Files
	}
	config := t.policy.Config
	return files.Cert != "" || config != nil && (len(config.Certificates) > 0 || config.GetClientCertificate != nil)
}

// terms are what a handshake is made with, ready before the server is troubled.
type terms struct {
	policy   *tlsup.Policy
	peer     tlsup.Peer
	config   *tls.Config
	warnings []string // that nobody has been told yet
}

// terms makes them for a peer. The error is about files or the server's name.
func (d *Dialer) terms(peer tlsup.Peer) (t *terms, err error) {
	t = &terms{policy: d.tlsPolicy(), peer: peer}
	t.config, t.warnings, err = t.policy.For(peer)
	return t, err
}

// secure begins TLS: all bytes from here on are its.
func (c *Client) secure(terms *terms, done func(error)) {
	t := &security{engine: tlsup.Client(terms.config), policy: terms.policy, peer: terms.peer, done: done, before: c.capable.text()}
	c.transport.push(t.engine)
	c.transport.above.tls = t
	c.capable = capabilities{}
	c.since = c.now()
	c.setState(securing)
	c.trace.note("TLS handshake")
	for _, text := range terms.warnings {
		c.warn(text)
	}
}

// waits reports whether the handshake can do nothing until somebody else has.
func (t *security) waits() bool { return t.errand != nil }

// lent reports whether a worker may be at the engine, which nobody else touches then.
func (t *security) lent() bool { return t.errand != nil && t.errand.job != nil }

// canStep reports whether the next event has something to do without input: the first
// records to make, as a rule. They can be sent, so it waits until the socket can be
// written to.
func (t *security) canStep() bool { return !t.waits() && (t.last.made || t.engine.Ready()) }

// recall takes an errand back, from whoever has it. What a worker has done of it
// counts.
func (c *Client) recall() {
	t := c.transport.tls()
	if t == nil || t.errand == nil {
		return
	}
	e := t.errand
	e.void, t.errand = true, nil
	if e.job != nil {
		t.last.made = c.d.Workers.recall(e.job)
	}
}

// handshake is one event of a handshake.
func (c *Client) handshake(s *scratch) (did bool) {
	switch t := c.transport.tls(); {
	case c.loop == nil:
		did = c.handshakeBare()
	case !t.waits():
		did = c.handshakeInLoop()
	}
	return c.proceed(s) || did || c.expired()
}

// handshakeBare reads and computes as far as it can. It takes no byte from the socket
// that is not the handshake's: who waits for more finds the socket readable.
func (c *Client) handshakeBare() (did bool) {
	t := c.transport.tls()
	for ; c.state == securing; did = true {
		switch {
		case t.last.made: // before it was taken out of its loop
			c.stepped()
		case t.engine.Ready():
			t.step()
			c.stepped()
		case !c.readHandshake(t.engine.Need()):
			return did
		}
	}
	return did
}

// handshakeInLoop reads once, and asks for time to compute if there is what for.
func (c *Client) handshakeInLoop() (did bool) {
	t := c.transport.tls()
	if t.last.made { // in another loop
		c.stepped()
		return true
	}
	if !t.engine.Ready() {
		did = c.readHandshake(readSize)
	}
	if c.state == securing && t.engine.Ready() {
		c.compute()
		did = true
	}
	return did
}

// readHandshake makes one read of at most n bytes.
func (c *Client) readHandshake(n int) bool {
	raw := rawPool.Get().(*rawBuffer)
	defer rawPool.Put(raw)
	n, eof, err := c.transport.receive(raw[:min(n, len(raw))])
	c.transport.keep()
	if err == nil && eof {
		err = io.EOF
	}
	if err != nil {
		c.handshakeFailed(err)
	}
	return n > 0 || err != nil
}

// compute has the next step made when there is time for it.
func (c *Client) compute() {
	t := c.transport.tls()
	e := &errand{asked: c.now()}
	t.errand = e
	if w := c.d.Workers; w != nil {
		e.job = w.do(c.loop, t.step, func() { c.computed(e) })
		return
	}
	c.loop.Spread(func() {
		if !e.void {
			t.step()
		}
		c.computed(e)
	})
}

// computed is an event without readiness: it goes on with what came of an errand.
func (c *Client) computed(e *errand) {
	if e.void {
		return
	}
	c.transport.tls().errand = nil
	c.since += c.now() - e.asked     // which the server had no part in
	_, _ = c.drive((*Client).resume) // its error is told by the last callbacks
	c.changed()
}

func (c *Client) resume() bool {
	s := scratchPool.Get().(*scratch)
	defer scratchPool.Put(s)
	c.stepped()
	return c.proceed(s)
}

// proceed does what is possible after a step: replies that came with the end of the
// handshake, and output.
func (c *Client) proceed(s *scratch) bool {
	if t := c.transport.tls(); t.up && c.state < closing {
		s.budget, s.filled = replyBudget, false
		c.ended(false, false, c.drain(s))
		c.transport.keep()
	}
	if c.state >= closing {
		return true
	}
	return c.output(s)
}

// step moves the handshake on. It may run on another goroutine.
func (t *security) step() {
	began := time.Now()
	defer func() {
		t.last.panicked = recover()
		t.busy += time.Since(began)
	}()
	t.last = step{made: true}
	t.last.done, t.last.err = t.engine.Step()
}

// stepped draws the conclusions from a step.
func (c *Client) stepped() {
	t := c.transport.tls()
	t.last.made = false
	switch {
	case t.last.panicked != nil:
		panic(t.last.panicked)
	case t.last.err != nil:
		c.handshakeFailed(t.last.err)
	case t.last.done:
		c.handshakeDone()
	}
}

func (c *Client) handshakeFailed(err error) {
	if err == io.EOF { // announced by close_notify or not
		err = io.ErrUnexpectedEOF
	}
	c.fail(c.explain(err))
}

// explain says what an error of TLS means for a person. Under TLS 1.3 a server can
// refuse our certificate when we have long done our part of the handshake; but what
// the system says from then on is about the connection.
func (c *Client) explain(err error) error {
	t := c.transport.tls()
	if t == nil || t.heard || err == io.EOF {
		return err
	}
	if _, system := err.(*os.SyscallError); system && t.up {
		return err
	}
	return t.policy.Explain(t.peer, err)
}

// handshakeDone tells whoever waited, and lets the conversation begin, or go on.
func (c *Client) handshakeDone() {
	t := c.transport.tls()
	t.up = true
	state := t.engine.State()
	t.policy.Done(state.ConnectionState, t.busy, nil)
	c.since = c.now()
	if t.peer.Implicit {
		c.setState(greeting)
	} else {
		c.setState(ready)
	}
	c.trace.note("%s", describe(&state))
	if c.state < closing {
		c.unborn = c.unborn && t.done == nil
		t.tell(nil)
	}
	c.lift() // a login may have waited for that
}

// tell calls done, once.
func (t *security) tell(err error) {
	if done := t.done; done != nil {
		t.done = nil
		done(err)
	}
}
