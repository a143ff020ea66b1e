package wire

import (
	"reflect"
	"strconv"
	"strings"
)

// Text is text that its author has checked. `%a` lets it through as it stands
// where a string would have to be an atom: for sequence sets, flag lists, fetch
// items, as in Text("1:*") and Text("(FLAGS BODY.PEEK[])"). It may hold anything
// but CR, LF and NUL, and must not be empty.
type Text string

// AppendCommand appends to dst the command that format and args make, without tag
// and line end, and to marks what is special in it. The verbs are those of
// imclient_send (imclient(3)) and, from `%p` on, ours:
//
//	%%  the character %
//	%a  atom, from a string that is one, or a [Text]
//	%s  astring, from a string, written as [AppendAString] does
//	%d  decimal, from any signed integer type
//	%u  decimal, from any unsigned integer type
//	%v  astrings, a space between them, from a []string; nothing from an empty one
//	%p  secret astring, from a string
//	%l  literal, from a []byte, which is referred to and not copied
//	%L  literal8 (RFC 3516), likewise
//
// Types made from these types, such as type UID uint32, do as well, []byte
// excepted. The rest of format is copied.
//
// Nothing in args is kept but the bytes for `%l` and `%L`, in marks; they must not
// change until the command completes. AppendCommand allocates only to grow dst and
// marks, and a caller's variadic arguments can stay on its stack.
//
// The error is a *FormatError, the caller's fault: an unknown verb; a missing,
// superfluous or wrong argument; CR, LF or NUL where they cannot be; an empty
// command; a command whose end the server would take for the header of a literal.
// What is returned with it is dst and marks as they were.
func AppendCommand(dst []byte, marks []Mark, lit Literals, format string, args []any) ([]byte, []Mark, error) {
	var f formatter
	f.dst, f.marks, f.lit, f.piece = dst, marks, lit, len(dst) // a literal would be made elsewhere and copied
	if err := f.command(format, args); err != nil {
		err.Command = firstWord(format)
		return dst, marks, err
	}
	return f.dst, f.marks, nil
}

// formatter is a command in the making.
type formatter struct {
	dst   []byte
	marks []Mark
	lit   Literals
	piece int // offset in dst of the command, or of what follows its last literal that is in dst
}

func (f *formatter) command(format string, args []any) *FormatError {
	start, next := len(f.dst), 0
	for i := 0; i < len(format); {
		if n := plain(format[i:]); n > 0 {
			f.dst = append(f.dst, format[i:i+n]...)
			i += n
			continue
		}
		if format[i] != '%' {
			return &FormatError{Reason: "CR, LF or NUL in the format"}
		}
		if i+1 == len(format) {
			return &FormatError{Reason: "% at the end of the format"}
		}
		verb := format[i+1]
		i += 2
		if verb == '%' {
			f.dst = append(f.dst, '%')
			continue
		}
		if err := f.verb(verb, args, next); err != nil {
			err.Verb, err.Arg = "%"+string(rune(verb)), next+1
			return err
		}
		next++
	}
	switch {
	case next < len(args):
		return &FormatError{Arg: next + 1, Reason: "there is no verb for it"}
	case len(f.dst) == start:
		return &FormatError{Reason: "empty command"}
	case f.endsInHeader():
		return &FormatError{Reason: "the server would take the end for the header of a literal"}
	}
	return nil
}

// endsInHeader reports whether the text behind the last literal ends in what a
// server reads as a literal's header: it would wait for bytes, and take the next
// command for them. (Of a literal by reference dst has the header's line end, and
// no header reaches over that.)
func (f *formatter) endsInHeader() bool {
	if f.dst[len(f.dst)-1] != '}' {
		return false
	}
	_, _, ok := parseHeader(f.dst[f.piece:])
	return ok
}

// plain returns the length of the longest prefix of format that is copied.
func plain(format string) int {
	for i := 0; i < len(format); i++ {
		if format[i] == '%' || classes[format[i]]&lineChar == 0 {
			return i
		}
	}
	return len(format)
}

// verb appends args[next] as verb says.
func (f *formatter) verb(verb byte, args []any, next int) *FormatError {
	if strings.IndexByte("asduvplL", verb) < 0 {
		return &FormatError{Reason: "unknown verb"}
	}
	if next >= len(args) {
		return &FormatError{Reason: "missing"}
	}
	switch arg := args[next]; verb {
	case 'a':
		return f.atom(arg)
	case 's':
		s, ok := stringOf(arg)
		if !ok {
			return wrongType(arg, "a string")
		}
		return f.astring(s)
	case 'p':
		s, ok := stringOf(arg)
		if !ok {
			return wrongType(arg, "a string")
		}
		return f.secret(s)
	case 'd':
		n, ok := signedOf(arg)
		if !ok {
			return wrongType(arg, "a signed integer")
		}
		f.dst = strconv.AppendInt(f.dst, n, 10)
	case 'u':
		n, ok := unsignedOf(arg)
		if !ok {
			return wrongType(arg, "an unsigned integer")
		}
		f.dst = strconv.AppendUint(f.dst, n, 10)
	case 'v':
		return f.list(arg)
	case 'l', 'L':
		b, ok := arg.([]byte)
		if !ok {
			return wrongType(arg, "a []byte")
		}
		f.literal(b, verb == 'L')
	}
	return nil
}

func (f *formatter) atom(arg any) *FormatError {
	if t, ok := arg.(Text); ok {
		return f.text(string(t))
	}
	s, ok := stringOf(arg)
	if !ok {
		return wrongType(arg, "a string or a wire.Text")
	}
	if err := checkAtom(s); err != nil {
		return err
	}
	f.dst = append(f.dst, s...)
	return nil
}

func (f *formatter) text(s string) *FormatError {
	switch {
	case s == "":
		return &FormatError{Reason: "is empty"}
	case common(s)&lineChar == 0:
		return &FormatError{Reason: "holds CR, LF or NUL"}
	}
	f.dst = append(f.dst, s...)
	return nil
}

func (f *formatter) astring(s string) *FormatError {
	switch formOf(s) {
	case asAtom:
		f.dst = append(f.dst, s...)
	case asQuoted:
		f.dst = appendQuoted(f.dst, s)
	case asLiteral:
		f.dst, f.marks = appendHeader(f.dst, f.marks, f.lit, len(s))
		f.dst = append(f.dst, s...)
		f.piece = len(f.dst)
	default:
		return errNUL()
	}
	return nil
}

// secret appends an astring and marks it: once, or twice if it is a literal that
// waits, before the wait and behind it.
func (f *formatter) secret(s string) *FormatError {
	first := len(f.marks)
	f.marks = append(f.marks, Mark{Kind: MarkSecret, At: len(f.dst)})
	if err := f.astring(s); err != nil {
		return err
	}
	last := first
	if len(f.marks) > first+1 {
		wait := f.marks[first+1].At
		f.marks[first].End = wait
		f.marks = append(f.marks, Mark{Kind: MarkSecret, At: wait})
		last = first + 2
	}
	f.marks[last].End = len(f.dst)
	return nil
}

func (f *formatter) list(arg any) *FormatError {
	list, ok := arg.([]string)
	if !ok {
		return f.namedList(arg)
	}
	for i, s := range list {
		if err := f.item(i, s); err != nil {
			return err
		}
	}
	return nil
}

// namedList is list for a type other than []string.
func (f *formatter) namedList(arg any) *FormatError {
	v := reflect.ValueOf(arg)
	if v.Kind() != reflect.Slice || v.Type().Elem().Kind() != reflect.String {
		return wrongType(arg, "a []string")
	}
	for i := range v.Len() {
		if err := f.item(i, v.Index(i).String()); err != nil {
			return err
		}
	}
	return nil
}

func (f *formatter) item(i int, s string) *FormatError {
	if i > 0 {
		f.dst = append(f.dst, ' ')
	}
	return f.astring(s)
}

func (f *formatter) literal(b []byte, literal8 bool) {
	if literal8 {
		f.dst, f.marks = AppendLiteral8(f.dst, f.marks, f.lit, b)
	} else {
		f.dst, f.marks = AppendLiteral(f.dst, f.marks, f.lit, b)
	}
}

// The functions below look into an argument without letting it escape: only
// concrete types are asserted, and reflect does the rest.

func stringOf(arg any) (string, bool) {
	if s, ok := arg.(string); ok {
		return s, true
	}
	v := reflect.ValueOf(arg)
	if v.Kind() != reflect.String {
		return "", false
	}
	return v.String(), true
}

func signedOf(arg any) (int64, bool) {
	switch n := arg.(type) {
	case int:
		return int64(n), true
	case int64:
		return n, true
	}
	v := reflect.ValueOf(arg)
	if !v.CanInt() {
		return 0, false
	}
	return v.Int(), true
}

func unsignedOf(arg any) (uint64, bool) {
	switch n := arg.(type) {
	case uint32:
		return uint64(n), true
	case uint64:
		return n, true
	}
	v := reflect.ValueOf(arg)
	if !v.CanUint() {
		return 0, false
	}
	return v.Uint(), true
}

// wrongType names the type of arg, never its value.
func wrongType(arg any, want string) *FormatError {
	got := "nil"
	if t := reflect.TypeOf(arg); t != nil {
		got = "of type " + t.String()
	}
	return &FormatError{Reason: "is " + got + ", not " + want}
}

// firstWord returns what an error may show of a format: not more, in case its
// caller built it from what it should have passed as arguments.
func firstWord(format string) string {
	word, _, _ := strings.Cut(format, " ")
	return word[:min(len(word), 32)]
}
