package tlsup

import (
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"
)

// memory is one direction of a connection in memory: what a socket's buffer is.
type memory struct {
	mu   sync.Mutex
	more *sync.Cond
	b    []byte
	off  int
}

func (m *memory) write(p []byte) {
	m.mu.Lock()
	if m.off == len(m.b) {
		m.b, m.off = m.b[:0], 0
	}
	m.b = append(m.b, p...)
	m.mu.Unlock()
	m.more.Signal()
}

func (m *memory) read(p []byte) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.off == len(m.b) {
		m.more.Wait()
	}
	n := copy(p, m.b[m.off:])
	m.off += n
	return n
}

// blocking is a net.Conn whose Read waits, as a bare tls.Conn wants it.
type blocking struct {
	pipe
	in, out *memory
}

func (c *blocking) Read(p []byte) (int, error)  { return c.in.read(p), nil }
func (c *blocking) Write(p []byte) (int, error) { c.out.write(p); return len(p), nil }

func newBlocking() (client, server *blocking) {
	up, down := new(memory), new(memory)
	up.more, down.more = sync.NewCond(&up.mu), sync.NewCond(&down.mu)
	return &blocking{in: down, out: up}, &blocking{in: up, out: down}
}

var _ net.Conn = (*blocking)(nil)

// bareShake is a handshake of two bare tls.Conns.
func bareShake(client, server *tls.Config) (c, s *tls.Conn, err error) {
	near, far := newBlocking()
	c, s = tls.Client(near, client), tls.Server(far, server)
	done := make(chan error, 1)
	go func() { done <- s.Handshake() }()
	if err := c.Handshake(); err != nil {
		return nil, nil, err
	}
	return c, s, <-done
}

// engineShake is one of two engines, between which bytes are copied once.
func engineShake(c, s *Engine, lent []byte) error {
	defer c.Abort()
	defer s.Abort()
	if _, err := s.Step(); err != nil {
		return err
	}
	done, err := c.Step()
	for !done && err == nil {
		for _, e := range [2][2]*Engine{{c, s}, {s, c}} {
			n := copy(lent, e[0].Pending())
			e[0].Sent(n)
			e[1].Feed(lent[:n])
			if _, err = e[1].Step(); err != nil {
				return err
			}
			e[1].Keep()
		}
		done = c.done && s.done
	}
	return err
}

// BenchmarkRead is a stream in pieces of 64 KiB through Feed, Read and Keep. The
// floor is a bare tls.Conn, which reads the same bytes from memory. Both copy them
// once where they would come from the kernel.
func BenchmarkRead(b *testing.B) {
	const piece, batch = 64 << 10, 4 << 20
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		b.Run(tls.VersionName(version), func(b *testing.B) {
			p := connect(b, version)
			client, server := configs(version)
			c, s, err := bareShake(client, server)
			if err != nil {
				b.Fatal(err)
			}
			data, buf, lent := text(batch), make([]byte, piece), make([]byte, piece)
			var ours, bare time.Duration
			b.SetBytes(batch)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				_, err := s.Write(data)
				if err == nil {
					err = p.s.Write(data)
				}
				if err != nil {
					b.Fatal(err)
				}
				bare += readBare(b, c, buf, batch)
				stream := p.s.Pending()
				b.StartTimer()
				begun := time.Now()
				for len(stream) > 0 {
					n := copy(lent, stream)
					stream = stream[n:]
					p.c.Feed(lent[:n])
					for n = 1; n > 0; {
						if n, err = p.c.Read(buf); err != nil {
							b.Fatal(err)
						}
					}
					p.c.Keep()
				}
				ours += time.Since(begun)
				p.s.Sent(len(p.s.Pending()))
			}
			report(b, ours, bare)
		})
	}
}

func readBare(b *testing.B, c *tls.Conn, buf []byte, n int) time.Duration {
	begun := time.Now()
	for n > 0 {
		k, err := c.Read(buf)
		if err != nil {
			b.Fatal(err)
		}
		n -= k
	}
	return time.Since(begun)
}

// report says how much of the floor's speed is ours.
func report(b *testing.B, ours, bare time.Duration) {
	b.ReportMetric(float64(bare)/float64(ours), "of-bare")
}

// BenchmarkHandshake is both ends of one, full or resumed. The floor is that of two
// bare tls.Conns on two goroutines, which take turns just as much.
func BenchmarkHandshake(b *testing.B) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, resumed := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/resumed=%t", tls.VersionName(version), resumed), func(b *testing.B) {
				client, server := configs(version)
				client.CurvePreferences, server.CurvePreferences = nil, nil
				if server.SessionTicketsDisabled = !resumed; resumed {
					client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
				}
				var ours, bare time.Duration
				lent := make([]byte, 64<<10)
				b.ReportAllocs()
				for b.Loop() {
					begun := time.Now()
					if err := engineShake(Client(client), Server(server), lent); err != nil {
						b.Fatal(err)
					}
					ours += time.Since(begun)

					b.StopTimer()
					begun = time.Now()
					if _, _, err := bareShake(client, server); err != nil {
						b.Fatal(err)
					}
					bare += time.Since(begun)
					b.StartTimer()
				}
				report(b, ours, bare)
			})
		}
	}
}
