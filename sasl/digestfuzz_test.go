package sasl

import (
	"bytes"
	"crypto/md5"
	"strings"
	"testing"
)

// A challenge is taken or refused, whole; what is taken can be said again.
func FuzzDigestChallenge(f *testing.F) {
	f.Add([]byte(newDigestServer(`qop="auth,auth-int,auth-conf"`, `cipher="rc4,des"`, "maxbuf=4096", `x="\"y"`).challenge))
	f.Add([]byte("rspauth=ea40f60335c427b5527b84dbabcdfffd"))
	f.Add([]byte(" ,\r\n a = b , nonce=\"\\\"\","))
	f.Fuzz(func(t *testing.T, in []byte) {
		before := bytes.Clone(in)
		all, err := parseDirectives(in)
		if !bytes.Equal(in, before) {
			t.Fatal("the challenge was changed")
		}
		c, err2 := parseDigestChallenge(in)
		proof, err3 := parseDigestProof(in)
		if (err2 == nil) != (c != nil) || (err3 == nil) != (proof != "") || err != nil && (err2 == nil || err3 == nil) {
			t.Fatalf("%v, %v, %v", err, err2, err3)
		}
		if err != nil {
			return
		}
		var w digestWriter
		for _, d := range all {
			w.quoted(d.name, d.value)
		}
		if w.fault != "" {
			t.Fatalf("what was taken cannot be said: %s", w.fault)
		}
		if len(w.b) > maxDigestChallenge {
			return // more is quoted than was
		}
		again, err := parseDirectives(w.b)
		if err != nil || len(again) != len(all) {
			t.Fatalf("%q, said again %q, is %v, %v", in, w.b, again, err)
		}
		for i := range all {
			if all[i] != again[i] {
				t.Fatalf("%+v, said again, is %+v", all[i], again[i])
			}
		}
	})
}

// A login in which challenge and proof are changed on the way: it is satisfied only if
// the proof is the server's.
func FuzzDigestExchange(f *testing.F) {
	f.Add(``, ``, uint16(0), byte(0), uint16(0), byte(0))
	f.Add(`qop="auth,auth-int,auth-conf",cipher="rc4,des,3des",maxbuf=4096`, ``, uint16(7), byte(1), uint16(3), byte(0x20))
	f.Add(`realm="other"`, `,x=y`, uint16(40), byte(0), uint16(0), byte(0))
	f.Add(``, `,rspauth=ea40f60335c427b5527b84dbabcdfffd`, uint16(0), byte(0), uint16(39), byte(1))
	f.Fuzz(func(t *testing.T, offer, more string, at uint16, flip byte, proofAt uint16, proofFlip byte) {
		s := newDigestServer(offer)
		e := DIGESTMD5(chris, DigestOptions{}).New(newDigestParams(ProtAny))
		e.Start()
		challenge := []byte(s.challenge)
		challenge[int(at)%len(challenge)] ^= flip
		step, err := e.Next(challenge)
		if err != nil {
			if e.Satisfied() || step.Response != nil {
				t.Fatal("an error, and satisfied")
			}
			return
		}
		if len(step.Response) > maxDigestResponse || bytes.ContainsAny(step.Response, "\x00\r\n") {
			t.Fatalf("a response of %d bytes: %q", len(step.Response), step.Response)
		}
		right, layer, err := s.answer(step.Response)
		if err != nil {
			right = "rspauth=ea40f60335c427b5527b84dbabcdfffd"
		}
		proof := []byte(right + more)
		proof[int(proofAt)%len(proof)] ^= proofFlip
		_, proofErr := e.Next(proof)
		got, _ := parseDigestProof(proof)
		_, want, _ := strings.Cut(right, "=")
		if ok := err == nil && got == want; ok != e.Satisfied() || ok != (proofErr == nil) {
			t.Fatalf("the proof is %q where the server's is %q: satisfied %v, %v", proof, right, e.Satisfied(), proofErr)
		}
		if l := e.(Layered).Layer(); e.Satisfied() && (l == nil) != (layer == nil) {
			t.Fatalf("the layers are %v and %v", l, layer)
		}
	})
}

// Packets, cut and changed on the way: what is read is the beginning of what was
// written, whatever the layer is fed, and however.
func FuzzDigestLayer(f *testing.F) {
	f.Add(byte(0), []byte("* OK\r\n* 1 EXISTS\r\n"), uint16(5), uint16(0), byte(0), []byte(nil))
	f.Add(byte(1), []byte("* OK\r\n* 1 EXISTS\r\n"), uint16(3), uint16(9), byte(1), []byte("\x00\x00\x00\x10"))
	f.Add(byte(4), bytes.Repeat([]byte("0123456789"), 50), uint16(17), uint16(20), byte(0x80), []byte("\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, kind byte, data []byte, cut, at uint16, flip byte, junk []byte) {
		c := digestLayers[int(kind)%len(digestLayers)]
		const max = 128
		client, server := newPair(t, c, max)
		if err := client.Write(data); err != nil {
			t.Fatal(err)
		}
		wire := append(bytes.Clone(client.Pending()), junk...)
		changed := len(wire)
		if len(wire) > 0 && flip != 0 {
			changed = int(at) % len(wire)
			wire[changed] ^= flip
		}
		var parts []string
		for rest := wire; len(rest) > 0; {
			n := min(int(cut)%200+1, len(rest))
			parts = append(parts, string(rest[:n]))
			rest = rest[n:]
		}
		whole, wholeErr := receive(server, 64, string(wire))
		_, server = newPair(t, c, max)
		got, err := receive(server, int(cut)%50+1, parts...)
		if got != whole || (err == nil) != (wholeErr == nil) || err != nil && err.Error() != wholeErr.Error() {
			t.Fatalf("in parts it is %q, %v; as a whole %q, %v", got, err, whole, wholeErr)
		}
		if !strings.HasPrefix(string(data), got) {
			t.Fatalf("%q was read, %q written", got, data)
		}
		if changed == len(wire) && got != string(data) {
			t.Fatalf("nothing was changed, but of %q only %q was read: %v", data, got, err)
		}
		if len(server.rest.bytes()) > max+lengthLen {
			t.Fatalf("%d bytes are kept", len(server.rest.bytes()))
		}
		server.Abort()
		if holds(server) {
			t.Fatal("memory is held after Abort")
		}
	})
}

// A key is as good as any other.
func FuzzDigestPacket(f *testing.F) {
	f.Add(byte(3), []byte("key"), []byte("\x00\x00\x00\x10................"))
	f.Fuzz(func(t *testing.T, kind byte, key, in []byte) {
		l, err := newDigestLayer(digestLayers[int(kind)%len(digestLayers)], md5.Sum(key), 4096, 4096)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := receive(l, 100, string(in)); got != "" {
			t.Fatalf("%q was read of what nobody sealed, %v", got, err)
		}
	})
}
