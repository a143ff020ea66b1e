package sasl

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/pbkdf2"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// scramServer is a server's side of SCRAM: the formulas of RFC 5802 section 3, written
// down a second time.
type scramServer struct {
	hash                  crypto.Hash
	user, password        string
	salt, extends, gs2    string
	iterations            int
	bound                 string // channel binding data
	clientFirst, sentence string
}

func newScramServer(h crypto.Hash) *scramServer {
	return &scramServer{hash: h, user: "user", password: "pencil", salt: "salt of the earth", extends: "theirs", gs2: "n,,", iterations: 4096}
}

func (s *scramServer) hmac(key []byte, message string) []byte {
	mac := hmac.New(s.hash.New, key)
	mac.Write([]byte(message))
	return mac.Sum(nil)
}

// first answers client-first-message.
func (s *scramServer) first(message []byte) (string, error) {
	bare, ok := strings.CutPrefix(string(message), s.gs2)
	nonce, named := strings.CutPrefix(bare, "n="+s.user+",r=")
	if !ok || !named {
		return "", fmt.Errorf("client-first-message is %q", message)
	}
	s.clientFirst = bare
	s.sentence = fmt.Sprintf("r=%s%s,s=%s,i=%d", nonce, s.extends, base64.StdEncoding.EncodeToString([]byte(s.salt)), s.iterations)
	return s.sentence, nil
}

// knows is what servers have in place of passwords.
var knows sync.Map

func (s *scramServer) salted() []byte {
	id := fmt.Sprintf("%v %q %q %d", s.hash, s.password, s.salt, s.iterations)
	if known, ok := knows.Load(id); ok {
		return known.([]byte)
	}
	salted, err := pbkdf2.Key(s.hash.New, s.password, []byte(s.salt), s.iterations, s.hash.Size())
	if err != nil {
		panic(err)
	}
	knows.Store(id, salted)
	return salted
}

// final answers client-final-message.
func (s *scramServer) final(message []byte) (string, error) {
	without, proof, _ := strings.Cut(string(message), ",p=")
	nonce, _, _ := strings.Cut(s.sentence[len("r="):], ",")
	if want := "c=" + base64.StdEncoding.EncodeToString([]byte(s.gs2+s.bound)) + ",r=" + nonce; without != want {
		return "", fmt.Errorf("client-final-message is %q", message)
	}
	salted := s.salted()
	auth := s.clientFirst + "," + s.sentence + "," + without
	clientKey := s.hmac(salted, "Client Key")
	stored := s.hash.New()
	stored.Write(clientKey)
	signature := s.hmac(stored.Sum(nil), auth)
	for i := range clientKey {
		signature[i] ^= clientKey[i]
	}
	if proof != base64.StdEncoding.EncodeToString(signature) {
		return "", errors.New("wrong password")
	}
	return "v=" + base64.StdEncoding.EncodeToString(s.hmac(s.hmac(salted, "Server Key"), auth)), nil
}

// logIn goes through an exchange with s.
func (s *scramServer) logIn(x Exchange) error {
	response, err := settle(x.Start())
	if err != nil {
		return err
	}
	challenge, err := s.first(response)
	if err != nil {
		return err
	}
	if response, err = settle(x.Next([]byte(challenge))); err != nil {
		return err
	}
	if challenge, err = s.final(response); err != nil {
		return errors.Join(ErrAuthFailed, err)
	}
	_, err = settle(x.Next([]byte(challenge)))
	return err
}

var pencil = Static(Credentials{Username: "user", Password: []byte("pencil")})

func TestScramAllHashes(t *testing.T) {
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA512} {
		x := SCRAM(h, pencil, SCRAMOptions{}).New(Params{})
		if err := newScramServer(h).logIn(x); err != nil || !x.Satisfied() {
			t.Errorf("%v: a login goes through\n got: %v, satisfied %t", h, err, x.Satisfied())
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a hash for which SCRAM is not defined panics")
		}
	}()
	SCRAM(crypto.MD5, pencil, SCRAMOptions{})
}

// bindings is Params.Binding of a connection that has some kinds.
func bindings(kinds ...string) func(string) ([]byte, error) {
	return func(asked string) ([]byte, error) {
		for _, kind := range kinds {
			if kind == asked {
				return []byte("data of " + kind), nil
			}
		}
		return nil, errors.New("no " + asked)
	}
}

func TestScramBinding(t *testing.T) {
	none := func() func(string) ([]byte, error) { return nil }()
	for _, tc := range []struct {
		what    string
		has     func(string) ([]byte, error)
		offered bool
		taste   []string
		gs2     string // "": no login
		bound   string
	}{
		{"no TLS", none, false, nil, "n,,", ""},
		{"no TLS, offered", none, true, nil, "", ""},
		{"TLS 1.2, offered", bindings("tls-unique", "tls-exporter", "tls-server-end-point"), true, nil, "p=tls-unique,,", "data of tls-unique"},
		{"TLS 1.3, offered", bindings("tls-exporter", "tls-server-end-point"), true, nil, "p=tls-exporter,,", "data of tls-exporter"},
		{"TLS 1.2 without an extended master secret", bindings("tls-server-end-point"), true, nil, "p=tls-server-end-point,,", "data of tls-server-end-point"},
		{"none of the kinds, offered", bindings(), true, nil, "", ""},
		{"none of the kinds", bindings(), false, nil, "n,,", ""},
		{"TLS, not offered", bindings("tls-exporter"), false, nil, "y,,", ""},
		{"the caller's taste", bindings("tls-unique", "tls-exporter"), true, []string{"tls-exporter"}, "p=tls-exporter,,", "data of tls-exporter"},
		{"the caller's taste is not there", bindings("tls-unique", "tls-exporter"), true, []string{"tls-server-end-point"}, "", ""},
	} {
		t.Run(tc.what, func(t *testing.T) {
			s := newScramServer(crypto.SHA256)
			s.gs2, s.bound = tc.gs2, tc.bound
			m := SCRAM(crypto.SHA256, pencil, SCRAMOptions{Bindings: tc.taste})
			err := s.logIn(m.New(Params{Binding: tc.has, BindingOffered: tc.offered}))
			if tc.gs2 == "" {
				if !errors.Is(err, ErrNoBinding) {
					t.Errorf("a login that is to be bound does not go on without\n got: %v", err)
				}
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// Hostile server-first-messages. ours stands for our nonce.
func TestScramServerFirst(t *testing.T) {
	long := strings.Repeat("x", 2000)
	for _, tc := range []struct{ what, message string }{
		{"", "ours+theirs,s=c2FsdA==,i=4096"},
		{"", "ours+theirs,s=c2FsdA==,i=10000"},
		{"", "ours+theirs,s=c2FsdA==,i=4096,x=an extension,Y=another"},
		{"4095 iterations, where 4096 to 10000 are allowed", "ours+theirs,s=c2FsdA==,i=4095"},
		{"10001 iterations, where 4096 to 10000 are allowed", "ours+theirs,s=c2FsdA==,i=10001"},
		{"1 iterations, where 4096 to 10000 are allowed", "ours+theirs,s=c2FsdA==,i=1"},
		{"the iteration count does not begin with 1 to 9, or has more than 9 digits", "ours+theirs,s=c2FsdA==,i=0"},
		{"the iteration count does not begin with 1 to 9, or has more than 9 digits", "ours+theirs,s=c2FsdA==,i=04096"},
		{"the iteration count does not begin with 1 to 9, or has more than 9 digits", "ours+theirs,s=c2FsdA==,i=4294971392"},
		{"the iteration count does not begin with 1 to 9, or has more than 9 digits", "ours+theirs,s=c2FsdA==,i=18446744073709555712"},
		{"the iteration count is no number", "ours+theirs,s=c2FsdA==,i=4096 "},
		{"the iteration count is no number", "ours+theirs,s=c2FsdA==,i=+4096"},
		{"the iteration count is no number", "ours+theirs,s=c2FsdA==,i=-4096"},
		{"the iteration count is no number", "ours+theirs,s=c2FsdA==,i=4e9"},
		{"the server added nothing to our nonce", "ours,s=c2FsdA==,i=4096"},
		{"the nonce does not begin with ours", "r=theirs,s=c2FsdA==,i=4096"},
		{"the nonce is longer than 1024 bytes", "ours" + long + ",s=c2FsdA==,i=4096"},
		{"the nonce is not printable", "ours a,s=c2FsdA==,i=4096"},
		{"the nonce is not printable", "ours\x7f,s=c2FsdA==,i=4096"},
		{"the nonce is not printable", "oursé,s=c2FsdA==,i=4096"},
		{"the salt is no base64 of at most 1024 bytes", "ours+theirs,s=c2FsdA,i=4096"},
		{"the salt is no base64 of at most 1024 bytes", "ours+theirs,s=c2FsdB==,i=4096"},
		{"the salt is no base64 of at most 1024 bytes", "ours+theirs,s=" + strings.Repeat("AAAA", 400) + ",i=4096"},
		{"it demands an extension that is not known here", "m=x,ours+theirs,s=c2FsdA==,i=4096"},
		{"an attribute stands where it cannot", "ours+theirs,s=c2FsdA==,i=4096,m=x"},
		{"an attribute stands where it cannot", "ours+theirs,s=c2FsdA==,i=4096,i=1"},
		{"nonce, salt and iteration count are not what it begins with", "s=c2FsdA==,ours+theirs,i=4096"},
		{"nonce, salt and iteration count are not what it begins with", "ours+theirs,s=c2FsdA=="},
		{"nonce, salt and iteration count are not what it begins with", "v=rmF9pqV8S7suAoZWja4dJRkFsKQ="},
		{"it is no list of attributes", ""},
		{"it is no list of attributes", "ours+theirs,s=,i=4096"},
		{"it is no list of attributes", "ours+theirs,s=c2FsdA==,i=4096,"},
		{"it is no list of attributes", "ours+theirs,,s=c2FsdA==,i=4096"},
		{"it is no list of attributes", "ours+theirs,s=c2FsdA==,i=4096,1=2"},
		{"it is no list of attributes", "ours+theirs,s=c2FsdA==,i=4096,xx=2"},
		{"it is not UTF-8 without NUL", "ours+theirs,s=c2FsdA==,i=4096,x=\x00"},
		{"it is not UTF-8 without NUL", "ours+theirs,s=c2FsdA==,i=4096,x=\xff"},
		{"it is longer than 8192 bytes", "ours+theirs,s=c2FsdA==,i=4096,x=" + strings.Repeat(long, 5)},
		{"it is longer than 8192 bytes", strings.Repeat("a=b,", 1<<20)},
		{"refuses: unknown-user", "e=unknown-user"},
		{"refuses: other", "e=pencil"},
	} {
		m := SCRAM(crypto.SHA1, pencil, SCRAMOptions{MaxIterations: 10_000})
		x := m.New(Params{})
		x.Start()
		message := strings.Replace(tc.message, "ours", "r="+x.(*scramExchange).nonce, 1)
		_, err := settle(x.Next([]byte(message)))
		if tc.what == "" {
			if err != nil {
				t.Errorf("%.80q is in order\n got: %v", tc.message, err)
			}
			continue
		}
		if err == nil || !strings.HasSuffix(err.Error(), ": "+tc.what) && !strings.HasSuffix(err.Error(), tc.what) {
			t.Errorf("%.80q\n got: %v\nwant: %s", tc.message, err, tc.what)
			continue
		}
		faultOf(t, err)
		hides(t, []string{"pencil"}, err.Error()+verbs(err))
	}
}

func TestScramServerFinal(t *testing.T) {
	sum := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	for _, tc := range []struct {
		message string
		want    error // nil: a *ChallengeError
	}{
		{"v=" + sum(20), ErrNotProved},
		{"v=" + sum(19), ErrNotProved},
		{"v=" + sum(1), ErrNotProved},
		{"v=" + sum(6000), ErrNotProved},
		{"e=invalid-proof", ErrAuthFailed},
		{"e=server-does-support-channel-binding", ErrDowngrade},
		{"e=invalid-proof,v=" + sum(20), ErrAuthFailed},
		{"v=", nil},
		{"v=AAA", nil},
		{"v=" + sum(20) + ",m=x", nil},
		{"V=" + sum(20), nil},
		{"x=y,v=" + sum(20), nil},
		{"", nil},
	} {
		s := newScramServer(crypto.SHA1)
		x := SCRAM(crypto.SHA1, pencil, SCRAMOptions{}).New(Params{})
		response, _ := settle(x.Start())
		first, _ := s.first(response)
		if _, err := settle(x.Next([]byte(first))); err != nil {
			t.Fatal(err)
		}
		_, err := settle(x.Next([]byte(tc.message)))
		if _, ok := errors.AsType[*ChallengeError](err); tc.want == nil && !ok || tc.want != nil && !errors.Is(err, tc.want) {
			t.Errorf("%.80q\n got: %v\nwant: %v", tc.message, err, tc.want)
		}
		if x.Satisfied() {
			t.Errorf("%.80q does not satisfy", tc.message)
		}
	}
}

// A nonce is never used twice, has 144 bits, and no comma.
func TestScramNonce(t *testing.T) {
	m := SCRAM(crypto.SHA1, pencil, SCRAMOptions{})
	seen := map[string]bool{}
	for range 1000 {
		x := m.New(Params{}).(*scramExchange)
		x.Start()
		if seen[x.nonce] || len(x.nonce) != 24 || strings.Contains(x.nonce, ",") {
			t.Fatalf("a nonce is new and printable\n got: %q", x.nonce)
		}
		seen[x.nonce] = true
	}
	x := m.New(Params{Rand: strings.NewReader("short")})
	if _, err := x.Start(); err == nil {
		t.Error("without enough randomness nothing is sent")
	}
}

func TestScramCredentials(t *testing.T) {
	for _, tc := range []struct {
		what, user, password string
		ok                   bool
	}{
		{"plain", "user", "pencil", true},
		{"prepared to the same", "us\u00ADer", "pen\u00ADcil", true},
		{"a bidirectional mixture", "\u0627user", "pencil", false},
		{"unassigned", "user", "pencil\u0221", false},
		{"a control character", "user", "pen\tcil", false},
		{"no UTF-8", "user", "pencil\xff", false},
		{"no name", "", "pencil", false},
		{"no password", "user", "", false},
		{"nothing is left", "user", "\u00AD", false},
		{"a NUL", "user\x00", "pencil", false},
		{"too long", "user", strings.Repeat("pencil", 1000), false},
	} {
		p := Static(Credentials{Username: tc.user, Password: []byte(tc.password)})
		err := newScramServer(crypto.SHA1).logIn(SCRAM(crypto.SHA1, p, SCRAMOptions{}).New(Params{}))
		if (err == nil) != tc.ok || err != nil && !errors.Is(err, ErrNoCredentials) {
			t.Errorf("%s\n got: %v", tc.what, err)
		}
		if err != nil && tc.password != "" {
			hides(t, []string{tc.password}, err.Error()+verbs(err))
		}
	}
}

// A context that is done before the derivation begins ends the login; one that is
// done after it does so as well.
func TestScramCancelled(t *testing.T) {
	m := SCRAM(crypto.SHA1, pencil, SCRAMOptions{})
	s := newScramServer(crypto.SHA1)
	x := m.New(Params{})
	response, _ := settle(x.Start())
	challenge, _ := s.first(response)
	step, err := x.Next([]byte(challenge))
	if err != nil || step.Work == nil {
		t.Fatalf("what takes long is work\n got: %v, %v", step, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := step.Work(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("work ends with its context\n got: %v", err)
	}
	if _, err := x.Next(nil); !errors.Is(err, ErrFinished) || x.(*scramExchange).password != nil {
		t.Errorf("then the exchange is at its end, and the password gone\n got: %v", err)
	}
	if n := m.(*scram).options.Keys.Stats().Derived; n != 0 {
		t.Errorf("nothing is computed for nobody\n got: %d derivations", n)
	}
}
