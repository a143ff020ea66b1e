package sasl

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
)

// withProvider makes each mechanism that asks a provider.
func withProvider(p Provider) []Mechanism {
	var asking []Mechanism
	for _, m := range All(p) {
		if m.Name() != "EXTERNAL" {
			asking = append(asking, m)
		}
	}
	return asking
}

// No verb of fmt, nor encoding/json, shows a secret of whatever holds one.
func TestSecretsAreNotShown(t *testing.T) {
	c := Credentials{Username: "user", AuthzID: "boss", Password: []byte("correct horse"), Token: []byte("battery.staple")}
	secrets := []string{"correct horse", "battery.staple"}
	type inside struct{ Credentials *Credentials }
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	shown := string(encoded)
	things := []any{c, &c, []Credentials{c}, map[string]Credentials{"a": c}, inside{&c}, Static(c), Step{Response: c.Password}, &Step{Response: c.Token}}
	for _, m := range withProvider(Static(Credentials{Username: "user", Password: c.Password, Token: c.Token})) {
		x := m.New(Params{Service: "imap", Host: "host"})
		things = append(things, m, x)
		shown += verbs(x)
		if _, err := settle(x.Start()); err != nil {
			t.Fatal(err)
		}
		shown += verbs(x)
		_, err := settle(x.Next([]byte("<a challenge that few understand>")))
		shown += fmt.Sprint(err) + verbs(err) + verbs(x)
	}
	for _, thing := range things {
		shown += verbs(thing)
	}
	hides(t, secrets, shown)
	if got := fmt.Sprint(c); got != `{Username:"user" AuthzID:"boss" Password:*** Token:***}` {
		t.Errorf("the rest is shown\n got: %s", got)
	}
}

// A panic shows the value as String has it, or for one without only its address.
func TestSecretsInPanics(t *testing.T) {
	c := Credentials{Password: []byte("correct horse")}
	defer func() { hides(t, []string{"correct horse"}, fmt.Sprint(recover())) }()
	panic(c)
}

// Secrets are overwritten: those of a provider when they have been used, those of
// an exchange when it ends.
func TestSecretsAreWiped(t *testing.T) {
	for _, m := range withProvider(nil) {
		var given Credentials
		p := ProviderFunc(func(context.Context, Ask) (Credentials, error) {
			given = Credentials{Username: "user", Password: []byte("pencil"), Token: []byte("ticket")}
			return given, nil
		})
		m := byName(withProvider(p), m.Name())
		x := m.New(Params{})
		if _, err := settle(x.Start()); err != nil {
			t.Fatal(err)
		}
		if o, ok := x.(Outcome); ok {
			held := held(x)
			o.Done(context.Canceled)
			if !zero(held) {
				t.Errorf("%s: what an exchange holds is overwritten at its end\n got: %q", m.Name(), held)
			}
		}
		if !zero(given.Password) || !zero(given.Token) {
			t.Errorf("%s: what the provider gave is overwritten\n got: %q, %q", m.Name(), given.Password, given.Token)
		}
	}
}

func byName(mechs []Mechanism, name string) Mechanism {
	for _, m := range mechs {
		if m.Name() == name {
			return m
		}
	}
	return nil
}

// held is the secret that an exchange keeps for a while.
func held(x Exchange) []byte {
	switch x := x.(type) {
	case *loginExchange:
		return x.password
	case *cramMD5Exchange:
		return x.password
	case *digestExchange:
		return x.password
	case *scramExchange:
		return x.password
	case *bearerExchange:
		return x.token
	}
	return nil
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// What has been used is not kept until the end.
func TestSecretsAreWipedEarly(t *testing.T) {
	p := Static(Credentials{Username: "user", Password: []byte("pencil"), Token: []byte("ticket")})
	for name, challenge := range map[string]string{"CRAM-MD5": "<1@host>", "OAUTHBEARER": "{}", "SCRAM-SHA-1": "r=ours+theirs,s=c2FsdA==,i=4096"} {
		x := byName(withProvider(p), name).New(Params{})
		if s, ok := x.(*scramExchange); ok {
			s.nonce = "ours"
		}
		if _, err := settle(x.Start()); err != nil {
			t.Fatal(err)
		}
		secret := held(x)
		if _, err := settle(x.Next([]byte(challenge))); err != nil || len(secret) == 0 || !zero(secret) || held(x) != nil {
			t.Errorf("%s: a secret that has been used is overwritten\n got: %q, %v", name, secret, err)
		}
	}
}

// A static provider answers at once, and keeps its own.
func TestStatic(t *testing.T) {
	password := []byte("pencil")
	p := Static(Credentials{Username: "user", Password: password})
	clear(password)
	m := Plain(p)
	for range 2 {
		step, err := m.New(Params{}).Start()
		if err != nil || step.Work != nil || string(step.Response) != "\x00user\x00pencil" {
			t.Errorf("each login has the credentials at once\n got: %q, %v", step.Response, err)
		}
		clear(step.Response)
	}
	if c, err := p.Credentials(t.Context(), Ask{}); err != nil || string(c.Password) != "pencil" {
		t.Errorf("got: %v, %v", c, err)
	}
}

// A provider is called in Work; if nobody waits any more, nothing comes of it.
func TestProviderCancelled(t *testing.T) {
	for _, m := range withProvider(nil) {
		asked := false
		ctx, cancel := context.WithCancel(t.Context())
		var given Credentials
		slow := ProviderFunc(func(got context.Context, _ Ask) (Credentials, error) {
			asked = true
			cancel()
			<-got.Done() // as a slow one sees it
			given = Credentials{Username: "user", Password: []byte("pencil"), Token: []byte("ticket")}
			return given, nil // which comes too late
		})
		x := byName(withProvider(slow), m.Name()).New(Params{})
		step, err := x.Start()
		if err != nil || step.Work == nil || asked {
			t.Fatalf("%s: a provider is asked in Work\n got: %v, asked %t", m.Name(), err, asked)
		}
		step, err = step.Work(ctx)
		if !errors.Is(err, context.Canceled) || step.Response != nil || !zero(given.Password) || !zero(given.Token) {
			t.Errorf("%s: an answer that nobody waits for is overwritten\n got: %v, %v", m.Name(), step, err)
		}
		if _, ok := errors.AsType[*ProviderError](err); !ok {
			t.Errorf("%s: the error says where it was\n got: %v", m.Name(), err)
		}
		if x.Satisfied() {
			t.Errorf("%s: nothing is satisfied", m.Name())
		}
		if _, err := x.Next(nil); !errors.Is(err, ErrFinished) {
			t.Errorf("%s: nothing goes on\n got: %v", m.Name(), err)
		}

		asked = false
		step, _ = byName(withProvider(slow), m.Name()).New(Params{}).Start()
		if _, err := step.Work(ctx); !errors.Is(err, context.Canceled) || asked {
			t.Errorf("%s: a provider is not asked for nobody\n got: %v, asked %t", m.Name(), err, asked)
		}
	}
}

func TestProviderFails(t *testing.T) {
	locked := errors.New("the keyring is locked")
	for _, tc := range []struct {
		what string
		c    Credentials
		err  error
		want error
	}{
		{"an error", Credentials{Username: "user", Password: []byte("pencil")}, locked, locked},
		{"nothing, by an error", Credentials{}, ErrNoCredentials, ErrNoCredentials},
		{"nothing", Credentials{}, nil, ErrNoCredentials},
		{"no secret", Credentials{Username: "user"}, nil, ErrNoCredentials},
		{"a NUL", Credentials{Username: "us\x00er", Password: []byte("a\x00b"), Token: []byte("a\x00b")}, nil, ErrNoCredentials},
		{"a control character", Credentials{Username: "us\x01er", Password: []byte(""), Token: []byte("t")}, nil, ErrNoCredentials},
		{"a blank", Credentials{Username: "user", Password: []byte(""), Token: []byte("a b")}, nil, ErrNoCredentials},
	} {
		p := ProviderFunc(func(context.Context, Ask) (Credentials, error) { return tc.c.clone(), tc.err })
		for _, m := range withProvider(p) {
			if m.Name() == "LOGIN" && tc.what == "a NUL" || m.Name() == "CRAM-MD5" && tc.what == "a NUL" {
				continue // base64 carries it
			}
			x := m.New(Params{})
			response, err := settle(x.Start())
			if !errors.Is(err, tc.want) || response != nil || x.Satisfied() {
				t.Errorf("%s, %s\n got: %q, %v\nwant: %v", m.Name(), tc.what, response, err, tc.want)
			}
			hides(t, []string{"pencil", "a\x00b", "a b"}, fmt.Sprint(err))
		}
	}
}

func TestIdentities(t *testing.T) {
	for _, tc := range []struct{ username, authzid, user, wantID, wantZ string }{
		{"tim", "", "", "tim", ""},
		{"tim", "", "tim", "tim", ""},
		{"tim", "", "boss", "tim", "boss"},
		{"tim", "other", "boss", "tim", "other"},
		{"tim", "tim", "boss", "tim", ""},
		{"", "", "tim", "tim", ""},
		{"", "other", "tim", "tim", "other"},
		{"", "", "", "", ""},
	} {
		id, z := Credentials{Username: tc.username, AuthzID: tc.authzid}.identities(Params{User: tc.user})
		if id != tc.wantID || z != tc.wantZ {
			t.Errorf("%+v\n got: %q, %q", tc, id, z)
		}
	}
}

// Mechanisms without an authorization identity do not act for another.
func TestNoAuthorization(t *testing.T) {
	p := Static(Credentials{Username: "user", Password: []byte("pencil")})
	for _, m := range []Mechanism{Login(p), CRAMMD5(p)} {
		if _, err := settle(m.New(Params{User: "boss"}).Start()); !errors.Is(err, ErrNoCredentials) {
			t.Errorf("%s\n got: %v", m.Name(), err)
		}
	}
	x := SCRAM(crypto.SHA1, p, SCRAMOptions{}).New(Params{User: "b\x00ss"})
	if _, err := settle(x.Start()); !errors.Is(err, ErrNoCredentials) {
		t.Errorf("an authorization identity holds no NUL\n got: %v", err)
	}
}
