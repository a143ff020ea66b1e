package sasl

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// digestLayers are the kinds of DIGEST-MD5's layers; "" is auth-int.
var digestLayers = []Cipher{"", RC4, RC4x56, RC4x40, DES, TripleDES}

func eachLayer(t *testing.T, f func(t *testing.T, c Cipher)) {
	for _, c := range digestLayers {
		t.Run(fmt.Sprintf("cipher=%s", c), func(t *testing.T) { f(t, c) })
	}
}

// newPair makes both ends of a layer. max is the longest packet, either way.
func newPair(t testing.TB, c Cipher, max int) (client, server *packetLayer) {
	t.Helper()
	a1 := md5.Sum([]byte("H(A1)"))
	client, err := newDigestLayer(c, a1, max, max)
	if err != nil {
		t.Fatal(err)
	}
	codec, err := newDigestCodec(c, a1, true)
	if err != nil {
		t.Fatal(err)
	}
	if server, err = newPacketLayer(codec, max, max); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// sealed is the packets that a layer makes of each text.
func sealed(t testing.TB, l *packetLayer, texts ...string) (packets []string) {
	t.Helper()
	for _, text := range texts {
		if err := l.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		packets = append(packets, string(l.Pending()))
		l.Sent(len(l.Pending()))
	}
	return packets
}

// receive feeds a layer, each part in memory of its own that is overwritten after
// Keep, and returns what it made of it, read with room bytes at a time.
func receive(l Layer, room int, parts ...string) (string, error) {
	var got []byte
	p := make([]byte, room)
	for _, part := range parts {
		lent := []byte(part)
		l.Feed(lent)
		for {
			n, err := l.Read(p)
			got = append(got, p[:n]...)
			if err != nil {
				return string(got), err
			}
			if n == 0 {
				break
			}
		}
		l.Keep()
		for i := range lent {
			lent[i] = 0xdd
		}
	}
	return string(got), nil
}

// holds reports whether a layer has memory of a pool.
func holds(l *packetLayer) bool { return l.rest.b != nil || l.held != nil || l.out.b != nil }

func TestLayerConversation(t *testing.T) {
	eachLayer(t, func(t *testing.T, c Cipher) {
		client, server := newPair(t, c, 4096)
		for i := range 2 {
			talk(t, client, server)
			if holds(client) || holds(server) {
				t.Fatalf("an idle layer holds memory after conversation %d", i)
			}
		}
	})
}

// Data of each length, and packets that are no longer than the peer can take.
func TestLayerLengths(t *testing.T) {
	eachLayer(t, func(t *testing.T, c Cipher) {
		const max = 100
		client, server := newPair(t, c, max)
		text := make([]byte, 300)
		for i := range text {
			text[i] = byte(i)
		}
		for n := range len(text) + 1 {
			all := sealed(t, client, string(text[:n]))[0]
			for rest := all; rest != ""; {
				length := int(binary.BigEndian.Uint32([]byte(rest)))
				if length > max {
					t.Fatalf("a packet of %d bytes of %d of data is longer than %d", length, n, max)
				}
				rest = rest[4+length:]
			}
			if got, err := receive(server, 7, all); got != string(text[:n]) || err != nil {
				t.Fatalf("%d bytes came as %q, %v", n, got, err)
			}
		}
	})
}

// Packets cut anywhere give the same data, and nothing before it is whole.
func TestLayerCut(t *testing.T) {
	eachLayer(t, func(t *testing.T, c Cipher) {
		texts := []string{"* OK\r\n", "", "x", "* 1 EXISTS\r\n"}
		for _, room := range []int{1, 5, 4096} {
			client, _ := newPair(t, c, 4096)
			all := []byte{}
			for _, p := range sealed(t, client, texts...) {
				all = append(all, p...)
			}
			const want = "* OK\r\nx* 1 EXISTS\r\n"
			for i := range all {
				_, server := newPair(t, c, 4096)
				first, err := receive(server, room, string(all[:i]))
				if err != nil {
					t.Fatal(err)
				}
				if partial := server.Partial(); partial && !holds(server) || !partial && holds(server) {
					t.Fatalf("cut at %d: a packet has begun: %v, but it holds memory: %v", i, partial, holds(server))
				}
				second, err := receive(server, room, string(all[i:]))
				if first+second != want || err != nil || holds(server) || server.Partial() {
					t.Fatalf("cut at %d it is %q and %q, %v, memory %v", i, first, second, err, holds(server))
				}
			}
			_, server := newPair(t, c, 4096)
			var bytewise []string
			for _, b := range all {
				bytewise = append(bytewise, string([]byte{b}))
			}
			if got, err := receive(server, room, bytewise...); got != want || err != nil {
				t.Fatalf("byte by byte it is %q, %v", got, err)
			}
		}
	})
}

// Keep while data waits to be read: what was lent is not looked at any more.
func TestLayerKeepsUnreadData(t *testing.T) {
	eachLayer(t, func(t *testing.T, c Cipher) {
		client, server := newPair(t, c, 4096)
		p := sealed(t, client, "first data", "second data", "third data")
		got := ""
		one := make([]byte, 1)
		for i := 0; ; i++ {
			var lent []byte
			switch i {
			case 0:
				lent = []byte(p[0] + p[1][:10])
			case 1:
				lent = []byte(p[1][10:])
			case 2:
				lent = []byte(p[2])
			}
			server.Feed(lent)
			n, err := server.Read(one)
			if err != nil {
				t.Fatal(err)
			}
			got += string(one[:n])
			server.Keep()
			clear(lent)
			if n == 0 {
				break
			}
		}
		if got != "first datasecond datathird data" || holds(server) {
			t.Errorf("it came as %q, memory %v", got, holds(server))
		}
	})
}

// A length is refused before a byte of the packet has come.
func TestLayerBadLength(t *testing.T) {
	const max = 4096
	eachLayer(t, func(t *testing.T, c Cipher) {
		shortest := uint32(16)
		if c.blockSize() > 0 {
			shortest = 22
		}
		for _, n := range []uint32{0, 1, digestMACLen, digestTailLen, 15, shortest - 1, max + 1, 0x7fffffff, 0x80000000, 0xfffffffc, math.MaxUint32} {
			length := string(binary.BigEndian.AppendUint32(nil, n))
			for _, parts := range [][]string{{length}, {length[:1], length[1:]}, {length[:3], length[3:] + "junk"}} {
				_, server := newPair(t, c, max)
				_, err := receive(server, 100, parts...)
				if bad, ok := errors.AsType[*LayerError](err); !ok || bad.Mechanism == "" {
					t.Fatalf("a packet of %d bytes is none, but the error is %v", n, err)
				}
				server.Keep()
				if holds(server) || server.Partial() {
					t.Errorf("after a packet of %d bytes memory is held", n)
				}
				if _, again := receive(server, 100, "more"); again != err {
					t.Errorf("the error is not final: %v", again)
				}
				server.Feed([]byte("more"))
				if server.Keep(); holds(server) {
					t.Error("what comes behind the end is kept")
				}
				if server.Write([]byte("x")) != err {
					t.Error("after an error something can be written")
				}
			}
		}
		for _, n := range []uint32{shortest, max} {
			_, server := newPair(t, c, max)
			if _, err := receive(server, 100, string(binary.BigEndian.AppendUint32(nil, n))); err != nil {
				t.Errorf("a packet of %d bytes may be, but the error is %v", n, err)
			}
		}
	})
}

// A bit that is changed anywhere ends the layer, at the packet in which it is; of
// what came before it all is read, and of it nothing.
func TestLayerAltered(t *testing.T) {
	eachLayer(t, func(t *testing.T, c Cipher) {
		client, _ := newPair(t, c, 4096)
		p := sealed(t, client, "first", "second", "third")
		for i := range p[1] {
			for bit := range 8 {
				b := []byte(p[1])
				b[i] ^= 1 << bit
				_, server := newPair(t, c, 4096)
				got, err := receive(server, 4096, p[0]+string(b)+p[2])
				waiting := i < lengthLen && err == nil && server.Partial() // it is longer than it was
				if got != "first" || !waiting && !isLayerError(err) {
					t.Fatalf("bit %d of byte %d is wrong: it is %q, %v", bit, i, got, err)
				}
			}
		}
	})
}

func isLayerError(err error) bool { _, ok := errors.AsType[*LayerError](err); return ok }

func TestLayerOrder(t *testing.T) {
	eachLayer(t, func(t *testing.T, c Cipher) {
		client, server := newPair(t, c, 4096)
		p := sealed(t, client, "0", "1", "2")
		reflected := sealed(t, server, "0")[0]
		for name, all := range map[string]string{
			"replayed":  p[0] + p[0],
			"swapped":   p[0] + p[2] + p[1],
			"dropped":   p[0] + p[2],
			"reflected": p[0] + reflected,
			"restarted": p[0] + p[1] + p[0],
		} {
			_, server := newPair(t, c, 4096)
			if got, err := receive(server, 4096, all); !isLayerError(err) || got != "0" && got != "01" {
				t.Errorf("%s: it is %q, %v", name, got, err)
			}
		}
		// A packet of the right number by another key is what "reflected" is without
		// what stands in the clear.
		_, fresh := newPair(t, c, 4096)
		if got, err := receive(fresh, 4096, reflected); got != "" || !isLayerError(err) {
			t.Errorf("a packet of its own: it is %q, %v", got, err)
		}
	})
}

// No sequence number comes twice.
func TestLayerSequenceEnd(t *testing.T) {
	eachLayer(t, func(t *testing.T, c Cipher) {
		client, server := newPair(t, c, 4096)
		client.codec.(*digestCodec).send.seq = math.MaxUint32
		server.codec.(*digestCodec).receive.seq = math.MaxUint32
		last := sealed(t, client, "last")[0]
		if got, err := receive(server, 100, last); got != "last" || err != nil {
			t.Fatalf("packet 2^32-1 came as %q, %v", got, err)
		}
		if err := client.Write([]byte("x")); err != errExhausted || len(client.Pending()) > 0 {
			t.Errorf("after it one can be written: %v", err)
		}
		other, _ := newPair(t, c, 4096)
		if got, err := receive(server, 100, sealed(t, other, "first")[0]); got != "" || err != errExhausted {
			t.Errorf("after it one can be read: %q, %v", got, err)
		}
	})
}

// Padding is checked as well, though no checksum covers it.
func TestLayerPadding(t *testing.T) {
	for _, c := range []Cipher{DES, TripleDES} {
		for n := 1; n < 18; n++ {
			for _, change := range []func(pad []byte){
				func(pad []byte) { pad[len(pad)-1] = 0 },
				func(pad []byte) { pad[len(pad)-1] = 9 },
				func(pad []byte) { pad[len(pad)-1] = 0xff },
				func(pad []byte) { pad[0]++ },
				func(pad []byte) { pad[len(pad)-1]++ },
			} {
				client, server := newPair(t, c, 4096)
				d := client.codec.(*digestCodec)
				at := 0
				crypt := d.send.crypt
				d.send.crypt = func(dst, src []byte) {
					at = len(src) - digestMACLen
					change(src[n:at])
					crypt(dst, src)
				}
				text := string(make([]byte, n))
				if got, err := receive(server, 100, sealed(t, client, text)[0]); got != "" || !isLayerError(err) {
					t.Errorf("%s: %d bytes with wrong padding came as %q, %v", c, n, got, err)
				}
				if pad := at - n; pad < 1 || pad > 8 || at%8 != 6 {
					t.Errorf("%s: %d bytes are padded with %d", c, n, pad)
				}
			}
		}
		client, server := newPair(t, c, 4096)
		p := sealed(t, client, "x")[0]
		odd := string(binary.BigEndian.AppendUint32(nil, uint32(len(p)-4+1))) + p[4:len(p)-6] + "y" + p[len(p)-6:]
		if got, err := receive(server, 100, odd); got != "" || !isLayerError(err) {
			t.Errorf("%s: a packet that is no number of blocks came as %q, %v", c, got, err)
		}
	}
}

// The ends may differ in what they take.
func TestLayerMaximum(t *testing.T) {
	a1 := md5.Sum(nil)
	for _, c := range digestLayers {
		for max := range 64 {
			_, err := newDigestLayer(c, a1, 65536, max)
			if want := max > c.overhead(); want != (err == nil) {
				t.Errorf("cipher %q: the peer takes %d bytes: %v", c, max, err)
			}
			_, err = newDigestLayer(c, a1, max, 65536)
			if want := max >= (&digestCodec{cipher: c, block: c.blockSize()}).shortest(); want != (err == nil) {
				t.Errorf("cipher %q: we take %d bytes: %v", c, max, err)
			}
		}
	}
	// A peer that takes more than we shall ever send.
	l, err := newDigestLayer(RC4, a1, 65536, maxMaxbuf)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Write(make([]byte, 100000)); err != nil {
		t.Fatal(err)
	}
	if n := binary.BigEndian.Uint32(l.Pending()); n != maxPacket {
		t.Errorf("a packet has %d bytes, not %d", n, maxPacket)
	}
}

// What is pending can be sent in pieces, and more can be written between them.
func TestLayerSentInPieces(t *testing.T) {
	eachLayer(t, func(t *testing.T, c Cipher) {
		client, server := newPair(t, c, 256)
		r := rand.New(rand.NewPCG(1, 2))
		var want, got []byte
		for range 200 {
			text := bytes.Repeat([]byte{byte(r.Uint32())}, r.IntN(2000))
			want = append(want, text...)
			if err := client.Write(text); err != nil {
				t.Fatal(err)
			}
			n := r.IntN(len(client.Pending()) + 1)
			data, err := receive(server, 999, string(client.Pending()[:n]))
			if err != nil {
				t.Fatal(err)
			}
			client.Sent(n)
			got = append(got, data...)
		}
		data, err := receive(server, 999, string(client.Pending()))
		client.Sent(len(client.Pending()))
		if got = append(got, data...); !bytes.Equal(got, want) || err != nil || holds(client) || holds(server) {
			t.Errorf("%d bytes came as %d, %v", len(want), len(got), err)
		}
	})
}

func TestLayerAbort(t *testing.T) {
	client, server := newPair(t, RC4, 4096)
	p := sealed(t, client, "first", "second")
	server.Feed([]byte(p[0] + p[1][:9]))
	server.Read(make([]byte, 1))
	server.Keep()
	server.Write([]byte("x"))
	server.Abort()
	if n, err := server.Read(make([]byte, 1)); n != 0 || err != errAborted || holds(server) || len(server.Pending()) > 0 || server.Partial() {
		t.Errorf("after Abort: %d, %v, memory %v", n, err, holds(server))
	}
}
