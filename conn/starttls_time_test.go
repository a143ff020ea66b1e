package conn

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// The server stalls after each of its bytes, at whose end the first flight or the last
// may be: the deadline comes when it should, and not before.
func TestTLSStalls(t *testing.T) {
	inAllWays(t, func(t *testing.T, way string, version uint16, implicit bool) {
		for limit := 0; ; limit += 67 {
			x := newSecureRig(t, Dialer{ImplicitTLS: implicit}, way)
			x.startTLS(versionConfig(version))
			if !x.negotiate(limit, func() {}) || x.c.transport.tls().up {
				break
			}
			if at, ok := x.c.NextDeadline(); !ok || at.Sub(x.clock) != defaultHandshake {
				t.Fatalf("the deadline is known: %v, %t", at.Sub(x.clock), ok)
			}
			x.clock = x.clock.Add(defaultHandshake - 1)
			if x.turn(); x.c.Err() != nil {
				t.Fatalf("not before its time: %v", x.c.Err())
			}
			x.clock = x.clock.Add(1)
			x.turn()
			x.timedOut(implicit)
		}
	})
}

func (x *secureRig) timedOut(implicit bool) {
	x.t.Helper()
	want := []string{"TLS: timeout: TLS handshake", "NOOP EOF, safe to retry", "LOGI EOF, safe to retry", "closed: timeout: TLS handshake"}
	if implicit {
		want = want[1:]
	}
	x.closed("a stalled handshake ends the connection", want...)
	var timeout *TimeoutError
	if !errors.As(x.c.Err(), &timeout) || timeout.Was != defaultHandshake || timeout.Error() != "conn: timed out after 30s, waiting for: TLS handshake" {
		x.t.Errorf("the error says what was waited for: %v", x.c.Err())
	}
}

// A server that sends a byte each second does not extend the wait.
func TestTLSDrips(t *testing.T) {
	inAllWays(t, func(t *testing.T, way string, version uint16, implicit bool) {
		x := newSecureRig(t, Dialer{ImplicitTLS: implicit}, way)
		x.startTLS(versionConfig(version))
		x.turn()
		x.tls.take(x.rawHeard())
		flight := x.tls.flight()
		for n := range 30 {
			if x.c.Err() != nil {
				t.Fatalf("after %d s: %v", n, x.c.Err())
			}
			x.rawPut(flight[n : n+1])
			x.turn()
			x.clock = x.clock.Add(time.Second)
		}
		x.turn()
		x.timedOut(implicit)
	})
}

// Timeouts.Handshake is an option like the others, and has nothing to say of what comes
// behind it: the greeting has a wait of its own.
func TestTLSTimeouts(t *testing.T) {
	for _, way := range rigWays {
		for _, limit := range []time.Duration{time.Second, -1} {
			x := newSecureRig(t, Dialer{ImplicitTLS: true, Timeouts: Timeouts{Handshake: limit}}, way)
			x.startTLS(nil)
			x.turn()
			if at, ok := x.c.NextDeadline(); ok != (limit > 0) || ok && at.Sub(x.clock) != limit {
				t.Errorf("%s: the option says how long: %v, %t", way, at.Sub(x.clock), ok)
			}
			x.clock = x.clock.Add(time.Second - 1)
			x.negotiate(math.MaxInt, nil)
			if at, ok := x.c.NextDeadline(); !ok || at.Sub(x.clock) != defaultGreeting {
				t.Errorf("%s: the greeting has its own time: %v, %t", way, at.Sub(x.clock), ok)
			}
			x.clock = x.clock.Add(defaultGreeting)
			x.turn()
			x.closed("it does not come", "NOOP EOF", "LOGI EOF", "closed: timeout: greeting")
		}
		x := newSecureRig(t, Dialer{}, way)
		x.startTLS(nil)
		x.negotiate(math.MaxInt, nil)
		if at, ok := x.c.NextDeadline(); !ok || at.Sub(x.clock) != defaultCommand {
			t.Errorf("%s: after STARTTLS the commands that waited have theirs: %v, %t", way, at.Sub(x.clock), ok)
		}
	}
}

// A command's own Timeout counts from Send, TLS or not.
func TestTLSCommandTimeout(t *testing.T) {
	for _, way := range rigWays {
		x := newSecureRig(t, Dialer{}, way)
		if err := x.c.SendCommand(&Command{Timeout: time.Second}, "NOOP"); err != nil {
			t.Fatal(err)
		}
		x.startTLS(nil)
		x.turn()
		x.clock = x.clock.Add(time.Second)
		x.turn()
		x.closed("a handshake is no reason to wait longer", "TLS: timeout: command", "NOOP EOF, safe to retry", "LOGI EOF, safe to retry", "closed: timeout: command")
	}
}

// A client that waits for its turn in the loop reads nothing, and its time stands still:
// that the loop has much to do is not the server's fault.
func TestTLSWaitsForItsTurn(t *testing.T) {
	for _, implicit := range []bool{false, true} {
		x := newSecureRig(t, Dialer{ImplicitTLS: implicit}, "in a loop")
		x.startTLS(nil)
		x.loop.SpreadLimit(1)
		var spent time.Duration
		for range 2 { // the ClientHello, and what the server's flight makes it compute
			x.waitForTurn()
			if x.c.state == securing {
				if at, ok := x.c.NextDeadline(); !ok || at.Sub(x.clock) != defaultHandshake-spent {
					t.Errorf("the wait for a turn counts for nothing: %v are left, %v were spent", at.Sub(x.clock), spent)
				}
			}
			x.tls.take(x.rawHeard())
			x.rawPut(x.tls.flight())
			x.clock = x.clock.Add(time.Second)
			spent += time.Second
		}
		if !x.c.secured() {
			t.Errorf("after two turns there is TLS: %v", x.c.Err())
		}
	}
}

// waitForTurn drives a loop in which others come first, up to the client's turn.
func (x *secureRig) waitForTurn() {
	x.t.Helper()
	ahead, waited := 0, 0
	for range 5 {
		x.loop.Spread(func() { ahead++ })
	}
	for events := 0; waited == 0 || x.c.transport.tls().waits(); events++ {
		did, err := x.loop.TryProcessOneEvent()
		if !did || err != nil || events > 50 {
			x.t.Fatalf("the turn comes: %t, %v, %d waits", did, err, waited)
		}
		if tls := x.c.transport.tls(); tls == nil || !tls.waits() {
			continue
		}
		waited++
		if _, read, write := x.c.Interest(); read || write {
			x.t.Errorf("who waits for his turn wants nothing of the socket: %t, %t", read, write)
		}
		if at, ok := x.c.NextDeadline(); ok {
			x.t.Errorf("and has no deadline: %v", at)
		}
		if did, err := x.c.TryProcessOneEvent(); did || err != nil {
			x.t.Errorf("and does nothing: %t, %v", did, err)
		}
		x.clock = x.clock.Add(time.Hour)
	}
	if ahead != 5 || waited < 4 {
		x.t.Errorf("what was there first came first: %d of 5, %d waits", ahead, waited)
	}
}

// An alert ends the handshake, or what would have come behind it, and is told by name.
func TestTLSAlerts(t *testing.T) {
	wants := func(version uint16) *tls.Config {
		config := versionConfig(version)
		config.ClientAuth = tls.RequireAnyClientCert
		return config
	}
	inAllWays(t, func(t *testing.T, way string, version uint16, implicit bool) {
		for _, tc := range []struct {
			says, alert string
			config      func() *tls.Config
			up          bool // the client has done its part
		}{
			{"the ClientHello is refused", "internal_error", func() *tls.Config {
				config := versionConfig(version)
				config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, errors.New("no") }
				return config
			}, false},
			{"no protocol in common", "no_application_protocol", func() *tls.Config {
				config := versionConfig(version)
				config.NextProtos = []string{"other"}
				return config
			}, false},
			{"no version in common", "protocol_version", func() *tls.Config { return versionConfig(tls.VersionTLS11) }, false},
			{"no certificate", map[uint16]string{tls.VersionTLS12: "handshake_failure", tls.VersionTLS13: "certificate_required"}[version],
				func() *tls.Config { return wants(version) }, version == tls.VersionTLS13},
			{"the server's own mind", "bad_certificate", func() *tls.Config {
				config := versionConfig(version)
				config.VerifyConnection = func(tls.ConnectionState) error { return errors.New("no") }
				return config
			}, version == tls.VersionTLS13},
		} {
			if tc.alert == "no_application_protocol" && !implicit {
				continue // ALPN is for implicit TLS
			}
			x := newSecureRig(t, Dialer{ImplicitTLS: implicit}, way)
			x.startTLS(tc.config())
			x.negotiate(math.MaxInt, nil)
			told := "handshake: " + tc.alert
			if tc.up { // how far it came depends on how much it reads at once
				for i, line := range x.log {
					x.log[i] = strings.TrimSuffix(line, ", safe to retry")
				}
			}
			want := []string{"NOOP EOF", "LOGI EOF", "closed: " + told}
			switch {
			case !implicit && tc.up:
				want = append([]string{"TLS: ok"}, want...)
			case !implicit:
				want = append([]string{"TLS: " + told}, want...)
			}
			for i, line := range want {
				if !tc.up && strings.HasSuffix(line, " EOF") {
					want[i] += ", safe to retry"
				}
			}
			x.closed(fmt.Sprintf("%s: %s", tc.says, tc.alert), want...)
		}
	})
}
