package main

import (
	"strings"
	"testing"
)

func TestParseMix(t *testing.T) {
	m, err := parseMix("noop=1, fetch-body=4,store=0")
	if err != nil {
		t.Fatal(err)
	}
	if want := (mix{verbNoop: 1, verbBody: 4}); m != want {
		t.Errorf("the mix must hold the weights given: got %v, want %v", m, want)
	}
	if _, err := parseMix(defaultMix); err != nil {
		t.Errorf("the default mix must be valid: %v", err)
	}
}

func TestParseMixSaysWhatIsWrong(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"", `"" is not verb=weight`},
		{"noop", `"noop" is not verb=weight`},
		{"noop=1,,idle=1", `"" is not verb=weight`},
		{"noop=x", `the weight of noop is "x"`},
		{"noop=-1", `the weight of noop is "-1"`},
		{"noop=1000001", `the weight of noop is "1000001"`},
		{"noop=99999999999999999999", `the weight of noop is "99999999999999999999"`},
		{"fetch=1", `unknown verb "fetch", want one of noop fetch-headers fetch-body store idle select login`},
		{"connect=1", `unknown verb "connect"`},
		{"logout=1", "login=1 logs out and in again"},
		{"noop=1,noop=2", "noop comes twice"},
		{"noop=0,noop=2", "noop comes twice"},
		{"noop=0", "no verb has a weight above 0"},
	} {
		_, err := parseMix(test.in)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("parseMix(%q) must say %q, says %v", test.in, test.want, err)
		}
	}
}

// TestPick hands out every ticket: each verb must get as many as its weight.
func TestPick(t *testing.T) {
	m := mix{verbNoop: 2, verbBody: 3, verbIdle: 1}
	var got mix
	for n := range m.total() {
		got[m.pick(n)]++
	}
	if got != m {
		t.Errorf("each verb must be picked by its weight: got %v, want %v", got, m)
	}
}

func TestVerbNames(t *testing.T) {
	seen := map[string]bool{}
	for v := range verbCount {
		if v.String() == "" || seen[v.String()] {
			t.Errorf("verb %d must have a name of its own, has %q", v, v)
		}
		seen[v.String()] = true
	}
}
