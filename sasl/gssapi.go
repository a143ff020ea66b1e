package sasl

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/imclient/imclient/sasl/internal/gss"
	"github.com/imclient/imclient/sasl/internal/krb5"
)

const gssapiName = "GSSAPI"

// GSSAPI is GSSAPI with Kerberos V5 (RFC 4752): a ticket of k's proves who we are, and
// the server proves that it has the service's key. It can have a security layer that
// gives privacy. The service is Params.Service at Params.Host. Params.User is whom to
// act for; "" is whomever the server takes the ticket's principal for.
//
// Where there is no ticket, for whatever reason, nothing is sent and the error is a
// [*KerberosError], which wraps [ErrNoCredentials]: the next mechanism is tried.
func GSSAPI(k *Kerberos) Mechanism { return &gssapi{kerberos: k} }

type gssapi struct {
	opaque
	kerberos *Kerberos
}

func (m *gssapi) Name() string { return gssapiName }

func (m *gssapi) Traits() Traits {
	return Traits{Mutual: true, Prot: ProtAny, Strength: Strength(gssapiName)}
}

func (m *gssapi) Ready(params Params) error {
	if err := allowedHash(gssapiName); err != nil {
		return err
	}
	if !utf8.ValidString(params.User) || strings.Contains(params.User, "\x00") {
		return noCredentials("an authorization identity is UTF-8 without NUL")
	}
	return nil
}

func (m *gssapi) New(params Params) Exchange { return &gssapiExchange{m: m, params: params} }

// gssapiExchange is one login (RFC 4752 section 3.1).
type gssapiExchange struct {
	opaque
	m       *gssapi
	params  Params
	phase   phase
	ticket  *krb5.Ticket
	context *gss.Initiator // until the server has replied
	wrapper *gss.Wrapper   // from then on
	prot    Prot           // what was agreed on
	layer   *packetLayer   // nil: none
}

func (x *gssapiExchange) Start() (Step, error) {
	if !x.phase.move(fresh, asking) {
		return Step{}, ErrFinished
	}
	return Step{Work: x.begin}, nil
}

// begin makes the initial token.
func (x *gssapiExchange) begin(ctx context.Context) (Step, error) {
	k := x.m.kerberos
	t, err := k.ticket(ctx, x.params)
	if err != nil {
		return x.fail(err)
	}
	binding, err := k.binding(x.params)
	if err != nil {
		return x.fail(err)
	}
	initiator, token, err := gss.Initiate(gss.Initiation{
		Ticket: t.DER,
		Key:    gss.Key{EType: t.Key.KeyType, Value: t.Key.KeyValue},
		Client: t.Client.Names, ClientType: t.Client.Type, Realm: t.Client.Realm,
		Flags:   x.flags(),
		Binding: binding,
		Now:     k.now().Add(t.Offset),
		Rand:    x.params.Rand,
	})
	if err != nil {
		return x.fail(ticketUnusable(t, err))
	}
	x.ticket, x.context, x.phase = t, initiator, proving
	return Step{Response: token}, nil
}

// flags asks the context for what the layers need (RFC 4752 section 3.1).
func (x *gssapiExchange) flags() gss.Flags {
	flags := gss.Mutual | gss.Replay | gss.Sequence
	if x.params.Prot&(ProtIntegrity|ProtPrivacy) != 0 {
		flags |= gss.Integ
	}
	if x.params.Prot&ProtPrivacy != 0 {
		flags |= gss.Conf
	}
	return flags
}

func (x *gssapiExchange) Next(challenge []byte) (Step, error) {
	switch x.phase {
	case proving:
		return x.proved(challenge)
	case agreeing:
		return x.offered(challenge)
	case answered:
		return x.fail(badChallenge(gssapiName, "one more after the layer was agreed on"))
	}
	return x.fail(ErrFinished)
}

// proved takes the server's reply to the initial token. The answer has no bytes: the
// context is complete on this side, too.
func (x *gssapiExchange) proved(token []byte) (Step, error) {
	wrapper, err := x.context.Reply(token)
	if err != nil {
		return x.fail(ticketRefused(x.ticket, x.m.kerberos.now(), err))
	}
	x.context, x.wrapper, x.phase = nil, wrapper, agreeing
	return Step{Response: []byte{}}, nil
}

// Layers as the offer and its answer have them (RFC 4752 section 3.3).
const (
	offerNone      = 1
	offerIntegrity = 2
	offerPrivacy   = 4

	offerLen    = 4
	offerMaxLen = 1<<24 - 1 // of a packet
)

// offered takes the layers that the server offers, and chooses one.
func (x *gssapiExchange) offered(token []byte) (Step, error) {
	offer, _, err := x.wrapper.Open(token)
	if err != nil {
		return x.fail(gssFault(err))
	}
	if len(offer) != offerLen {
		return x.fail(badChallenge(gssapiName, "an offer of %d bytes, which has to have %d", len(offer), offerLen))
	}
	theirs := int(binary.BigEndian.Uint32(offer) & offerMaxLen)
	if x.prot, err = x.choose(offer[0], theirs); err != nil {
		return x.fail(err)
	}
	response, err := x.accept(theirs)
	if err != nil {
		return x.fail(err)
	}
	x.phase = answered
	return Step{Response: response}, nil
}

// choose takes the strongest layer that is offered, allowed, and has room for data.
func (x *gssapiExchange) choose(offer byte, theirs int) (Prot, error) {
	for _, layer := range [...]struct {
		prot Prot
		bit  byte
	}{{ProtPrivacy, offerPrivacy}, {ProtIntegrity, offerIntegrity}, {ProtNone, offerNone}} {
		if allowedProt(x.params)&layer.prot == 0 || offer&layer.bit == 0 {
			continue
		}
		if layer.prot == ProtNone || min(theirs, maxReceive(x.params)) > x.wrapper.Overhead(layer.prot == ProtPrivacy) {
			return layer.prot, nil
		}
	}
	return 0, ErrNoProtection
}

// accept says which layer it is to be, how long packets may be, and whom to act for,
// and makes the layer.
func (x *gssapiExchange) accept(theirs int) ([]byte, error) {
	bits := map[Prot]uint32{ProtNone: offerNone, ProtIntegrity: offerIntegrity, ProtPrivacy: offerPrivacy}
	answer := bits[x.prot] << 24
	ours := maxReceive(x.params)
	if x.prot != ProtNone {
		answer |= uint32(min(ours, offerMaxLen)) // without a layer it is zero
	}
	plain := append(binary.BigEndian.AppendUint32(nil, answer), x.params.User...)
	token, err := x.wrapper.Seal(nil, plain, false)
	if err != nil || x.prot == ProtNone {
		return token, err
	}
	x.layer, err = newPacketLayer(&gssapiCodec{x.wrapper, x.prot == ProtPrivacy}, ours, theirs)
	return token, err
}

func (x *gssapiExchange) fail(err error) (Step, error) {
	x.forget()
	x.layer = nil
	return Step{}, err
}

// forget lets go of the keys, but for the layer's.
func (x *gssapiExchange) forget() {
	x.phase, x.context, x.wrapper = ended, nil, nil
}

func (x *gssapiExchange) Satisfied() bool { return x.phase == answered }

// Layer implements [Layered].
func (x *gssapiExchange) Layer() Layer {
	if x.layer == nil || x.phase != answered {
		return nil
	}
	return x.layer
}

// Prot implements [Layered].
func (x *gssapiExchange) Prot() Prot { return x.prot }

// SSF implements [Layered].
func (x *gssapiExchange) SSF() int {
	switch {
	case x.layer == nil:
		return 0
	case x.prot == ProtPrivacy:
		return x.layer.codec.(*gssapiCodec).wrapper.SSF()
	}
	return 1
}

// Done implements [Outcome]. A ticket that the server did not want is not used again.
func (x *gssapiExchange) Done(err error) {
	if err == nil {
		x.forget()
		return
	}
	if x.ticket != nil && ticketToBlame(err) {
		x.m.kerberos.fleet.Drop(x.ticket)
	}
	x.fail(err)
}

// ticketToBlame reports whether a login that ended so may have failed because of its
// ticket.
func ticketToBlame(err error) bool {
	return keysToBlame(err) || errors.As(err, new(*KerberosError))
}

// gssFault is what is wrong with a token of the server's.
func gssFault(err error) error {
	var token *gss.TokenError
	if errors.As(err, &token) {
		return badChallenge(gssapiName, "%s", token.What)
	}
	return fmt.Errorf("sasl: %s: %w", gssapiName, err)
}
