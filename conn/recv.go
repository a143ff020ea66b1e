package conn

import (
	"io"
	"math"

	"github.com/imclient/imclient/wire"
)

// In a turn of a loop one connection dispatches replyBudget replies and reads
// readBudget bytes at most, so that a flooding server does not starve the others.
const (
	replyBudget = 256
	readBudget  = 256 << 10
)

// input is one input event: at most one read, and the dispatch of what it
// brought. It reports whether there was anything.
func (c *Client) input(s *scratch) (did bool) {
	s.budget, s.filled = replyBudget, false
	if c.transport.layered() {
		return c.inputLayered(s)
	}
	if c.backlog {
		c.process(s, c.in.b[c.in.start:])
		s.filled = true // what came since has not been read
		return c.ended(true, false, c.drainRaised(s))
	}
	p := c.readInto(s)
	n, eof, err := c.transport.read(p)
	s.filled = n == len(p)
	c.got(s, p, n)
	if err == nil {
		err = c.drainRaised(s)
	}
	return c.ended(n > 0, eof, err)
}

// drainRaised is drain where a layer was put on just now, and has got what came
// behind the reply that did that.
func (c *Client) drainRaised(s *scratch) error {
	if c.transport.layered() && c.state < securing {
		return c.drain(s)
	}
	return nil
}

// inputLayered is input through layers. All that the read brought is decoded and
// dispatched in it, unless the budget of a turn is used up.
func (c *Client) inputLayered(s *scratch) (did bool) {
	var n int
	var eof bool
	var err error
	if c.backlog {
		c.process(s, c.in.b[c.in.start:])
		did, s.filled = true, true
	} else {
		raw := rawPool.Get().(*rawBuffer)
		defer rawPool.Put(raw)
		n, eof, err = c.transport.receive(raw[:])
		defer func() {
			c.transport.keep()
			wire.Poison(raw[:n])
		}()
		did, s.filled = n > 0, n == len(raw)
	}
	if err == nil {
		err = c.drain(s)
	}
	return c.ended(did, eof, err)
}

// ended looks whether a read was the last. did: it brought something.
func (c *Client) ended(did, eof bool, err error) bool {
	switch {
	case err != nil:
		c.fail(c.explain(err))
	case eof && c.secured():
		c.fail(c.cutOff())
	case eof:
		c.fail(io.EOF)
	}
	return did || eof || err != nil
}

// drain dispatches all that the layers have decoded, so that nothing lies
// hidden in them when the caller sleeps.
func (c *Client) drain(s *scratch) error {
	for c.state < closing && !c.backlog {
		p := c.readInto(s)
		n, err := c.transport.decoded(p)
		if n == 0 || err != nil {
			return err
		}
		if t := c.transport.tls(); t != nil {
			t.heard = true
		}
		c.got(s, p, n)
	}
	return nil
}

// minRead is the least room for a read behind a kept reply.
const minRead = 2048

// readInto returns where to read to: the memory of this call, or behind the
// unfinished reply that is kept.
func (c *Client) readInto(s *scratch) []byte {
	if c.in == nil {
		return s.in[:]
	}
	if c.in.start > 0 {
		c.in.b = c.in.b[:copy(c.in.b, c.in.b[c.in.start:])]
		c.in.start = 0
	}
	c.in.room(max(minRead, len(c.in.b)/2, c.in.want), c.missing())
	have := len(c.in.b)
	return c.in.b[have:min(cap(c.in.b), have+readBudget)]
}

// tail is room for what follows a literal in its reply.
const tail = 512

// missing is how many bytes are still to come of a reply within a literal, as far as
// its header tells.
func (c *Client) missing() int64 {
	if n := c.framer.Missing(); n > 0 {
		return n + tail
	}
	return 0
}

// got takes n bytes that were just read to p, which is where readInto said. A
// server that fills what it is given has more to say, and is given more next time.
func (c *Client) got(s *scratch, p []byte, n int) {
	if n == 0 {
		return
	}
	c.stats.Reads++
	c.stats.BytesIn += uint64(n)
	if c.state != greeting { // which must come whole in its time
		c.since = c.now()
	}
	if c.in != nil {
		c.in.b = c.in.b[:len(c.in.b)+n]
		c.process(s, c.in.b)
	} else {
		c.process(s, p[:n])
	}
	if n == len(p) && c.in != nil {
		c.in.want = min(2*n, readSize)
	}
}

// process dispatches b, which begins with an undelivered reply, and keeps what
// is not done: the beginning of a reply, or what the budget left.
func (c *Client) process(s *scratch, b []byte) {
	start, pos := c.dispatch(s, b)
	rest := b[start:]
	switch {
	case len(rest) == 0 || c.state >= closing:
		c.forget()
	case c.in == nil:
		c.in = roomiest(len(rest), int64(len(rest))+c.missing())
		c.in.b = append(c.in.b, rest...)
	default:
		c.in.start += start
	}
	if c.in != nil {
		c.in.framed, c.in.head = pos-start, s.head
	}
}

// forget gives the kept bytes back.
func (c *Client) forget() {
	if c.in != nil {
		c.in.start, c.in.want = 0, 0
		c.in.release()
		c.in = nil
	}
}

// dispatch delivers the replies in b. It returns where the first undelivered
// reply starts, and how far the framer got.
func (c *Client) dispatch(s *scratch, b []byte) (start, pos int) {
	s.head = -1
	if c.in != nil {
		pos, s.head = c.in.framed, c.in.head
	}
	c.backlog = false
	for {
		reply, head, n, err := c.frame(s, b[start:], pos-start)
		pos += n
		if err != nil {
			c.fail(err)
			return start, pos
		}
		if reply == nil || c.state >= closing { // by Dialer.Trace
			return start, pos
		}
		c.deliver(s, reply, head)
		wire.Poison(reply)
		start = pos
		if c.state == securing && pos < len(b) {
			c.fail(ErrInjected)
		}
		if c.state >= securing {
			return start, pos
		}
		if c.raised { // from here on it is the layer's
			c.raised = false
			c.transport.top().Feed(b[pos:])
			c.transport.top().Keep()
			return len(b), len(b)
		}
		if s.budget--; s.budget <= 0 && c.notify != nil && pos < len(b) {
			c.backlog = true
			return start, pos
		}
	}
}

// frame takes the next reply out of b, which begins with it, and whose first done
// bytes the framer has consumed. It returns the reply without its line end, the
// length of its first line up to a literal, and how many more bytes were consumed.
// nil: it is not whole.
func (c *Client) frame(s *scratch, b []byte, done int) (reply []byte, head, n int, err error) {
	if c.trace == nil {
		if line, n := c.framer.Line(b[done:]); n > 0 {
			return line, len(line), n, nil
		}
	}
	for {
		ev, k, err := c.framer.Next(b[done+n:])
		if err != nil {
			return nil, 0, n, err
		}
		c.trace.received(&ev)
		switch ev.Kind {
		case wire.KindNone:
			return nil, 0, n, nil
		case wire.KindText:
			if s.head < 0 {
				s.head = len(ev.Data)
			}
		case wire.KindEnd:
			end, head := done+n, s.head
			s.head = -1
			return b[:end:end], head, n + k, nil
		}
		n += k
	}
}

// deliver hands one reply, without its line end, to whom it concerns. head is
// the length of its first line up to a literal.
func (c *Client) deliver(s *scratch, reply []byte, head int) {
	c.stats.Replies++
	h, err := wire.ParseHead(reply[:head])
	if err == nil && h.Kind == wire.Untagged {
		c.hear(&h, reply[h.Text:])
	}
	greets := c.state == greeting
	if greets { // whatever it was that came
		c.setState(ready)
		c.since = c.now()
		c.lift()
	}
	if err != nil {
		c.skip(&c.stats.Junk.Malformed, err)
		return
	}
	if greets && c.muted() {
		c.checkGreeting(&h, reply)
	}
	r := &s.reply
	*r = Reply{MsgNo: h.Number, Text: reply[h.Text:]}
	switch h.Kind {
	case wire.Untagged:
		c.untagged(&h, r)
	case wire.Tagged:
		c.tagged(&h, r, reply)
	case wire.Continuation:
		c.continuation(r, reply)
	}
	*r = Reply{}
}

func (c *Client) untagged(h *wire.Head, r *Reply) {
	e := c.lookup(h.Keyword, h.Number >= 0)
	if e == nil || e.proc == nil || c.muted() {
		return
	}
	if keyword := e.key.Value().keyword; string(h.Keyword) == keyword {
		r.Keyword = keyword
	} else {
		r.Keyword = intern(h.Keyword)
	}
	e.proc(c, e.rock, r)
}

// tagged completes a command, or calls its proc for a reply in between (ACAP,
// IMSP). A server that answers what it cannot have seen is lying.
func (c *Client) tagged(h *wire.Head, r *Reply, line []byte) {
	number, ok := c.parseTag(h.Tag)
	if a := c.login; ok && a != nil && number-a.number-1 < a.used {
		r.Keyword = intern(h.Keyword)
		a.tagged(number, wire.StatusOf(h.Keyword), r, line)
		return
	}
	cmd := c.pending.find(number)
	if !ok || cmd == nil {
		c.skip(&c.stats.Junk.UnknownTag, syntax("a tagged reply to no pending command", line))
		return
	}
	written := c.out.position()
	status := wire.StatusOf(h.Keyword)
	if written <= cmd.begin() || written < cmd.end && status == wire.OK {
		c.fail(syntax("a tagged reply to a command that was not yet sent", line))
		return
	}
	if wire.EqualFold(h.Keyword, "EOF") { // only the connection's end says that
		c.skip(&c.stats.Junk.Malformed, syntax("EOF is no reply to a command", line))
		return
	}
	r.Keyword = intern(h.Keyword)
	if c.muted() && cmd.verb != startTLS {
		r.Text = nil // whose words they are nobody knows
	}
	switch status {
	case wire.OK, wire.NO, wire.BAD:
		c.complete(number, status, r)
	default:
		cmd.call(c, r)
	}
}

// complete is the end of a command, by its tagged reply.
func (c *Client) complete(number uint64, status wire.Status, r *Reply) {
	login := c.pending.at(number).verb.logsIn()
	if status == wire.OK {
		c.hearCode(r.Text, login)
	}
	cmd := c.pending.take(number)
	if login {
		c.loggedIn(status == wire.OK)
	}
	c.out.completed(number)
	if cmd.verb != startTLS {
		c.lift()
	}
	c.junk = 0
	c.stats.Commands++
	if extra := cmd.extra(); extra != nil && extra.due != 0 {
		c.timed--
	}
	cmd.call(c, r)
	if cmd.verb == startTLS {
		c.lift() // if there is no handshake to wait for
	}
}

// continuation is a "+": for a literal, for a command with OnContinue, or for
// nobody.
func (c *Client) continuation(r *Reply, line []byte) {
	m := c.out.waiting()
	switch {
	case m == nil || m.kind == talkMark && c.login.stage == unbegun:
		c.skip(&c.stats.Junk.Continuation, syntax(`a "+" that nothing waits for`, line))
	case m.kind == talkMark:
		c.login.challenged(r.Text, line)
	case m.kind == waitMark:
		c.out.pop(1)
		c.out.settle()
	case m.held > 0:
		m.held = 0
	default:
		if m.owed < math.MaxUint16 {
			m.owed++
		}
		m.said = false
		cmd := c.pending.find(m.number)
		r.Keyword = "+"
		if extra := cmd.extra(); extra.OnContinue != nil { // nil: given up since
			extra.OnContinue(c, extra.Rock, r)
		}
	}
}

// skip passes over a line that is no reply of ours, within the allowance.
func (c *Client) skip(counter *uint32, err error) {
	err = c.redact(err)
	if c.strict() {
		c.fail(err)
		return
	}
	*counter++
	c.trace.note("skipped: %v", err)
	if j := &c.stats.Junk; c.d.Warn != nil && j.UnknownTag+j.Malformed+j.Continuation == 1 {
		c.d.Warn(c, "skipped what the server should not say: "+err.Error())
	}
	if c.junk++; int(c.junk) > c.d.junkAllowance() {
		c.fail(err)
	}
}

func syntax(reason string, line []byte) error {
	return &wire.SyntaxError{Reason: reason, Input: string(line[:min(len(line), 200)])}
}

// redact keeps the server's words out of an error while a command with a secret
// is pending: it may have repeated the secret.
func (c *Client) redact(err error) error {
	if c.login == nil && !c.pending.secret() {
		return err
	}
	switch e := err.(type) {
	case *wire.SyntaxError:
		return &wire.SyntaxError{Reason: e.Reason, Offset: e.Offset, Input: redacted}
	case *wire.LimitError:
		return &wire.LimitError{What: e.What, Limit: e.Limit, Input: redacted}
	}
	return err
}
