package tlsup

import (
	"errors"
	"net"
	"time"
)

// pipe is the net.Conn that crypto/tls believes it talks over. It has one record
// at most in it for crypto/tls to read, so that no byte of the next one is taken
// while this one is dealt with, and collects what crypto/tls writes.
type pipe struct {
	in    []byte     // of the record that crypto/tls is being given; aliases the engine's input
	out   queue      // records that were not sent yet
	hands *handshake // not nil while a handshake is under way: a Read without input suspends it
}

// Read gives what there is. With nothing there it takes the next record to a
// handshake, or suspends it for want of one, and tells everybody else that reading
// can be tried again later.
func (p *pipe) Read(b []byte) (int, error) {
	for len(p.in) == 0 {
		if p.hands == nil {
			return 0, errAgain
		}
		if p.in = p.hands.next(); p.in == nil && !p.hands.suspend() {
			return 0, errAborted
		}
	}
	n := copy(b, p.in)
	p.in = p.in[n:]
	return n, nil
}

func (p *pipe) Write(b []byte) (int, error) {
	p.out.add(b)
	return len(b), nil
}

func (p *pipe) Close() error                     { return nil }
func (p *pipe) LocalAddr() net.Addr              { return nowhere{} }
func (p *pipe) RemoteAddr() net.Addr             { return nowhere{} }
func (p *pipe) SetDeadline(time.Time) error      { return nil }
func (p *pipe) SetReadDeadline(time.Time) error  { return nil }
func (p *pipe) SetWriteDeadline(time.Time) error { return nil }

// nowhere is the address of both ends: an engine has no socket.
type nowhere struct{}

func (nowhere) Network() string { return "memory" }
func (nowhere) String() string  { return "memory" }

// errAgain says "nothing yet" in the one way after which tls.Conn.Read can be
// called again: any error that is not temporary it keeps for good.
var errAgain error = again{}

type again struct{}

func (again) Error() string   { return "tlsup: no whole record yet" }
func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }

var errAborted = errors.New("tlsup: the handshake was abandoned")

var (
	_ net.Conn  = (*pipe)(nil)
	_ net.Error = again{}
)
