package wire

// HeadKind says which of the three forms of reply a line begins.
type HeadKind uint8

const (
	// Untagged is `*`, an optional number, a keyword, an optional text.
	Untagged HeadKind = iota
	// Tagged is the tag of a command, a keyword, an optional text.
	Tagged
	// Continuation is `+` and an optional text. Exchange and Yandex send it without
	// even a space.
	Continuation
)

// Head is the beginning of a reply's first line. Its slices alias the line.
type Head struct {
	Kind HeadKind
	// Tag is the tag as received; nil unless Kind is Tagged.
	Tag []byte
	// Number is the number before the keyword of an untagged reply, -1 if there is
	// none.
	Number int64
	// Keyword is as received; nil for a continuation. Compare with [EqualFold].
	Keyword []byte
	// Text is the offset in the line where the text begins, one space after the
	// keyword (or the `+`) skipped; the length of the line if there is no text.
	Text int
}

// maxNumber is the largest message number: nz-number, RFC 9051 section 9. Letting
// more through, as C does, wraps numbers until they mean something else.
const maxNumber = 1<<32 - 1

// ParseHead splits the first line of a reply, given without its line end. An
// unknown keyword is data, no error, and so is a number that the grammar would not
// have here.
//
// The slices of the head alias line and stay valid until the caller changes it.
//
// The error is a *SyntaxError: the line is none of the three forms, or its number
// is above 4,294,967,295. Grammar: RFC 9051 section 9, response, without its
// knowledge of keywords. More than one space before a number is let pass, because a
// server in wide use sends it.
func ParseHead(line []byte) (h Head, err error) {
	start, reason := 0, ""
	h.Number = -1
	switch {
	case len(line) == 0:
		return Head{}, headError(line, "empty line")
	case line[0] == ' ':
		return Head{}, headError(line, "line begins with a space")
	case line[0] != '*' && line[0] != '+':
		h.Kind = Tagged
		n := word(line, 0)
		h.Tag = line[:n:n]
		start = n + 1
	case len(line) > 1 && line[1] != ' ':
		return Head{}, headError(line, "no space after the first byte")
	case line[0] == '+':
		h.Kind = Continuation
		h.Text = min(2, len(line))
		return h, nil
	default:
		h.Number, start, reason = number(line)
		if reason != "" {
			return Head{}, headError(line, reason)
		}
	}
	n := word(line, start)
	if n <= start {
		return Head{}, headError(line, "no keyword")
	}
	h.Keyword = line[start:n:n]
	h.Text = min(n+1, len(line))
	return h, nil
}

// number returns the number of a line that begins with "* ", or is "*", and where
// the keyword begins; -1 if there is no number.
func number(line []byte) (n int64, start int, reason string) {
	digits := 2
	for digits < len(line) && line[digits] == ' ' {
		digits++ // `*  1843 EXISTS`: DavMail
	}
	i := digits
	for i < len(line) && line[i]-'0' <= 9 {
		if n <= maxNumber { // past it the value no longer matters, but must not wrap
			n = n*10 + int64(line[i]-'0')
		}
		i++
	}
	switch {
	case i == digits || i < len(line) && line[i] != ' ':
		return -1, 2, "" // `* OK`, `* 123ABC`
	case i >= len(line):
		return 0, 0, "no keyword"
	case n > maxNumber:
		return 0, 0, "number above 4294967295"
	}
	return n, i + 1, ""
}

// word returns the offset of the first space at or after start, or the length of
// the line.
func word(line []byte, start int) int {
	for i := start; i < len(line); i++ {
		if line[i] == ' ' {
			return i
		}
	}
	return len(line)
}

func headError(line []byte, reason string) error {
	return &SyntaxError{Reason: reason, Input: excerpt(line)}
}

// Status is a keyword whose text is for people.
type Status uint8

const (
	// NotStatus is any keyword but the five below.
	NotStatus Status = iota
	// OK, NO and BAD complete a command if they are tagged.
	OK
	NO
	BAD
	// BYE and PREAUTH are untagged only.
	BYE
	PREAUTH
)

// StatusOf tells the five status keywords, in any case, from all others. Their
// text never holds a literal. RFC 9051 section 7.1.
func StatusOf(keyword []byte) Status {
	switch len(keyword) {
	case 2:
		switch [2]byte{keyword[0] &^ 0x20, keyword[1] &^ 0x20} {
		case [2]byte{'O', 'K'}:
			return OK
		case [2]byte{'N', 'O'}:
			return NO
		}
	case 3:
		switch [3]byte{keyword[0] &^ 0x20, keyword[1] &^ 0x20, keyword[2] &^ 0x20} {
		case [3]byte{'B', 'A', 'D'}:
			return BAD
		case [3]byte{'B', 'Y', 'E'}:
			return BYE
		}
	case 7:
		if EqualFold(keyword, "PREAUTH") {
			return PREAUTH
		}
	}
	return NotStatus
}

// EqualFold reports whether b and s are equal when the case of ASCII letters is
// ignored. It allocates nothing.
func EqualFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range b {
		x, y := b[i], s[i]
		if x != y && (x^y != 0x20 || x|0x20 < 'a' || x|0x20 > 'z') {
			return false
		}
	}
	return true
}
