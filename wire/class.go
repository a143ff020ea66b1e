package wire

// class is the set of character classes that a byte belongs to.
//
// The classes are these productions; a test reads them from this comment and
// rebuilds the table from them. The first nine are RFC 9051 section 9 with RFC 5234
// appendix B.1; the others are ours.
//
//	CHAR            = %x01-7F
//	CTL             = %x00-1F / %x7F
//	list-wildcards  = "%" / "*"
//	quoted-specials = %x22 / "\"
//	resp-specials   = "]"
//	atom-specials   = "(" / ")" / "{" / " " / CTL / list-wildcards / quoted-specials / resp-specials
//	ATOM-CHAR       = <any CHAR except atom-specials>
//	ASTRING-CHAR    = ATOM-CHAR / resp-specials
//	TEXT-CHAR       = <any CHAR except line-ends>
//	line-ends       = %x0D / %x0A
//	8bit            = %x80-FF
//	line-char       = TEXT-CHAR / 8bit
type class uint8

const (
	atomChar    class = 1 << iota // ATOM-CHAR
	astringChar                   // ASTRING-CHAR
	textChar                      // TEXT-CHAR
	lineChar                      // line-char: what a line can hold
	highChar                      // 8bit
)

// The cells of the table.
const (
	o = class(0)                                     // NUL, CR, LF
	s = textChar | lineChar                          // specials and controls
	a = textChar | lineChar | astringChar | atomChar // atom
	r = textChar | lineChar | astringChar            // resp-specials
	h = lineChar | highChar                          // 8-bit
)

var classes = [256]class{
	//           0  1  2  3  4  5  6  7  8  9  A  B  C  D  E  F
	/* 0 */ o, s, s, s, s, s, s, s, s, s, o, s, s, o, s, s,
	/* 1 */ s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s,
	/* 2 */ s, a, s, a, a, s, a, a, s, s, s, a, a, a, a, a,
	/* 3 */ a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a,
	/* 4 */ a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a,
	/* 5 */ a, a, a, a, a, a, a, a, a, a, a, a, s, r, a, a,
	/* 6 */ a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a,
	/* 7 */ a, a, a, a, a, a, a, a, a, a, a, s, a, a, a, s,
	/* 8 */ h, h, h, h, h, h, h, h, h, h, h, h, h, h, h, h,
	/* 9 */ h, h, h, h, h, h, h, h, h, h, h, h, h, h, h, h,
	/* A */ h, h, h, h, h, h, h, h, h, h, h, h, h, h, h, h,
	/* B */ h, h, h, h, h, h, h, h, h, h, h, h, h, h, h, h,
	/* C */ h, h, h, h, h, h, h, h, h, h, h, h, h, h, h, h,
	/* D */ h, h, h, h, h, h, h, h, h, h, h, h, h, h, h, h,
	/* E */ h, h, h, h, h, h, h, h, h, h, h, h, h, h, h, h,
	/* F */ h, h, h, h, h, h, h, h, h, h, h, h, h, h, h, h,
}

// common returns the classes that all bytes of s share.
func common(s string) class {
	c := ^class(0)
	for i := 0; i < len(s); i++ {
		c &= classes[s[i]]
	}
	return c
}
