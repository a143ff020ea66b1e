package wire

import (
	"bytes"
	"math"
)

// maxDepth is how deep lists may be nested. Dovecot has the same limit; a
// multipart message of that depth is an attack.
const maxDepth = 100

// Cursor walks the text of a reply, literals included, value by value. Its methods
// are named after productions of RFC 9051 section 9.
//
// The plain form of a method takes its production and reports true, or takes
// nothing and reports false. The Expect form records the first failure, which
// [Cursor.Err] returns; from then on every method of the cursor fails, so that a
// whole reply can be walked and checked once at the end.
//
// The slices and strings that a cursor returns alias the text and stay valid until
// the caller changes it. A cursor allocates nothing but its error.
type Cursor struct {
	text  []byte
	pos   int
	depth int // lists begun and not ended
	item  int // where More last found an item, plus one
	// unpaired is how far behind pos there is known to be no `]`.
	unpaired int
	err      *SyntaxError
}

// NewCursor returns a cursor at the beginning of text.
func NewCursor(text []byte) Cursor { return Cursor{text: text} }

// Err returns the first failure of an Expect method, of [Cursor.More] or of a
// nesting deeper than 100, a *SyntaxError, or nil.
func (c *Cursor) Err() error {
	if c.err == nil {
		return nil
	}
	return c.err
}

// Rest returns what was not taken yet; nil after a failure.
func (c *Cursor) Rest() []byte {
	if c.err != nil {
		return nil
	}
	return c.text[c.pos:len(c.text):len(c.text)]
}

// Peek returns the next byte, 0 if there is none.
func (c *Cursor) Peek() byte {
	if c.err != nil || c.pos == len(c.text) {
		return 0
	}
	return c.text[c.pos]
}

// End reports whether everything was taken, trailing spaces aside: Outlook and QQ
// send them. It is false after a failure.
func (c *Cursor) End() bool {
	return c.err == nil && len(bytes.TrimLeft(c.text[c.pos:], " ")) == 0
}

// Special takes the byte b, such as `<` or `]`.
func (c *Cursor) Special(b byte) bool {
	if c.err != nil || c.pos == len(c.text) || c.text[c.pos] != b {
		return false
	}
	c.pos++
	return true
}

// SP takes one space or more. The grammar has exactly one wherever it has any;
// Outlook.com sends more between addresses.
func (c *Cursor) SP() bool {
	if !c.Special(' ') {
		return false
	}
	for c.Special(' ') {
	}
	return true
}

// Atom takes an atom. Bytes above 127 are let through: online.no and others send
// UTF-8 where the grammar has an atom.
func (c *Cursor) Atom() ([]byte, bool) { return c.run(atomChar | highChar) }

// Flag takes a flag or flag-perm: an atom, `\` with an atom, or `\*`. Gmail and
// Fastmail send flags that hold `]`, so it is let through.
func (c *Cursor) Flag() ([]byte, bool) {
	start := c.pos
	if c.Special('\\') {
		if !c.Special('*') {
			if _, ok := c.run(astringChar | highChar); !ok {
				c.pos = start
				return nil, false
			}
		}
		return c.text[start:c.pos:c.pos], true
	}
	return c.run(astringChar | highChar)
}

// run takes the longest run, of one byte at least, of bytes that are in one of the
// classes.
func (c *Cursor) run(in class) ([]byte, bool) {
	if c.err != nil {
		return nil, false
	}
	start := c.pos
	for c.pos < len(c.text) && classes[c.text[c.pos]]&in != 0 {
		c.pos++
	}
	return c.text[start:c.pos:c.pos], c.pos > start
}

// NIL takes the atom NIL, in any case.
func (c *Cursor) NIL() bool {
	start := c.pos
	if word, ok := c.Atom(); ok && EqualFold(word, "NIL") {
		return true
	}
	c.pos = start
	return false
}

// Quoted takes a quoted string.
func (c *Cursor) Quoted() (String, bool) {
	if c.Peek() != '"' {
		return String{}, false
	}
	start, escaped := c.pos+1, false
	for i := start; i < len(c.text); i++ {
		switch c.text[i] {
		case '"':
			c.pos = i + 1
			return String{raw: c.text[start:i:i], escaped: escaped}, true
		case '\\':
			escaped = true
			if i++; i < len(c.text) && c.text[i] == '\n' {
				return String{}, false
			}
		case '\n':
			return String{}, false
		}
	}
	return String{}, false
}

// Literal takes a literal or literal8 that stands in the text: its header, the
// line end, the bytes.
func (c *Cursor) Literal() (String, bool) {
	if b := c.Peek(); b != '{' && b != '~' {
		return String{}, false
	}
	rest := c.text[c.pos:]
	n, size := headerAt(rest)
	if n == 0 || size > int64(len(rest)-n) {
		return String{}, false
	}
	end := n + int(size)
	c.pos += end
	return String{raw: rest[n:end:end]}, true
}

// headerAt returns the length of the literal header at the beginning of b, line
// end included, and the size that it announces; 0 if there is none. It looks no
// further than a header can go: [parseHeader], from the end of the line, would read
// the line again at every brace.
func headerAt(b []byte) (n int, size int64) {
	i := 0
	if b[i] == '~' {
		i++
	}
	if i == len(b) || b[i] != '{' {
		return 0, 0
	}
	digits := i + 1
	for i = digits; i < len(b) && b[i]-'0' <= 9; i++ {
	}
	if i == digits {
		return 0, 0
	}
	size = parseSize(b[digits:i])
	if i < len(b) && b[i] == '+' {
		i++
	}
	for _, want := range [...]byte{'}', '\r', '\n'} {
		if i < len(b) && b[i] == want {
			i++
		} else if want != '\r' {
			return 0, 0
		}
	}
	return i, size
}

// String takes a string: quoted or literal.
func (c *Cursor) String() (String, bool) {
	if s, ok := c.Quoted(); ok {
		return s, true
	}
	return c.Literal()
}

// AString takes an astring: an atom (`]` allowed) or a string.
func (c *Cursor) AString() (String, bool) {
	if s, ok := c.run(astringChar | highChar); ok {
		return String{raw: s}, true
	}
	return c.String()
}

// NString takes a nstring: NIL or a string. [String.IsNIL] tells NIL from empty.
func (c *Cursor) NString() (String, bool) {
	if c.NIL() {
		return String{null: true}, true
	}
	return c.String()
}

// Number takes a number: 32 bits. It takes digits only and does not look at what
// follows them.
func (c *Cursor) Number() (uint32, bool) {
	n, ok := c.number(math.MaxUint32)
	return uint32(n), ok
}

// Number64 takes a number64: 63 bits, for sizes and mod-sequences.
func (c *Cursor) Number64() (int64, bool) { return c.number(math.MaxInt64) }

func (c *Cursor) number(limit int64) (int64, bool) {
	if c.err != nil {
		return 0, false
	}
	i, n := c.pos, int64(0)
	for ; i < len(c.text) && c.text[i]-'0' <= 9; i++ {
		d := int64(c.text[i] - '0')
		if n > (limit-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	if i == c.pos {
		return 0, false
	}
	c.pos = i
	return n, true
}

// ListBegin takes `(`. A list deeper than 100 is a failure, recorded.
func (c *Cursor) ListBegin() bool {
	if c.Peek() != '(' {
		return false
	}
	if c.depth == maxDepth {
		c.fail("lists nested deeper than 100")
		return false
	}
	c.pos++
	c.depth++
	return true
}

// ListEnd takes the `)` of a list that was begun.
func (c *Cursor) ListEnd() bool {
	if c.depth == 0 || !c.Special(')') {
		return false
	}
	c.depth--
	return true
}

// More walks a list, or the text outside any list, an item a turn:
//
//	for c.More() {
//		... // take the item
//	}
//
// It takes the spaces before an item and reports true. At the end it reports
// false: of a list, whose `)` it takes, or of the text. A list that does not end,
// and a turn that took nothing, are failures, recorded; so the loop always ends.
func (c *Cursor) More() bool {
	c.SP()
	switch {
	case c.err != nil:
		return false
	case c.depth > 0 && c.ListEnd():
		return false
	case c.pos == len(c.text):
		if c.depth > 0 {
			c.fail("a list without end")
		}
		return false
	case c.item == c.pos+1:
		c.fail("an item of another form expected")
		return false
	}
	c.item = c.pos + 1
	return true
}

// Skip takes the next value, whatever it is: an atom, a flag, a fetch item with its
// section, a number, a string, a list with all that is in it. It does not recurse.
func (c *Cursor) Skip() bool {
	start := *c
	depth := c.depth
	for c.ListBegin() || c.skipFlat() {
		for c.depth > depth && (c.SP() || c.ListEnd()) {
		}
		if c.depth == depth {
			return true
		}
	}
	start.err = c.err
	*c = start
	return false
}

// skipFlat takes a value that is no list: a string, or what goes as far as the
// next space, parenthesis, quote or line end. The brackets of a section, as in
// `BODY[HEADER.FIELDS (TO)]<0>`, may hold any of these.
func (c *Cursor) skipFlat() bool {
	if _, ok := c.String(); ok {
		return true
	}
	if c.err != nil {
		return false
	}
	start := c.pos
	for c.pos < len(c.text) {
		b := c.text[c.pos]
		if classes[b]&lineChar == 0 || b == ' ' || b == '(' || b == ')' || b == '"' {
			break
		}
		c.pos++
		if b == '[' {
			c.section()
		}
	}
	return c.pos > start
}

// section goes to the `]` of a section whose `[` was taken. If the line has none,
// the `[` was an ordinary byte; that is remembered, so that many of them cost no
// more than one.
func (c *Cursor) section() {
	i := c.pos
	if i <= c.unpaired {
		return
	}
	for i < len(c.text) && c.text[i] != '\n' {
		if c.text[i] == ']' {
			c.pos = i
			return
		}
		i++
	}
	c.unpaired = i
}

// Code takes the response code of a status reply's text, `[name]` or `[name arg]`,
// and one space behind it. arg is what stands behind the name and its space, to be
// walked with a cursor of its own. The code ends at the first `]` outside quotes or,
// if there is none (Outlook 365 sends quotes that do not pair), at the first `]`.
func (c *Cursor) Code() (name, arg []byte, ok bool) {
	if c.Peek() != '[' {
		return nil, nil, false
	}
	in := c.text[c.pos+1:]
	end := codeEnd(in)
	if end < 0 {
		return nil, nil, false
	}
	c.pos += end + 2
	c.Special(' ')
	space := word(in[:end], 0)
	if space < end {
		arg = in[space+1 : end : end]
	}
	return in[:space:space], arg, true
}

// codeEnd returns the offset of the `]` that ends a response code, -1 if there is
// none.
func codeEnd(in []byte) int {
	open := false
	for i := 0; i < len(in); i++ {
		switch in[i] {
		case '"':
			open = !open
		case '\\':
			if open {
				i++
			}
		case ']':
			if !open {
				return i
			}
		}
	}
	return bytes.IndexByte(in, ']')
}

// fail records the first failure; it is called when there is none.
func (c *Cursor) fail(reason string) {
	c.err = &SyntaxError{Reason: reason, Offset: c.pos, Input: excerpt(c.text[c.pos:])}
}
