package krb5

import (
	"encoding/asn1"
	"time"

	"github.com/jcmturner/gokrb5/v8/types"
)

type testReq struct {
	PVNO    int           `asn1:"explicit,tag:1"`
	MsgType int           `asn1:"explicit,tag:2"`
	PAData  []paData      `asn1:"explicit,optional,tag:3"`
	Body    asn1.RawValue `asn1:"explicit,tag:4"`
}

type testBody struct {
	Options asn1.BitString `asn1:"explicit,tag:0"`
	CName   principalName  `asn1:"explicit,optional,tag:1"`
	Realm   text           `asn1:"explicit,tag:2"`
	SName   principalName  `asn1:"explicit,tag:3"`
	Till    time.Time      `asn1:"generalized,explicit,tag:5"`
	RTime   time.Time      `asn1:"generalized,explicit,optional,tag:6"`
	Nonce   int64          `asn1:"explicit,tag:7"`
	ETypes  []int32        `asn1:"explicit,tag:8"`
}

// encTicket is what a KDC and a service read of a ticket.
type encTicket struct {
	Flags     asn1.BitString `asn1:"explicit,tag:0"`
	Key       encryptionKey  `asn1:"explicit,tag:1"`
	CRealm    text           `asn1:"explicit,tag:2"`
	CName     principalName  `asn1:"explicit,tag:3"`
	Transited asn1.RawValue  `asn1:"explicit,tag:4"`
	AuthTime  time.Time      `asn1:"generalized,explicit,tag:5"`
	Start     time.Time      `asn1:"generalized,explicit,optional,tag:6"`
	End       time.Time      `asn1:"generalized,explicit,tag:7"`
	RenewTill time.Time      `asn1:"generalized,explicit,optional,tag:8"`
	Addresses []hostAddress  `asn1:"explicit,optional,tag:9"`
	Data      asn1.RawValue  `asn1:"explicit,optional,tag:10"`
}

type testAPReq struct {
	PVNO          int            `asn1:"explicit,tag:0"`
	MsgType       int            `asn1:"explicit,tag:1"`
	Options       asn1.BitString `asn1:"explicit,tag:2"`
	Ticket        asn1.RawValue  `asn1:"explicit,tag:3"`
	Authenticator encryptedData  `asn1:"explicit,tag:4"`
}

type testAuthenticator struct {
	AVNO   int           `asn1:"explicit,tag:0"`
	CRealm text          `asn1:"explicit,tag:1"`
	CName  principalName `asn1:"explicit,tag:2"`
	Sum    struct {
		Type  int32  `asn1:"explicit,tag:0"`
		Value []byte `asn1:"explicit,tag:1"`
	} `asn1:"explicit,tag:3"`
	CUSec  int64         `asn1:"explicit,tag:4"`
	CTime  time.Time     `asn1:"generalized,explicit,tag:5"`
	Subkey encryptionKey `asn1:"explicit,optional,tag:6"`
	Seq    int64         `asn1:"explicit,optional,tag:7"`
}

// encFields are what can be lied about in secret.
type encFields struct {
	key             types.EncryptionKey
	nonce           int64
	flags           uint32
	auth, end, till time.Time
	start           time.Time // zero: not said
	server          Principal
}

func derRep(kind byte, padata []byte, client Principal, ticket []byte, key types.EncryptionKey, usage uint32, enc encFields) []byte {
	fields := [][]byte{
		derField(0, derKey(enc.key.KeyType, enc.key.KeyValue)),
		derField(1, derSequence(derSequence(derField(0, derInteger(0)), derField(1, derTime(enc.auth))))),
		derField(2, derInteger(enc.nonce)), derField(4, derFlags(enc.flags)),
		derField(5, derTime(enc.auth)),
	}
	if !enc.start.IsZero() {
		fields = append(fields, derField(6, derTime(enc.start)))
	}
	fields = append(fields, derField(7, derTime(enc.end)))
	if !enc.till.IsZero() {
		fields = append(fields, derField(8, derTime(enc.till)))
	}
	fields = append(fields, derField(9, derText(enc.server.Realm)), derField(10, derName(enc.server)))
	sealed := must(encrypt(key, usage, derApplication(tagEncASRep, derSequence(fields...))))
	rep := [][]byte{derField(0, derInteger(5)), derField(1, derInteger(int64(kind)))}
	if padata != nil {
		rep = append(rep, derField(2, padata))
	}
	rep = append(rep, derField(3, derText(client.Realm)), derField(4, derName(client)), derField(5, ticket), derField(6, derEncrypted(key.KeyType, sealed)))
	return derApplication(kind, derSequence(rep...))
}

// lies are all that can be said in a reply, the truth before a lie.
type lies struct {
	kind   byte
	client Principal
	enc    encFields
	ticket []byte
	padata []byte
	key    types.EncryptionKey
	usage  uint32
}
