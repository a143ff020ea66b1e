package conn_test

import (
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/reactor"
	"github.com/imclient/imclient/sasl"
	"github.com/imclient/imclient/sasl/krbtest"
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

// gssapiPeer is the rig's server by GSSAPI, on a script.
type gssapiPeer struct {
	*conn.GSSAPIPeer
	mech sasl.Mechanism
	loop *reactor.Loop // that the client is in; nil: none
	next string        // what the client has said, and Answer has not heard
}

// upTo begins a login and has the client say so many of the three things that it says.
// What is said next answers the last of them.
func (p *gssapiPeer) upTo(t *testing.T, n int, c *conn.Client, s *conntest.Server) *outcome {
	t.Helper()
	s.Play("S: * OK [CAPABILITY SASL-IR AUTH=GSSAPI]")
	o := authenticate(t, c, p.mech)
	token := p.said(t, s)
	for range n - 1 {
		s.Play("S: + " + base64Of(p.Answer(t, token)))
		token = p.said(t, s)
	}
	p.next = token
	return o
}

// said is what the client says next, without the command that it may be in.
func (p *gssapiPeer) said(t *testing.T, s *conntest.Server) string {
	t.Helper()
	text := s.Received()
	for text == "" && p.loop != nil { // its ticket is fetched elsewhere
		if err := p.loop.ProcessOneEvent(); err != nil {
			t.Fatal(err)
		}
		text = s.Received()
	}
	line, whole := strings.CutSuffix(text, "\r\n")
	if !whole {
		t.Fatalf("the client says a line\n got: %q", text)
	}
	return plainOf(t, line[strings.LastIndexByte(line, ' ')+1:])
}

func (p *gssapiPeer) logIn(t *testing.T, c *conn.Client, s *conntest.Server) *outcome {
	t.Helper()
	o := p.upTo(t, 3, c, s)
	p.Answer(t, p.next)
	return o
}

// layerPeer is a server that logs clients in by a mechanism with a security layer.
type layerPeer interface {
	// logIn has a login up to the OK to a2.
	logIn(t *testing.T, c *conn.Client, s *conntest.Server) *outcome
	Seal(text string) string
	Open(t testing.TB, packets string) string
}

// loginLayers are all layers; a peer is good for one login.
func loginLayers(t *testing.T) map[string]func() layerPeer {
	k := conn.NewKerberosRig(t, "server.test")
	digest := func(qop string) func() layerPeer {
		return func() layerPeer { return &digestPeer{conn.DigestPeer{QOP: qop}} }
	}
	gssapi := func(layer byte) func() layerPeer {
		return func() layerPeer { return &gssapiPeer{GSSAPIPeer: k.Peer(layer), mech: k.Mechanism()} }
	}
	return map[string]func() layerPeer{
		"auth-int": digest("auth-int"), "auth-conf": digest("auth-conf"),
		"GSSAPI integrity": gssapi(krbtest.Integrity), "GSSAPI privacy": gssapi(krbtest.Privacy),
	}
}

// The layer begins at the byte behind the OK, wherever that is cut from it.
func TestLayerBegins(t *testing.T) {
	const ok = "a2 OK in\r\n"
	for name, peer := range loginLayers(t) {
		for at, length := 0, 1; at < length; at++ {
			heard := 0
			count := conn.Callback{Keyword: "EXISTS", Flags: conn.CallbackNumbered, Proc: func(*conn.Client, any, *conn.Reply) { heard++ }}
			c, s := conntest.New(t, &conn.Dialer{Callbacks: []conn.Callback{count}})
			p := peer()
			p.logIn(t, c, s)
			text := ok + p.Seal("* 1 EXISTS\r\n")
			length = len(text)
			s.Send(text[:at])
			s.Send(text[at:])
			if got := p.Open(t, s.Received()); heard != 1 || got != "a3 CAPABILITY\r\n" {
				t.Errorf("%s: cut at %d, the packet behind the OK is read and the next command is in one\n got: %d, %q, %v", name, at, heard, got, c.Err())
			}
		}
	}
}

// However the bytes come, packets and replies have nothing to do with each other.
func TestLoginLayer(t *testing.T) {
	for _, secure := range []bool{false, true} {
		for name, peer := range loginLayers(t) {
			cuts := func(t *testing.T, f func(*testing.T, *conntest.Cut)) { conntest.SomeCuts(t, 101, f) }
			if name == "GSSAPI privacy" && !secure {
				cuts = conntest.EveryCut
			}
			cuts(t, func(t *testing.T, cut *conntest.Cut) {
				var log conntest.Log
				d := &conn.Dialer{ImplicitTLS: secure, Callbacks: []conn.Callback{{Proc: told(&log, "*")}}}
				c, s := conntest.NewCut(t, d, cut)
				if secure {
					s.StartTLS(nil)
				}
				p := peer()
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
					t.Errorf("%s: the login succeeds\n got: %d calls, %v, %q", name, o.calls, o.err, c.Capabilities())
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
func TestLoginLayerAttacked(t *testing.T) {
	length := func(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }
	attacks := map[string]func(p layerPeer) string{
		"length 0":          func(layerPeer) string { return length(0) },
		"length 1":          func(layerPeer) string { return length(1) + "x" },
		"maximum + 1":       func(layerPeer) string { return length(64<<10 + 1) },
		"length 0xffffffff": func(layerPeer) string { return length(0xffffffff) },
		"altered": func(p layerPeer) string {
			b := []byte(p.Seal("* BAD\r\n"))
			b[7] ^= 1
			return string(b)
		},
		"altered number": func(p layerPeer) string {
			b := []byte(p.Seal("* BAD\r\n"))
			b[len(b)-1] ^= 1
			return string(b)
		},
		"reordered": func(p layerPeer) string {
			first, second := p.Seal("* BAD\r\n"), p.Seal("* BAD\r\n")
			return second + first
		},
		"with a gap": func(p layerPeer) string {
			p.Seal("* BAD\r\n")
			return p.Seal("* BAD\r\n")
		},
		"replayed":   nil, // the one before
		"plain text": func(layerPeer) string { return "* BAD\r\n" },
	}
	for says, attack := range attacks {
		for name, peer := range loginLayers(t) {
			t.Run(says+" "+name, func(t *testing.T) {
				conntest.SomeCuts(t, 17, func(t *testing.T, cut *conntest.Cut) {
					var log conntest.Log
					d := &conn.Dialer{Callbacks: []conn.Callback{{Proc: told(&log, "*")}}}
					c, s := conntest.NewCut(t, d, cut)
					p := peer()
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
func TestLoginLayerCutOff(t *testing.T) {
	for name, peer := range loginLayers(t) {
		for at, length := 0, 1; at <= length; at++ {
			heard := 0
			count := conn.Callback{Keyword: "EXISTS", Flags: conn.CallbackNumbered, Proc: func(*conn.Client, any, *conn.Reply) { heard++ }}
			c, s := conntest.New(t, &conn.Dialer{Callbacks: []conn.Callback{count}})
			p := peer()
			o := p.logIn(t, c, s)
			before, packet := p.Seal("* 1 EXISTS\r\n"), p.Seal("* 2 EXISTS\r\n")
			length = len(packet)
			want, replies := io.ErrUnexpectedEOF, 1
			if at == 0 || at == length {
				want, replies = io.EOF, 1+at/length
			}
			s.Send("a2 OK in\r\n" + before + packet[:at])
			s.HangUp()
			s.Drive()
			if o.calls != 1 || !errors.Is(o.err, want) || heard != replies {
				t.Errorf("%s: cut off %d bytes into a packet of %d\n got: %d replies, %v\nwant: %d, %v", name, at, length, heard, o.err, replies, want)
			}
		}
	}
}

// Nor is any byte of a packet another than the server has sent.
func TestLoginLayerAltered(t *testing.T) {
	for name, peer := range loginLayers(t) {
		for at, length := 0, 1; at < length; at++ {
			var log conntest.Log
			c, s := conntest.New(t, &conn.Dialer{Callbacks: []conn.Callback{{Keyword: "BAD", Proc: told(&log, "*")}}})
			p := peer()
			o := p.logIn(t, c, s)
			packet := []byte(p.Seal("* BAD\r\n"))
			length = len(packet)
			packet[at] ^= 0x20
			s.Send("a2 OK in\r\n" + string(packet))
			if at < 4 && o.calls == 0 { // it waits for more of a packet that is longer now
				s.Send(strings.Repeat("x", 1<<14))
			}
			if len(log.Take()) > 0 || o.calls != 1 || !errors.As(o.err, new(*sasl.LayerError)) || !errors.As(c.Err(), new(*sasl.LayerError)) {
				t.Errorf("%s: the connection ends for byte %d\n got: %d calls, %v", name, at, o.calls, o.err)
			}
		}
	}
}

// What a layer that was to hide it has not hidden is not taken, though nobody has changed it.
func TestLayerNotPrivate(t *testing.T) {
	k := conn.NewKerberosRig(t, "server.test")
	c, s := conntest.New(t, new(conn.Dialer))
	p := &gssapiPeer{GSSAPIPeer: k.Peer(krbtest.Privacy), mech: k.Mechanism()}
	o := p.logIn(t, c, s)
	p.Layer = krbtest.Integrity
	s.Send("a2 OK in\r\n" + p.Seal("* CAPABILITY IDLE\r\n"))
	if o.calls != 1 || !errors.As(c.Err(), new(*sasl.LayerError)) || !strings.Contains(c.Err().Error(), "not encrypted") {
		t.Errorf("the connection ends\n got: %d calls, %v", o.calls, c.Err())
	}
}
