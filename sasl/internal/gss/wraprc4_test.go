package gss

import (
	"bytes"
	stdrc4 "crypto/rc4"
	"fmt"
	"slices"
	"testing"
)

// forgeRC4 makes the initiator's next token with a right checksum, of any head and text.
func forgeRC4(w *Wrapper, head, text []byte, private bool, sender byte) []byte {
	r := w.tokens.(*rc4Tokens)
	b := slices.Concat(head, make([]byte, rc4SeqLen+rc4SumLen+rc4ConfounderLen), text)
	f := r.send
	f.sender = sender
	r.protect(&f, b, private)
	return frame(slices.Concat(mechanism, b))
}

func frame(inner []byte) []byte { return append(appendLength([]byte{framed}, len(inner)), inner...) }

func TestRC4Padding(t *testing.T) {
	for _, private := range []bool{false, true} {
		head := rc4Signed
		if private {
			head = rc4Sealed
		}
		for pad := range 256 {
			initiator, acceptor := newPair(t, rc4HMAC)
			data := text(20)
			token := forgeRC4(initiator, head, append(data, bytes.Repeat([]byte{byte(pad)}, pad)...), private, 0)
			switch {
			case pad == 0: // the last byte of the data says what it likes
				mustRefuse(t, acceptor, token, "no padding", "padding")
			case pad > rc4MaxPadding:
				mustRefuse(t, acceptor, token, fmt.Sprintf("%d bytes of padding", pad), "padding")
			default:
				mustOpen(t, acceptor, token, data, private)
			}
		}
		for _, bad := range []string{"\x02", "\x08", "abc\x01\x03\x03", "abc\x00"} {
			initiator, acceptor := newPair(t, rc4HMAC)
			mustRefuse(t, acceptor, forgeRC4(initiator, head, []byte(bad), private, 0), fmt.Sprintf("%q", bad), "padding")
		}
	}
}

// Heads and directions are checked, not only their checksums.
func TestRC4Heads(t *testing.T) {
	for at := range rc4Signed {
		for value := range 256 {
			initiator, acceptor := newPair(t, rc4HMAC)
			head := slices.Clone(rc4Signed)
			head[at] = byte(value)
			token := forgeRC4(initiator, head, []byte("abc\x01"), false, 0)
			if byte(value) == rc4Signed[at] {
				mustOpen(t, acceptor, token, []byte("abc"), false)
			} else {
				mustRefuse(t, acceptor, token, fmt.Sprintf("byte %d of the head is %#x", at, value), "no wrap token")
			}
		}
	}
	for sender := 1; sender < 256; sender++ {
		initiator, acceptor := newPair(t, rc4HMAC)
		mustRefuse(t, acceptor, forgeRC4(initiator, rc4Signed, []byte("abc\x01"), false, byte(sender)), "another sender", "other way")
	}
}

// There is one way to write a length, and one mechanism.
func TestRC4Framing(t *testing.T) {
	initiator, acceptor := newPair(t, rc4HMAC)
	p := text(20)
	token := seal(t, initiator, p, false)
	inner := token[2:]
	other := bytes.Clone(inner)
	other[len(mechanism)-1]++
	for _, bad := range [][]byte{
		nil, {framed}, {framed, 0}, {framed, 0x80}, {framed, 0x81}, {framed, 0xff}, {framed, 0x84, 0, 0, 0, 0},
		{framed, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		append([]byte{framed, 0x81, byte(len(inner))}, inner...),
		append([]byte{framed, 0x82, 0, byte(len(inner))}, inner...),
		append([]byte{framed, 0x80}, inner...),
		append([]byte{framed, byte(len(inner) + 1)}, inner...),
		append([]byte{framed, byte(len(inner) - 1)}, inner...),
		append([]byte{0x61, byte(len(inner))}, inner...),
		frame(other), frame(mechanism), frame(inner[:len(mechanism)+rc4Least-1]), inner,
	} {
		mustRefuse(t, acceptor, bytes.Clone(bad), fmt.Sprintf("%.30x", bad), "")
	}
	mustOpen(t, acceptor, token, p, false)
	for _, n := range []int{0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000, 1 << 24} {
		n -= len(mechanism) + rc4Least
		token := seal(t, initiator, text(n), false)
		if len(token) > n+initiator.Overhead(false) {
			t.Errorf("%d bytes are a token of %d", n, len(token))
		}
		mustOpen(t, acceptor, token, text(n), false)
	}
}

func TestArcfour(t *testing.T) {
	for n := range 100 {
		key := [rc4KeyLen]byte(text(n + rc4KeyLen)[n:])
		std, err := stdrc4.NewCipher(key[:])
		if err != nil {
			t.Fatal(err)
		}
		want, got := make([]byte, 1000), make([]byte, 1000)
		std.XORKeyStream(want, want)
		var c arcfour
		c.setKey(&key)
		c.crypt(got[:333])
		c.crypt(got[333:])
		if !bytes.Equal(got, want) {
			t.Fatalf("the key stream of %x is crypto/rc4's\n got: %x\nwant: %x", key, got[:16], want[:16])
		}
	}
}
