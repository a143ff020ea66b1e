package gss

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/subtle"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

// Flags are what a context is asked for (RFC 4121 section 4.1.1.1).
type Flags uint32

// The flags that a security layer needs. What else there is, delegation above all, is
// never asked for.
const (
	Mutual   Flags = 1 << 1
	Replay   Flags = 1 << 2
	Sequence Flags = 1 << 3
	Conf     Flags = 1 << 4
	Integ    Flags = 1 << 5
)

// Initiation is what a context begins with.
type Initiation struct {
	Ticket []byte // for the service, as the KDC made it (DER)
	Key    Key    // the ticket's session key
	// The client's principal (RFC 4120 section 6.2), as the ticket has it.
	Client     []string
	ClientType int32
	Realm      string
	Flags      Flags // besides Mutual, without which nothing is begun
	// Binding is the application data of the channel bindings, "tls-unique:..." for
	// example; nil: none (RFC 4752 section 3.1 wants none).
	Binding []byte
	Now     time.Time // what the server's clock should show, too
	Rand    io.Reader // nil: crypto/rand
}

// Initiator is a context that is being established, between the initial token and the
// acceptor's reply (RFC 4121 section 4.1). It holds keys; it is not to be printed.
type Initiator struct {
	opaque
	key    Key // the session key
	subkey Key // ours
	seq    uint32
	sent   time.Time // what the authenticator says; in microseconds
}

// apReq is AP-REQ (RFC 4120 section 5.5.1) with a ticket that stays as it is.
type apReq struct {
	PVNO          int            `asn1:"explicit,tag:0"`
	MsgType       int            `asn1:"explicit,tag:1"`
	Options       asn1.BitString `asn1:"explicit,tag:2"`
	Ticket        asn1.RawValue
	Authenticator encryptedData `asn1:"explicit,tag:4"`
}

// encryptedData is EncryptedData (RFC 4120 section 5.2.9) in a session key, which has
// no version.
type encryptedData struct {
	EType  int32  `asn1:"explicit,tag:0"`
	Cipher []byte `asn1:"explicit,tag:2"`
}

const (
	krbVersion      = 5
	msgAPReq        = 14
	checksumGSS     = 0x8003
	applicationBits = 0x60 // class and construction of [APPLICATION n]
)

// Initiate begins a context. token is for the acceptor.
func Initiate(o Initiation) (_ *Initiator, token []byte, err error) {
	if !Supported(o.Key.EType) {
		return nil, nil, &UnsupportedError{EType: o.Key.EType}
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	i := &Initiator{key: o.Key, sent: o.Now.UTC().Truncate(time.Microsecond)}
	if err := i.invent(o.Rand); err != nil {
		return nil, nil, fmt.Errorf("no random bytes: %w", err)
	}
	sealed, err := i.authenticator(&o)
	if err != nil {
		return nil, nil, err
	}
	request, err := asn1.Marshal(apReq{
		PVNO: krbVersion, MsgType: msgAPReq,
		Options:       asn1.BitString{Bytes: []byte{0x20, 0, 0, 0}, BitLength: 32}, // mutual-required
		Ticket:        asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 3, IsCompound: true, Bytes: o.Ticket},
		Authenticator: encryptedData{EType: o.Key.EType, Cipher: sealed},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("AP-REQ: %w", err)
	}
	message := appendLength([]byte{applicationBits | msgAPReq}, len(request))
	return i, Frame(APReqToken, append(message, request...)), nil
}

// invent makes a subkey, so that no two contexts of one ticket share a key, and the
// number that our messages are counted from. Some count with a sign, so that is small.
func (i *Initiator) invent(from io.Reader) error {
	i.subkey = Key{EType: i.key.EType, Value: make([]byte, len(i.key.Value))}
	var seq [4]byte
	if _, err := io.ReadFull(from, i.subkey.Value); err != nil {
		return err
	}
	_, err := io.ReadFull(from, seq[:])
	i.seq = binary.BigEndian.Uint32(seq[:]) >> 2
	return err
}

// authenticator is Authenticator (RFC 4120 section 5.5.1), encrypted.
func (i *Initiator) authenticator(o *Initiation) ([]byte, error) {
	a := types.Authenticator{
		AVNO: krbVersion, CRealm: o.Realm, CName: types.PrincipalName{NameType: o.ClientType, NameString: o.Client},
		Cksum:     types.Checksum{CksumType: checksumGSS, Checksum: checksum(o.Flags|Mutual, o.Binding)},
		Cusec:     i.sent.Nanosecond() / 1000,
		CTime:     i.sent,
		SubKey:    types.EncryptionKey{KeyType: i.subkey.EType, KeyValue: i.subkey.Value},
		SeqNumber: int64(i.seq),
	}
	plain, err := a.Marshal()
	if err != nil {
		return nil, fmt.Errorf("authenticator: %w", err)
	}
	defer clear(plain) // the subkey is in it
	sealed, err := encryptMessage(i.key, keyusage.AP_REQ_AUTHENTICATOR, plain)
	if err != nil {
		return nil, fmt.Errorf("authenticator: %w", err)
	}
	return sealed, nil
}

// checksum is the authenticator's, which is none but carries flags and what the
// channel below is bound by (RFC 4121 section 4.1.1).
func checksum(flags Flags, binding []byte) []byte {
	b := make([]byte, 24)
	binary.LittleEndian.PutUint32(b, 16)
	if binding != nil {
		sum := bindingHash(binding)
		copy(b[4:], sum[:])
	}
	binary.LittleEndian.PutUint32(b[20:], uint32(flags))
	return b
}

// bindingHash is Bnd of RFC 4121 section 4.1.1.2: over four empty fields of addresses,
// and the application data.
func bindingHash(data []byte) [md5.Size]byte {
	b := make([]byte, 20, 20+len(data))
	binary.LittleEndian.PutUint32(b[16:], uint32(len(data)))
	return md5.Sum(append(b, data...))
}

var (
	// ErrNotMutual is a reply that nobody can have made who knows the ticket's key for
	// this request: the acceptor has not proved itself.
	ErrNotMutual = errors.New("the reply proves nothing: it was made without the ticket's key, or for another request")
)

// AcceptorError is a KRB-ERROR in place of the reply (RFC 4120 section 5.9.1). Nothing
// proves who said it.
type AcceptorError struct {
	Code int32     // RFC 4120 section 7.5.9
	Time time.Time // the acceptor's clock; zero: it did not say
}

func (e *AcceptorError) Error() string {
	return fmt.Sprintf("the server refuses by KRB-ERROR %d", e.Code)
}

// Reply takes the acceptor's token and verifies that the acceptor could open the
// ticket. The context is established then. Errors are [*TokenError], [*AcceptorError],
// [*UnsupportedError] and [ErrNotMutual].
func (i *Initiator) Reply(token []byte) (*Wrapper, error) {
	id, inner, err := Unframe(token)
	if err != nil {
		return nil, err
	}
	switch id {
	case APRepToken:
		return i.established(inner)
	case KRBErrorToken:
		return nil, readError(inner)
	}
	return nil, &TokenError{What: fmt.Sprintf("it is of type %#04x, where the reply of type %#04x was due", uint16(id), uint16(APRepToken))}
}

func readError(inner []byte) error {
	var e messages.KRBError
	if err := guard("KRB-ERROR", func() error { return e.Unmarshal(inner) }); err != nil {
		return err
	}
	return &AcceptorError{Code: e.ErrorCode, Time: e.STime}
}

// established makes the context of AP-REP (RFC 4120 section 5.5.2).
func (i *Initiator) established(inner []byte) (*Wrapper, error) {
	part, err := i.openReply(inner)
	if err != nil {
		return nil, err
	}
	sent := time.Unix(part.CTime.Unix(), int64(part.Cusec)*1000)
	if subtle.ConstantTimeEq(int32(part.Cusec), int32(i.sent.Nanosecond()/1000)) == 0 || !sent.Equal(i.sent) {
		return nil, ErrNotMutual
	}
	if part.SequenceNumber < math.MinInt32 || part.SequenceNumber > math.MaxUint32 {
		return nil, &TokenError{What: "its sequence number has more than 32 bits"}
	}
	key, options := i.subkey, WrapperOptions{
		SendSeq: uint64(i.seq),
		RecvSeq: uint64(uint32(part.SequenceNumber)), // some write it with a sign
	}
	if part.Subkey.KeyType != 0 || part.Subkey.KeyValue != nil {
		key = Key{EType: part.Subkey.KeyType, Value: part.Subkey.KeyValue}
		options.AcceptorSubkey = true
	}
	w, err := NewWrapper(key, options)
	if err != nil && !errors.As(err, new(*UnsupportedError)) {
		err = &TokenError{What: "its subkey has not the length of one of " + EncTypeName(key.EType)}
	}
	return w, err
}

// openReply decrypts it.
func (i *Initiator) openReply(inner []byte) (part messages.EncAPRepPart, err error) {
	var reply messages.APRep
	if err := guard("AP-REP", func() error { return reply.Unmarshal(inner) }); err != nil {
		return part, err
	}
	if reply.PVNO != krbVersion || reply.EncPart.EType != i.key.EType {
		return part, &TokenError{What: fmt.Sprintf("a reply in %s, where the ticket's is %s", EncTypeName(reply.EncPart.EType), EncTypeName(i.key.EType))}
	}
	var plain []byte
	if err := guard("AP-REP", func() (err error) {
		plain, err = decryptMessage(i.key, keyusage.AP_REP_ENCPART, reply.EncPart.Cipher)
		return err
	}); err != nil {
		return part, ErrNotMutual
	}
	defer clear(plain)
	return part, guard("AP-REP", func() error { return part.Unmarshal(plain) })
}

// guard is the boundary to what decodes the peer's bytes: gokrb5 panics at some. What
// it says of them is not passed on, for they may be anything.
func guard(what string, decode func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = &TokenError{What: "its " + what + " is malformed"}
		}
	}()
	if decode() != nil {
		return &TokenError{What: "its " + what + " is malformed"}
	}
	return nil
}
