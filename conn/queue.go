package conn

import (
	"bytes"
	"slices"
)

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
	// barrierMark stands on both sides of a command that changes how bytes go over
	// the connection, STARTTLS. The first holds the command back until it is the
	// only one pending, the second holds back later ones until it has completed.
	barrierMark
	// talkMark is where a login stands: it takes the place of a command, and what it
	// has to say is data. It holds back later commands until it is over.
	talkMark
)

type mark struct {
	kind   markKind
	dead   bool   // its command has completed: the rest of it (waitMark) or later answers (holdMark) are not sent; of a barrierMark: it is lifted
	begun  bool   // holdMark: a part of the line at the front of data was written
	said   bool   // holdMark: an answer to a "+" went out since the last one came
	secret bool   // of data, for the trace
	owed   uint16 // holdMark: "+" that came and were not answered yet
	held   int    // holdMark: bytes at the end of data that were said ahead of their "+"
	at     int64
	end    int64  // position where the mark's command ends
	number uint64 // that command's
	data   []byte
}

// ready is what of data may go out.
func (m *mark) ready() []byte { return m.data[:len(m.data)-m.held] }

// done reports whether a mark that the transport has reached is nothing to stop at.
func (m *mark) done() bool {
	switch m.kind {
	case waitMark, barrierMark, talkMark:
		return m.dead
	case referenceMark:
		return len(m.data) == 0
	default:
		return m.dead && len(m.data) == 0
	}
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
	return m.at > q.position() || len(m.ready()) > 0
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
		if p := m.ready(); len(p) > 0 {
			iov = append(iov, p)
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

// took advances over n bytes of what gather returned. They are gone, whatever becomes
// of the tracing.
func (q *queue) took(n int, t *tracer) {
	if t != nil {
		defer func() {
			if n > 0 { // Dialer.Trace panicked
				q.took(n, nil)
			}
		}()
	}
	for n > 0 {
		b := q.bytes()
		next := len(b)
		if len(q.marks) > 0 {
			m := &q.marks[0]
			next = int(m.at - q.base)
			if next == q.off {
				p := m.ready()
				p, whole := p[:min(n, len(p))], n >= len(p)
				m.begun = p[len(p)-1] != '\n'
				if m.data = m.data[len(p):]; len(m.data) == 0 {
					m.data = nil
				}
				n -= len(p)
				t.sentData(m, p, whole)
				q.settle()
				continue
			}
		}
		at, p := q.position(), b[q.off:min(q.off+n, next)]
		q.off += len(p)
		n -= len(p)
		t.sent(at, p)
		q.settle()
	}
}

// settle removes what is done with at the front, and gives the buffer back
// when all of it was written.
func (q *queue) settle() {
	for len(q.marks) > 0 && q.marks[0].at == q.position() && q.marks[0].done() {
		if q.marks[0].kind == waitMark {
			q.drop(q.marks[0].number, q.marks[0].end)
		} else {
			q.pop(1)
		}
	}
	if q.buf != nil && q.off == len(q.buf.b) {
		q.release()
	}
}

// drop skips to end without writing: the rest of a command that the server
// refused. A login that stands there is another.
func (q *queue) drop(number uint64, end int64) {
	n := 0
	for n < len(q.marks) && q.marks[n].number == number {
		n++
	}
	q.pop(n)
	q.off = int(end - q.base)
}

// pop removes the first n marks. Of many the rest stays where it is: thousands of
// literals may wait one behind the other.
func (q *queue) pop(n int) {
	switch {
	case n == len(q.marks) && cap(q.marks) > keptMarks:
		q.marks = nil
	case len(q.marks) > maxIOV:
		clear(q.marks[:n])
		q.marks = q.marks[n:]
	default:
		q.marks = slices.Delete(q.marks, 0, n)
	}
}

// completed says that a command has its tagged reply: later commands are
// released, and what the command itself still had to say at its next "+" is
// void. But a line that has begun is sent to its end, or the next command would
// become a part of it.
func (q *queue) completed(number uint64) {
	cut := false
	for i := 0; i < len(q.marks); i++ {
		m := &q.marks[i]
		if m.number != number {
			if m.number > number {
				break
			}
			continue
		}
		switch {
		case m.kind == waitMark:
			if !cut && m.at > q.position() {
				q.cut(m)
			}
			cut, m.dead = true, true
		case m.kind == holdMark && m.begun:
			m.dead, m.held = true, 0
			m.data = m.data[:bytes.IndexByte(m.data, '\n')+1]
		case m.kind != referenceMark:
			if i == 0 {
				q.pop(1)
			} else {
				q.marks = slices.Delete(q.marks, i, i+1)
			}
			i--
		}
	}
	q.settle()
}

// cut ends a refused command before the header of a literal that lies behind
// what must still be sent: the server would take the next command for the
// literal. Of a header that has begun it makes something that is none. The
// command's own line end, which comes behind every header, leaves the room.
func (q *queue) cut(m *mark) {
	b := q.buf.b[q.off : m.at-q.base]
	if header := bytes.LastIndexByte(b, '{'); header >= 0 {
		m.at = q.position() + int64(header+copy(b[header:], "\r\n"))
	} else {
		m.at = q.position() + int64(copy(q.buf.b[q.off:], " \r\n"))
	}
}

// waiting returns the mark at which the transport stands, everything before it
// written: the one that a "+" is for. nil: none.
func (q *queue) waiting() *mark {
	if len(q.marks) == 0 {
		return nil
	}
	m := &q.marks[0]
	if m.at != q.position() || m.kind == referenceMark || m.kind == barrierMark || m.dead {
		return nil
	}
	return m
}

// talk returns the mark of the login that is under way.
func (q *queue) talk() *mark {
	for i := range q.marks {
		if m := &q.marks[i]; m.kind == talkMark {
			return m
		}
	}
	return nil
}

// withdraw takes a command out that ends at end, of which nothing was written.
func (q *queue) withdraw(number uint64, end int64) {
	q.drop(number, end)
	q.settle()
}

// lift opens the way for a command that waited until it was the only one pending.
func (q *queue) lift(number uint64) {
	for i := range q.marks {
		if m := &q.marks[i]; m.kind == barrierMark && m.number == number && m.at < m.end {
			m.dead = true
		}
	}
	q.settle()
}

// dialogue returns the first holdMark, the one that Continue speaks to.
func (q *queue) dialogue() *mark {
	for i := range q.marks {
		if m := &q.marks[i]; m.kind == holdMark && !m.dead {
			return m
		}
	}
	return nil
}

// close forgets everything but the position.
func (q *queue) close() {
	q.marks = nil
	if q.buf != nil {
		q.release()
	}
}

func (q *queue) release() {
	q.base = q.position()
	q.off = 0
	q.buf.release()
	q.buf = nil
}
