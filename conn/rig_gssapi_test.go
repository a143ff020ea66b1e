package conn

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/imclient/imclient/sasl"
	"github.com/imclient/imclient/sasl/krbtest"
)

// KerberosRig is a service that makes its own tickets, and one of them, tim's.
type KerberosRig struct {
	service *krbtest.Service
	ccache  string
	key     string // the ticket's session key
}

// NewKerberosRig makes the service imap at a host, as the client names it.
func NewKerberosRig(t testing.TB, host string) *KerberosRig {
	t.Helper()
	service, err := krbtest.NewService("imap/"+host, 18) // aes256-cts-hmac-sha1-96
	if err != nil {
		t.Fatal(err)
	}
	ticket, err := service.Ticket("tim", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	k := &KerberosRig{service: service, ccache: filepath.Join(t.TempDir(), "ccache"), key: string(ticket.Key.KeyValue)}
	if err := krbtest.WriteCCache(k.ccache, ticket); err != nil {
		t.Fatal(err)
	}
	return k
}

// Mechanism is the client's side, with a [sasl.Kerberos] of its own: a login that the
// server fails drops the ticket, and no other comes here.
func (k *KerberosRig) Mechanism() sasl.Mechanism {
	return sasl.GSSAPI(sasl.NewKerberos(sasl.KerberosOptions{CCache: k.ccache, Config: os.DevNull}))
}

// Peer is the server's side of one login, which offers a layer of krbtest's.
func (k *KerberosRig) Peer(layer byte) *GSSAPIPeer {
	return &GSSAPIPeer{k.service.Accept(krbtest.Options{Offer: layer, Max: gssapiMax})}
}

// gssapiMax is how long a packet the server takes.
const gssapiMax = 1024

// GSSAPIPeer is a server's side of GSSAPI (RFC 4752), and its end of the layer.
type GSSAPIPeer struct{ *krbtest.Acceptor }

// Answer takes a response and returns what comes next.
func (p *GSSAPIPeer) Answer(t testing.TB, response string) string {
	t.Helper()
	challenge, err := p.Next([]byte(response))
	if err != nil {
		t.Fatalf("the server can use what the client says\n got: %v", err)
	}
	return string(challenge)
}

// Seal makes a packet.
func (p *GSSAPIPeer) Seal(text string) string {
	b, err := p.Encode(nil, []byte(text))
	if err != nil {
		panic(err) // its numbers are used up
	}
	return string(b)
}

// Open takes packets apart.
func (p *GSSAPIPeer) Open(t testing.TB, packets string) (text string) {
	t.Helper()
	for b := []byte(packets); len(b) > 0; {
		n := int(binary.BigEndian.Uint32(b))
		if n > gssapiMax || n > len(b)-4 {
			t.Fatalf("packets are whole, and no longer than the server takes\n got: %d bytes of %d", len(b)-4, n)
		}
		data, err := p.Decode(b[4 : 4+n])
		if err != nil {
			t.Fatalf("a packet passes its check\n got: %v", err)
		}
		text += string(data)
		b = b[4+n:]
	}
	return text
}
