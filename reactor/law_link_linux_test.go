package reactor

import "golang.org/x/sys/unix"

// lawLink is a pair of sockets. Bytes are numbered each way, so that none can be lost,
// doubled or out of order and pass.
type lawLink struct {
	k         lawKernel
	near, far int
	filler    int  // bytes that are in it from the beginning, to be passed over
	ended     bool // near has seen the end
	sent      byte // the next byte that far sends
	heard     byte // the next byte that near reads
	wrote     byte // the next byte that near writes
	drained   byte // the next byte that far reads
}

func openLink(k lawKernel) lawLink {
	link, err := k.link()
	mustLaw(err)
	return link
}

func (l *lawLink) send(n int) {
	b := make([]byte, n)
	for i := range b {
		b[i] = l.sent + byte(i)
	}
	if n, err := l.k.write(l.far, b); err == nil {
		l.sent += byte(n)
	}
}

// drain reads all that there is.
func (l *lawLink) drain(w *lawWorld) {
	b := make([]byte, 8192)
	for {
		n, err := l.k.read(l.far, b)
		if n <= 0 || err != nil {
			return
		}
		pass := min(n, l.filler)
		l.filler -= pass
		for _, got := range b[pass:n] {
			if got != l.drained {
				w.breach("what a source writes arrives once and in order; byte %d came in place of %d", got, l.drained)
			}
			l.drained++
		}
	}
}

// read reads three bytes at most, so that there is often something left.
func (l *lawLink) read(w *lawWorld) (int, error) {
	b := make([]byte, 3)
	n, err := l.k.read(l.near, b)
	switch {
	case err == unix.EAGAIN:
		return 0, nil
	case n <= 0:
		l.ended = true
		return 0, errLawEnd
	}
	for _, got := range b[:n] {
		if got != l.heard {
			w.breach("what is sent arrives once and in order; byte %d came in place of %d", got, l.heard)
		}
		l.heard++
	}
	return n, nil
}

func (l *lawLink) write() (int, error) {
	n, err := l.k.write(l.near, []byte{l.wrote})
	switch {
	case err == unix.EAGAIN:
		return 0, nil
	case n <= 0:
		l.ended = true
		return 0, errLawEnd
	}
	l.wrote++
	return n, nil
}

func (l *lawLink) hangUp() {
	if l.far >= 0 {
		l.k.close(l.far)
		l.far = -1
	}
}

func (l *lawLink) close() {
	l.hangUp()
	if l.near >= 0 {
		l.k.close(l.near)
		l.near = -1
	}
}
