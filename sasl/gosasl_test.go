package sasl

import (
	"context"
	"errors"
	"fmt"
	"testing"

	gosasl "github.com/emersion/go-sasl"
)

// What we say is what go-sasl's client says, where it has the mechanism and is right,
// and its server understands it.
func TestSameAsGoSASL(t *testing.T) {
	var seen string
	password := func(identity, username, password string) error {
		seen = fmt.Sprintf("%q %q %q", identity, username, password)
		return nil
	}
	p := Static(Credentials{Username: "tim", AuthzID: "boss", Password: []byte("tanstaaf"), Token: []byte("ticket")})
	for _, tc := range []struct {
		m      Mechanism
		theirs gosasl.Client
		server gosasl.Server
		want   string
	}{
		{Plain(p), gosasl.NewPlainClient("boss", "tim", "tanstaaf"), gosasl.NewPlainServer(password), `"boss" "tim" "tanstaaf"`},
		{Anonymous("trace"), gosasl.NewAnonymousClient("trace"),
			gosasl.NewAnonymousServer(func(trace string) error { seen = trace; return nil }), "trace"},
		{Anonymous(""), gosasl.NewAnonymousClient(""),
			gosasl.NewAnonymousServer(func(trace string) error { seen = "empty" + trace; return nil }), "empty"},
		{External(), gosasl.NewExternalClient(""),
			gosasl.NewExternalServer(func(identity string) error { seen = "whoever" + identity; return nil }), "whoever"},
		{OAuthBearer(p), gosasl.NewOAuthBearerClient(&gosasl.OAuthBearerOptions{Username: "boss", Token: "ticket", Host: "host", Port: 143}),
			gosasl.NewOAuthBearerServer(func(o gosasl.OAuthBearerOptions) *gosasl.OAuthBearerError {
				seen = fmt.Sprint(o)
				return nil
			}), "{boss ticket host 143}"},
	} {
		x := tc.m.New(Params{Host: "host", Port: 143})
		ours, err := settle(x.Start())
		if err != nil {
			t.Fatal(err)
		}
		name, theirs, _ := tc.theirs.Start()
		if name != tc.m.Name() || !sameResponse(ours, theirs) {
			t.Errorf("%s\n got: %q\nwant: %q", name, ours, theirs)
		}
		if _, done, err := tc.server.Next(ours); !done || err != nil || seen != tc.want {
			t.Errorf("%s: go-sasl's server takes it\n got: %s, %v\nwant: %s", name, seen, err, tc.want)
		}
	}
}

// scripted is a go-sasl client.
type scripted struct {
	name      string
	start     error
	saw       [][]byte
	satisfied bool
}

func (c *scripted) Start() (string, []byte, error) { return c.name, nil, c.start }

func (c *scripted) Next(challenge []byte) ([]byte, error) {
	c.saw = append(c.saw, challenge)
	if string(challenge) == "bad" {
		return nil, gosasl.ErrUnexpectedServerChallenge
	}
	return []byte{}, nil
}

type tellingClient struct{ scripted }

func (c *tellingClient) Satisfied() bool { return c.satisfied }

func TestWrap(t *testing.T) {
	c := &scripted{name: "X-THEIRS"}
	m := Wrap("X-THEIRS", Traits{Strength: 7}, func(Params) (gosasl.Client, error) { return c, nil })
	if m.Name() != "X-THEIRS" || traitsOf(m) != (Traits{Strength: 7}) {
		t.Errorf("a mechanism is what it was said to be\n got: %s, %+v", m.Name(), traitsOf(m))
	}
	x := m.New(Params{})
	response, err := settle(x.Start())
	if response != nil || err != nil || !x.Satisfied() {
		t.Errorf("no initial response is none\n got: %q, %v", response, err)
	}
	lent := []byte("challenge")
	step, err := x.Next(lent)
	if err != nil || step.Work == nil || x.Satisfied() {
		t.Fatalf("a client may block, so it is called in Work\n got: %v, %v", step, err)
	}
	clear(lent)
	if response, err = settle(step, nil); !sameResponse(response, []byte{}) || err != nil || string(c.saw[0]) != "challenge" {
		t.Errorf("a challenge outlives the call\n got: %q, %v, %q", response, err, c.saw)
	}
	if _, err := settle(x.Next(nil)); err != nil || c.saw[1] == nil {
		t.Errorf("an empty challenge is one of no bytes\n got: %v", err)
	}
	if _, err := settle(x.Next([]byte("bad"))); !errors.Is(err, gosasl.ErrUnexpectedServerChallenge) {
		t.Errorf("the client's error comes through\n got: %v", err)
	}
	if _, err := x.Next(nil); !errors.Is(err, ErrFinished) || x.Satisfied() {
		t.Errorf("and ends the exchange\n got: %v", err)
	}
}

func TestWrapFails(t *testing.T) {
	wrong := errors.New("no tickets")
	for _, client := range []func(Params) (gosasl.Client, error){
		func(Params) (gosasl.Client, error) { return nil, wrong },
		func(Params) (gosasl.Client, error) { return &scripted{name: "X-THEIRS", start: wrong}, nil },
		func(Params) (gosasl.Client, error) { return &scripted{name: "X-OTHER"}, nil },
	} {
		x := Wrap("X-THEIRS", Traits{}, client).New(Params{})
		if _, err := settle(x.Start()); err == nil || x.Satisfied() {
			t.Errorf("a client that cannot begin is an error\n got: %v", err)
		}
		if _, err := x.Next(nil); !errors.Is(err, ErrFinished) {
			t.Errorf("got: %v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	step, _ := Wrap("X-THEIRS", Traits{}, func(Params) (gosasl.Client, error) { return &scripted{name: "X-THEIRS"}, nil }).New(Params{}).Start()
	if _, err := step.Work(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got: %v", err)
	}
}

// A client that can tell when it is satisfied is asked.
func TestWrapSatisfied(t *testing.T) {
	c := &tellingClient{scripted{name: "X-THEIRS"}}
	x := Wrap("X-THEIRS", Traits{Mutual: true}, func(Params) (gosasl.Client, error) { return c, nil }).New(Params{})
	if _, err := settle(x.Start()); err != nil || x.Satisfied() {
		t.Errorf("got: %v, satisfied %t", err, x.Satisfied())
	}
	if c.satisfied = true; !x.Satisfied() {
		t.Error("a client that is satisfied is believed")
	}
}
