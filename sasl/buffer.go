package sasl

import (
	"math/bits"
	"sync"
)

// queue is bytes that come in at the end and leave in front, in memory that is
// lent while there are any: an idle layer holds none. (tlsup has the same, of which
// this package must not know.)
type queue struct {
	b   []byte
	off int
}

func (q *queue) bytes() []byte { return q.b[q.off:] }
func (q *queue) len() int      { return len(q.b) - q.off }

func (q *queue) add(p []byte) {
	q.grow(len(p))
	q.b = append(q.b, p...)
}

// grow makes room for n more bytes.
func (q *queue) grow(n int) {
	if n <= cap(q.b)-len(q.b) {
		return
	}
	held := q.len()
	bigger := lend(held + held/2 + n) // more than needed, so that many small adds cost linear time
	bigger = append(bigger, q.bytes()...)
	giveBack(q.b)
	q.b, q.off = bigger, 0
}

// drop takes n bytes out, whose memory is valid until the next add or tidy.
func (q *queue) drop(n int) { q.off += n }

// tidy ends the loan if there is nothing left.
func (q *queue) tidy() {
	if q.b != nil && q.len() == 0 {
		giveBack(q.b)
		*q = queue{}
	}
}

const (
	minClass = 12 // 4 KiB: a few commands, or a packet of a server that takes no larger ones
	maxClass = 17 // 128 KiB: 64 KiB of data, in packets; larger ones go to the collector
)

// slab is a pooled buffer. The pools hold pointers, for which an interface has room.
type slab struct{ b []byte }

var (
	slabs [maxClass - minClass + 1]sync.Pool
	husks = sync.Pool{New: func() any { return new(slab) }} // slabs without a buffer
)

// lend returns an empty buffer with room for n bytes at least.
func lend(n int) []byte {
	class := max(bits.Len(uint(max(n, 1)-1)), minClass)
	if class > maxClass {
		return make([]byte, 0, n)
	}
	s, ok := slabs[class-minClass].Get().(*slab)
	if !ok {
		return make([]byte, 0, 1<<class)
	}
	b := s.b
	s.b = nil
	husks.Put(s)
	return b
}

// giveBack ends a loan.
func giveBack(b []byte) {
	class := bits.Len(uint(cap(b))) - 1
	if class < minClass || class > maxClass {
		return
	}
	s := husks.Get().(*slab)
	s.b = b[:0]
	slabs[class-minClass].Put(s)
}
