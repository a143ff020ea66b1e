package krbtest

import (
	"crypto/rand"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/imclient/imclient/sasl/internal/gss"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/types"
)

// Layers of an offer (RFC 4752 section 3.3).
const (
	None      = 1
	Integrity = 2
	Privacy   = 4
)

// Options are what an acceptor does.
type Options struct {
	Offer byte   // Layers; 0: all three
	Max   int    // longest packet that it takes; 0: 65,536
	NoKey bool   // it has no subkey of its own, and the client's is used
	Raw   []byte // the offer's bytes, where it is to lie; nil: Offer and Max
}

// Acceptor is the server's side of one login: Start's and Next's responses go in,
// challenges come out.
type Acceptor struct {
	service *Service
	options Options
	step    func([]byte) ([]byte, error)
	wrapper *gss.Wrapper
	heard   int

	// What the client has said.
	Client string // principal
	Flags  uint32 // of the context
	Bound  []byte // hash of the channel bindings
	User   string // authorization identity
	Layer  byte   // the one it chose; 0: it has not
	Max    int    // longest packet that it takes
}

// Accept begins a login.
func (s *Service) Accept(o Options) *Acceptor {
	if o.Offer == 0 {
		o.Offer = None | Integrity | Privacy
	}
	if o.Max == 0 {
		o.Max = 1 << 16
	}
	a := &Acceptor{service: s, options: o}
	a.step = a.initial
	return a
}

// Next takes a response and returns the next challenge. When Layer is set, the login
// is complete.
func (a *Acceptor) Next(response []byte) ([]byte, error) {
	a.heard++
	return a.step(response)
}

// Heard is how many responses it has had; three make a login.
func (a *Acceptor) Heard() int { return a.heard }

// initial takes the client's first token.
func (a *Acceptor) initial(token []byte) ([]byte, error) {
	id, request, err := gss.Unframe(token)
	if err != nil || id != gss.APReqToken {
		return nil, fmt.Errorf("krbtest: not an initial token: %#04x, %v", uint16(id), err)
	}
	key, authenticator, err := a.service.open(request)
	if err != nil {
		return nil, err
	}
	sum := authenticator.Cksum.Checksum
	if authenticator.Cksum.CksumType != 0x8003 || len(sum) != 24 || binary.LittleEndian.Uint32(sum) != 16 {
		return nil, errors.New("krbtest: not the checksum of RFC 4121 section 4.1.1")
	}
	a.Client = authenticator.CName.PrincipalNameString() + "@" + authenticator.CRealm
	a.Bound, a.Flags = sum[4:20], binary.LittleEndian.Uint32(sum[20:])
	return a.reply(key, authenticator)
}

// reply makes AP-REP, and the context.
func (a *Acceptor) reply(key types.EncryptionKey, authenticator types.Authenticator) ([]byte, error) {
	part := apRepPart{CTime: authenticator.CTime, Cusec: authenticator.Cusec, Seq: 1 << 29}
	used := authenticator.SubKey
	if !a.options.NoKey {
		used.KeyValue = make([]byte, len(key.KeyValue))
		rand.Read(used.KeyValue)
		part.Subkey = used
	}
	var err error
	a.wrapper, err = gss.NewWrapper(gss.Key{EType: used.KeyType, Value: used.KeyValue}, gss.WrapperOptions{
		Acceptor: true, AcceptorSubkey: !a.options.NoKey,
		SendSeq: uint64(part.Seq), RecvSeq: uint64(authenticator.SeqNumber),
	})
	if err != nil {
		return nil, err
	}
	plain, err := asn1.MarshalWithParams(part, inAPRepPart)
	if err != nil {
		return nil, err
	}
	sealed, err := encrypt(key, plain, keyusage.AP_REP_ENCPART)
	if err != nil {
		return nil, err
	}
	reply, err := asn1.MarshalWithParams(apRep{PVNO: 5, MsgType: 15, Part: encryptedData{key.KeyType, sealed}}, inAPRep)
	if err != nil {
		return nil, err
	}
	a.step = a.offer
	return gss.Frame(gss.APRepToken, reply), nil
}

// offer answers the client's empty response.
func (a *Acceptor) offer(response []byte) ([]byte, error) {
	if len(response) > 0 {
		return nil, fmt.Errorf("krbtest: %d bytes instead of an empty response", len(response))
	}
	a.step = a.agree
	offer := a.options.Raw
	if offer == nil {
		offer = binary.BigEndian.AppendUint32(nil, uint32(a.options.Offer)<<24|uint32(a.options.Max))
	}
	return a.wrapper.Seal(nil, offer, false)
}

// agree takes the client's choice.
func (a *Acceptor) agree(token []byte) ([]byte, error) {
	plain, _, err := a.wrapper.Open(token)
	if err != nil {
		return nil, err
	}
	if len(plain) < 4 {
		return nil, fmt.Errorf("krbtest: a choice of %d bytes", len(plain))
	}
	a.Layer, a.Max, a.User = plain[0], int(binary.BigEndian.Uint32(plain)&0xffffff), string(plain[4:])
	if a.Layer&a.options.Offer == 0 || a.Layer&(a.Layer-1) != 0 {
		return nil, fmt.Errorf("krbtest: layer %#x was chosen of %#x", a.Layer, a.options.Offer)
	}
	a.step = func([]byte) ([]byte, error) { return nil, errors.New("krbtest: one response too many") }
	return nil, nil
}

// Encode appends p to dst in a packet of the layer, with its length before it.
func (a *Acceptor) Encode(dst, p []byte) ([]byte, error) {
	at := len(dst)
	dst, err := a.wrapper.Seal(append(dst, 0, 0, 0, 0), p, a.Layer == Privacy)
	if err == nil {
		binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	}
	return dst, err
}

// Room is how much data a packet that the client takes has room for.
func (a *Acceptor) Room() int { return a.Max - a.wrapper.Overhead(a.Layer == Privacy) }

// Decode returns the data of a packet, without its length, in the packet's memory.
func (a *Acceptor) Decode(packet []byte) ([]byte, error) {
	data, private, err := a.wrapper.Open(packet)
	if err == nil && private != (a.Layer == Privacy) {
		err = errors.New("krbtest: a packet of another layer than was agreed on")
	}
	return data, err
}
