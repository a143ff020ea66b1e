package conn

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rc4"
	"encoding/binary"
	"encoding/hex"
	"regexp"
	"strings"
	"testing"
)

// DigestPeer is a server's side of DIGEST-MD5 (RFC 2831) for the user tim, once more:
// the formulas, one cipher, and both directions of the layer.
type DigestPeer struct {
	QOP        string
	Host       string // that the client has connected to
	a1         [md5.Size]byte
	enc, dec   *rc4.Cipher
	sent, seen uint32
}

const (
	digestNonce = "OA6MG9tEQGm2hh"
	digestMax   = 1024 // bytes of a packet that the server takes
)

// Challenge is the digest-challenge.
func (p *DigestPeer) Challenge() string {
	return `realm="server.test",nonce="` + digestNonce + `",qop="` + p.QOP + `",cipher="rc4",maxbuf=1024,charset=utf-8,algorithm=md5-sess`
}

func md5Of(text string) string { b := md5.Sum([]byte(text)); return string(b[:]) }

// Answer takes a digest-response and returns what proves the server.
func (p *DigestPeer) Answer(t testing.TB, response string) string {
	t.Helper()
	directive := func(name string) string {
		m := regexp.MustCompile(`(?:^|,)` + name + `="?([^",]*)`).FindStringSubmatch(response)
		if m == nil {
			t.Fatalf("the response has a %s\n got: %s", name, response)
		}
		return m[1]
	}
	a1 := md5Of("tim:server.test:tanstaaftanstaaf") + ":" + digestNonce + ":" + directive("cnonce")
	p.a1 = md5.Sum([]byte(a1))
	p.enc, p.dec = p.cipher("server-to-client"), p.cipher("client-to-server")
	proof := func(method string) string {
		a2 := method + ":imap/" + cmp.Or(p.Host, "server.test") + ":" + strings.Repeat("0", 32)
		text := hex.EncodeToString(p.a1[:]) + ":" + digestNonce + ":00000001:" + directive("cnonce") + ":" + p.QOP + ":"
		return hex.EncodeToString([]byte(md5Of(text + hex.EncodeToString([]byte(md5Of(a2))))))
	}
	if got := directive("response"); got != proof("AUTHENTICATE") {
		t.Fatalf("the client knows the password\n got: %s", response)
	}
	return "rspauth=" + proof("")
}

func (p *DigestPeer) cipher(direction string) *rc4.Cipher {
	c, err := rc4.NewCipher([]byte(md5Of(string(p.a1[:]) + "Digest H(A1) to " + direction + " sealing key magic constant")))
	if err != nil {
		panic(err)
	}
	return c
}

func (p *DigestPeer) mac(direction string, number uint32, data []byte) []byte {
	h := hmac.New(md5.New, []byte(md5Of(string(p.a1[:])+"Digest session key to "+direction+" signing key magic constant")))
	h.Write(binary.BigEndian.AppendUint32(nil, number))
	h.Write(data)
	return h.Sum(nil)[:10]
}

// Seal makes a packet.
func (p *DigestPeer) Seal(text string) string {
	b := append([]byte(text), p.mac("server-to-client", p.sent, []byte(text))...)
	if p.QOP == "auth-conf" {
		p.enc.XORKeyStream(b, b)
	}
	b = binary.BigEndian.AppendUint32(append(b, 0, 1), p.sent)
	p.sent++
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(b)))) + string(b)
}

// Open takes packets apart.
func (p *DigestPeer) Open(t testing.TB, packets string) (text string) {
	t.Helper()
	for b := []byte(packets); len(b) > 0; p.seen++ {
		n := int(binary.BigEndian.Uint32(b))
		if n > digestMax || n < 16 || n > len(b)-4 {
			t.Fatalf("packets are whole, and no longer than the server takes\n got: %d bytes of %d", len(b)-4, n)
		}
		data, trailer := b[4:4+n-6], b[4+n-6:4+n]
		b = b[4+n:]
		if p.QOP == "auth-conf" {
			p.dec.XORKeyStream(data, data)
		}
		data, mac := data[:len(data)-10], data[len(data)-10:]
		if !bytes.Equal(mac, p.mac("client-to-server", p.seen, data)) || binary.BigEndian.Uint32(trailer[2:]) != p.seen {
			t.Fatalf("packet %d passes its check", p.seen)
		}
		text += string(data)
	}
	return text
}
