package sasl

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"

	"github.com/imclient/imclient/sasl/internal/gss"
	"github.com/imclient/imclient/sasl/internal/krb5"
	"github.com/imclient/imclient/sasl/krbtest"
)

// BenchmarkGSSAPILogin is the client's work of one login with a ticket that is kept, in
// CPU time of the thread: files are looked at, AP-REQ is made, AP-REP verified, and privacy
// agreed on. Beside it AP-REQ is made and AP-REP verified by gokrb5, and nothing else. They
// take turns, and ours/gokrb5 is of the same turns.
func BenchmarkGSSAPILogin(b *testing.B) {
	for name, etype := range etypes {
		b.Run("etype="+name, func(b *testing.B) {
			s, k := newTicket(b, etype)
			byHand := newByHand(b, k)
			sides := []*ticketSide{
				{name: "ours", logIn: func(m *stopwatch) error { return oursByTicket(m, s, k) }},
				{name: "gokrb5", logIn: func(m *stopwatch) error { return byHand.logIn(m, s) }},
			}
			m := newMeter(b)
			for b.Loop() {
				for _, side := range sides {
					side.turn(m, 200)
				}
			}
			for _, side := range sides {
				b.ReportMetric(median(side.times), side.name+"-ns/login")
			}
			b.ReportMetric(medianRatio(sides[0].times, sides[1].times), "ours/gokrb5")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// stopwatch adds up the client's parts of logins; the server's are between them.
type stopwatch struct {
	meter *meter
	used  time.Duration
}

func (s *stopwatch) run(f func() error) (err error) {
	s.used += s.meter.time(func() { err = f() })
	return err
}

type ticketSide struct {
	name  string
	logIn func(*stopwatch) error
	times []float64 // of a login, by turn
}

func (s *ticketSide) turn(m *meter, many int) {
	watch := stopwatch{meter: m}
	for range many {
		if err := s.logIn(&watch); err != nil {
			m.b.Fatal(err)
		}
	}
	s.times = append(s.times, float64(watch.used)/float64(many))
}

func oursByTicket(m *stopwatch, s *krbtest.Service, k *Kerberos) error {
	var x Exchange
	var step Step
	err := m.run(func() (err error) {
		x = GSSAPI(k).New(gssapiParams(ProtAny))
		if step, err = x.Start(); err == nil {
			step, err = step.Work(context.Background())
		}
		return err
	})
	for a := s.Accept(krbtest.Options{}); err == nil; {
		var challenge []byte
		if challenge, err = a.Next(step.Response); err != nil || a.Layer != 0 {
			return err
		}
		err = m.run(func() (err error) {
			step, err = x.Next(challenge)
			return err
		})
	}
	return err
}

// byHand is a ticket as gokrb5 has it.
type byHand struct {
	ticket messages.Ticket
	key    types.EncryptionKey
	client types.PrincipalName
	realm  string
}

func newByHand(b *testing.B, k *Kerberos) *byHand {
	var t *krb5.Ticket
	t, err := k.ticket(context.Background(), gssapiParams(ProtAny))
	if err != nil {
		b.Fatal(err)
	}
	h := &byHand{key: t.Key, client: types.PrincipalName{NameType: t.Client.Type, NameString: t.Client.Names}, realm: t.Client.Realm}
	if err := h.ticket.Unmarshal(t.DER); err != nil {
		b.Fatal(err)
	}
	return h
}

func (h *byHand) logIn(m *stopwatch, s *krbtest.Service) error {
	var auth types.Authenticator
	var token []byte
	err := m.run(func() (err error) {
		token, err = h.request(&auth)
		return err
	})
	if err != nil {
		return err
	}
	reply, err := s.Accept(krbtest.Options{}).Next(token)
	if err != nil {
		return err
	}
	return m.run(func() error { return h.verify(reply, &auth) })
}

func (h *byHand) request(auth *types.Authenticator) (token []byte, err error) {
	if *auth, err = types.NewAuthenticator(h.realm, h.client); err != nil {
		return nil, err
	}
	if err := auth.GenerateSeqNumberAndSubKey(h.key.KeyType, len(h.key.KeyValue)); err != nil {
		return nil, err
	}
	auth.Cksum = types.Checksum{CksumType: 0x8003, Checksum: append([]byte{16}, make([]byte, 23)...)}
	request, err := messages.NewAPReq(h.ticket, h.key, *auth)
	if err != nil {
		return nil, err
	}
	der, err := request.Marshal()
	return gss.Frame(gss.APReqToken, der), err
}

func (h *byHand) verify(token []byte, auth *types.Authenticator) error {
	_, der, err := gss.Unframe(token)
	if err != nil {
		return err
	}
	var reply messages.APRep
	if err := reply.Unmarshal(der); err != nil {
		return err
	}
	plain, err := crypto.DecryptEncPart(reply.EncPart, h.key, keyusage.AP_REP_ENCPART)
	if err != nil {
		return err
	}
	var part messages.EncAPRepPart
	if err := part.Unmarshal(plain); err != nil {
		return err
	}
	if part.Cusec != auth.Cusec || bytes.Equal(part.Subkey.KeyValue, auth.SubKey.KeyValue) {
		return errors.New("another reply")
	}
	return nil
}

// BenchmarkGSSAPILayer measures packets beside the wrap tokens that they hold, whose own
// cost package gss measures beside cipher and HMAC: it is what is between those and a
// connection's bytes. They are of the same data and take turns.
func BenchmarkGSSAPILayer(b *testing.B) {
	for _, private := range []bool{false, true} {
		for _, packet := range []int{4096, maxPacket} {
			name := fmt.Sprintf("private=%t/packet=%d", private, packet)
			b.Run("encode/"+name, func(b *testing.B) { benchEncodeTokens(b, private, packet) })
			b.Run("decode/"+name, func(b *testing.B) { benchDecodeTokens(b, private, packet) })
		}
	}
}

const benchEType = 18 // aes256-cts-hmac-sha1-96

func benchEncodeTokens(b *testing.B, private bool, packet int) {
	client, _ := newTokenPair(b, benchEType, private, packet)
	bare, _ := newTokenPair(b, benchEType, private, packet)
	data, dst := make([]byte, 64<<10), make([]byte, 0, packet)
	m := newMeter(b)
	b.ReportAllocs()
	for b.Loop() {
		for range benchData / len(data) {
			m.layer(func() {
				if err := client.Write(data); err != nil {
					b.Fatal(err)
				}
			})
			client.Sent(len(client.Pending()))
			m.raw(func() {
				for rest := data; len(rest) > 0; {
					n := min(len(rest), bare.room)
					if _, err := bare.codec.seal(dst, rest[:n]); err != nil {
						b.Fatal(err)
					}
					rest = rest[n:]
				}
			})
		}
	}
	m.report()
}

func benchDecodeTokens(b *testing.B, private bool, packet int) {
	client, server := newTokenPair(b, benchEType, private, packet)
	from, bare := newTokenPair(b, benchEType, private, packet)
	data, plain := make([]byte, 64<<10), make([]byte, 64<<10)
	wire := make([]byte, 0, 128<<10)
	m := newMeter(b)
	b.ReportAllocs()
	for b.Loop() {
		for range benchData / len(data) {
			if err := errors.Join(client.Write(data), from.Write(data)); err != nil {
				b.Fatal(err)
			}
			wire = append(wire[:0], client.Pending()...)
			client.Sent(len(wire))
			m.layer(func() {
				server.Feed(wire)
				if n, err := server.Read(plain); n != len(plain) || err != nil {
					b.Fatalf("%d bytes, %v", n, err)
				}
				server.Keep()
			})
			m.raw(func() {
				for rest := from.Pending(); len(rest) > 0; {
					n := lengthLen + int(binary.BigEndian.Uint32(rest))
					if _, err := bare.codec.open(rest[lengthLen:n]); err != nil {
						b.Fatal(err)
					}
					rest = rest[n:]
				}
			})
			from.Sent(len(from.Pending()))
		}
	}
	m.report()
}
