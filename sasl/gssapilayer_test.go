package sasl

import (
	"bytes"
	"testing"

	"github.com/imclient/imclient/sasl/internal/gss"
)

// newTokenPair makes both ends of a layer of wrap tokens. max is the longest packet,
// either way.
func newTokenPair(t testing.TB, etype int32, private bool, max int) (client, server *packetLayer) {
	t.Helper()
	n := 16
	if etype == etypes["aes256"] || etype == etypes["aes256sha2"] {
		n = 32
	}
	end := func(o gss.WrapperOptions) *packetLayer {
		w, err := gss.NewWrapper(gss.Key{EType: etype, Value: bytes.Repeat([]byte("k"), n)}, o)
		if err != nil {
			t.Fatal(err)
		}
		l, err := newPacketLayer(&gssapiCodec{w, private}, max, max)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	return end(gss.WrapperOptions{SendSeq: 1, RecvSeq: 2}), end(gss.WrapperOptions{Acceptor: true, SendSeq: 2, RecvSeq: 1})
}
