package tlsup

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
)

// upTo drives a handshake until the end in question has been told that many bytes.
// It returns that end, and the bytes of its last flight that it was not told; more
// is false if the handshake has no more.
func upTo(t testing.TB, p *pair, server bool, n int) (e *Engine, left []byte, more bool) {
	t.Helper()
	_, _ = p.c.Step()
	_, _ = p.s.Step()
	e, other := p.c, p.s
	if server {
		e, other = p.s, p.c
	}
	for len(p.c.Pending())+len(p.s.Pending()) > 0 {
		flight := take(other)
		k := min(n, len(flight))
		if _, err := deliver(t, e, flight[:k], whole, 0); err != nil {
			t.Fatal(err)
		}
		if n -= k; k < len(flight) || n == 0 && len(flight) > 0 {
			return e, flight[k:], true
		}
		p.move(e, other, whole)
	}
	return e, nil, false
}

// eachByte runs f for each number of bytes that either end can have been told in a
// handshake.
func eachByte(t *testing.T, f func(t *testing.T, p *pair, e *Engine, left []byte)) {
	eachWay(t, func(t *testing.T, version uint16) {
		for _, server := range []bool{false, true} {
			for n := 0; ; n++ {
				p := ofVersion(t, version)
				e, left, more := upTo(t, p, server, n)
				f(t, p, e, left)
				p.c.Abort()
				p.s.Abort()
				if t.Failed() {
					t.Fatalf("server %t, after %d bytes", server, n)
				}
				if !more {
					break
				}
			}
		}
	})
}

// A handshake can be abandoned at each byte, and its goroutine with it.
func TestAbortAnywhere(t *testing.T) {
	eachByte(t, func(t *testing.T, p *pair, e *Engine, left []byte) {
		suspended(t, running(p.c)+running(p.s))
		before := running(e)
		whole := before == 1 && len(left) > 0
		if done, err := e.Step(); whole && (done || err != nil) {
			t.Errorf("a handshake that lacks bytes waits for them\n got: %t %v", done, err)
		}
		if state := e.State(); state.HandshakeComplete != (e.hands == nil) {
			t.Errorf("State says what is known\n got: %t", state.HandshakeComplete)
		}
		e.Abort()
		suspended(t, running(p.c)+running(p.s))
		if running(e) != 0 {
			t.Error("an abandoned handshake is over: it is under way")
		}
		holdsNothing(t, e)
		_, read := e.Read(make([]byte, 1))
		if read != errAborted || e.Write([]byte("x")) != errAborted || len(e.Pending()) != 0 || e.Partial() {
			t.Errorf("an abandoned connection does nothing\n got: %v, %d bytes pending", read, len(e.Pending()))
		}
	})
	suspended(t, 0)
}

// running is 1 while e's handshake is.
func running(e *Engine) int {
	if e.hands != nil {
		return 1
	}
	return 0
}

func holdsNothing(t testing.TB, e *Engine) {
	t.Helper()
	if e.rest.b != nil || e.plain.b != nil || e.pipe.out.b != nil || e.fed != nil || e.pipe.in != nil {
		t.Error("no buffer is held: one is")
	}
	if layout.ok && (bufferAt(e.conn, layout.rawInput).Cap() != 0 || bufferAt(e.conn, layout.hand).Cap() != 0) {
		t.Error("nor by crypto/tls: one is")
	}
}

// What is left of a flight, with one byte changed, does what it will, but never
// panics, and never makes anybody wait for more than what is missing.
func TestChangedByte(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, server := range []bool{false, true} {
			for n := 0; ; n++ {
				p := ofVersion(t, version)
				e, left, more := upTo(t, p, server, n)
				if !more {
					break
				}
				if len(left) > 0 { // not between two flights
					left[0] ^= byte(1 + n*n%255)
				}
				_, err := deliver(t, e, left, whole, 0)
				if err == nil && !e.done && e.hands == nil {
					t.Fatalf("a handshake is done, has failed or waits: byte %d of %s, server %t", n, tls.VersionName(version), server)
				}
				if err != nil {
					suspended(t, running(p.c)+running(p.s)) // e's is gone
					ends(t, "a changed handshake", e, err, err.Error())
				}
				p.c.Abort()
				p.s.Abort()
			}
		}
	}
	suspended(t, 0)
}

// Thousands of handshakes under way at once, moved on in any order, a few bytes at
// a time: each has one goroutine until it is done.
func TestHandshakesInterleaved(t *testing.T) {
	const n = 600
	random := rand.New(rand.NewPCG(1, 2))
	var pairs []*pair
	for i := range n {
		p := ofVersion(t, []uint16{tls.VersionTLS12, tls.VersionTLS13}[i%2])
		_, _ = p.c.Step()
		_, _ = p.s.Step()
		pairs = append(pairs, p)
	}
	suspended(t, 2*n)
	want := make(map[*pair][]byte)
	for under := append([]*pair(nil), pairs...); len(under) > 0; {
		i := random.IntN(len(under))
		p := under[i]
		from, to := p.c, p.s
		if len(from.Pending()) == 0 || len(to.Pending()) > 0 && random.IntN(2) == 0 {
			from, to = to, from
		}
		k := min(1+random.IntN(700), len(from.Pending()))
		piece := bytes.Clone(from.Pending()[:k])
		from.Sent(k)
		if _, err := deliver(t, to, piece, whole, 0); err != nil {
			t.Fatal(err)
		}
		if !p.c.done || !p.s.done {
			continue
		}
		if want[p] == nil {
			want[p] = fmt.Appendf(nil, "connection %d", i)
			p.carries(p.s, p.c, want[p], whole, 0)
		}
		under[i] = under[len(under)-1]
		under = under[:len(under)-1]
		if len(under) == n/2 {
			all := 0
			for _, p := range pairs {
				all += running(p.c) + running(p.s)
			}
			suspended(t, all)
		}
	}
	suspended(t, 0)
}

// Whoever steps may be locked to its thread, and another goroutine each time.
func TestStepFromAnywhere(t *testing.T) {
	eachWay(t, func(t *testing.T, version uint16) {
		for _, locked := range []bool{false, true} {
			p := ofVersion(t, version)
			elsewhere := func(f func()) {
				var wg sync.WaitGroup
				wg.Go(func() {
					if locked {
						runtime.LockOSThread() // the thread ends with the goroutine
					}
					f()
				})
				wg.Wait()
			}
			elsewhere(func() { _, _ = p.c.Step() })
			elsewhere(func() { _, _ = p.s.Step() })
			for len(p.c.Pending())+len(p.s.Pending()) > 0 {
				elsewhere(func() { p.move(p.c, p.s, every(100)) })
				elsewhere(func() { p.move(p.s, p.c, every(100)) })
			}
			elsewhere(func() { p.carries(p.s, p.c, text(20000), every(1000), 0) })
			elsewhere(p.c.Abort)
			elsewhere(p.s.Abort)
			holdsNothing(t, p.c)
		}
	})
	suspended(t, 0)
}

// Abort may come at any time after the handshake too, and twice.
func TestAbort(t *testing.T) {
	eachWay(t, func(t *testing.T, version uint16) {
		for name, do := range map[string]func(p *pair){
			"never used": func(p *pair) {},
			"not begun":  func(p *pair) { p.c.Feed([]byte("x")) },
			"at rest":    func(p *pair) { p.shake(whole) },
			"half a record": func(p *pair) {
				p.shake(whole)
				_ = p.s.Write(text(1000))
				p.c.Feed(take(p.s)[:500])
				p.c.Keep()
			},
			"a record read in part": func(p *pair) {
				p.shake(whole)
				_ = p.s.Write(text(1000))
				p.c.Feed(take(p.s))
				_, _ = p.c.Read(make([]byte, 10))
			},
			"and kept": func(p *pair) {
				p.shake(whole)
				_ = p.s.Write(text(1000))
				p.c.Feed(take(p.s))
				_, _ = p.c.Read(make([]byte, 10))
				p.c.Keep()
			},
			"much to send": func(p *pair) {
				p.shake(whole)
				_ = p.c.Write(text(100000))
			},
			"closed": func(p *pair) {
				p.shake(whole)
				p.s.CloseNotify()
				p.move(p.c, p.s, whole)
				_, _ = deliver(t, p.c, take(p.s), whole, 0)
			},
		} {
			p := ofVersion(t, version)
			do(p)
			p.c.Abort()
			p.c.Abort()
			p.c.CloseNotify()
			p.c.Keep()
			holdsNothing(t, p.c)
			n, err := p.c.Read(make([]byte, 10))
			if n != 0 || err != errAborted {
				t.Errorf("%s: nothing is read any more\n got: %d %v", name, n, err)
			}
		}
	})
}

// Each change of goroutines costs more than most of the records in a flight, so a
// flight goes through without one, and nothing is taken that is not asked for.
func TestAFlightIsReadInOneGo(t *testing.T) {
	flight := []string{"one", "two", "three"}
	next := func() []byte {
		if len(flight) == 0 {
			return nil
		}
		record := flight[0]
		flight = flight[1:]
		return []byte(record)
	}
	h := newHandshake(next)
	h.parked, h.resume = make(chan struct{}, 1), make(chan bool, 1)
	h.resume <- false // should it be suspended, it is given up
	p := pipe{hands: h}
	buf := make([]byte, 100)
	for i, want := range []string{"one", "two", "three"} {
		n, err := p.Read(buf)
		if got := string(buf[:n]); got != want || err != nil {
			t.Fatalf("read %d is the record %q: got %q, %v", i, want, got, err)
		}
		if got, want := len(flight), 2-i; got != want {
			t.Fatalf("after read %d there are %d records left: got %d", i, want, got)
		}
	}
	if n, err := p.Read(buf); n != 0 || err != errAborted {
		t.Errorf("without a record the handshake is suspended: got %d, %v", n, err)
	}
}
