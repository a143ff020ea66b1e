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
	r.say("* OK [CAPABILITY AUTH=DIGEST-MD5]\r\n")
	tim := sasl.Static(sasl.Credentials{Username: "tim", Password: []byte("tanstaaftanstaaf")})
	mechs := []sasl.Mechanism{sasl.DIGESTMD5(tim, sasl.DigestOptions{})}
	if err := r.c.AuthenticateAsync(mechs, "imap", "", sasl.ProtAny, nil); err != nil {
		r.t.Fatal(err)
	}
	r.drive()
	r.heard()
	r.say("+ " + encoded(p.Challenge()) + "\r\n")
	response, err := base64.StdEncoding.DecodeString(strings.TrimSpace(r.heard()))
	if err != nil {
		r.t.Fatal(err)
	}
	r.say("+ " + encoded(p.Answer(r.t, string(response))) + "\r\n")
	r.heard()
	r.say("a2 OK in\r\n" + p.Seal("* CAPABILITY IDLE\r\n"))
	tag, _, _ := strings.Cut(p.Open(r.t, r.heard()), " ")
	if r.say(p.Seal(tag + " OK\r\n")); r.c.Err() != nil || r.c.login != nil {
		r.t.Fatalf("the login succeeds: %v", r.c.Err())
	}
}

// A secret may go through a layer that hides it, and not through one that does not.
func TestCleartextThroughLayer(t *testing.T) {
	for qop, want := range map[string]error{"auth-int": ErrCleartext, "auth-conf": nil} {
		r := newRig(t, &Dialer{}, func(r *rig) { r.from = &unix.SockaddrInet4{Port: 143, Addr: [4]byte{192, 0, 2, 1}} })
		p := &DigestPeer{QOP: qop}
		p.through(r)
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
	for _, qop := range []string{"auth-int", "auth-conf"} {
		rigs := make([]*rig, connections)
		peers := make([]*DigestPeer, connections)
		for i := range rigs {
			rigs[i], peers[i] = newRig(t, &Dialer{}, nil), &DigestPeer{QOP: qop}
			peers[i].through(rigs[i])
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
func TestDigestLayerHidesNothing(t *testing.T) {
	seen := 0
	r := newRig(t, &Dialer{Callbacks: []Callback{{Keyword: "SEEN", Proc: func(*Client, any, *Reply) { seen++ }}}}, nil)
	p := &DigestPeer{QOP: "auth-conf"}
	p.through(r)
	packets := ""
	for range 300 {
		packets += p.Seal("* SEEN\r\n")
	}
	r.put(packets)
	if did, err := r.c.TryProcessOneEvent(); !did || err != nil || seen != 300 {
		t.Errorf("one event dispatches all of one read: %d, %v, %v", seen, did, err)
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
