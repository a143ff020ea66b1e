package conn

import (
	"os"

	"golang.org/x/sys/unix"
)

// layer is one step between the socket and the protocol: TLS, a SASL security
// layer, DEFLATE. It is sans-IO: bytes from below are fed, what they decode to
// is read; bytes from above are written, what they encode to is pending until
// it has been sent.
type layer interface {
	// feed takes what came from below; the layer copies what it keeps.
	feed(p []byte) error
	// read moves decoded bytes to p. 0 and no error: feed more first.
	read(p []byte) (int, error)
	// write takes all of p.
	write(p []byte) error
	// pending is the encoded output; sent drops its first n bytes.
	pending() []byte
	sent(n int)
}

// transport moves bytes between the protocol and the socket through a stack of
// layers, usually empty. No other code moves a byte to or from the socket. Its
// errors are *os.SyscallError, io.EOF aside; EAGAIN is no error but 0 bytes.
type transport struct {
	k       kernel
	stack   *[]layer // lowest first; nil: none, which costs a connection 8 bytes
	fd      int32    // -1: closed
	blocked bool     // the socket took less than it was offered
}

func (t *transport) layered() bool { return t.stack != nil }

// push puts a layer on top.
func (t *transport) push(l layer) {
	if t.stack == nil {
		t.stack = new([]layer)
	}
	*t.stack = append(*t.stack, l)
}

// lowest is the layer next to the socket.
func (t *transport) lowest() layer { return (*t.stack)[0] }

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

// receive makes one read from the socket and feeds the lowest layer. tmp is
// scratch memory. What the layers make of it is fetched by decoded.
func (t *transport) receive(tmp []byte) (n int, eof bool, err error) {
	n, eof, err = t.read(tmp)
	if n > 0 {
		err = t.lowest().feed(tmp[:n])
	}
	return n, eof, err
}

// decoded moves the next bytes that the layers have decoded to p. 0 bytes and
// no error: nothing lies in any layer any more.
func (t *transport) decoded(p []byte) (int, error) { return t.decodedBy(len(*t.stack)-1, p) }

func (t *transport) decodedBy(i int, p []byte) (int, error) {
	l := (*t.stack)[i]
	for {
		n, err := l.read(p)
		if n > 0 || err != nil || i == 0 {
			return n, err
		}
		// The layer wants more: p serves as memory for what lies below it.
		if n, err = t.decodedBy(i-1, p); n == 0 || err != nil {
			return 0, err
		}
		if err = l.feed(p[:n]); err != nil {
			return 0, err
		}
	}
}

// write hands iov on and returns how many of its bytes were taken. With layers
// it takes all or, while encoded output is stuck, nothing: whoever is slow to
// read costs us one round of output and no more.
func (t *transport) write(iov [][]byte) (n int, err error) {
	if !t.layered() {
		return t.send(iov)
	}
	if err = t.flush(); err != nil || t.pending() {
		return 0, err
	}
	top := (*t.stack)[len(*t.stack)-1]
	for _, p := range iov {
		if err = top.write(p); err != nil {
			return n, err
		}
		n += len(p)
	}
	return n, t.flush()
}

// pending reports whether the lowest layer holds encoded output.
func (t *transport) pending() bool { return t.layered() && len(t.lowest().pending()) > 0 }

// flush moves encoded output down the stack and to the socket. Layers may have
// some of their own accord: the answer to a KeyUpdate, say.
func (t *transport) flush() error {
	layers := *t.stack
	for i := len(layers) - 1; i > 0; i-- {
		p := layers[i].pending()
		if len(p) == 0 {
			continue
		}
		if err := layers[i-1].write(p); err != nil {
			return err
		}
		layers[i].sent(len(p))
	}
	for t.pending() {
		n, err := t.send([][]byte{t.lowest().pending()})
		if n == 0 || err != nil {
			return err
		}
		t.lowest().sent(n)
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

func (t *transport) close() {
	if t.fd >= 0 {
		fd := t.fd
		t.fd = -1
		_ = t.k.close(int(fd)) // nobody could act on its error
	}
}
