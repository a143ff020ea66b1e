package gss

import (
	"bytes"
	"testing"
)

// eachKind runs f for each encryption type, with and without privacy.
func eachKind(t *testing.T, f func(t *testing.T, etype int32, private bool)) {
	for _, etype := range etypes {
		for _, private := range []bool{false, true} {
			t.Run(kind(etype, private), func(t *testing.T) { f(t, etype, private) })
		}
	}
}

var etypes = []int32{aes128SHA1, aes256SHA1, aes128SHA256, aes256SHA384, rc4HMAC}

func kind(etype int32, private bool) string {
	if private {
		return EncTypeName(etype) + "/privacy"
	}
	return EncTypeName(etype) + "/integrity"
}

// testKey is some key of an encryption type.
func testKey(etype int32) Key {
	n := rc4KeyLen
	if p := profiles[etype]; p != nil {
		n = p.keyLen
	}
	k := Key{EType: etype}
	for i := range n {
		k.Value = append(k.Value, byte(7*i+int(etype)))
	}
	return k
}

// newPair makes both ends of a context, whose acceptor has sent a subkey.
func newPair(t testing.TB, etype int32) (initiator, acceptor *Wrapper) {
	t.Helper()
	const first, second = 0x3ffffff0, 77
	o := WrapperOptions{AcceptorSubkey: true, SendSeq: first, RecvSeq: second}
	return newWrapper(t, testKey(etype), o), newWrapper(t, testKey(etype), WrapperOptions{
		Acceptor: true, AcceptorSubkey: true, SendSeq: second, RecvSeq: first,
	})
}

func newWrapper(t testing.TB, k Key, o WrapperOptions) *Wrapper {
	t.Helper()
	w, err := NewWrapper(k, o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func seal(t testing.TB, w *Wrapper, p []byte, private bool) []byte {
	t.Helper()
	token, err := w.Seal(nil, p, private)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// mustOpen demands that a token holds data.
func mustOpen(t testing.TB, w *Wrapper, token, data []byte, private bool) {
	t.Helper()
	got, gotPrivate, err := w.Open(token)
	if err != nil || gotPrivate != private || !bytes.Equal(got, data) {
		t.Fatalf("a token of %d bytes of data, private %t\n got: %d bytes, private %t, %v", len(data), private, len(got), gotPrivate, err)
	}
}

// text is n bytes, none of them like those 251 further on.
func text(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i%251) + 1
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	eachKind(t, func(t *testing.T, etype int32, private bool) {
		initiator, acceptor := newPair(t, etype)
		for n := range 301 {
			p := text(n)
			for _, w := range [][2]*Wrapper{{initiator, acceptor}, {acceptor, initiator}} {
				token := seal(t, w[0], p, private)
				if len(token) < w[1].Shortest() || len(token) > n+w[0].Overhead(private) {
					t.Errorf("%d bytes are a token of %d", n, len(token))
				}
				if private && n > 8 && bytes.Contains(token, p) {
					t.Errorf("%d bytes stand in the clear", n)
				}
				mustOpen(t, w[1], token, p, private)
			}
		}
	})
}
