package wire

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"
)

// run feeds in to a framer, cut at the given offsets, as a connection would: what
// was not consumed comes again with the new bytes. It returns the events, the data
// of one literal joined, and the error with its offset in the stream as the last.
// It checks what must be true of each call.
func run(t testing.TB, f *Framer, in []byte, cuts ...int) (events []string) {
	t.Helper()
	return runBy(t, f, false, in, cuts...)
}

// runBy is run by Next alone or, with lines, by Line wherever that will do, which
// must come to the same.
func runBy(t testing.TB, f *Framer, lines bool, in []byte, cuts ...int) (events []string) {
	t.Helper()
	var data []byte
	used, inReply := 0, false
	for _, end := range append(cuts, len(in)) {
		for {
			buf := in[used:end:end]
			if lines {
				if line, n := f.Line(buf); n > 0 {
					checkEvent(t, Event{Kind: KindText, Data: line}, buf, len(line))
					checkEvent(t, Event{Kind: KindEnd}, buf[len(line):], n-len(line))
					events = append(events, "text "+strconv.Quote(string(line)), "end")
					used += n
					continue
				}
			}
			ev, n, err := f.Next(buf)
			if n < 0 || n > len(buf) {
				t.Fatalf("n is between 0 and len(buf): got %d of %d", n, len(buf))
			}
			if err != nil {
				if n != 0 || ev.Kind != KindNone {
					t.Fatalf("an error comes without event and bytes: got %v, %d", ev.Kind, n)
				}
				if _, _, again := f.Next([]byte("* OK\r\n")); again != err {
					t.Fatalf("errors are sticky: got %v, then %v", err, again)
				}
				if line, _ := f.Line([]byte("* OK\r\n")); line != nil {
					t.Fatalf("behind an error there is no line: got %q", line)
				}
				if len(data) > 0 {
					events = append(events, "data "+strconv.Quote(string(data)))
				}
				return append(events, fmt.Sprintf("error at %d: %v", used, err))
			}
			checkEvent(t, ev, buf, n)
			if ev.Kind != KindNone {
				inReply = ev.Kind != KindEnd
			}
			if f.InReply() != inReply {
				t.Fatalf("InReply is true between a reply's events: got %v after %v", f.InReply(), ev.Kind)
			}
			used += n
			if ev.Kind == KindNone {
				break
			}
			if ev.Kind == KindLiteralData {
				data = append(data, ev.Data...)
				continue
			}
			if len(data) > 0 {
				events = append(events, "data "+strconv.Quote(string(data)))
				data = data[:0]
			}
			events = append(events, describe(ev))
		}
	}
	if len(data) > 0 {
		events = append(events, "data "+strconv.Quote(string(data)))
	}
	return append(events, fmt.Sprintf("wants more at %d", used))
}

func describe(ev Event) string {
	switch ev.Kind {
	case KindText:
		return "text " + strconv.Quote(string(ev.Data))
	case KindLiteralHeader:
		s := fmt.Sprintf("header %s %d", ev.Data, ev.Size)
		if ev.Literal8 {
			s += " literal8"
		}
		if ev.NonSync {
			s += " nonsync"
		}
		return s
	}
	return strings.ToLower(ev.Kind.String())
}

// checkEvent checks that the event stands at the beginning of buf, that its bytes
// are borrowed and cannot be appended to, and that n covers it and its line end.
func checkEvent(t testing.TB, ev Event, buf []byte, n int) {
	t.Helper()
	if !bytes.HasPrefix(buf, ev.Data) {
		t.Fatalf("%v: data is a prefix of buf: got %q of %q", ev.Kind, ev.Data, buf)
	}
	if len(ev.Data) > 0 && (unsafe.SliceData(ev.Data) != unsafe.SliceData(buf) || cap(ev.Data) != len(ev.Data)) {
		t.Fatalf("%v: data aliases buf and has no room behind it", ev.Kind)
	}
	tail := string(buf[min(len(ev.Data), n):n])
	ok := true
	switch ev.Kind {
	case KindNone:
		ok = n == 0 && ev.Data == nil
	case KindText:
		ok = tail == ""
	case KindLiteralData:
		ok = tail == "" && n > 0
	case KindLiteralHeader, KindEnd:
		ok = tail == "\r\n" || tail == "\n"
	}
	if !ok {
		t.Fatalf("n covers the event and its line end: %v, data %q, tail %q", ev.Kind, ev.Data, tail)
	}
}

// deliver proves that in gives the events want whole, byte by byte, and cut in two
// at every offset.
func deliver(t testing.TB, newFramer func() *Framer, in []byte, want []string) {
	t.Helper()
	check := func(how string, cuts ...int) {
		t.Helper()
		for _, lines := range []bool{false, true} {
			if got := runBy(t, newFramer(), lines, in, cuts...); !slices.Equal(got, want) {
				t.Fatalf("input cut anywhere (here %s %d; by Line: %v) gives the same events\n got: %s\nwant: %s",
					how, cuts[:min(len(cuts), 1)], lines, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	}
	check("nowhere")
	every := make([]int, len(in))
	for i := range every {
		every[i] = i
		check("at", i)
	}
	check("everywhere from", every...)
}

func TestFramer(t *testing.T) {
	tests := []struct {
		name, in string
		want     []string
	}{
		{"nothing", "", nil},
		{"status", "kf12 OK NOOP completed\r\n", []string{`text "kf12 OK NOOP completed"`, "end"}},
		{"two", "* 3 EXISTS\r\n+ go\r\n", []string{`text "* 3 EXISTS"`, "end", `text "+ go"`, "end"}},
		{"unfinished", "* 3 EXISTS\r\n* 4", []string{`text "* 3 EXISTS"`, "end"}},
		{"empty line", "\r\n* OK\r\n", []string{`text ""`, "end", `text "* OK"`, "end"}},
		{"lone plus: Exchange, Yandex", "+\r\n", []string{`text "+"`, "end"}},
		{"bare LF", "* OK\n\n* NO\n", []string{`text "* OK"`, "end", `text ""`, "end", `text "* NO"`, "end"}},
		{"other CRs are data", "* \rOK\r\r\n\r", []string{`text "* \rOK\r"`, "end"}},
		{"NUL and 8-bit are data", "\x00* \xff\r\n", []string{`text "\x00* \xff"`, "end"}},
		{"space at the end: Outlook", "* STATUS a (UIDNEXT 1) \r\n", []string{`text "* STATUS a (UIDNEXT 1) "`, "end"}},

		{"literal", "* 1 FETCH (BODY[] {5}\r\nhello UID 7)\r\n", []string{
			`text "* 1 FETCH (BODY[] "`, "header {5} 5", `data "hello"`, `text " UID 7)"`, "end"}},
		{"empty literal", "* 1 FETCH (BODY[] {0}\r\n)\r\n", []string{
			`text "* 1 FETCH (BODY[] "`, "header {0} 0", `text ")"`, "end"}},
		{"literal at the end", "* LIST () {1}\r\n/ {3}\r\na\r\n\r\n* OK\r\n", []string{
			`text "* LIST () "`, "header {1} 1", `data "/"`, `text " "`, "header {3} 3", `data "a\r\n"`, `text ""`, "end",
			`text "* OK"`, "end"}},
		{"literals with nothing between", "* A {1}\r\nx{1}\r\ny{0}\r\n{1}\nz\n", []string{
			`text "* A "`, "header {1} 1", `data "x"`, `text ""`, "header {1} 1", `data "y"`, `text ""`, "header {0} 0",
			`text ""`, "header {1} 1", `data "z"`, `text ""`, "end"}},
		{"bare LF in header", "* A {1}\n\n\n", []string{`text "* A "`, "header {1} 1", `data "\n"`, `text ""`, "end"}},
		{"non-synchronizing: Gmail", "* A {2+}\r\nxy\r\n", []string{
			`text "* A "`, "header {2+} 2 nonsync", `data "xy"`, `text ""`, "end"}},
		{"literal8", "* A ~{2}\r\n\x00y\r\n", []string{
			`text "* A "`, "header ~{2} 2 literal8", `data "\x00y"`, `text ""`, "end"}},
		{"literal8 non-synchronizing", "* A ~{2+}\r\nxy\r\n", []string{
			`text "* A "`, "header ~{2+} 2 literal8 nonsync", `data "xy"`, `text ""`, "end"}},
		{"leading zeros", "* A {" + strings.Repeat("0", 50) + "2}\r\nxy\r\n", []string{
			`text "* A "`, "header {" + strings.Repeat("0", 50) + "2} 2", `data "xy"`, `text ""`, "end"}},
		{"any byte may precede", "* A x{1}\r\ny]{1}\r\nz+{1}\r\n0\r\n", []string{
			`text "* A x"`, "header {1} 1", `data "y"`, `text "]"`, "header {1} 1", `data "z"`, `text "+"`, "header {1} 1",
			`data "0"`, `text ""`, "end"}},
		{"header behind header is text", "* A {1}{2}\r\nxy\r\n", []string{
			`text "* A {1}"`, "header {2} 2", `data "xy"`, `text ""`, "end"}},
		{"data that looks like replies", "* 1 FETCH (BODY[] {20}\r\n)\r\nkf1 OK done {7}\r\n)\r\n", []string{
			`text "* 1 FETCH (BODY[] "`, "header {20} 20", `data ")\r\nkf1 OK done {7}\r\n"`, `text ")"`, "end"}},
		{"data that ends like a header", "* A {5}\r\n (7} {7}\r\n\r\n", []string{
			`text "* A "`, "header {5} 5", `data " (7} "`, `text ""`, "header {7} 7", `data "\r\n"`}},
		{"the line end of the reply is not the literal's", "* A {4}\r\n {7}\r\n", []string{
			`text "* A "`, "header {4} 4", `data " {7}"`, `text ""`, "end"}},
		{"tagged, other than status", "kf1 FOO {1}\r\nx\r\n", []string{
			`text "kf1 FOO "`, "header {1} 1", `data "x"`, `text ""`, "end"}},

		{"no header", "* A {}\r\n* A { 3}\r\n* A {3} \r\n* A {3\r\n* A 3}\r\n* A {3-}\r\n* A {+}\r\n* A {-3}\r\n}\r\n+}\r\n3}\r\n", []string{
			`text "* A {}"`, "end", `text "* A { 3}"`, "end", `text "* A {3} "`, "end", `text "* A {3"`, "end", `text "* A 3}"`, "end",
			`text "* A {3-}"`, "end", `text "* A {+}"`, "end", `text "* A {-3}"`, "end", `text "}"`, "end", `text "+}"`, "end", `text "3}"`, "end"}},
		{"status text has none", "* OK a {3}\r\n* no {3}\r\n* Bad {3}\r\n* BYE {3}\r\n* preauth {3}\r\nkf1 OK {3}\r\nkf1 bAD ~{3+}\r\n+ {3}\r\n* 5 OK {3}\r\n", []string{
			`text "* OK a {3}"`, "end", `text "* no {3}"`, "end", `text "* Bad {3}"`, "end", `text "* BYE {3}"`, "end", `text "* preauth {3}"`, "end",
			`text "kf1 OK {3}"`, "end", `text "kf1 bAD ~{3+}"`, "end", `text "+ {3}"`, "end", `text "* 5 OK {3}"`, "end"}},
		{"inside a quoted string", `* A "x {3}` + "\r\n" + `* A "x\" {3}` + "\r\n" + `* A "x\\\"y" "{3}` + "\r\n", []string{
			`text "* A \"x {3}"`, "end", `text "* A \"x\\\" {3}"`, "end", `text "* A \"x\\\\\\\"y\" \"{3}"`, "end"}},
		{"behind a quoted string", `* A "x\\" {1}` + "\r\n-" + ` \"x" {1}` + "\r\n-\r\n", []string{
			`text "* A \"x\\\\\" "`, "header {1} 1", `data "-"`, `text " \\\"x\" "`, "header {1} 1", `data "-"`, `text ""`, "end"}},
		{"quotes count from the literal before", "* A \"\" {1}\r\n\" {1}\r\n-\"{1}\r\n", []string{
			`text "* A \"\" "`, "header {1} 1", `data "\""`, `text " "`, "header {1} 1", `data "-"`, `text "\"{1}"`, "end"}},

		{"malformed line with a literal", "* OK\r\n{5}\r\nhello\r\n", []string{`text "* OK"`, "end",
			`error at 6: wire: server sent a malformed reply: a malformed line announces a literal: "{5}"`}},
		{"plus without space", "+x {5}\r\n", []string{
			`error at 0: wire: server sent a malformed reply: a malformed line announces a literal: "+x {5}"`}},
		{"number too large", "* 4294967296 FETCH {5}\r\n", []string{
			`error at 0: wire: server sent a malformed reply: a malformed line announces a literal: "* 4294967296 FETCH {5}"`}},
		{"literal in place of a keyword", "* 5 {7}\r\n1234567\r\n", []string{
			`error at 0: wire: server sent a malformed reply: a literal in place of a keyword: "* 5 {7}"`}},
		{"literal inside a keyword", "* FOO{7}\r\n1234567\r\n", []string{
			`error at 0: wire: server sent a malformed reply: a literal in place of a keyword: "* FOO{7}"`}},
		{"malformed line without a literal", " x\r\n* 5\r\n", []string{`text " x"`, "end", `text "* 5"`, "end"}},
		{"larger than 64 bits", "* A {18446744073709551621}\r\n", []string{`text "* A "`,
			`error at 4: wire: server sent a literal over the limit of 67108864 bytes: "{18446744073709551621}"`}},
		{"larger than 63 bits", "* A ~{9223372036854775808+}\r\n", []string{`text "* A "`,
			`error at 4: wire: server sent a literal over the limit of 67108864 bytes: "~{9223372036854775808+}"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := tt.want
			if len(want) == 0 || !strings.HasPrefix(want[len(want)-1], "error") {
				n := len(tt.in)
				if tail := tt.in[strings.LastIndexByte(tt.in, '\n')+1:]; tt.name == "unfinished" || tt.name == "other CRs are data" {
					n -= len(tail)
				}
				want = append(want, fmt.Sprintf("wants more at %d", n))
			}
			deliver(t, func() *Framer { return new(Framer) }, []byte(tt.in), want)
		})
	}
}

// TestFramerNoLiteral: who is asked about a line, and what the answer does.
func TestFramerNoLiteral(t *testing.T) {
	in := []byte("* OK {1}\r\n* CAPABILITY X {1}\r\n* LIST {1}\r\na {1}\r\nb\r\nkf1 FOO {1}\r\n* FLAGS\r\n+ {1}\r\n* X \"{1}\r\n")
	var asked []string
	f := func() *Framer {
		asked = nil
		return &Framer{NoLiteral: func(h Head) bool {
			asked = append(asked, fmt.Sprint(h.Kind, " ", string(h.Keyword)))
			return !EqualFold(h.Keyword, "LIST")
		}}
	}
	deliver(t, f, in, []string{
		`text "* OK {1}"`, "end",
		`text "* CAPABILITY X {1}"`, "end",
		`text "* LIST "`, "header {1} 1", `data "a"`, `text " "`, "header {1} 1", `data "b"`, `text ""`, "end",
		`text "kf1 FOO {1}"`, "end", `text "* FLAGS"`, "end", `text "+ {1}"`, "end", `text "* X \"{1}"`, "end",
		fmt.Sprintf("wants more at %d", len(in)),
	})
	if got, want := strings.Join(asked, ", "), "0 CAPABILITY, 0 LIST, 1 FOO"; got != want {
		t.Errorf("NoLiteral is asked once, and only where a literal could be: got %s, want %s", got, want)
	}
}

// TestFramerLimits: each limit lets through what is as large as it, and nothing
// larger by a byte.
func TestFramerLimits(t *testing.T) {
	tests := []struct {
		name   string
		limits Limits
		in     string
		want   string // the last event
	}{
		{"line as long", Limits{Line: 10}, "* 34567890\r\n", "wants more at 12"},
		{"line as long, bare LF", Limits{Line: 10}, "* 34567890\n", "wants more at 11"},
		{"line as long, not ended", Limits{Line: 10}, "* 34567890\r", "wants more at 0"},
		{"line longer", Limits{Line: 10}, "* 345678901\r\n", `error at 0: wire: server sent a line over the limit of 10 bytes: "* 34567890"`},
		{"line longer, not ended", Limits{Line: 10}, "* 345678901", `error at 0: wire: server sent a line over the limit of 10 bytes: "* 34567890"`},
		{"line longer by a CR", Limits{Line: 10}, "* 34567890\r\r\n", `error at 0: wire: server sent a line over the limit of 10 bytes: "* 34567890"`},
		{"line with its header as long", Limits{Line: 10}, "* A 56 {1}\r\nx 34567 {1}\r\ny234567890\r\n", "wants more at 37"},
		{"line with its header longer", Limits{Line: 10}, "* A 567 {1}\r\n", `error at 0: wire: server sent a line over the limit of 10 bytes: "* A 567 {1"`},
		{"line behind a literal longer", Limits{Line: 10}, "* A 56 {1}\r\nx12345678901\r\n", `error at 13: wire: server sent a line over the limit of 10 bytes: "1234567890"`},

		{"literal as large", Limits{Literal: 10}, "* A {10}\r\n1234567890\r\n", "wants more at 22"},
		{"literal larger", Limits{Literal: 10}, "* A {11}\r\n", `error at 4: wire: server sent a literal over the limit of 10 bytes: "{11}"`},
		{"second literal larger", Limits{Literal: 10}, "* A {1}\r\nx ~{011+}\r\n", `error at 11: wire: server sent a literal over the limit of 10 bytes: "~{011+}"`},

		{"reply as large, one line", Limits{Reply: 10}, "* 34567890\r\n", "wants more at 12"},
		{"reply larger, one line", Limits{Reply: 10}, "* 345678901", `error at 0: wire: server sent a reply over the limit of 10 bytes: "* 34567890"`},
		{"reply as large by its literal", Limits{Reply: 14}, "* A {5}\r\nhello\r\n", "wants more at 16"},
		{"reply larger by its literal", Limits{Reply: 13}, "* A {5}\r\nhello\r\n", `error at 4: wire: server sent a reply over the limit of 13 bytes: "{5}"`},
		{"reply as large by its tail", Limits{Reply: 16}, "* A {5}\r\nhello)x\r\n", "wants more at 18"},
		{"reply larger by its tail", Limits{Reply: 15}, "* A {5}\r\nhello)x\r\n", `error at 14: wire: server sent a reply over the limit of 15 bytes: ")"`},
		{"reply larger by a header", Limits{Reply: 16}, "* A {5}\r\nhello{0}\r\n", `error at 14: wire: server sent a reply over the limit of 16 bytes: "{0"`},
		{"reply larger by a header's line end", Limits{Reply: 18}, "* A {5}\r\nhello{0}\r\n", `error at 14: wire: server sent a reply over the limit of 18 bytes: "{0}"`},
		{"reply as large by many literals", Limits{Reply: 24}, "* A {0}\r\n{0}\r\n{0}\r\n{0}\r\n\r\n", "wants more at 26"},
		{"reply larger by many literals", Limits{Reply: 24}, "* A {0}\r\n{0}\r\n{0}\r\n{0}\r\n)\r\n", `error at 24: wire: server sent a reply over the limit of 24 bytes: ""`},
		{"limits are for each reply", Limits{Line: 7, Literal: 1, Reply: 10}, strings.Repeat("* A {1}\r\nx\r\n", 3), "wants more at 36"},

		{"no limit that could wrap", Limits{math.MaxInt64, math.MaxInt64, math.MaxInt64}, "* A {9223372036854775807}\r\n",
			`error at 4: wire: server sent a reply over the limit of 9223372036854775807 bytes: "{9223372036854775807}"`},
		{"no limit that is negative", Limits{-1, -1, -1}, "* A {5}\r\nhello\r\n", "wants more at 16"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			framer := func() *Framer { return &Framer{Limits: &tt.limits} }
			events := run(t, framer(), []byte(tt.in))
			if got := events[len(events)-1]; got != tt.want {
				t.Fatalf("a limit holds to the byte\n got: %s\nwant: %s", got, tt.want)
			}
			deliver(t, framer, []byte(tt.in), events)
		})
	}
}

// TestFramerDefaultLimits checks the stated defaults, one byte below and above.
// The short cut obeys the limits, too: whichever is the smaller.
func TestLineLimits(t *testing.T) {
	for _, tc := range []struct {
		limits Limits
		ok     bool
	}{
		{Limits{Line: 4}, true}, {Limits{Line: 3}, false},
		{Limits{Reply: 4}, true}, {Limits{Reply: 3}, false},
	} {
		f := Framer{Limits: &tc.limits}
		if line, n := f.Line([]byte("* OK\r\n")); (n == 6) != tc.ok || (string(line) == "* OK") != tc.ok {
			t.Errorf("Line takes 4 bytes under %+v: %v; got %q, %d", tc.limits, tc.ok, line, n)
		}
	}
}

func TestFramerDefaultLimits(t *testing.T) {
	line := bytes.Repeat([]byte("x"), 8<<20+1)
	tests := []struct {
		name, in string
		f        Framer
		ok       bool
	}{
		{"line of 8 MiB", string(line[1:]) + "\r\n", Framer{}, true},
		{"line of 8 MiB and a byte", string(line) + "\r\n", Framer{}, false},
		{"literal of 64 MiB", "* A {67108864}\r\n", Framer{}, true},
		{"literal of 64 MiB and a byte", "* A {67108865}\r\n", Framer{}, false},
		{"reply of 72 MiB", "* A {75497456}\r\n", Framer{Limits: &Limits{Literal: math.MaxInt64}}, true},
		{"reply of 72 MiB and a byte", "* A {75497457}\r\n", Framer{Limits: &Limits{Literal: math.MaxInt64}}, false},
	}
	for _, tt := range tests {
		events := run(t, &tt.f, []byte(tt.in))
		failed := strings.HasPrefix(events[len(events)-1], "error")
		if failed == tt.ok {
			t.Errorf("%s: accepted is %v, want %v", tt.name, !failed, tt.ok)
		}
	}
}

// TestFramerErrors: what the errors hold, by type.
func TestFramerErrors(t *testing.T) {
	long := "* " + strings.Repeat("\x1b", 300)
	var syntax *SyntaxError
	_, _, err := new(Framer).Next([]byte("{5}" + long + " {5}\r\n"))
	if err != nil {
		t.Fatalf("a tag may be odd: got %v", err)
	}
	_, _, err = new(Framer).Next([]byte(" " + long + " {5}\r\n"))
	if !errors.As(err, &syntax) || syntax.Input != (" " + long)[:200] {
		t.Errorf("a malformed line is a *SyntaxError with 200 bytes of it: got %T %v", err, err)
	}
	if strings.ContainsRune(err.Error(), '\x1b') {
		t.Errorf("the text of an error can go to a terminal: got %q", err)
	}
	var limit *LimitError
	_, _, err = (&Framer{Limits: &Limits{Line: 250}}).Next([]byte(long))
	if !errors.As(err, &limit) || limit.Input != long[:200] || limit.What != "line" || limit.Limit != 250 {
		t.Errorf("a long line is a *LimitError with 200 bytes of it: got %T %v", err, err)
	}
}

// TestFramerLinear counts work. A line cut into a million pieces is searched once:
// what was searched before is overwritten with line ends, and nobody notices.
func TestFramerLinear(t *testing.T) {
	const pieces = 1 << 20
	in := append(bytes.Repeat([]byte("1 "), pieces/2), "{5}\r\n"...)
	copy(in, "* SEARCH")
	buf := bytes.Repeat([]byte("\n"), len(in))
	var f Framer
	for i := range in[:len(in)-1] {
		buf[i] = in[i]
		if ev, n, err := f.Next(buf[:i+1]); ev.Kind != KindNone || n != 0 || err != nil {
			t.Fatalf("bytes already searched are not searched again: got %v, %d, %v at byte %d", ev.Kind, n, err, i)
		}
		if i != len(in)-2 { // the last may be the CR of the line end, and is looked at again
			buf[i] = '\n'
		}
	}
	ev, n, err := f.Next(in)
	if ev.Kind != KindText || n != len(in)-5 || err != nil {
		t.Fatalf("the line is whole at its last byte: got %v, %d, %v", ev.Kind, n, err)
	}
}

// TestFramerLiteralInPieces: literal data goes through as it comes, is not looked
// at, and nothing of it is asked for again.
func TestFramerLiteralInPieces(t *testing.T) {
	const size = 1 << 20
	var f Framer
	in := []byte("* 1 FETCH (BODY[] {1048576}\r\n")
	for len(in) > 0 {
		_, n, err := f.Next(in)
		if n == 0 || err != nil {
			t.Fatalf("a header is known before its bytes come: got %d, %v", n, err)
		}
		in = in[n:]
	}
	piece := []byte("\n")
	for i := range size {
		if ev, n, err := f.Next(piece); ev.Kind != KindLiteralData || n != 1 || err != nil {
			t.Fatalf("each byte of a literal goes through at once: got %v, %d, %v at %d", ev.Kind, n, err, i)
		}
	}
	if ev, n, _ := f.Next([]byte(")\r\n")); ev.Kind != KindText || n != 1 {
		t.Errorf("the text goes on behind the literal: got %v, %d", ev.Kind, n)
	}
}

// TestFramerBufferCut: a caller who shows less than before is told to bring more;
// bytes beyond the buffer's length are never looked at.
func TestFramerBufferCut(t *testing.T) {
	var f Framer
	buf := []byte("* OK\r\n")
	f.Next(buf)
	if ev, n, err := f.Next(buf[4:5]); ev.Kind != KindNone || n != 0 || err != nil {
		t.Errorf("half a line end is no line end: got %v, %d, %v", ev.Kind, n, err)
	}
	if ev, n, err := f.Next(buf[4:]); ev.Kind != KindEnd || n != 2 || err != nil {
		t.Errorf("the line end comes when it is whole: got %v, %d, %v", ev.Kind, n, err)
	}
}

func TestFramerSize(t *testing.T) {
	if size := unsafe.Sizeof(Framer{}); size > 64 {
		t.Errorf("a framer is small, for it is part of every idle connection: %d bytes", size)
	}
}

func TestKindString(t *testing.T) {
	if got := fmt.Sprint(KindNone, KindText, KindLiteralHeader, KindLiteralData, KindEnd, Kind(9)); got != "None Text LiteralHeader LiteralData End Kind(9)" {
		t.Errorf("kinds have names: got %s", got)
	}
}
