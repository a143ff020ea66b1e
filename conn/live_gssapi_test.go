package conn_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/imclient/imclient/sasl"
)

// Every encryption type logs in with every layer, whatever tickets come from, in the
// clear and within TLS. (What STARTTLS 1.3 does not tell, other ways into the server do
// not either: those are tried with one layer and source.)
func TestCyrusKerberos(t *testing.T) {
	sources := ticketSources(t)
	eachPlace(t, "cyrus", func(t *testing.T, p livePlace) {
		all := p.name == "cyrus" || p.name == "cyrus, STARTTLS 1.3"
		for _, key := range liveKeys {
			for _, source := range sources {
				for prot, name := range protNames {
					if !all && (source.name != "ccache" || prot != sasl.ProtPrivacy) {
						continue
					}
					t.Run(key.name+", "+source.name+", "+name, func(t *testing.T) {
						s := p.dialAs(t, key.host())
						if err := s.kerberized("", prot, source.of[key]); err != nil {
							t.Fatalf("the ticket logs in: %v", err)
						}
						s.checkLayer(prot, key.ssf(prot))
						s.checkReader()
					})
				}
			}
		}
	})
}

// kerberosLayers are all those of GSSAPI.
func kerberosLayers(t *testing.T) (layers []liveLayer) {
	t.Helper()
	m := sasl.GSSAPI(byPassword(t, "USER2", "PASSWORD2"))
	for _, key := range liveKeys {
		for _, prot := range []sasl.Prot{sasl.ProtIntegrity, sasl.ProtPrivacy} {
			layers = append(layers, liveLayer{key.name + " " + protNames[prot], key.host(), m, prot, key.ssf(prot)})
		}
	}
	return layers
}

func TestCyrusKerberosLayers(t *testing.T) {
	eachPlace(t, "cyrus", func(t *testing.T, p livePlace) {
		if p.name == "cyrus" || p.name == "cyrus, STARTTLS 1.3" {
			bothWays(t, p, kerberosLayers(t))
		}
	})
}

// Dovecot has no layers. Within TLS there need be none.
func TestDovecotKerberos(t *testing.T) {
	sources := ticketSources(t)
	eachPlace(t, "dovecot", func(t *testing.T, p livePlace) {
		for _, key := range liveKeys {
			for _, source := range sources {
				t.Run(key.name+", "+source.name, func(t *testing.T) {
					s := p.dialAs(t, key.host())
					prot := sasl.ProtAny
					if p.version != 0 {
						prot = sasl.ProtPrivacy
					}
					if err := s.kerberized("", prot, source.of[key]); err != nil {
						t.Fatalf("the ticket logs in: %v", err)
					}
					s.checkLayer(sasl.ProtNone, 0)
					s.checkReader()
				})
			}
		}
	})
}

// A layer that Dovecot does not have ends the exchange, not the connection.
func TestDovecotKerberosWithoutLayers(t *testing.T) {
	for _, prot := range []sasl.Prot{sasl.ProtIntegrity, sasl.ProtPrivacy} {
		t.Run(protNames[prot], func(t *testing.T) {
			s := livePlaces[0].dial(t)
			k := ticket(t)
			err := s.kerberized("", prot, k)
			if !errors.Is(err, sasl.ErrAuthFailed) || !strings.Contains(err.Error(), sasl.ErrNoProtection.Error()) {
				t.Errorf("the server has no layer\n got: %v", err)
			}
			same(t, "it was asked for one", s.tried(), []string{"GSSAPI"})
			if err := s.kerberized("", sasl.ProtNone, k); err != nil {
				t.Fatalf("then the same ticket logs in without a layer: %v", err)
			}
			s.checkReader()
		})
	}
}
