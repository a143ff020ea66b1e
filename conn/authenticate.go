package conn

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"unique"

	"github.com/imclient/imclient/sasl"
	"github.com/imclient/imclient/wire"
)

// Authenticate logs in (imclient_authenticate) and blocks until the server has
// answered. It is for bare connections: in a loop it is [ErrInLoop], in a callback
// [ErrReentrant]. Work that takes long, a provider's too, is done in it. See
// [Client.AuthenticateAsync].
func (c *Client) Authenticate(mechs []sasl.Mechanism, service, user string, prot sasl.Prot) error {
	return c.untilDone(func(done func(error)) error {
		return c.AuthenticateAsync(mechs, service, user, prot, done)
	})
}

// AuthenticateAsync is Authenticate without waiting: done is called once, from a
// later call that drives the connection, unless an error is returned at once. Legal in
// a callback.
//
// Of mechs, those are tried that the server offers, that prot allows, that are safe on
// this connection and have credentials, strongest first, one after the other while the
// server says NO; see [sasl.Choose] for the order and the rules. Trace tells each that
// is passed over, and why. service is the protocol's name, "imap"; user is whom to log
// in as, "" whomever the credentials belong to, and where they do not say, the user
// that the process runs as. Where user is not whom the credentials belong to it is sent
// as the authorization identity, and mechanisms that have none are passed over. prot is
// which security layers may come of it; above TLS there need be none, whatever it says.
//
// It waits until all pending commands have completed, and later ones wait for it.
// Where the server's capabilities are not known it asks for them, before and after.
// With a security layer everything goes through that from the byte behind the OK on.
// In a loop, work that takes long is done on other goroutines; the connection must
// stay in its loop meanwhile.
//
// The manual page's 0 is nil; its 1 is [sasl.ErrAuthFailed], with what the server
// said of each mechanism in a *[sasl.ChoiceError]; its 2 is [sasl.ErrPrematureOK], and
// the connection has ended. Others: [ErrTLSRequired], [ErrMisuse] while another login
// is on its way, and what else can end a connection; [SafeToRetry] says whether the
// server has heard anything of the login then.
func (c *Client) AuthenticateAsync(mechs []sasl.Mechanism, service, user string, prot sasl.Prot, done func(error)) error {
	switch err := c.refusal(); {
	case err != nil:
		return err
	case c.login != nil:
		return fmt.Errorf("%w: another login is on its way", ErrMisuse)
	case !c.mayConverse():
		return ErrTLSRequired
	}
	if done == nil {
		done = func(error) {}
	}
	a := &authentication{
		c: c, number: c.pending.next, done: done, early: true,
		mechs: mechs, params: c.loginParams(service, user, prot),
	}
	c.login = a
	at := c.out.end()
	c.out.marks = append(c.out.marks, mark{kind: talkMark, at: at, end: at, number: a.number})
	if c.pending.len() == 0 {
		c.waitBegins()
	}
	*c.pending.add() = command{finish: cutShort, rock: a, end: at, verb: authenticate}
	for range a.tags() {
		c.pending.add()
	}
	a.mayBegin()
	c.changed()
	return a.refused
}

// maxPacket is the largest packet of a security layer that is taken, in bytes.
const maxPacket = 64 << 10

// authentication is one AuthenticateAsync: as many AUTHENTICATE commands as it takes,
// and CAPABILITY where that is to be asked. Among the pending commands it has a place
// of its own, and behind that, empty, one for the tag of each command that it may come
// to; in the queue it is a talkMark, whose data is what it has to say.
type authentication struct {
	c      *Client
	number uint64 // of its place
	used   uint64 // tags
	done   func(error)

	mechs  []sasl.Mechanism
	params sasl.Params
	choice *sasl.Choice

	stage      stage
	name       string // the mechanism
	exchange   sasl.Exchange
	initial    []byte // the initial response, where it does not go with the command; nil: none, or sent
	sent       bool   // AUTHENTICATE was
	challenges int
	gaveUp     error // why "*" was sent; nil: it was not
	line       []byte
	secretAt   int      // where a secret begins in it; at its end: there is none
	told       [][]byte // secrets of lines before it: the server may repeat them while the login lasts
	shown      string   // what a trace shows before ***

	cancel  func() // of work that is under way; nil: none is
	verdict func() // what to do when the work has returned: the server has not waited
	judged  bool   // verdict is the server's answer
	early   bool   // AuthenticateAsync has not returned
	refused error  // what it will return: nothing could be tried
	over    bool   // c does not know it any more
}

type stage uint8

const (
	// unbegun: older commands are pending, or the greeting is.
	unbegun stage = iota
	// listing: CAPABILITY was sent, to learn what is offered.
	listing
	// conversing: AUTHENTICATE was sent, or will be when work has been done.
	conversing
	// relisting: we are in, and CAPABILITY was sent to learn what that means.
	relisting
)

const (
	maxChallenge  = 48 << 10 // bytes of base64
	maxChallenges = 16
	// maxInitial, in bytes of base64, is how long an initial response may be to go with
	// the command: servers take no command line longer than 8,192 bytes (RFC 7162 section
	// 4), but longer answers to a challenge. A Kerberos ticket can have 20 KiB.
	maxInitial = 8000
)

// tags is how many commands it may take: each mechanism has two forms, and one more
// try if it renews its secret; and two CAPABILITY.
func (a *authentication) tags() int { return 3*len(a.mechs) + 2 }

// mayBegin begins at once if nothing is pending. What is called then, Dialer.Trace or a
// provider, can close the connection, but must not drive it.
func (a *authentication) mayBegin() {
	c := a.c
	defer func() { a.early = false }()
	if c.busy {
		c.lift()
		return
	}
	c.busy = true
	defer c.unwind()
	c.lift()
	if c.state >= closing {
		c.finish()
	}
	c.busy = false
}

// begin is called when all older commands have completed.
func (a *authentication) begin() {
	if a.c.capable.text() == "" {
		a.stage = listing
		a.command("CAPABILITY", nil, "")
		return
	}
	a.choose()
}

func (a *authentication) choose() {
	c := a.c
	a.stage = conversing
	a.choice = sasl.Choose(a.mechs, c.situation(a.params))
	a.next()
}

// next tries the next mechanism.
func (a *authentication) next() {
	clear(a.initial)
	a.sent, a.initial, a.challenges, a.gaveUp = false, nil, 0, nil
	a.name, a.exchange = a.choice.Next()
	switch {
	case a.c.state >= closing: // Dialer.Trace or Warn did that
	case a.exchange == nil:
		a.finish(a.choice.Err())
	default:
		a.goOn(a.exchange.Start())
	}
}

// goOn does what the exchange wants next.
func (a *authentication) goOn(step sasl.Step, err error) {
	switch {
	case a.c.state >= closing:
		clear(step.Response)
	case err != nil && !a.sent: // the server knows nothing of it
		a.choice.Done(err)
		a.next()
	case err != nil:
		a.giveUp(err)
	case step.Work != nil:
		a.work(step.Work)
	case !a.sent:
		a.open(step.Response)
	default:
		a.respond(step.Response)
	}
}

// open sends AUTHENTICATE, with the initial response where the server takes it there
// (RFC 4959).
func (a *authentication) open(initial []byte) {
	a.sent = true
	a.c.capable.fresh = false // what was heard up to now is for strangers
	text := "AUTHENTICATE " + a.name
	switch {
	case initial == nil:
		a.command(text, nil, "")
	case !a.c.Has("SASL-IR") || base64.StdEncoding.EncodedLen(len(initial)) > maxInitial:
		a.initial = initial
		a.command(text, nil, "")
	case len(initial) == 0:
		a.command(text+" =", nil, "")
	default:
		a.command(text+" ", initial, text+" ")
	}
}

// respond answers a challenge.
func (a *authentication) respond(response []byte) {
	a.say(nil, response, "")
}

// giveUp cancels the exchange and waits for the server's answer to that.
func (a *authentication) giveUp(err error) {
	if errors.Is(err, sasl.ErrNoCredentials) {
		err = errors.New(err.Error()) // the server has heard of it: a failure like any other
	}
	a.gaveUp = err
	a.say([]byte("*"), nil, "")
}

// command sends a command of its own, with a secret at its end if there is one.
func (a *authentication) command(text string, secret []byte, shown string) {
	a.used++
	tag := a.c.prefix.bytes()
	line := strconv.AppendUint(append([]byte(nil), tag...), a.number+a.used, 10)
	prefix := string(line) + " "
	if shown != "" {
		shown = prefix + shown
	}
	a.say([]byte(prefix+text), secret, shown)
}

// say sends a line: text, and secret in base64. In a trace the secret is ***, and the
// whole line if there is no text.
func (a *authentication) say(text, secret []byte, shown string) {
	if told := a.secret(); len(told) > 0 {
		a.told = append(a.told, bytes.Clone(told))
	}
	clear(a.line)
	a.line = append(a.line[:0], text...)
	if a.secretAt = len(text); secret != nil {
		if need := len(text) + base64.StdEncoding.EncodedLen(len(secret)) + 2; cap(a.line) < need {
			a.line = append(make([]byte, 0, need), a.line...)
		}
		a.line = base64.StdEncoding.AppendEncode(a.line, secret)
		clear(secret)
	}
	a.line = append(a.line, '\r', '\n')
	m := a.c.out.talk()
	m.data, m.secret = a.line, secret != nil
	a.shown = shown
	a.c.waitBegins()
	a.c.changed()
}

// heard reports whether the server can have heard all that was said.
func (a *authentication) heard() bool { return len(a.c.out.talk().data) == 0 }

// challenged takes a "+".
func (a *authentication) challenged(text []byte, line []byte) {
	c := a.c
	switch {
	case a.stage != conversing || !a.sent || !a.heard() || a.gaveUp != nil || a.verdict != nil:
		c.fail(syntax(`a "+" that nothing waits for`, line))
		return
	case a.cancel != nil: // it has not waited for our answer to the last one
		a.cancel()
		a.verdict = func() { a.giveUp(syntax("a challenge too many", line)) }
		return
	case a.initial != nil:
		initial := a.initial
		a.initial = nil
		a.respond(initial)
		return
	}
	if a.challenges++; a.challenges > maxChallenges {
		a.giveUp(&wire.LimitError{What: "number of challenges", Limit: maxChallenges})
		return
	}
	challenge, err := decodeChallenge(text)
	if err != nil {
		a.giveUp(err)
		return
	}
	a.goOn(a.exchange.Next(challenge))
}

func decodeChallenge(text []byte) ([]byte, error) {
	if len(text) > maxChallenge {
		return nil, &wire.LimitError{What: "challenge", Limit: maxChallenge}
	}
	challenge := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(challenge, text)
	if err != nil || bytes.IndexByte(text, '\r') >= 0 { // which Decode would pass over
		return nil, &wire.SyntaxError{Reason: "a challenge that is no base64", Input: redacted}
	}
	return challenge[:n], nil
}

// tagged takes the tagged reply to the command that was sent last.
func (a *authentication) tagged(number uint64, status wire.Status, r *Reply, line []byte) {
	c := a.c
	if number != a.number+a.used || !a.asked() || !completes(status) {
		c.fail(syntax("a tagged reply that no part of a login can have", line))
		return
	}
	c.junk = 0
	c.stats.Commands++
	switch a.stage {
	case listing:
		a.choose()
	case relisting:
		a.finish(nil)
	default:
		a.judge(status, r)
	}
}

// asked reports whether the server can have heard a command that it has not answered.
func (a *authentication) asked() bool {
	return a.heard() && !a.judged && (a.stage != conversing || a.sent)
}

// completes tells the statuses of which one ends a command.
func completes(status wire.Status) bool {
	return status == wire.OK || status == wire.NO || status == wire.BAD
}

// judge takes the server's answer to AUTHENTICATE. While work is under way the exchange
// must not be touched: a refusal waits, and an OK before it is all said is premature
// whatever comes of it.
func (a *authentication) judge(status wire.Status, r *Reply) {
	if status == wire.OK && a.cancel == nil && a.earned() {
		a.loggedIn(string(r.Text)) // as it stands: capabilities are in it
		return
	}
	r.Text = a.hushed(r.Text)
	if status == wire.OK {
		a.premature(string(r.Text))
		return
	}
	answer := r.AsError()
	if a.cancel == nil {
		a.refusedWith(status, answer)
		return
	}
	a.judged = true
	a.cancel()
	a.verdict = func() {
		a.judged = false
		a.refusedWith(status, answer)
	}
}

// premature is an OK that the server has not earned.
func (a *authentication) premature(text string) {
	a.c.fail(fmt.Errorf("%w: %s, %s", sasl.ErrPrematureOK, a.name, strconv.QuoteToASCII(text[:min(len(text), 200)])))
}

// earned reports whether an OK may come now.
func (a *authentication) earned() bool {
	return a.gaveUp == nil && a.initial == nil && a.exchange.Satisfied()
}

// refusedWith is a mechanism's end by NO or BAD.
func (a *authentication) refusedWith(status wire.Status, answer error) {
	if a.gaveUp != nil {
		a.choice.Done(a.gaveUp)
		a.next()
		return
	}
	a.choice.Done(fmt.Errorf("%w: %w", sasl.ErrAuthFailed, answer))
	if status == wire.BAD {
		a.finish(a.choice.Err())
		return
	}
	a.next()
}

// loggedIn puts the layer in, if there is one, and forgets what the server said to a
// stranger.
func (a *authentication) loggedIn(text string) {
	c := a.c
	var layer sasl.Layer
	method := SASL{Mechanism: a.name, Prot: sasl.ProtNone}
	if x, ok := a.exchange.(sasl.Layered); ok {
		if layer = x.Layer(); layer != nil {
			method.Prot, method.SSF = x.Prot(), x.SSF()
		}
	}
	c.known = unique.Make(known{c.ServerName(), method})
	a.choice.Done(nil)
	a.wipe()
	if layer != nil {
		c.transport.push(layer)
		c.raised = true
		c.capable = capabilities{} // what was said outside the layer may be anybody's
	} else {
		c.hearCode([]byte(text), true)
		c.loggedIn(true)
	}
	c.trace.note("logged in by %s", a.name)
	if c.capable.text() != "" {
		a.finish(nil)
		return
	}
	a.stage = relisting
	a.command("CAPABILITY", nil, "")
}

// finish gives the place back, and tells.
func (a *authentication) finish(err error) {
	c := a.c
	a.release()
	c.capable.fresh = false
	c.pending.take(a.number)
	c.out.completed(a.number)
	c.lift()
	if a.early {
		a.refused = err
		return
	}
	a.done(err)
}

// release is the end of what c knows of it.
func (a *authentication) release() {
	a.over = true
	a.c.login = nil
	a.wipe()
	clear(a.initial)
}

// cutShort is the end of the connection.
func cutShort(c *Client, rock any, r *Reply) {
	a := rock.(*authentication)
	a.release()
	if a.cancel != nil {
		a.cancel() // and when the work has returned, the exchange is told
	} else {
		a.abandon(c.err)
	}
	err := &endError{c.err, a.used == 0}
	if a.early {
		a.refused = err
		return
	}
	a.done(err)
}

// abandon tells the exchange that is under way, if any, that it leads nowhere. Nobody is
// there any more to read a trace.
func (a *authentication) abandon(err error) {
	x, ok := a.exchange.(sasl.Outcome)
	if a.exchange = nil; ok {
		x.Done(err)
	}
}
