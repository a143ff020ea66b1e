package conn

import (
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// everyPlace is how many bytes of a handshake lie between two places where it is cut: in
// one way each byte has its turn, in the others a sample.
func everyPlace(way string, implicit bool) int {
	switch {
	case way != "bare":
		return 37
	case implicit:
		return 19
	}
	return 1
}

// The server goes away after each byte of its handshake: by hanging up, or by a reset.
// As long as there is no TLS that is a failure of the handshake, and then a truncation.
func TestTLSServerLeaves(t *testing.T) {
	inAllWays(t, func(t *testing.T, way string, version uint16, implicit bool) {
		goroutines := runtime.NumGoroutine()
		for _, reset := range []bool{false, true} {
			secured := 0
			for limit := 0; ; limit += everyPlace(way, implicit) {
				x := newSecureRig(t, Dialer{ImplicitTLS: implicit}, way)
				x.startTLS(versionConfig(version))
				leave := func() {
					if reset {
						x.reset()
					} else {
						_ = unix.Shutdown(x.server, unix.SHUT_WR)
					}
				}
				if !x.negotiate(limit, leave) {
					break
				}
				up := x.c.transport.tls().up
				if up {
					secured++
				}
				x.left(implicit, reset, up)
				if t.Failed() {
					t.Fatalf("after %d bytes of the server", limit)
				}
			}
			if secured == 0 && version == 0x0304 {
				t.Error("under TLS 1.3 the server's last bytes come when the client has done its part")
			}
		}
		atMost(t, goroutines)
	})
}

// left looks what a client makes of a server that has left.
func (x *secureRig) left(implicit, reset, up bool) {
	x.t.Helper()
	x.tls.engine.Abort()
	why := "handshake"
	switch {
	case up && reset:
		why = "conn: connection lost: read: connection reset by peer"
	case up && strings.HasSuffix(x.log[len(x.log)-1], "truncated"):
		why = "truncated"
	case up:
		why = "unannounced"
	}
	retry := ""
	if unsent := strings.Contains(x.log[len(x.log)-2], "retry"); unsent || !up {
		retry = ", safe to retry"
	}
	want := []string{"NOOP EOF" + retry, "LOGI EOF" + retry, "closed: " + why}
	switch {
	case implicit:
	case up:
		want = append([]string{"TLS: ok"}, want...)
	default:
		want = append([]string{"TLS: handshake"}, want...)
	}
	x.closed("all are told", want...)
	if err := x.c.Err(); errors.Is(err, unix.ECONNRESET) != reset {
		x.t.Errorf("the error says how: %v", err)
	}
}

// The kernel takes only so many bytes of the client's: nothing but a handshake gets
// out, and what got out is a beginning of it.
func TestTLSWritesRefused(t *testing.T) {
	inAllWays(t, func(t *testing.T, way string, version uint16, implicit bool) {
		for room := 0; ; room += everyPlace(way, implicit) {
			x := newSecureRig(t, Dialer{ImplicitTLS: implicit}, way)
			x.startTLS(versionConfig(version))
			x.full, x.room = unix.EPIPE, room
			x.negotiate(math.MaxInt, nil)
			if !x.refused {
				break // all of it got through
			}
			if x.c.Err() == nil {
				t.Fatalf("after %d bytes the connection ends: %q", room, x.log)
			}
			why := "conn: connection lost: write: broken pipe"
			want := []string{"closed: " + why}
			up := x.c.transport.tls().up
			switch {
			case implicit:
			case up:
				want = append([]string{"TLS: ok"}, x.log[1:3]...)
				want = append(want, "closed: "+why)
			default:
				want = []string{"TLS: " + why, "NOOP EOF, safe to retry", "LOGI EOF, safe to retry", "closed: " + why}
			}
			if implicit {
				want = append(append([]string{}, x.log[:2]...), want...)
			}
			x.closed("all are told", want...)
			if strings.Contains(strings.Join(x.log, ""), "OK") {
				t.Errorf("nothing is answered that was not sent: %q", x.log)
			}
			if t.Failed() {
				t.Fatalf("after %d bytes of the client", room)
			}
		}
	})
}

// The socket is full after each byte of the client's, for some time: nothing changes,
// and the client wants to write as long as it has what to write.
func TestTLSWritesBlocked(t *testing.T) {
	inAllWays(t, func(t *testing.T, way string, version uint16, implicit bool) {
		for room := 0; ; room += everyPlace(way, implicit) {
			x := newSecureRig(t, Dialer{ImplicitTLS: implicit}, way)
			x.startTLS(versionConfig(version))
			x.full, x.room = unix.EAGAIN, room
			x.negotiate(math.MaxInt, nil)
			if _, write := x.c.GetSelectInfo(); write != x.refused {
				t.Fatalf("what the socket does not take is waited for: %t, of %d bytes %d are left", write, room, x.room)
			}
			x.full = nil
			x.negotiate(math.MaxInt, nil)
			x.converses(implicit)
			if t.Failed() {
				t.Fatalf("after %d bytes of the client", room)
			}
			if !x.refused {
				break
			}
		}
	})
}

// converses has what waited for TLS answered through it.
func (x *secureRig) converses(implicit bool) {
	x.t.Helper()
	tags := []string{"a1", "a2"}
	if !implicit {
		tags = []string{"a2", "a3"}
	}
	x.turn()
	if got, want := x.heard(), tags[0]+" NOOP\r\n"+tags[1]+" LOGIN alice \"secret word\"\r\n"; got != want {
		x.t.Errorf("what waited goes through TLS: %q, want %q", got, want)
	}
	x.put("* OK\r\n" + tags[0] + " OK\r\n" + tags[1] + " OK\r\n")
	x.turn()
	want := []string{"* OK", "NOOP OK", "LOGI OK"}
	if !implicit {
		want = append([]string{"TLS: ok"}, want...)
	}
	if got := strings.Join(x.log, "; "); got != strings.Join(want, "; ") {
		x.t.Errorf("and is answered there: %q, want %q", got, want)
	}
	x.log = nil
}

// A server that refuses a connection in the clear, and hangs up before we can say
// anything, is heard all the same; one that only hangs up has done that; and of one that
// has vanished nobody is told that it hung up.
func TestTLSLastWords(t *testing.T) {
	for _, way := range rigWays {
		for _, tc := range []struct {
			says, last string
			hangUp     bool
			write      error
			want       string
		}{
			{"what it said", "* BYE too many connections\r\n", true, nil, `what the server sent is not TLS: it began with "* BYE`},
			{"that it hung up", "", true, nil, "the server closed the connection in the middle of the handshake"},
			{"that it vanished", "", true, unix.ETIMEDOUT, "conn: connection lost: write: connection timed out"},
			{"what it said, even if it vanished", "* BYE too many connections\r\n", true, unix.ETIMEDOUT, "is not TLS"},
			{"that nothing can be written", "", false, unix.ENOBUFS, "conn: connection lost: write: no buffer space available"},
		} {
			if way == "bare" && tc.says == "that it vanished" {
				continue // it has read the end before it writes
			}
			x := newSecureRig(t, Dialer{ImplicitTLS: true}, way)
			x.writeErr = tc.write
			x.rawPut(tc.last)
			if tc.hangUp {
				_ = unix.Close(x.server)
				x.server = -1
			}
			x.turn()
			if err := x.c.Err(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: the end tells %s: %v", way, tc.says, err)
			}
		}
	}
}

// atMost fails if there are more goroutines than before. One that has nothing left to do
// but to return is given the time for it.
func atMost(t *testing.T, before int) {
	t.Helper()
	n := runtime.NumGoroutine()
	for i := 0; n > before && i < 5_000_000; i++ {
		runtime.Gosched()
		n = runtime.NumGoroutine()
	}
	if n > before {
		stacks := make([]byte, 1<<16)
		t.Errorf("no goroutine is left: %d, before %d\n%s", n, before, stacks[:runtime.Stack(stacks, true)])
	}
}
