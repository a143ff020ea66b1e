//go:build !race

package tlsup

import (
	"crypto/tls"
	"testing"
)

// Neither reading nor writing allocates in the steady state, whole or cut, with or
// without a buffer that is large enough.
func TestNoAllocations(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, size := range []int{10, 1000, maxPlaintext, 64 << 10} {
			for _, room := range []int{300, maxPlaintext, 64 << 10} {
				for _, parts := range []int{1, 3} {
					p := connect(t, version)
					data, b, piece := text(size), make([]byte, room), make([]byte, 80<<10)
					step := func() {
						if err := p.s.Write(data); err != nil {
							t.Fatal(err)
						}
						for all := p.s.Pending(); len(all) > 0; all = p.s.Pending() {
							n := copy(piece, all[:min(len(all), size/parts+50)])
							p.s.Sent(n)
							p.c.Feed(piece[:n:n])
							for {
								n, err := p.c.Read(b)
								if err != nil {
									t.Fatal(err)
								}
								if n == 0 {
									break
								}
							}
							p.c.Keep()
						}
					}
					step()
					if n := testing.AllocsPerRun(200, step); n != 0 {
						t.Errorf("%s: writing and reading %d bytes, by %d, in %d parts, allocates nothing\n got: %v allocations",
							tls.VersionName(version), size, room, parts, n)
					}
				}
			}
		}
	}
}
