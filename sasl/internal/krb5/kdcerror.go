package krb5

import (
	"fmt"
	"strings"
	"time"
)

// Error codes (RFC 4120 section 7.5.9) that mean something to us.
const (
	codeNameExpired     = 1
	codeClientUnknown   = 6
	codeServiceUnknown  = 7
	codePolicy          = 12
	codeEType           = 14
	codeClientRevoked   = 18
	codeTGTRevoked      = 20
	codeKeyExpired      = 23
	codePreauthFailed   = 24
	codePreauthRequired = 25
	codeUserToUser      = 27
	codePath            = 28
	codeIntegrity       = 31
	codeExpired         = 32
	codeNotYet          = 33
	codeSkew            = 37
	codeModified        = 41
	codeKeyVersion      = 44
	codeNoKey           = 45
	codeWrongRealm      = 68
)

// query is what a KDC refused.
type query struct {
	realm          string // of the KDC
	client, server Principal
	secret         string // where what proves the client is from
	service        string // where what decides the service's realm is from; "" if there is no service
}

// explain says what a KRB-ERROR means. Its text is anybody's, and is not shown.
func (a *asker) explain(no *refusal, q query) *Error {
	e := &Error{Kind: Refused, Code: no.Code, Look: q.secret}
	conf := a.config.Look.String()
	switch no.Code {
	case codeClientUnknown:
		e.Kind = UnknownClient
		e.What = fmt.Sprintf("the realm %s does not know %v", q.realm, q.client)
		e.Look += "; default_realm in " + conf + " where no realm was named"
	case codeServiceUnknown:
		e.Kind = UnknownService
		e.What = fmt.Sprintf("the realm %s does not know the service %v", q.realm, q.server)
		e.Look = a.lookService(q)
	case codeUserToUser:
		e.Kind = UnknownService
		e.What = fmt.Sprintf("the realm %s gives nobody a ticket for %v as a service: it is a user's name there, or allowed user to user only", q.realm, q.server)
		e.Look = a.lookService(q)
	case codePreauthFailed, codeIntegrity:
		if q.service == "" {
			return wrongPassword(q.client, q.secret, no.Code)
		}
		e.What = fmt.Sprintf("the KDC of %s cannot read the ticket of %v: its keys have changed since", q.realm, q.client)
	case codeSkew:
		return a.skewed(no.at().Sub(a.now()), no.from, q.realm, no.Code)
	case codeExpired:
		e.Kind = Expired
		e.What = fmt.Sprintf("the KDC of %s says that the ticket of %v has ended", q.realm, q.client)
	case codeNotYet:
		e.Kind = ClockSkew
		e.What = fmt.Sprintf("the KDC of %s says that the ticket of %v has not begun", q.realm, q.client)
		e.Look = "the clock of this machine; " + q.secret
	case codeEType:
		e.Kind = EncType
		e.What = fmt.Sprintf("the KDC of %s has no keys of %v and for %v of the encryption types that we take", q.realm, q.client, q.server)
		e.Look = "default_tkt_enctypes, default_tgs_enctypes and permitted_enctypes in " + conf
	case codeKeyExpired:
		e.Kind = Expired
		e.What = fmt.Sprintf("the password of %v has expired: kpasswd changes it", q.client)
	case codeNameExpired, codeClientRevoked:
		e.What = fmt.Sprintf("the KDC of %s has locked %v, or its account has expired", q.realm, q.client)
	case codePath, codePolicy:
		e.What = fmt.Sprintf("the KDC of %s does not let %v have a ticket for %v, by its policy", q.realm, q.client, q.server)
		if no.Code == codePath {
			e.Kind, e.Look = WrongRealm, "[capaths] in "+conf
		}
	case codeWrongRealm:
		e.Kind = WrongRealm
		e.What = fmt.Sprintf("%v is of another realm than %s", q.client, q.realm)
		if realm, err := textOf(no.CRealm); err == nil && isRealm(realm) {
			e.What += ": " + realm
		}
		e.Look += "; canonicalize in " + conf + " follows where the KDC says"
	default:
		e.What = fmt.Sprintf("the KDC of %s refuses %v a ticket for %v: error %d", q.realm, q.client, q.server, no.Code)
	}
	return e
}

// lookService is what has led to the name of a service.
func (a *asker) lookService(q query) string {
	if q.service == "" {
		return a.transport.lookRealm(q.realm)
	}
	return q.service
}

// stale tells errors that say that the ticket granting ticket is no good any more.
func stale(code int32) bool {
	switch code {
	case codeTGTRevoked, codeIntegrity, codeExpired, codeModified, codeKeyVersion, codeNoKey:
		return true
	}
	return false
}

func wrongPassword(client Principal, look string, code int32) *Error {
	return &Error{What: "the password or key of " + client.String() + " is wrong", Look: look, Kind: WrongPassword, Code: code}
}

// skewed says how much the clocks differ, and whose they are.
func (a *asker) skewed(offset time.Duration, from endpoint, realm string, code int32) *Error {
	return &Error{
		What: fmt.Sprintf("our clock is %s that of the KDC %v of the realm %s", behind(offset), from, realm),
		Look: "the clock of this machine; clockskew (now " + a.config.ClockSkew.String() + ") and kdc_timesync in " + a.config.Look.String(),
		Kind: ClockSkew, Code: code,
	}
}

// behind says how far our clock is from one that is ahead of it by offset.
func behind(offset time.Duration) string {
	way := "behind"
	if offset < 0 {
		way = "ahead of"
	}
	return fmt.Sprintf("%v %s", offset.Abs().Round(time.Second), way)
}

func etypeText(t int32) string {
	switch t {
	case aes128SHA1:
		return "aes128-cts-hmac-sha1-96"
	case aes256SHA1:
		return "aes256-cts-hmac-sha1-96"
	case aes128SHA256:
		return "aes128-cts-hmac-sha256-128"
	case aes256SHA384:
		return "aes256-cts-hmac-sha384-192"
	case rc4HMAC:
		return "rc4-hmac"
	case des3SHA1:
		return "des3-cbc-sha1"
	case camellia128:
		return "camellia128-cts-cmac"
	case camellia256:
		return "camellia256-cts-cmac"
	}
	return fmt.Sprintf("encryption type %d", t)
}

func etypesText(list []int32) string {
	names := make([]string, min(len(list), 10))
	for i := range names {
		names[i] = etypeText(list[i])
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// otherProofs says what the KDC takes that we cannot do; hints are no proofs.
func otherProofs(list []paData) string {
	var names []string
	for _, p := range list {
		switch p.Type {
		case paPWSalt, paETypeInfo, paETypeInfo2, paFXCookie, 136, 149: // FX-FAST, REQ-ENC-PA-REP
		case 2:
			names = append(names, "an encrypted timestamp")
		case 16, 14:
			names = append(names, "PKINIT")
		case 138:
			names = append(names, "an encrypted challenge (FAST)")
		case 141, 142:
			names = append(names, "one-time passwords")
		case 151:
			names = append(names, "SPAKE")
		default:
			names = append(names, fmt.Sprintf("type %d", p.Type))
		}
	}
	if len(names) == 0 {
		return "and names nothing that it does take"
	}
	return "but only " + strings.Join(names[:min(len(names), 10)], ", ") + ", which cannot be done here"
}
