package sasl

import (
	"errors"
	"testing"
)

// A challenge in which nothing can be new is not answered: the answer would be good
// for ever. Any other is, whatever stands around the brackets.
func TestCRAMMD5Challenge(t *testing.T) {
	m := CRAMMD5(pencil)
	for challenge, ok := range map[string]bool{"": false, "<>": false, "<1@>": false, "<1@a>": true, "hello <1.2@a>": true, "\x00\xff\x00\xff\x00": true} {
		x := m.New(Params{})
		_, err := play(x, [][]byte{[]byte(challenge)})
		if _, bad := errors.AsType[*ChallengeError](err); bad == ok || x.Satisfied() != ok {
			t.Errorf("%q\n got: %v, satisfied %t", challenge, err, x.Satisfied())
		}
	}
}
