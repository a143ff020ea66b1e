package wire

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// model is the framer in its plainest form: it has all the input at once, knows no
// limit but the default of a literal, and is written from regular expressions. Its
// errors have no text.
func model(in string) (events []string) {
	used, first := 0, true
	for {
		line, _, ended := strings.Cut(in[used:], "\n")
		if !ended {
			return append(events, fmt.Sprintf("wants more at %d", used))
		}
		text := strings.TrimSuffix(line, "\r")
		header, malformed := modelHeader(text, first)
		if malformed {
			return append(events, fmt.Sprintf("error at %d", used))
		}
		if header == "" {
			events = append(events, "text "+strconv.Quote(text), "end")
			used += len(line) + 1
			first = true
			continue
		}
		before := strings.TrimSuffix(text, header)
		events = append(events, "text "+strconv.Quote(before))
		size, err := strconv.Atoi(strings.Trim(header, "~{+}"))
		if err != nil || size > defaultLiteral {
			return append(events, fmt.Sprintf("error at %d", used+len(before)))
		}
		events = append(events, describe(Event{
			Kind: KindLiteralHeader, Data: []byte(header), Size: int64(size),
			Literal8: header[0] == '~', NonSync: strings.Contains(header, "+"),
		}))
		used += len(line) + 1
		if data := in[used:min(len(in), used+size)]; data != "" {
			events = append(events, "data "+strconv.Quote(data))
			used += len(data)
			size -= len(data)
		}
		if size > 0 {
			return append(events, fmt.Sprintf("wants more at %d", used))
		}
		first = false
	}
}

var (
	modelLiteral   = regexp.MustCompile(`~?\{[0-9]+\+?\}$`)
	modelOpenQuote = regexp.MustCompile(`^(?:[^"]|"(?s:[^"\\]|\\.)*")*"(?s:[^"\\]|\\.)*\\?$`)
	modelPlus      = regexp.MustCompile(`^\+(?: |$)`)
	modelNumbered  = regexp.MustCompile(`^\* ([0-9]+) [^ ]`)
	modelKeyword   = regexp.MustCompile(`^(?:\* (?:[0-9]+ )?|[^ *+][^ ]* )([^ ]+)(?: |$)`)
	modelNumber    = regexp.MustCompile(`^\* [0-9]+$`)
	modelStatus    = regexp.MustCompile(`^(?i:OK|NO|BAD|BYE|PREAUTH)$`)
)

// modelHeader returns the literal header that ends text, "" if there is none.
func modelHeader(text string, first bool) (header string, malformed bool) {
	header = modelLiteral.FindString(text)
	if header == "" || modelOpenQuote.MatchString(strings.TrimSuffix(text, header)) {
		return "", false
	}
	if !first {
		return header, false
	}
	if modelPlus.MatchString(text) {
		return "", false
	}
	if m := modelNumbered.FindStringSubmatch(text); m != nil {
		if n, err := strconv.ParseUint(m[1], 10, 32); err != nil || n > 4294967295 {
			return "", true
		}
	}
	m := modelKeyword.FindStringSubmatch(text)
	if m == nil || modelNumber.MatchString(text) {
		return "", true
	}
	if modelStatus.MatchString(m[1]) {
		return "", false
	}
	return header, len(text)-len(header) < len(m[0])
}

// framerSeeds are beginnings for the fuzzer, each with something of its own.
var framerSeeds = []string{
	"kf12 OK NOOP completed\r\n",
	"* 3 EXISTS\r\n+ go\r\n+\r\n\r\n",
	"* 1 FETCH (BODY[] {5}\r\nhello UID 7)\r\nkf1 OK {3}\r\n",
	"* A ~{3+}\r\n{1}{001}\nx{0}\r\n\"{2}\r\n",
	"* LIST (\\X) \"\\\"{1}\" {1}\r\n\"\r\n* OK \"\n\r\r\n",
	"* 4294967296 X {5}\r\n",
	"* 5 {7}\r\n",
	"+x {1}\r\n",
	"* A {9223372036854775807}\r\n",
	"* NO {12}\r\nkf1 bad {12}\r\nkf1 FOO {1}\r\n.)\r\n* bye",
}

// FuzzFramer: input cut anywhere gives the same events, the same error at the same
// offset, and what the model says.
func FuzzFramer(f *testing.F) {
	for i, seed := range framerSeeds {
		f.Add([]byte(seed), uint8(i), uint8(3*i), uint16(7*i), i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, in []byte, line, literal uint8, reply uint16, limited bool) {
		if len(in) > 1000 {
			in = in[:1000]
		}
		limits := &Limits{Line: int64(line), Literal: int64(literal), Reply: int64(reply)}
		framer := func() *Framer {
			if limited {
				return &Framer{Limits: limits, NoLiteral: func(h Head) bool { return h.Number >= 0 }}
			}
			return new(Framer)
		}
		want := run(t, framer(), in)
		deliver(t, framer, in, want)
		if limited {
			return
		}
		last := &want[len(want)-1]
		if strings.HasPrefix(*last, "error") {
			*last, _, _ = strings.Cut(*last, ":")
		}
		if g, w := strings.Join(want, "\n"), strings.Join(model(string(in)), "\n"); g != w {
			t.Fatalf("the framer agrees with its model\n got: %s\nwant: %s", g, w)
		}
	})
}
