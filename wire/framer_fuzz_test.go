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
	modelStart     = regexp.MustCompile(`^(?:\* +([0-9]+)(?: |$)|\* |[^ *+][^ ]* )`)
	modelKeyword   = regexp.MustCompile(`^[^ ]+`)
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
	start, keyword, _, ok := modelHead(text)
	if modelStatus.MatchString(keyword) {
		return "", !ok
	}
	return header, !ok || len(text)-len(header) <= len(start)+len(keyword)
}

// modelHead is ParseHead for all but continuations: what stands before the keyword,
// the keyword, the number.
func modelHead(line string) (start, keyword string, number int64, ok bool) {
	m := modelStart.FindStringSubmatch(line)
	if m == nil {
		return "", "", 0, false
	}
	number = -1
	if m[1] != "" {
		n, err := strconv.ParseUint(m[1], 10, 32)
		if err != nil {
			return "", "", 0, false
		}
		number = int64(n)
	}
	keyword = modelKeyword.FindString(line[len(m[0]):])
	return m[0], keyword, number, keyword != ""
}

// framerSeeds are beginnings for the fuzzer, each with something of its own.
var framerSeeds = []string{
	"kf12 OK NOOP completed\r\n",
	"* 3 EXISTS\r\n+ go\r\n+\r\n\r\n",
	"* 1 FETCH (BODY[] {5}\r\nhello UID 7)\r\nkf1 OK {3}\r\n",
	"* A ~{3+}\r\n{1}{001}\nx{0}\r\n\"{2}\r\n",
	"* LIST (\\X) \"\\\"{1}\" {1}\r\n\"\r\n* OK \"\n\r\r\n",
	"* 4294967296 X {5}\r\n* 0  {0}\r\n",
	"* 5 {7}\r\n",
	"*  7 X {1}\r\n.\r\n*  X {1}\r\n",
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
		in = in[:min(len(in), 300)] // it is run once for each byte
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
