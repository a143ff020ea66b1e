package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/imclient/imclient/sasl"
)

// authOptions is what the command line says of SASL.
type authOptions struct {
	text  string   // -auth, as given
	names []string // the mechanisms of it, without -PLUS; nil: the LOGIN command
	bound bool     // of their -PLUS forms only
	any   bool     // all those that there are credentials for
	authz string   // whom to act for; "": whoever logs in
	prot  sasl.Prot

	passwordFile, tokenFile string
}

// errAuthHelp is what the command line asks for by -auth help.
var errAuthHelp = errors.New("help on -auth wanted")

// parseAuth reads "MECH,...", "any" or "help".
func (o *authOptions) parseAuth(text string) error {
	o.text = text
	switch strings.ToLower(text) {
	case "help":
		return errAuthHelp
	case "any":
		o.any = true
		for _, m := range catalog() {
			if !m.traits.Anonymous {
				o.names = append(o.names, m.name)
			}
		}
		return nil
	}
	bound := 0
	for item := range strings.SplitSeq(text, ",") {
		name, plus := strings.CutSuffix(strings.ToUpper(strings.TrimSpace(item)), "-PLUS")
		m := find(name)
		if m == nil || plus && !m.traits.Binds {
			return fmt.Errorf("-auth: there is no mechanism %q here: imload -auth help lists them", item)
		}
		if plus {
			bound++
		}
		o.names = append(o.names, name)
	}
	o.bound = bound > 0
	switch {
	case o.bound && bound < len(o.names):
		return errors.New("-auth: -PLUS forms go with nothing else (without -PLUS both forms are tried, that one first)")
	case o.has(needNothing) && len(o.names) > 1:
		return errors.New("-auth: ANONYMOUS goes with nothing else: it logs nobody in")
	}
	return nil
}

// prots are the values of -prot.
var prots = map[string]sasl.Prot{
	"none": sasl.ProtNone, "integrity": sasl.ProtIntegrity, "privacy": sasl.ProtPrivacy, "any": sasl.ProtAny,
}

// parseProt reads "none,integrity,...".
func (o *authOptions) parseProt(text string) error {
	for item := range strings.SplitSeq(text, ",") {
		prot, ok := prots[strings.ToLower(strings.TrimSpace(item))]
		if !ok {
			return fmt.Errorf("-prot: %q is none of none, integrity, privacy, any", item)
		}
		o.prot |= prot
	}
	return nil
}

// used reports whether connections log in by SASL.
func (o *authOptions) used() bool { return o.names != nil }

// has reports whether one of the mechanisms has that need.
func (o *authOptions) has(n need) bool {
	return slices.ContainsFunc(o.names, func(name string) bool { return find(name).need == n })
}

// wantsUser reports whether somebody has to be named to log in as.
func (o *authOptions) wantsUser() bool {
	return !o.used() || o.any || o.has(needPassword) || o.has(needToken)
}

// check says what cannot be.
func (o *authOptions) check(given map[string]bool, tls *tlsOptions, user string) error {
	for _, name := range []string{"authz", "token-file", "prot"} {
		if given[name] && !o.used() {
			return fmt.Errorf("-%s needs -auth", name)
		}
	}
	switch {
	case o.has(needCertificate) && !o.any && tls.mode == tlsNever:
		return fmt.Errorf("-auth %s needs -tls or -starttls: it is TLS that proves who we are", o.text)
	case o.bound && tls.mode == tlsNever:
		return fmt.Errorf("-auth %s needs -tls or -starttls: that is what the login is bound to", o.text)
	case o.has(needNothing) && (user != "" || o.authz != ""):
		return errors.New("-auth ANONYMOUS logs nobody in: neither -user nor -authz, please")
	case o.authz != "" && strings.Contains(user, "%d"):
		return errors.New("-authz: -user is one who may act for others, with no %d in it")
	case strings.Count(strings.ReplaceAll(o.authz, "%d", ""), "%") > 0:
		return errors.New("-authz: %d is the only % that it may hold")
	}
	return nil
}

// checkEmbedded looks whether the embedded server has what is asked for. (It has the
// secrets for all that it has.)
func (o *authOptions) checkEmbedded() error {
	for _, name := range o.names {
		if !o.any && !slices.Contains(embeddedMechanisms, name) {
			return fmt.Errorf("-auth %s: the embedded server has only %s; for %s there is -host",
				o.text, strings.Join(embeddedMechanisms, " "), name)
		}
	}
	return nil
}

// checkFiles looks whether there is what the mechanisms need, for a real server.
func (o *authOptions) checkFiles(tls *tlsOptions) error {
	switch {
	case !o.used():
		if o.passwordFile == "" {
			return errors.New("-host needs -password-file (never a password on the command line)")
		}
	case o.any: // there may be a ticket
	case o.has(needCertificate) && tls.cert == "":
		return fmt.Errorf("-auth %s needs -cert, the certificate that proves who we are", o.text)
	case o.has(needPassword) && o.passwordFile == "":
		return fmt.Errorf("-auth %s needs -password-file (never a password on the command line)", o.text)
	case o.has(needToken) && o.tokenFile == "":
		return fmt.Errorf("-auth %s needs -token-file (never a token on the command line)", o.text)
	}
	if o.passwordFile == "-" && o.tokenFile == "-" {
		return errors.New("-password-file and -token-file cannot both be stdin")
	}
	return nil
}

// mechanisms makes those of the command line, for all connections: keys are derived
// once. nil: the LOGIN command it is. Whose the credentials are is said at each login,
// unless user acts for others.
func (o *authOptions) mechanisms(user, password, token string) []sasl.Mechanism {
	if !o.used() {
		return nil
	}
	c := sasl.Credentials{Password: []byte(password), Token: []byte(token)}
	if o.authz != "" {
		c.Username = user
	}
	k := sasl.KerberosOptions{}
	if o.authz != "" {
		k.Principal = user
	}
	if password != "" {
		k.Provider = sasl.Static(c)
	}
	return slices.DeleteFunc(everyMechanism(sasl.Static(c), k), func(m sasl.Mechanism) bool {
		return !slices.Contains(o.names, m.Name())
	})
}

// everyMechanism makes all that the library has.
func everyMechanism(p sasl.Provider, k sasl.KerberosOptions) []sasl.Mechanism {
	return append(sasl.All(p), sasl.GSSAPI(sasl.NewKerberos(k)), sasl.Anonymous("imload"))
}
