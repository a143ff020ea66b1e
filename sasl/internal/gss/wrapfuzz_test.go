package gss

import (
	"bytes"
	"testing"
)

// A token that was changed anywhere is refused, and so are bytes that never were one;
// the right one is accepted behind them.
func FuzzOpen(f *testing.F) {
	f.Add(byte(0), uint16(5), uint16(4), byte(1), uint16(0), []byte{5, 4, 4, 0xff})
	f.Add(byte(3), uint16(300), uint16(7), byte(28), uint16(1), bytes.Repeat([]byte{0xff}, 80))
	f.Add(byte(4), uint16(40), uint16(90), byte(0x80), uint16(16), append([]byte{5, 4, 6, 0xff, 0, 0, 0xff, 0xff}, make([]byte, 60)...))
	f.Add(byte(9), uint16(130), uint16(1), byte(3), uint16(0), frame(append(bytes.Clone(mechanism), rc4Sealed...)))
	f.Fuzz(func(t *testing.T, kind byte, n, at uint16, flip byte, cut uint16, raw []byte) {
		etype, private := etypes[int(kind/2)%len(etypes)], kind%2 == 1
		initiator, acceptor := newPair(t, etype)
		p := text(int(n) % 2000)
		token := seal(t, initiator, p, private)
		altered := bytes.Clone(token[:len(token)-int(cut)%len(token)])
		altered[int(at)%len(altered)] ^= flip
		if !bytes.Equal(altered, token) && !turned(etype, token, altered) {
			mustRefuse(t, acceptor, altered, "an altered token", "")
		}
		mustRefuse(t, acceptor, bytes.Clone(raw), "any bytes", "")
		// Where they are the head of what is a token otherwise, they come further.
		mixed := bytes.Clone(token)
		copy(mixed, raw)
		if !bytes.Equal(mixed, token) && !turned(etype, token, mixed) {
			mustRefuse(t, acceptor, mixed, "a mixed token", "")
		}
		mustOpen(t, acceptor, token, p, private)
	})
}
