//go:build !race

package tlsup

import (
	"crypto/tls"
	"runtime"
	"testing"
)

// An idle connection costs little, after 64 KiB in either direction that came in
// whatever pieces: the ciphers' state, a tls.Conn and the Engine. Certificates
// are shared by crypto/tls.
func TestIdleMemory(t *testing.T) {
	const n, limit = 500, 4 << 10
	data := text(64 << 10)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, resumed := range []bool{false, true} {
			for _, end := range []string{"client", "server"} {
				client, server := configs(version)
				server.SessionTicketsDisabled = false
				if resumed {
					client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
				}
				kept := make([]*Engine, 0, n)
				before := held()
				for range n {
					p := &pair{t, Client(client), Server(server)}
					p.shake(whole)
					p.carries(p.s, p.c, data, every(5000), 0)
					p.carries(p.c, p.s, data, every(5000), 0)
					if end == "client" {
						kept = append(kept, p.c)
					} else {
						kept = append(kept, p.s)
					}
				}
				each := (held() - before) / n
				t.Logf("%s, resumed %t, an idle %s: %d bytes", tls.VersionName(version), resumed, end, each)
				if each > limit {
					t.Errorf("an idle connection holds at most %d bytes\n got: %d", limit, each)
				}
				runtime.KeepAlive(kept)
			}
		}
	}
}

// held is the heap and the stacks that are in use.
func held() int64 {
	for range 3 { // what pools hold goes in two
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
