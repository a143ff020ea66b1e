package krb5

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// KDCOptions (RFC 4120 section 5.4.1; RFC 6806 section 3 for canonicalize).
const (
	optForwardable  = 1 << (31 - 1)
	optProxiable    = 1 << (31 - 3)
	optRenewable    = 1 << (31 - 8)
	optCanonicalize = 1 << (31 - 15)
	optRenew        = 1 << (31 - 30)
)

// asker gets tickets from KDCs. It may be used by several goroutines.
type asker struct {
	config    *Config
	transport *transport
	now       func() time.Time
	limit     func(context.Context, func()) error // computes the keys of passwords
	sent      func(kind int)                      // counts requests
}

// body is KDC-REQ-BODY (RFC 4120 section 5.4.1).
type body struct {
	options         uint32
	client          Principal // of an AS-REQ
	server          Principal
	till, renewTill time.Time
	nonce           uint32
	etypes          []int32
}

func (b *body) der() []byte {
	fields := [][]byte{derField(0, derFlags(b.options))}
	if !b.client.IsZero() {
		fields = append(fields, derField(1, derName(b.client)))
	}
	fields = append(fields, derField(2, derText(b.server.Realm)), derField(3, derName(b.server)), derField(5, derTime(b.till)))
	if !b.renewTill.IsZero() {
		fields = append(fields, derField(6, derTime(b.renewTill)))
	}
	etypes := make([][]byte, len(b.etypes))
	for i, t := range b.etypes {
		etypes[i] = derInteger(int64(t))
	}
	return derSequence(append(fields, derField(7, derInteger(int64(b.nonce))), derField(8, derSequence(etypes...)))...)
}

func derRequest(kind byte, padata []paData, body []byte) []byte {
	fields := [][]byte{derField(1, derInteger(5)), derField(2, derInteger(int64(kind)))}
	if len(padata) > 0 {
		list := make([][]byte, len(padata))
		for i, p := range padata {
			list[i] = derSequence(derField(1, derInteger(int64(p.Type))), derField(2, derOctets(p.Value)))
		}
		fields = append(fields, derField(3, derSequence(list...)))
	}
	return derApplication(kind, derSequence(append(fields, derField(4, body))...))
}

// newNonce has 31 bits: some KDCs read a larger one as negative.
func newNonce() uint32 {
	var b [4]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint32(b[:]) >> 1
}

// expected is what a reply has to be, so that it is an answer to a request (RFC 4120
// sections 3.1.5 and 3.3.4).
type expected struct {
	client, server Principal
	nonce          uint32
	etypes         []int32 // that the session key may be of
	offset         time.Duration
	now            time.Time // by our clock
	skew           time.Duration
	// otherClient and otherServer: the KDC may name another one (RFC 6806). referral: it
	// may give the ticket of a nearer realm's ticket granting service.
	otherClient, otherServer, referral bool
}

// ticket checks a reply and makes a ticket of it. What the encrypted part does not hold
// (the client's name and the ticket itself) nothing but the server can check; a reply
// that has them altered gives a ticket that nobody takes.
func (want *expected) ticket(rep *kdcRep, clear *clearTicket, enc *encRep) (*Ticket, error) {
	client, err := rep.CName.principal(rep.CRealm)
	if err != nil {
		return nil, err
	}
	server, err := enc.SName.principal(enc.SRealm)
	if err != nil {
		return nil, err
	}
	outside, err := clear.SName.principal(clear.Realm)
	if err != nil {
		return nil, err
	}
	switch {
	case enc.Nonce != int64(want.nonce) && enc.Nonce != int64(int32(want.nonce)):
		return nil, errors.New("its nonce is not the request's: it answers another request")
	case !client.Equal(want.client) && !want.otherClient:
		return nil, fmt.Errorf("it is for %v, not for %v", client, want.client)
	case !want.serves(server):
		return nil, fmt.Errorf("it has a ticket for %v, where one for %v was asked for", server, want.server)
	case !outside.Equal(server):
		return nil, fmt.Errorf("its ticket says %v, where %v was said in secret", outside, server)
	case !slices.Contains(want.etypes, enc.Key.EType):
		return nil, fmt.Errorf("its session key is of a type that was not asked for: %s", etypeText(enc.Key.EType))
	case keyLength(enc.Key.EType) != len(enc.Key.Value):
		return nil, errors.New("its session key has not the length of its type")
	}
	t := &Ticket{
		Client: client, Server: server,
		DER: rep.Ticket.Bytes,
		Key: enc.Key.key(), Flags: flags32(enc.Flags),
		AuthTime: enc.AuthTime, Start: enc.StartTime, End: enc.EndTime, RenewTill: enc.RenewTill,
		Offset: want.offset,
	}
	if t.Start.IsZero() {
		t.Start = t.AuthTime
	}
	return t, want.times(t)
}

// serves tells whether server is what was asked for.
func (want *expected) serves(server Principal) bool {
	switch {
	case server.Realm != want.server.Realm:
		return false
	case server.Equal(want.server), want.otherServer:
		return true
	}
	return want.referral && isTGS(server)
}

// isTGS tells a ticket granting service of another realm, or of its own.
func isTGS(p Principal) bool { return len(p.Names) == 2 && p.Names[0] == "krbtgt" }

func (want *expected) times(t *Ticket) error {
	now := want.now.Add(want.offset)
	switch {
	case t.Flags&FlagInvalid != 0:
		return errors.New("its ticket is not valid yet")
	case !t.End.After(now):
		return errors.New("its ticket has ended already, at " + timeText(t.End))
	case t.Start.Sub(now) > want.skew:
		return errors.New("its ticket begins only at " + timeText(t.Start))
	}
	return nil
}

func timeText(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }
