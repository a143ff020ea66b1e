package conn_test

import (
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/sasl"
)

// One ticket logs in all, and the KDC is asked for it once.
func TestCyrusFiveHundredKerberosLogins(t *testing.T) {
	key := liveKeys[3]
	k := kerberos(t, sasl.KerberosOptions{Keytab: fromBed(t, "KRB5_CLIENT_KEYTAB")})
	mechs := []sasl.Mechanism{sasl.GSSAPI(k)}
	cyrus := livePlaces[3]
	logInAtOnce(t, cyrus, key.host(), mechs, sasl.ProtPrivacy, func(m *member) {
		if got, want := m.SASL(), (conn.SASL{Mechanism: "GSSAPI", Prot: sasl.ProtPrivacy, SSF: key.bits}); got != want {
			m.f.fail("connection %d has a layer: %+v", m.number, got)
		}
	})
	s := k.Stats()
	// Without pre-authentication first, which the KDC refuses and says how it is to be done.
	if s.ASRequests != 2 || s.TGSRequests != 1 || s.Failures != 0 || s.Kept != 2 {
		t.Errorf("two tickets are fetched, and kept\n got: %+v", s)
	}
	// The first waits for the ticket to ask by, too; that is a wait of nobody else's.
	if s.Waits+s.Hits != fiveHundred-1 {
		t.Errorf("all but the first wait for that, or find it\n got: %+v", s)
	}
}
