package sasl_test

import (
	"context"
	"errors"
	"fmt"

	gosasl "github.com/emersion/go-sasl"
	"github.com/imclient/imclient/sasl"
)

// A mechanism of your own is a factory and an exchange. This one proves nothing and
// hides nothing: it says a word when the server asks for it.
type password struct{ word string }

func (p password) Name() string { return "X-PASSWORD" }

func (p password) Traits() sasl.Traits { return sasl.Traits{Cleartext: true, Strength: 150} }

func (p password) New(sasl.Params) sasl.Exchange { return &asked{word: p.word} }

type asked struct {
	word string
	said bool
}

func (x *asked) Start() (sasl.Step, error) { return sasl.Step{}, nil } // the server speaks first

func (x *asked) Next(challenge []byte) (sasl.Step, error) {
	if x.said || string(challenge) != "word?" {
		return sasl.Step{}, &sasl.ChallengeError{Mechanism: "X-PASSWORD", What: "it is not the question"}
	}
	x.said = true
	return sasl.Step{Response: []byte(x.word)}, nil
}

func (x *asked) Satisfied() bool { return x.said }

// logIn is what conn does with a mechanism, without a server: each challenge is
// answered in turn.
func logIn(x sasl.Exchange, challenges ...string) error {
	step, err := x.Start()
	for i := 0; err == nil; i++ {
		for err == nil && step.Work != nil {
			step, err = step.Work(context.Background()) // conn has this run elsewhere
		}
		if err != nil {
			break
		}
		if step.Response != nil {
			fmt.Printf("C: %q\n", step.Response)
		}
		if i == len(challenges) {
			break
		}
		fmt.Printf("S: %q\n", challenges[i])
		step, err = x.Next([]byte(challenges[i]))
	}
	if err == nil && !x.Satisfied() {
		return sasl.ErrPrematureOK
	}
	return err
}

func ExampleMechanism() {
	m := password{"swordfish"}
	fmt.Println(logIn(m.New(sasl.Params{}), "word?"))
	fmt.Println(logIn(m.New(sasl.Params{})))
	fmt.Println(logIn(m.New(sasl.Params{}), "word?", "word?"))
	// Output:
	// S: "word?"
	// C: "swordfish"
	// <nil>
	// sasl: server said OK before it proved itself
	// S: "word?"
	// C: "swordfish"
	// S: "word?"
	// sasl: X-PASSWORD challenge: it is not the question
}

// Any client of go-sasl is a mechanism.
func ExampleWrap() {
	m := sasl.Wrap("PLAIN", sasl.Traits{Cleartext: true, Strength: sasl.Strength("PLAIN")},
		func(p sasl.Params) (gosasl.Client, error) {
			return gosasl.NewPlainClient(p.User, "tim", "tanstaaftanstaaf"), nil
		})
	fmt.Println(logIn(m.New(sasl.Params{User: "Ursel"})))
	// Output:
	// C: "Ursel\x00tim\x00tanstaaftanstaaf"
	// <nil>
}

// What is chosen, and why not the rest.
func ExampleChoose() {
	mechs := sasl.All(sasl.Static(sasl.Credentials{Username: "user", Password: []byte("pencil")}))
	choice := sasl.Choose(mechs, sasl.Situation{
		Offered: []string{"PLAIN", "SCRAM-SHA-1", "CRAM-MD5", "XOAUTH2", "EXTERNAL"},
		Params:  sasl.Params{Service: "imap", Host: "mail.example.com"},
	})
	for name, exchange := choice.Next(); exchange != nil; name, exchange = choice.Next() {
		fmt.Println("AUTHENTICATE", name)
		choice.Done(fmt.Errorf("NO: %w", sasl.ErrAuthFailed)) // what the server says
	}
	for _, refusal := range choice.Refusals() {
		switch refusal.Name {
		case "PLAIN", "XOAUTH2", "EXTERNAL":
			fmt.Printf("%s: %v\n", refusal.Name, refusal.Err)
		}
	}
	fmt.Println(errors.Is(choice.Err(), sasl.ErrAuthFailed))
	// Output:
	// AUTHENTICATE SCRAM-SHA-1
	// AUTHENTICATE CRAM-MD5
	// EXTERNAL: we have not shown who we are below: no client certificate, no unix socket
	// XOAUTH2: sasl: not in the clear: TLS, a privacy layer or the caller's permission is missing
	// PLAIN: sasl: not in the clear: TLS, a privacy layer or the caller's permission is missing
	// true
}

// A provider that refreshes a token when the server says that it is no good.
func ExampleProvider() {
	token := "stale"
	p := sasl.ProviderFunc(func(_ context.Context, ask sasl.Ask) (sasl.Credentials, error) {
		if why, ok := errors.AsType[*sasl.OAuthError](ask.Last); ok {
			fmt.Println("refreshing:", why.Status)
			token = "fresh"
		}
		return sasl.Credentials{Username: "user", Token: []byte(token)}, nil
	})
	choice := sasl.Choose([]sasl.Mechanism{sasl.OAuthBearer(p)}, sasl.Situation{Offered: []string{"OAUTHBEARER"}, Safe: true})
	_, exchange := choice.Next()
	logIn(exchange, `{"status":"invalid_token"}`)
	choice.Done(fmt.Errorf("NO: %w", sasl.ErrAuthFailed))
	_, exchange = choice.Next()
	fmt.Println(logIn(exchange))
	// Output:
	// C: "n,a=user,\x01auth=Bearer stale\x01\x01"
	// S: "{\"status\":\"invalid_token\"}"
	// C: "\x01"
	// refreshing: invalid_token
	// C: "n,a=user,\x01auth=Bearer fresh\x01\x01"
	// <nil>
}
