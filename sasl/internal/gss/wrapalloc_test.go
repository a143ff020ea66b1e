//go:build !race

package gss

import (
	"runtime"
	"testing"
)

// A token costs no allocation, either way.
func TestTokensAllocateNothing(t *testing.T) {
	eachKind(t, func(t *testing.T, etype int32, private bool) {
		initiator, acceptor := newPair(t, etype)
		data := text(5000)
		dst := make([]byte, 0, len(data)+initiator.Overhead(private))
		round := func() {
			token, err := initiator.Seal(dst, data, private)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err = acceptor.Open(token); err != nil {
				t.Fatal(err)
			}
		}
		round()
		if n := testing.AllocsPerRun(100, round); n != 0 {
			t.Errorf("no token allocates in steady state\n got: %v", n)
		}
	})
}

// TestMemory holds an idle context to what leaves the connection around it room within
// 4 KiB: it has been used for both kinds of tokens in both directions, as a login and
// what follows it do.
func TestMemory(t *testing.T) {
	const contexts, most = 256, 2560
	eachKind(t, func(t *testing.T, etype int32, private bool) {
		kept := make([]*Wrapper, contexts)
		var before, after runtime.MemStats
		room := make([]byte, 0, 256)
		p := text(4)
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range kept {
			initiator, acceptor := newPair(t, etype)
			for _, private := range []bool{false, private} {
				for _, w := range [][2]*Wrapper{{initiator, acceptor}, {acceptor, initiator}} {
					token, err := w[0].Seal(room, p, private)
					if err != nil {
						t.Fatal(err)
					}
					mustOpen(t, w[1], token, p, private)
				}
			}
			kept[i] = initiator
		}
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&after)
		each := int64(after.HeapAlloc-before.HeapAlloc) / contexts
		t.Logf("%d bytes", each)
		if each > most {
			t.Errorf("a context takes at most %d bytes\n got: %d", most, each)
		}
		runtime.KeepAlive(kept)
	})
}
