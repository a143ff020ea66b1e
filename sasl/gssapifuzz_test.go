package sasl

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/imclient/imclient/sasl/internal/gss"
	"github.com/imclient/imclient/sasl/krbtest"
)

// A hostile script is operations of three bytes: what, and two arguments. It works on
// tokens that are others in each run, so its places are relative to their lengths.
type hostileScript []byte

// next takes an operation out; its zero is to leave things as they are.
func (s *hostileScript) next() (op byte, at int, arg byte) {
	var b [3]byte
	n := copy(b[:], *s)
	*s = (*s)[n:]
	return b[0], int(b[1]), b[2]
}

// alter returns a copy of a token with something done to it.
func alter(token []byte, op byte, at int, arg byte) []byte {
	b := bytes.Clone(token)
	i := at * len(b) / 256
	switch op % 8 {
	case 1:
		return b[:i]
	case 2:
		if len(b) > 0 {
			b[i] ^= arg
		}
	case 3: // counted from its beginning, where the head is
		if at < len(b) {
			b[at] ^= arg
		}
	case 4:
		return slices.Insert(b, i, arg)
	case 5:
		return append(b, b[i:]...)
	case 6:
		return b[i:]
	case 7:
		return append(b, make([]byte, at*int(arg))...)
	}
	return b
}

// FuzzGSSAPI plays a server that has the key and does what the input says with its
// tokens: changes them, says others that it has said, to this client or another, or
// something else. The client is satisfied by no other tokens than the right ones.
func FuzzGSSAPI(f *testing.F) {
	f.Add(byte(0), byte(4), []byte{}, []byte(nil))
	f.Add(byte(1), byte(7), []byte{0, 0, 0, 2, 200, 1}, []byte(nil))
	f.Add(byte(2), byte(1), []byte{3, 6, 1}, []byte(nil))
	f.Add(byte(3), byte(2), []byte{0, 0, 0, 3, 7, 4}, []byte(nil))
	f.Add(byte(4), byte(7), []byte{8, 0, 0}, []byte(nil))
	f.Add(byte(0), byte(7), []byte{0, 0, 0, 8, 0, 0}, []byte(nil))
	f.Add(byte(1), byte(7), []byte{16, 0, 0, 0, 0, 0}, []byte(nil))
	f.Add(byte(1), byte(7), []byte{16, 0, 0, 16, 0, 0}, []byte(nil)) // both of another login
	f.Add(byte(2), byte(7), []byte{24, 0, 0}, []byte("\x60\x0b\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x03\x00"))
	f.Add(byte(0), byte(7), []byte{0, 0, 0, 0, 0, 0, 8, 0, 0}, []byte(nil))
	names := []string{"aes128", "aes256", "aes128sha2", "aes256sha2", "rc4"}
	rigs := make([]*gssapiRig, len(names))
	for i, name := range names {
		rigs[i] = newGSSAPIRig(f, etypes[name])
	}
	f.Fuzz(func(t *testing.T, etype, prot byte, script, said []byte) {
		r := rigs[int(etype)%len(rigs)]
		m := GSSAPI(r.kerberos)
		x := m.New(gssapiParams(Prot(prot) & ProtAny)).(*gssapiExchange)
		r.play(t, x, script, said)
		hides(t, r.secrets, verbs(x)+verbs(m)+verbs(r.kerberos)+verbs(x.ticket)+verbs(x.layer))
		x.Done(nil)
	})
}

// gssapiRig is a service of one encryption type, and what it has said to another client.
type gssapiRig struct {
	service  *krbtest.Service
	kerberos *Kerberos
	secrets  []string
	others   [2][]byte // the reply and the offer
}

func newGSSAPIRig(t testing.TB, etype int32) *gssapiRig {
	t.Helper()
	r := new(gssapiRig)
	r.service, r.kerberos = newTicket(t, etype)
	x := GSSAPI(r.kerberos).New(gssapiParams(ProtAny)).(*gssapiExchange)
	if err := converse(t, x, r.service.Accept(krbtest.Options{}), func(n int, token []byte) []byte {
		r.others[n-1] = bytes.Clone(token)
		return token
	}); err != nil {
		t.Fatal(err)
	}
	r.secrets = []string{string(x.ticket.Key.KeyValue), string(x.ticket.DER)}
	return r
}

// play has a login of at most four challenges.
func (r *gssapiRig) play(t *testing.T, x *gssapiExchange, script hostileScript, said []byte) {
	a := r.service.Accept(krbtest.Options{})
	response, err := start(t, x)
	if err != nil {
		t.Fatal(err)
	}
	var right, heard [][]byte // the server's tokens, and what came of them
	for range 4 {
		if x.Satisfied() && !satisfies(t, right, heard) {
			t.Fatalf("satisfied by %q", heard)
		}
		token, err := a.Next(response)
		if err != nil { // the server does not go on; the script may
			token = nil
		}
		right = append(right, token)
		op, at, arg := script.next()
		challenge := alter(token, op, at, arg)
		switch op / 8 % 4 {
		case 1: // what was said last
			if challenge = nil; len(right) > 1 {
				challenge = alter(right[len(right)-2], op, at, arg)
			}
		case 2:
			challenge = alter(r.others[(len(right)-1)%2], op, at, arg)
		case 3:
			challenge = alter(said, op, at, arg)
		}
		heard = append(heard, bytes.Clone(challenge))
		step, err := x.Next(challenge)
		if err != nil {
			faultOf(t, err)
			hides(t, r.secrets, err.Error()+verbs(err))
			if x.Satisfied() || x.Layer() != nil || step.Response != nil {
				t.Fatal("an error, and satisfied")
			}
			return
		}
		response = step.Response
	}
	t.Fatal("three responses make a login")
}

// satisfies reports whether what came is what the server said, but for what nothing
// protects: the head of the reply, and the rotation of the offer by its own length.
func satisfies(t *testing.T, right, heard [][]byte) bool {
	t.Helper()
	if len(heard) != 2 || !bytes.Contains(heard[0], right[0][unprotected(t, right[0]):]) {
		return false
	}
	want, got := bytes.Clone(right[1]), bytes.Clone(heard[1])
	if len(got) > 8 && binary.BigEndian.Uint16(want) == 0x0504 { // RFC 4121
		copy(got[6:8], want[6:8])
	}
	return bytes.Equal(got, want)
}

// newGSSAPILayer is one end of a layer whose keys are known.
func newGSSAPILayer(t *testing.T, etype int32, private, acceptor bool) *packetLayer {
	t.Helper()
	size := 16
	if etype == 18 || etype == 20 {
		size = 32
	}
	w, err := gss.NewWrapper(gss.Key{EType: etype, Value: bytes.Repeat([]byte{7}, size)}, gss.WrapperOptions{
		Acceptor: acceptor, AcceptorSubkey: true, SendSeq: 5, RecvSeq: 5,
	})
	if err != nil {
		t.Fatal(err)
	}
	const longest = 256
	l, err := newPacketLayer(&gssapiCodec{w, private}, longest, longest)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// FuzzGSSAPILayer does what the input says with the server's packets: what is read is
// the beginning of what was written, however the bytes are cut.
func FuzzGSSAPILayer(f *testing.F) {
	f.Add(byte(0), []byte("* OK\r\n* 1 EXISTS\r\n"), byte(4), []byte{}, uint16(3))
	f.Add(byte(3), bytes.Repeat([]byte("0123456789"), 50), byte(100), []byte{0, 0, 0, 8, 0, 0}, uint16(17))
	f.Add(byte(4), bytes.Repeat([]byte("0123456789"), 50), byte(50), []byte{16, 0, 0}, uint16(20))
	f.Add(byte(8), []byte("* OK\r\n* 1 EXISTS\r\n"), byte(5), []byte{24, 0, 0}, uint16(1))
	f.Add(byte(9), []byte("* OK\r\n* 1 EXISTS\r\n"), byte(5), []byte{3, 7, 1}, uint16(40))
	f.Add(byte(1), []byte("* OK\r\n* 1 EXISTS\r\n"), byte(9), []byte{3, 3, 1, 2, 128, 255}, uint16(7))
	numbers := []int32{17, 18, 19, 20, 23}
	f.Fuzz(func(t *testing.T, kind byte, data []byte, size byte, script []byte, cut uint16) {
		data = data[:min(len(data), 4096)]
		etype, private := numbers[int(kind)/2%len(numbers)], kind%2 == 1
		wire, untouched := sabotage(t, newGSSAPILayer(t, etype, private, true), data, int(size)+1, script)
		layer := newGSSAPILayer(t, etype, private, false)
		whole, wholeErr := receive(layer, 64, wire)
		if !strings.HasPrefix(string(data), whole) {
			t.Fatalf("%q was read, %q written", whole, data)
		}
		if wholeErr != nil && !isLayerError(wholeErr) {
			t.Fatalf("the server is to blame: %v", wholeErr)
		}
		if untouched && (whole != string(data) || wholeErr != nil) {
			t.Fatalf("nothing was changed, but of %q only %q was read: %v", data, whole, wholeErr)
		}
		var parts []string
		for rest := wire; rest != ""; {
			n := min(int(cut)%400+1, len(rest))
			parts = append(parts, rest[:n])
			rest = rest[n:]
		}
		layer = newGSSAPILayer(t, etype, private, false)
		got, err := receive(layer, int(cut)%50+1, parts...)
		if got != whole || (err == nil) != (wholeErr == nil) || err != nil && err.Error() != wholeErr.Error() {
			t.Fatalf("in parts it is %q, %v; as a whole %q, %v", got, err, whole, wholeErr)
		}
		if n := layer.rest.len(); n > layer.longest+lengthLen {
			t.Fatalf("%d bytes are kept", n)
		}
		layer.Abort()
		if holds(layer) {
			t.Fatal("memory is held after Abort")
		}
	})
}

// sabotage writes data in packets of so many bytes, and does with them what a script
// says.
func sabotage(t *testing.T, from *packetLayer, data []byte, size int, script hostileScript) (wire string, untouched bool) {
	t.Helper()
	var packets [][]byte
	for chunk := range slices.Chunk(data, size) {
		if err := from.Write(chunk); err != nil {
			t.Fatal(err)
		}
		packets = append(packets, bytes.Clone(from.Pending()))
		from.Sent(len(from.Pending()))
	}
	right := bytes.Join(packets, nil)
	var all []byte
	for i, p := range packets {
		op, at, arg := script.next()
		p = alter(p, op, at, arg)
		switch op / 8 % 4 {
		case 1: // twice
			p = append(p, p...)
		case 2: // not at all
			p = nil
		case 3: // in another order
			j := at % len(packets)
			packets[i], packets[j] = packets[j], packets[i]
			p = packets[i]
		}
		all = append(all, p...)
	}
	return string(all), bytes.Equal(all, right)
}
