package conn

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// newTalkingRig returns a rig with TLS, whose greeting has come, and nothing pending.
func newTalkingRig(t testing.TB, d Dialer, way string) *secureRig {
	t.Helper()
	d.ImplicitTLS = true
	x := newSecureRig(t, d, way)
	x.startTLS(nil)
	x.negotiate(math.MaxInt, nil)
	x.converses(true)
	x.reads, x.writes = 0, 0
	return x
}

// readable reports whether a level-triggered wait would return at once.
func (x *secureRig) readable() bool {
	x.t.Helper()
	ready, err := x.system.poll(int(x.c.transport.fd), unix.POLLIN, 0)
	if err != nil {
		x.t.Fatal(err)
	}
	return ready
}

func (x *secureRig) writable() bool {
	x.t.Helper()
	ready, err := x.system.poll(int(x.c.transport.fd), unix.POLLOUT, 0)
	if err != nil {
		x.t.Fatal(err)
	}
	return ready
}

// record is text as one record.
func (x *secureRig) record(text string) string {
	x.t.Helper()
	if err := x.tls.engine.Write([]byte(text)); err != nil {
		x.t.Fatal(err)
	}
	return x.tls.flight()
}

// What one read brought is dispatched before the call returns, in however many records
// it came: the descriptor says nothing of what lies in TLS.
func TestTLSHidesNothing(t *testing.T) {
	reply := "* 1 FETCH (BODY[] {300}\r\n" + strings.Repeat("x", 300) + ")\r\n"
	for _, tc := range []struct {
		says    string
		records func(x *secureRig) string
		n       int
	}{
		{"many replies in one record", func(x *secureRig) string { return x.record(strings.Repeat("* 1 EXISTS\r\n", 200)) }, 200},
		{"one reply in many records", func(x *secureRig) (all string) {
			for _, b := range []byte(reply) {
				all += x.record(string(b))
			}
			return all
		}, 1},
		{"many replies in as many records", func(x *secureRig) (all string) {
			for range 200 {
				all += x.record("* 1 EXISTS\r\n")
			}
			return all
		}, 200},
		{"records that end where no reply does", func(x *secureRig) (all string) {
			for text := strings.Repeat(reply, 20); text != ""; {
				n := min(len(text), 77)
				all += x.record(text[:n])
				text = text[n:]
			}
			return all
		}, 20},
		{"a reply, and half a record", func(x *secureRig) string {
			return x.record("* 1 EXISTS\r\n") + x.record("* 2 EXISTS\r\n")[:20]
		}, 1},
	} {
		x := newTalkingRig(t, Dialer{}, "bare")
		x.rawPut(tc.records(x))
		did, err := x.c.TryProcessOneEvent()
		if !did || err != nil || len(x.log) != tc.n || x.reads != 1 {
			t.Errorf("%s, in one read, are dispatched in one call: %t, %v, %d replies, %d reads", tc.says, did, err, len(x.log), x.reads)
		}
		if x.readable() {
			t.Errorf("%s: nothing is left in the socket", tc.says)
		}
		if did, err := x.c.TryProcessOneEvent(); did || err != nil || len(x.log) != tc.n {
			t.Errorf("%s: nor anywhere else: %t, %v, %d replies", tc.says, did, err, len(x.log))
		}
	}
}

// In a loop a turn has a budget. What it leaves is work for now, and no reading comes
// before it.
func TestTLSBudget(t *testing.T) {
	x := newTalkingRig(t, Dialer{}, "in a loop")
	var all string
	for range 1000 {
		all += x.record("* 1 EXISTS\r\n")
	}
	x.rawPut(all)
	for turns := 1; len(x.log) < 1000; turns++ {
		before := len(x.log)
		if did, err := x.c.TryProcessOneEvent(); !did || err != nil {
			t.Fatal(did, err)
		}
		if n := len(x.log) - before; n > replyBudget {
			t.Fatalf("a turn dispatches at most %d replies: %d", replyBudget, n)
		}
		if at, ok := x.c.NextDeadline(); (ok && !at.After(x.clock)) != (len(x.log) < 1000) && !x.readable() {
			t.Fatalf("the deadline is now while replies are left: %d dispatched, %v %v", len(x.log), at, ok)
		}
	}
	x.turn()
	if len(x.log) != 1000 {
		t.Errorf("each comes once: %d", len(x.log))
	}
}

// A handshake that ends in the middle of what was read leaves the rest to be dispatched,
// and a bare client never reads more than the handshake needs.
func TestTLSBehindTheHandshake(t *testing.T) {
	for _, way := range rigWays {
		for _, implicit := range []bool{false, true} {
			x := newSecureRig(t, Dialer{ImplicitTLS: implicit}, way)
			x.startTLS(versionConfig(0x0303))
			x.turn()
			x.tls.take(x.rawHeard())
			x.rawPut(x.tls.flight())
			x.turn()
			x.plain = x.tls.take(x.rawHeard())
			// The server's Finished, the greeting and more, in one segment.
			x.rawPut(x.tls.flight() + x.record("* OK\r\n* 1 EXISTS\r\n") + x.record("* 2 EXISTS\r\n* 3 EX"))
			for !x.c.secured() {
				if did, err := x.step(); !did || err != nil {
					t.Fatal(did, err)
				}
			}
			if left := x.readable(); left != (way == "bare") {
				t.Errorf("%s: what a bare client has not taken, a wait finds in the socket: %t", way, left)
			}
			x.turn()
			want := []string{"* OK", "* EXISTS", "* EXISTS"}
			if !implicit {
				want = append([]string{"TLS: ok"}, want...)
			}
			if !slices.Equal(x.log, want) {
				t.Errorf("%s: the replies behind the handshake come: %q", way, x.log)
			}
		}
	}
}

// step is one event, of whoever drives.
func (x *secureRig) step() (bool, error) {
	if x.loop == nil {
		return x.c.TryProcessOneEvent()
	}
	if t := x.c.transport.tls(); t != nil && t.lent() {
		return true, x.loop.ProcessOneEvent()
	}
	return x.loop.TryProcessOneEvent()
}

// GetSelectInfo wants to write when, and only when, something can go out: in each state
// of a session in which the socket takes a few bytes at a time, a call that finds nothing
// to read writes just if that is so.
func TestTLSWantsToWrite(t *testing.T) {
	for _, maxWrite := range []int{1, 7, 100, 0} {
		for _, implicit := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d bytes, implicit %t", maxWrite, implicit), func(t *testing.T) {
				x := newSecureRig(t, Dialer{ImplicitTLS: implicit}, "bare")
				x.startTLS(nil)
				x.maxWrite = maxWrite
				mustSend(t, x.c, nil, "APPEND x %l", []byte("literal"))
				x.lawfully()
				x.negotiateBy(x.lawfully)
				tag := "a4"
				if implicit {
					tag = "a3"
				}
				if got := x.heard(); !strings.HasSuffix(got, tag+" APPEND x {7}\r\n") {
					t.Fatalf("all goes out up to the literal: %q", got)
				}
				if _, write := x.c.GetSelectInfo(); write {
					t.Error("a literal that waits is no output")
				}
				x.put("+\r\n")
				x.lawfully()
				if got := x.heard(); got != "literal\r\n" {
					t.Errorf("it goes out after its +: %q", got)
				}
			})
		}
	}
}

// lawfully drives a bare client until it has nothing to do, and looks at each step
// whether it is called for.
func (x *secureRig) lawfully() {
	x.t.Helper()
	for steps := 0; ; steps++ {
		_, want := x.c.GetSelectInfo()
		input := x.readable()
		if !input && want && !x.writable() {
			x.plain = append(x.plain, x.tls.take(x.rawHeard())...)
			continue
		}
		before := x.writes
		did, err := x.c.TryProcessOneEvent()
		wrote := x.writes > before
		switch {
		case err != nil:
			x.t.Fatal(err)
		case steps > 100_000:
			x.t.Fatal("output never ends")
		case want && !did:
			x.t.Fatal("who wants to write has something to do when it can")
		case want && !wrote:
			x.t.Fatal("and does write")
		case !want && wrote && !input:
			x.t.Fatal("who does not want to write has nothing to write")
		case !want && !input && did:
			x.t.Fatal("without readiness there is nothing to do")
		case !did:
			return
		}
	}
}

// negotiateBy is negotiate with another way to drive the client.
func (x *secureRig) negotiateBy(drive func()) {
	x.t.Helper()
	for {
		drive()
		raw := x.rawHeard()
		x.plain = append(x.plain, x.tls.take(raw)...)
		flight := x.tls.flight()
		if flight == "" && raw == "" {
			return
		}
		x.rawPut(flight)
	}
}

// A secret that is sent while TLS is on its way to a server that is far away is refused
// where what waits for TLS could still go out in the clear.
func TestTLSSecretsFarAway(t *testing.T) {
	for _, required := range []bool{false, true} {
		far := func(r *rig) { r.from = &unix.SockaddrInet4{Port: 143, Addr: [4]byte{192, 0, 2, 1}} }
		r := newRig(t, &Dialer{RequireTLS: required, TLS: rigPolicy()}, far)
		secret := func(when string, want error) {
			t.Helper()
			if err := r.c.Send(nil, nil, "LOGIN alice %p", "secret word"); err != want {
				t.Errorf("RequireTLS %t: a secret %s: %v, want %v", required, when, err, want)
			}
		}
		before, waiting := ErrCleartext, ErrCleartext
		if required {
			before, waiting = ErrTLSRequired, nil
		}
		secret("before StartTLS", before)
		if err := r.c.StartTLSAsync("", "", "", "", func(error) {}); err != nil {
			t.Fatal(err)
		}
		secret("while STARTTLS waits", waiting)
		r.say("* OK\r\n")
		secret("while STARTTLS is answered", waiting)
		if got := r.heard(); got != "a1 STARTTLS\r\n" {
			t.Errorf("nothing goes out with STARTTLS: %q", got)
		}
		if !required {
			r.say("a1 NO\r\n")
			secret("after a NO", ErrCleartext)
			r.drive()
			if got := r.heard(); got != "" {
				t.Errorf("nothing of it goes out: %q", got)
			}
			continue
		}
		r.say("a1 OK\r\n")
		secret("during the handshake", nil)
		r.tls = nil
		if hello := r.rawHeard(); !strings.HasPrefix(hello, "\x16\x03\x01") || strings.Contains(hello, "secret") {
			t.Errorf("a handshake begins, and nothing else: %q", hello)
		}
		r.say("* 1 EXISTS\r\n")
		if got := r.rawHeard(); strings.Contains(got, "secret") || r.c.Err() == nil {
			t.Errorf("a handshake that fails sends nothing either: %q, %v", got, r.c.Err())
		}
	}
}
