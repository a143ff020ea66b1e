package tlsup

import (
	"bytes"
	"runtime"
	"testing"
)

// handshakes counts the goroutines of handshakes.
func handshakes() int {
	buf := make([]byte, 64<<10)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			return bytes.Count(buf[:n], []byte("created by github.com/imclient/imclient/tlsup.(*handshake).begin"))
		}
		buf = make([]byte, 2*len(buf))
	}
}

// suspended checks that so many handshakes have a goroutine. One that has nothing
// left to do but to return is given the time for it.
func suspended(t testing.TB, want int) {
	t.Helper()
	got := handshakes()
	for i := 0; got != want && i < 10000; i++ {
		runtime.Gosched()
		got = handshakes()
	}
	if got != want {
		t.Fatalf("a handshake has a goroutine while it is under way, and no longer\n got: %d\nwant: %d", got, want)
	}
}
