// Package server is the IMAP server that the benchmarks run against: it
// answers as cheaply as a Go program can, always the same, and checks nothing,
// so that what is measured is the client.
//
// It knows CAPABILITY, LOGIN, SELECT, NOOP, FETCH of message 1 or 2, IDLE with
// DONE, and LOGOUT; anything else is BAD. It reads no literals.
package server

import (
	"bytes"
	"fmt"
	"strings"
)

// The octets of the two messages of every mailbox: `FETCH 1 ...` answers with a
// literal of Small octets, `FETCH 2 ...` with one of Large.
const (
	Small = 4 << 10
	Large = 64 << 10
)

// Greeting is what a client hears first. It carries the capabilities, as does
// the answer to LOGIN, because some clients ask for them otherwise.
const Greeting = "* OK [CAPABILITY IMAP4rev1 IDLE] ready\r\n"

const selected = "* 2 EXISTS\r\n" +
	"* 0 RECENT\r\n" +
	"* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n" +
	"* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*)] limited\r\n" +
	"* OK [UIDVALIDITY 1] UIDs valid\r\n" +
	"* OK [UIDNEXT 3] predicted next UID\r\n"

var (
	small = fetchReply(1, Small)
	large = fetchReply(2, Large)
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

// dialogue is what the server remembers of a connection between two lines.
type dialogue struct {
	idle []byte // the tag of the IDLE in progress, else empty
	over bool   // LOGOUT was answered
}

// answer appends the answer to line, which comes without its CRLF.
func (d *dialogue) answer(dst, line []byte) []byte {
	tag, command, _ := bytes.Cut(line, []byte(" "))
	verb, args, _ := bytes.Cut(command, []byte(" "))
	switch string(verb) {
	case "NOOP":
		return append(append(dst, tag...), " OK NOOP completed\r\n"...)
	case "FETCH":
		message := small
		if bytes.HasPrefix(args, []byte("2")) {
			message = large
		}
		return append(append(append(dst, message...), tag...), " OK FETCH completed\r\n"...)
	case "CAPABILITY":
		dst = append(dst, "* CAPABILITY IMAP4rev1 IDLE\r\n"...)
		return append(append(dst, tag...), " OK CAPABILITY completed\r\n"...)
	case "LOGIN":
		return append(append(dst, tag...), " OK [CAPABILITY IMAP4rev1 IDLE] logged in\r\n"...)
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
