package conn

import (
	"math/bits"
	"sync"
)

// Buffers are lent while bytes are in flight and given back when they have
// passed: an idle connection holds none. The pools belong to the process, not
// to a loop, since bare clients on several goroutines share them too; in the
// steady state of one loop a pool hands out the same few warm buffers.

const (
	minBufferBits = 12 // 4 KiB: a few commands
	maxBufferBits = 25 // 32 MiB: larger ones go to the collector
	readSize      = 1 << 16
)

// buffer is a byte slice that came from a pool.
type buffer struct {
	b      []byte
	secret bool // b holds or held one: it is wiped before others get it

	// Of what is kept of the input:
	start  int // of the unfinished reply, in b
	framed int // bytes of that reply that the framer has consumed
	head   int // length of its first piece of line; -1: not consumed yet
	want   int // room for the next read, if more than the least
}

var bufferPools [maxBufferBits - minBufferBits + 1]sync.Pool

// newBuffer returns an empty buffer with room for n bytes at least.
func newBuffer(n int) *buffer {
	class := max(bits.Len(uint(n-1)), minBufferBits)
	if class > maxBufferBits {
		return &buffer{b: make([]byte, 0, n)}
	}
	if b, ok := bufferPools[class-minBufferBits].Get().(*buffer); ok {
		return b
	}
	return &buffer{b: make([]byte, 0, 1<<class)}
}

// roomiest returns an empty buffer with room for least bytes. If there is a free one
// with room for hoped bytes it is that: what they will be is the server's word, for
// which no memory is allocated, but memory that is there saves moving them later.
func roomiest(least int, hoped int64) *buffer {
	if hoped > int64(least) && hoped <= 1<<maxBufferBits {
		class := max(bits.Len64(uint64(hoped-1)), minBufferBits)
		if b, ok := bufferPools[class-minBufferBits].Get().(*buffer); ok {
			return b
		}
	}
	return newBuffer(least)
}

// release gives the buffer back. It may have grown beyond the class that it
// was made for; it goes where its capacity belongs.
func (b *buffer) release() {
	if b.secret {
		clear(b.b[:cap(b.b)]) // what was moved down has left a copy behind
		b.secret = false
	}
	class := bits.Len(uint(cap(b.b))) - 1
	if class < minBufferBits || class > maxBufferBits {
		return
	}
	b.b = b.b[:0]
	bufferPools[class-minBufferBits].Put(b)
}

// replace takes over grown, which an append to b has made. secret says that it
// holds one now; then nothing may stay behind in the memory that it outgrew.
func (b *buffer) replace(grown []byte, secret bool) {
	b.secret = b.secret || secret
	if b.secret && cap(grown) != cap(b.b) {
		clear(b.b[:cap(b.b)])
	}
	b.b = grown
}

// room makes place for n more bytes behind the contents, by doubling, so that
// a long reply costs linear time and never more than twice its size, or by a free
// buffer that has room for all that is to come.
func (b *buffer) room(n int, missing int64) {
	if cap(b.b)-len(b.b) >= n {
		return
	}
	bigger := roomiest(max(2*cap(b.b), len(b.b)+n), int64(len(b.b))+missing)
	bigger.b = append(bigger.b, b.b...)
	b.b, bigger.b = bigger.b, b.b
	bigger.release()
}

// scratch is what one call of ProcessOneEvent needs and no idle connection
// keeps. A nested call, on another connection, takes another one.
type scratch struct {
	in     [readSize]byte
	reply  Reply
	budget int  // replies that may still be dispatched
	filled bool // there may be more to read
	head   int  // like buffer.head, of the reply that is being framed
	iov    [maxIOV][]byte
}

var scratchPool = sync.Pool{New: func() any { return new(scratch) }}

// rawBuffer is where a call reads to what layers will decode.
type rawBuffer [readSize]byte

var rawPool = sync.Pool{New: func() any { return new(rawBuffer) }}
