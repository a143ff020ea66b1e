package conn

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// fuzzSeeds are scripts that begin all that a connection can meet.
var fuzzSeeds = []string{
	"S* OK hello\n0\n1user\nSa1 OK\nS* 3 EXISTS\nSa2 OK done\n9\nS* BYE\nSa3 OK\nE",
	"S* OK [CAPABILITY IMAP4 LITERAL+]\n2text\n3word\n5word\nSa1 OK\nf\n2text\nS+ go\nSa2 NO\nSa4 OK",
	"S* OK [CAPABILITY LITERAL-]\n5a\nS+\nSa1 OK\n5a\nSa2 NO too big\n0\nSa3 OK",
	"6\n0\nS+ idling\nS* 4 EXISTS\n+DONE\nSa1 OK\nSa2 OK",
	"6\n+DONE\nS+ idling\nSa1 OK\n7\nS+ challenge\n+answer\nS+ again\n+*\nSa2 BAD",
	"S* 1 FETCH (BODY[] {5}\nshe\nsllo\nS)\nL* X {3}\nsabc\nS\ns* 2 EXIS\nT61",
	"Sx1 OK\nS\nS+\nS* 99999999999 X\nSa9 OK\nS*\n0\nSa1 OK\nSa1 OK",
	"0\n8 5\n8 9\n6\nT4\nSa1 OK\nT2",
	"W3\n0\n2abc\nW5\nR1\nS+\nW1000\nSa1 OK\nSa2 OK\nX",
	">0\n>2x\n>Q\n>0\nS* X\nS* Y\nS+\nS* Z\n0",
	">D\n>+DONE\n6\n8 1\nS+ x\nS* 1 EXISTS\nSa1 OK\nSa2 OK",
	"AX\nNX\nAY\nA\nS* X {5}\nS* 1 X {2}\nsab\nS\nS* Y\nE",
	"1\nS* OK [CAPABILITY A]\nSa1 OK [CAPABILITY B]\n1\nSa2 OK\nF\n2long\nS* CAPABILITY C\n",
	"Sa1 OK\n0\nW0\n0\nSa2 OK",
	"2abc\nSa1 OK early",
	"0\nSa1 ENTRY {3}\nsxyz\nS \"x\"\nSa1 eof\nSa1 OK\nE",
	"Sa1\nS" + strings.Repeat("x", 5000) + "\ns" + strings.Repeat("y", 9000) + "\nSz", "8 70\n8 5\n0\nT6",
	"0\nR2\nSa1 OK\nS* BYE\nX\n0", "W0\n0\nS* BYE\nS* 1 EXISTS\nX\nW9", "W0\n0\nSa1 NO", "T30", "T31", "S* OK\n9\nT11", "S* X {99999999}\nE", "s* X", "Q", "7\nS",
}

// FuzzClient plays a script of events to a client, once with a trace and once
// without: that must not make a difference.
func FuzzClient(f *testing.F) {
	for i, script := range fuzzSeeds {
		for _, options := range []byte{0, byte(1 + i%15)} {
			f.Add(script, options)
		}
	}
	f.Fuzz(func(t *testing.T, script string, options byte) {
		if len(script) > 1<<14 {
			return
		}
		plain, traced := newLife(t, script, options, false), newLife(t, script, options, true)
		plain.live()
		traced.live()
		if !slices.Equal(plain.log, traced.log) || !bytes.Equal(plain.k.out, traced.k.out) || plain.c.stats != traced.c.stats {
			t.Errorf("a trace changes nothing\nwithout: %q\n   with: %q", plain.log, traced.log)
		}
	})
}
