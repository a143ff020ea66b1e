package gss

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// mustRefuse demands a *TokenError, in which want stands, and no data.
func mustRefuse(t testing.TB, w *Wrapper, token []byte, what, want string) {
	t.Helper()
	data, private, err := w.Open(token)
	if bad, ok := errors.AsType[*TokenError](err); data != nil || private || !ok || !strings.Contains(bad.What, want) {
		t.Fatalf("%s\n got: %d bytes, private %t, %v\nwant: %s", what, len(data), private, err, want)
	}
}

// A token that was cut or has more behind it, at any place, is refused; the next one
// is then still due.
func TestCut(t *testing.T) {
	eachKind(t, func(t *testing.T, etype int32, private bool) {
		initiator, acceptor := newPair(t, etype)
		for _, n := range []int{0, 1, 16, 60, 200} {
			token := seal(t, initiator, text(n), private)
			for cut := range token {
				mustRefuse(t, acceptor, bytes.Clone(token[:cut]), fmt.Sprintf("%d of %d bytes", cut, len(token)), "")
			}
			mustRefuse(t, acceptor, append(bytes.Clone(token), 0), "a byte too many", "")
			mustOpen(t, acceptor, token, text(n), private)
		}
	})
}

// A token any byte of which was changed is refused: there is no other that holds the
// same, but for rotation by whole turns.
func TestAltered(t *testing.T) {
	eachKind(t, func(t *testing.T, etype int32, private bool) {
		initiator, acceptor := newPair(t, etype)
		for _, n := range []int{0, 5, 21} {
			token := seal(t, initiator, text(n), private)
			for at := range token {
				for flip := 1; flip < 256; flip++ {
					altered := bytes.Clone(token)
					altered[at] ^= byte(flip)
					if turned(etype, token, altered) {
						continue
					}
					mustRefuse(t, acceptor, altered, fmt.Sprintf("byte %d of %d changed by %#x", at, len(token), flip), "")
				}
			}
			mustOpen(t, acceptor, token, text(n), private)
		}
	})
}

// turned reports whether two tokens of AES differ in nothing but a rotation count, and
// there by whole turns.
func turned(etype int32, token, altered []byte) bool {
	if etype == rc4HMAC || len(token) != len(altered) || !bytes.Equal(token[:rotateAt], altered[:rotateAt]) || !bytes.Equal(token[seqAt:], altered[seqAt:]) {
		return false
	}
	a, b := int(binary.BigEndian.Uint16(token[rotateAt:])), int(binary.BigEndian.Uint16(altered[rotateAt:]))
	return (a-b)%(len(token)-headerLen) == 0
}

// Each token is opened once, and in turn.
func TestSequence(t *testing.T) {
	eachKind(t, func(t *testing.T, etype int32, private bool) {
		initiator, acceptor := newPair(t, etype)
		var tokens [3][]byte
		for i := range tokens {
			tokens[i] = seal(t, initiator, text(i), private)
		}
		mustRefuse(t, acceptor, bytes.Clone(tokens[1]), "a gap", "token 1073741809 came where token 1073741808 was due")
		mustOpen(t, acceptor, bytes.Clone(tokens[0]), text(0), private)
		mustRefuse(t, acceptor, tokens[0], "a replay", "token 1073741808 came where token 1073741809 was due")
		mustRefuse(t, acceptor, bytes.Clone(tokens[2]), "another order", "token 1073741810 came where")
		mustOpen(t, acceptor, tokens[1], text(1), private)
		mustOpen(t, acceptor, tokens[2], text(2), private)
	})
}

// What one end has sent is not accepted by it, though the numbers are right.
func TestReflected(t *testing.T) {
	eachKind(t, func(t *testing.T, etype int32, private bool) {
		for _, isAcceptor := range []bool{false, true} {
			w := newWrapper(t, testKey(etype), WrapperOptions{Acceptor: isAcceptor, SendSeq: 7, RecvSeq: 7})
			mustRefuse(t, w, seal(t, w, text(20), private), "an own token", "sent the other way")
		}
	})
}

func TestOtherKey(t *testing.T) {
	eachKind(t, func(t *testing.T, etype int32, private bool) {
		for _, subkey := range []bool{false, true} {
			with := newWrapper(t, testKey(etype), WrapperOptions{AcceptorSubkey: subkey})
			without := newWrapper(t, testKey(etype), WrapperOptions{Acceptor: true, AcceptorSubkey: !subkey})
			if etype != rc4HMAC { // which has no such flag
				mustRefuse(t, without, seal(t, with, text(3), private), "the other subkey", "its flag for the acceptor's subkey is wrong")
			}
		}
		k := testKey(etype)
		k.Value[0]++
		w := newWrapper(t, k, WrapperOptions{SendSeq: 0x3ffffff0, AcceptorSubkey: true})
		_, acceptor := newPair(t, etype)
		mustRefuse(t, acceptor, seal(t, w, text(3), private), "another key", "the checksum of a token is wrong")
	})
}

// forge makes the initiator's next token with right checksums, whatever its headers are:
// the one in the clear, and the one that is encrypted or is the checksum's.
func forge(t testing.TB, w *Wrapper, p []byte, private bool, extra int, edit func(outer, inner []byte)) []byte {
	t.Helper()
	c := w.tokens.(*cfx)
	f := &c.send
	c.ready(f, private)
	outer := f.appendHeader(nil, private)
	inner := bytes.Clone(outer)
	binary.BigEndian.PutUint16(outer[extraAt:], uint16(extra))
	if private {
		binary.BigEndian.PutUint16(inner[extraAt:], uint16(extra))
	}
	edit(outer, inner)
	f.step()
	if !private {
		return slices.Concat(outer, p, c.checksum(f, p, inner))
	}
	b := slices.Concat(make([]byte, confounderLen), p, bytes.Repeat([]byte("x"), extra), inner)
	return append(outer, c.encrypt(f, b, 0)...)
}

// eachAES is eachKind without rc4-hmac; extra is the extra count that a token needs.
func eachAES(t *testing.T, f func(t *testing.T, etype int32, private bool, extra int)) {
	eachKind(t, func(t *testing.T, etype int32, private bool) {
		if etype == rc4HMAC {
			return
		}
		extra := 0
		if !private {
			extra = profiles[etype].macLen
		}
		f(t, etype, private, extra)
	})
}

// Headers are checked, not only their checksums.
func TestHeaders(t *testing.T) {
	eachAES(t, func(t *testing.T, etype int32, private bool, extra int) {
		set := func(at int, value byte) func(outer, inner []byte) {
			return func(outer, inner []byte) { outer[at], inner[at] = value, value }
		}
		flags := acceptorSubkey
		if private {
			flags |= sealed
		}
		for _, tc := range []struct {
			name string
			edit func(outer, inner []byte)
			want string // "": it is accepted
		}{
			{"as it should be", func(outer, inner []byte) {}, ""},
			{"the ID of a MIC token", set(0, 4), "ID 0x0404"},
			{"a reserved ID", set(1, 5), "ID 0x0505"},
			{"other filler", set(3, 0xfe), "filler"},
			{"sent by the acceptor", set(2, flags|sentByAcceptor), "other way"},
			{"no subkey", set(2, flags&^acceptorSubkey), "subkey"},
			{"flags that have no meaning yet", set(2, flags|0xf8), ""},
			{"another number", set(seqAt+7, 0), "was due"},
			{"a number whose high half is another", set(seqAt, 1), "was due"},
			{"two numbers", func(outer, inner []byte) { inner[seqAt+7]++ }, "checksum"},
			{"two flags", func(outer, inner []byte) { inner[2] |= 0x80 }, "checksum"},
			{"two rotations", func(outer, inner []byte) { inner[rotateAt+1] = 1 }, "checksum"},
			{"two extra counts", func(outer, inner []byte) { inner[extraAt]++ }, "checksum"},
		} {
			initiator, acceptor := newPair(t, etype)
			token := forge(t, initiator, text(40), private, extra, tc.edit)
			if tc.want == "" {
				mustOpen(t, acceptor, token, text(40), private)
			} else {
				mustRefuse(t, acceptor, token, tc.name, tc.want)
			}
		}
	})
}

// Any filler that is there may be announced.
func TestExtraCount(t *testing.T) {
	eachAES(t, func(t *testing.T, etype int32, private bool, extra int) {
		initiator, acceptor := newPair(t, etype)
		if private {
			for _, n := range []int{0, 1, 15, 16, 17, 300, 4096, math.MaxUint16} {
				mustOpen(t, acceptor, forge(t, initiator, text(20), private, n, func(outer, inner []byte) {}), text(20), private)
			}
		}
		// The data have room for it, and what is more than the data has none.
		seq := acceptor.tokens.(*cfx).recv.counter
		for n := 0; n <= math.MaxUint16; n += stride(etype, n) {
			initiator.tokens.(*cfx).send.counter, acceptor.tokens.(*cfx).recv.counter = seq, seq
			token := forge(t, initiator, text(20), private, extra, func(outer, inner []byte) {
				binary.BigEndian.PutUint16(outer[extraAt:], uint16(n))
				if private {
					binary.BigEndian.PutUint16(inner[extraAt:], uint16(n))
				}
			})
			switch {
			case private && n <= 20:
				mustOpen(t, acceptor, token, text(20-n), private)
			case !private && n == extra:
				mustOpen(t, acceptor, token, text(20), private)
			default:
				mustRefuse(t, acceptor, token, fmt.Sprintf("an extra count of %d", n), fmt.Sprintf("extra count of %d", n))
			}
		}
	})
}

// stride is how far the next count is that is tried: one encryption type has all, for
// what is done with counts is the same for the others.
func stride(etype int32, count int) int {
	if etype == aes128SHA1 || count < 600 {
		return 1
	}
	return 61
}

// Tokens may be rotated by any count, also by more than they are long.
func TestRotation(t *testing.T) {
	eachAES(t, func(t *testing.T, etype int32, private bool, extra int) {
		initiator, acceptor := newPair(t, etype)
		for count := 0; count <= math.MaxUint16; count += stride(etype, count) {
			token := seal(t, initiator, text(40), private)
			binary.BigEndian.PutUint16(token[rotateAt:], uint16(count))
			rotate(token[headerLen:], count)
			mustOpen(t, acceptor, token, text(40), private)
		}
	})
}

// rotate turns b to the right: the last bytes come first.
func rotate(b []byte, count int) {
	n := len(b) - count%len(b)
	copy(b, slices.Concat(b[n:], b[:n]))
}

func TestUnrotate(t *testing.T) {
	for n := 1; n < 300; n++ {
		for count := range 2*n + 1 {
			b := text(n)
			rotate(b, count)
			if unrotate(b, count); !bytes.Equal(b, text(n)) {
				t.Fatalf("%d bytes, rotated by %d, come back", n, count)
			}
		}
	}
}

// Numbers are used once.
func TestExhausted(t *testing.T) {
	for _, etype := range etypes {
		last, start := uint64(math.MaxUint64), uint64(math.MaxUint64)
		if etype == rc4HMAC {
			last, start = 4, 5 // it begins again with zero
		}
		initiator := newWrapper(t, testKey(etype), WrapperOptions{SendSeq: start})
		acceptor := newWrapper(t, testKey(etype), WrapperOptions{Acceptor: true, RecvSeq: start})
		if etype == rc4HMAC {
			initiator.tokens.(*rc4Tokens).send.next = last
			acceptor.tokens.(*rc4Tokens).recv.next = last
		}
		token := seal(t, initiator, text(3), true)
		mustOpen(t, acceptor, bytes.Clone(token), text(3), true)
		dst := []byte("before")
		if got, err := initiator.Seal(dst, text(3), true); err != errExhausted || string(got) != "before" {
			t.Errorf("%s: behind the last number there is none\n got: %q, %v", EncTypeName(etype), got, err)
		}
		mustRefuse(t, acceptor, token, "one more", "behind the last")
	}
}

// RFC 4757's numbers have 32 bits and go on from the greatest to zero.
func TestRC4NumbersWrap(t *testing.T) {
	initiator := newWrapper(t, testKey(rc4HMAC), WrapperOptions{SendSeq: math.MaxUint32})
	acceptor := newWrapper(t, testKey(rc4HMAC), WrapperOptions{Acceptor: true, RecvSeq: math.MaxUint32})
	for i := range 3 {
		mustOpen(t, acceptor, seal(t, initiator, text(i), true), text(i), true)
	}
}
