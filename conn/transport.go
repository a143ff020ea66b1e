package conn

import (
	"os"

	"golang.org/x/sys/unix"
)

// layer is one step between the socket and the protocol: TLS, a SASL security
// layer, DEFLATE. It is sans-IO: bytes from below are fed, what they decode to
// is read; bytes from above are written, what they encode to is pending until
// it has been sent. [tlsup.Engine] is one.
type layer interface {
	// Feed takes what came from below. p is lent, and may be written to, until Keep.
	Feed(p []byte)
	// Read moves decoded bytes to p. 0 and no error: feed more first.
	Read(p []byte) (int, error)
	// Keep ends the loan: the layer copies what it could not use yet.
	Keep()
	// Write takes all of p.
	Write(p []byte) error
	// Pending is the encoded output; Sent drops its first n bytes.
	Pending() []byte
	Sent(n int)
}

// transport moves bytes between the protocol and the socket through a stack of
// layers, usually empty. No other code moves a byte to or from the socket. Its
// errors are *os.SyscallError and those of layers, io.EOF aside; EAGAIN is no error
// but 0 bytes.
type transport struct {
	k       kernel
	above   *stack // nil: no layer, which costs a connection 8 bytes
	fd      int32  // -1: closed
	blocked bool   // the socket took less than it was offered
}

// stack is the layers of a connection, lowest first. TLS can only be the lowest.
type stack struct {
	layers []layer
	tls    *security // nil: no TLS
}

// layered reports whether bytes go through layers.
func (t *transport) layered() bool { return t.above != nil }

// tls is the TLS of the connection; nil: there is none, nor one under way.
func (t *transport) tls() *security {
	if t.above == nil {
		return nil
	}
	return t.above.tls
}

// push puts a layer on top.
func (t *transport) push(l layer) {
	if t.above == nil {
		t.above = new(stack)
	}
	t.above.layers = append(t.above.layers, l)
}

// top is the layer next to the protocol.
func (t *transport) top() layer { return t.above.layers[len(t.above.layers)-1] }

// lowest is the layer next to the socket.
func (t *transport) lowest() layer { return t.above.layers[0] }

// read makes one read from the socket, with no layer on. 0 bytes and no error:
// nothing has come. eof: the peer has sent its last byte.
func (t *transport) read(p []byte) (n int, eof bool, err error) {
	n, err = t.k.read(int(t.fd), p)
	if err != nil {
		if err == unix.EAGAIN {
			return 0, false, nil
		}
		return 0, false, os.NewSyscallError("read", err)
	}
	return n, n == 0, nil
}

// receive makes one read from the socket and lends what it brought to the lowest
// layer, until keep. tmp is scratch memory. What the layers make of it is fetched by
// decoded.
func (t *transport) receive(tmp []byte) (n int, eof bool, err error) {
	n, eof, err = t.read(tmp)
	if n > 0 {
		t.lowest().Feed(tmp[:n])
	}
	return n, eof, err
}

// keep ends the loan of what was received.
func (t *transport) keep() { t.lowest().Keep() }

// decoded moves the next bytes that the layers have decoded to p. 0 bytes and
// no error: nothing lies in any layer any more.
func (t *transport) decoded(p []byte) (int, error) { return t.decodedBy(len(t.above.layers)-1, p) }

func (t *transport) decodedBy(i int, p []byte) (int, error) {
	l := t.above.layers[i]
	for {
		n, err := l.Read(p)
		if n > 0 || err != nil || i == 0 {
			return n, err
		}
		// The layer wants more: p serves as memory for what lies below it.
		if n, err = t.decodedBy(i-1, p); n == 0 || err != nil {
			return 0, err
		}
		l.Feed(p[:n])
		l.Keep()
	}
}

// encodedRound is how many bytes are encoded at a time: what is encoded is a copy,
// and whoever is slow to read costs us one round of it and no more.
const encodedRound = 64 << 10

// write hands iov on and returns how many of its bytes were taken, those that were
// encoded before an error included. While encoded output is stuck layers take nothing.
func (t *transport) write(iov [][]byte) (n int, err error) {
	if !t.layered() {
		return t.send(iov)
	}
	if err = t.flush(); err != nil || t.pending() {
		return 0, err
	}
	top := t.top()
	for _, p := range iov {
		p = p[:min(len(p), encodedRound-n)]
		if err = top.Write(p); err != nil {
			return n, err
		}
		n += len(p)
	}
	return n, t.flush()
}

// encoded is how many bytes of output the lowest layer holds, as far as can be told
// while a worker has it.
func (t *transport) encoded() int {
	if !t.layered() {
		return 0
	}
	if s := t.above.tls; s != nil && s.lent() {
		return 0
	}
	return len(t.lowest().Pending())
}

// pending reports whether there is encoded output.
func (t *transport) pending() bool { return t.encoded() > 0 }

// flush moves encoded output down the stack and to the socket. Layers may have
// some of their own accord: the answer to a KeyUpdate, say.
func (t *transport) flush() error {
	layers := t.above.layers
	for i := len(layers) - 1; i > 0; i-- {
		p := layers[i].Pending()
		if len(p) == 0 {
			continue
		}
		if err := layers[i-1].Write(p); err != nil {
			return err
		}
		layers[i].Sent(len(p))
	}
	for t.pending() {
		n, err := t.k.write(int(t.fd), t.lowest().Pending())
		if t.blocked = err == unix.EAGAIN; t.blocked {
			return nil
		}
		if err != nil {
			return os.NewSyscallError("write", err)
		}
		t.lowest().Sent(n)
	}
	return nil
}

func (t *transport) send(iov [][]byte) (n int, err error) {
	call := "write"
	if len(iov) == 1 {
		n, err = t.k.write(int(t.fd), iov[0])
	} else {
		call = "writev"
		n, err = t.k.writev(int(t.fd), iov)
	}
	t.blocked = err == unix.EAGAIN
	if err != nil && !t.blocked {
		return 0, os.NewSyscallError(call, err)
	}
	if !t.blocked {
		want := 0
		for _, p := range iov {
			want += len(p)
		}
		t.blocked = n < want
	}
	return n, nil
}

// partial reports whether something has begun in a layer above TLS that is not whole.
func (t *transport) partial() bool {
	if !t.layered() {
		return false
	}
	for _, l := range t.above.layers {
		if l, ok := l.(interface{ Partial() bool }); ok && l.Partial() {
			return true
		}
	}
	return false
}

// abort is the end of the layers. One that holds more than memory has a method for it.
func (t *transport) abort() {
	if !t.layered() {
		return
	}
	for _, l := range t.above.layers {
		if l, ok := l.(interface{ Abort() }); ok {
			l.Abort()
		}
	}
}

func (t *transport) close() {
	if t.fd >= 0 {
		fd := t.fd
		t.fd = -1
		_ = t.k.close(int(fd)) // nobody could act on its error
	}
}
