package krb5

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/jcmturner/gokrb5/v8/types"
)

// tgsOptions are what a TGS request differs in.
type tgsOptions struct {
	canonicalize bool   // the KDC may name the service otherwise, or refer to another realm
	renew        bool   // tgt itself is to be made anew (RFC 4120 section 3.3.1)
	service      string // where what decides the service's realm is from, for errors
}

// tgsExchange gets a ticket with a ticket granting ticket (RFC 4120 section 3.3).
type tgsExchange struct {
	*asker
	tgt    *Ticket
	o      tgsOptions
	offset time.Duration
	req    body
	subkey types.EncryptionKey
	ticket *Ticket
}

// tgs asks the KDC that tgt is for. What it gives may be another ticket granting
// service's, nearer to the one that was asked for. Errors are *Error.
func (a *asker) tgs(ctx context.Context, tgt *Ticket, server Principal, o tgsOptions) (*Ticket, error) {
	x := &tgsExchange{asker: a, tgt: tgt, o: o, offset: tgt.Offset}
	if _, err := cipherFor(tgt.Key); err != nil {
		return nil, &Error{
			What: "the session key of the ticket for " + tgt.Server.String() + " is of a type that we do not have: " + etypeText(tgt.Key.KeyType),
			Look: "permitted_enctypes in " + a.config.Look.String() + "; " + tgt.From,
			Kind: EncType,
		}
	}
	for corrected := false; ; corrected = true {
		message, err := x.request(server)
		if err != nil {
			return nil, err
		}
		x.sent(msgTGSReq)
		no, err := a.transport.ask(ctx, x.realm(), message, func(_ endpoint, reply []byte) (bool, error) { return x.judge(reply) })
		switch {
		case err != nil:
			return nil, err
		case no == nil:
			return x.ticket, nil
		case no.Code == codeSkew && a.config.KDCTimesync && !corrected:
			x.offset = no.at().Sub(a.now())
			continue
		}
		return nil, a.explain(no, query{realm: x.realm(), client: tgt.Client, server: server, secret: tgt.From, service: x.look()})
	}
}

// realm is whose KDC is asked.
func (x *tgsExchange) realm() string { return x.tgt.Server.Names[1] }

func (x *tgsExchange) look() string {
	if x.o.service != "" {
		return x.o.service
	}
	return "[capaths] in " + x.config.Look.String()
}

func (x *tgsExchange) request(server Principal) ([]byte, error) {
	x.req = body{server: server, till: x.tgt.End, nonce: newNonce(), etypes: x.config.TGSEnctypes}
	x.req.server.Realm = x.realm()
	if x.config.Forwardable && x.tgt.Flags&FlagForwardable != 0 {
		x.req.options |= optForwardable
	}
	if x.o.canonicalize {
		x.req.options |= optCanonicalize
	}
	if x.o.renew {
		x.req.options |= optRenew
		x.req.till = x.tgt.RenewTill
	}
	body := x.req.der()
	proof, err := x.apReq(body)
	if err != nil {
		return nil, &Error{What: "the request for " + server.String() + " cannot be encrypted", Look: x.tgt.From, Kind: EncType, Err: err}
	}
	return derRequest(msgTGSReq, []paData{{paTGSReq, proof}}, body), nil
}

// apReq proves that we have the ticket's key, and binds the request's body to that. A
// subkey makes the reply one that no other request can have had.
func (x *tgsExchange) apReq(body []byte) ([]byte, error) {
	kind, sum, err := checksum(x.tgt.Key, usageTGSChecksum, body)
	if err != nil {
		return nil, err
	}
	x.subkey = types.EncryptionKey{KeyType: x.tgt.Key.KeyType, KeyValue: make([]byte, len(x.tgt.Key.KeyValue))}
	rand.Read(x.subkey.KeyValue)
	now := x.now().Add(x.offset)
	authenticator := derApplication(tagAuthenticator, derSequence(
		derField(0, derInteger(5)),
		derField(1, derText(x.tgt.Client.Realm)),
		derField(2, derName(x.tgt.Client)),
		derField(3, derSequence(derField(0, derInteger(int64(kind))), derField(1, derOctets(sum)))),
		derField(4, derInteger(microseconds(now))),
		derField(5, derTime(now)),
		derField(6, derKey(x.subkey.KeyType, x.subkey.KeyValue)),
		derField(7, derInteger(int64(newNonce()))),
	))
	sealed, err := encrypt(x.tgt.Key, usageTGSAuth, authenticator)
	if err != nil {
		return nil, err
	}
	return derApplication(msgAPReq, derSequence(
		derField(0, derInteger(5)),
		derField(1, derInteger(msgAPReq)),
		derField(2, derFlags(0)),
		derField(3, x.tgt.DER),
		derField(4, derEncrypted(x.tgt.Key.KeyType, sealed)),
	)), nil
}

// judge checks a TGS-REP. Nothing is final: whoever has not the key cannot have written
// one that decrypts.
func (x *tgsExchange) judge(reply []byte) (final bool, err error) {
	rep, clear, err := parseRep(reply, msgTGSRep)
	if err != nil {
		return false, err
	}
	if rep.Enc.EType != x.tgt.Key.KeyType {
		return false, errors.New("it is encrypted in another type than that of our key: " + etypeText(rep.Enc.EType))
	}
	plain, err := decrypt(x.subkey, usageTGSRepSubkey, rep.Enc.Cipher)
	if err != nil { // Heimdal to 1.2 takes the session key, even where there is a subkey
		plain, err = decrypt(x.tgt.Key, usageTGSRepSession, rep.Enc.Cipher)
	}
	if err != nil {
		return false, err
	}
	enc, err := parseEncRep(plain)
	if err != nil {
		return false, err
	}
	want := expected{
		client: x.tgt.Client, server: x.req.server, nonce: x.req.nonce, etypes: x.req.etypes,
		offset: x.offset, now: x.now(), skew: x.config.ClockSkew,
		otherServer: x.o.canonicalize, referral: isTGS(x.req.server) && !x.o.renew,
	}
	if x.ticket, err = want.ticket(rep, clear, enc); err != nil {
		return false, err
	}
	x.ticket.From = x.tgt.From
	return true, nil
}

// hopLimit is for who goes through realms.
func hopLimit(realms []string, next string, look string) *Error {
	return &Error{
		What: fmt.Sprintf("KDCs refer to each other: the realms %v, and then %s", realms, next),
		Look: look, Kind: WrongRealm,
	}
}
