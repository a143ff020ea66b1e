package sasl

import (
	"context"
	"crypto"
	"errors"
	"strings"
	"testing"
)

// asked is a mechanism that remembers what it was asked for.
type asked struct {
	own
	params *[]Params
}

func (m asked) Traits() Traits { return *m.traits }
func (m asked) New(p Params) Exchange {
	*m.params = append(*m.params, p)
	return m.own.New(p)
}

// With TLS below, going without a layer is allowed, and the mechanism is told so.
func TestChooseProt(t *testing.T) {
	for tls, want := range map[bool]Prot{false: ProtPrivacy, true: ProtPrivacy | ProtNone} {
		var params []Params
		m := asked{own{"X", &Traits{Prot: ProtAny}}, &params}
		Choose([]Mechanism{m}, Situation{Offered: []string{"X"}, TLS: tls, Params: Params{Prot: ProtPrivacy}}).Next()
		if len(params) != 1 || params[0].Prot != want {
			t.Errorf("TLS %t\n got: %+v\nwant: %b", tls, params, want)
		}
	}
}

// The -PLUS form of a mechanism that has none is tried by nobody, whoever offers it.
func TestChooseNoSuchPlus(t *testing.T) {
	s := Situation{Offered: []string{"PLAIN-PLUS", "CRAM-MD5-PLUS"}, Safe: true, TLS: true, Params: Params{Binding: bindings("tls-exporter")}}
	if name, x := Choose(All(both()), s).Next(); x != nil {
		t.Errorf("%s is tried", name)
	}
}

// Nobody is warned of what is as it should be.
func TestChooseNoWarning(t *testing.T) {
	for says, s := range map[string]Situation{
		"a list that is the same after TLS": {Before: []string{"PLAIN", "SCRAM-SHA-256"}, Offered: []string{"PLAIN", "SCRAM-SHA-256"}, Floor: Floor{Mutual: true}},
		"TLS with none of the kinds":        {Offered: cyrus, TLS: true, Verified: true, Params: Params{Binding: bindings()}},
		"no TLS":                            {Offered: cyrus},
		"a bound login of another hash":     {Offered: cyrus, TLS: true, Verified: true, Params: Params{Binding: bindings("tls-exporter")}},
	} {
		s.Warn = func(text string) { t.Errorf("%s: %s", says, text) }
		Choose([]Mechanism{Plain(both()), SCRAM(crypto.SHA256, both(), SCRAMOptions{})}, s).Next()
	}
}

// A token is asked for anew after the server's NO, not after what is no answer to it.
func TestChooseRenews(t *testing.T) {
	for want, err := range map[string]error{"X X": saysNO(""), "X": errors.New("a challenge that is no base64"), "X ": context.Canceled} {
		m := ownDescribed{own{"X", &Traits{Renews: true}}}
		c := Choose([]Mechanism{m}, Situation{Offered: []string{"X"}})
		if got := strings.Join(tries(c, func(string) error { return err }), " "); got != strings.TrimSpace(want) {
			t.Errorf("after %v\n got: %q", err, got)
		}
	}
}

// The error has the reasons first, and then what the server has not.
func TestChoiceErrorText(t *testing.T) {
	for want, refusals := range map[string][]Refusal{
		"sasl: no mechanism to log in with":                            nil,
		"sasl: no mechanism is left: not offered: A, C":                {{"A", errNotOffered}, {"C", errNotOffered}},
		"sasl: no mechanism is left: B: no; D: why; not offered: A, C": {{"A", errNotOffered}, {"B", errors.New("no")}, {"C", errNotOffered}, {"D", errors.New("why")}},
		"sasl: no mechanism is left: B: " + errWeak.Error():            {{"B", errWeak}},
	} {
		if got := (&ChoiceError{refusals}).Error(); got != want {
			t.Errorf("\n got: %s\nwant: %s", got, want)
		}
	}
}
