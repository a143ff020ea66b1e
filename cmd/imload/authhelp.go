package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/imclient/imclient/sasl"
)

// need is what a mechanism logs in with.
type need string

const (
	needPassword    need = "password"
	needToken       need = "token"
	needCertificate need = "certificate"
	needNothing     need = "nothing"
	needTicket      need = "ticket" // or what gets one
)

// mechanism is what is to be known of one of the library's.
type mechanism struct {
	name   string
	need   need
	traits sasl.Traits
}

// catalog is all mechanisms of the library, the strongest first. What they need they
// tell themselves: whether they would begin with a password alone, or with a token.
var catalog = sync.OnceValue(func() []mechanism {
	secret := []byte("x")
	byPassword := everyMechanism(sasl.Static(sasl.Credentials{Password: secret}), sasl.KerberosOptions{})
	byToken := everyMechanism(sasl.Static(sasl.Credentials{Token: secret}), sasl.KerberosOptions{})
	var all []mechanism
	for i, m := range byPassword {
		traits := traitsOf(m)
		all = append(all, mechanism{m.Name(), needOf(traits, begins(m), begins(byToken[i])), traits})
	}
	slices.SortStableFunc(all, func(a, b mechanism) int { return cmp.Compare(b.traits.Strength, a.traits.Strength) })
	return all
})

func traitsOf(m sasl.Mechanism) sasl.Traits {
	if d, ok := m.(sasl.Described); ok {
		return d.Traits()
	}
	return sasl.Traits{}
}

func begins(m sasl.Mechanism) bool {
	p, ok := m.(sasl.Prepared)
	return !ok || p.Ready(sasl.Params{}) == nil
}

func needOf(t sasl.Traits, byPassword, byToken bool) need {
	switch {
	case t.External:
		return needCertificate
	case t.Anonymous:
		return needNothing
	case byPassword && byToken:
		return needTicket
	case byPassword:
		return needPassword
	case byToken:
		return needToken
	}
	return needNothing
}

// find returns the mechanism of a name in capitals, nil if there is none.
func find(name string) *mechanism {
	all := catalog()
	at := slices.IndexFunc(all, func(m mechanism) bool { return m.name == name })
	if at < 0 {
		return nil
	}
	return &all[at]
}

// authHelp is the answer to -auth help, in 80 columns.
func authHelp() string {
	var b strings.Builder
	b.WriteString(`imload -auth MECH,... logs in by SASL, in place of the LOGIN command: by the
strongest of those named that the server offers. The strongest first, what each
needs, and what becomes of that:

`)
	for _, m := range catalog() {
		fmt.Fprintf(&b, "  %-13s  %-11s  %s\n", m.name, m.need, m.worth())
	}
	fmt.Fprintf(&b, "  %-13s  %-11s  %s\n", "any", "", "all that there is something for, but not ANONYMOUS")
	fmt.Fprintf(&b, `
The password is the first line of -password-file, the token that of -token-file,
the certificate is -cert. What is sent as it stands wants -tls, -starttls, a
server on this machine, or -cleartext. NAME stands for both its forms, NAME-PLUS
for the bound one alone. -authz NAME: who logs in is -user, to act for NAME. The
ticket is Kerberos', of KRB5CCNAME or KRB5_CLIENT_KTNAME, or with -password-file
by the password of the principal -user; KRB5_CONFIG names krb5.conf.
-prot says which layers may come of it: none (which it is), integrity, privacy,
any, or several with commas; above TLS none is needed.

The embedded server has all but %s, and secrets of its own.
  imload -auth scram-sha-256 -mix noop=9,login=1
  imload -tls -auth external
  imload -host mail.example.org -user alice -token-file t -tls -auth xoauth2
  imload -host mail.example.org -auth gssapi -prot privacy
`, strings.Join(notEmbedded(), ", "))
	return b.String()
}

// worth is what a mechanism is worth, in a few words.
func (m *mechanism) worth() string {
	t := m.traits
	var words string
	switch {
	case t.External:
		words = "TLS has proved who we are"
	case t.Anonymous:
		words = "nobody is logged in"
	case t.Cleartext:
		words = "sent as it stands"
	case t.Mutual:
		words = "not sent; server proves itself"
	default:
		words = "not sent; server proves nothing"
	}
	if t.Binds {
		words += "; -PLUS binds to TLS"
	}
	if layers := layersOf(t.Prot); layers != "" {
		words += "; " + layers
	}
	return words
}

// layersOf names the layers of a bitmask.
func layersOf(p sasl.Prot) string {
	var names []string
	if p&sasl.ProtIntegrity != 0 {
		names = append(names, "integrity")
	}
	if p&sasl.ProtPrivacy != 0 {
		names = append(names, "privacy")
	}
	return strings.Join(names, ", ")
}

// notEmbedded are the mechanisms that the embedded server does not have.
func notEmbedded() []string {
	var names []string
	for _, m := range catalog() {
		if !slices.Contains(embeddedMechanisms, m.name) {
			names = append(names, m.name)
		}
	}
	return names
}
