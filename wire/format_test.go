package wire

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
)

type (
	namedString string
	namedUint8  uint8
	namedInt16  int16
	namedList   []namedString
)

// show formats a command and puts it in one line of text, with marks in it: `<wait>`,
// `<ref DATA>`, and `<secret>` before and `</secret>` behind a secret.
func show(t testing.TB, lit Literals, format string, args ...any) (string, error) {
	t.Helper()
	const before = "before"
	old := Mark{Kind: MarkSecret, At: 1, End: 3}
	dst, marks, err := AppendCommand([]byte(before), []Mark{old}, lit, format, args)
	if !strings.HasPrefix(string(dst), before) || len(marks) == 0 || marks[0].Kind != old.Kind || marks[0].At != old.At || marks[0].End != old.End {
		t.Fatalf("%q: what was there stays: got %q, %v", format, dst, marks)
	}
	if err != nil {
		if len(dst) != len(before) || len(marks) != 1 {
			t.Fatalf("%q: after an error nothing was appended: got %q, %v", format, dst, marks)
		}
		return "", err
	}
	var b strings.Builder
	at := len(before)
	to := func(n int) {
		if n < at || n > len(dst) {
			t.Fatalf("%q: marks are in order and within dst: %v, len %d", format, marks, len(dst))
		}
		b.Write(dst[at:n])
		at = n
	}
	for _, m := range marks[1:] {
		to(m.At)
		switch m.Kind {
		case MarkWait:
			b.WriteString("<wait>")
		case MarkReference:
			fmt.Fprintf(&b, "<ref %s>", m.Data)
		case MarkSecret:
			b.WriteString("<secret>")
			to(m.End)
			b.WriteString("</secret>")
		}
	}
	to(len(dst))
	return b.String(), nil
}

func TestAppendCommand(t *testing.T) {
	k1023, k1024 := strings.Repeat("x", 1023), strings.Repeat("x", 1024)
	list := func(s ...string) []string { return s }
	tests := []struct {
		name   string
		lit    Literals
		format string
		args   []any
		want   string
	}{
		{"plain", 0, "NOOP", nil, "NOOP"},
		{"percent", 0, "LIST \"\" %%", nil, `LIST "" %`},
		{"percent twice", 0, "%%%%d", nil, "%%d"},
		{"8-bit format", 0, "X \xc3\xbc", nil, "X \xc3\xbc"},
		{"braces that announce nothing", 0, "X {5} {}", nil, "X {5} {}"},

		{"atom", 0, "AUTHENTICATE %a", []any{"SCRAM-SHA-256"}, "AUTHENTICATE SCRAM-SHA-256"},
		{"atom named", 0, "%a", []any{namedString("x")}, "x"},
		{"atom NIL", 0, "%a", []any{"NIL"}, "NIL"},
		{"text", 0, "FETCH %a %a", []any{Text("1:*"), Text(`(FLAGS BODY.PEEK[])`)}, "FETCH 1:* (FLAGS BODY.PEEK[])"},
		{"text 8-bit", 0, "X %a", []any{Text("\"\xc3\xbc\"")}, "X \"\xc3\xbc\""},

		{"astring atom", 0, "SELECT %s", []any{"INBOX"}, "SELECT INBOX"},
		{"astring atom with all it may hold", 0, "%s", []any{"][}+~'&#$!a/"}, "][}+~'&#$!a/"},
		{"astring empty", 0, "X %s", []any{""}, `X ""`},
		{"astring NIL", 0, "%s %s %s", []any{"NIL", "nil", "nIl"}, `"NIL" "nil" "nIl"`},
		{"astring not NIL", 0, "%s %s %s %s", []any{"NILS", "N", "NIM", "\xce\x9dL"}, "NILS N NIM {3}\r\n<wait>\xce\x9dL"},
		{"astring space", 0, "%s", []any{"a b"}, `"a b"`},
		{"astring specials", 0, "%s %s %s %s %s", []any{"a(", ")", "{", "%", "*"}, `"a(" ")" "{" "%" "*"`},
		{"astring quotes", 0, "%s %s", []any{`"`, `a\b"c\`}, `"\"" "a\\b\"c\\"`},
		{"astring controls", 0, "%s %s", []any{"\x01\t\x1f", "\x7f"}, "\"\x01\t\x1f\" \"\x7f\""},
		{"astring CR", 0, "X %s y", []any{"a\rb"}, "X {3}\r\n<wait>a\rb y"},
		{"astring LF", 0, "X %s y", []any{"a\n"}, "X {2}\r\n<wait>a\n y"},
		{"astring 8-bit", 0, "X %s", []any{"\x80"}, "X {1}\r\n<wait>\x80"},
		{"astring 8-bit non-synchronizing", NonSynchronizing, "X %s", []any{"\xff"}, "X {1+}\r\n\xff"},
		{"astring 1023", 0, "X %s", []any{k1023}, "X " + k1023},
		{"astring 1023 quoted", 0, "X %s", []any{k1023[1:] + " "}, `X "` + k1023[1:] + ` "`},
		{"astring 1024", 0, "X %s", []any{k1024}, "X {1024}\r\n<wait>" + k1024},
		{"astring 1024 quoted", 0, "X %s", []any{k1024[1:] + " "}, "X {1024}\r\n<wait>" + k1024[1:] + " "},
		{"astring that looks like a header", 0, "X %s", []any{"{5}"}, `X "{5}"`},
		{"astring literal that looks like a header", 0, "X %s", []any{"\r{5}"}, "X {4}\r\n<wait>\r{5}"},
		{"astring literal that looks like a header, more behind it", 0, "X %s)", []any{"\r{5}"}, "X {4}\r\n<wait>\r{5})"},
		{"astring named", 0, "X %s %s", []any{namedString("a b"), Text("c(")}, `X "a b" "c("`},

		{"signed", 0, "%d %d %d %d %d %d %d %d", []any{-5, int64(math.MinInt64), int8(math.MinInt8), int16(math.MaxInt16), int32(math.MinInt32), int64(math.MaxInt64), namedInt16(-7), time.Duration(5)},
			"-5 -9223372036854775808 -128 32767 -2147483648 9223372036854775807 -7 5"},
		{"unsigned", 0, "%u %u %u %u %u %u %u", []any{uint(5), uint8(math.MaxUint8), uint16(math.MaxUint16), uint32(math.MaxUint32), uint64(math.MaxUint64), namedUint8(7), uintptr(9)},
			"5 255 65535 4294967295 18446744073709551615 7 9"},

		{"list", 0, "X (%v)", []any{list("a", "", "b c", "NIL")}, `X (a "" "b c" "NIL")`},
		{"list of one", 0, "X %v", []any{list("a")}, "X a"},
		{"list with literals", 0, "X %v", []any{list("\r", "b", "\n")}, "X {1}\r\n<wait>\r b {1}\r\n<wait>\n"},
		{"list empty", 0, "X (%v)", []any{list()}, "X ()"},
		{"list nil", 0, "X %v", []any{[]string(nil)}, "X "},
		{"list named and empty", 0, "X (%v)", []any{namedList{}}, "X ()"},
		{"list named", 0, "X %v", []any{namedList{"a", "b c"}}, `X a "b c"`},

		{"secret atom", 0, "LOGIN %s %p", []any{"u", "secret"}, "LOGIN u <secret>secret</secret>"},
		{"secret quoted", 0, "LOGIN %s %p x", []any{"u", "a b"}, `LOGIN u <secret>"a b"</secret> x`},
		{"secret literal", 0, "LOGIN u %p x", []any{"\xfc"}, "LOGIN u <secret>{1}\r\n</secret><wait><secret>\xfc</secret> x"},
		{"secret literal non-synchronizing", NonSynchronizing, "LOGIN u %p x", []any{"\xfc"}, "LOGIN u <secret>{1+}\r\n\xfc</secret> x"},
		{"secret named", 0, "%p", []any{namedString("x")}, "<secret>x</secret>"},

		{"literal", 0, "APPEND a %l", []any{[]byte("a\x00b")}, "APPEND a {3}\r\n<wait><ref a\x00b>"},
		{"literal non-synchronizing", NonSynchronizing, "APPEND a %l x", []any{[]byte("ab")}, "APPEND a {2+}\r\n<ref ab> x"},
		{"literal empty", 0, "APPEND a %l", []any{[]byte{}}, "APPEND a {0}\r\n<wait>"},
		{"literal nil", NonSynchronizing, "APPEND a %l", []any{[]byte(nil)}, "APPEND a {0+}\r\n"},
		{"literal8", 0, "APPEND a %L", []any{[]byte("ab")}, "APPEND a ~{2}\r\n<wait><ref ab>"},
		{"literal8 non-synchronizing", NonSynchronizing, "APPEND a %L %l", []any{[]byte("ab"), []byte("c")}, "APPEND a ~{2+}\r\n<ref ab> {1+}\r\n<ref c>"},
		{"literal that looks like a header", 0, "APPEND a %l", []any{[]byte("{5}")}, "APPEND a {3}\r\n<wait><ref {5}>"},
		{"literal behind what looks like a header", NonSynchronizing, "X {5}%l", []any{[]byte("a")}, "X {5}{1+}\r\n<ref a>"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := show(t, tt.lit, tt.format, tt.args...); got != tt.want || err != nil {
				t.Errorf("%q, %v:\n got %q, %v\nwant %q", tt.format, tt.args, got, err, tt.want)
			}
		})
	}
}

func TestAppendCommandErrors(t *testing.T) {
	type secret struct{ s string }
	pointer := new(string)
	tests := []struct {
		format string
		args   []any
		want   FormatError
	}{
		{"", nil, FormatError{"", "", 0, "empty command"}},
		{"NO\rOP", nil, FormatError{"NO\rOP", "", 0, "CR, LF or NUL in the format"}},
		{"NOOP\n", nil, FormatError{"NOOP\n", "", 0, "CR, LF or NUL in the format"}},
		{"\x00", nil, FormatError{"\x00", "", 0, "CR, LF or NUL in the format"}},
		{"X %s\r\nDELETE y", []any{"a"}, FormatError{"X", "", 0, "CR, LF or NUL in the format"}},
		{"X %", nil, FormatError{"X", "", 0, "% at the end of the format"}},
		{"X %q", []any{"a"}, FormatError{"X", "%q", 1, "unknown verb"}},
		{"X %q", nil, FormatError{"X", "%q", 1, "unknown verb"}},
		{"X %\xff", []any{"a"}, FormatError{"X", "%\u00ff", 1, "unknown verb"}},
		{"X %\r", []any{"a"}, FormatError{"X", "%\r", 1, "unknown verb"}},
		{"X %-d", []any{1}, FormatError{"X", "%-", 1, "unknown verb"}},
		{"X %s", nil, FormatError{"X", "%s", 1, "missing"}},
		{"X %s %d", []any{"a"}, FormatError{"X", "%d", 2, "missing"}},
		{"X", []any{"a"}, FormatError{"X", "", 1, "there is no verb for it"}},
		{"X %s%%", []any{"a", nil}, FormatError{"X", "", 2, "there is no verb for it"}},

		{"X %s", []any{"a\x00"}, FormatError{"X", "%s", 1, "holds a NUL byte"}},
		{"X %s", []any{strings.Repeat("x", 2000) + "\x00"}, FormatError{"X", "%s", 1, "holds a NUL byte"}},
		{"X %s", []any{1}, FormatError{"X", "%s", 1, "is of type int, not a string"}},
		{"X %s", []any{nil}, FormatError{"X", "%s", 1, "is nil, not a string"}},
		{"X %s", []any{[]byte("a")}, FormatError{"X", "%s", 1, "is of type []uint8, not a string"}},
		{"X %s", []any{pointer}, FormatError{"X", "%s", 1, "is of type *string, not a string"}},
		{"X %s", []any{secret{"a"}}, FormatError{"X", "%s", 1, "is of type wire.secret, not a string"}},
		{"X %s", []any{errors.New("a")}, FormatError{"X", "%s", 1, "is of type *errors.errorString, not a string"}},
		{"X %s %s", []any{"\r", "\x00"}, FormatError{"X", "%s", 2, "holds a NUL byte"}},

		{"X %a", []any{""}, FormatError{"X", "%a", 1, "is empty"}},
		{"X %a", []any{"a b"}, FormatError{"X", "%a", 1, "no atom can hold the byte 0x20, at offset 1"}},
		{"X %a", []any{"a\r\nDELETE"}, FormatError{"X", "%a", 1, "no atom can hold the byte 0xd, at offset 1"}},
		{"X %a", []any{"a]"}, FormatError{"X", "%a", 1, "no atom can hold the byte 0x5d, at offset 1"}},
		{"X %a", []any{"1:*"}, FormatError{"X", "%a", 1, "no atom can hold the byte 0x2a, at offset 2"}},
		{"X %a", []any{"\xff"}, FormatError{"X", "%a", 1, "no atom can hold the byte 0xff, at offset 0"}},
		{"X %a", []any{Text("")}, FormatError{"X", "%a", 1, "is empty"}},
		{"X %a", []any{Text("a\r\n")}, FormatError{"X", "%a", 1, "holds CR, LF or NUL"}},
		{"X %a", []any{Text("\x00")}, FormatError{"X", "%a", 1, "holds CR, LF or NUL"}},
		{"X %a", []any{5}, FormatError{"X", "%a", 1, "is of type int, not a string or a wire.Text"}},

		{"X %d", []any{uint(1)}, FormatError{"X", "%d", 1, "is of type uint, not a signed integer"}},
		{"X %d", []any{1.0}, FormatError{"X", "%d", 1, "is of type float64, not a signed integer"}},
		{"X %d", []any{"1"}, FormatError{"X", "%d", 1, "is of type string, not a signed integer"}},
		{"X %d", []any{nil}, FormatError{"X", "%d", 1, "is nil, not a signed integer"}},
		{"X %u", []any{1}, FormatError{"X", "%u", 1, "is of type int, not an unsigned integer"}},
		{"X %u", []any{nil}, FormatError{"X", "%u", 1, "is nil, not an unsigned integer"}},

		{"X %v", []any{[]string{"a", "\x00"}}, FormatError{"X", "%v", 1, "holds a NUL byte"}},
		{"X %v", []any{namedList{"a", "\x00"}}, FormatError{"X", "%v", 1, "holds a NUL byte"}},
		{"X %v", []any{"a"}, FormatError{"X", "%v", 1, "is of type string, not a []string"}},
		{"X %v", []any{[]int{1}}, FormatError{"X", "%v", 1, "is of type []int, not a []string"}},
		{"X %v", []any{[1]string{"a"}}, FormatError{"X", "%v", 1, "is of type [1]string, not a []string"}},
		{"X %v", []any{nil}, FormatError{"X", "%v", 1, "is nil, not a []string"}},

		{"LOGIN u %p", []any{"hunter2\x00"}, FormatError{"LOGIN", "%p", 1, "holds a NUL byte"}},
		{"LOGIN u %p", []any{[]byte("hunter2")}, FormatError{"LOGIN", "%p", 1, "is of type []uint8, not a string"}},
		{"X %l", []any{"a"}, FormatError{"X", "%l", 1, "is of type string, not a []byte"}},
		{"X %l", []any{nil}, FormatError{"X", "%l", 1, "is nil, not a []byte"}},
		{"X %L", []any{strings.NewReader("a")}, FormatError{"X", "%L", 1, "is of type *strings.Reader, not a []byte"}},

		{"X {5}", nil, FormatError{"X", "", 0, "the server would take the end for the header of a literal"}},
		{"X {5+}", nil, FormatError{"X", "", 0, "the server would take the end for the header of a literal"}},
		{"X~{005}", nil, FormatError{"X~{005}", "", 0, "the server would take the end for the header of a literal"}},
		{"X ~{5+}", nil, FormatError{"X", "", 0, "the server would take the end for the header of a literal"}},
		{"{0}", nil, FormatError{"{0}", "", 0, "the server would take the end for the header of a literal"}},
		{"X {%d}", []any{5}, FormatError{"X", "", 0, "the server would take the end for the header of a literal"}},
		{"X {%a", []any{"5}"}, FormatError{"X", "", 0, "the server would take the end for the header of a literal"}},
		{"X %a", []any{Text("{99999999999999999999}")}, FormatError{"X", "", 0, "the server would take the end for the header of a literal"}},
		{"X %l{5}", []any{[]byte("a")}, FormatError{"X", "", 0, "the server would take the end for the header of a literal"}},
		{"X %s{5}", []any{"\r"}, FormatError{"X", "", 0, "the server would take the end for the header of a literal"}},
	}
	for _, tt := range tests {
		_, err := show(t, Synchronizing, tt.format, tt.args...)
		var got *FormatError
		if !errors.As(err, &got) || *got != tt.want {
			t.Errorf("%q, %T: got %#v, want %#v", tt.format, tt.args, err, tt.want)
		}
	}
}

// TestFormatErrorText: an error names the place and shows no argument, nor what of
// the format may have been one.
func TestFormatErrorText(t *testing.T) {
	_, err := show(t, Synchronizing, "LOGIN %s %p", "u", "hunter2\x00")
	if got, want := fmt.Sprint(err), `wire: command "LOGIN": argument 2: %p: holds a NUL byte`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	_, err = show(t, Synchronizing, "LOGIN u hunter2\r\n")
	if got, want := fmt.Sprint(err), `wire: command "LOGIN": CR, LF or NUL in the format`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	_, err = show(t, Synchronizing, strings.Repeat("\x1b", 100), 1)
	if got, want := fmt.Sprint(err), `wire: command "`+strings.Repeat(`\x1b`, 32)+`": argument 1: there is no verb for it`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	_, err = AppendAtom(nil, "a b")
	if got, want := fmt.Sprint(err), `wire: no atom can hold the byte 0x20, at offset 1`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestAppendCommandKeeps: %l and %L refer to the caller's bytes, nothing else does.
func TestAppendCommandKeeps(t *testing.T) {
	data := []byte("message")
	_, marks, err := AppendCommand(nil, nil, NonSynchronizing, "X %l", []any{data})
	if err != nil || len(marks) != 1 || &marks[0].Data[0] != &data[0] {
		t.Errorf("the bytes of a literal are not copied: got %v, %v", marks, err)
	}
}

// assemble returns the bytes that a command becomes on the wire, with their line
// end, and the offsets at which the writer waits.
func assemble(dst []byte, marks []Mark) (stream []byte, waits map[int]bool) {
	waits = map[int]bool{}
	at := 0
	for _, m := range marks {
		if m.Kind == MarkSecret {
			continue
		}
		stream = append(stream, dst[at:m.At]...)
		at = m.At
		if m.Kind == MarkWait {
			waits[len(stream)] = true
		}
		stream = append(stream, m.Data...)
	}
	stream = append(stream, dst[at:]...)
	return append(stream, "\r\n"...), waits
}

// checkServerReads reads stream as a server does, which knows no quotes: line by
// line, each that ends in a literal's header followed by the literal and another
// line. It must be one command, and waits where it must wait.
func checkServerReads(t *testing.T, stream []byte, waits map[int]bool) {
	t.Helper()
	at := 0
	for {
		line, _, ok := strings.Cut(string(stream[at:]), "\r\n")
		if !ok || strings.ContainsAny(line, "\r\n\x00") {
			t.Fatalf("a line holds no CR, LF or NUL: %q in %q", line, stream)
		}
		at += len(line) + 2
		header := modelLiteral.FindString(line)
		if header == "" {
			break
		}
		if waits[at] == strings.Contains(header, "+") {
			t.Fatalf("a literal waits unless it has a +: %s in %q", header, stream)
		}
		delete(waits, at)
		size, _ := strconv.Atoi(strings.Trim(header, "~{+}"))
		if at += size; at > len(stream) {
			t.Fatalf("a literal is as long as its header says: %s in %q", header, stream)
		}
	}
	if at != len(stream) || len(waits) > 0 {
		t.Fatalf("it is one command, and waits only for its literals: %q, %v", stream, waits)
	}
}

// FuzzAppendCommand: whatever the format and the arguments, either nothing is
// appended, or a server reads one command.
func FuzzAppendCommand(f *testing.F) {
	f.Add("X %s %p %v %a %d %u %l %L %%", "INBOX", "a b\"\\", []byte("data"), int64(-5), true)
	f.Add("LOGIN %s %p", "\xff{5}", "\r\n", []byte("{5}\r\n"), int64(5), false)
	f.Add("X {%d}", "{5}", "NIL", []byte{}, int64(5), false)
	f.Add("%v{%u+}", "", "\x00", []byte{0}, int64(math.MaxInt64), true)
	f.Fuzz(func(t *testing.T, format, s, s2 string, data []byte, n int64, nonSync bool) {
		lit := Synchronizing
		if nonSync {
			lit = NonSynchronizing
		}
		var args []any
		for i := 0; i+1 < len(format); i++ {
			if format[i] != '%' {
				continue
			}
			i++
			if arg, ok := map[byte]any{
				's': s, 'p': s2, 'a': Text(s), 'd': n, 'u': uint64(n), 'v': []string{s2, s}, 'l': data, 'L': data,
			}[format[i]]; ok {
				args = append(args, arg)
			}
		}
		if _, err := show(t, lit, format, args...); err == nil {
			dst, marks, _ := AppendCommand(nil, nil, lit, format, args)
			stream, waits := assemble(dst, marks)
			checkServerReads(t, stream, waits)
		} else if _, ok := err.(*FormatError); !ok {
			t.Fatalf("an error is a *FormatError: %T", err)
		}
		checkRoundTrip(t, lit, s, s2, data, n)
	})
}

// checkRoundTrip formats all verbs at once and reads the result back as a reply.
func checkRoundTrip(t *testing.T, lit Literals, s, s2 string, data []byte, n int64) {
	list := []string{s2, s, ""}
	dst, marks, err := AppendCommand(nil, nil, lit, "X %s %p (%v) %a %d %u %l %L %s",
		[]any{s, s2, list, "atom", n, uint64(n), data, data, s})
	if hasNUL := strings.Contains(s+s2, "\x00"); hasNUL != (err != nil) {
		t.Fatalf("only NUL is refused in strings: %q, %q, %v", s, s2, err)
	} else if hasNUL {
		return
	}
	stream, _ := assemble(dst, marks)
	stream = append([]byte("* "), stream...)
	events := run(t, new(Framer), stream)
	ends := 0
	for _, e := range events {
		if e == "end" {
			ends++
		}
	}
	if last := events[len(events)-1]; ends != 1 || last != fmt.Sprintf("wants more at %d", len(stream)) {
		t.Fatalf("what was formatted is one reply to the framer: %q gives %v", stream, events)
	}
	c := NewCursor(stream[len("* X "):])
	str := func(want string) {
		if got := c.ExpectAString(); !got.Equal(want) || got.String() != want {
			t.Fatalf("what was formatted parses back: got %q, want %q", got, want)
		}
	}
	str(s)
	c.ExpectSP()
	str(s2)
	c.ExpectSP()
	c.ExpectListBegin()
	for i := 0; c.More(); i++ {
		str(list[i])
	}
	c.ExpectSP()
	c.ExpectAtom()
	c.ExpectSP()
	if got := string(c.ExpectAtom()); got != strconv.FormatInt(n, 10) {
		t.Fatalf("a number parses back: got %s, want %d", got, n)
	}
	c.ExpectSP()
	if got := string(c.ExpectAtom()); got != strconv.FormatUint(uint64(n), 10) {
		t.Fatalf("a number parses back: got %s, want %d", got, uint64(n))
	}
	for range 2 {
		c.ExpectSP()
		if got := c.ExpectLiteral(); !got.Equal(string(data)) {
			t.Fatalf("a literal parses back: got %q, want %q", got, data)
		}
	}
	c.ExpectSP()
	str(s)
	if string(c.Rest()) != "\r\n" || c.Err() != nil {
		t.Fatalf("nothing else was formatted: %q, %v", c.Rest(), c.Err())
	}
}
