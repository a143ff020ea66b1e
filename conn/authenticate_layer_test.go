package conn_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rc4"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/sasl"
)

// digestPeer is a server's side of DIGEST-MD5 (RFC 2831) for the user tim, once more:
// the formulas, one cipher, and both directions of the layer.
type digestPeer struct {
	qop        string
	a1         [md5.Size]byte
	enc, dec   *rc4.Cipher
	sent, seen uint32
}

const (
	digestNonce = "OA6MG9tEQGm2hh"
	digestMax   = 1024 // bytes of a packet that the server takes
)

func (p *digestPeer) challenge() string {
	return `realm="server.test",nonce="` + digestNonce + `",qop="` + p.qop + `",cipher="rc4",maxbuf=1024,charset=utf-8,algorithm=md5-sess`
}

func md5Of(text string) string { b := md5.Sum([]byte(text)); return string(b[:]) }

// answer takes a digest-response and returns what proves the server.
func (p *digestPeer) answer(t *testing.T, response string) string {
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
		a2 := method + ":imap/server.test:" + strings.Repeat("0", 32)
		text := hex.EncodeToString(p.a1[:]) + ":" + digestNonce + ":00000001:" + directive("cnonce") + ":" + p.qop + ":"
		return hex.EncodeToString([]byte(md5Of(text + hex.EncodeToString([]byte(md5Of(a2))))))
	}
	if got := directive("response"); got != proof("AUTHENTICATE") {
		t.Fatalf("the client knows the password\n got: %s", response)
	}
	return "rspauth=" + proof("")
}

func (p *digestPeer) cipher(direction string) *rc4.Cipher {
	c, err := rc4.NewCipher([]byte(md5Of(string(p.a1[:]) + "Digest H(A1) to " + direction + " sealing key magic constant")))
	if err != nil {
		panic(err)
	}
	return c
}

func (p *digestPeer) mac(direction string, number uint32, data []byte) []byte {
	h := hmac.New(md5.New, []byte(md5Of(string(p.a1[:])+"Digest session key to "+direction+" signing key magic constant")))
	h.Write(binary.BigEndian.AppendUint32(nil, number))
	h.Write(data)
	return h.Sum(nil)[:10]
}

// seal makes a packet.
func (p *digestPeer) seal(text string) string {
	b := append([]byte(text), p.mac("server-to-client", p.sent, []byte(text))...)
	if p.qop == "auth-conf" {
		p.enc.XORKeyStream(b, b)
	}
	b = binary.BigEndian.AppendUint32(append(b, 0, 1), p.sent)
	p.sent++
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(b)))) + string(b)
}

// open takes packets apart.
func (p *digestPeer) open(t *testing.T, packets string) (text string) {
	t.Helper()
	for b := []byte(packets); len(b) > 0; p.seen++ {
		n := int(binary.BigEndian.Uint32(b))
		if n > digestMax || n < 16 || n > len(b)-4 {
			t.Fatalf("packets are whole, and no longer than the server takes\n got: %d bytes of %d", len(b)-4, n)
		}
		data, trailer := b[4:4+n-6], b[4+n-6:4+n]
		b = b[4+n:]
		if p.qop == "auth-conf" {
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

// logIn has a login by DIGEST-MD5 up to the server's proof; what is said next is the
// OK to a2.
func (p *digestPeer) logIn(t *testing.T, c *conn.Client, s *conntest.Server) *outcome {
	t.Helper()
	s.Play("S: * OK [CAPABILITY AUTH=DIGEST-MD5]")
	o := authenticate(t, c, sasl.DIGESTMD5(tim(), sasl.DigestOptions{}))
	s.Play("C: a2 AUTHENTICATE DIGEST-MD5\nS: + " + base64Of(p.challenge()))
	response, _ := strings.CutSuffix(s.Received(), "\r\n")
	s.Play("S: + " + base64Of(p.answer(t, plainOf(t, response))) + "\nC: ")
	return o
}

var qops = []string{"auth-int", "auth-conf"}

// The layer begins at the byte behind the OK, wherever that is cut from it.
func TestDigestLayerBegins(t *testing.T) {
	const ok, length = "a2 OK in\r\n", len("* 1 EXISTS\r\n") + 20
	for _, qop := range qops {
		for at := range len(ok) + length {
			heard := 0
			count := conn.Callback{Keyword: "EXISTS", Flags: conn.CallbackNumbered, Proc: func(*conn.Client, any, *conn.Reply) { heard++ }}
			c, s := conntest.New(t, &conn.Dialer{Callbacks: []conn.Callback{count}})
			p := &digestPeer{qop: qop}
			p.logIn(t, c, s)
			text := ok + p.seal("* 1 EXISTS\r\n")
			s.Send(text[:at])
			s.Send(text[at:])
			if got := p.open(t, s.Received()); heard != 1 || got != "a3 CAPABILITY\r\n" {
				t.Errorf("cut at %d, the packet behind the OK is read and the next command is in one\n got: %d, %q, %v", at, heard, got, c.Err())
			}
		}
	}
}

// However the bytes come, packets and replies have nothing to do with each other.
func TestDigestLayer(t *testing.T) {
	for _, secure := range []bool{false, true} {
		for _, qop := range qops {
			conntest.SomeCuts(t, 101, func(t *testing.T, cut *conntest.Cut) {
				var log conntest.Log
				d := &conn.Dialer{ImplicitTLS: secure, Callbacks: []conn.Callback{{Proc: told(&log, "*")}}}
				c, s := conntest.NewCut(t, d, cut)
				if secure {
					s.StartTLS(nil)
				}
				p := &digestPeer{qop: qop}
				o := p.logIn(t, c, s)
				log.Take()
				s.Send("a2 OK [CAPABILITY LIE] in\r\n" + p.seal("* 1 EXISTS\r\n"))
				if got := p.open(t, s.Received()); got != "a3 CAPABILITY\r\n" || o.calls != 0 {
					t.Fatalf("what is said outside the layer is not believed\n got: %q, %d calls", got, o.calls)
				}
				s.Send(p.seal("* CAPABILITY IDLE\r\na3 OK\r\n* 2 EXI") + p.seal("STS\r\n"))
				for _, b := range []byte("* 3 EXISTS\r\n") {
					s.Send(p.seal(string(b)))
				}
				s.Send(p.seal("") + p.seal("* 4 EXISTS\r\n"))
				same(t, "replies are dispatched", log.Take(), []string{
					`* 1 EXISTS ""`, `* CAPABILITY "IDLE"`, `* 2 EXISTS ""`, `* 3 EXISTS ""`, `* 4 EXISTS ""`,
				})
				if o.calls != 1 || o.err != nil || c.Capabilities() != "IDLE" {
					t.Errorf("the login succeeds\n got: %d calls, %v, %q", o.calls, o.err, c.Capabilities())
				}
				long := strings.Repeat("x", 5000)
				if err := c.Send(nil, nil, "X %a", long); err != nil {
					t.Fatal(err)
				}
				if got := p.open(t, s.Received()); !strings.HasSuffix(got, " X "+long+"\r\n") {
					t.Errorf("output is cut into packets\n got: %d bytes", len(got))
				}
			})
		}
	}
}

// A packet that is none, or that somebody has had in his hands, ends the connection.
func TestDigestLayerAttacked(t *testing.T) {
	length := func(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }
	attacks := map[string]func(p *digestPeer) string{
		"length 0":          func(*digestPeer) string { return length(0) },
		"length 1":          func(*digestPeer) string { return length(1) + "x" },
		"maximum + 1":       func(*digestPeer) string { return length(64<<10 + 1) },
		"length 0xffffffff": func(*digestPeer) string { return length(0xffffffff) },
		"altered": func(p *digestPeer) string {
			b := []byte(p.seal("* BAD\r\n"))
			b[7] ^= 1
			return string(b)
		},
		"altered number": func(p *digestPeer) string {
			b := []byte(p.seal("* BAD\r\n"))
			b[len(b)-1] ^= 1
			return string(b)
		},
		"reordered": func(p *digestPeer) string {
			first, second := p.seal("* BAD\r\n"), p.seal("* BAD\r\n")
			return second + first
		},
		"replayed":   nil, // the one before
		"plain text": func(*digestPeer) string { return "* BAD\r\n" },
	}
	for says, attack := range attacks {
		for _, qop := range qops {
			t.Run(says+" "+qop, func(t *testing.T) {
				conntest.SomeCuts(t, 17, func(t *testing.T, cut *conntest.Cut) {
					var log conntest.Log
					d := &conn.Dialer{Callbacks: []conn.Callback{{Proc: told(&log, "*")}}}
					c, s := conntest.NewCut(t, d, cut)
					p := &digestPeer{qop: qop}
					o := p.logIn(t, c, s)
					log.Take()
					good := p.seal("* GOOD\r\n")
					bad := good
					if attack != nil {
						bad = attack(p)
					}
					s.Send("a2 OK in\r\n" + good + bad)
					s.Drive()
					if c.Err() == nil || o.calls != 1 || !errors.As(o.err, new(*sasl.LayerError)) || !errors.As(c.Err(), new(*sasl.LayerError)) {
						t.Errorf("the connection ends\n got: %d calls, %v, %v", o.calls, o.err, c.Err())
					}
					same(t, "what came before is dispatched, and nothing of the packet", log.Take(), []string{`* GOOD ""`})
				})
			})
		}
	}
}

// The end of the stream within a packet is none that the server has chosen.
func TestDigestLayerCutOff(t *testing.T) {
	for _, whole := range []bool{true, false} {
		c, s := conntest.New(t, new(conn.Dialer))
		p := &digestPeer{qop: "auth-int"}
		o := p.logIn(t, c, s)
		packet := p.seal("* 1 EXISTS\r\n")
		want := io.EOF
		if !whole {
			packet, want = packet[:len(packet)-1], io.ErrUnexpectedEOF
		}
		s.Send("a2 OK in\r\n" + packet)
		s.HangUp()
		s.Drive()
		if o.calls != 1 || !errors.Is(o.err, want) {
			t.Errorf("a packet that is whole: %t\n got: %v", whole, o.err)
		}
	}
}
