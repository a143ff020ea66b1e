package wire

import (
	"bytes"
	"math"
	"strconv"
)

// Kind says what an [Event] is.
type Kind uint8

const (
	// KindNone is no event: the framer needs more input.
	KindNone Kind = iota
	// KindText is the part of a line up to a literal's header or the line's end,
	// once it is complete. It may be empty, and then it uses no bytes.
	KindText
	// KindLiteralHeader is the header of a literal, with its line end.
	KindLiteralHeader
	// KindLiteralData is the next bytes of a literal, as many as there are.
	KindLiteralData
	// KindEnd is the line end that ends a reply.
	KindEnd
)

var kindNames = [...]string{"None", "Text", "LiteralHeader", "LiteralData", "End"}

// String returns the name of k without its prefix, for tests and traces.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "Kind(" + strconv.Itoa(int(k)) + ")"
}

// Event is a piece of a reply. A reply is
//
//	Text (LiteralHeader LiteralData* Text)* End
//
// in this order; a literal of no bytes has no LiteralData.
type Event struct {
	// Data is the text, the header as sent (`{5}`, `~{5+}`), or bytes of the
	// literal, never with a line end of the framing; nil with KindEnd.
	Data []byte
	// Size is the announced size, in bytes, of the literal of a KindLiteralHeader.
	Size int64
	Kind Kind
	// Literal8 and NonSync tell the `~` and the `+` of a KindLiteralHeader.
	Literal8, NonSync bool
}

// Limits bounds what a server may send, in bytes. A field that is not positive
// means its default.
type Limits struct {
	// Line is the longest run of text between line ends, without them: 8 MiB, because
	// a SEARCH over a million messages is legitimate.
	Line int64
	// Literal is the largest literal: 64 MiB.
	Literal int64
	// Reply is the largest reply, everything but its final line end: 72 MiB.
	Reply int64
}

const (
	defaultLine    = 8 << 20
	defaultLiteral = 64 << 20
	defaultReply   = 72 << 20
)

// framerState is what the next byte belongs to.
type framerState uint8

const (
	// firstLine: the first line of a reply, nothing of it consumed. Its end leads
	// to header or end.
	firstLine framerState = iota
	// laterLine: the text behind a literal. Its end leads to header or end.
	laterLine
	// header: the text was handed out, the header behind it, whole in the buffer,
	// was not. Leads to literal, or to laterLine if the literal is empty.
	header
	// literal: bytes of a literal, as many as were announced. Leads to laterLine.
	literal
	// end: the text was handed out, the line end behind it was not. Leads to
	// firstLine.
	end
)

// Framer cuts the bytes of a connection into replies, and the replies into text
// and literals, before anybody asks what they mean. It holds no bytes and has no
// buffer: the caller's is searched in place. The zero Framer is ready for use.
//
// A literal is announced by `{n}`, `{n+}`, `~{n}` or `~{n+}` at the end of a line,
// outside a quoted string, behind the keyword. It is sought only behind the
// literal before. The lines of OK, NO, BAD, BYE and PREAUTH, and of `+`, hold
// text for people and never announce one.
type Framer struct {
	// Limits holds the limits, shared between framers; nil means the defaults.
	Limits *Limits
	// NoLiteral is asked, at most once for each reply, when its first line ends in
	// what looks like a literal's header; true makes the line the whole reply. nil
	// means no. It is not asked about lines that never announce one. The head is
	// valid during the call only.
	NoLiteral func(Head) bool

	err  error // sticky
	used int64 // bytes of this reply consumed so far
	// pos means, by state: firstLine, laterLine: bytes of the buffer known to hold
	// no line end; header, end: length of what is to be consumed, line end included;
	// literal: bytes still to come.
	pos   int64
	state framerState
}

// InReply reports whether a reply has begun, that is an event of it was returned,
// whose KindEnd has not come yet.
func (f *Framer) InReply() bool { return f.state != firstLine }

// Missing returns how many bytes of a literal that has begun are still to come, by
// what its header announced: a number of the server's, which may be a lie.
func (f *Framer) Missing() int64 {
	if f.state != literal {
		return 0
	}
	return f.pos
}

// Next returns the next event in buf and the number of bytes it used. KindNone,
// always with n == 0 and a nil error, means need more: read more and call again
// with what is left and the new bytes behind it; bytes already searched are not
// searched again. Any other event may be followed by another in the same bytes.
//
// The event's slices alias buf and stay valid until the caller changes buf.
//
// Errors are *SyntaxError (the server broke the grammar) or *LimitError; both
// are final. Grammar: RFC 9051 section 9, response; literals: section 4.3, RFC
// 7888 and RFC 3516.
func (f *Framer) Next(buf []byte) (ev Event, n int, err error) {
	if f.err != nil {
		return ev, 0, f.err
	}
	if f.state == literal {
		n = int(min(int64(len(buf)), f.pos))
		if n > 0 {
			ev = Event{Kind: KindLiteralData, Data: buf[:n:n]}
			f.took(n)
		}
		return ev, n, nil
	}
	if int64(len(buf)) < f.pos {
		return ev, 0, nil // the caller kept back bytes that it had shown
	}
	switch f.state {
	case header:
		n = int(f.pos)
		ev, err = f.header(buf[:n])
		if err != nil {
			n = 0
		}
	case end:
		n = int(f.pos)
		ev.Kind = KindEnd
		f.state, f.pos, f.used = firstLine, 0, 0
	default:
		n, err = f.line(buf)
		if n < 0 {
			return ev, 0, err
		}
		ev.Kind = KindText
		ev.Data = buf[:n:n]
	}
	return ev, n, err
}

// Line is a short cut for the reply that nearly all replies are: one line, whole in
// buf, that announces no literal. It returns the line without its end, and the number
// of bytes with it, which are all consumed. 0 says that the next reply is none of
// these, or is begun already: call Next.
//
// The line aliases buf and stays valid until the caller changes buf.
func (f *Framer) Line(buf []byte) (line []byte, n int) {
	if f.state != firstLine || f.err != nil || int64(len(buf)) < f.pos {
		return nil, 0
	}
	i := bytes.IndexByte(buf[f.pos:], '\n')
	if i < 0 {
		return nil, 0
	}
	n = int(f.pos) + i + 1
	line = trimCR(buf[:n-1])
	if k := len(line); k > 0 && line[k-1] == '}' || int64(k) > min(f.lineLimit(), f.replyLimit()) {
		return nil, 0
	}
	f.pos = 0
	return line[:len(line):len(line)], n
}

// took notes that n bytes of a literal were handed out.
func (f *Framer) took(n int) {
	f.used += int64(n)
	f.pos -= int64(n)
	if f.pos == 0 {
		f.state = laterLine
	}
}

// line seeks the end of the line at the beginning of buf. It returns the length of
// the line's text, -1 if the end has not come.
func (f *Framer) line(buf []byte) (int, error) {
	i := bytes.IndexByte(buf[f.pos:], '\n')
	if i < 0 {
		f.pos = int64(len(buf))
		return -1, f.checkLine(trimCR(buf))
	}
	next := int(f.pos) + i + 1
	text := trimCR(buf[:next-1])
	if err := f.checkLine(text); err != nil {
		return -1, err
	}
	n, state := len(text), end
	if n > 0 && text[n-1] == '}' {
		at, err := f.announced(text)
		if err != nil {
			return -1, f.fail(err)
		}
		if at >= 0 {
			n, state = at, header
		}
	}
	f.state = state
	f.pos = int64(next - n)
	f.used += int64(n)
	return n, nil
}

// announced returns the offset of the literal header at the end of text, a line
// without its line end; -1 if it announces no literal.
func (f *Framer) announced(text []byte) (int, error) {
	at, _, ok := parseHeader(text)
	if !ok || inQuoted(text[:at]) {
		return -1, nil
	}
	if f.state != firstLine {
		return at, nil
	}
	h, err := ParseHead(text)
	if err != nil {
		return 0, headError(text, "a malformed line announces a literal")
	}
	if h.Kind == Continuation || StatusOf(h.Keyword) != NotStatus {
		return -1, nil
	}
	if at < h.Text {
		// Whether this server means a literal nobody can know; taken wrongly, what
		// follows would pass for replies.
		return 0, headError(text, "a literal in place of a keyword")
	}
	if f.NoLiteral != nil && f.NoLiteral(h) {
		return -1, nil
	}
	return at, nil
}

// header hands out the literal header in buf, which ends with its line end.
func (f *Framer) header(buf []byte) (Event, error) {
	text := trimCR(buf[:len(buf)-1])
	_, ev, _ := parseHeader(text)
	if limit := f.literalLimit(); ev.Size > limit {
		return Event{}, f.fail(&LimitError{What: "literal", Limit: limit, Input: excerpt(text)})
	}
	f.used += int64(len(buf))
	if limit := f.replyLimit(); ev.Size > limit-f.used {
		return Event{}, f.fail(&LimitError{What: "reply", Limit: limit, Input: excerpt(text)})
	}
	f.state, f.pos = literal, ev.Size
	if ev.Size == 0 {
		f.state = laterLine
	}
	return ev, nil
}

// checkLine checks the length of a line, or of as much of it as there is.
func (f *Framer) checkLine(text []byte) error {
	what, limit, rest := "line", f.lineLimit(), f.replyLimit()-f.used
	if rest < limit {
		what, limit = "reply", rest
	}
	if int64(len(text)) <= limit {
		return nil
	}
	// Not more than fits the limit, so that the error does not depend on how much
	// of the line has come.
	e := &LimitError{What: what, Limit: limit, Input: excerpt(text[:limit])}
	if what == "reply" {
		e.Limit = f.replyLimit()
	}
	return f.fail(e)
}

func (f *Framer) fail(err error) error {
	f.err = err
	return err
}

func (f *Framer) lineLimit() int64 {
	if f.Limits == nil || f.Limits.Line <= 0 {
		return defaultLine
	}
	return f.Limits.Line
}

func (f *Framer) literalLimit() int64 {
	if f.Limits == nil || f.Limits.Literal <= 0 {
		return defaultLiteral
	}
	return f.Limits.Literal
}

func (f *Framer) replyLimit() int64 {
	if f.Limits == nil || f.Limits.Reply <= 0 {
		return defaultReply
	}
	return f.Limits.Reply
}

// trimCR cuts the CR that belongs to a line end. Any other CR is data.
func trimCR(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		return line[:n-1]
	}
	return line
}

// parseHeader parses the literal header at the end of text and returns its offset
// and its event. Digits may begin with zeros. A size that no int64 holds becomes
// the largest, which is over any limit.
func parseHeader(text []byte) (at int, ev Event, ok bool) {
	i := len(text) - 1
	if i < 0 || text[i] != '}' {
		return 0, Event{}, false
	}
	i--
	if i >= 0 && text[i] == '+' {
		ev.NonSync = true
		i--
	}
	digits := i
	for i >= 0 && text[i]-'0' <= 9 {
		i--
	}
	if i == digits || i < 0 || text[i] != '{' {
		return 0, Event{}, false
	}
	ev.Size = parseSize(text[i+1 : digits+1])
	if i > 0 && text[i-1] == '~' {
		ev.Literal8 = true
		i--
	}
	ev.Kind = KindLiteralHeader
	ev.Data = text[i:len(text):len(text)]
	return i, ev, true
}

// parseSize returns the value of a run of digits, at most the largest int64.
func parseSize(digits []byte) int64 {
	var n int64
	for _, c := range digits {
		d := int64(c - '0')
		if n > (math.MaxInt64-d)/10 {
			return math.MaxInt64
		}
		n = n*10 + d
	}
	return n
}

// inQuoted reports whether a quoted string is open at the end of text.
func inQuoted(text []byte) bool {
	open := false
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			open = !open
		case '\\':
			if open {
				i++
			}
		}
	}
	return open
}
