package conn_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/reactor"
	"github.com/imclient/imclient/sasl"
	"github.com/imclient/imclient/sasl/krbtest"
)

// gssapiLogin is a login that has come so far, bare or in a loop.
type gssapiLogin struct {
	*gssapiPeer
	*outcome
	c *conn.Client
	s *conntest.Server
}

// eachGSSAPI runs f with logins of which the client has said so many of three things.
func eachGSSAPI(t *testing.T, said int, f func(t *testing.T, l gssapiLogin)) {
	t.Helper()
	k := conn.NewKerberosRig(t, "server.test")
	for where, loop := range map[string]*reactor.Loop{"bare": nil, "loop": newLoop(t)} {
		t.Run(where, func(t *testing.T) { f(t, newGSSAPILogin(t, k, said, loop)) })
	}
}

func newGSSAPILogin(t *testing.T, k *conn.KerberosRig, said int, loop *reactor.Loop) (l gssapiLogin) {
	t.Helper()
	l.gssapiPeer = &gssapiPeer{GSSAPIPeer: k.Peer(krbtest.Privacy), mech: k.Mechanism(), loop: loop}
	l.c, l.s = conntest.New(t, new(conn.Dialer))
	if loop != nil {
		l.s.Join(loop)
	}
	l.outcome = l.upTo(t, said, l.c, l.s)
	return l
}

// gaveUp reports whether the login has failed by a challenge that the server is to
// blame for, and the connection lives. The client has said "*" and the server NO.
func (l gssapiLogin) gaveUp() bool {
	_, challenge := errors.AsType[*sasl.ChallengeError](l.err)
	_, kerberos := errors.AsType[*sasl.KerberosError](l.err)
	blamed := challenge || kerberos || errors.Is(l.err, sasl.ErrNotProved)
	return l.calls == 1 && l.c.Err() == nil && errors.Is(l.err, sasl.ErrAuthFailed) && blamed
}

// Whatever the server says instead of what is due, at each place of the exchange.
func TestGSSAPIAnswered(t *testing.T) {
	for said := 1; said <= 3; said++ {
		for script, want := range map[string]func(l gssapiLogin) bool{
			"S: a2 OK [CAPABILITY IDLE] in": func(l gssapiLogin) bool {
				if said == 3 {
					return l.calls == 1 && l.err == nil && l.c.Err() == nil
				}
				return l.calls == 1 && errors.Is(l.err, sasl.ErrPrematureOK) && errors.Is(l.c.Err(), sasl.ErrPrematureOK)
			},
			"S: a2 NO\nC-":                       failedAndLives,
			"S: a2 BAD\nC-":                      failedAndLives,
			"S: * BYE\nS/\nC.":                   ended,
			"S/\nC.":                             ended,
			"S!":                                 ended,
			"S: b1 OK\nC.":                       ended,
			"S: +\nC: *\nC-\nS: a2 NO\nC-":       gssapiLogin.gaveUp,
			"S: + AAAA\nC: *\nC-\nS: a2 BAD\nC-": gssapiLogin.gaveUp,
			"S: + AAAA\nC: *\nS: a2 OK\nC.":      func(l gssapiLogin) bool { return l.calls == 1 && errors.Is(l.c.Err(), sasl.ErrPrematureOK) },
			"S: + AAAA\nC: *\nS: +\nC.":          ended,
			"S: + ?\nC: *\nS: a2 NO\nC-":         failedAndLives,
			"S: + " + strings.Repeat("A", 48<<10) + "\nC: *\nS: a2 NO\nC-":   gssapiLogin.gaveUp,
			"S: + " + strings.Repeat("A", 48<<10+4) + "\nC: *\nS: a2 NO\nC-": failedAndLives,
		} {
			t.Run(fmt.Sprintf("%d/%.40q", said, script), func(t *testing.T) {
				eachGSSAPI(t, said, func(t *testing.T, l gssapiLogin) {
					l.s.Send("* 1 EXISTS\r\n") // is nobody's business
					if said == 3 && strings.Contains(script, "a2 OK [") {
						l.Answer(t, l.next)
						l.s.Send("a2 OK in\r\n")
						capability(t, l)
					} else {
						l.s.Play(script)
					}
					if !want(l) {
						t.Errorf("the login ends as it has to\n got: %d calls, %v, %v", l.calls, l.err, l.c.Err())
					}
				})
			})
		}
	}
}

func failedAndLives(l gssapiLogin) bool {
	return l.calls == 1 && errors.Is(l.err, sasl.ErrAuthFailed) && l.c.Err() == nil
}

func ended(l gssapiLogin) bool {
	return l.calls == 1 && l.err != nil && l.c.Err() != nil && !conn.SafeToRetry(l.err) && !errors.Is(l.err, sasl.ErrPrematureOK)
}

// capability answers what the client asks through the layer behind the OK.
func capability(t *testing.T, l gssapiLogin) {
	t.Helper()
	if got := l.Open(t, l.s.Received()); got != "a3 CAPABILITY\r\n" || l.calls != 0 {
		t.Fatalf("it asks through the layer\n got: %q, %d calls, %v", got, l.calls, l.err)
	}
	l.s.Send(l.Seal("* CAPABILITY IDLE\r\na3 OK\r\n"))
}

// The OK is outside the layer: in it there is nothing that answers AUTHENTICATE.
func TestGSSAPIOKInTheLayer(t *testing.T) {
	eachGSSAPI(t, 3, func(t *testing.T, l gssapiLogin) {
		l.Answer(t, l.next)
		l.s.Send(l.Seal("a2 OK in\r\n"))
		l.s.HangUp()
		l.s.Drive()
		if !ended(l) {
			t.Errorf("the connection ends\n got: %d calls, %v", l.calls, l.err)
		}
	})
}

// alterations are what happens to a token, in base64, on its way.
func alterations(token string) map[string]string {
	text := base64Of(token)
	all := map[string]string{"twice": base64Of(token + token), "longer": base64Of(token + "\x00"), "backwards": base64Of(backwards(token))}
	for n := range token {
		all[fmt.Sprint("cut to ", n)] = base64Of(token[:n])
	}
	for n := range text {
		all[fmt.Sprint("base64 cut to ", n)] = text[:n]
	}
	return all
}

func backwards(text string) string {
	b := []byte(text)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}

// refusesToken fails unless a challenge is given up on.
func refusesToken(t *testing.T, l gssapiLogin, says, challenge string) {
	t.Helper()
	l.s.Play("S: + " + challenge)
	if sent := l.s.Received(); sent != "*\r\n" {
		t.Fatalf("a token %s is refused\n got: %q, %v", says, sent, l.err)
	}
	l.s.Play("S: a2 NO cancelled\nC-")
	if !failedAndLives(l) {
		t.Errorf("a token %s fails the login\n got: %d calls, %v, %v", says, l.calls, l.err, l.c.Err())
	}
}

// Each of the server's two tokens, cut, and otherwise not what the server has made.
func TestGSSAPITokensOnTheWay(t *testing.T) {
	k := conn.NewKerberosRig(t, "server.test")
	for said := 1; said <= 2; said++ {
		first := newGSSAPILogin(t, k, said, nil)
		for says := range alterations(first.Answer(t, first.next)) {
			l := newGSSAPILogin(t, k, said, nil)
			if challenge, ok := alterations(l.Answer(t, l.next))[says]; ok { // one may be shorter
				refusesToken(t, l, says, challenge)
			}
		}
	}
}

// Each byte of them altered. Of AP-REP the head is protected by nothing and says
// nothing; in the offer, that the token is rotated by a multiple of its length.
func TestGSSAPITokensAlteredOnTheWay(t *testing.T) {
	k := conn.NewKerberosRig(t, "server.test")
	for said := 1; said <= 2; said++ {
		for at, length := 0, 1; at < length; at++ {
			l := newGSSAPILogin(t, k, said, nil)
			token := []byte(l.Answer(t, l.next))
			length = len(token)
			token[at] ^= 0x40
			if said == 1 && at >= length/2 || said == 2 && at != 6 && at != 7 {
				refusesToken(t, l, fmt.Sprint("with byte altered: ", at), base64Of(string(token)))
				continue
			}
			l.s.Play("S: + " + base64Of(string(token)))
			if sent := l.s.Received(); sent == "*\r\n" {
				if l.s.Play("S: a2 NO\nC-"); !l.gaveUp() {
					t.Errorf("byte %d of token %d fails the login\n got: %d calls, %v", at, said, l.calls, l.err)
				}
			} else if said == 1 && sent != "\r\n" || said == 2 && len(plainOf(t, strings.TrimSpace(sent))) < 32 {
				t.Errorf("or means nothing\n got: %q", sent)
			}
		}
	}
}

// Tokens of another login, and of another place.
func TestGSSAPITokensOutOfPlace(t *testing.T) {
	k := conn.NewKerberosRig(t, "server.test")
	other := newGSSAPILogin(t, k, 1, nil)
	reply := other.Answer(t, other.next)
	other.s.Play("S: + " + base64Of(reply))
	offer := other.Answer(t, other.said(t, other.s))
	for says, tc := range map[string]struct {
		said  int
		token func(l gssapiLogin) string
	}{
		"that replied to another login":  {1, func(gssapiLogin) string { return reply }},
		"that is an offer, and no reply": {1, func(gssapiLogin) string { return offer }},
		"that is the client's own":       {1, func(l gssapiLogin) string { return l.next }},
		"that was offered to another":    {2, func(gssapiLogin) string { return offer }},
		"that is another's reply":        {2, func(gssapiLogin) string { return reply }},
		"that comes once more":           {3, func(gssapiLogin) string { return offer }},
	} {
		t.Run(says, func(t *testing.T) {
			l := newGSSAPILogin(t, k, tc.said, nil)
			refusesToken(t, l, says, base64Of(tc.token(l)))
			if !l.gaveUp() {
				t.Errorf("the server is to blame\n got: %v", l.err)
			}
		})
	}
	t.Run("that was the last", func(t *testing.T) {
		for said := 2; said <= 3; said++ {
			l := newGSSAPILogin(t, k, 1, nil)
			var last string
			for range said - 1 {
				last = l.Answer(t, l.next)
				l.s.Play("S: + " + base64Of(last))
				l.next = l.said(t, l.s)
			}
			refusesToken(t, l, "that was the last", base64Of(last))
		}
	})
}
