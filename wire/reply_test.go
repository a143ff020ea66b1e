package wire

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestParseHead(t *testing.T) {
	tests := []struct {
		in   string
		want string // as headString has it
	}{
		{"* OK", `untagged -1 "OK" text ""`},
		{"* OK ", `untagged -1 "OK" text ""`},
		{"* OK  [X]  done ", `untagged -1 "OK" text " [X]  done "`},
		{"* ACAP (SASL \"PLAIN\")", `untagged -1 "ACAP" text "(SASL \"PLAIN\")"`},
		{"* 3 EXISTS", `untagged 3 "EXISTS" text ""`},
		{"* 0 FETCH (X)", `untagged 0 "FETCH" text "(X)"`},
		{"* 0003 EXISTS", `untagged 3 "EXISTS" text ""`},
		{"*  1843 EXISTS", `untagged 1843 "EXISTS" text ""`},
		{"*   0 X", `untagged 0 "X" text ""`},
		{"* 4294967295 EXPUNGE", `untagged 4294967295 "EXPUNGE" text ""`},
		{"* 123ABC", `untagged -1 "123ABC" text ""`},
		{"* 99999999999999999999ABC", `untagged -1 "99999999999999999999ABC" text ""`},
		{"* -1 EXISTS", `untagged -1 "-1" text "EXISTS"`},
		{"* 5 6", `untagged 5 "6" text ""`},
		{"* 5 6 7", `untagged 5 "6" text "7"`},
		{"* [COPYUID 1 2 3]", `untagged -1 "[COPYUID" text "1 2 3]"`},
		{"* \tX\r y", `untagged -1 "\tX\r" text "y"`},
		{"* * *", `untagged -1 "*" text "*"`},
		{"kf12 OK NOOP completed", `tagged kf12 "OK" text "NOOP completed"`},
		{"1 ok", `tagged 1 "ok" text ""`},
		{"a 5", `tagged a "5" text ""`},
		{"a 5 EXISTS", `tagged a "5" text "EXISTS"`},
		{"Server Unavailable. 15", `tagged Server "Unavailable." text "15"`},
		{"\x00* OK", `tagged "\x00*" "OK" text ""`},
		{"+", `continuation text ""`},
		{"+ ", `continuation text ""`},
		{"+ idling", `continuation text "idling"`},
		{"+  5", `continuation text " 5"`},

		{"", "empty line"},
		{" ", "line begins with a space"},
		{" * OK", "line begins with a space"},
		{"*", "no keyword"},
		{"* ", "no keyword"},
		{"*  OK", "no keyword"},
		{"*  EXISTS", "no keyword"},
		{"*  123ABC", "no keyword"},
		{"* 5", "no keyword"},
		{"* 5 ", "no keyword"},
		{"* 5  EXISTS", "no keyword"},
		{"* 4294967296 EXISTS", "number above 4294967295"},
		{"* 18446744073709551621 EXISTS", "number above 4294967295"},
		{"* 18446744073709551621", "no keyword"},
		{"*OK", "no space after the first byte"},
		{"*x OK", "no space after the first byte"},
		{"+x", "no space after the first byte"},
		{"++ x", "no space after the first byte"},
		{"a", "no keyword"},
		{"a ", "no keyword"},
		{"a  OK", "no keyword"},
		{"CAPABILITY", "no keyword"},
	}
	for _, tt := range tests {
		if got := headString(t, tt.in); got != tt.want {
			t.Errorf("ParseHead(%q) = %s, want %s", tt.in, got, tt.want)
		}
	}
}

// headString parses line, checks what holds for every head, and puts it in words.
func headString(t testing.TB, line string) string {
	t.Helper()
	h, err := ParseHead([]byte(line))
	if err != nil {
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || syntax.Input != line[:min(len(line), 200)] {
			t.Fatalf("a malformed line is a *SyntaxError with the line in it: got %T %v", err, err)
		}
		return syntax.Reason
	}
	if h.Text < 0 || h.Text > len(line) {
		t.Fatalf("Text is an offset in the line: got %d in %q", h.Text, line)
	}
	if cap(h.Tag) != len(h.Tag) || cap(h.Keyword) != len(h.Keyword) {
		t.Fatalf("nobody can append over the line: %q", line)
	}
	text := strconv.Quote(line[h.Text:])
	switch h.Kind {
	case Untagged:
		if h.Tag != nil {
			t.Fatalf("an untagged reply has no tag: %q", line)
		}
		return fmt.Sprintf("untagged %d %q text %s", h.Number, h.Keyword, text)
	case Tagged:
		tag := string(h.Tag)
		if strings.ContainsFunc(tag, func(r rune) bool { return r < '!' || r > '~' }) {
			tag = strconv.Quote(tag)
		}
		if h.Number != -1 {
			t.Fatalf("only untagged replies have a number: %q", line)
		}
		return fmt.Sprintf("tagged %s %q text %s", tag, h.Keyword, text)
	default:
		if h.Number != -1 || h.Tag != nil || h.Keyword != nil {
			t.Fatalf("a continuation has only text: %q", line)
		}
		return "continuation text " + text
	}
}

func TestParseHeadLong(t *testing.T) {
	_, err := ParseHead([]byte(strings.Repeat("\x07", 1000)))
	var syntax *SyntaxError
	if !errors.As(err, &syntax) || len(syntax.Input) != 200 {
		t.Fatalf("an error keeps 200 bytes of the line: got %v", err)
	}
	if want := "wire: server sent a malformed reply: no keyword: \"" + strings.Repeat(`\a`, 200) + `"`; err.Error() != want {
		t.Errorf("the bytes are quoted: got %s", err)
	}
}

func TestStatusOf(t *testing.T) {
	names := map[string]Status{"OK": OK, "NO": NO, "BAD": BAD, "BYE": BYE, "PREAUTH": PREAUTH}
	for name, want := range names {
		// Each case of each letter, and each byte in place of each letter.
		for mask := range 1 << len(name) {
			b := []byte(name)
			for i := range b {
				if mask>>i&1 != 0 {
					b[i] |= 0x20
				}
			}
			if got := StatusOf(b); got != want {
				t.Errorf("status ignores case: StatusOf(%q) = %v", b, got)
			}
		}
		for i := range name {
			for c := range 256 {
				b := []byte(name)
				b[i] = byte(c)
				if got, want := StatusOf(b), names[asciiUpper(b)]; got != want {
					t.Errorf("StatusOf(%q) = %v, want %v", b, got, want)
				}
			}
		}
	}
	for _, word := range []string{"", "O", "OKAY", "BADX", "FETCH", "PREAUT", "PREAUTHX", "EXPUNGE"} {
		if got := StatusOf([]byte(word)); got != NotStatus {
			t.Errorf("StatusOf(%q) = %v, want NotStatus", word, got)
		}
	}
}

func asciiUpper(b []byte) string {
	b = slices.Clone(b)
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			b[i] = c - 32
		}
	}
	return string(b)
}

func TestEqualFold(t *testing.T) {
	for x := range 256 {
		for y := range 256 {
			a, b := []byte{'-', byte(x)}, []byte{'-', byte(y)}
			if got, want := EqualFold(a, string(b)), asciiUpper(a) == asciiUpper(b); got != want {
				t.Errorf("EqualFold(%q, %q) = %v", a, b, got)
			}
		}
	}
	if EqualFold([]byte("FETC"), "FETCH") || EqualFold([]byte("FETCH"), "FETC") || !EqualFold(nil, "") {
		t.Error("EqualFold compares lengths")
	}
}

// FuzzHead compares ParseHead with a model from regular expressions.
func FuzzHead(f *testing.F) {
	for _, line := range []string{"* OK [X] y", "* 12 FETCH (FLAGS ())", "kf1 no x", "+ go", "+", "* 4294967296 X", "* 5", "* 5 6 7", " x", "*x y", "a  b"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		got := headString(t, line)
		h, err := ParseHead([]byte(line))
		if modelPlus.MatchString(line) {
			if text := strings.TrimPrefix(line[1:], " "); h.Kind != Continuation || line[h.Text:] != text {
				t.Fatalf("ParseHead(%q) = %s, want a continuation with %q", line, got, text)
			}
			return
		}
		start, keyword, number, ok := modelHead(line)
		if ok != (err == nil) {
			t.Fatalf("ParseHead(%q) = %s, but the model accepts it: %v", line, got, ok)
		}
		if !ok {
			return
		}
		tag, text := strings.TrimSuffix(start, " "), strings.TrimPrefix(line[len(start)+len(keyword):], " ")
		if line[0] == '*' {
			tag = ""
		}
		if string(h.Tag) != tag || string(h.Keyword) != keyword || h.Number != number || line[h.Text:] != text {
			t.Fatalf("ParseHead(%q) = %s, want %q %q %d %q", line, got, tag, keyword, number, text)
		}
	})
}
