// Package fleet is what the sides of a benchmark have in common: the work they
// are given, and the process that each lives in, which takes orders from the
// benchmark over its standard input and answers with what the work cost.
package fleet

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/imclient/imclient/bench/server"
)

// Fleet is one side: a number of connections to the same server, driven by the
// client that is measured. Its methods are called one after another by one
// goroutine, Open first.
type Fleet interface {
	// Open makes n connections, each logged in and with INBOX SELECTed.
	Open(s Server, n int) error
	// Run does a job on every connection and returns when all of it is done.
	// It must not answer for work that it has not seen completed.
	Run(Job) (Work, error)
	// Idle brings every connection to the state in which its memory is
	// measured: a FETCH of server.Large octets was completed, and IDLE is pending.
	Idle() error
}

// Server is what a fleet knows of its server.
type Server struct {
	Addr   netip.AddrPort
	CA     string // a PEM file with whom to trust; "" without TLS
	CCache string // a credential cache with a ticket for it; "" with TLS
}

// Verb is the command that a job consists of.
type Verb string

const (
	Noop  Verb = "NOOP"
	Fetch Verb = "FETCH" // of message 1: a literal of server.Small octets

	FetchLarge Verb = "FETCH of 64 KiB" // of message 2: server.Large octets
	FetchHuge  Verb = "FETCH of 10 MiB" // of message 3: server.Huge octets

	// Instead of a command, another connection beside those that are open: it is
	// made, its greeting is read, and it is closed. A side with TLS makes as many
	// of them at once as it has connections open.

	Handshake Verb = "handshake" // the server has no session of it
	Resume    Verb = "resume"    // with the session of an earlier connection
)

const loginBy = "login by "

// Login is instead of a command, too: another connection is made, logs in with a
// mechanism, and is closed. All are of the same account, so that SCRAM's keys are
// derived once.
func Login(mechanism string) Verb { return Verb(loginBy + mechanism) }

// Mechanism returns the mechanism of a Login, "" when v is none.
func (v Verb) Mechanism() string {
	name, ok := strings.CutPrefix(string(v), loginBy)
	if !ok {
		return ""
	}
	return name
}

// IsHandshake reports whether v makes connections in TLS instead of using them.
func (v Verb) IsHandshake() bool { return v == Handshake || v == Resume }

// Message returns the number of the message that a FETCH is for, 0 when v is none.
func (v Verb) Message() uint32 {
	switch v {
	case Fetch:
		return 1
	case FetchLarge:
		return 2
	case FetchHuge:
		return 3
	}
	return 0
}

// Command returns a whole command of this verb, without tag and CRLF.
func (v Verb) Command() string {
	if n := v.Message(); n > 0 {
		return fmt.Sprintf("FETCH %d (BODY.PEEK[])", n)
	}
	return string(v)
}

// Literal returns the octets of the literal that one such command brings.
func (v Verb) Literal() int64 {
	return [...]int64{0, server.Small, server.Large, server.Huge}[v.Message()]
}

// Line makes a whole line of a command, for the sides that parse nothing. The tag
// is always the same and as long as those of the other sides are most of the
// time, so that the replies of a batch have a length that is known.
func Line(command string) string { return "kf1000 " + command + "\r\n" }

// Job is work for each connection of a fleet: Batches times, Depth commands are
// sent without waiting, and the next batch when the last of them has
// completed. All connections are at work at the same time.
type Job struct {
	Verb           Verb
	Depth, Batches int
}

// Batches returns the number of batches in which conns connections send at
// least total commands, in batches of depth.
func Batches(total, conns, depth int) int {
	return max(1, (total+conns*depth-1)/(conns*depth))
}

// Work is what a fleet has done, by its own count.
type Work struct {
	Commands int64 // answered by a tagged OK
	Literals int64 // octets of literals received
	Syscalls int64 // reads, writes and waits; 0 when the side does not count them
}

// Want returns the work that a job is on conns connections, but for Syscalls.
func (j Job) Want(conns int) Work {
	n := int64(conns) * int64(j.Depth) * int64(j.Batches)
	return Work{Commands: n, Literals: n * j.Verb.Literal()}
}

// User returns the name with which connection i logs in.
func User(i int) string { return "user" + strconv.Itoa(i) }

// Password is everybody's.
const Password = server.Password
