package tlsup

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
)

// Engine is one end of a TLS connection without a socket. Nothing in it blocks, and
// nothing in it knows where records come from. One goroutine at a time may use it.
//
// First comes the handshake: [Engine.Step] moves it on, what the peer sends is fed,
// and what is pending goes to the peer. When it is done, what is fed is read until
// nothing is left, and what is written is pending. Records can be pending though
// nothing was written: an alert, the answer to a KeyUpdate.
//
// Memory that is needed only while records are in flight is lent by pools of the
// process. [Engine.Abort] ends an engine, and gives everything back.
//
// A callback of the tls.Config runs within Step. Of the engine's methods it may call
// Abort, which takes effect when the callback returns, and State, which knows nothing yet.
type Engine struct {
	conn  *tls.Conn
	pipe  pipe
	hands *handshake // nil before the first Step, and once the handshake is over
	fed   []byte     // lent by Feed
	rest  queue      // what Keep has copied: records that stand before fed in the stream
	plain queue      // what Keep has copied of a record that was read in part
	asked int        // how much of what is pending the peer made Read put there, at most
	more  bool       // crypto/tls holds more of the last record than Read had room for
	begun bool       // a record has come
	done  bool       // the handshake is
	err   error      // for good
}

// Client returns the client's end. config must not be changed any more. It can be
// that of any number of engines.
func Client(config *tls.Config) *Engine {
	e := new(Engine)
	e.conn = tls.Client(&e.pipe, config)
	return e
}

// Server returns the server's end, for scripted servers and tests.
func Server(config *tls.Config) *Engine {
	e := new(Engine)
	e.conn = tls.Server(&e.pipe, config)
	return e
}

// Feed takes bytes that the peer has sent, cut anywhere. p is lent, and written to,
// until [Engine.Keep]; the last loan must have ended.
func (e *Engine) Feed(p []byte) { e.fed = p }

// Keep ends the loan of what was fed: what could not be used yet is copied.
func (e *Engine) Keep() {
	if e.more {
		e.plain.add(e.drain())
	}
	if e.err != nil {
		e.rest.drop(e.rest.len()) // what comes after the end is nobody's
	} else {
		e.rest.add(e.fed)
	}
	e.fed = nil
	if len(e.pipe.in) == 0 {
		e.pipe.in = nil // it still points into what was fed
	}
	e.tidy()
}

// drain reads what Read had no room for: the end of one record.
func (e *Engine) drain() []byte {
	b := lend(maxPlaintext)
	defer giveBack(b)
	n, _ := e.conn.Read(b[:maxPlaintext]) // it is there: nothing can fail
	e.more = false
	return b[:n]
}

// tidy gives back all memory in which nothing is left.
func (e *Engine) tidy() {
	e.rest.tidy()
	e.plain.tidy()
	e.pipe.out.tidy()
	if e.hands == nil { // a suspended handshake is in the middle of reading into one of them
		slim(e.conn, e.err != nil)
	}
}

// Step moves the handshake on, as far as what was fed goes, and reports whether it
// is done. After its first call, and after each that followed a [Engine.Feed],
// something may be pending, an alert after an error.
//
// Errors are final: those of crypto/tls, or a [*NotTLSError]. A callback of the
// tls.Config that panics does so out of Step.
func (e *Engine) Step() (done bool, err error) {
	if e.done || e.err != nil {
		return e.done, e.err
	}
	if e.hands == nil {
		e.hands = newHandshake(e.another)
		e.pipe.hands = e.hands
		e.hands.begin(e.conn)
	}
	for !e.hands.over && e.err == nil {
		record, err := e.record()
		if record == nil && err == nil {
			return false, nil
		}
		if err != nil {
			e.hands.abort()
			e.hands.err = err
			break
		}
		e.pipe.in = record
		e.hands.step()
	}
	h := e.hands
	if e.err != nil { // a callback has called Abort
		e.Abort()
	} else {
		e.hands, e.pipe.hands, e.pipe.in = nil, nil, nil
		e.err = h.err
	}
	if h.panicked != nil {
		panic(h.panicked)
	}
	e.done = e.err == nil
	return e.done, e.err
}

// another is the next record for a handshake that has used up the last one. A flight
// is several records, and goes through without a change of goroutines, which costs
// more than most of them. What ends the handshake is left to Step: nil.
func (e *Engine) another() []byte {
	if e.err != nil {
		return nil
	}
	record, _ := e.record()
	return record
}

// Read moves decrypted bytes to p, as many as there are. 0 and no error: there is
// no whole record left; feed more. io.EOF is the peer's close_notify; other errors
// are those of crypto/tls, a [*NotTLSError] or [ErrFlood]. All are final.
func (e *Engine) Read(p []byte) (n int, err error) {
	for n < len(p) && e.done {
		if e.plain.len() > 0 {
			k := copy(p[n:], e.plain.bytes())
			e.plain.drop(k)
			e.plain.tidy()
			n += k
			continue
		}
		if !e.more {
			if e.err != nil || !e.next() {
				break
			}
		}
		before := e.pipe.out.len()
		k, err := e.conn.Read(p[n:])
		e.asked += e.pipe.out.len() - before
		n += k
		e.more = err == nil && n == len(p) && left(e.conn)
		switch {
		case err != nil && err != errAgain:
			e.err = err
		case e.asked > maxUnsent:
			e.err = ErrFlood
		}
	}
	if n == 0 {
		return 0, e.err
	}
	return n, nil
}

// next gives crypto/tls the next record, if there is a whole one.
func (e *Engine) next() bool {
	record, err := e.record()
	if record == nil {
		e.err = err
		return false
	}
	if !inject(e.conn, record) {
		e.pipe.in = record
	}
	return true
}

// Write encrypts p; the records are pending then. Before the handshake is done, and
// after an error, it fails. The peer's close_notify is none: it may still listen.
func (e *Engine) Write(p []byte) error {
	if e.ended() {
		return e.err
	}
	if !e.done {
		return errEarly
	}
	_, err := e.conn.Write(p)
	return err
}

// Pending is the records to be sent. It is valid until the next call.
func (e *Engine) Pending() []byte { return e.pipe.out.bytes() }

// Sent says that the first n bytes of what is pending have been sent.
func (e *Engine) Sent(n int) {
	e.pipe.out.drop(n)
	e.asked = min(e.asked, e.pipe.out.len())
	e.pipe.out.tidy()
}

// Partial reports whether a record has begun and is not whole: where the stream ends
// like that, it was cut off. After the end, close_notify included, none has: nobody
// looks at what comes then.
func (e *Engine) Partial() bool { return e.err == nil && (len(e.fed) > 0 || e.rest.len() > 0) }

// CloseNotify says that nothing more will be written: the alert is pending then. It
// does nothing where the handshake is not done, or an error has ended the connection.
func (e *Engine) CloseNotify() {
	if e.done && !e.ended() {
		_ = e.conn.CloseWrite() // an error: an alert was the last word
	}
}

// ended reports whether nothing can be written any more.
func (e *Engine) ended() bool { return e.err != nil && e.err != io.EOF }

// Abort ends the engine, at any time. A handshake that is under way is abandoned,
// and its goroutine at its end, when it returns.
func (e *Engine) Abort() {
	if !e.ended() {
		e.err = errAborted
	}
	if e.hands != nil {
		if e.hands.running {
			return // Step does the rest
		}
		e.hands.abort()
		e.hands, e.pipe.hands = nil, nil
	}
	e.more, e.fed, e.pipe.in = false, nil, nil
	for _, q := range [...]*queue{&e.rest, &e.plain, &e.pipe.out} {
		q.drop(q.len())
	}
	e.tidy()
}

// State is what crypto/tls says of the connection; nothing while a handshake is
// under way, whose goroutine has it locked.
func (e *Engine) State() State {
	if e.hands != nil {
		return State{}
	}
	return State{e.conn.ConnectionState()}
}

// maxUnsent is how many bytes of answers a peer can make pending by what it sends.
const maxUnsent = 256 << 10

// ErrFlood ends a connection whose peer demands answers and does not read them.
var ErrFlood = errors.New("tlsup: the peer asks for key updates and does not read the answers")

var errEarly = errors.New("tlsup: written to before the handshake was done")

const maxInput = 200 // bytes of the peer's text in an error

// NotTLSError is input that cannot be a TLS record. Where it comes First, the server
// most likely speaks no TLS on that port, or only after STARTTLS.
type NotTLSError struct {
	Input []byte // its beginning, at most 200 bytes; of bytes that come one by one: 5
	First bool   // nothing else had come before
}

func (e *NotTLSError) Error() string {
	if e.First {
		return fmt.Sprintf("tlsup: the peer does not speak TLS: it says %q", e.Input)
	}
	return fmt.Sprintf("tlsup: no TLS record begins with %q", e.Input)
}
