package conn

import (
	"encoding/base64"
	"errors"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/reactor"
	"github.com/imclient/imclient/sasl"
	"github.com/imclient/imclient/sasl/krbtest"
	"github.com/imclient/imclient/wire"
)

var someone = sasl.Static(sasl.Credentials{Username: "tim", Password: []byte("hunter2"), Token: []byte("hunter2")})

// In the clear, to a peer elsewhere, nothing is said that tells a secret.
func TestLoginInTheClear(t *testing.T) {
	elsewhere := func(r *rig) { r.from = &unix.SockaddrInet4{Port: 143, Addr: [4]byte{192, 0, 2, 1}} }
	offers := "* OK [CAPABILITY SASL-IR AUTH=PLAIN AUTH=LOGIN AUTH=OAUTHBEARER AUTH=XOAUTH2 AUTH=EXTERNAL"
	never := func(error) { t.Error("done is not called after an error") }
	r := newRig(t, &Dialer{}, elsewhere)
	r.say(offers + "]\r\n")
	err := r.c.AuthenticateAsync(sasl.All(someone), "imap", "", sasl.ProtAny, never)
	if !errors.Is(err, sasl.ErrCleartext) || !errors.Is(err, sasl.ErrAuthFailed) {
		t.Errorf("it is refused: %v", err)
	}
	r.drive()
	if sent := r.heard(); sent != "" {
		t.Errorf("nothing is sent: %q", sent)
	}
	mustSend(t, r.c, nil, "NOOP")
	r.drive()
	if sent := r.heard(); !strings.HasSuffix(sent, " NOOP\r\n") || r.c.login != nil || r.c.pending.len() != 1 {
		t.Errorf("the conversation goes on: %q", sent)
	}
	begins := func(error) {}
	r = newRig(t, &Dialer{AllowCleartextAuth: true}, elsewhere)
	r.say(offers + "]\r\n")
	if err := r.c.AuthenticateAsync(sasl.All(someone), "imap", "", sasl.ProtAny, begins); err != nil {
		t.Errorf("the caller can allow it: %v", err)
	}
	r = newRig(t, &Dialer{}, elsewhere)
	r.say(offers + " AUTH=CRAM-MD5]\r\n")
	if err := r.c.AuthenticateAsync(sasl.All(someone), "imap", "", sasl.ProtAny, begins); err != nil {
		t.Errorf("what tells no secret is allowed: %v", err)
	}
}

// sealed is a layer that changes nothing, and says what became of it.
type sealed struct {
	packets
	aborted int
}

func (l *sealed) Abort() { l.aborted++ }

// sealing is a mechanism that puts a layer on.
type sealing struct{ layer *sealed }

func (m sealing) Name() string                   { return "X" }
func (m sealing) New(sasl.Params) sasl.Exchange  { return m }
func (m sealing) Traits() sasl.Traits            { return sasl.Traits{Prot: sasl.ProtAny} }
func (m sealing) Start() (sasl.Step, error)      { return sasl.Step{}, nil }
func (m sealing) Next([]byte) (sasl.Step, error) { return sasl.Step{}, nil }
func (m sealing) Satisfied() bool                { return true }
func (m sealing) Layer() sasl.Layer              { return m.layer }
func (m sealing) Prot() sasl.Prot                { return sasl.ProtPrivacy }
func (m sealing) SSF() int                       { return 128 }

// In a loop the OK may come when the turn's budget is used up. What stands behind it is
// the layer's all the same, and is dispatched with nothing more to read.
func TestLayerBehindBudget(t *testing.T) {
	for _, before := range []int{0, replyBudget - 2, replyBudget - 1, replyBudget, replyBudget + 1, 2 * replyBudget} {
		l, err := reactor.New()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		heard := 0
		count := Callback{Keyword: "SEEN", Proc: func(*Client, any, *Reply) { heard++ }}
		r := newRig(t, &Dialer{Callbacks: []Callback{count}}, nil)
		if err := l.Add(r.c); err != nil {
			t.Fatal(err)
		}
		turn := func() {
			for did := true; did; {
				if did, err = l.TryProcessOneEvent(); err != nil {
					t.Fatal(err)
				}
			}
		}
		client, server := &sealed{packets: packets{mask: 3, max: 40}}, &packets{mask: 3, max: 40}
		r.put("* OK [CAPABILITY AUTH=X]\r\n")
		turn()
		done := func(err error) { t.Errorf("the login is not over: %v", err) }
		if err := r.c.AuthenticateAsync([]sasl.Mechanism{sealing{client}}, "imap", "", sasl.ProtAny, done); err != nil {
			t.Fatal(err)
		}
		turn()
		r.heard()
		behind := encode(t, []*packets{server}, strings.Repeat("* SEEN\r\n", 3))
		r.put(strings.Repeat("* SEEN\r\n", before) + "a2 OK in\r\n" + behind)
		turn()
		if r.c.Err() != nil || heard != before+3 {
			t.Errorf("all is dispatched: %d of %d, %v", heard, before+3, r.c.Err())
		}
		if sent := decode(t, []*packets{server}, r.heard()); sent != "a3 CAPABILITY\r\n" {
			t.Errorf("what is said from then on goes through the layer: %q", sent)
		}
		r.c.login.done = func(error) {}
		_ = r.c.Close()
		if client.aborted != 1 {
			t.Errorf("the end is told to the layer once: %d", client.aborted)
		}
	}
}

// through logs in by DIGEST-MD5, whose layer is on then.
func (p *DigestPeer) through(r *rig) {
	r.t.Helper()
	tim := sasl.Static(sasl.Credentials{Username: "tim", Password: []byte("tanstaaftanstaaf")})
	r.beginLogin(sasl.DIGESTMD5(tim, sasl.DigestOptions{}))
	r.say("+ " + encoded(p.Challenge()) + "\r\n")
	r.say("+ " + encoded(p.Answer(r.t, r.response())) + "\r\n")
	r.heard()
	r.endLogin(p)
}

// through logs in by GSSAPI, whose layer is on then.
func (p *GSSAPIPeer) through(r *rig, m sasl.Mechanism) {
	r.t.Helper()
	r.beginLogin(m)
	r.say("+ \r\n") // the server takes no initial response
	for p.Layer == 0 {
		if challenge := p.Answer(r.t, r.response()); p.Layer == 0 {
			r.say("+ " + encoded(challenge) + "\r\n")
		}
	}
	r.endLogin(p)
}

// beginLogin has AUTHENTICATE said.
func (r *rig) beginLogin(m sasl.Mechanism) {
	r.t.Helper()
	r.say("* OK [CAPABILITY AUTH=" + m.Name() + "]\r\n")
	if err := r.c.AuthenticateAsync([]sasl.Mechanism{m}, "imap", "", sasl.ProtAny, nil); err != nil {
		r.t.Fatal(err)
	}
	r.drive()
	r.heard()
}

// response is what the client has said to a challenge.
func (r *rig) response() string {
	r.t.Helper()
	response, err := base64.StdEncoding.DecodeString(strings.TrimSpace(r.heard()))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(response)
}

// endLogin says OK, and what the client asks behind it.
func (r *rig) endLogin(p loginLayer) {
	r.t.Helper()
	r.say("a2 OK in\r\n" + p.Seal("* CAPABILITY IDLE\r\n"))
	tag, _, _ := strings.Cut(p.Open(r.t, r.heard()), " ")
	if r.say(p.Seal(tag + " OK\r\n")); r.c.Err() != nil || r.c.login != nil {
		r.t.Fatalf("the login succeeds: %v", r.c.Err())
	}
}

// throughLayers are the ways to log in by which a layer is on then.
func throughLayers(t *testing.T) map[string]func(r *rig) loginLayer {
	k := NewKerberosRig(t, "server.test")
	digest := func(qop string) func(r *rig) loginLayer {
		return func(r *rig) loginLayer {
			p := &DigestPeer{QOP: qop}
			p.through(r)
			return p
		}
	}
	gssapi := func(layer byte) func(r *rig) loginLayer {
		return func(r *rig) loginLayer {
			p := k.Peer(layer)
			p.through(r, k.Mechanism())
			return p
		}
	}
	return map[string]func(r *rig) loginLayer{
		"auth-int": digest("auth-int"), "auth-conf": digest("auth-conf"),
		"GSSAPI integrity": gssapi(krbtest.Integrity), "GSSAPI privacy": gssapi(krbtest.Privacy),
	}
}

// A secret may go through a layer that hides it, and not through one that does not.
func TestCleartextThroughLayer(t *testing.T) {
	hidden := map[string]error{"auth-int": ErrCleartext, "auth-conf": nil, "GSSAPI integrity": ErrCleartext, "GSSAPI privacy": nil}
	for qop, through := range throughLayers(t) {
		want := hidden[qop]
		r := newRig(t, &Dialer{}, func(r *rig) { r.from = &unix.SockaddrInet4{Port: 143, Addr: [4]byte{192, 0, 2, 1}} })
		p := through(r)
		if err := r.c.Send(nil, nil, "X %p", "hunter2"); !errors.Is(err, want) {
			t.Errorf("through %s a secret has this answer: %v, want %v", qop, err, want)
		}
		r.drive()
		sent := r.heard()
		if text := p.Open(t, sent); strings.Contains(text, "hunter2") != (want == nil) || strings.Contains(sent, "hunter2") {
			t.Errorf("through %s it is sent: %t: %q", qop, want == nil, text)
		}
	}
}

// A connection with a layer holds no more memory when it is idle again than it held
// before much went through it, both ways and in pieces.
func TestIdleLayerHoldsNoBuffer(t *testing.T) {
	const connections, size = 20, 60_000
	for qop, through := range throughLayers(t) {
		rigs := make([]*rig, connections)
		peers := make([]loginLayer, connections)
		for i := range rigs {
			rigs[i] = newRig(t, &Dialer{}, nil)
			peers[i] = through(rigs[i])
		}
		converse := func(size int) {
			for i, r := range rigs {
				mustSend(t, r.c, nil, "X %a", strings.Repeat("x", size))
				r.drive()
				for sent := ""; ; {
					more := r.heard()
					if sent += more; more == "" && r.drive() == nil {
						peers[i].Open(t, sent)
						break
					}
					r.drive()
				}
				packet := peers[i].Seal("* X " + strings.Repeat("x", size) + "\r\n" + "* Y\r\n")
				for _, cut := range []int{1, 3, 5, size / 2} {
					r.say(packet[:cut])
					packet = packet[cut:]
				}
				if r.say(packet); r.c.Err() != nil {
					t.Fatal(r.c.Err())
				}
			}
		}
		converse(100)
		before := heapInUse()
		converse(size)
		if grown := int(heapInUse()-before) / connections; grown > size/10 {
			t.Errorf("%s: a connection that is idle holds %d bytes more than it did", qop, grown)
		}
		for _, r := range rigs {
			if r.c.in != nil || r.c.out.buf != nil || len(r.c.transport.top().Pending()) > 0 {
				t.Errorf("%s: an idle connection has no buffer", qop)
			}
		}
	}
}

// heapInUse is what is reachable, with nothing in pools.
func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// What a layer has decoded is seen by no poll: one read brings many packets, and all are
// dispatched before the call returns (libpq, eggdrop 1501, pgbouncer 1530).
func TestLoginLayerHidesNothing(t *testing.T) {
	for name, through := range throughLayers(t) {
		seen := 0
		r := newRig(t, &Dialer{Callbacks: []Callback{{Keyword: "SEEN", Proc: func(*Client, any, *Reply) { seen++ }}}}, nil)
		p := through(r)
		packets := ""
		for range 300 {
			packets += p.Seal("* SEEN\r\n")
		}
		r.put(packets + p.Seal("* SEEN\r\n")[:20])
		if did, err := r.c.TryProcessOneEvent(); !did || err != nil || seen != 300 {
			t.Errorf("%s: one event dispatches all of one read: %d, %v, %v", name, seen, did, err)
		}
		if did, err := r.c.TryProcessOneEvent(); did || err != nil {
			t.Errorf("%s: and then there is nothing to do: %v, %v", name, did, err)
		}
	}
}

// Who sleeps until the socket is ready for what GetSelectInfo says misses nothing and
// does not spin, however little of the packets the socket takes.
func TestLoginLayerWantsToWrite(t *testing.T) {
	for name, through := range throughLayers(t) {
		for _, maxWrite := range []int{1, 7, 100, 0} {
			r := newRig(t, &Dialer{}, nil)
			p := through(r)
			r.maxWrite = maxWrite
			mustSend(t, r.c, nil, "X %a", strings.Repeat("x", 3000))
			mustSend(t, r.c, nil, "APPEND x %l", []byte("literal"))
			if got := p.Open(t, r.lawfully()); !strings.HasSuffix(got, " APPEND x {7}\r\n") {
				t.Fatalf("%s: all goes out up to the literal: %q", name, got)
			}
			if _, want := r.c.GetSelectInfo(); want {
				t.Errorf("%s: a literal that waits is no output", name)
			}
			r.put(p.Seal("+\r\n"))
			if got := p.Open(t, r.lawfully()); got != "literal\r\n" {
				t.Errorf("%s: it goes out after its +: %q", name, got)
			}
		}
	}
}

// lawfully drives a bare client until it has nothing to do, holds each step against what
// GetSelectInfo has said, and returns what was sent.
func (r *rig) lawfully() (sent string) {
	r.t.Helper()
	for {
		_, want := r.c.GetSelectInfo()
		input, err := r.system.poll(int(r.c.transport.fd), unix.POLLIN, 0)
		if err != nil {
			r.t.Fatal(err)
		}
		before := r.writes
		did, err := r.c.TryProcessOneEvent()
		wrote := r.writes > before
		sent += r.heard()
		switch {
		case err != nil:
			r.t.Fatal(err)
		case did != (want || input):
			r.t.Fatalf("there is something to do if the socket is ready for what is wanted: %t, output %t, input %t", did, want, input)
		case want && !wrote:
			r.t.Fatal("who wants to write does write")
		case !want && !input && wrote:
			r.t.Fatal("who does not want to write has nothing to write")
		case !did:
			return sent
		}
	}
}

// What answers AUTHENTICATE before that has been written, all of it, is a lie.
func TestLoginAnsweredBeforeWritten(t *testing.T) {
	for _, answer := range []string{"+ \r\n", "a2 NO\r\n", "a2 OK\r\n"} {
		r := newRig(t, &Dialer{}, nil)
		r.say("* OK [CAPABILITY AUTH=LOGIN]\r\n")
		r.full, r.room = unix.EAGAIN, 5
		var ended error
		if err := r.c.AuthenticateAsync([]sasl.Mechanism{sasl.Login(someone)}, "imap", "", sasl.ProtAny, func(err error) { ended = err }); err != nil {
			t.Fatal(err)
		}
		r.say(answer)
		var bad *wire.SyntaxError
		if !errors.As(ended, &bad) || r.c.Err() == nil {
			t.Errorf("%q ends the connection: %v", answer, ended)
		}
	}
}
