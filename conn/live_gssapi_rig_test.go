package conn_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/sasl"
)

// liveKey is an encryption type; the testbed has a service whose keys are all of it.
type liveKey struct {
	name string
	bits int
}

// host is the service's.
func (k liveKey) host() string { return k.name + ".test" }

var liveKeys = []liveKey{{"aes128", 128}, {"aes256", 256}, {"aes128sha2", 128}, {"aes256sha2", 256}, {"rc4", 128}}

// ssf is a layer's strength.
func (k liveKey) ssf(prot sasl.Prot) int {
	return map[sasl.Prot]int{sasl.ProtNone: 0, sasl.ProtIntegrity: 1, sasl.ProtPrivacy: k.bits}[prot]
}

var protNames = map[sasl.Prot]string{sasl.ProtNone: "none", sasl.ProtIntegrity: "integrity", sasl.ProtPrivacy: "privacy"}

// kerberos is of the testbed's realms, whatever the machine is configured for.
func kerberos(t *testing.T, o sasl.KerberosOptions) *sasl.Kerberos {
	t.Helper()
	if o.Config == "" {
		o.Config = fromBed(t, "KRB5_CONFIG")
	}
	return sasl.NewKerberos(o)
}

// ticket has USER's ticket, which is there.
func ticket(t *testing.T) *sasl.Kerberos {
	t.Helper()
	return kerberos(t, sasl.KerberosOptions{CCache: fromBed(t, "KRB5_CCACHE")})
}

// byPassword gets tickets of an account of the testbed's.
func byPassword(t *testing.T, user, password string) *sasl.Kerberos {
	t.Helper()
	return kerberos(t, sasl.KerberosOptions{Provider: sasl.Static(inBed(t, user, password))})
}

// ticketSource gets USER's tickets for a service of one encryption type.
type ticketSource struct {
	name string
	of   map[liveKey]*sasl.Kerberos
}

// ticketSources are all that there are. A keytab has a key of the service's type alone;
// the other two are one for all services.
func ticketSources(t *testing.T) []ticketSource {
	t.Helper()
	cache, keytab, password := ticket(t), map[liveKey]*sasl.Kerberos{}, byPassword(t, "USER", "PASSWORD")
	all := func(k *sasl.Kerberos) map[liveKey]*sasl.Kerberos {
		of := map[liveKey]*sasl.Kerberos{}
		for _, key := range liveKeys {
			of[key] = k
		}
		return of
	}
	for _, key := range liveKeys {
		keytab[key] = kerberos(t, sasl.KerberosOptions{
			Keytab: filepath.Join(fromBed(t, "KRB5_CLIENT_KEYTABS"), key.name+".keytab"),
		})
	}
	return []ticketSource{{"ccache", all(cache)}, {"keytab", keytab}, {"password", all(password)}}
}

// kerberized logs in with a ticket and a layer of that kind alone.
func (s *session) kerberized(user string, prot sasl.Prot, k *sasl.Kerberos) error {
	return s.Authenticate([]sasl.Mechanism{sasl.GSSAPI(k)}, "imap", user, prot)
}

// checkLayer fails unless GSSAPI has logged in, with this layer.
func (s *session) checkLayer(prot sasl.Prot, ssf int) {
	s.t.Helper()
	if got, want := s.SASL(), (conn.SASL{Mechanism: "GSSAPI", Prot: prot, SSF: ssf}); got != want {
		s.t.Errorf("the layer that was asked for was agreed on\n got: %+v\nwant: %+v", got, want)
	}
}

// kerberosKind is of an error's *sasl.KerberosError; 0: it has none.
func kerberosKind(err error) sasl.KerberosKind {
	var e *sasl.KerberosError
	if errors.As(err, &e) {
		return e.Kind
	}
	return 0
}
