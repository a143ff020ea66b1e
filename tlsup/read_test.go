package tlsup

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
)

// What is written at one end is read at the other, in either direction, however the
// records are cut and however small the buffer.
func TestReadCut(t *testing.T) {
	eachWay(t, func(t *testing.T, version uint16) {
		for name, cut := range cutters {
			want := text(70000)
			if name == "bytes" || name == "sevens" {
				want = want[:2500]
			}
			for _, size := range []int{100, maxPlaintext, 100000} {
				p := ofVersion(t, version)
				p.shake(cut)
				p.carries(p.s, p.c, want, cut, size)
				p.carries(p.c, p.s, want, cut, size)
				if t.Failed() {
					t.Fatalf("cut by %s, read by %d bytes", name, size)
				}
			}
		}
		p := connect(t, version)
		p.carries(p.s, p.c, text(20000), whole, 1)
	})
}

// carries checks that text written at one end is read at the other.
func (p *pair) carries(from, to *Engine, text []byte, cut cutter, size int) {
	p.t.Helper()
	if err := from.Write(text); err != nil {
		p.t.Fatal(err)
	}
	got, err := deliver(p.t, to, take(from), cut, size)
	if err != nil {
		p.t.Errorf("good records are read\n got: %v", err)
	}
	same(p.t, "what is written at one end is read at the other", got, text)
	if to.Partial() {
		p.t.Error("after the last record none has begun")
	}
}

// A record may be cut anywhere.
func TestReadCutInTwo(t *testing.T) {
	eachWay(t, func(t *testing.T, version uint16) {
		p := connect(t, version)
		want := []byte("hello")
		for at := 0; ; at++ {
			for range 3 {
				if err := p.s.Write(want); err != nil {
					t.Fatal(err)
				}
			}
			stream := take(p.s)
			if at > len(stream) {
				break
			}
			got, err := deliver(t, p.c, stream, after(at), 0)
			if err != nil || string(got) != "hellohellohello" {
				t.Fatalf("records are read when they are cut at %d\n got: %q %v", at, got, err)
			}
		}
	})
}

// Keep can come when part of a record was read, and other records wait behind it:
// their memory is somebody else's then.
func TestKeepAnywhere(t *testing.T) {
	eachWay(t, func(t *testing.T, version uint16) {
		p := connect(t, version)
		want := text(3000)
		for read := range len(want) + 1 {
			for part := range slices.Chunk(want, 1000) {
				if err := p.s.Write(part); err != nil {
					t.Fatal(err)
				}
			}
			var got []byte
			for _, piece := range after(2500)(take(p.s)) {
				loan := lendTo(p.c, piece)
				b := make([]byte, max(0, read-len(got)))
				n, err := p.c.Read(b)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, b[:n]...)
				p.c.Keep()
				loan.end(t)
			}
			got, err := readAll(p.c, make([]byte, 300), got)
			if err != nil {
				t.Fatal(err)
			}
			same(t, fmt.Sprintf("what %d bytes that were read leave comes after Keep", read), got, want)
		}
	})
}

// Many loans can end before anything was read.
func TestKeepWithoutRead(t *testing.T) {
	eachWay(t, func(t *testing.T, version uint16) {
		p := connect(t, version)
		want := text(200000)
		if err := p.s.Write(want); err != nil {
			t.Fatal(err)
		}
		for _, piece := range every(1000)(take(p.s)) {
			loan := lendTo(p.c, piece)
			p.c.Keep()
			loan.end(t)
		}
		got, err := readAll(p.c, make([]byte, 20000), nil)
		if err != nil {
			t.Fatalf("what was kept is read\n got: %v", err)
		}
		same(t, "what was kept is read", got, want)
	})
}

// After Keep nothing holds what was lent, nor a pooled buffer.
func TestKeepLetsGo(t *testing.T) {
	eachWay(t, func(t *testing.T, version uint16) {
		p := connect(t, version)
		for _, size := range []int{10, maxPlaintext} {
			if err := p.s.Write(text(size)); err != nil {
				t.Fatal(err)
			}
			gone := make(chan bool, 1)
			func() {
				lent := take(p.s)
				runtime.AddCleanup(&lent[0], func(c chan bool) { c <- true }, gone)
				p.c.Feed(lent)
				if got, err := readAll(p.c, make([]byte, 20000), nil); err != nil || len(got) != size {
					t.Fatal(len(got), err)
				}
				p.c.Keep()
			}()
			if !collected(gone) {
				t.Errorf("after Keep the engine does not hold what was lent: it does, with a record of %d bytes", size)
			}
			runtime.KeepAlive(p)
		}
	})
}

func collected(gone chan bool) bool {
	for range 100 {
		runtime.GC()
		select {
		case <-gone:
			return true
		default:
			runtime.Gosched()
		}
	}
	return false
}
