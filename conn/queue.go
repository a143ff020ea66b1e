package conn

import "slices"

// queue is the output that has not been written: the bytes of formatted
// commands in one buffer, and marks for the places where more happens than
// writing the next byte.
//
// Positions count the buffered bytes since the connection began; what a mark
// refers to lies between two positions and is not counted.
type queue struct {
	buf   *buffer // nil when nothing of it is left
	base  int64   // position of buf.b[0]
	off   int     // bytes of buf.b that the transport has taken
	marks []mark  // at or behind off, in order; nearly always none
	// secret: buf holds or held one, and is wiped before others get it.
	secret bool
}

const (
	// maxIOV bounds the pieces of one writev.
	maxIOV = 16
	// keptMarks is how many empty places an idle queue keeps.
	keptMarks = 2
)

type markKind uint8

const (
	// waitMark: the bytes behind it wait for the server's "+", the answer to a
	// synchronizing literal's header.
	waitMark markKind = iota
	// referenceMark: data, which the caller owns, goes out here.
	referenceMark
	// holdMark ends a command with OnContinue. It holds back later commands
	// until that one completes; data is what Continue said.
	holdMark
)

type mark struct {
	kind   markKind
	dead   bool   // waitMark: its command has completed, the rest of it is not sent
	held   bool   // holdMark: data was said before its "+" came and waits for it
	secret bool   // of data, for the trace
	owed   uint16 // holdMark: "+" that came and were not answered yet
	at     int64
	end    int64  // position where the mark's command ends
	number uint64 // that command's
	data   []byte
}

// position is where the transport stands: what lies before it was written.
func (q *queue) position() int64 { return q.base + int64(q.off) }

// end is the position behind everything that is queued.
func (q *queue) end() int64 { return q.base + int64(len(q.bytes())) }

func (q *queue) bytes() []byte {
	if q.buf == nil {
		return nil
	}
	return q.buf.b
}

// open returns the buffer to append a command to.
func (q *queue) open() *buffer {
	if q.buf == nil {
		q.buf = newBuffer(1)
	} else if q.off > cap(q.buf.b)/2 { // a queue that never empties must not only grow
		q.base += int64(q.off)
		q.buf.b = q.buf.b[:copy(q.buf.b, q.buf.b[q.off:])]
		q.off = 0
	}
	return q.buf
}

// sendable reports whether the transport could be given something now.
func (q *queue) sendable() bool {
	if len(q.marks) == 0 {
		return q.off < len(q.bytes())
	}
	m := &q.marks[0]
	return m.at > q.position() || m.kind != waitMark && len(m.data) > 0 && !m.held
}

// gather appends to iov what may be written now, up to maxIOV pieces.
func (q *queue) gather(iov [][]byte) [][]byte {
	b, from := q.bytes(), q.off
	for i := range q.marks {
		m := &q.marks[i]
		if to := int(m.at - q.base); to > from {
			iov = append(iov, b[from:to])
			from = to
		}
		if len(m.data) > 0 && !m.held {
			iov = append(iov, m.data)
		}
		if m.kind != referenceMark || len(iov) >= maxIOV-1 {
			return iov
		}
	}
	if from < len(b) {
		iov = append(iov, b[from:])
	}
	return iov
}

// took advances over n bytes of what gather returned.
func (q *queue) took(n int, t *tracer) {
	for n > 0 {
		b := q.bytes()
		next := len(b)
		if len(q.marks) > 0 {
			m := &q.marks[0]
			next = int(m.at - q.base)
			if next == q.off {
				k := min(n, len(m.data))
				t.sentData(m, k)
				if m.data = m.data[k:]; len(m.data) == 0 {
					m.data = nil
				}
				n -= k
				q.settle()
				continue
			}
		}
		k := min(n, next-q.off)
		t.sent(q.position(), b[q.off:q.off+k])
		q.off += k
		n -= k
		q.settle()
	}
}

// settle removes what is done with at the front, and gives the buffer back
// when all of it was written.
func (q *queue) settle() {
	for len(q.marks) > 0 && q.marks[0].at == q.position() {
		m := &q.marks[0]
		switch {
		case m.kind == referenceMark && len(m.data) == 0:
			q.pop(1)
		case m.kind == waitMark && m.dead:
			q.drop(m.end)
		default:
			return
		}
	}
	if q.buf != nil && q.off == len(q.buf.b) {
		q.release()
	}
}

// drop skips to end without writing: the rest of a command that the server
// refused.
func (q *queue) drop(end int64) {
	n := 0
	for n < len(q.marks) && q.marks[n].end == end {
		n++
	}
	q.pop(n)
	q.off = int(end - q.base)
}

func (q *queue) pop(n int) {
	if n == len(q.marks) && cap(q.marks) > keptMarks {
		q.marks = nil
		return
	}
	q.marks = slices.Delete(q.marks, 0, n)
}

// completed says that a command has its tagged reply: later commands are
// released, and what the command itself still had to say at its next "+" is
// void.
func (q *queue) completed(number uint64) {
	for i := 0; i < len(q.marks); i++ {
		m := &q.marks[i]
		if m.number != number {
			continue
		}
		switch m.kind {
		case waitMark:
			m.dead = true
		case holdMark:
			if len(q.marks) == 1 {
				q.pop(1)
			} else {
				q.marks = slices.Delete(q.marks, i, i+1)
			}
			i--
		}
	}
	q.settle()
}

// waiting returns the mark at which the transport stands, everything before it
// written: the one that a "+" is for. nil: none.
func (q *queue) waiting() *mark {
	if len(q.marks) == 0 || q.marks[0].at != q.position() || q.marks[0].kind == referenceMark {
		return nil
	}
	return &q.marks[0]
}

// dialogue returns the first holdMark, the one that Continue speaks to.
func (q *queue) dialogue() *mark {
	for i := range q.marks {
		if q.marks[i].kind == holdMark {
			return &q.marks[i]
		}
	}
	return nil
}

// close forgets everything.
func (q *queue) close() {
	q.marks = nil
	if q.buf != nil {
		q.release()
	}
}

func (q *queue) release() {
	q.base = q.end()
	q.off = 0
	if q.secret {
		clear(q.buf.b)
		q.secret = false
	}
	q.buf.release()
	q.buf = nil
}
