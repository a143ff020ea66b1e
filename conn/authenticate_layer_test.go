package conn_test

import (
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/sasl"
)

// digestPeer is the rig's server by DIGEST-MD5, on a script.
type digestPeer struct{ conn.DigestPeer }

// logIn has a login by DIGEST-MD5 up to the server's proof; what is said next is the
// OK to a2.
func (p *digestPeer) logIn(t *testing.T, c *conn.Client, s *conntest.Server) *outcome {
	t.Helper()
	s.Play("S: * OK [CAPABILITY AUTH=DIGEST-MD5]")
	o := authenticate(t, c, sasl.DIGESTMD5(tim(), sasl.DigestOptions{}))
	s.Play("C: a2 AUTHENTICATE DIGEST-MD5\nS: + " + base64Of(p.Challenge()))
	response, _ := strings.CutSuffix(s.Received(), "\r\n")
	s.Play("S: + " + base64Of(p.Answer(t, plainOf(t, response))) + "\nC: ")
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
			p := &digestPeer{conn.DigestPeer{QOP: qop}}
			p.logIn(t, c, s)
			text := ok + p.Seal("* 1 EXISTS\r\n")
			s.Send(text[:at])
			s.Send(text[at:])
			if got := p.Open(t, s.Received()); heard != 1 || got != "a3 CAPABILITY\r\n" {
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
				p := &digestPeer{conn.DigestPeer{QOP: qop}}
				o := p.logIn(t, c, s)
				log.Take()
				s.Send("a2 OK [CAPABILITY LIE] in\r\n" + p.Seal("* 1 EXISTS\r\n"))
				if got := p.Open(t, s.Received()); got != "a3 CAPABILITY\r\n" || o.calls != 0 {
					t.Fatalf("what is said outside the layer is not believed\n got: %q, %d calls", got, o.calls)
				}
				s.Send(p.Seal("* CAPABILITY IDLE\r\na3 OK\r\n* 2 EXI") + p.Seal("STS\r\n"))
				for _, b := range []byte("* 3 EXISTS\r\n") {
					s.Send(p.Seal(string(b)))
				}
				s.Send(p.Seal("") + p.Seal("* 4 EXISTS\r\n"))
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
				if got := p.Open(t, s.Received()); !strings.HasSuffix(got, " X "+long+"\r\n") {
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
			b := []byte(p.Seal("* BAD\r\n"))
			b[7] ^= 1
			return string(b)
		},
		"altered number": func(p *digestPeer) string {
			b := []byte(p.Seal("* BAD\r\n"))
			b[len(b)-1] ^= 1
			return string(b)
		},
		"reordered": func(p *digestPeer) string {
			first, second := p.Seal("* BAD\r\n"), p.Seal("* BAD\r\n")
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
					p := &digestPeer{conn.DigestPeer{QOP: qop}}
					o := p.logIn(t, c, s)
					log.Take()
					good := p.Seal("* GOOD\r\n")
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
		p := &digestPeer{conn.DigestPeer{QOP: "auth-int"}}
		o := p.logIn(t, c, s)
		packet := p.Seal("* 1 EXISTS\r\n")
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
