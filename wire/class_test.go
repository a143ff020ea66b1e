package wire

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestClasses rebuilds the table from the ABNF in the comment of class.go.
func TestClasses(t *testing.T) {
	rules := readABNF(t)
	bits := map[string]class{
		"ATOM-CHAR": atomChar, "ASTRING-CHAR": astringChar, "TEXT-CHAR": textChar, "line-char": lineChar, "8bit": highChar,
	}
	var want [256]class
	for name, bit := range bits {
		for b, in := range rules.set(t, name) {
			if in {
				want[b] |= bit
			}
		}
	}
	for b := range want {
		if classes[b] != want[b] {
			t.Errorf("the table says what the ABNF says: byte %#02x is %05b, want %05b", b, classes[b], want[b])
		}
	}
}

// abnf is a grammar of single bytes: name to definition.
type abnf map[string]string

func readABNF(t *testing.T) abnf {
	src, err := os.ReadFile("class.go")
	if err != nil {
		t.Fatal(err)
	}
	rules := abnf{}
	for _, m := range regexp.MustCompile(`(?m)^//\t([\w-]+) += (.*)$`).FindAllStringSubmatch(string(src), -1) {
		rules[m[1]] = m[2]
	}
	if len(rules) != 12 {
		t.Fatalf("class.go has 12 rules: found %d", len(rules))
	}
	return rules
}

var (
	abnfExcept = regexp.MustCompile(`^<any (\S+) except (\S+)>$`)
	abnfHex    = regexp.MustCompile(`^%x([0-9A-F]{2})(?:-([0-9A-F]{2}))?$`)
)

// set returns the bytes that a rule or one alternative of a rule matches.
func (g abnf) set(t *testing.T, term string) (in [256]bool) {
	if rule, ok := g[term]; ok {
		return g.set(t, rule)
	}
	if m := abnfExcept.FindStringSubmatch(term); m != nil {
		in = g.set(t, m[1])
		for b, not := range g.set(t, m[2]) {
			in[b] = in[b] && !not
		}
		return in
	}
	if alternatives := strings.Split(term, " / "); len(alternatives) > 1 {
		for _, a := range alternatives {
			for b, also := range g.set(t, a) {
				in[b] = in[b] || also
			}
		}
		return in
	}
	if m := abnfHex.FindStringSubmatch(term); m != nil {
		lo, _ := strconv.ParseUint(m[1], 16, 8)
		hi := lo
		if m[2] != "" {
			hi, _ = strconv.ParseUint(m[2], 16, 8)
		}
		for b := lo; b <= hi; b++ {
			in[b] = true
		}
		return in
	}
	if len(term) == 3 && term[0] == '"' && term[2] == '"' {
		in[term[1]] = true
		return in
	}
	t.Fatalf("no rule and no terminal: %s", term)
	return in
}
