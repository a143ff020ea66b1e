package tlsup

import (
	"crypto/tls"
	"errors"
)

// handshake is a crypto/tls handshake that can be suspended. crypto/tls knows only
// how to block in Read, and keeps a handshake's error for good, so a handshake
// that ran out of input cannot be tried again: it runs on a goroutine of its own.
// That goroutine and whoever calls step strictly alternate: one of them always
// waits for the other, so nothing here needs a lock, and the order of events is
// that of a plain call. The goroutine is gone when the handshake is over.
type handshake struct {
	next   func() []byte // the next record, for that goroutine to go on with; nil: it must stop
	resume chan bool     // true: there is input; false: give up
	parked chan struct{} // the goroutine has stopped: for want of input, or for good
	// running: it is that goroutine's turn, so whoever asks is a callback of tls.Config.
	running bool
	over    bool
	err     error
	// panicked is what a callback of tls.Config did.
	panicked any
}

var (
	errGoexit   = errors.New("tlsup: a callback of tls.Config called runtime.Goexit")
	errPanicked = errors.New("tlsup: a callback of tls.Config panicked")
)

func newHandshake(next func() []byte) *handshake {
	return &handshake{next: next, resume: make(chan bool), parked: make(chan struct{})}
}

// begin runs the handshake up to where it needs input.
func (h *handshake) begin(c *tls.Conn) {
	h.running = true
	go h.run(c)
	h.wait()
}

func (h *handshake) wait() {
	<-h.parked
	h.running = false
}

func (h *handshake) run(c *tls.Conn) {
	h.err = errGoexit // unless it returns, or panics
	defer func() {
		if h.panicked = recover(); h.panicked != nil {
			h.err = errPanicked
		}
		h.over = true
		h.parked <- struct{}{}
	}()
	makeRoom(0)
	h.err = c.Handshake()
}

// step lets a suspended handshake go on until it has used up its input.
func (h *handshake) step() {
	h.running = true
	h.resume <- true
	h.wait()
}

// abort ends a suspended handshake, whatever it makes of that.
func (h *handshake) abort() {
	for !h.over {
		h.running = true
		h.resume <- false
		h.wait()
	}
}

// suspend is called by the pipe, on the handshake's goroutine. false: give up.
func (h *handshake) suspend() bool {
	h.parked <- struct{}{}
	more := <-h.resume
	makeRoom(0) // the collector may have taken it
	return more
}

// makeRoom has a goroutine's stack grow in one go to the 32 KiB that a handshake
// takes, while there is little on it. Growing by doubling copies the frames of
// crypto/tls each time.
//
//go:noinline
func makeRoom(at int) byte {
	var room [16 << 10]byte
	return room[at] // not known to the compiler, so that there must be a room
}
