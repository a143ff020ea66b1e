package krb5

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"time"

	"github.com/jcmturner/gokrb5/v8/types"
)

// What KDCs send is read by encoding/asn1: no type here holds itself, so nothing is
// nested deeper than these types are, and memory is taken for what is there, not for
// what is said to be there.

// Application tags (RFC 4120 section 5.10) and message types (section 7.5.7), which are
// the same numbers.
const (
	tagTicket        = 1
	tagAuthenticator = 2
	msgASReq         = 10
	msgASRep         = 11
	msgTGSReq        = 12
	msgTGSRep        = 13
	msgAPReq         = 14
	tagEncASRep      = 25
	tagEncTGSRep     = 26
	msgError         = 30
)

const (
	maxPAData  = 64  // elements of pre-authentication data; a KDC has ten or so
	maxETypes  = 64  // elements of ETYPE-INFO
	maxNames   = 16  // components of a name
	maxNameLen = 512 // bytes of a component, or a realm
)

// text is a GeneralString with its tag still on. encoding/asn1 would take it for
// Latin-1, or not, by Go's version: names are compared byte by byte.
type text = asn1.RawValue

const tagGeneralString = 27

var errName = errors.New("a name in it is none")

// textOf is a string that is long enough for a name or a realm, and not longer.
func textOf(t text) (string, error) {
	var in asn1.RawValue
	if parseDER(t.Bytes, &in, "") != nil || !isText(in) {
		return "", errName
	}
	return string(in.Bytes), nil
}

func isText(v asn1.RawValue) bool {
	return v.Class == asn1.ClassUniversal && v.Tag == tagGeneralString && !v.IsCompound && len(v.Bytes) <= maxNameLen
}

type principalName struct {
	Type  int32         `asn1:"explicit,tag:0"`
	Names asn1.RawValue `asn1:"explicit,tag:1"` // Bytes: the sequence of them
}

// principal is the name in a realm. What is too long for a name is refused: errors
// show names.
func (n principalName) principal(realm text) (p Principal, err error) {
	p.Type = n.Type
	if p.Realm, err = textOf(realm); err != nil || p.Realm == "" {
		return Principal{}, errName
	}
	var list asn1.RawValue
	if parseDER(n.Names.Bytes, &list, "") != nil || list.Tag != asn1.TagSequence || list.Class != asn1.ClassUniversal {
		return Principal{}, errName
	}
	for rest := list.Bytes; len(rest) > 0; {
		var name asn1.RawValue
		if rest, err = asn1.Unmarshal(rest, &name); err != nil || !isText(name) || len(p.Names) == maxNames {
			return Principal{}, errName
		}
		p.Names = append(p.Names, string(name.Bytes))
	}
	if len(p.Names) == 0 {
		return Principal{}, errName
	}
	return p, nil
}

type encryptedData struct {
	EType  int32  `asn1:"explicit,tag:0"`
	KVNO   int64  `asn1:"explicit,optional,tag:1"`
	Cipher []byte `asn1:"explicit,tag:2"`
}

type paData struct {
	Type  int32  `asn1:"explicit,tag:1"`
	Value []byte `asn1:"explicit,tag:2"`
}

// kdcRep is AS-REP or TGS-REP (RFC 4120 section 5.4.2).
type kdcRep struct {
	PVNO    int           `asn1:"explicit,tag:0"`
	MsgType int           `asn1:"explicit,tag:1"`
	PAData  []paData      `asn1:"explicit,optional,tag:2"`
	CRealm  text          `asn1:"explicit,tag:3"`
	CName   principalName `asn1:"explicit,tag:4"`
	Ticket  asn1.RawValue `asn1:"explicit,tag:5"` // Bytes: the ticket
	Enc     encryptedData `asn1:"explicit,tag:6"`
}

// clearTicket is what can be read of a ticket without the service's key.
type clearTicket struct {
	TktVNO int           `asn1:"explicit,tag:0"`
	Realm  text          `asn1:"explicit,tag:1"`
	SName  principalName `asn1:"explicit,tag:2"`
	Enc    encryptedData `asn1:"explicit,tag:3"`
}

type encryptionKey struct {
	EType int32  `asn1:"explicit,tag:0"`
	Value []byte `asn1:"explicit,tag:1"`
}

func (k encryptionKey) key() types.EncryptionKey {
	return types.EncryptionKey{KeyType: k.EType, KeyValue: k.Value}
}

type lastReq struct {
	Type  int32     `asn1:"explicit,tag:0"`
	Value time.Time `asn1:"generalized,explicit,tag:1"`
}

type hostAddress struct {
	Type    int32  `asn1:"explicit,tag:0"`
	Address []byte `asn1:"explicit,tag:1"`
}

// encRep is EncKDCRepPart: what only the client and the KDC can read.
type encRep struct {
	Key           encryptionKey  `asn1:"explicit,tag:0"`
	LastReq       []lastReq      `asn1:"explicit,tag:1"`
	Nonce         int64          `asn1:"explicit,tag:2"`
	KeyExpiration time.Time      `asn1:"generalized,explicit,optional,tag:3"`
	Flags         asn1.BitString `asn1:"explicit,tag:4"`
	AuthTime      time.Time      `asn1:"generalized,explicit,tag:5"`
	StartTime     time.Time      `asn1:"generalized,explicit,optional,tag:6"`
	EndTime       time.Time      `asn1:"generalized,explicit,tag:7"`
	RenewTill     time.Time      `asn1:"generalized,explicit,optional,tag:8"`
	SRealm        text           `asn1:"explicit,tag:9"`
	SName         principalName  `asn1:"explicit,tag:10"`
	CAddr         []hostAddress  `asn1:"explicit,optional,tag:11"`
	PAData        []paData       `asn1:"explicit,optional,tag:12"`
}

// krbError is KRB-ERROR (RFC 4120 section 5.9.1). Nobody has signed it.
type krbError struct {
	PVNO    int           `asn1:"explicit,tag:0"`
	MsgType int           `asn1:"explicit,tag:1"`
	CTime   time.Time     `asn1:"generalized,explicit,optional,tag:2"`
	CUSec   int           `asn1:"explicit,optional,tag:3"`
	STime   time.Time     `asn1:"generalized,explicit,tag:4"`
	SUSec   int           `asn1:"explicit,tag:5"`
	Code    int32         `asn1:"explicit,tag:6"`
	CRealm  text          `asn1:"explicit,optional,tag:7"`
	CName   principalName `asn1:"explicit,optional,tag:8"`
	Realm   text          `asn1:"explicit,tag:9"`
	SName   principalName `asn1:"explicit,tag:10"`
	Text    text          `asn1:"explicit,optional,tag:11"`
	Data    []byte        `asn1:"explicit,optional,tag:12"`
}

// etypeInfo2 and etypeInfo say how a password becomes a key (RFC 4120 sections 5.2.7.4
// and 5.2.7.5).
type etypeInfo2 struct {
	EType  int32  `asn1:"explicit,tag:0"`
	Salt   text   `asn1:"explicit,optional,tag:1"`
	Params []byte `asn1:"explicit,optional,tag:2"`
}

type etypeInfo struct {
	EType int32  `asn1:"explicit,tag:0"`
	Salt  []byte `asn1:"explicit,optional,tag:1"`
}

var (
	errTrailing = errors.New("more follows than belongs to it")
	errVersion  = errors.New("it is not of version 5")
	errPAData   = errors.New("it has more pre-authentication data than any KDC sends")
)

// parseDER reads one element that is all of b. params are encoding/asn1's. Its errors
// tell of Go's types rather than of the message, so they are not kept.
func parseDER(b []byte, into any, params string) error {
	rest, err := asn1.UnmarshalWithParams(b, into, params)
	if err != nil {
		return errors.New("malformed")
	}
	if len(rest) > 0 {
		return errTrailing
	}
	return nil
}

func application(tag int) string { return fmt.Sprintf("application,explicit,tag:%d", tag) }

// isError tells a KRB-ERROR by its first byte.
func isError(b []byte) bool { return len(b) > 0 && b[0] == 0x60|msgError }

func parseError(b []byte) (*krbError, error) {
	var e krbError
	if err := parseDER(b, &e, application(msgError)); err != nil {
		return nil, err
	}
	if e.PVNO != 5 || e.MsgType != msgError {
		return nil, errVersion
	}
	return &e, nil
}

// at is the KDC's time.
func (e *krbError) at() time.Time {
	return e.STime.Add(time.Duration(min(max(e.SUSec, 0), 999999)) * time.Microsecond)
}

// parseRep reads an AS-REP or TGS-REP, kind says which.
func parseRep(b []byte, kind int) (*kdcRep, *clearTicket, error) {
	var rep kdcRep
	if err := parseDER(b, &rep, application(kind)); err != nil {
		return nil, nil, err
	}
	if rep.PVNO != 5 || rep.MsgType != kind {
		return nil, nil, errVersion
	}
	if len(rep.PAData) > maxPAData {
		return nil, nil, errPAData
	}
	var ticket clearTicket
	if err := parseDER(rep.Ticket.Bytes, &ticket, application(tagTicket)); err != nil {
		return nil, nil, fmt.Errorf("the ticket in it is %w", err)
	}
	if ticket.TktVNO != 5 {
		return nil, nil, errVersion
	}
	return &rep, &ticket, nil
}

// parseEncRep reads what was decrypted. MIT's KDC sends the AS-REP's tag in both
// replies, others the TGS-REP's (RFC 4120 section 5.4.2). Zeros may follow, where the
// cipher pads.
func parseEncRep(b []byte) (*encRep, error) {
	var enc encRep
	tag := tagEncASRep
	if len(b) > 0 && b[0] == 0x60|tagEncTGSRep {
		tag = tagEncTGSRep
	}
	if _, err := asn1.UnmarshalWithParams(b, &enc, application(tag)); err != nil {
		return nil, errors.New("what is encrypted in it is malformed")
	}
	if len(enc.PAData) > maxPAData {
		return nil, errPAData
	}
	return &enc, nil
}

func parsePAData(b []byte) ([]paData, error) {
	var list []paData
	if err := parseDER(b, &list, ""); err != nil {
		return nil, err
	}
	if len(list) > maxPAData {
		return nil, errPAData
	}
	return list, nil
}

// flags32 are the first 32 flags; those that are missing are not set.
func flags32(s asn1.BitString) (flags uint32) {
	for i := range min(32, s.BitLength) {
		flags |= uint32(s.At(i)) << (31 - i)
	}
	return flags
}
