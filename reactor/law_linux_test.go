package reactor

import (
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// The law of readiness: who sleeps in a level- or edge-triggered wait on what the loop
// says never misses anything and is never woken for nothing. These tests prove it on
// random programs of what sources, timers, posts and the world can do ([verb]), each
// under every host and over every backend ([lawBackends]).
//
// All happens on one goroutine, on descriptors of the kernel (for kqueue(2), of a model
// of it) and on a clock that is moved by hand. Nobody ever sleeps: where the host or the
// loop would, it asks the world ([lawWorld.sleep]), which looks for itself whether there
// is anything to do, with poll(2) for every source. If there is, the law is broken: in
// real life the host would now sleep for ever. If there is not, the world does the next
// deed of the program, or time passes. So a program and a host determine all that
// happens, and a program that fails can be cut until nothing can be left out.
//
// Proved besides: bytes, posts, timers and what is spread are numbered and arrive once,
// in order and not before their time; what a turn sets waits for the next; a turn runs
// its share of what is spread, after all else; nobody is called after
// he has left, or for nothing, or more than three times in a turn; every wake of the
// host has a cause ([lawWorld.settleWake]); no loop spins.
//
// That these tests find what they are there for is proved by TestLawFindsFaults.
func TestLaw(t *testing.T) {
	const each = 25 // programs for a host, which are no other's
	seed := uint64(0)
	for _, b := range lawBackends {
		for _, h := range b.hosts() {
			t.Run(b.name+"/"+h.name, func(t *testing.T) {
				for range each {
					p := read(random(seed))
					if broken, _ := judge(p, h, b, lawFault{}, false); broken != "" {
						t.Fatalf("seed %d: %s", seed, report(p, h, b, lawFault{}))
					}
					seed++
				}
			})
		}
	}
}

// FuzzLaw looks for programs that seeds do not lead to, each under a host that its
// first byte says. What it finds goes to the table below.
func FuzzLaw(f *testing.F) {
	type trial struct {
		lawBackend
		lawHost
	}
	var trials []trial
	for _, b := range lawBackends {
		for _, h := range b.hosts() {
			trials = append(trials, trial{b, h})
		}
	}
	for i := range trials {
		f.Add(append([]byte{byte(i)}, random(uint64(i))...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 {
			return
		}
		c := trials[int(b[0])%len(trials)]
		p := read(b[1:min(len(b), 4*60)])
		if broken, _ := judge(p, c.lawHost, c.lawBackend, lawFault{}, false); broken != "" {
			t.Fatal(report(p, c.lawHost, c.lawBackend, lawFault{}))
		}
	})
}

// Programs that once failed, or found what random ones seldom find, shrunk. Some were
// wrong about what is promised, and had the model corrected.
var lawCases = []struct {
	name string
	p    program
}{
	{"a deadline is cleared, and its time is over at once", program{
		{outside, doDeadline, 0, 1},
		{outside, doClear, 0, 0},
		{outside, doLag, 0, 1},
	}},
	{"a source leaves with a deadline, and its time is over at once", program{
		{outside, doDeadline, 1, 1},
		{outside, doRemove, 1, 0},
		{outside, doLag, 0, 1},
	}},
	{"a full batch may have been all that there was", program{
		{outside, doSend, 1, 6},
		{in1, doSend, 0, 3},
		{in1, doSend, 2, 0},
	}},
	{"a full batch in which there is nothing to do hides an event", program{
		{outside, doBatch, 0, 0},
		{outside, doPause, 0, 0},
		{along, doPause, 1, 0},
		{along, doHangUp, 0, 0},
		{along, doHangUp, 1, 0},
		{along, doSend, 3, 0},
	}},
	{"a source pauses when its far end has hung up in the same batch", program{
		{in3, doHangUp, 1, 0},
		{outside, doSend, 3, 3},
		{in3, doPause, 1, 0},
	}},
	{"a source that is paused, and whose far end has hung up, is added again", program{
		{outside, doHangUp, 1, 0},
		{along, doPause, 1, 0},
		{outside, doRemove, 1, 0},
		{outside, doAdd, 1, 0},
	}},
	{"a post in a nested loop that is the last event of its turn", program{
		{in0, doOwn, 0, 0},
		{in0, doPost, 0, 0},
		{outside, doSend, 0, 6},
	}},
	{"a nested loop is driven by another than its host", program{
		{outside, doShut, 3, 0},
		{outside, doOwn, 0, 1},
		{along, doExchange, 3, 0},
	}},
	{"a kqueue is watched by edges and has an event in it that is over", program{
		{outside, doSend, 0, 0},
		{outside, doSend, 0, 0},
	}},
	{"a kqueue is watched by edges and has a wake in it that is over", program{
		{outside, doWrite, 1, 5},
		{outside, doWrite, 0, 0},
	}},
	{"a source joins with a piece in hand", program{
		{outside, doRemove, 0, 0},
		{along, doHold, 0, 0},
		{outside, doAdd, 0, 0},
	}},
	{"a nested loop that another drives sets a timer", program{
		{in0, doTimer, 0, 1},
		{outside, doSend, 0, 0},
		{along, doOwn, 0, 1},
	}},
	{"a timer set in a slow callback counts from the beginning of the turn", program{
		{in0, doLag, 0, 2},
		{along, doTimer, 0, 3},
		{outside, doSend, 0, 0},
	}},
	{"a timer set long after the last turn counts from then", program{
		{outside, doLag, 0, 5},
		{along, doTimer, 0, 1},
	}},
	{"more is spread than a turn may run, and each spreads more", program{
		{outside, doLimit, 0, 2},
		{in0, doSpread, 0, 5},
		{in0, doSpread, 1, 3},
		{along, doLimit, 0, 1},
		{in1, doSpread, 0, 0},
		{outside, doSpread, 0, 7},
		{outside, doSend, 1, 4},
	}},
	{"a loop closes in what is spread", program{
		{in0, doClose, 0, 0},
		{along, doSpread, 0, 0},
		{outside, doSpread, 0, 5},
	}},
	{"a timer comes earlier than the alarm that is set, in the hands of an outer loop", program{
		{outside, doTimer, 0, 5},
		{outside, doTimer, 1, 1},
		{outside, doOwn, 0, 2},
		{outside, doReset, 0, 0},
	}},
}

func TestLawCases(t *testing.T) {
	for _, c := range lawCases {
		t.Run(c.name, func(t *testing.T) { checkEverywhere(t, c.p) })
	}
}

func checkEverywhere(t *testing.T, p program) {
	t.Helper()
	for _, b := range lawBackends {
		for _, h := range b.hosts() {
			if broken, _ := judge(p, h, b, lawFault{}, false); broken != "" {
				t.Fatal(report(p, h, b, lawFault{}))
			}
		}
	}
}

// A seed that fails tells all: the same program does the same again.
func TestLawRepeatsItself(t *testing.T) {
	for _, b := range lawBackends {
		for _, h := range b.hosts() {
			for seed := range uint64(2) {
				p := read(random(seed))
				_, first := judge(p, h, b, lawFault{}, true)
				_, second := judge(p, h, b, lawFault{}, true)
				if !slices.Equal(first.log, second.log) {
					t.Fatalf("a program does the same each time; seed %d under %s did\n%s\nand then\n%s", seed, h.name,
						strings.Join(first.log, "\n"), strings.Join(second.log, "\n"))
				}
			}
		}
	}
}

// A source may say false to readiness a few times: then the wait that follows finds the
// same again, and so does not leave a kqueue quiet for who watches it by edges.
func TestHesitantSourceInAKqueue(t *testing.T) {
	for _, b := range lawBackends {
		if !b.sticky {
			continue
		}
		k := b.kernel()
		p, err := k.newPoller()
		if err != nil {
			t.Fatal(err)
		}
		l := newLoop(p, k.time)
		link := openLink(k)
		s := &plain{fd: link.near}
		s.do = func() (bool, error) {
			if s.calls <= 2*quietWaits {
				return false, nil
			}
			_, err := k.read(link.near, make([]byte, 8))
			return true, err
		}
		mustAdd(t, l, s)
		ready, end := clearing(k, p.descriptor())
		link.send(1)
		for s.calls <= 2*quietWaits {
			if !ready() {
				t.Fatalf("over %s, the host is woken until the source has read; it was not, after %d calls", b.name, s.calls)
			}
			for mustTry(t, l) {
			}
		}
		if ready() {
			t.Errorf("over %s, and then no more; it was", b.name)
		}
		end()
		l.Close()
	}
}

// judge runs a program under a host, with a fault in the loop, and says how the law
// was broken, "" if it was not.
func judge(p program, h lawHost, b lawBackend, f lawFault, logging bool) (broken breach, w *lawWorld) {
	w = &lawWorld{backend: b, k: b.kernel(), batch: 3, errands: map[*Loop]int{}, logging: logging}
	defer w.end()
	defer func() {
		switch r := recover().(type) {
		case nil:
		case breach:
			broken = r
		default:
			broken = breach(fmt.Sprintf("no program panics; this one did: %v\n%s", r, debug.Stack()))
		}
	}()
	h.drive(w, w.begin(p, h.depth, f))
	if !w.over && !w.closed {
		w.breach("a host goes on until nothing will happen any more; this one gave up")
	}
	return "", w
}

// shrunk is the shortest program that can be made of one that fails.
func shrunk(p program, h lawHost, b lawBackend, f lawFault) program {
	return shrink(p, func(q program) bool {
		broken, _ := judge(q, h, b, f, false)
		return broken != ""
	})
}

// report shrinks a program that fails, and tells all that there is to tell.
func report(p program, h lawHost, b lawBackend, f lawFault) string {
	short := shrunk(p, h, b, f)
	broken, w := judge(short, h, b, f, true)
	return fmt.Sprintf("%s, over %s:\n%s\n%v\nWhat happened, with the milliseconds:\n%s",
		h.name, b.name, broken, short, strings.Join(w.log, "\n"))
}
