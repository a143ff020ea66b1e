package conn

import (
	"math"
	"testing"

	"github.com/imclient/imclient/reactor"
)

// after returns a client that has had so many events of a handshake, with a server that
// sends a record or two when nothing else happens; up: the handshake was done by then.
func after(t *testing.T, events int, way string, implicit bool) (x *secureRig, up bool) {
	t.Helper()
	x = newSecureRig(t, Dialer{ImplicitTLS: implicit}, way)
	x.startTLS(nil)
	flight := ""
	for range events {
		did, err := x.step()
		if err != nil {
			t.Fatal(err)
		}
		if !did {
			x.tls.take(x.rawHeard())
			flight += x.tls.flight()
			n := min(len(flight), 200)
			x.rawPut(flight[:n])
			flight = flight[n:]
		}
	}
	x.rawPut(flight)
	return x, x.c.secured()
}

// A handshake goes on wherever its client is driven: after each event it moves to another
// loop, or out of one, whatever a loop or a worker had in hand of it.
func TestTLSMoves(t *testing.T) {
	for _, way := range []string{"in a loop", "with Workers"} {
		made := 0
		for _, implicit := range []bool{false, true} {
			for _, bare := range []bool{false, true} {
				for events, up := 0, false; !up; events++ {
					var x *secureRig
					x, up = after(t, events, way, implicit)
					if tls := x.c.transport.tls(); tls != nil && tls.lent() && bare != implicit {
						<-tls.errand.job.worked // else it may not have begun
					}
					if x.move(bare) {
						made++
					}
					x.negotiate(math.MaxInt, nil)
					x.converses(implicit)
					if t.Failed() {
						t.Fatalf("%s, implicit %t, to a loop %t, after %d events", way, implicit, !bare, events)
					}
				}
			}
		}
		if (made > 0) != (way == "with Workers") {
			t.Errorf("%s: what a worker has done counts: %d times", way, made)
		}
	}
}

// move takes the client out of its loop, and perhaps to another, which then drives it. It
// reports whether a worker had made a step from which nothing has been concluded yet.
func (x *secureRig) move(bare bool) (made bool) {
	x.t.Helper()
	old := x.loop
	if err := old.Remove(x.c); err != nil {
		x.t.Fatal(err)
	}
	if t := x.c.transport.tls(); t != nil {
		if t.waits() {
			x.t.Error("nobody has it in hand any more")
		}
		made = t.last.made
	}
	if _, write := x.c.GetSelectInfo(); made && !write {
		x.t.Error("what a worker has done is an event that waits for nothing")
	}
	x.loop = nil
	if !bare {
		x.join()
		for range 3 {
			if _, err := x.loop.TryProcessOneEvent(); err != nil {
				x.t.Fatal(err)
			}
		}
	}
	x.exhaust(old) // what it was given to do is void
	return made
}

// exhaust lets a loop do all that is left.
func (x *secureRig) exhaust(l *reactor.Loop) {
	x.t.Helper()
	for did := true; did; {
		var err error
		if did, err = l.TryProcessOneEvent(); err != nil {
			x.t.Fatal(err)
		}
	}
}

// Close ends a handshake after each of its events, whoever has it in hand.
func TestTLSCloseBetween(t *testing.T) {
	for _, way := range rigWays {
		for _, implicit := range []bool{false, true} {
			for events, up := 0, false; !up; events++ {
				var x *secureRig
				x, up = after(t, events, way, implicit)
				_ = x.c.Close()
				want := []string{"NOOP EOF", "LOGI EOF", "closed: Close"}
				switch {
				case up && !implicit:
					want = append([]string{"TLS: ok"}, want...)
				case !up:
					want[0], want[1] = want[0]+", safe to retry", want[1]+", safe to retry"
					if !implicit {
						want = append([]string{"TLS: Close"}, want...)
					}
				}
				x.closed("all are told", want...)
				x.log = nil
				if x.loop != nil {
					x.exhaust(x.loop)
				}
				if len(x.log) > 0 {
					t.Errorf("and nothing more: %q", x.log)
				}
				if t.Failed() {
					t.Fatalf("%s, implicit %t, after %d events", way, implicit, events)
				}
			}
		}
	}
}
