package conn

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
	"unique"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/reactor"
	"github.com/imclient/imclient/wire"
)

// Client is one connection to a server (struct imclient). It is driven by its
// owner, in any loop, by GetSelectInfo and ProcessOneEvent, or by a
// reactor.Loop. One goroutine at a time may use it.
type Client struct {
	// What every command touches comes first, so that it shares cache lines.
	d         *Dialer
	prefix    prefix // of tags
	transport transport
	state     state
	flags     Flags
	busy      bool  // within a call that dispatches
	local     bool  // the peer is on this machine: secrets stay here
	syncOnly  bool  // ClearFlags said so: literals wait, whatever the server says
	starting  bool  // a STARTTLS is pending
	unborn    bool  // nobody has been given it yet: its end is told by Connect, or ConnectAsync's done
	raised    bool  // a layer was just put on top, for the bytes behind the reply that is being dispatched
	backlog   bool  // in holds whole replies that the budget left
	deaf      uint8 // events in a row that had too much to read to write anything
	junk      uint16
	timed     int32 // pending commands with a Timeout of their own
	notify    func()
	loop      *reactor.Loop // that drives it; nil: bare
	trace     *tracer

	// Receiving. Between events only an unfinished reply is kept.
	framer wire.Framer
	in     *buffer // nil: nothing is kept

	// since is when the wait began that the deadline is for: see wait.
	since instant
	stats Stats

	login     *authentication // under way, or waiting for its turn
	known     unique.Handle[known]
	out       queue
	pending   pending
	callbacks []entry
	capable   capabilities
	err       error // why it ends; set with closing
}

// known is what is the same of many connections, and kept once for all of these.
type known struct {
	server string // as the caller gave it
	sasl   SASL
}

var (
	_ reactor.Source     = (*Client)(nil)
	_ reactor.Deadliner  = (*Client)(nil)
	_ reactor.Notifier   = (*Client)(nil)
	_ reactor.Interester = (*Client)(nil)
	_ reactor.Member     = (*Client)(nil)
)

// Flags of a connection.
type Flags uint8

// NonSyncLiteral says that the server takes literals that do not wait for its
// "+" (IMCLIENT_CONN_NONSYNCLITERAL; LITERAL+, RFC 7888). Where it is not set,
// what the server says of itself decides: LITERAL+, or LITERAL- for literals of
// up to 4,096 bytes.
const NonSyncLiteral Flags = 1

// SetFlags sets flags (imclient_setflags). Legal in a callback.
func (c *Client) SetFlags(f Flags) { c.flags |= f }

// ClearFlags clears flags (imclient_clearflags). Without NonSyncLiteral every
// literal waits, even if the server says that it need not. Legal in a callback.
func (c *Client) ClearFlags(f Flags) {
	c.flags &^= f
	c.syncOnly = c.syncOnly || f&NonSyncLiteral != 0
}

// Format implements [fmt.Formatter]: the server's name, and nothing of what is queued,
// which may be a secret.
func (c *Client) Format(f fmt.State, verb rune) { fmt.Fprintf(f, "conn.Client(%s)", c.ServerName()) }

// ServerName returns the name of the server as the caller gave it
// (imclient_servername), never what DNS made of it. Legal in a callback.
func (c *Client) ServerName() string { return c.known.Value().server }

// Err returns why the connection ended, nil while it is alive: [ErrClosed]
// after Close, or another error of this package; errors.Is finds io.EOF or
// io.ErrUnexpectedEOF in it when the server hung up. Legal in a callback.
func (c *Client) Err() error { return c.err }

// GetSelectInfo returns the descriptor to wait for input on, and whether to
// wait for output as well (imclient_getselectinfo). The second is true only
// while something could be sent; what waits for the server's "+", or for the end of a
// TLS handshake, does not count. After the end the descriptor is -1. Legal in a
// callback.
func (c *Client) GetSelectInfo() (fd int, wantToWrite bool) {
	fd = int(c.transport.fd)
	switch {
	case c.state == securing:
		wantToWrite = c.transport.pending() || c.transport.tls().canStep()
	case c.state < closing:
		wantToWrite = c.transport.pending() || c.out.sendable()
	}
	return fd, wantToWrite
}

// Interest is GetSelectInfo in full: what to wait for. Legal in a callback.
func (c *Client) Interest() (fd int, read, write bool) {
	fd, write = c.GetSelectInfo()
	return fd, c.state < securing || c.state == securing && !c.transport.tls().waits(), write
}

// SetNotify tells the connection that a loop drives it, and gives the function
// by which the loop hears of changed interest; nil ends that. It is for loops
// (reactor.Notifier).
func (c *Client) SetNotify(changed func()) { c.notify = changed }

// SetLoop tells the connection which loop drives it; nil: none any more. It is for
// loops (reactor.Member).
func (c *Client) SetLoop(l *reactor.Loop) {
	c.loop = l
	if l != nil {
		return
	}
	if c.login != nil {
		c.login.left()
	}
	c.recall() // nobody would bring it
	if c.unborn && c.state < closing {
		c.end(reactor.ErrClosed) // the loop is, and nobody else has the connection
	}
}

// changed tells the loop, but for changes within an event, after which the loop
// looks by itself.
func (c *Client) changed() {
	if c.notify != nil && !c.busy {
		c.notify()
	}
}

// ProcessOneEvent processes one input or output event (imclient_processoneevent),
// and the output that the callbacks of an input event caused. It waits for an
// event if there is none. Callbacks run in it. The error is the connection's
// end, see Err, or, where the server hung up right behind replies, that of the next
// call; [ErrReentrant] in one of its own callbacks; [ErrInLoop] when a loop drives it;
// an *os.SyscallError of poll(2), after which the connection lives on.
func (c *Client) ProcessOneEvent() error {
	if c.notify != nil {
		return ErrInLoop
	}
	for {
		did, err := c.TryProcessOneEvent()
		if did || err != nil {
			return err
		}
		if err := c.await(); err != nil {
			return err
		}
	}
}

// untilDone is the waiting form of a call that begins something: it drives a bare
// connection until done has been called, or the connection has ended.
func (c *Client) untilDone(begin func(done func(error)) error) error {
	switch {
	case c.busy:
		return ErrReentrant
	case c.notify != nil:
		return ErrInLoop
	}
	over := false
	var result error
	err := begin(func(err error) { over, result = true, err })
	for err == nil && !over {
		err = c.ProcessOneEvent()
	}
	if over {
		return result
	}
	return err
}

// await sleeps until the socket is ready or the deadline has come.
func (c *Client) await() error {
	fd, write := c.GetSelectInfo()
	events := int16(unix.POLLIN)
	if write {
		events |= unix.POLLOUT
	}
	timeout := time.Duration(-1)
	if t, ok := c.NextDeadline(); ok {
		timeout = max(t.Sub(c.clock()), 0)
	}
	_, err := c.transport.k.poll(fd, events, timeout)
	return os.NewSyscallError("poll", err)
}

// TryProcessOneEvent is ProcessOneEvent without waiting: false when nothing
// was ready. A host with edge-triggered readiness calls it until it says so.
func (c *Client) TryProcessOneEvent() (bool, error) { return c.drive((*Client).event) }

// drive is every call in which callbacks run: one event, and, if that was the last,
// the end.
func (c *Client) drive(event func(*Client) bool) (bool, error) {
	if c.busy {
		return false, ErrReentrant
	}
	if c.state == dead {
		return false, c.err
	}
	c.busy = true
	defer c.unwind()
	heard := c.stats.Replies
	did := c.state < closing && event(c)
	if c.state >= closing {
		c.finish()
		did = true
	}
	c.busy = false
	if c.err == errHungUp && c.stats.Replies > heard {
		// Under TLS the server's last words and its goodbye can come in one read. Who
		// waited for the words has got them; of the end the next call tells.
		return did, nil
	}
	return did, c.err
}

// unwind ends a call that a panic in a callback is leaving: what was being
// dispatched cannot be resumed.
func (c *Client) unwind() {
	if c.busy {
		c.busy = false
		c.fail(ErrPanicked)
		c.changed()
	}
}

// maxDeaf is how many events in a row output waits for the end of what the server
// says. Past that it floods, and must not keep us from a LOGOUT.
const maxDeaf = 64

// event reads before it writes, and does not write while more may have been
// said: what the server said before it can have seen a command must not pass for
// the answer to it.
func (c *Client) event() bool {
	s := scratchPool.Get().(*scratch)
	defer scratchPool.Put(s)
	if c.state == securing {
		return c.handshake(s)
	}
	read := c.input(s)
	if c.state == securing { // the server has said OK to STARTTLS
		return c.handshake(s) || read
	}
	if c.timed > 0 {
		c.expired() // a command's own Timeout has nothing to do with what came
	}
	if c.state >= closing {
		return read
	}
	if c.backlog || s.filled {
		if c.deaf++; c.deaf < maxDeaf {
			return read
		}
	}
	c.deaf = 0
	return c.output(s) || read || c.expired()
}

// output writes what may be written now. It reports whether anything came of that.
func (c *Client) output(s *scratch) bool {
	wrote, err := c.flush(s)
	if err != nil {
		c.lastWords(s, err)
		return true
	}
	return wrote
}

// lastWords ends a connection that cannot be written to any more. What the
// server said before it hung up, a BYE perhaps, is delivered first. The system
// tells its reason once, and reads find the end after that: of a peer that has
// vanished nobody must hear that it hung up. EPIPE is no reason but the hanging up.
func (c *Client) lastWords(s *scratch, err error) {
	for range 64 {
		if c.state >= closing || !c.listen(s) {
			break
		}
	}
	if hungUp(c.err) && !errors.Is(err, unix.EPIPE) {
		c.err = lost(err)
	}
	c.fail(err)
}

// listen reads once more, and writes nothing.
func (c *Client) listen(s *scratch) bool {
	if c.state == securing {
		return c.handshakeBare()
	}
	return c.input(s)
}

// Close ends the connection (imclient_close). What is queued gets one attempt
// to be written. Then the pending commands complete with "EOF", oldest first,
// and OnClose is called; after that no callback runs. In a callback of the
// same connection all this happens when the outermost ProcessOneEvent returns.
// It always returns nil, a second time too.
func (c *Client) Close() error {
	c.end(ErrClosed)
	return nil
}

// end ends the connection from outside, whatever it is doing.
func (c *Client) end(why error) {
	if c.state < closing {
		c.fail(why)
	}
	if c.state != dead && !c.busy {
		c.busy = true
		defer c.unwind()
		c.finish()
		c.busy = false
	}
}

// fail decides the end of the connection.
func (c *Client) fail(err error) {
	if c.state >= closing {
		return
	}
	switch {
	case err == io.EOF && (c.in != nil || c.transport.partial()):
		err = errCutOff
	case err == io.EOF:
		err = errHungUp
	default:
		err = lost(c.unsecured(c.redact(err)))
	}
	c.err = err
	c.setState(closing)
}

// finish is the end: descriptor and buffers are given back, then the last
// callbacks run. One that panics must not cost the others their turn.
func (c *Client) finish() {
	done := false
	defer func() {
		if !done {
			c.finish()
		}
	}()
	if c.state == closing {
		c.release()
	}
	c.farewell()
	if c.state != dead {
		c.setState(dead)
		c.callbacks = nil
		if c.unborn {
			done = true
			return
		}
		if f := c.d.OnClose; f != nil {
			f(c, c.err)
		}
	}
	done = true
}

// release gives back all that a connection holds of the system and of the loop.
func (c *Client) release() {
	defer c.letGo() // whatever Dialer.Trace does
	c.recall()
	if c.err == ErrClosed {
		s := scratchPool.Get().(*scratch)
		_, _ = c.flush(s) // one attempt, whatever comes of it
		scratchPool.Put(s)
	}
	if t := c.transport.tls(); t != nil && !t.last.made { // what a worker has made meanwhile counts no more
		t.engine.CloseNotify()
		_ = c.transport.flush() // the same, and an alert that says what was wrong
	}
}

func (c *Client) letGo() {
	fd := c.transport.fd
	c.transport.fd = -1
	if notify := c.notify; notify != nil {
		c.notify = nil // should it panic, the next try gets past it
		notify()       // the loop lets go of the descriptor while it is still ours
	}
	c.transport.fd = fd
	c.transport.close()
	c.transport.abort()
	if t := c.transport.tls(); t != nil && !t.up {
		t.policy.Done(tls.ConnectionState{}, t.busy, c.err)
	}
	c.notify = nil
	c.out.close()
	c.forget()
	c.setState(closed)
	c.trace.note("closed: %v", c.err)
}

// farewell completes what is pending. Reply values are not shared between the
// callbacks, which may do with them what they like.
func (c *Client) farewell() {
	if t := c.transport.tls(); t != nil {
		t.tell(c.err)
	}
	for c.pending.len() > 0 {
		cmd := c.pending.take(c.pending.first)
		err := &endError{c.err, c.out.position() <= cmd.begin()}
		cmd.call(c, &Reply{Keyword: "EOF", MsgNo: -1, Err: err})
	}
}
