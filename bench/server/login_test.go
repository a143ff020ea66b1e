package server

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/imclient/imclient/sasl"
)

// logIn has our client's side of a mechanism talk with a dialogue, and returns the
// tagged answer and what the lines were.
func logIn(t *testing.T, m sasl.Mechanism, initialToo bool) (answer string, said []kind) {
	t.Helper()
	return logInBy(t, new(dialogue), m.New(params), m.Name(), initialToo)
}

var params = sasl.Params{Service: "imap", Host: "127.0.0.1"}

func logInBy(t *testing.T, d *dialogue, x sasl.Exchange, name string, initialToo bool) (answer string, said []kind) {
	t.Helper()
	encode := base64.StdEncoding.EncodeToString
	step := settle(t, first(x.Start()))
	line := "t AUTHENTICATE " + name
	if step.Response != nil && initialToo {
		line += " " + encode(step.Response)
	}
	waits := step.Response != nil && !initialToo // for the "+" that asks for the first response
	for {
		answer = string(d.answer(nil, []byte(line)))
		said = append(said, d.said)
		challenge, ok := strings.CutPrefix(answer, "+ ")
		switch {
		case !ok:
			return answer, said
		case !waits:
			text, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(challenge, "\r\n"))
			if err != nil {
				t.Fatalf("a challenge is base64: got %q", answer)
			}
			step = settle(t, first(x.Next(text)))
		}
		waits, line = false, encode(step.Response)
	}
}

type stepped struct {
	step sasl.Step
	err  error
}

func first(step sasl.Step, err error) stepped { return stepped{step, err} }

func settle(t *testing.T, s stepped) sasl.Step {
	t.Helper()
	for s.err == nil && s.step.Work != nil {
		s = first(s.step.Work(context.Background()))
	}
	if s.err != nil {
		t.Fatalf("the client goes on: %v", s.err)
	}
	return s.step
}

func mechanisms(secret string) []sasl.Mechanism {
	p := sasl.Static(sasl.Credentials{Username: Account(7, 5000), Password: []byte(secret), Token: []byte(secret)})
	var known []sasl.Mechanism
	for _, m := range append(sasl.All(p), sasl.Anonymous("trace")) {
		if exchanges[m.Name()] != nil {
			known = append(known, m)
		}
	}
	return known
}

func TestLogin(t *testing.T) {
	for _, m := range mechanisms(Password) {
		for _, initialToo := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, initial response %t", m.Name(), initialToo), func(t *testing.T) {
				answer, said := logIn(t, m, initialToo)
				if !strings.HasPrefix(answer, "t OK [CAPABILITY ") {
					t.Errorf("who proves who he is logs in: got %q", answer)
				}
				if last := len(said) - 1; said[last] != wholeLogin {
					t.Errorf("a login counts as one: got %v", said)
				}
				for _, k := range said[:len(said)-1] {
					if k != partOfLogin {
						t.Errorf("what leads to a login counts for nothing: got %v", said)
					}
				}
			})
		}
	}
	const withGSSAPI = 1 // whose tests are in a file of their own
	if got, want := len(mechanisms(Password)), strings.Count(capabilities, "AUTH=")-withGSSAPI; got != want || got != len(exchanges) {
		t.Errorf("all that is offered is tested: %d of %d and %d", got, want, len(exchanges))
	}
}

func TestLoginRefused(t *testing.T) {
	for _, m := range mechanisms("another") {
		if m.Name() == "ANONYMOUS" {
			continue
		}
		answer, said := logIn(t, m, true)
		if !strings.HasPrefix(answer, "t NO ") || said[len(said)-1] != command {
			t.Errorf("%s with another secret is refused: got %q, counted as %v", m.Name(), answer, said)
		}
	}
	for _, lines := range [][2]string{
		{"t AUTHENTICATE GSSAPI\r\n", "t NO no such mechanism\r\n"},
		{"t AUTHENTICATE PLAIN\r\n*\r\n", "+ \r\nt BAD the login was given up\r\n"},
		{"t AUTHENTICATE PLAIN =\r\n", "t NO it is not proved who you are\r\n"},
		{"t AUTHENTICATE SCRAM-SHA-1 AAAA\r\n", "t NO it is not proved who you are\r\n"},
	} {
		var d dialogue
		var got []byte
		for line := range strings.Lines(lines[0]) {
			got = d.answer(got, []byte(strings.TrimSuffix(line, "\r\n")))
		}
		if got = d.answer(got, []byte("u NOOP")); string(got) != lines[1]+"u OK NOOP completed\r\n" {
			t.Errorf("%q is refused, and the conversation goes on: got %q", lines[0], got)
		}
	}
}

func TestAccount(t *testing.T) {
	for name, want := range map[string]int{Account(3, 100000): 100000, "user3": leastIterations, "user-x": leastIterations} {
		if got := iterationsOf("n=" + name); got != want {
			t.Errorf("the keys of %q take %d iterations: got %d", name, want, got)
		}
	}
}
