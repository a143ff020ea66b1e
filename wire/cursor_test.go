package wire

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestCursorForms: what each method takes of a text, and that it takes nothing
// when it fails.
func TestCursorForms(t *testing.T) {
	type take = func(*Cursor) (string, bool)
	borrowed := func(b []byte) string {
		if cap(b) != len(b) {
			t.Errorf("nobody can append over the text: %q has room for %d bytes", b, cap(b))
		}
		return string(b)
	}
	of := func(f func(*Cursor) ([]byte, bool)) take {
		return func(c *Cursor) (string, bool) { b, ok := f(c); return borrowed(b), ok }
	}
	str := func(f func(*Cursor) (String, bool)) take {
		return func(c *Cursor) (string, bool) {
			s, ok := f(c)
			if s.IsNIL() {
				return "nil", ok
			}
			borrowed(s.raw)
			return s.String(), ok
		}
	}
	flat := func(f func(*Cursor) bool) take { return func(c *Cursor) (string, bool) { return "", f(c) } }
	forms := map[string]take{
		"SP": flat((*Cursor).SP), "NIL": flat((*Cursor).NIL), "Skip": flat((*Cursor).Skip),
		"ListBegin": flat((*Cursor).ListBegin), "ListEnd": flat((*Cursor).ListEnd),
		"Special": func(c *Cursor) (string, bool) { return "", c.Special('<') },
		"Atom":    of((*Cursor).Atom), "Flag": of((*Cursor).Flag),
		"Quoted": str((*Cursor).Quoted), "Literal": str((*Cursor).Literal), "String": str((*Cursor).String),
		"AString": str((*Cursor).AString), "NString": str((*Cursor).NString),
		"Number":   func(c *Cursor) (string, bool) { n, ok := c.Number(); return fmt.Sprint(n), ok },
		"Number64": func(c *Cursor) (string, bool) { n, ok := c.Number64(); return fmt.Sprint(n), ok },
		"Code": func(c *Cursor) (string, bool) {
			name, arg, ok := c.Code()
			return borrowed(name) + ":" + borrowed(arg), ok
		},
	}
	const no = "\x00"
	tests := []struct{ form, in, want, rest string }{
		{"SP", " x", "", "x"},
		{"SP", "   x", "", "x"},
		{"SP", "x", no, ""},
		{"SP", "", no, ""},
		{"Special", "<0>", "", "0>"},
		{"Special", ">", no, ""},

		{"Atom", "BODYSTRUCTURE (", "BODYSTRUCTURE", " ("},
		{"Atom", "a]b", "a", "]b"},
		{"Atom", "b\xc3\xb6se)", "b\xc3\xb6se", ")"},
		{"Atom", "a\x7f", "a", "\x7f"},
		{"Atom", "\\Seen", no, ""},
		{"Atom", "{3}", no, ""},
		{"Atom", "*", no, ""},
		{"Atom", "", no, ""},

		{"Flag", `\Seen \x`, `\Seen`, ` \x`},
		{"Flag", `\*)`, `\*`, `)`},
		{"Flag", `$MDNSent)`, `$MDNSent`, `)`},
		{"Flag", `[Imap]/Drafts)`, `[Imap]/Drafts`, `)`},
		{"Flag", `\[x])`, `\[x]`, `)`},
		{"Flag", `\ x`, no, ""},
		{"Flag", `\`, no, ""},
		{"Flag", `*`, no, ""},

		{"NIL", "NIL)", "", ")"},
		{"NIL", "nil", "", ""},
		{"NIL", "NILS", no, ""},
		{"NIL", "NI", no, ""},
		{"NIL", `"NIL"`, no, ""},

		{"Quoted", `"a b" c`, "a b", " c"},
		{"Quoted", `""`, "", ""},
		{"Quoted", `"\"\\x\y"`, `"\xy`, ""},
		{"Quoted", "\"\xff\x00\r\"", "\xff\x00\r", ""},
		{"Quoted", `"a`, no, ""},
		{"Quoted", `"a\`, no, ""},
		{"Quoted", `"a\"`, no, ""},
		{"Quoted", "\"a\r\n\"", no, ""},
		{"Quoted", "\"a\\\n\"", no, ""},
		{"Quoted", "a", no, ""},

		{"Literal", "{3}\r\nabc)", "abc", ")"},
		{"Literal", "{0}\r\n)", "", ")"},
		{"Literal", "{3}\nabc)", "abc", ")"},
		{"Literal", "{3+}\r\nabc)", "abc", ")"},
		{"Literal", "~{3}\r\na\x00c)", "a\x00c", ")"},
		{"Literal", "~{03+}\r\nabc)", "abc", ")"},
		{"Literal", "{5}\r\n\\\"\r\n\\", "\\\"\r\n\\", ""},
		{"Literal", "{3}\r\nab", no, ""},
		{"Literal", "{9223372036854775807}\r\nab", no, ""},
		{"Literal", "{18446744073709551619}\r\nabc", no, ""},
		{"Literal", "{3}abc", no, ""},
		{"Literal", "{3}\rabc", no, ""},
		{"Literal", "{3 }\r\nabc", no, ""},
		{"Literal", "{}\r\nabc", no, ""},
		{"Literal", "{3", no, ""},
		{"Literal", "{", no, ""},
		{"Literal", "~", no, ""},
		{"Literal", "~3}\r\nabc", no, ""},
		{"Literal", "~~{3}\r\nabc", no, ""},
		{"Literal", "{3++}\r\nabc", no, ""},

		{"String", `"a"b`, "a", "b"},
		{"String", "{1}\r\nab", "a", "b"},
		{"String", "NIL", no, ""},
		{"AString", `INBOX x`, "INBOX", " x"},
		{"AString", `a]b x`, "a]b", " x"},
		{"AString", `"a b"`, "a b", ""},
		{"AString", "{1}\r\n x", " ", "x"},
		{"AString", `\Seen`, no, ""},
		{"NString", "NIL)", "nil", ")"},
		{"NString", `"NIL")`, "NIL", ")"},
		{"NString", "{3}\r\nNIL)", "NIL", ")"},
		{"NString", "x", no, ""},

		{"Number", "12:15", "12", ":15"},
		{"Number", "007 ", "7", " "},
		{"Number", "4294967295", "4294967295", ""},
		{"Number", "4294967296", no, ""},
		{"Number", "18446744073709551617", no, ""},
		{"Number", "-1", no, ""},
		{"Number", "", no, ""},
		{"Number64", "4294967296)", "4294967296", ")"},
		{"Number64", "9223372036854775807", "9223372036854775807", ""},
		{"Number64", "9223372036854775808", no, ""},
		{"Number64", "NIL", no, ""},

		{"ListBegin", "(a)", "", "a)"},
		{"ListBegin", "a", no, ""},
		{"ListEnd", ")", no, ""}, // none was begun

		{"Code", "[UIDNEXT 7] ok", "UIDNEXT:7", "ok"},
		{"Code", "[READ-WRITE]ok", "READ-WRITE:", "ok"},
		{"Code", "[HIGHESTMODSEQ 8]", "HIGHESTMODSEQ:8", ""},
		{"Code", `[REFERRAL "a]b" c]  x`, `REFERRAL:"a]b" c`, " x"},
		{"Code", `[X "a\"]" c] x`, `X:"a\"]" c`, "x"},
		{"Code", `[Error="Microsoft] x`, `Error="Microsoft:`, "x"},
		{"Code", "[]", ":", ""},
		{"Code", "[X ", no, ""},
		{"Code", "X]", no, ""},

		{"Skip", "(a (b {1}\r\n) \"(\") ()) c", "", " c"},
		{"Skip", "BODY[HEADER.FIELDS (TO \"X\")]<0> c", "", " c"},
		{"Skip", "BINARY[1.2] c", "", " c"},
		{"Skip", `\Seen c`, "", " c"},
		{"Skip", "12) c", "", ") c"},
		{"Skip", "{1}\r\n)x", "", "x"},
		{"Skip", `"(" c`, "", " c"},
		{"Skip", "[a (b c)", "", " (b c)"},
		{"Skip", "[a {1}\r\n]", "", " {1}\r\n]"}, // a section does not reach into a literal
		{"Skip", "([a) [b]) c", "", " c"},
		{"Skip", "((a)", no, ""},
		{"Skip", "(a \"b)", no, ""},
		{"Skip", ")", no, ""},
		{"Skip", "", no, ""},
		{"Skip", "\r\n", no, ""},
	}
	for _, tt := range tests {
		c := NewCursor([]byte(tt.in + "behind")[:len(tt.in)])
		got, ok := forms[tt.form](&c)
		rest := borrowed(c.Rest())
		switch {
		case c.Err() != nil:
			t.Errorf("%s %q: the plain forms record nothing: got %v", tt.form, tt.in, c.Err())
		case tt.want == no:
			if ok || rest != tt.in {
				t.Errorf("%s %q takes nothing: got %v, %q, rest %q", tt.form, tt.in, ok, got, rest)
			}
		case !ok || got != tt.want || rest != tt.rest:
			t.Errorf("%s %q: got %v, %q, rest %q, want %q, rest %q", tt.form, tt.in, ok, got, rest, tt.want, tt.rest)
		}
		failed := NewCursor([]byte(tt.in))
		failed.fail("")
		if _, ok := forms[tt.form](&failed); ok || failed.pos != 0 {
			t.Errorf("%s %q: after a failure nothing is taken", tt.form, tt.in)
		}
	}
}

// TestCursorSection: brackets that pair hold anything, others are ordinary bytes.
func TestCursorSection(t *testing.T) {
	c := NewCursor([]byte("[a b] [c d"))
	for _, want := range []string{" [c d", " d", ""} {
		c.SP()
		if !c.Skip() || string(c.Rest()) != want {
			t.Fatalf("a section has both brackets on its line: rest %q, want %q", c.Rest(), want)
		}
	}
}

// TestCursorExpect: the first failure is kept, and stops everything after it.
func TestCursorExpect(t *testing.T) {
	fails := map[string]struct {
		in     string
		expect func(*Cursor)
	}{
		"a space":             {"x", (*Cursor).ExpectSP},
		"<":                   {"x", func(c *Cursor) { c.ExpectSpecial('<') }},
		"an atom":             {"(", func(c *Cursor) { c.ExpectAtom() }},
		"a flag":              {"(", func(c *Cursor) { c.ExpectFlag() }},
		"a quoted string":     {"x", func(c *Cursor) { c.ExpectQuoted() }},
		"a literal":           {"x", func(c *Cursor) { c.ExpectLiteral() }},
		"a string":            {"x", func(c *Cursor) { c.ExpectString() }},
		"an astring":          {"(", func(c *Cursor) { c.ExpectAString() }},
		"NIL or a string":     {"x", func(c *Cursor) { c.ExpectNString() }},
		"NIL":                 {"x", (*Cursor).ExpectNIL},
		"a number of 32 bits": {"4294967296", func(c *Cursor) { c.ExpectNumber() }},
		"a number of 63 bits": {"x", func(c *Cursor) { c.ExpectNumber64() }},
		"(":                   {"x", (*Cursor).ExpectListBegin},
		")":                   {")", (*Cursor).ExpectListEnd},
		"a value":             {")", (*Cursor).ExpectSkip},
		"the end":             {" x", (*Cursor).ExpectEnd},
	}
	for what, tt := range fails {
		c := NewCursor([]byte("- " + tt.in))
		c.ExpectAtom()
		if what != "a space" && what != "the end" {
			c.ExpectSP()
		} else {
			c.SP()
		}
		tt.expect(&c)
		var syntax *SyntaxError
		if !errors.As(c.Err(), &syntax) || syntax.Reason != what+" expected" || !strings.HasSuffix("- "+tt.in, syntax.Input) ||
			syntax.Offset != len("- "+tt.in)-len(syntax.Input) {
			t.Errorf("a failure says what was expected, and where: got %#v, want %s", c.Err(), what)
		}
		if want := fmt.Sprintf("wire: server sent a malformed reply: %s expected at byte %d: %q", what, syntax.Offset, syntax.Input); c.Err().Error() != want {
			t.Errorf("the text of an error says all that it holds: got %s, want %s", c.Err(), want)
		}
		first := c.Err()
		for _, again := range fails {
			again.expect(&c)
		}
		if c.Err() != first {
			t.Errorf("the first failure is kept: got %v after %v", c.Err(), first)
		}
		if c.Rest() != nil || c.Peek() != 0 || c.End() || c.More() || c.Skip() || c.ListBegin() || c.ListEnd() || c.SP() || c.NIL() {
			t.Errorf("after a failure nothing is taken: %s", what)
		}
	}
}

// TestCursorExpectTakes: the Expect forms take what the plain ones take.
func TestCursorExpectTakes(t *testing.T) {
	c := NewCursor([]byte("a \\b \"c\" {1}\r\nd {1}\r\ne f NIL nil 7 8 (<) (x) "))
	var got []string
	add := func(v any) { got = append(got, fmt.Sprint(v)); c.ExpectSP() }
	add(string(c.ExpectAtom()))
	add(string(c.ExpectFlag()))
	add(c.ExpectQuoted())
	add(c.ExpectLiteral())
	add(c.ExpectString())
	add(c.ExpectAString())
	add(c.ExpectNString().IsNIL())
	c.ExpectNIL()
	c.ExpectSP()
	add(c.ExpectNumber())
	add(c.ExpectNumber64())
	c.ExpectListBegin()
	c.ExpectSpecial('<')
	c.ExpectListEnd()
	c.ExpectSP()
	c.ExpectSkip()
	c.ExpectEnd()
	if want := `a \b c d e f true 7 8`; strings.Join(got, " ") != want || c.Err() != nil {
		t.Errorf("got %s, %v, want %s", strings.Join(got, " "), c.Err(), want)
	}
}

// TestCursorMore walks lists, empty, nested and broken ones.
func TestCursorMore(t *testing.T) {
	tests := []struct {
		in, want string
		err      string
	}{
		{"", "", ""},
		{"  ", "", ""},
		{"1 2 3", "1 2 3", ""},
		{" 1  2 3 ", "1 2 3", ""}, // spaces at the ends: Outlook, QQ
		{"(1 2) 3", "( 1 2 ) 3", ""},
		{"( 1 2 )", "( 1 2 )", ""},
		{"() (()) 1", "( ) ( ( ) ) 1", ""},
		{"(1)(2)3", "( 1 ) ( 2 ) 3", ""}, // address lists have no space between
		{"(1 2", "( 1 2 )", "a list without end"},
		{"1) 2", "1", "an item of another form expected"},
		{"1 x 2", "1", "an item of another form expected"},
	}
	for _, tt := range tests {
		c := NewCursor([]byte(tt.in))
		var got []string
		var walk func()
		walk = func() {
			for c.More() {
				if c.ListBegin() {
					got = append(got, "(")
					walk()
					got = append(got, ")")
				} else if n, ok := c.Number(); ok {
					got = append(got, fmt.Sprint(n))
				}
			}
		}
		walk()
		reason := ""
		if err := c.Err(); err != nil {
			reason = err.(*SyntaxError).Reason
		}
		if g := strings.Join(got, " "); g != tt.want || reason != tt.err {
			t.Errorf("More over %q: got %s, %q, want %s, %q", tt.in, g, reason, tt.want, tt.err)
		}
	}
}

// TestCursorDepth: lists may be nested 100 deep, not 101, one by one or skipped.
func TestCursorDepth(t *testing.T) {
	for _, depth := range []int{100, 101, 1 << 20} {
		in := []byte(strings.Repeat("(", depth) + strings.Repeat(")", depth))
		c := NewCursor(in)
		if got, want := c.Skip(), depth <= 100; got != want || (c.Err() == nil) != want {
			t.Errorf("Skip of %d lists: got %v, %v", depth, got, c.Err())
		}
		c = NewCursor(in)
		n := 0
		for c.ListBegin() {
			n++
		}
		if want := min(depth, 100); n != want || (c.Err() == nil) != (depth <= 100) {
			t.Errorf("ListBegin %d times: took %d, %v", depth, n, c.Err())
		}
		if c.Err() != nil && c.Err().(*SyntaxError).Reason != "lists nested deeper than 100" {
			t.Errorf("the failure says why: got %v", c.Err())
		}
		for c.ListEnd() {
			n--
		}
		if depth <= 100 && (n != 0 || !c.End()) {
			t.Errorf("as many lists end as began: %d left", n)
		}
	}
	c := NewCursor([]byte(strings.Repeat("() ", 1000)))
	for c.More() {
		c.ExpectListBegin()
		c.ExpectListEnd()
	}
	if c.Err() != nil {
		t.Errorf("lists beside each other are not nested: %v", c.Err())
	}
}

// TestCursorLinear: a line as long as the framer lets through, of what looks like
// the beginning of something. Were its end sought each time, this would not end
// within an hour. (Race builds are too slow for so long a line.)
func TestCursorLinear(t *testing.T) {
	size := defaultLine
	if raceBuild {
		size /= 16
	}
	for _, item := range []string{"{ ", "~{7 ", "[ "} {
		c := NewCursor(bytes.Repeat([]byte(item), size/len(item)))
		n := 0
		for ; c.More() && c.Skip(); n++ {
		}
		if !c.End() || n != size/len(item) {
			t.Errorf("each %q is a value: took %d of %d, %v", item, n, size/len(item), c.Err())
		}
	}
}

// TestCursorRemembersBrackets: of many brackets that never close only the first has
// its line searched; a `]` that is put there afterwards is not found.
func TestCursorRemembersBrackets(t *testing.T) {
	const items = 1000
	in := []byte(strings.Repeat("[ ", items) + "x\r\n]")
	c := NewCursor(in)
	n := 0
	for c.Skip() {
		if n++; n == 1 {
			in[2*items-1] = ']'
		}
		c.SP()
	}
	if n != items {
		t.Errorf("a line is searched once: %d values, want %d", n, items)
	}
}

func TestString(t *testing.T) {
	tests := []struct {
		in, want string
	}{
		{`""`, ""},
		{`"a b"`, "a b"},
		{`"\\"`, `\`},
		{`"\\\\"`, `\\`},
		{`"\"a\\b\""`, `"a\b"`},
		{`"a\b"`, "ab"},
		{"{3}\r\na\\b", `a\b`},
		{"NIL", ""},
	}
	for _, tt := range tests {
		c := NewCursor([]byte(tt.in))
		s := c.ExpectNString()
		scratch := []byte("0123456789")
		if got := string(s.Bytes(scratch)); got != tt.want {
			t.Errorf("Bytes of %s: got %q, want %q", tt.in, got, tt.want)
		}
		if got := string(s.AppendTo([]byte("x"))); got != "x"+tt.want {
			t.Errorf("AppendTo of %s: got %q, want %q behind x", tt.in, got, tt.want)
		}
		if got := s.String(); got != tt.want {
			t.Errorf("String of %s: got %q, want %q", tt.in, got, tt.want)
		}
		if !s.Equal(tt.want) || s.Equal(tt.want+"x") || s.Equal("x"+tt.want) || tt.want != "" && s.Equal(tt.want[1:]) {
			t.Errorf("Equal of %s is true for %q only", tt.in, tt.want)
		}
		if s.IsNIL() != (tt.in == "NIL") {
			t.Errorf("IsNIL tells NIL from an empty string: %s", tt.in)
		}
		if b := s.Bytes(nil); cap(b) != len(b) && !strings.Contains(tt.in, `\`) {
			t.Errorf("borrowed bytes cannot be appended to: %s", tt.in)
		}
	}
}

// FuzzCursor calls the methods in any order. Whatever the text, a cursor goes
// forward only, returns what stands there, and after a failure nothing.
func FuzzCursor(f *testing.F) {
	f.Add([]byte("(UID 7 FLAGS (\\Seen $X) BODY[HEADER.FIELDS (TO)]<0> {3}\r\na\r\n ENVELOPE (NIL \"a\\\"b\" ((\"x\" NIL \"y\" \"z\"))))"), []byte("Ee56789abcdefg0123456"))
	f.Add([]byte("[CAPABILITY IMAP4rev1 LITERAL+] ok"), []byte{11, 0, 1, 2})
	f.Add([]byte("([a {1}\r\n] [ ~{2+}\n\"\\\" )"), []byte{10, 0, 10, 12, 12, 13, 10})
	f.Fuzz(func(t *testing.T, text, ops []byte) {
		original := bytes.Clone(text)
		c := NewCursor(text)
		begun := 0
		for _, op := range ops {
			before := c
			ok, depth, value := step(&c, op)
			begun += depth
			switch {
			case c.pos < before.pos || c.pos > len(text):
				t.Fatalf("a cursor goes forward, within the text: op %d, %d to %d", op, before.pos, c.pos)
			case !ok && c.err == nil && c.pos != before.pos && op%16 != 12:
				t.Fatalf("a form that fails takes nothing: op %d, %d to %d", op, before.pos, c.pos)
			case before.err != nil && (ok || c.err != before.err || c.pos != before.pos || value != nil):
				t.Fatalf("after a failure nothing is taken: op %d", op)
			case len(value) > 0 && !bytes.Contains(text[before.pos:c.pos], value):
				t.Fatalf("what is returned stands in what was taken: op %d, %q in %q", op, value, text[before.pos:c.pos])
			case c.depth != begun && op%16 != 12 || c.depth < 0 || c.depth > maxDepth:
				t.Fatalf("the depth counts lists: op %d, %d, want %d", op, c.depth, begun)
			}
			begun = c.depth
		}
		if !bytes.Equal(text, original) {
			t.Fatal("a cursor writes nothing")
		}
		walkAll(t, text)
	})
}

// step calls the method with number op. depth is by how much the depth must have
// changed.
func step(c *Cursor, op byte) (ok bool, depth int, value []byte) {
	var s String
	switch op % 16 {
	case 0:
		ok = c.SP()
	case 1:
		value, ok = c.Atom()
	case 2:
		value, ok = c.Flag()
	case 3:
		ok = c.NIL()
	case 4:
		s, ok = c.Quoted()
		value = s.raw
	case 5:
		s, ok = c.Literal()
		value = s.raw
	case 6:
		s, ok = c.AString()
		value = s.raw
	case 7:
		s, ok = c.NString()
		value = s.raw
	case 8:
		_, ok = c.Number()
	case 9:
		_, ok = c.Number64()
	case 10:
		ok = c.Skip()
	case 11:
		value, _, ok = c.Code()
	case 12:
		ok = c.More()
	case 13:
		if ok = c.ListBegin(); ok {
			depth = 1
		}
	case 14:
		if ok = c.ListEnd(); ok {
			depth = -1
		}
	case 15:
		ok = c.Special(op)
	}
	if !ok {
		value = nil
	}
	return ok, depth, value
}

// walkAll walks a whole text value by value: it ends, and whatever Skip takes, a
// walk by More takes as well.
func walkAll(t *testing.T, text []byte) {
	c := NewCursor(text)
	for turns := 0; c.More(); turns++ {
		if turns > len(text) {
			t.Fatalf("a walk ends: %q", text)
		}
		before := c
		skipped := c.Skip()
		inside := before
		if !inside.ListBegin() || !skipped {
			continue
		}
		for inside.More() {
			inside.ExpectSkip()
		}
		if inside.Err() != nil || inside.pos != c.pos {
			t.Fatalf("Skip and More agree on a list: %d and %d, %v in %q", c.pos, inside.pos, inside.Err(), text)
		}
	}
}
