package conn

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os/user"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/sasl"
)

// work has something done that takes long: in a loop on another goroutine, else here.
func (a *authentication) work(f func(context.Context) (sasl.Step, error)) {
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	l := a.c.loop
	if l == nil {
		a.worked(a.workHere(ctx, f))
		return
	}
	go func() {
		var w worked
		w.do(ctx, f)
		cancel()
		if !l.Post(func() { a.back(&w) }) {
			w.discard(a) // nobody else will
		}
	}()
}

// workHere runs f. If that panics, the exchange is at its end like any other.
func (a *authentication) workHere(ctx context.Context, f func(context.Context) (sasl.Step, error)) (sasl.Step, error) {
	defer func() {
		a.cancel()
		a.cancel = nil
	}()
	return f(ctx)
}

// worked is what came of work on another goroutine.
type worked struct {
	step     sasl.Step
	err      error
	panicked any // a provider did
}

func (w *worked) do(ctx context.Context, f func(context.Context) (sasl.Step, error)) {
	defer func() { w.panicked = recover() }()
	w.step, w.err = f(ctx)
}

// discard is for what comes when the login is over.
func (w *worked) discard(a *authentication) {
	clear(w.step.Response)
	a.abandon(context.Canceled)
}

// back is an event without readiness: work has returned.
func (a *authentication) back(w *worked) {
	if a.over {
		w.discard(a)
		return
	}
	a.cancel = nil
	_, _ = a.c.drive(func(c *Client) bool {
		if w.panicked != nil {
			panic(w.panicked)
		}
		a.worked(w.step, w.err)
		s := scratchPool.Get().(*scratch)
		defer scratchPool.Put(s)
		if c.state < closing {
			c.output(s)
		}
		return true
	})
	a.c.changed()
}

// worked goes on with what came of work. The server had no part in how long it took.
func (a *authentication) worked(step sasl.Step, err error) {
	a.c.since = a.c.now()
	if verdict := a.verdict; verdict != nil {
		a.verdict = nil
		clear(step.Response)
		verdict()
		return
	}
	a.goOn(step, err)
}

// left is that the connection leaves its loop. What works for it elsewhere would not
// find it any more.
func (a *authentication) left() {
	if a.cancel != nil && a.c.state < closing {
		a.c.end(fmt.Errorf("%w: it left its loop while work for its login was under way", ErrMisuse))
	}
}

// secret is what the last line tells, in base64; empty: no secret.
func (a *authentication) secret() []byte {
	return bytes.TrimRight(a.line[a.secretAt:], "\r\n")
}

// wipe overwrites what was said.
func (a *authentication) wipe() {
	clear(a.line)
	a.line, a.secretAt = a.line[:0], 0
	for _, told := range a.told {
		clear(told)
	}
	a.told = nil
}

// hushed returns what the server said without what it repeats of a secret, as that was
// sent or as it was meant. It need not be the last: a "*" may have come behind it, or
// the answer to a server that has explained itself.
func (a *authentication) hushed(text []byte) []byte {
	text = hush(text, a.secret())
	for _, told := range a.told {
		text = hush(text, told)
	}
	return text
}

func hush(text, encoded []byte) []byte {
	secret := make([]byte, base64.StdEncoding.DecodedLen(len(encoded)))
	defer clear(secret)
	n, _ := base64.StdEncoding.Decode(secret, encoded)
	meant := secret[:n]
	if _, token, ok := bytes.Cut(meant, []byte("\x01auth=Bearer ")); ok {
		meant, _, _ = bytes.Cut(token, []byte{1})
	} else {
		meant = meant[bytes.LastIndexByte(meant, 0)+1:] // the password of PLAIN
	}
	for _, s := range [...][]byte{encoded, meant} {
		if len(s) > 0 {
			text = bytes.ReplaceAll(text, s, []byte(redacted))
		}
	}
	return text
}

// loginParams is what every exchange of one login needs to know.
func (c *Client) loginParams(service, user string, prot sasl.Prot) sasl.Params {
	port, _ := strconv.Atoi(c.peerPort())
	return sasl.Params{
		Service: service, Host: c.ServerName(), Port: port,
		User: user, CurrentUser: currentUser,
		Prot: prot, MaxReceive: maxPacket,
	}
}

// currentUser is the name of the user that the process runs as; "": it has none.
var currentUser = sync.OnceValue(func() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username
})

// situation is what mechanisms are weighed against on this connection.
func (c *Client) situation(params sasl.Params) sasl.Situation {
	s := sasl.Situation{
		Params:     params,
		Offered:    mechanisms(c.capable.text()),
		Safe:       c.maySendSecrets(),
		Identified: c.identified(),
		Floor:      c.d.AuthFloor,
		Warn:       c.warn,
		Trace:      func(text string) { c.trace.note("%s", text) },
	}
	if t := c.transport.tls(); t != nil {
		state := t.engine.State()
		s.TLS = true
		s.Verified = len(state.VerifiedChains) > 0
		s.Params.Binding = state.ChannelBinding
		if t.before != "" {
			s.Before = mechanisms(t.before)
		}
	}
	return s
}

// identified reports whether the server may know by what lies below who we are.
func (c *Client) identified() bool {
	if t := c.transport.tls(); t != nil && t.identified() {
		return true
	}
	peer, err := c.transport.k.peer(int(c.transport.fd))
	_, unixSocket := peer.(*unix.SockaddrUnix)
	return err == nil && unixSocket
}

// mechanisms are those in a list of capabilities.
func mechanisms(list string) []string {
	var names []string
	for word := range strings.SplitSeq(list, " ") {
		if len(word) > 5 && equalFold(word[:5], "AUTH=") {
			names = append(names, word[5:])
		}
	}
	return names
}
