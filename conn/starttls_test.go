package conn_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/reactor"
)

// ways are those in which a client can be driven.
var ways = []string{"bare", "in a loop", "with Workers"}

// tlsTalk is a client that wants TLS, and the scripted server that it talks to.
type tlsTalk struct {
	*conntest.Server
	t    *testing.T
	c    *conn.Client
	log  conntest.Log
	sent int
}

// newTLSTalk makes one. Of the Dialer, what it says of callbacks is set here: untagged
// replies are logged under "*".
func newTLSTalk(t *testing.T, d conn.Dialer, way string, cut *conntest.Cut) *tlsTalk {
	t.Helper()
	x := &tlsTalk{t: t}
	d.Callbacks = []conn.Callback{{Proc: told(&x.log, "*")}}
	d.OnClose = closing(&x.log)
	if d.TLS == nil {
		d.TLS = conntest.Policy()
	}
	if way == "with Workers" {
		d.Workers = conn.NewWorkers(2)
	}
	x.c, x.Server = conntest.NewCut(t, &d, cut)
	if way != "bare" {
		loop, err := reactor.New()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = loop.Close() })
		x.Join(loop)
	}
	return x
}

// startTLS sends STARTTLS, whose end is logged under "TLS".
func (x *tlsTalk) startTLS() {
	x.t.Helper()
	x.sent++
	if err := x.c.StartTLSAsync("", "", "", "", x.over); err != nil {
		x.t.Fatalf("StartTLSAsync: %v", err)
	}
}

func (x *tlsTalk) over(err error) {
	if err == nil {
		x.log.Add("TLS")
	} else {
		x.log.Add("TLS: " + kind(err))
	}
}

// send sends a command, whose completion is logged under its tag.
func (x *tlsTalk) send(format string, args ...any) {
	x.t.Helper()
	x.sent++
	if err := x.c.Send(told(&x.log, fmt.Sprint("a", x.sent)), nil, format, args...); err != nil {
		x.t.Fatalf("Send(%q): %v", format, err)
	}
}

// login is what must never be sent in the clear.
func (x *tlsTalk) login() {
	x.t.Helper()
	x.send("LOGIN alice %p", "secret word")
}

// says compares what callbacks were told.
func (x *tlsTalk) says(says string, want ...string) {
	x.t.Helper()
	same(x.t, says, x.log.Take(), want)
}

// sentHello fails unless all that the client has sent and nobody expected is the
// beginning of a handshake, or nothing.
func (x *tlsTalk) sentHello() {
	x.t.Helper()
	text := x.Received()
	if text != "" && !strings.HasPrefix(text, "\x16\x03\x01") || strings.Contains(text, "LOGIN") || strings.Contains(text, "secret") {
		x.t.Errorf("nothing but a handshake is sent\n got: %q", text)
	}
}

// inSomeCuts is conntest.SomeCuts for a client that is driven bare. In a loop more is read
// at a time, and cutting shows less: the script is played whole there.
func inSomeCuts(t *testing.T, way string, n int, f func(t *testing.T, cut *conntest.Cut)) {
	if way == "bare" {
		conntest.SomeCuts(t, n, f)
	} else {
		f(t, nil)
	}
}

// inEveryWay runs a test for each way to drive a client.
func inEveryWay(t *testing.T, f func(t *testing.T, way string)) {
	for _, way := range ways {
		t.Run(way, func(t *testing.T) { f(t, way) })
	}
}
