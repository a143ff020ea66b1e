package conn

import (
	"math"
	"testing"
)

// A handshake goes on wherever its client is driven: after each event it moves to another
// loop, or out of one, whatever a loop or a worker had in hand of it.
func TestTLSMoves(t *testing.T) {
	for _, way := range []string{"in a loop", "with Workers"} {
		for _, implicit := range []bool{false, true} {
			for _, bare := range []bool{false, true} {
				for at := 0; ; at++ {
					x := newSecureRig(t, Dialer{ImplicitTLS: implicit}, way)
					x.startTLS(nil)
					events := 0
					for x.c.state < closing && !x.c.secured() && events < at {
						did, err := x.step()
						if err != nil {
							t.Fatal(err)
						}
						if events++; !did {
							x.tls.take(x.rawHeard())
							x.rawPut(x.tls.flight())
						}
					}
					up := x.c.secured()
					x.move(bare)
					x.negotiate(math.MaxInt, nil)
					x.converses(implicit)
					if t.Failed() {
						t.Fatalf("%s, implicit %t, to a loop %t, after %d events", way, implicit, !bare, at)
					}
					if up {
						break
					}
				}
			}
		}
	}
}

// move takes the client out of its loop, and perhaps to another, which then drives it.
func (x *secureRig) move(bare bool) {
	x.t.Helper()
	if err := x.loop.Remove(x.c); err != nil {
		x.t.Fatal(err)
	}
	if x.c.transport.tls() != nil && x.c.transport.tls().waits() {
		x.t.Error("nobody has it in hand any more")
	}
	old := x.loop
	x.loop = nil
	if !bare {
		x.join()
	}
	// What the old loop was given to do is void.
	for {
		did, err := old.TryProcessOneEvent()
		if err != nil {
			x.t.Fatal(err)
		}
		if !did {
			return
		}
	}
}
