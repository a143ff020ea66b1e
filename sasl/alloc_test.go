//go:build !race

package sasl

import (
	"fmt"
	"testing"
)

// A packet costs no allocation, either way, nor do its parts.
func TestLayerAllocatesNothing(t *testing.T) {
	eachLayer(t, func(t *testing.T, c Cipher) {
		client, server := newPair(t, c, 4096)
		allocatesNothing(t, client, server)
	})
	for name, etype := range etypes {
		for _, private := range []bool{false, true} {
			t.Run(fmt.Sprintf("GSSAPI, %s, private %t", name, private), func(t *testing.T) {
				client, server := newTokenPair(t, etype, private, 4096)
				allocatesNothing(t, client, server)
			})
		}
	}
}

func allocatesNothing(t *testing.T, client, server *packetLayer) {
	t.Helper()
	data, plain := make([]byte, 10000), make([]byte, 10000)
	wire := make([]byte, 0, 20000)
	// A byte, the part of a packet, and the rest come one after the other.
	round := func() {
		if err := client.Write(data); err != nil {
			t.Fatal(err)
		}
		wire = append(wire[:0], client.Pending()...)
		client.Sent(len(wire))
		got := 0
		for _, part := range [][]byte{wire[:1], wire[1:6000], wire[6000:]} {
			server.Feed(part)
			for {
				n, err := server.Read(plain[got:])
				if err != nil {
					t.Fatal(err)
				}
				if got += n; n == 0 || got == len(plain) {
					break
				}
			}
			server.Keep()
		}
		if got != len(data) {
			t.Fatalf("%d bytes came as %d", len(data), got)
		}
	}
	round()
	if n := testing.AllocsPerRun(100, round); n != 0 {
		t.Errorf("a layer allocates nothing in steady state\n got: %v", n)
	}
}
