package wire

import (
	"errors"
	"math"
	"strings"
	"testing"
)

// TestAppend: the Append functions, each with what it takes and what it refuses,
// which leaves dst as it was.
func TestAppend(t *testing.T) {
	type appender func(dst []byte, s string) ([]byte, error)
	aString := func(lit Literals) appender {
		return func(dst []byte, s string) ([]byte, error) {
			dst, marks, err := AppendAString(dst, nil, lit, s)
			for _, m := range marks {
				if m.Kind != MarkWait || m.At != strings.IndexByte(string(dst), '\n')+1 {
					t.Errorf("a literal waits behind its header: %v in %q", m, dst)
				}
			}
			return dst, err
		}
	}
	literal := func(f func([]byte, []Mark, Literals, []byte) ([]byte, []Mark)) appender {
		return func(dst []byte, s string) ([]byte, error) {
			dst, marks := f(dst, nil, NonSynchronizing, []byte(s))
			if s != "" && (len(marks) != 1 || marks[0].Kind != MarkReference || marks[0].At != len(dst) || string(marks[0].Data) != s) {
				t.Errorf("the data belongs behind the header: %v in %q", marks, dst)
			}
			return dst, nil
		}
	}
	const refused = "\x00"
	tests := []struct {
		name     string
		f        appender
		in, want string
	}{
		{"AppendAtom", AppendAtom, "a", "a"},
		{"AppendAtom", AppendAtom, "", refused},
		{"AppendAtom", AppendAtom, "a]", refused},
		{"AppendAtom", AppendAtom, "\x7f", refused},
		{"AppendQuoted", AppendQuoted, "", `""`},
		{"AppendQuoted", AppendQuoted, "atom", `"atom"`},
		{"AppendQuoted", AppendQuoted, `\"\`, `"\\\"\\"`},
		{"AppendQuoted", AppendQuoted, "\r", refused},
		{"AppendQuoted", AppendQuoted, "a\n", refused},
		{"AppendQuoted", AppendQuoted, "a\x00", refused},
		{"AppendQuoted", AppendQuoted, "\x80", refused},
		{"AppendAString", aString(Synchronizing), "a]", "a]"},
		{"AppendAString", aString(Synchronizing), "a b", `"a b"`},
		{"AppendAString", aString(Synchronizing), "\n", "{1}\r\n\n"},
		{"AppendAString", aString(NonSynchronizing), "\n", "{1+}\r\n\n"},
		{"AppendAString", aString(NonSynchronizing), "\n\x00", refused},
		{"AppendLiteral", literal(AppendLiteral), "ab", "{2+}\r\n"},
		{"AppendLiteral", literal(AppendLiteral), "", "{0+}\r\n"},
		{"AppendLiteral8", literal(AppendLiteral8), "a\x00", "~{2+}\r\n"},
	}
	for _, tt := range tests {
		got, err := tt.f([]byte("x"), tt.in)
		var format *FormatError
		switch {
		case tt.want != refused:
			if string(got) != "x"+tt.want || err != nil {
				t.Errorf("%s(%q): got %q, %v, want %q behind x", tt.name, tt.in, got, err, tt.want)
			}
		case string(got) != "x" || !errors.As(err, &format) || format.Reason == "":
			t.Errorf("%s(%q) is refused with a *FormatError: got %q, %v", tt.name, tt.in, got, err)
		}
	}
}

func TestAppendNumber(t *testing.T) {
	if got, err := AppendNumber([]byte("x"), math.MaxInt64); string(got) != "x9223372036854775807" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := AppendNumber([]byte("x"), 0); string(got) != "x0" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := AppendNumber([]byte("x"), -1); string(got) != "x" || err == nil {
		t.Errorf("no number is negative: got %q, %v", got, err)
	}
}

// TestAppendAStringEachByte: each byte alone goes out as the rules say, and no
// other way.
func TestAppendAStringEachByte(t *testing.T) {
	for c := range 256 {
		s := string([]byte{byte(c)})
		want := s
		switch {
		case c == 0:
			want = ""
		case c == '\r' || c == '\n' || c >= 0x80:
			want = "{1+}\r\n" + s
		case c == '"' || c == '\\':
			want = `"\` + s + `"`
		case c <= ' ' || c == 0x7f || strings.ContainsRune("%()*{", rune(c)):
			want = `"` + s + `"`
		}
		got, _, err := AppendAString(nil, nil, NonSynchronizing, s)
		if string(got) != want || (err != nil) != (c == 0) {
			t.Errorf("byte %#02x: got %q, %v, want %q", c, got, err, want)
		}
	}
}
