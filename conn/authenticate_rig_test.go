package conn

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/reactor"
	"github.com/imclient/imclient/sasl"
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
