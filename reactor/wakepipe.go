//go:build unix

package reactor

import (
	"os"

	"golang.org/x/sys/unix"
)

// wakePipe wakes a poller whose system has nothing better. A byte in it is a wake
// that no wait has consumed.
type wakePipe struct {
	k    files
	r, w int
	buf  [64]byte
}

var wakeByte = []byte{0}

func newWakePipe(k files) (*wakePipe, error) {
	r, w, err := k.pipe()
	if err != nil {
		return nil, os.NewSyscallError("pipe", err)
	}
	return &wakePipe{k: k, r: r, w: w}, nil
}

// wake is safe on any goroutine.
func (p *wakePipe) wake() error {
	_, err := p.k.write(p.w, wakeByte)
	for err == unix.EINTR {
		_, err = p.k.write(p.w, wakeByte)
	}
	if err == unix.EAGAIN { // full of wakes
		return nil
	}
	return os.NewSyscallError("write", err)
}

// drain takes the wakes back. A read that could have been longer was the last.
func (p *wakePipe) drain() error {
	for {
		n, err := p.k.read(p.r, p.buf[:])
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return nil
		case err != nil:
			return os.NewSyscallError("read", err)
		case n < len(p.buf):
			return nil
		}
	}
}

func (p *wakePipe) close() error {
	err := p.k.close(p.w)
	if e := p.k.close(p.r); err == nil {
		err = e
	}
	return os.NewSyscallError("close", err)
}
