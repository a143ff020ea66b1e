package sasl

import (
	"bytes"
	"context"
	"crypto"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// transcript is an exchange of testdata/exchanges.txt.
type transcript struct {
	name, mechanism string
	with            map[string]string
	client, server  [][]byte // client[0] is the initial response; nil is none
	ends            string   // "OK", or the error
}

func readTranscripts(t testing.TB) (all []*transcript) {
	t.Helper()
	file, err := os.ReadFile("testdata/exchanges.txt")
	if err != nil {
		t.Fatal(err)
	}
	var current *transcript
	bytesOf := strings.NewReplacer("^@", "\x00", "^A", "\x01")
	for line := range strings.Lines(string(file)) {
		line = strings.TrimSuffix(line, "\n")
		kind, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "":
			current = nil
		case strings.HasPrefix(line, "#"):
		case current == nil:
			current = &transcript{name: line, with: map[string]string{}}
			all = append(all, current)
		case kind == "mech":
			fields := strings.Fields(rest)
			current.mechanism = fields[0]
			for _, field := range fields[1:] {
				name, value, _ := strings.Cut(field, "=")
				current.with[name] = value
			}
		case kind == "C:" && rest == "(nothing)":
			current.client = append(current.client, nil)
		case kind == "C:":
			current.client = append(current.client, []byte(bytesOf.Replace(rest)))
		case kind == "S:":
			current.server = append(current.server, []byte(bytesOf.Replace(rest)))
		default:
			current.ends = line
		}
	}
	return all
}

// secrets of the login.
func (tr *transcript) secrets() (secrets []string) {
	for _, name := range []string{"password", "token"} {
		if s := tr.with[name]; len([]rune(s)) > 3 {
			secrets = append(secrets, s)
		}
	}
	return secrets
}

func (tr *transcript) provider() Provider {
	c := Credentials{Username: tr.with["username"]}
	if s, ok := tr.with["password"]; ok {
		c.Password = []byte(s)
	}
	if s, ok := tr.with["token"]; ok {
		c.Token = []byte(s)
	}
	return Static(c)
}

// factory makes the mechanism; all that come of it share its keys.
func (tr *transcript) factory() Mechanism {
	p := tr.provider()
	o := SCRAMOptions{MaxIterations: 20_000}
	switch tr.mechanism {
	case "PLAIN":
		return Plain(p)
	case "LOGIN":
		return Login(p)
	case "CRAM-MD5":
		return CRAMMD5(p)
	case "ANONYMOUS":
		return Anonymous(tr.with["trace"])
	case "EXTERNAL":
		return External()
	case "OAUTHBEARER":
		return OAuthBearer(p)
	case "XOAUTH2":
		return XOAuth2(p)
	case "SCRAM-SHA-1":
		return SCRAM(crypto.SHA1, p, o)
	case "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS":
		return SCRAM(crypto.SHA256, p, o)
	case "SCRAM-SHA-512":
		return SCRAM(crypto.SHA512, p, o)
	}
	panic("the test knows no " + tr.mechanism)
}

// begin makes an exchange of m.
func (tr *transcript) begin(m Mechanism) Exchange {
	params := Params{Service: "imap", Host: tr.with["host"], User: tr.with["user"]}
	params.Port, _ = strconv.Atoi(tr.with["port"])
	params.BindingOffered = strings.HasSuffix(tr.mechanism, "-PLUS")
	if kind := tr.with["tls"]; kind != "" {
		params.Binding = func(asked string) ([]byte, error) {
			if asked != kind {
				return nil, errors.New("there is only " + kind)
			}
			data := make([]byte, 32)
			for i := range data {
				data[i] = byte(i)
			}
			return data, nil
		}
	}
	x := m.New(params)
	if s, ok := x.(*scramExchange); ok {
		s.nonce = tr.with["nonce"]
	}
	return x
}

// settle does the work of a step.
func settle(step Step, err error) ([]byte, error) {
	for err == nil && step.Work != nil {
		step, err = step.Work(context.Background())
	}
	return step.Response, err
}

// play gives an exchange what a server says, and returns the responses.
func play(x Exchange, server [][]byte) (client [][]byte, err error) {
	response, err := settle(x.Start())
	if err != nil {
		return nil, err
	}
	client = append(client, response)
	for _, challenge := range server {
		// The challenge is valid during the call only.
		lent := bytes.Clone(challenge)
		step, err := x.Next(lent)
		clear(lent)
		if response, err = settle(step, err); err != nil {
			return client, err
		}
		client = append(client, response)
	}
	return client, nil
}

// hides fails the test if a text shows one of the secrets, in any of the ways that
// package fmt and a protocol have.
func hides(t testing.TB, secrets []string, text string) {
	t.Helper()
	for _, s := range secrets {
		for _, form := range []string{
			s, strings.ReplaceAll(s, `"`, `\"`), strings.Trim(fmt.Sprint([]byte(s)), "[]"),
			strings.TrimPrefix(strings.TrimSuffix(fmt.Sprintf("%#v", []byte(s)), "}"), "[]byte{"),
			hex.EncodeToString([]byte(s)), strings.ToUpper(hex.EncodeToString([]byte(s))),
			base64.StdEncoding.EncodeToString([]byte(s)),
		} {
			if strings.Contains(text, form) {
				t.Errorf("no error and no verb shows a secret\n got: %q\nin: %q", form, text)
			}
		}
	}
}

// verbs is all that package fmt makes of a value.
func verbs(v any) string {
	var b strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%10.3v"} {
		fmt.Fprintf(&b, verb+"\n", v)
	}
	return b.String()
}

// faultOf checks that an error which a server's bytes led to is one of the kinds that
// conn can tell apart.
func faultOf(t testing.TB, err error) {
	t.Helper()
	_, challenge := errors.AsType[*ChallengeError](err)
	_, server := errors.AsType[*ServerError](err)
	_, kerberos := errors.AsType[*KerberosError](err)
	if !challenge && !server && !kerberos && !errors.Is(err, ErrNotProved) && !errors.Is(err, ErrFinished) {
		t.Errorf("an error that the server is to blame for says so\n got: %T %v", err, err)
	}
}

func TestTranscripts(t *testing.T) {
	for _, tr := range readTranscripts(t) {
		t.Run(tr.name, func(t *testing.T) {
			m := tr.factory()
			hides(t, tr.secrets(), verbs(m))
			x := tr.begin(m)
			if x.Satisfied() {
				t.Error("an exchange that has not begun is not satisfied")
			}
			client, err := play(x, tr.server)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.EqualFunc(client, tr.client, sameResponse) {
				t.Errorf("what we say is what the source says\n got: %q\nwant: %q", client, tr.client)
			}
			if x.Satisfied() != (tr.ends == "OK") {
				t.Errorf("the exchange is satisfied at its end, if it ends well\n got: %t", x.Satisfied())
			}
			if e, ok := x.(Explainer); ok && tr.ends != "OK" && fmt.Sprint(e.Explain()) != tr.ends {
				t.Errorf("the exchange explains what the server said\n got: %v\nwant: %v", e.Explain(), tr.ends)
			}
			hides(t, tr.secrets(), verbs(x))
			finish(t, tr, x)
		})
	}
}

// sameResponse: nil and empty differ.
func sameResponse(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

// finish is what comes behind the end: one challenge more is an error, and so is all
// that follows; then there is no secret left, nor satisfaction.
func finish(t *testing.T, tr *transcript, x Exchange) {
	t.Helper()
	_, err := settle(x.Next([]byte("v=rmF9pqV8S7suAoZWja4dJRkFsKQ=")))
	if err == nil {
		t.Error("a challenge behind the last one is an error")
	} else if tr.mechanism != "ANONYMOUS" && tr.mechanism != "EXTERNAL" {
		faultOf(t, err)
	}
	if _, err := x.Next(nil); !errors.Is(err, ErrFinished) {
		t.Errorf("an exchange is at its end after an error\n got: %v", err)
	}
	if _, err := x.Start(); !errors.Is(err, ErrFinished) {
		t.Errorf("an exchange begins once\n got: %v", err)
	}
	if o, ok := x.(Outcome); ok {
		o.Done(ErrAuthFailed)
	}
	if x.Satisfied() {
		t.Error("an exchange that ended by an error is not satisfied")
	}
}

// changes calls f with the server's side changed in each way: each byte set to some
// other values, cut out, doubled; each message cut at each byte, emptied, repeated,
// left out, or exchanged with another.
func changes(server [][]byte, f func(what string, server [][]byte)) {
	with := func(i int, messages ...[]byte) [][]byte {
		return slices.Concat(server[:i], messages, server[i+1:])
	}
	for i, message := range server {
		for at, b := range message {
			for _, other := range []byte{b ^ 1, b ^ 0x20, b ^ 0x80, 0, ',', '=', '9', 0xff} {
				if other != b {
					changed := bytes.Clone(message)
					changed[at] = other
					f(fmt.Sprintf("message %d, byte %d is %#x", i, at, other), with(i, changed))
				}
			}
			f(fmt.Sprintf("message %d, byte %d cut out", i, at), with(i, slices.Concat(message[:at], message[at+1:])))
			f(fmt.Sprintf("message %d, byte %d doubled", i, at), with(i, slices.Concat(message[:at+1], message[at:])))
			f(fmt.Sprintf("message %d, cut at %d", i, at), with(i, message[:at]))
		}
		f(fmt.Sprintf("message %d twice", i), with(i, message, message))
		f(fmt.Sprintf("message %d doubled", i), with(i, slices.Concat(message, message)))
		f(fmt.Sprintf("message %d left out", i), with(i))
		f(fmt.Sprintf("message %d empty, then itself", i), with(i, []byte{}, message))
		if i < len(server)-1 {
			f(fmt.Sprintf("message %d after the others", i), append(with(i), message))
			f(fmt.Sprintf("message %d with an attribute behind", i), with(i, append(bytes.Clone(message), ",x=y"...)))
		}
	}
}

// Whatever a server sends in place of what it should: an error of a kind that tells
// who is to blame, and no satisfaction where the server had to prove itself.
func TestServerSideChanged(t *testing.T) {
	for _, tr := range readTranscripts(t) {
		if len(tr.server) == 0 {
			continue
		}
		t.Run(tr.name, func(t *testing.T) {
			m := tr.factory()
			mutual := traitsOf(m).Mutual
			changes(tr.server, func(what string, server [][]byte) {
				x := tr.begin(m)
				_, err := play(x, server)
				if err != nil {
					faultOf(t, err)
					hides(t, tr.secrets(), err.Error()+verbs(err))
					if x.Satisfied() {
						t.Errorf("%s: after an error nothing satisfies", what)
					}
				}
				if x.Satisfied() && (mutual || tr.ends != "OK" && len(server) > 0) {
					t.Errorf("%s: an exchange is satisfied by the server's proof and nothing else", what)
				}
			})
		})
	}
}

// An OK at any place before the last is premature.
func TestPrematureOK(t *testing.T) {
	for _, tr := range readTranscripts(t) {
		for n := range len(tr.server) {
			x := tr.begin(tr.factory())
			if _, err := play(x, tr.server[:n]); err != nil {
				t.Fatal(err)
			}
			if tokens := strings.Contains(tr.mechanism, "OAUTH"); x.Satisfied() != tokens {
				t.Errorf("%s: after %d of %d challenges nobody is satisfied but with a token that was taken", tr.name, n, len(tr.server))
			}
		}
	}
}
