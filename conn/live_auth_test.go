package conn_test

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/sasl"
	"github.com/imclient/imclient/tlsup"
)

// livePlace is a way into a real server.
type livePlace struct {
	name    string
	address string // variable of the testbed
	version uint16 // of TLS; 0: in the clear
}

var livePlaces = []livePlace{
	{"dovecot", "DOVECOT", 0},
	{"dovecot, STARTTLS", "DOVECOT", tls.VersionTLS13},
	{"cyrus", "CYRUS", 0},
	{"cyrus, STARTTLS 1.2", "CYRUS", tls.VersionTLS12}, // its -PLUS binds by tls-unique
	{"cyrus, STARTTLS 1.3", "CYRUS", tls.VersionTLS13},
}

// dial connects, by the name that the servers' realms have.
func (p livePlace) dial(t *testing.T) *conn.Client {
	t.Helper()
	_, port, err := net.SplitHostPort(fromBed(t, p.address))
	if err != nil {
		t.Fatal(err)
	}
	d := &conn.Dialer{RequireTLS: p.version != 0, TLS: &tlsup.Policy{
		Files:  tlsup.Files{CA: fromBed(t, "CA")},
		Config: &tls.Config{MinVersion: p.version, MaxVersion: p.version},
	}}
	c, err := d.Connect("localhost", port)
	if err == nil && p.version != 0 {
		err = c.StartTLS("", "", "", "")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// offers reports whether the server has a mechanism, in its -PLUS form perhaps.
func offers(t *testing.T, c *conn.Client, name string) bool {
	t.Helper()
	ask(t, c, "CAPABILITY")
	return c.Has("AUTH=" + name)
}

// ask has a command answered by OK.
func ask(t *testing.T, c *conn.Client, format string, args ...any) {
	t.Helper()
	var end *conn.Reply
	err := c.Send(func(_ *conn.Client, _ any, r *conn.Reply) { end = r.Clone() }, nil, format, args...)
	for err == nil && end == nil {
		err = c.ProcessOneEvent()
	}
	if err == nil {
		err = end.AsError()
	}
	if err != nil {
		t.Fatalf("%s: %v", format, err)
	}
}

// passwordMechanisms are those of a password, each alone.
func passwordMechanisms(p sasl.Provider) []sasl.Mechanism {
	return []sasl.Mechanism{
		sasl.SCRAM(crypto.SHA256, p, sasl.SCRAMOptions{}), sasl.SCRAM(crypto.SHA1, p, sasl.SCRAMOptions{}),
		sasl.DIGESTMD5(p, sasl.DigestOptions{}), sasl.CRAMMD5(p), sasl.Plain(p), sasl.Login(p),
	}
}

// Every mechanism of a password that a real server offers logs in with the right
// password and fails with a wrong one; and a large message that is fetched then is as
// it was sent.
func TestDovecotAndCyrusLogin(t *testing.T) {
	for _, place := range livePlaces {
		t.Run(place.name, func(t *testing.T) {
			right := sasl.Credentials{Username: fromBed(t, "USER"), Password: []byte(fromBed(t, "PASSWORD"))}
			wrong := sasl.Credentials{Username: fromBed(t, "USER"), Password: []byte("not the password")}
			tried := 0
			for i, m := range passwordMechanisms(sasl.Static(right)) {
				if !offers(t, place.dial(t), m.Name()) {
					continue
				}
				tried++
				t.Run(m.Name(), func(t *testing.T) {
					c := place.dial(t)
					if err := c.Authenticate([]sasl.Mechanism{m}, "imap", "", sasl.ProtNone); err != nil {
						t.Fatalf("the right password logs in: %v", err)
					}
					fetchLargest(t, c)
					err := place.dial(t).Authenticate([]sasl.Mechanism{passwordMechanisms(sasl.Static(wrong))[i]}, "imap", "", sasl.ProtNone)
					if !errors.Is(err, sasl.ErrAuthFailed) {
						t.Errorf("a wrong password fails\n got: %v", err)
					}
				})
			}
			if tried < 5 {
				t.Errorf("the server offers mechanisms of a password\n got: %d", tried)
			}
		})
	}
}

// DIGEST-MD5's layers carry a large message of Cyrus' byte for byte, alone and inside TLS.
func TestCyrusLayers(t *testing.T) {
	for _, place := range livePlaces[2:] {
		for _, prot := range []sasl.Prot{sasl.ProtIntegrity, sasl.ProtPrivacy} {
			for _, cipher := range []sasl.Cipher{"rc4", "rc4-56", "rc4-40", "des"} {
				if prot == sasl.ProtIntegrity && cipher != "rc4" || place.version != 0 && cipher != "rc4" {
					continue
				}
				t.Run(place.name+"/"+string(cipher), func(t *testing.T) {
					p := sasl.Static(sasl.Credentials{Username: fromBed(t, "USER"), Password: []byte(fromBed(t, "PASSWORD"))})
					c := place.dial(t)
					m := sasl.DIGESTMD5(p, sasl.DigestOptions{Ciphers: []sasl.Cipher{cipher}})
					if err := c.Authenticate([]sasl.Mechanism{m}, "imap", "", prot); err != nil {
						t.Fatalf("a layer is negotiated: %v", err)
					}
					fetchLargest(t, c)
				})
			}
		}
	}
}

// fetchLargest compares the largest message of the INBOX with what was put there.
func fetchLargest(t *testing.T, c *conn.Client) {
	t.Helper()
	files := messageFiles(t)
	largest := slices.IndexFunc(files, func(f []byte) bool {
		return len(f) == len(slices.MaxFunc(files, func(a, b []byte) int { return len(a) - len(b) }))
	})
	same := false
	c.AddCallback(conn.Callback{Keyword: "FETCH", Flags: conn.CallbackNumbered, Proc: func(_ *conn.Client, _ any, r *conn.Reply) {
		same = same || r.MsgNo == int64(largest+1) && bytes.Contains(r.Text, files[largest])
	}})
	ask(t, c, "EXAMINE INBOX")
	ask(t, c, "FETCH %d BODY.PEEK[]", largest+1)
	if !same {
		t.Errorf("message %d of %d bytes comes as it was sent", largest+1, len(files[largest]))
	}
}
