package conn

import (
	"bytes"
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"sync"
	"testing"

	"github.com/imclient/imclient/sasl"
	"github.com/imclient/imclient/sasl/krbtest"
)

// tortureLogin is how a session logs in: a mechanism, and the layer that comes of it.
type tortureLogin string

const (
	loginPlain     tortureLogin = "PLAIN"
	loginSCRAM     tortureLogin = "SCRAM-SHA-256"
	loginIntegrity tortureLogin = "auth-int"
	loginPrivacy   tortureLogin = "auth-conf"

	loginGSSAPI          tortureLogin = "GSSAPI"
	loginGSSAPIIntegrity tortureLogin = "GSSAPI integrity"
	loginGSSAPIPrivacy   tortureLogin = "GSSAPI privacy"
)

// loginSecret is the password of the user tim, see DigestPeer.
const loginSecret = "tanstaaftanstaaf"

// plainLine is what PLAIN says.
func plainLine() string { return encoded("\x00tim\x00" + loginSecret) }

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func (l tortureLogin) digest() bool { return l == loginIntegrity || l == loginPrivacy }

// gssapi is the layer that the server offers; 0: it is another mechanism.
func (l tortureLogin) gssapi() byte {
	return map[tortureLogin]byte{
		loginGSSAPI: krbtest.None, loginGSSAPIIntegrity: krbtest.Integrity, loginGSSAPIPrivacy: krbtest.Privacy,
	}[l]
}

func (l tortureLogin) layered() bool { return l.digest() || l.gssapi() > krbtest.None }

// private layers hide what goes through them.
func (l tortureLogin) private() bool { return l == loginPrivacy || l == loginGSSAPIPrivacy }

func (l tortureLogin) name() string {
	switch {
	case l.digest():
		return "DIGEST-MD5"
	case l.gssapi() != 0:
		return "GSSAPI"
	}
	return string(l)
}

// loginLayer is the server's end of a security layer.
type loginLayer interface {
	Seal(text string) string
	Open(t testing.TB, packets string) string
}

func (l tortureLogin) offer() string { return "CAPABILITY IMAP4rev1 SASL-IR AUTH=" + l.name() }

// loginKeys has the keys of SCRAM, as in a process of many connections.
var loginKeys sasl.Keys

// mechanism is the client's side. The provider of PLAIN answers from elsewhere.
func (w tortureWay) mechanism() sasl.Mechanism {
	c := sasl.Credentials{Username: "tim", Password: []byte(loginSecret)}
	switch {
	case w.kerberos != nil:
		return w.kerberos.Mechanism()
	case w.login == loginPlain:
		return sasl.Plain(sasl.ProviderFunc(func(context.Context, sasl.Ask) (sasl.Credentials, error) {
			own := c
			own.Password = bytes.Clone(c.Password)
			return own, nil
		}))
	case w.login == loginSCRAM:
		return sasl.SCRAM(crypto.SHA256, sasl.Static(c), sasl.SCRAMOptions{Keys: &loginKeys})
	}
	return sasl.DIGESTMD5(sasl.Static(c), sasl.DigestOptions{})
}

// repeatable is a mechanism that says the same in each session.
type repeatable struct {
	sasl.Mechanism
	s *session
}

func (m repeatable) Traits() sasl.Traits { return m.Mechanism.(sasl.Described).Traits() }

func (m repeatable) New(p sasl.Params) sasl.Exchange {
	p.Rand = bytes.NewReader(make([]byte, 1024))
	return repeated{m.Mechanism.New(p), m.s}
}

type repeated struct {
	sasl.Exchange
	s *session
}

func (x repeated) Start() (sasl.Step, error)        { return x.noted(x.Exchange.Start()) }
func (x repeated) Next(b []byte) (sasl.Step, error) { return x.noted(x.Exchange.Next(b)) }

// noted keeps in mind where responses lie.
func (x repeated) noted(step sasl.Step, err error) (sasl.Step, error) {
	if work := step.Work; work != nil {
		step.Work = func(ctx context.Context) (sasl.Step, error) { return x.noted(work(ctx)) }
	}
	if step.Response != nil {
		x.s.noting.Lock()
		defer x.s.noting.Unlock()
		x.s.responses = append(x.s.responses, step.Response)
	}
	return step, err
}

func (x repeated) Done(err error) {
	if o, ok := x.Exchange.(sasl.Outcome); ok {
		o.Done(err)
	}
}

func (x repeated) Layer() sasl.Layer {
	if l, ok := x.Exchange.(sasl.Layered); ok {
		return l.Layer()
	}
	return nil
}

func (x repeated) Prot() sasl.Prot { return x.Exchange.(sasl.Layered).Prot() }
func (x repeated) SSF() int        { return x.Exchange.(sasl.Layered).SSF() }

func (s *session) authenticate() {
	s.sending = true
	mechs := []sasl.Mechanism{repeatable{s.how.mechanism(), s}}
	err := s.client.AuthenticateAsync(mechs, "imap", "", sasl.ProtAny, func(err error) {
		s.called()
		s.loggedIn++
		s.loginErr = err
		if (err == nil) != (s.client.Err() == nil) {
			s.t.Errorf("I1: a login fails when the connection does: %v, %v", err, s.client.Err())
		}
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.sending = false
}

// judgeLogin is I1, I7 and I9 for a login, and that what has a layer goes through it.
func (s *session) judgeLogin() {
	s.t.Helper()
	if due := map[bool]int{true: 1}[s.how.login != ""]; s.loggedIn != due {
		s.t.Errorf("I1: a login ends once: %d", s.loggedIn)
	}
	if s.loginErr != nil && SafeToRetry(s.loginErr) && (bytes.Contains(s.sent, []byte("AUTHENTICATE")) || bytes.Contains(s.sent, []byte("CAPABILITY"))) {
		s.t.Errorf("I9: a login of which something came is not safe to retry: %q", s.sent)
	}
	if above := s.client.transport.above; above != nil {
		for _, l := range above.layers {
			if len(l.Pending()) > 0 {
				s.t.Error("I7: after the end no layer holds output")
			}
		}
	}
	if s.how.login.layered() && bytes.Contains(s.k.wrote, []byte("NOOP")) == s.how.login.private() && !s.how.secure() && len(s.log) > 0 && s.log[0] == "1 OK" {
		s.t.Errorf("I8: commands are hidden by %s: %q", s.how.login, s.k.wrote)
	}
}

// loginPeer is the server's side of a mechanism: what it says to a response, and
// whether that was the last.
type loginPeer func(response string) (challenge string, last bool)

// meet is AUTHENTICATE. Where there is no initial response the server begins.
func (s *session) meet(command string) {
	words := strings.Fields(command)
	s.peer = s.peers()
	switch {
	case len(words) > 2:
		s.converse(words[2])
	default:
		challenge, _ := s.peer("")
		s.say("+ " + encoded(challenge) + "\r\n")
	}
}

func (s *session) converse(line string) {
	response, err := base64.StdEncoding.DecodeString(line)
	if err != nil {
		s.t.Fatalf("%q is base64: %v", line, err)
	}
	challenge, last := s.peer(string(response))
	if !last {
		s.say("+ " + encoded(challenge) + "\r\n")
		return
	}
	s.peer = nil
	if !s.how.login.layered() {
		s.say(s.tag + " OK [CAPABILITY IMAP4rev1] in\r\n")
		return
	}
	if len(s.in) > 0 {
		s.t.Errorf("until the OK the client is silent: %q", s.in)
	}
	// What stands behind the OK, and comes with it, is the layer's.
	s.say(s.tag + " OK in\r\n" + s.coming.Seal("* 3 EXISTS\r\n"))
	s.sealed = s.coming
}

func (s *session) peers() loginPeer {
	switch s.how.login {
	case loginPlain:
		return func(response string) (string, bool) {
			if response != "\x00tim\x00"+loginSecret {
				s.t.Errorf("PLAIN says who it is: %q", response)
			}
			return "", true
		}
	case loginSCRAM:
		return (&scramPeer{s: s}).next
	}
	if s.how.kerberos != nil {
		p := s.how.kerberos.Peer(s.how.login.gssapi())
		s.coming = p
		return func(response string) (string, bool) {
			challenge := p.Answer(s.t, response)
			return challenge, p.Layer != 0
		}
	}
	p := &DigestPeer{QOP: string(s.how.login), Host: "127.0.0.1"}
	s.coming = p
	turn := 0
	return func(response string) (string, bool) {
		turn++
		switch turn {
		case 1:
			return p.Challenge(), false
		case 2:
			return p.Answer(s.t, response), false
		}
		return "", true
	}
}

// scramPeer is a server's side of SCRAM-SHA-256 (RFC 5802) for the user tim, without
// channel binding.
type scramPeer struct {
	s     *session
	turn  int
	words string // of both sides, up to now
}

const (
	scramSalt       = "NaClNaClNaClNaCl"
	scramIterations = 4096
)

var scramSalted = sync.OnceValue(func() []byte {
	key, err := pbkdf2.Key(sha256.New, loginSecret, []byte(scramSalt), scramIterations, sha256.Size)
	if err != nil {
		panic(err)
	}
	return key
})

func (p *scramPeer) next(response string) (challenge string, last bool) {
	switch p.turn++; p.turn {
	case 1:
		_, nonce, ok := strings.Cut(response, ",r=")
		_, bare, header := strings.Cut(response, ",,")
		if !ok || !header {
			p.s.t.Fatalf("a client-first-message has a nonce: %q", response)
		}
		first := "r=" + nonce + "srv,s=" + encoded(scramSalt) + ",i=4096"
		p.words = bare + "," + first + ","
		return first, false
	case 2:
		without, proof, _ := strings.Cut(response, ",p=")
		p.words += without
		if want := p.proof(); proof != want {
			p.s.t.Errorf("the client proves that it knows the password: %q, want %q", proof, want)
		}
		return "v=" + encoded(string(hmacOf(hmacOf(scramSalted(), "Server Key"), p.words))), false
	}
	return "", true
}

// proof is the client's.
func (p *scramPeer) proof() string {
	key := hmacOf(scramSalted(), "Client Key")
	stored := sha256.Sum256(key)
	for i, b := range hmacOf(stored[:], p.words) {
		key[i] ^= b
	}
	return encoded(string(key))
}

func hmacOf(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// unseal takes packets and returns what those hold that are whole.
func (s *session) unseal(raw []byte) []byte {
	s.packets = append(s.packets, raw...)
	whole := 0
	for len(s.packets)-whole >= 4 {
		n := whole + 4 + int(binary.BigEndian.Uint32(s.packets[whole:]))
		if n > len(s.packets) {
			break
		}
		whole = n
	}
	text := s.sealed.Open(s.t, string(s.packets[:whole]))
	s.packets = s.packets[whole:]
	return []byte(text)
}

// withoutTokens takes out what GSSAPI says after its name, which is another each time
// and not always as long: whole lines of it down to their ends, and of one that is cut
// all that there is. Three are tokens.
func withoutTokens(sent []byte) []byte {
	before, rest, ok := bytes.Cut(sent, []byte("AUTHENTICATE GSSAPI "))
	if !ok {
		return sent
	}
	told := append(bytes.Clone(before), "AUTHENTICATE GSSAPI "...)
	for range 3 {
		if _, rest, ok = bytes.Cut(rest, []byte("\r\n")); !ok {
			return told
		}
		told = append(told, "\r\n"...)
	}
	return append(told, rest...)
}
