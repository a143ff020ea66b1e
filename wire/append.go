package wire

import (
	"strconv"
	"strings"
)

// MarkKind says what a [Mark] marks.
type MarkKind uint8

const (
	// MarkWait: the bytes from At on must wait for the server's `+`.
	MarkWait MarkKind = iota
	// MarkReference: Data belongs at At. It was not copied and must not change until
	// the command completes.
	MarkReference
	// MarkSecret: the bytes from At to End are shown as `***` in traces. It never
	// reaches over a MarkWait; a secret with a wait inside has two marks.
	MarkSecret
)

// Mark tells the writer of a command what is special about a place in it. The
// marks of a command are in order of At.
type Mark struct {
	Kind MarkKind
	At   int    // offset in the bytes that dst has become
	End  int    // of MarkSecret
	Data []byte // of MarkReference, never empty
}

// Literals says how literals are announced.
type Literals uint8

const (
	// Synchronizing announces `{n}` and waits for the server's `+`.
	Synchronizing Literals = iota
	// NonSynchronizing announces `{n+}` and does not wait. For servers with LITERAL+
	// only (RFC 7888): any other takes the bytes of the literal for commands.
	NonSynchronizing
	// NonSynchronizingSmall is NonSynchronizing for up to 4,096 bytes and
	// Synchronizing beyond. For servers with LITERAL- (RFC 7888 section 5).
	NonSynchronizingSmall
)

// maxSmall is how long a literal of LITERAL- may be, in bytes.
const maxSmall = 4096

// maxQuotedLen is the first length that is sent as a literal whatever the bytes,
// the same as in C: some servers limit the length of a line.
const maxQuotedLen = 1024

// AppendAtom appends s as an atom.
//
// The error is a *FormatError: s is empty or holds a byte that is no ATOM-CHAR.
// RFC 9051 section 9.
func AppendAtom(dst []byte, s string) ([]byte, error) {
	if err := checkAtom(s); err != nil {
		return dst, err
	}
	return append(dst, s...), nil
}

func checkAtom(s string) *FormatError {
	if s == "" {
		return &FormatError{Reason: "is empty"}
	}
	if common(s)&atomChar != 0 {
		return nil
	}
	for i := 0; ; i++ {
		if classes[s[i]]&atomChar == 0 {
			return &FormatError{Reason: "no atom can hold the byte 0x" +
				strconv.FormatUint(uint64(s[i]), 16) + ", at offset " + strconv.Itoa(i)}
		}
	}
}

// AppendQuoted appends s as a quoted string, quotes and backslashes escaped.
//
// The error is a *FormatError: s holds NUL, CR, LF or an 8-bit byte, which RFC 3501
// does not let into a quoted string.
func AppendQuoted(dst []byte, s string) ([]byte, error) {
	if common(s)&textChar == 0 {
		return dst, &FormatError{Reason: "a quoted string cannot hold NUL, CR, LF or 8-bit bytes"}
	}
	return appendQuoted(dst, s), nil
}

func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	done := 0
	for i := 0; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' {
			dst = append(dst, s[done:i]...)
			dst = append(dst, '\\')
			done = i
		}
	}
	dst = append(dst, s[done:]...)
	return append(dst, '"')
}

// AppendNumber appends n in decimal.
//
// The error is a *FormatError: n is negative, which no number of RFC 9051 is.
func AppendNumber(dst []byte, n int64) ([]byte, error) {
	if n < 0 {
		return dst, &FormatError{Reason: "is negative"}
	}
	return strconv.AppendInt(dst, n, 10), nil
}

// AppendAString appends s in the simplest form that holds it: an atom (`]` may be
// in it); else quoted (the empty string, `NIL` in any case, specials and control
// characters); else a literal (CR, LF, 8-bit bytes, 1,024 bytes and more), with a
// MarkWait in marks if it is synchronizing.
//
// The error is a *FormatError: s holds NUL.
func AppendAString(dst []byte, marks []Mark, lit Literals, s string) ([]byte, []Mark, error) {
	switch formOf(s) {
	case asAtom:
		dst = append(dst, s...)
	case asQuoted:
		dst = appendQuoted(dst, s)
	case asLiteral:
		dst, marks = appendHeader(dst, marks, lit, len(s))
		dst = append(dst, s...)
	default:
		return dst, marks, errNUL()
	}
	return dst, marks, nil
}

func errNUL() *FormatError { return &FormatError{Reason: "holds a NUL byte"} }

// form is how an astring is written.
type form uint8

const (
	asNothing form = iota // it holds NUL
	asAtom
	asQuoted
	asLiteral
)

func formOf(s string) form {
	if len(s) < maxQuotedLen {
		switch c := common(s); {
		case c&astringChar != 0 && s != "" && !isNIL(s):
			return asAtom
		case c&textChar != 0:
			return asQuoted
		}
	}
	if strings.IndexByte(s, 0) >= 0 {
		return asNothing
	}
	return asLiteral
}

// isNIL reports whether s, as an atom, could be taken for NIL.
func isNIL(s string) bool { return strings.EqualFold(s, "NIL") }

// AppendLiteral appends the header of a literal with the bytes data, and to marks
// a MarkWait if it is synchronizing and a MarkReference to data. data is not
// copied and must not change until the command completes.
//
// The bytes are not looked at. NUL is legal only in a literal8, see
// [AppendLiteral8].
func AppendLiteral(dst []byte, marks []Mark, lit Literals, data []byte) ([]byte, []Mark) {
	dst, marks = appendHeader(dst, marks, lit, len(data))
	return dst, appendReference(marks, len(dst), data)
}

// AppendLiteral8 is [AppendLiteral] for a literal8, RFC 3516.
func AppendLiteral8(dst []byte, marks []Mark, lit Literals, data []byte) ([]byte, []Mark) {
	return AppendLiteral(append(dst, '~'), marks, lit, data)
}

func appendReference(marks []Mark, at int, data []byte) []Mark {
	if len(data) == 0 {
		return marks
	}
	return append(marks, Mark{Kind: MarkReference, At: at, Data: data})
}

// appendHeader appends the header of a literal of n bytes with its line end.
func appendHeader(dst []byte, marks []Mark, lit Literals, n int) ([]byte, []Mark) {
	dst = append(dst, '{')
	dst = strconv.AppendInt(dst, int64(n), 10)
	if lit == NonSynchronizing || lit == NonSynchronizingSmall && n <= maxSmall {
		return append(dst, "+}\r\n"...), marks
	}
	dst = append(dst, "}\r\n"...)
	return dst, append(marks, Mark{Kind: MarkWait, At: len(dst)})
}
