package gss_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/messages"

	"github.com/imclient/imclient/sasl/internal/gss"
	"github.com/imclient/imclient/sasl/krbtest"
)

// etypes are all there are.
var etypes = []int32{17, 18, 19, 20, 23}

// opening is a service and a ticket for it.
func opening(t testing.TB, etype int32) (*krbtest.Service, gss.Initiation) {
	t.Helper()
	s, err := krbtest.NewService("imap/mail.example", etype)
	if err != nil {
		t.Fatal(err)
	}
	ticket, err := s.Ticket("alice", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return s, gss.Initiation{
		Ticket: ticket.DER,
		Key:    gss.Key{EType: ticket.Key.KeyType, Value: ticket.Key.KeyValue},
		Client: []string{"alice"}, ClientType: 1, Realm: krbtest.Realm,
		Now: time.Now(),
	}
}

func TestInitiate(t *testing.T) {
	for _, etype := range etypes {
		for _, noKey := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/noKey=%t", gss.EncTypeName(etype), noKey), func(t *testing.T) {
				s, o := opening(t, etype)
				o.Flags = gss.Sequence | gss.Conf
				o.Binding = []byte("tls-unique:x")
				initiator, token, err := gss.Initiate(o)
				if err != nil {
					t.Fatal(err)
				}
				a := s.Accept(krbtest.Options{NoKey: noKey})
				reply, err := a.Next(token)
				if err != nil {
					t.Fatal(err)
				}
				if want := uint32(gss.Mutual | gss.Sequence | gss.Conf); a.Client != "alice@"+krbtest.Realm || a.Flags != want {
					t.Errorf("the acceptor knows who it is and what is wanted\n got: %s %#x", a.Client, a.Flags)
				}
				// hashlib.md5(16*b"\0" + b"\x0c\0\0\0" + b"tls-unique:x")
				if got := fmt.Sprintf("%x", a.Bound); got != "2978456c38d0e1767101f3aba588a9f8" {
					t.Errorf("and what channel it is bound to\n got: %s", got)
				}
				w, err := initiator.Reply(reply)
				if err != nil {
					t.Fatal(err)
				}
				offer, err := a.Next(nil)
				if err != nil {
					t.Fatal(err)
				}
				if data, private, err := w.Open(offer); err != nil || private || !bytes.Equal(data, []byte{7, 1, 0, 0}) {
					t.Errorf("both have the same key and count alike\n got: %x %t %v", data, private, err)
				}
			})
		}
	}
}

func TestInitiateWithoutBinding(t *testing.T) {
	s, o := opening(t, 18)
	_, token, err := gss.Initiate(o)
	if err != nil {
		t.Fatal(err)
	}
	a := s.Accept(krbtest.Options{})
	if _, err := a.Next(token); err != nil || !bytes.Equal(a.Bound, make([]byte, 16)) {
		t.Errorf("there are no channel bindings unless they are asked for (RFC 4752 section 3.1)\n got: %x, %v", a.Bound, err)
	}
}

func TestInitiateWithoutRandomBytes(t *testing.T) {
	_, o := opening(t, 18)
	for n := range 36 {
		o.Rand = bytes.NewReader(make([]byte, n))
		if _, _, err := gss.Initiate(o); err == nil {
			t.Errorf("%d random bytes are not enough", n)
		}
	}
	o.Rand = bytes.NewReader(make([]byte, 36))
	if _, _, err := gss.Initiate(o); err != nil {
		t.Errorf("a key's and a number's are\n got: %v", err)
	}
}

func TestInitiateUnsupported(t *testing.T) {
	_, o := opening(t, 18)
	for _, etype := range []int32{0, 1, 3, 16, 24, 25, 26, -1} {
		o.Key.EType = etype
		_, _, err := gss.Initiate(o)
		var unsupported *gss.UnsupportedError
		if !errors.As(err, &unsupported) || unsupported.EType != etype {
			t.Errorf("%s is refused\n got: %v", gss.EncTypeName(etype), err)
		}
	}
}

// begun is a context that awaits its reply, and the reply.
func begun(t testing.TB, etype int32) (*gss.Initiator, []byte) {
	t.Helper()
	s, o := opening(t, etype)
	initiator, token, err := gss.Initiate(o)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := s.Accept(krbtest.Options{}).Next(token)
	if err != nil {
		t.Fatal(err)
	}
	return initiator, reply
}

// sealedLen is the length of AP-REP's encrypted part, which stands at its end.
func sealedLen(t testing.TB, token []byte) int {
	t.Helper()
	var reply messages.APRep
	if _, inner, err := gss.Unframe(token); err != nil || reply.Unmarshal(inner) != nil {
		t.Fatal("the acceptor's reply is none")
	}
	return len(reply.EncPart.Cipher)
}

func TestReplyDamaged(t *testing.T) {
	for _, etype := range etypes {
		initiator, reply := begun(t, etype)
		for n := range reply {
			blames(t, initiator, reply[:n:n], "cut")
		}
		head := len(reply) - sealedLen(t, reply)
		for at := range reply {
			for bit := range 8 {
				damaged := bytes.Clone(reply)
				damaged[at] ^= 1 << bit
				if _, err := initiator.Reply(bytes.Clone(damaged)); err == nil && at < head {
					continue // nothing protects what frames the encrypted part, and says no more
				}
				blames(t, initiator, damaged, fmt.Sprintf("byte %d altered", at))
			}
		}
		blames(t, initiator, append(bytes.Clone(reply), 0), "a byte too many")
		other, _ := begun(t, etype)
		if _, err := other.Reply(reply); !errors.Is(err, gss.ErrNotMutual) {
			t.Errorf("the reply to another request proves nothing\n got: %v", err)
		}
		if _, err := initiator.Reply(reply); err != nil {
			t.Errorf("the right one does\n got: %v", err)
		}
	}
}

// blames takes a reply that is none.
func blames(t testing.TB, i *gss.Initiator, token []byte, what string) {
	t.Helper()
	w, err := i.Reply(token)
	blamed := errors.As(err, new(*gss.TokenError)) || errors.As(err, new(*gss.AcceptorError)) ||
		errors.As(err, new(*gss.UnsupportedError)) || errors.Is(err, gss.ErrNotMutual)
	if w != nil || !blamed {
		t.Errorf("a reply, %s, is no reply\n got: %v, %v", what, w, err)
	}
}

func TestUnframe(t *testing.T) {
	inner := bytes.Repeat([]byte{7}, 300)
	for _, n := range []int{0, 1, 113, 114, 115, 241, 242, 243, 300} {
		token := gss.Frame(gss.APRepToken, inner[:n])
		id, got, err := gss.Unframe(token)
		if err != nil || id != gss.APRepToken || !bytes.Equal(got, inner[:n]) {
			t.Errorf("what was framed comes out, %d bytes\n got: %x, %d bytes, %v", n, id, len(got), err)
		}
	}
	oid := "\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"
	for _, token := range []string{
		"", "\x60", "\x60\x80", "\x60\x85\x00\x00\x00\x00\x0d" + oid + "\x02\x00", "\x60\xff", "\x61\x0d" + oid + "\x02\x00",
		"\x60\x0e" + oid + "\x02\x00", "\x60\x0c" + oid + "\x02\x00", "\x60\x84\xff\xff\xff\xff" + oid + "\x02\x00",
		"\x60\x0b" + oid, "\x60\x0c" + oid + "\x02", "\x60\x02\x02\x00", "\x60\x0d" + oid[:10] + "\x03\x02\x00",
	} {
		if id, inner, err := gss.Unframe([]byte(token)); err == nil {
			t.Errorf("%x is no token\n got: %x %x", token, id, inner)
		}
	}
	if _, inner, err := gss.Unframe([]byte("\x60\x84\x00\x00\x00\x0d" + oid + "\x02\x00")); err != nil || len(inner) != 0 {
		t.Errorf("a length may be written long\n got: %x %v", inner, err)
	}
}

// FuzzReply plays a server that answers the initial token with anything.
func FuzzReply(f *testing.F) {
	all := make([]struct {
		initiator *gss.Initiator
		reply     []byte
	}, len(etypes))
	for i, etype := range etypes {
		all[i].initiator, all[i].reply = begun(f, etype)
		f.Add(byte(i), all[i].reply)
		f.Add(byte(i), gss.Frame(gss.KRBErrorToken, all[i].reply))
	}
	f.Add(byte(0), gss.Frame(gss.KRBErrorToken, []byte("\x7e\x82\x00\x04\x30\x02\xa0\x00")))
	f.Fuzz(func(t *testing.T, which byte, token []byte) {
		b := all[int(which)%len(all)]
		w, err := b.initiator.Reply(bytes.Clone(token))
		if err != nil {
			blames(t, b.initiator, token, "invented")
			return
		}
		sealed := b.reply[len(b.reply)-sealedLen(t, b.reply):]
		if w == nil || !bytes.Contains(token, sealed) {
			t.Errorf("a context is established by nothing but the server's reply\n got: %x", token)
		}
	})
}
