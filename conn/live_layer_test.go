package conn_test

import (
	"cmp"
	"crypto/tls"
	"slices"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/sasl"
)

// liveLayer is a security layer of Cyrus', and how USER2 gets it.
type liveLayer struct {
	name      string
	host      string // whose service it is
	mechanism sasl.Mechanism
	prot      sasl.Prot
	ssf       int
}

// digestLayers are those of DIGEST-MD5.
func digestLayers(t *testing.T) []liveLayer {
	t.Helper()
	by := func(c sasl.Cipher) sasl.Mechanism {
		return sasl.DIGESTMD5(sasl.Static(inBed(t, "USER2", "PASSWORD2")), sasl.DigestOptions{Ciphers: []sasl.Cipher{c}})
	}
	return []liveLayer{
		{"auth-int", "localhost", by(""), sasl.ProtIntegrity, 1},
		{"auth-conf rc4", "localhost", by(sasl.RC4), sasl.ProtPrivacy, 128},
		{"auth-conf rc4-56", "localhost", by(sasl.RC4x56), sasl.ProtPrivacy, 56},
		{"auth-conf des", "localhost", by(sasl.DES), sasl.ProtPrivacy, 55},
		{"auth-conf rc4-40", "localhost", by(sasl.RC4x40), sasl.ProtPrivacy, 40},
	}
}

// writer logs in who may write, through a layer; nil: none.
func (p livePlace) writer(t *testing.T, l *liveLayer) *session {
	t.Helper()
	if l == nil {
		s := p.dial(t)
		if err := s.logIn("", sasl.CRAMMD5(sasl.Static(inBed(t, "USER2", "PASSWORD2")))); err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := p.dialAs(t, l.host)
	if err := s.Authenticate([]sasl.Mechanism{l.mechanism}, "imap", "", l.prot); err != nil {
		t.Fatalf("%s is negotiated: %v", l.name, err)
	}
	if got := s.SASL(); got.Prot != l.prot || got.SSF != l.ssf {
		t.Fatalf("%s is negotiated, and nothing else\n got: %+v", l.name, got)
	}
	return s
}

// append puts a message at the end of a mailbox.
func (s *session) append(mailbox string, message []byte) {
	s.t.Helper()
	s.send("APPEND %s %l", mailbox, message).ok()
}

// fetch returns a message.
func (s *session) fetch(mailbox string, number int64) (message []byte) {
	s.t.Helper()
	s.send("EXAMINE %s", mailbox).ok()
	s.on("FETCH", conn.CallbackNumbered, func(r *conn.Reply) {
		if got := parseFetch(s.t, r); r.MsgNo == number {
			message = slices.Clone(got.joined(s.t, "BODY[]"))
		}
	})
	s.send("FETCH %d BODY.PEEK[]", number).ok()
	return message
}

// largest is the message of 10 MB.
func largest(t *testing.T) []byte {
	t.Helper()
	m := slices.MaxFunc(messageFiles(t), func(a, b []byte) int { return cmp.Compare(len(a), len(b)) })
	if len(m) < 10<<20 {
		t.Fatalf("the largest message has 10 MB\n got: %d bytes", len(m))
	}
	return m
}

// bothWays looks that what goes up through a layer comes down without one as it was,
// and the other way round: neither end can be wrong in a way that the other undoes.
func bothWays(t *testing.T, p livePlace, layers []liveLayer) {
	there := largest(t)
	back := append([]byte("X-Way: back\r\n"), there...)
	for _, l := range layers {
		t.Run(l.name, func(t *testing.T) {
			layered, bare := p.writer(t, &l), p.writer(t, nil)
			mailbox := layered.mailbox("layers " + l.name) // its own, whatever becomes of the others
			layered.append(mailbox, there)
			sameBytes(t, "APPEND through the layer", bare.fetch(mailbox, 1), there)
			bare.append(mailbox, back)
			sameBytes(t, "FETCH through the layer", layered.fetch(mailbox, 2), back)
		})
	}
}

func TestCyrusLayers(t *testing.T) {
	eachPlace(t, "cyrus", func(t *testing.T, p livePlace) {
		if p.implicit && p.version == tls.VersionTLS12 {
			return // below a layer it is what STARTTLS 1.2 is
		}
		bothWays(t, p, digestLayers(t))
	})
}
