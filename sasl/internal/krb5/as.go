package krb5

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jcmturner/gokrb5/v8/types"
)

const (
	maxHops = 10 // realms that a request is sent on through
	// maxRounds bounds an AS exchange: without and with a timestamp, once more with the
	// KDC's clock, and referrals.
	maxRounds = 4 + maxHops
)

// asExchange gets a ticket granting ticket (RFC 4120 section 3.1) with an encrypted
// timestamp (section 5.2.7.2) where the KDC wants one. FAST (RFC 6113), which would hide
// it from who listens and wants to try passwords, is not done: a strong password or a
// keytab is what keeps it safe.
type asExchange struct {
	*asker
	client       Principal
	secret       secret
	canonicalize bool // the KDC may name the client otherwise, or send us to its realm
	// etypes are asked for: first those that there are keys of, but the session key may
	// be of the others too.
	etypes, ours []int32

	hint      hint
	proving   bool   // a timestamp is to be sent
	cookie    []byte // the KDC's, to be sent back (RFC 6113 section 5.2)
	corrected bool   // offset is the KDC's in a KRB-ERROR
	offset    time.Duration
	realms    []string // been to, by referral
	req       body
	ticket    *Ticket
}

// tgt asks for the ticket granting ticket of client's own realm. Errors are *Error.
func (a *asker) tgt(ctx context.Context, client Principal, s secret, canonicalize bool) (*Ticket, error) {
	x := &asExchange{asker: a, client: client, secret: s, canonicalize: canonicalize, ours: s.etypes(a.config.TktEnctypes)}
	x.etypes = slices.Clone(x.ours)
	for _, t := range a.config.TktEnctypes {
		if !slices.Contains(x.ours, t) {
			x.etypes = append(x.etypes, t)
		}
	}
	if len(x.ours) == 0 {
		return nil, &Error{
			What: "there is no key of " + client.String() + " of an encryption type that may be asked for: " + etypesText(a.config.TktEnctypes),
			Look: s.look() + "; default_tkt_enctypes and permitted_enctypes in " + a.config.Look.String(),
			Kind: EncType,
		}
	}
	for range maxRounds {
		again, err := x.round(ctx)
		if err != nil || !again {
			return x.ticket, err
		}
	}
	return nil, x.badReply("the KDC does not come to an end")
}

func (x *asExchange) badReply(what string) *Error {
	return &Error{What: what + ", when asked for a ticket of " + x.client.String(), Look: x.transport.lookRealm(x.client.Realm), Kind: BadReply}
}

// round sends one request. again: there is a reason to send another one.
func (x *asExchange) round(ctx context.Context) (again bool, err error) {
	message, err := x.request(ctx)
	if err != nil {
		return false, err
	}
	x.sent(msgASReq)
	no, err := x.transport.ask(ctx, x.client.Realm, message, func(from endpoint, reply []byte) (bool, error) { return x.judge(ctx, from, reply) })
	if err != nil || no == nil {
		return false, err
	}
	switch no.Code {
	case codePreauthRequired:
		return x.prove(no)
	case codeSkew:
		if x.config.KDCTimesync && !x.corrected {
			x.corrected, x.offset = true, no.at().Sub(x.now())
			return true, nil
		}
	case codeWrongRealm:
		if x.canonicalize {
			return x.refer(no)
		}
	}
	return false, x.explain(no, query{realm: x.client.Realm, client: x.client, server: x.req.server, secret: x.secret.look()})
}

func (x *asExchange) request(ctx context.Context) ([]byte, error) {
	now := x.now().Add(x.offset)
	x.req = body{
		client: x.client,
		server: TGS(x.client.Realm, x.client.Realm),
		till:   now.Add(x.config.TicketLifetime),
		nonce:  newNonce(),
		etypes: x.etypes,
	}
	for _, o := range []struct {
		on  bool
		bit uint32
	}{{x.config.Forwardable, optForwardable}, {x.config.Proxiable, optProxiable}, {x.canonicalize, optCanonicalize}} {
		if o.on {
			x.req.options |= o.bit
		}
	}
	if x.config.RenewLifetime > 0 {
		x.req.options |= optRenewable
		x.req.renewTill = now.Add(x.config.RenewLifetime)
	}
	var padata []paData
	if x.cookie != nil {
		padata = append(padata, paData{paFXCookie, x.cookie})
	}
	if x.proving {
		stamp, err := x.timestamp(ctx, now)
		if err != nil {
			return nil, err
		}
		padata = append(padata, paData{paEncTimestamp, stamp})
	}
	return derRequest(msgASReq, padata, x.req.der()), nil
}

// timestamp proves that we know the key (RFC 4120 section 5.2.7.2).
func (x *asExchange) timestamp(ctx context.Context, now time.Time) ([]byte, error) {
	keys, err := x.secret.keys(ctx, x.hint.how, 0)
	if err != nil || len(keys) == 0 {
		return nil, x.keyError(ctx, err)
	}
	plain := derSequence(derField(0, derTime(now)), derField(1, derInteger(microseconds(now))))
	sealed, err := encrypt(keys[0], usageTimestamp, plain)
	if err != nil {
		return nil, x.keyError(ctx, err)
	}
	return derEncrypted(keys[0].KeyType, sealed), nil
}

// keyError is that there is no key by what the KDC said of it.
func (x *asExchange) keyError(ctx context.Context, err error) *Error {
	if ctx.Err() != nil {
		return &Error{What: "the key of " + x.client.String() + " was not computed", Look: x.secret.look(), Kind: NoCredentials, Err: ctx.Err()}
	}
	e := x.badReply("the KDC says of the client's key what cannot be")
	e.Err = err
	return e
}

// prove takes note of how to prove ourselves.
func (x *asExchange) prove(no *refusal) (again bool, err error) {
	if x.proving {
		return false, x.badReply("the KDC wants a proof still after it has had one")
	}
	list, err := parsePAData(no.Data)
	if err != nil {
		return false, x.badReply("the KDC wants a proof and says malformed things of it")
	}
	if x.hint, err = readHint(list, x.ours, x.client); err != nil {
		return false, x.badReply(err.Error())
	}
	timestamp := false
	for _, p := range list {
		switch p.Type {
		case paEncTimestamp:
			timestamp = true
		case paFXCookie:
			x.cookie = p.Value
		}
	}
	switch {
	case !timestamp:
		return false, &Error{
			What: fmt.Sprintf("the KDC of %s does not take an encrypted timestamp as %v's proof, %s", x.client.Realm, x.client, otherProofs(list)),
			Look: "the kdc.conf of that KDC, and what it requires of " + x.client.String() + " (getprinc in kadmin)",
			Kind: Refused, Code: no.Code,
		}
	case !x.hint.found && len(x.hint.offered) > 0:
		return false, &Error{
			What: fmt.Sprintf("the KDC of %s has of %v only keys of %s, and we take %s", x.client.Realm, x.client, etypesText(x.hint.offered), etypesText(x.ours)),
			Look: x.secret.look() + "; default_tkt_enctypes and permitted_enctypes in " + x.config.Look.String(),
			Kind: EncType, Code: no.Code,
		}
	case !x.hint.found:
		x.hint.how = s2k{x.ours[0], defaultSalt(x.client), ""}
	}
	x.proving = true
	return true, nil
}

// refer goes on in the realm that the KDC names (RFC 6806 section 7). Nobody has signed
// that, but the KDC of the other realm cannot give us what it has no key for.
func (x *asExchange) refer(no *refusal) (again bool, err error) {
	realm, err := textOf(no.CRealm)
	if err != nil || !isRealm(realm) {
		return false, x.badReply("the KDC refers to another realm without naming it")
	}
	x.realms = append(x.realms, x.client.Realm)
	if slices.Contains(x.realms, realm) || len(x.realms) > maxHops {
		return false, x.badReply("KDCs refer to each other: the realms " + fmt.Sprint(append(x.realms, realm)))
	}
	x.client.Realm = realm
	x.hint, x.proving, x.cookie, x.corrected, x.offset = hint{}, false, nil, false, 0
	return true, nil
}

// judge checks an AS-REP. That it does not decrypt is final: the key is wrong, whoever
// sent it.
func (x *asExchange) judge(ctx context.Context, from endpoint, reply []byte) (final bool, err error) {
	rep, clear, err := parseRep(reply, msgASRep)
	if err != nil {
		return false, err
	}
	if !slices.Contains(x.ours, rep.Enc.EType) {
		return false, errors.New("it is encrypted in a key that we do not take, or do not have: " + etypeText(rep.Enc.EType))
	}
	how, err := x.replyHint(rep)
	if err != nil {
		return false, err
	}
	keys, err := x.secret.keys(ctx, how, rep.Enc.KVNO)
	if err != nil {
		return ctx.Err() != nil, x.keyError(ctx, err)
	}
	plain := tryKeys(keys, usageASRep, rep.Enc.Cipher)
	if plain == nil {
		return true, wrongPassword(x.client, x.secret.look(), 0)
	}
	enc, err := parseEncRep(plain)
	if err != nil {
		return false, err
	}
	return x.accept(from, rep, clear, enc)
}

// replyHint is how a password becomes the reply's key: the reply may say so itself.
func (x *asExchange) replyHint(rep *kdcRep) (s2k, error) {
	h, err := readHint(rep.PAData, []int32{rep.Enc.EType}, x.client)
	switch {
	case err != nil:
		return s2k{}, err
	case h.found:
		return h.how, nil
	case x.hint.how.etype == rep.Enc.EType:
		return x.hint.how, nil
	}
	return s2k{rep.Enc.EType, defaultSalt(x.client), ""}, nil
}

func tryKeys(keys []types.EncryptionKey, usage uint32, cipher []byte) []byte {
	for _, key := range keys {
		if plain, err := decrypt(key, usage, cipher); err == nil {
			return plain
		}
	}
	return nil
}

// accept checks what was in secret: with the time that is in it, the KDC's clock is
// known for sure.
func (x *asExchange) accept(from endpoint, rep *kdcRep, clear *clearTicket, enc *encRep) (final bool, err error) {
	now := x.now()
	offset := enc.AuthTime.Sub(now)
	if offset.Abs() < 2*time.Second {
		offset = 0 // as near as whole seconds tell
	}
	want := expected{
		client: x.client, server: x.req.server, nonce: x.req.nonce, etypes: x.etypes,
		offset: offset, now: now, skew: x.config.ClockSkew,
		otherClient: x.canonicalize, otherServer: x.canonicalize,
	}
	ticket, err := want.ticket(rep, clear, enc)
	if err != nil {
		return false, err
	}
	if !x.config.KDCTimesync {
		if offset.Abs() > x.config.ClockSkew {
			return true, x.skewed(offset, from, x.client.Realm, 0)
		}
		ticket.Offset = 0
	}
	ticket.From = x.secret.look()
	x.ticket = ticket
	return true, nil
}
