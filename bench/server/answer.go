// Package server is the IMAP server that the benchmarks run against: it
// answers as cheaply as a Go program can, always the same, and checks nothing,
// so that what is measured is the client. It does check who logs in by
// AUTHENTICATE: a client that says what is wrong must not look fast.
//
// It knows CAPABILITY, LOGIN, AUTHENTICATE, SELECT, NOOP, FETCH of message 1, 2 or
// 3, IDLE with DONE, and LOGOUT; anything else is BAD. It reads no literals.
//
// There are two of them: [Server] in the clear, one epoll loop, and [TLS], a
// goroutine for each connection. The former also knows GSSAPI, with its security
// layers, and gives away a ticket for itself.
package server

import (
	"bytes"
	"fmt"
	"strings"
	"sync"

	"github.com/imclient/imclient/sasl/krbtest"
)

// The octets of the three messages of every mailbox: `FETCH 1 ...` answers with a
// literal of Small octets, `FETCH 2 ...` with one of Large, `FETCH 3 ...` of Huge.
const (
	Small = 4 << 10
	Large = 64 << 10
	Huge  = 10 << 20
)

// Greeting is what a client hears first. It carries the capabilities, as does
// the answer to LOGIN, because some clients ask for them otherwise.
const Greeting = "* OK [CAPABILITY " + capabilities + "] ready\r\n"

const selected = "* 3 EXISTS\r\n" +
	"* 0 RECENT\r\n" +
	"* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n" +
	"* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*)] limited\r\n" +
	"* OK [UIDVALIDITY 1] UIDs valid\r\n" +
	"* OK [UIDNEXT 4] predicted next UID\r\n"

var (
	small = fetchReply(1, Small)
	large = fetchReply(2, Large)
	huge  = sync.OnceValue(func() []byte { return fetchReply(3, Huge) }) // every side has this package in it
)

// fetchReply is the whole untagged reply to a FETCH of message n.
func fetchReply(n, size int) []byte {
	line := strings.Repeat("all work and no play ", 4)[:76] + "\r\n"
	text := strings.Repeat(line, size/len(line)+1)[:size]
	return fmt.Appendf(nil, "* %d FETCH (BODY[] {%d}\r\n%s)\r\n", n, size, text)
}

// Answer returns what the server says to one command line. It is for those who
// count reply bytes instead of reading replies.
func Answer(line string) []byte {
	var d dialogue
	return d.answer(nil, []byte(strings.TrimSuffix(line, "\r\n")))
}

// AnswerSize returns the length of an Answer without making it.
func AnswerSize(line string) int {
	var d dialogue
	text := []byte(strings.TrimSuffix(line, "\r\n"))
	return len(message(text)) + len(d.complete(nil, text))
}

// dialogue is what the server remembers of a connection between two lines.
type dialogue struct {
	service *krbtest.Service // that lets in by GSSAPI; nil: it does not
	idle    []byte           // the tag of the IDLE in progress, else empty
	login   *login           // in progress; nil: none
	layer   *layer           // of what comes behind the last line; nil: none
	said    kind             // the last line
	over    bool             // LOGOUT was answered
}

// answer appends the answer to line, which comes without its CRLF.
func (d *dialogue) answer(dst, line []byte) []byte {
	return d.complete(append(dst, message(line)...), line)
}

// message returns the reply that comes before the rest of the answer to a FETCH,
// nil for other commands. It is prepared, so it need not be copied.
func message(line []byte) []byte {
	_, command, _ := bytes.Cut(line, []byte(" "))
	which, ok := bytes.CutPrefix(command, []byte("FETCH "))
	switch {
	case !ok:
		return nil
	case bytes.HasPrefix(which, []byte("2")):
		return large
	case bytes.HasPrefix(which, []byte("3")):
		return huge()
	}
	return small
}

// complete appends the answer to line without its message.
func (d *dialogue) complete(dst, line []byte) []byte {
	d.said = command
	if d.login != nil {
		return d.respond(dst, line)
	}
	tag, rest, _ := bytes.Cut(line, []byte(" "))
	verb, argument, _ := bytes.Cut(rest, []byte(" "))
	switch string(verb) {
	case "NOOP":
		return append(append(dst, tag...), " OK NOOP completed\r\n"...)
	case "FETCH":
		return append(append(dst, tag...), " OK FETCH completed\r\n"...)
	case "CAPABILITY":
		dst = append(dst, "* CAPABILITY IMAP4rev1 IDLE\r\n"...)
		return append(append(dst, tag...), " OK CAPABILITY completed\r\n"...)
	case "LOGIN":
		return append(append(dst, tag...), " OK [CAPABILITY IMAP4rev1 IDLE] logged in\r\n"...)
	case "AUTHENTICATE":
		return d.authenticate(dst, tag, argument)
	case "SELECT":
		return append(append(append(dst, selected...), tag...), " OK [READ-WRITE] SELECT completed\r\n"...)
	case "IDLE":
		d.idle = append(d.idle[:0], tag...)
		return append(dst, "+ idling\r\n"...)
	case "LOGOUT":
		d.over = true
		return append(append(append(dst, "* BYE logging out\r\n"...), tag...), " OK LOGOUT completed\r\n"...)
	}
	if string(line) == "DONE" && len(d.idle) > 0 {
		dst = append(append(dst, d.idle...), " OK IDLE terminated\r\n"...)
		d.idle = d.idle[:0]
		return dst
	}
	return append(append(dst, tag...), " BAD unknown command\r\n"...)
}
