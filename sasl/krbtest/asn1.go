package krbtest

import (
	"encoding/asn1"
	"time"

	"github.com/jcmturner/gokrb5/v8/types"
)

// What gokrb5 has no encoder for, or one that makes keys as it likes.

type encryptedData struct {
	EType  int32  `asn1:"explicit,tag:0"`
	Cipher []byte `asn1:"explicit,tag:2"`
}

// apRepPart is EncAPRepPart, and apRep AP-REP (RFC 4120 section 5.5.2).
type apRepPart struct {
	CTime  time.Time           `asn1:"generalized,explicit,tag:0"`
	Cusec  int                 `asn1:"explicit,tag:1"`
	Subkey types.EncryptionKey `asn1:"optional,explicit,tag:2"`
	Seq    int64               `asn1:"optional,explicit,tag:3"`
}

type apRep struct {
	PVNO    int           `asn1:"explicit,tag:0"`
	MsgType int           `asn1:"explicit,tag:1"`
	Part    encryptedData `asn1:"explicit,tag:2"`
}

const (
	inAPRep      = "application,explicit,tag:15"
	inAPRepPart  = "application,explicit,tag:27"
	inTicketPart = "application,explicit,tag:3"
)

// ticketPart is EncTicketPart (RFC 4120 section 5.3).
type ticketPart struct {
	Flags     asn1.BitString      `asn1:"explicit,tag:0"`
	Key       types.EncryptionKey `asn1:"explicit,tag:1"`
	CRealm    asn1.RawValue
	CName     principalName `asn1:"explicit,tag:3"`
	Transited transited     `asn1:"explicit,tag:4"`
	AuthTime  time.Time     `asn1:"generalized,explicit,tag:5"`
	StartTime time.Time     `asn1:"generalized,explicit,tag:6"`
	EndTime   time.Time     `asn1:"generalized,explicit,tag:7"`
}

type principalName struct {
	Type  int32           `asn1:"explicit,tag:0"`
	Names []asn1.RawValue `asn1:"explicit,tag:1"`
}

type transited struct {
	Type     int32  `asn1:"explicit,tag:0"`
	Contents []byte `asn1:"explicit,tag:1"`
}

func marshalTicketPart(t *Ticket) ([]byte, error) {
	realm, err := asn1.Marshal(generalString(Realm))
	if err != nil {
		return nil, err
	}
	name := principalName{Type: t.client.NameType}
	for _, n := range t.client.NameString {
		name.Names = append(name.Names, generalString(n))
	}
	return asn1.MarshalWithParams(ticketPart{
		Flags: asn1.BitString{Bytes: make([]byte, 4), BitLength: 32}, Key: t.Key,
		CRealm: asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 2, IsCompound: true, Bytes: realm},
		CName:  name, AuthTime: t.Start, StartTime: t.Start, EndTime: t.End,
	}, inTicketPart)
}

// generalString is a KerberosString.
func generalString(s string) asn1.RawValue {
	return asn1.RawValue{Tag: asn1.TagGeneralString, Bytes: []byte(s)}
}
