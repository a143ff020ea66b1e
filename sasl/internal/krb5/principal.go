package krb5

import (
	"errors"
	"slices"
	"strings"

	"github.com/jcmturner/gokrb5/v8/iana/nametype"
)

// Principal is a name of a client or a service (RFC 4120 section 6.2).
type Principal struct {
	Type  int32 // RFC 4120 section 6.2; says nothing about equality
	Names []string
	Realm string // "": not said
}

// Parse reads a principal as MIT's krb5_parse_name(3) does: components parted by
// "/", then "@" and the realm. A backslash takes the meaning from the character behind
// it, but \n, \t, \b and \0 are newline, tab, backspace and NUL. Without "@" the realm
// is "".
func Parse(s string) (Principal, error) {
	var p Principal
	var part strings.Builder
	inRealm := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			if i++; i == len(s) {
				return Principal{}, errors.New("krb5: a principal's name ends in a backslash")
			}
			part.WriteByte(unescape(s[i]))
		case c == '@' && inRealm:
			return Principal{}, errors.New("krb5: a principal's name has two @")
		case c == '/' && inRealm:
			return Principal{}, errors.New("krb5: a principal's realm has a / without a backslash")
		case c == '@', c == '/':
			p.Names = append(p.Names, part.String())
			part.Reset()
			inRealm = c == '@'
		case c == 0:
			return Principal{}, errors.New("krb5: a principal's name has a NUL byte")
		default:
			part.WriteByte(c)
		}
	}
	if inRealm {
		p.Realm = part.String()
	} else {
		p.Names = append(p.Names, part.String())
	}
	if len(p.Names) == 1 && p.Names[0] == "" {
		return Principal{}, errors.New("krb5: a principal's name is empty")
	}
	p.Type = inferType(p.Names)
	return p, nil
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case '0':
		return 0
	}
	return c
}

// inferType is MIT's choice for a name that is given as text: krbtgt/REALM is a
// service instance, WELLKNOWN/... well-known (RFC 6111), else it is a principal.
func inferType(names []string) int32 {
	switch {
	case len(names) == 2 && names[0] == "krbtgt":
		return nametype.KRB_NT_SRV_INST
	case len(names) >= 2 && names[0] == "WELLKNOWN":
		return ntWellKnown
	}
	return nametype.KRB_NT_PRINCIPAL
}

const ntWellKnown = 11 // RFC 6111 section 3.1

// Service is the principal service/host@realm, of type NT-SRV-HST.
func Service(service, host, realm string) Principal {
	return Principal{Type: nametype.KRB_NT_SRV_HST, Names: []string{service, host}, Realm: realm}
}

// TGS is the principal krbtgt/of@realm: the ticket granting service of realm of, as
// realm knows it.
func TGS(of, realm string) Principal {
	return Principal{Type: nametype.KRB_NT_SRV_INST, Names: []string{"krbtgt", of}, Realm: realm}
}

// Equal tells whether both are one principal: names and realm; never the type (RFC
// 4120 section 6.2).
func (p Principal) Equal(q Principal) bool {
	return p.Realm == q.Realm && slices.Equal(p.Names, q.Names)
}

// IsZero tells whether there is no name.
func (p Principal) IsZero() bool { return len(p.Names) == 0 && p.Realm == "" }

// String returns the principal with the escapes that [Parse] undoes.
func (p Principal) String() string {
	var b strings.Builder
	for i, name := range p.Names {
		if i > 0 {
			b.WriteByte('/')
		}
		escape(&b, name)
	}
	if p.Realm != "" {
		b.WriteByte('@')
		escape(&b, p.Realm)
	}
	return b.String()
}

func escape(b *strings.Builder, s string) {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '\n':
			b.WriteString(`\n`)
		case '\t':
			b.WriteString(`\t`)
		case '\b':
			b.WriteString(`\b`)
		case 0:
			b.WriteString(`\0`)
		case '/', '@', '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
}
