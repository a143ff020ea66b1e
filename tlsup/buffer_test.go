package tlsup

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// A queue gives what it was given, whatever comes and goes.
func TestQueue(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	all := text(1 << 20)
	var q queue
	in, out := 0, 0
	for in < len(all) {
		n := min(random.IntN(1<<random.IntN(16)), len(all)-in)
		q.add(all[in : in+n])
		in += n
		n = random.IntN(q.len() + 1)
		if got := q.bytes()[:n]; !bytes.Equal(got, all[out:out+n]) {
			t.Fatalf("bytes leave as they came: not at %d", out)
		}
		q.drop(n)
		out += n
		if random.IntN(10) == 0 {
			q.tidy()
		}
		if (q.b == nil) && q.len() != 0 {
			t.Fatal("an empty queue has no buffer, and no other")
		}
	}
	q.drop(q.len())
	if q.tidy(); q.b != nil || q.off != 0 {
		t.Error("tidy takes an empty queue's buffer: it has one")
	}
}

// Adding a little many times costs linear time: what is copied is of the order of
// what is added, also when the queue is long, or nearly full.
func TestQueueGrows(t *testing.T) {
	for _, start := range []int{0, 1 << 12, 1<<16 - 10, 1 << 17, 1 << 20} {
		var q queue
		q.add(make([]byte, start))
		copied, added := 0, 0
		for range 100000 {
			before := q.b
			q.add(make([]byte, 30))
			added += 30
			if cap(q.b) != cap(before) || &q.b[0] != &before[:1][0] {
				copied += q.len() - 30
			}
			q.drop(29)
		}
		if limit := 2*start + 4*added; copied > limit {
			t.Errorf("copying is bounded by what is added, from %d bytes\n got: %d\nwant: at most %d", start, copied, limit)
		}
	}
}

func TestLend(t *testing.T) {
	for _, n := range []int{1, 5, 1<<minClass - 1, 1 << minClass, 1<<minClass + 1, maxPlaintext, maxPayload, 1 << maxClass, 1<<maxClass + 1, 1 << 20} {
		b := lend(n)
		if len(b) != 0 || cap(b) < n {
			t.Errorf("what is lent is empty and has room for %d bytes\n got: %d of %d", n, len(b), cap(b))
		}
		if n <= 1<<maxClass && cap(b) > max(2*n, 1<<minClass) {
			t.Errorf("and for no more than twice as much\n got: %d for %d", cap(b), n)
		}
		giveBack(b)
	}
	giveBack(nil)
	giveBack(make([]byte, 10))
}
