package main

import (
	"fmt"
	"strconv"
	"strings"
)

// verb is a kind of command, and a row of the table.
type verb uint8

const (
	verbLogin verb = iota
	verbSelect
	verbFill  // APPEND to an empty mailbox, with -fill
	verbSizes // FETCH of UIDs and sizes, once a mailbox
	verbNoop
	verbHeaders
	verbBody
	verbStore
	verbIdle
	verbAppend  // wakes the one who IDLEs
	verbDelete  // takes such mail away again: UID STORE \Deleted ...
	verbExpunge // ... and UID EXPUNGE
	verbLogout

	// Measured like commands, but none: they have rows below the total.
	verbConnect    // from the call to a connected socket; with -tls it is not known when that is
	verbHandshake  // from the same call until TLS stands, negotiated in full ...
	verbResumption // ... or by resuming a session
	verbWake       // from sending APPEND to EXISTS on the connection that IDLEs

	verbCount
	verbNone = verbCount
)

var verbNames = [verbCount]string{
	"login", "select", "fill", "fetch-sizes", "noop", "fetch-headers", "fetch-body", "store",
	"idle", "append", "delete", "expunge", "logout", "connect", "tls-full", "tls-resumed", "wake",
}

func (v verb) String() string { return verbNames[v] }

// isCommand reports whether v is a command, and not something else that is measured.
func (v verb) isCommand() bool { return v < verbConnect }

// alone reports whether v must not be pipelined with others: they would be held
// back (IDLE), belong to another mailbox (SELECT) or to another connection.
func (v verb) alone() bool { return v == verbIdle || v == verbSelect || v == verbLogin }

// mixable are the verbs that a mix is made of, in the order of a session's first
// round. The others follow from them: an IDLE needs an APPEND, a LOGIN comes
// after a LOGOUT.
var mixable = [...]verb{verbNoop, verbHeaders, verbBody, verbStore, verbIdle, verbSelect, verbLogin}

const defaultMix = "noop=1,fetch-headers=3,fetch-body=3,store=2,idle=1"

// maxWeight keeps sums far from overflow and typing errors in sight.
const maxWeight = 1_000_000

// mix is a weight for each verb.
type mix [verbCount]int

// parseMix reads "verb=weight,...".
func parseMix(text string) (mix, error) {
	var m mix
	var named [verbCount]bool
	for item := range strings.SplitSeq(text, ",") {
		name, number, ok := strings.Cut(strings.TrimSpace(item), "=")
		if !ok {
			return mix{}, fmt.Errorf("%q is not verb=weight", item)
		}
		v, err := parseVerb(name)
		if err != nil {
			return mix{}, err
		}
		weight, err := strconv.Atoi(number)
		if err != nil || weight < 0 || weight > maxWeight {
			return mix{}, fmt.Errorf("the weight of %s is %q, not a number from 0 to %d", v, number, maxWeight)
		}
		if named[v] {
			return mix{}, fmt.Errorf("%s comes twice", v)
		}
		named[v], m[v] = true, weight
	}
	if m.total() == 0 {
		return mix{}, fmt.Errorf("no verb has a weight above 0")
	}
	return m, nil
}

func parseVerb(name string) (verb, error) {
	var known []string
	for _, v := range mixable {
		if name == v.String() {
			return v, nil
		}
		known = append(known, v.String())
	}
	if name == verbLogout.String() {
		return 0, fmt.Errorf("each connection ends with logout anyway; login=1 logs out and in again")
	}
	return 0, fmt.Errorf("unknown verb %q, want one of %s", name, strings.Join(known, " "))
}

func (m *mix) total() int {
	sum := 0
	for _, weight := range m {
		sum += weight
	}
	return sum
}

// pick returns the verb that holds ticket n, where each verb has as many
// tickets as its weight and 0 <= n < total.
func (m *mix) pick(n int) verb {
	for v, weight := range m {
		if n < weight {
			return verb(v)
		}
		n -= weight
	}
	return verbNone
}
