package reactor

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// A program is a list of deeds. Any list is a valid program, and any bytes are one,
// so that it can be cut anywhere by who looks for a shorter one.
type program []deed

// A deed is done by the world outside, when everybody is asleep, or by a source, in a
// callback: sources have scripts, of which each event takes the next deed. Deeds along
// with another are done when that is.
type deed struct {
	by   place
	verb verb
	who  uint8 // the source, or the timer, that it is done to
	n    uint8 // bytes, milliseconds: as the verb says
}

// place is the script in which a deed stands.
type place uint8

const (
	outside place = iota
	along         // with the deed before it
	in0           // the script of source 0
	in1
	in2
	in3
	in4
)

// verb is what is done. The far end of a descriptor is another process and Post may
// come from another goroutine; all else is done on the goroutine of the loop.
type verb uint8

const (
	doSend     verb = iota // the far end writes n+1 bytes
	doDrain                // the far end reads all that there is
	doHangUp               // the far end closes
	doWrite                // the source wishes to write n+1 bytes, which may block
	doPause                // the source does not want to read
	doResume               // it does again
	doDeadline             // the source wants to be called in n ms; 0: now
	doClear                // it does not any more
	doHold                 // the source has n+1 more decoded pieces in hand: its NextDeadline is now
	doPost                 // a function is posted, which does the next deed of the source
	doSpread               // n/2+1 functions are spread, which do likewise
	doLimit                // n of those may run in a turn, from the next on
	doTimer                // timer who is made, for n ms from now, and does likewise
	doReset                // timer who is set again, for n ms from now
	doStop                 // timer who is stopped
	doAdd                  // the source joins the loop, with a new descriptor if it has none
	doRemove               // it leaves
	doShut                 // it closes its descriptor, and so leaves
	doExchange             // it goes on with a new descriptor
	doWait                 // n ms pass, and whoever wants to be called in them is
	doLag                  // n ms pass at once: a slow callback, a busy machine
	doBatch                // the kernel tells of n%3+2 events at once, from now on
	doOwn                  // the loop's owner drives it for n events, then it is nested again
	doClose                // the loop is closed
	verbs
)

const (
	lawSources = 5
	lawTimers  = lawSources
)

// likely has each verb as often as random programs should. Closing ends a program.
// Of places, too, some are better than others.
var likely = func() (table []verb) {
	for v := range doClose {
		table = append(table, v, v, v)
	}
	return append(table, doSend, doSend, doSend, doSend, doSend, doSend, doPost, doAdd, doWrite, doResume, doClose)
}()

var likelyPlaces = [...]place{outside, along, in0, outside, along, in1, outside, along, in2, along, in3, along, in4}

// read makes a program of any bytes, four to a deed.
func read(b []byte) (p program) {
	for ; len(b) >= 4; b = b[4:] {
		p = append(p, deed{likelyPlaces[int(b[0])%len(likelyPlaces)], likely[int(b[1])%len(likely)], b[2] % lawSources, b[3] % 8})
	}
	return p
}

// random makes the bytes of a program of a seed. Each program has only a few places,
// verbs, sources and numbers, so that they meet more often than among all.
func random(seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	var few [4][]byte
	for i := range few {
		few[i] = make([]byte, 2+r.IntN(7))
		for j := range few[i] {
			few[i][j] = byte(r.Uint32())
		}
	}
	b := make([]byte, 4*(1+r.IntN(40)))
	for i := range b {
		b[i] = few[i%4][r.IntN(len(few[i%4]))]
	}
	return b
}

func (d deed) span() time.Duration { return time.Duration(d.n) * time.Millisecond }

// groups cuts a program into what is done at once.
func (p program) groups() (all []program) {
	for i, d := range p {
		if i > 0 && d.by == along {
			all[len(all)-1] = append(all[len(all)-1], d)
		} else {
			all = append(all, program{d})
		}
	}
	return all
}

// String is Go, to be pasted into the table of programs that once failed.
func (p program) String() string {
	var b strings.Builder
	b.WriteString("program{\n")
	for _, d := range p {
		fmt.Fprintf(&b, "\t%v,\n", d)
	}
	b.WriteString("}")
	return b.String()
}

func (d deed) String() string {
	return fmt.Sprintf("{%v, %v, %d, %d}", d.by, d.verb, d.who, d.n)
}

func (p place) String() string {
	return [...]string{"outside", "along", "in0", "in1", "in2", "in3", "in4"}[p]
}

func (v verb) String() string {
	return [...]string{"doSend", "doDrain", "doHangUp", "doWrite", "doPause", "doResume", "doDeadline", "doClear",
		"doHold", "doPost", "doSpread", "doLimit", "doTimer", "doReset", "doStop", "doAdd", "doRemove", "doShut", "doExchange",
		"doWait", "doLag", "doBatch", "doOwn", "doClose"}[v]
}

// shrink returns a program that fails like p and of which nothing can be left out or
// made simpler: delta debugging, first by halves, at last deed by deed.
func shrink(p program, fails func(program) bool) program {
	for shorter := true; shorter; {
		shorter = false
		for size := len(p); size > 0; size /= 2 {
			for at := 0; at+size <= len(p); {
				if q := p.without(at, size); fails(q) {
					p, shorter = q, true
				} else {
					at += size
				}
			}
		}
		for i := range p {
			for _, d := range p[i].simpler() {
				if q := p.with(i, d); fails(q) {
					p, shorter = q, true
					break
				}
			}
		}
	}
	return p
}

func (p program) without(at, size int) program {
	return append(append(program{}, p[:at]...), p[at+size:]...)
}

func (p program) with(i int, d deed) program {
	q := append(program{}, p...)
	q[i] = d
	return q
}

// simpler returns deeds that are simpler than d, the simplest first. There is no way
// back from any of them, so that shrinking ends.
func (d deed) simpler() (all []deed) {
	if d.by != outside {
		all = append(all, deed{outside, d.verb, d.who, d.n})
	}
	for n := range d.n {
		all = append(all, deed{d.by, d.verb, d.who, n})
	}
	for who := range d.who {
		all = append(all, deed{d.by, d.verb, who, d.n})
	}
	return all
}
