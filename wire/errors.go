package wire

import "strconv"

// maxQuoted is how many of the peer's bytes an error carries. More would let a
// hostile server fill the log of its victim.
const maxQuoted = 200

// SyntaxError reports input that breaks the grammar of replies: the server's
// fault. Out of a [Framer] it is final, because nobody can know any more which
// bytes are protocol; out of a [Cursor] or [ParseHead] it concerns one reply.
type SyntaxError struct {
	// Reason is what is wrong, for people.
	Reason string
	// Offset is where in the line or text Input begins, in bytes.
	Offset int
	// Input holds the offending bytes as received, at most 200 of them.
	Input string
}

// Error quotes the input, so that it can go to a terminal or a log as it stands.
func (e *SyntaxError) Error() string {
	s := "wire: server sent a malformed reply: " + e.Reason
	if e.Offset > 0 {
		s += " at byte " + strconv.Itoa(e.Offset)
	}
	return s + ": " + strconv.QuoteToASCII(e.Input)
}

// LimitError reports input over a limit of [Limits]: the server's fault, or a
// limit too tight for what the application asks. It is final.
type LimitError struct {
	// What is over the limit: "line", "literal" or "reply".
	What string
	// Limit is the limit, in bytes.
	Limit int64
	// Input holds the bytes at which it showed, as received, at most 200 of them:
	// the beginning of the line, or the header of the literal.
	Input string
}

// Error quotes the input, so that it can go to a terminal or a log as it stands.
func (e *LimitError) Error() string {
	return "wire: server sent a " + e.What + " over the limit of " +
		strconv.FormatInt(e.Limit, 10) + " bytes: " + strconv.QuoteToASCII(e.Input)
}

// FormatError reports a command that [AppendCommand] or an Append function
// refused: the caller's fault, nothing was appended. It never holds the value of
// an argument, because any argument may be a secret.
type FormatError struct {
	// Command is the first word of the format, such as "LOGIN"; "" out of the
	// Append functions.
	Command string
	// Verb is the verb concerned, such as "%s"; "" if none is.
	Verb string
	// Arg is the number of the argument concerned, from 1; 0 if none is.
	Arg int
	// Reason is what is wrong, for people.
	Reason string
}

func (e *FormatError) Error() string {
	s := "wire: "
	if e.Command != "" {
		s += "command " + strconv.QuoteToASCII(e.Command) + ": "
	}
	if e.Arg > 0 {
		s += "argument " + strconv.Itoa(e.Arg) + ": "
	}
	if e.Verb != "" {
		s += e.Verb + ": "
	}
	return s + e.Reason
}

// excerpt copies the beginning of b for an error to keep.
func excerpt(b []byte) string {
	return string(b[:min(len(b), maxQuoted)])
}
