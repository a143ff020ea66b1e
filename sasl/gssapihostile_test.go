package sasl

import (
	"bytes"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/messages"

	"github.com/imclient/imclient/sasl/internal/gss"
	"github.com/imclient/imclient/sasl/krbtest"
)

// lie plays a login in which the server's tokens are altered.
func lie(t *testing.T, s *krbtest.Service, k *Kerberos, o krbtest.Options, alter func(challenge int, token []byte) []byte) error {
	t.Helper()
	return converse(t, GSSAPI(k).New(gssapiParams(ProtAny)), s.Accept(o), alter)
}

// tokenLengths are those of the two tokens that a server sends.
func tokenLengths(t *testing.T, s *krbtest.Service, k *Kerberos) (lengths [2]int) {
	t.Helper()
	if err := lie(t, s, k, krbtest.Options{}, func(n int, token []byte) []byte {
		lengths[n-1] = len(token)
		return token
	}); err != nil {
		t.Fatal(err)
	}
	return lengths
}

func TestGSSAPITokensCut(t *testing.T) {
	for name, etype := range etypes {
		t.Run(name, func(t *testing.T) {
			s, k := newTicket(t, etype)
			for i, length := range tokenLengths(t, s, k) {
				for n := range length {
					err := lie(t, s, k, krbtest.Options{}, func(c int, token []byte) []byte {
						if c == i+1 {
							token = token[:max(len(token)-1-n, 0)]
						}
						return token
					})
					if err == nil {
						t.Fatalf("token %d is none when %d bytes are cut off", i+1, n+1)
					}
					faultOf(t, err)
				}
			}
		})
	}
}

// unprotected is how long the head of AP-REP is, before its encrypted part. Nothing
// protects it, and it says no more than that this comes.
func unprotected(t *testing.T, token []byte) int {
	t.Helper()
	var reply messages.APRep
	if _, inner, err := gss.Unframe(token); err != nil || reply.Unmarshal(inner) != nil {
		t.Fatal("the acceptor's reply is none")
	}
	return len(token) - len(reply.EncPart.Cipher)
}

func TestGSSAPITokensAltered(t *testing.T) {
	for name, etype := range etypes {
		t.Run(name, func(t *testing.T) {
			s, k := newTicket(t, etype)
			for i, length := range tokenLengths(t, s, k) {
				for at := range length {
					for _, bit := range []byte{1, 0x80, 0xff} {
						harmless := false
						err := lie(t, s, k, krbtest.Options{}, func(n int, token []byte) []byte {
							switch {
							case n != i+1:
							case at >= len(token): // this one is shorter
								harmless = true
							case n == 1:
								harmless = at < unprotected(t, token)
								token[at] ^= bit
							default:
								harmless = etype != 23 && (at == 6 || at == 7) // the rotation, modulo the length
								token[at] ^= bit
							}
							return token
						})
						if err != nil {
							faultOf(t, err)
						} else if !harmless {
							t.Fatalf("token %d with byte %d changed by %#x is not the server's", i+1, at, bit)
						}
					}
				}
			}
		})
	}
}

func TestGSSAPITokensOutOfPlace(t *testing.T) {
	s, k := newTicket(t, 18)
	var first, second []byte
	if err := lie(t, s, k, krbtest.Options{}, func(n int, token []byte) []byte {
		if n == 1 {
			first = bytes.Clone(token)
		} else {
			second = bytes.Clone(token)
		}
		return token
	}); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		alter func(n int, token []byte) []byte
		is    error // what it has to be, besides the server's fault
	}{
		"a reply to another login":     {func(n int, token []byte) []byte { return pick(n, first, token) }, ErrNotProved},
		"an offer to another login":    {func(n int, token []byte) []byte { return pick(n, token, second) }, nil},
		"the offer in place of reply":  {func(n int, token []byte) []byte { return pick(n, second, token) }, nil},
		"nothing in place of a reply":  {func(n int, token []byte) []byte { return pick(n, nil, token) }, nil},
		"nothing in place of an offer": {func(n int, token []byte) []byte { return pick(n, token, nil) }, nil},
		"a megabyte":                   {func(n int, token []byte) []byte { return pick(n, append(token, make([]byte, 1<<20)...), token) }, nil},
		"a reply twice": {func() func(n int, token []byte) []byte {
			var reply []byte
			return func(n int, token []byte) []byte {
				if n == 1 {
					reply = bytes.Clone(token)
					return token
				}
				return reply
			}
		}(), nil},
	} {
		t.Run(name, func(t *testing.T) {
			err := lie(t, s, k, krbtest.Options{}, tc.alter)
			if err == nil || tc.is != nil && !errors.Is(err, tc.is) {
				t.Fatalf("it is refused\n got: %v", err)
			}
			faultOf(t, err)
		})
	}
}

func pick(n int, first, second []byte) []byte {
	if n == 1 {
		return first
	}
	return second
}

func TestGSSAPIOffer(t *testing.T) {
	s, k := newTicket(t, 18)
	for _, tc := range []struct {
		allowed Prot
		offer   uint32
		want    byte
	}{
		{ProtAny, 0x07001000, krbtest.Privacy},
		{ProtAny, 0x03001000, krbtest.Integrity},
		{ProtAny, 0x01001000, krbtest.None},
		{ProtAny, 0x01ffffff, krbtest.None}, // Dovecot's
		{ProtAny, 0xff001000, krbtest.Privacy},
		{ProtAny, 0x07ffffff, krbtest.Privacy},
		{ProtAny, 0x0700003d, krbtest.Privacy},   // 60 bytes are the layer's, one is ours
		{ProtAny, 0x0700003c, krbtest.Integrity}, // 28 bytes are the layer's
		{ProtAny, 0x0700001c, krbtest.None},
		{ProtAny, 0x07000000, krbtest.None},
		{ProtAny, 0x0600001c, 0},
		{ProtAny, 0x00001000, 0},
		{ProtAny, 0xf8001000, 0},
		{ProtPrivacy, 0x03001000, 0},
		{ProtPrivacy | ProtIntegrity, 0x01001000, 0},
		{ProtIntegrity, 0x07001000, krbtest.Integrity},
		{ProtNone, 0x07001000, krbtest.None},
		{ProtNone, 0x06001000, 0},
	} {
		a := s.Accept(krbtest.Options{Raw: binary.BigEndian.AppendUint32(nil, tc.offer)})
		err := converse(t, GSSAPI(k).New(gssapiParams(tc.allowed)), a, nil)
		if a.Layer != tc.want || (err == nil) != (tc.want != 0) || err != nil && !errors.Is(err, ErrNoProtection) {
			t.Errorf("of the offer %#x, with %d allowed, %d is chosen\n got: %d, %v", tc.offer, tc.allowed, tc.want, a.Layer, err)
		}
	}
}

// krbError is a KRB-ERROR in a token.
func krbError(t *testing.T, code int, their time.Time) []byte {
	t.Helper()
	text := func(tag int, s string) asn1.RawValue {
		inner, _ := asn1.Marshal(asn1.RawValue{Tag: asn1.TagGeneralString, Bytes: []byte(s)})
		return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, IsCompound: true, Bytes: inner}
	}
	type name struct {
		Type  int             `asn1:"explicit,tag:0"`
		Names []asn1.RawValue `asn1:"explicit,tag:1"`
	}
	b, err := asn1.MarshalWithParams(struct {
		PVNO    int       `asn1:"explicit,tag:0"`
		MsgType int       `asn1:"explicit,tag:1"`
		STime   time.Time `asn1:"generalized,explicit,tag:4"`
		Susec   int       `asn1:"explicit,tag:5"`
		Code    int       `asn1:"explicit,tag:6"`
		Realm   asn1.RawValue
		SName   name `asn1:"explicit,tag:10"`
		Text    asn1.RawValue
	}{5, 30, their.UTC(), 0, code, text(9, "R"), name{3, []asn1.RawValue{{Tag: asn1.TagGeneralString, Bytes: []byte("imap")}}}, text(11, "secret words")},
		"application,explicit,tag:30")
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte{0x60, byte(13 + len(b)), 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02, 3, 0}, b...)
}

func TestGSSAPIServerError(t *testing.T) {
	s, k := newTicket(t, 18)
	for code, want := range map[int]struct {
		kind KerberosKind
		says string
	}{
		37: {KerberosClockSkew, "clock"},                  // KRB_AP_ERR_SKEW
		32: {KerberosExpired, "ended"},                    // KRB_AP_ERR_TKT_EXPIRED
		45: {KerberosUnknownService, "imap/mail.example"}, // KRB_AP_ERR_NOKEY
		35: {KerberosUnknownService, "imap/mail.example"}, // KRB_AP_ERR_NOT_US
		99: {KerberosRefused, "99"},
	} {
		err := lie(t, s, k, krbtest.Options{}, func(int, []byte) []byte { return krbError(t, code, time.Now().Add(-time.Hour)) })
		var e *KerberosError
		if !errors.As(err, &e) || e.Kind != want.kind || e.Code != int32(code) || !strings.Contains(err.Error(), want.says) || e.Look == "" {
			t.Errorf("KRB-ERROR %d is told to a person\n got: %v (%+v)", code, err, e)
			continue
		}
		if errors.Is(err, ErrNoCredentials) {
			t.Errorf("the server has heard of it: it is a failure\n got: %v", err)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("what the server says besides is not shown\n got: %v", err)
		}
	}
}

// A layer's packets are checked like any token, and each error ends the connection.
func TestGSSAPIPackets(t *testing.T) {
	for name, etype := range etypes {
		for layer, prot := range map[byte]Prot{krbtest.Integrity: ProtIntegrity, krbtest.Privacy: ProtPrivacy} {
			t.Run(fmt.Sprintf("%s/%d", name, layer), func(t *testing.T) {
				s, k := newTicket(t, etype)
				begin := func() (Layer, *krbtest.Acceptor) {
					x, a := GSSAPI(k).New(gssapiParams(prot)).(*gssapiExchange), s.Accept(krbtest.Options{})
					if err := converse(t, x, a, nil); err != nil {
						t.Fatal(err)
					}
					return x.Layer(), a
				}
				packets := func(a *krbtest.Acceptor) (all [3][]byte) {
					for i := range all {
						var err error
						if all[i], err = a.Encode(nil, []byte("* 1 EXISTS\r\n")); err != nil {
							t.Fatal(err)
						}
					}
					return all
				}
				l, a := begin()
				sample := packets(a)[0]
				for what, send := range map[string]func([3][]byte) [][]byte{
					"replayed":     func(p [3][]byte) [][]byte { return [][]byte{p[0], p[0]} },
					"out of order": func(p [3][]byte) [][]byte { return [][]byte{p[1], p[0]} },
					"with a gap":   func(p [3][]byte) [][]byte { return [][]byte{p[0], p[2]} },
				} {
					l, a := begin()
					var all []byte
					for _, p := range send(packets(a)) {
						all = append(all, p...)
					}
					breaks(t, what, l, all)
				}
				for at := 4; at < len(sample); at++ {
					l, a := begin()
					p := packets(a)[0]
					p[at] ^= 0x20
					breaks(t, fmt.Sprintf("with byte %d altered", at), l, p)
				}
				breaks(t, "longer than agreed", l, []byte{0, 1, 0, 1})
			})
		}
	}
}

// breaks feeds what must not be taken.
func breaks(t *testing.T, what string, l Layer, packets []byte) {
	t.Helper()
	l.Feed(packets)
	var err error
	for b := make([]byte, 1<<10); err == nil; {
		var n int
		if n, err = l.Read(b); n == 0 && err == nil {
			t.Fatalf("a packet %s ends it", what)
		}
	}
	if _, ok := errors.AsType[*LayerError](err); !ok {
		t.Errorf("a packet %s is the server's fault\n got: %v", what, err)
	}
}
