package tlsup

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/cryptotest"
)

// program is a fuzzer's input, read as numbers; behind its end they are 0.
type program struct{ b []byte }

func (p *program) next() int {
	if len(p.b) == 0 {
		return 0
	}
	n := int(p.b[0])
	p.b = p.b[1:]
	return n
}

func (p *program) bytes(n int) []byte {
	b := p.b[:min(n, len(p.b))]
	p.b = p.b[len(b):]
	return b
}

// mangle makes of good records what an enemy on the way could.
func (p *program) mangle(all [][]byte) (stream []byte) {
	all = slices.Clone(all)
	for i := 0; i < len(all); i++ {
		switch p.next() % 16 {
		case 1: // changed
			all[i] = bytes.Clone(all[i])
			all[i][(p.next()<<8|p.next())%len(all[i])] ^= byte(p.next())
		case 2: // cut short
			all[i] = all[i][:(p.next()<<8|p.next())%len(all[i])]
		case 3: // dropped
			all[i] = nil
		case 4: // again
			stream = append(stream, all[i]...)
		case 5: // in another's place
			j := p.next() % len(all)
			all[i], all[j] = all[j], all[i]
		case 6: // garbage before
			stream = append(stream, p.bytes(p.next())...)
		case 7: // an earlier one again
			stream = append(stream, all[p.next()%(i+1)]...)
		}
		stream = append(stream, all[i]...)
	}
	return stream
}

// cutter cuts as it says, by a few bytes or some thousand at a time.
func (p *program) cutter() cutter {
	cuts := bytes.Clone(p.bytes(8))
	return func(stream []byte) (pieces [][]byte) {
		for i := 0; len(stream) > 0; i++ {
			n := 700
			if i < 50*len(cuts) {
				c := int(cuts[i%len(cuts)])
				n = 1 + c<<(c%8)
			}
			n = min(n, len(stream))
			pieces = append(pieces, stream[:n])
			stream = stream[n:]
		}
		return pieces
	}
}

// says makes records that the peer may well send, or not.
func (p *program) says(f *forged) (all [][]byte) {
	for range 1 + p.next()%12 {
		switch n := p.next(); n % 8 {
		default:
			all = append(all, f.in.seal(typeData, text(p.next()<<(n%7))))
		case 1:
			if f.in.v13 {
				all = append(all, f.keyUpdate(byte(p.next()%2)))
			}
		case 2:
			all = append(all, f.in.seal(typeAlert, alert(byte(p.next()), byte(p.next()))))
		case 3:
			all = append(all, f.in.seal(byte(p.next()), p.bytes(p.next()%32)))
		case 4:
			all = append(all, f.in.seal(typeHandshake, p.bytes(p.next()%32)))
		case 5: // a ticket, of whatever
			body := p.bytes(p.next() % 64)
			all = append(all, f.in.seal(typeHandshake, append([]byte{4, 0, 0, byte(len(body))}, body...)))
		}
	}
	return all
}

// outcome is how a connection ended, as far as two that were told the same must agree.
type outcome struct {
	plain          string
	err            string
	done, partial  bool
	waiting, alert bool
}

func outcomeOf(e *Engine, plain []byte, err error) outcome {
	o := outcome{plain: string(plain), done: e.done, partial: e.Partial(), waiting: e.hands != nil, alert: len(e.Pending()) > 0}
	if err != nil {
		o.err = err.Error()
	}
	if not := (*NotTLSError)(nil); errors.As(err, &not) {
		o.err = fmt.Sprint("not TLS, first ", not.First) // its text is of as much as has come
	}
	return o
}

// withinBounds checks that an engine holds no more than it may.
func withinBounds(t *testing.T, e *Engine) {
	const most = 64 << 10 // a record in part
	if n := cap(e.rest.b) + cap(e.plain.b); n > 2*most {
		t.Errorf("after Keep there is a part of a record at most\n got: buffers of %d bytes", n)
	}
	e.Abort()
	holdsNothing(t, e)
}

// FuzzEngine tells a client what was made of good records, and another one the same
// in pieces.
func FuzzEngine(f *testing.F) {
	f.Add([]byte{0, 0, 0, 7, 1, 1, 1, 2, 1, 0, 1})
	f.Add([]byte{1, 20, 11, 8, 100, 8, 200, 14, 255, 8, 1, 8, 1, 5, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2, 3})
	f.Add([]byte{0, 3, 4, 0, 200, 1, 1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 6, 20, 1, 2, 3, 4, 5})
	f.Add([]byte{1, 3, 5, 0, 200, 6, 30, 0, 20, 0, 3, 2, 0, 9, 1, 1, 0, 7, 16})
	f.Fuzz(func(t *testing.T, in []byte) {
		version := uint16(tls.VersionTLS12)
		if p := (program{in}); p.next()%2 == 1 {
			version = tls.VersionTLS13
		}
		var got [2]outcome
		for i := range got {
			p := program{in}
			layout.ok = p.next()&2 == 0 || i == 0
			cryptotest.SetGlobalRandom(t, 1) // both have the same keys
			size := 1 + p.next()*100
			cut := p.cutter()
			if i == 0 {
				size, cut = 20000, whole
			}
			client := forge(t, version)
			stream := p.mangle(p.says(client))
			plain, err := deliver(t, client.c, stream, cut, size)
			got[i] = outcomeOf(client.c, plain, err)
			withinBounds(t, client.c)
			client.s.Abort()
		}
		layout.ok = true
		if got[0] != got[1] {
			t.Errorf("a stream means the same, whole and in pieces\n got: %.300q\nwant: %.300q", fmt.Sprint(got[1]), fmt.Sprint(got[0]))
		}
	})
}

// FuzzHandshake tells a client what was made of the flights of its server's.
func FuzzHandshake(f *testing.F) {
	for version := range byte(2) {
		f.Add([]byte{version})
		f.Add([]byte{version, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 0, 50, 1})
		f.Add([]byte{version, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 4, 0, 3})
		f.Add([]byte{version, 1, 2, 3, 4, 5, 6, 7, 8, 2, 0, 50, 6, 20, 1, 2, 3, 4, 5, 6})
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var got [2]outcome
		for i := range got {
			p := program{in}
			way := p.next()
			pair := ofVersion(t, []uint16{tls.VersionTLS12, tls.VersionTLS13}[way%2])
			layout.ok = way&2 == 0 || i == 0
			cryptotest.SetGlobalRandom(t, 1) // both ends say the same each time
			cut := p.cutter()
			if i == 0 {
				cut = whole
			}
			err := pair.shakeMangled(&p, cut)
			got[i] = outcomeOf(pair.c, nil, err)
			if err != nil && pair.c.hands != nil {
				t.Error("a handshake that has failed is over: it is under way")
			}
			withinBounds(t, pair.c)
			pair.s.Abort()
		}
		layout.ok = true
		if got[0] != got[1] {
			t.Errorf("a handshake means the same, whole and in pieces\n got: %.300q\nwant: %.300q", fmt.Sprint(got[1]), fmt.Sprint(got[0]))
		}
	})
}

// shakeMangled does a handshake as far as it goes. The client's flights are good.
func (p *pair) shakeMangled(program *program, cut cutter) error {
	_, _ = p.s.Step()
	if _, err := p.c.Step(); err != nil {
		p.t.Fatal(err)
	}
	for len(p.c.Pending()) > 0 {
		if _, err := deliver(p.t, p.s, take(p.c), whole, 0); err != nil {
			return nil // the client has said what it could
		}
		stream := program.mangle(records(take(p.s)))
		if _, err := deliver(p.t, p.c, stream, cut, 0); err != nil {
			return err
		}
	}
	return nil
}
