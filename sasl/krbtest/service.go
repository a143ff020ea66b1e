// Package krbtest is the other end of GSSAPI with Kerberos, for tests and measurements:
// a service that makes tickets for itself, as its KDC would, writes them to a credential
// cache, and accepts logins with them (RFC 4752). With it a login needs no KDC.
package krbtest

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"os"
	"strings"
	"time"

	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/iana/nametype"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

// Realm is the realm of all that is made here.
const Realm = "KRBTEST.EXAMPLE"

// Service is a service with its long-term key, "imap/host".
type Service struct {
	name   types.PrincipalName
	etype  int32
	keytab *keytab.Keytab
}

// NewService makes a service whose key, and whose tickets' session keys, are of an
// encryption type of RFC 3961's registry: 17, 18, 19, 20, 23.
func NewService(name string, etype int32) (*Service, error) {
	s := &Service{name: principal(nametype.KRB_NT_SRV_HST, name), etype: etype, keytab: keytab.New()}
	return s, s.keytab.AddEntry(name, Realm, rand.Text(), time.Now(), 1, etype)
}

func principal(kind int32, name string) types.PrincipalName {
	return types.PrincipalName{NameType: kind, NameString: strings.Split(name, "/")}
}

// Ticket is a ticket, and what the client knows of it.
type Ticket struct {
	DER        []byte
	Key        types.EncryptionKey // session key
	Start, End time.Time
	client     types.PrincipalName
	server     types.PrincipalName
}

// Ticket makes a ticket of a client's, good from now on for as long as life.
func (s *Service) Ticket(client string, life time.Duration) (*Ticket, error) {
	now := time.Now().UTC().Truncate(time.Second)
	t := &Ticket{
		Key:   types.EncryptionKey{KeyType: s.etype, KeyValue: make([]byte, keyLength(s.etype))},
		Start: now, End: now.Add(life),
		client: principal(nametype.KRB_NT_PRINCIPAL, client), server: s.name,
	}
	rand.Read(t.Key.KeyValue)
	plain, err := marshalTicketPart(t)
	if err != nil {
		return nil, err
	}
	key, kvno, err := s.keytab.GetEncryptionKey(s.name, Realm, 0, s.etype)
	if err != nil {
		return nil, err
	}
	sealed, err := crypto.GetEncryptedData(plain, key, keyusage.KDC_REP_TICKET, kvno)
	if err != nil {
		return nil, err
	}
	ticket := messages.Ticket{TktVNO: 5, Realm: Realm, SName: s.name, EncPart: sealed}
	t.DER, err = ticket.Marshal()
	return t, err
}

// keyLength is not gokrb5's GetKeyByteSize, which is 24 for aes256-cts-hmac-sha384-192.
func keyLength(etype int32) int {
	if etype == etypeID.AES256_CTS_HMAC_SHA1_96 || etype == etypeID.AES256_CTS_HMAC_SHA384_192 {
		return 32
	}
	return 16
}

// WriteCCache writes a credential cache with tickets of one client, for
// KerberosOptions.CCache of package sasl.
func WriteCCache(path string, tickets ...*Ticket) error {
	return os.WriteFile(path, CCache(tickets...), 0o600)
}

// CCache is the contents of such a cache, format 4.
func CCache(tickets ...*Ticket) []byte {
	b := []byte{5, 4, 0, 0}
	b = appendPrincipal(b, tickets[0].client)
	for _, t := range tickets {
		b = appendPrincipal(appendPrincipal(b, t.client), t.server)
		b = binary.BigEndian.AppendUint16(b, uint16(t.Key.KeyType))
		b = appendData(b, t.Key.KeyValue)
		for _, at := range [...]time.Time{t.Start, t.Start, t.End, {}} {
			var seconds uint32
			if !at.IsZero() {
				seconds = uint32(at.Unix())
			}
			b = binary.BigEndian.AppendUint32(b, seconds)
		}
		b = append(b, 0)          // is_skey
		b = append(b, 0, 0, 0, 0) // flags
		b = append(b, 0, 0, 0, 0) // addresses
		b = append(b, 0, 0, 0, 0) // authorization data
		b = appendData(appendData(b, t.DER), nil)
	}
	return b
}

func appendPrincipal(b []byte, name types.PrincipalName) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(name.NameType))
	b = binary.BigEndian.AppendUint32(b, uint32(len(name.NameString)))
	b = appendData(b, []byte(Realm))
	for _, component := range name.NameString {
		b = appendData(b, []byte(component))
	}
	return b
}

func appendData(b, data []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(data))), data...)
}

// open checks an AP-REQ and returns the ticket's session key and the authenticator.
func (s *Service) open(request []byte) (key types.EncryptionKey, a types.Authenticator, err error) {
	var r messages.APReq
	if err := r.Unmarshal(request); err != nil {
		return key, a, err
	}
	if _, err := r.Verify(s.keytab, 5*time.Minute, types.HostAddress{}, nil); err != nil {
		return key, a, err
	}
	return r.Ticket.DecryptedEncPart.Key, r.Authenticator, nil
}

// encrypt is EncryptedData's cipher.
func encrypt(key types.EncryptionKey, plain []byte, usage uint32) ([]byte, error) {
	etype, err := crypto.GetEtype(key.KeyType)
	if err != nil {
		return nil, err
	}
	_, sealed, err := etype.EncryptMessage(key.KeyValue, bytes.Clone(plain), usage)
	return sealed, err
}
