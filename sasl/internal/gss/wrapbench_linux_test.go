package gss

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/md5"
	stdrc4 "crypto/rc4"
	"fmt"
	"hash"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const benchData = 1 << 20 // bytes a round

// eachBench runs f for each encryption type, protection and length of packets.
func eachBench(b *testing.B, direction string, f func(b *testing.B, etype int32, private bool, packet int)) {
	for _, etype := range etypes {
		for _, private := range []bool{false, true} {
			for _, packet := range []int{4096, 65536} {
				name := fmt.Sprintf("%s/%s/packet=%d", direction, kind(etype, private), packet)
				b.Run(name, func(b *testing.B) { f(b, etype, private, packet) })
			}
		}
	}
}

// BenchmarkWrapper measures both directions beside the cipher and the HMAC alone, over
// the same bytes and in turn, in CPU time of the thread.
func BenchmarkWrapper(b *testing.B) {
	eachBench(b, "encode", benchEncode)
	eachBench(b, "decode", benchDecode)
}

// batch is what is measured at a time, so that the clock, which is a system call, does
// not count.
const batch = 256 << 10

func benchEncode(b *testing.B, etype int32, private bool, packet int) {
	initiator, _ := newPair(b, etype)
	raw := newRaw(b, etype, private, true)
	data, dst := text(packet-initiator.Overhead(private)), make([]byte, packet)
	token := seal(b, initiator, data, private)
	m := newMeter(b, len(data)*(batch/packet))
	b.ReportAllocs()
	for b.Loop() {
		for range benchData / batch {
			m.ours(func() {
				for range batch / packet {
					var err error
					if token, err = initiator.Seal(token[:0], data, private); err != nil {
						b.Fatal(err)
					}
				}
			})
			m.raw(func() {
				for range batch / packet {
					raw.encode(dst, data)
				}
			})
		}
	}
	m.report()
}

func benchDecode(b *testing.B, etype int32, private bool, packet int) {
	initiator, acceptor := newPair(b, etype)
	raw := newRaw(b, etype, private, false)
	data := text(packet - initiator.Overhead(private))
	mustOpen(b, acceptor, seal(b, initiator, data, private), data, private)
	tokens, again := make([][]byte, batch/packet), make([][]byte, batch/packet)
	for i := range tokens {
		tokens[i], again[i] = make([]byte, 0, packet), make([]byte, len(data))
	}
	m := newMeter(b, len(data)*(batch/packet))
	b.ReportAllocs()
	for b.Loop() {
		for range benchData / batch {
			for i := range tokens {
				var err error
				if tokens[i], err = initiator.Seal(tokens[i][:0], data, private); err != nil {
					b.Fatal(err)
				}
				copy(again[i], tokens[i])
			}
			m.raw(func() {
				for _, p := range again {
					raw.decode(p)
				}
			})
			m.ours(func() {
				for _, token := range tokens {
					if got, _, err := acceptor.Open(token); len(got) != len(data) || err != nil {
						b.Fatalf("%d bytes, %v", len(got), err)
					}
				}
			})
		}
	}
	m.report()
}

// raw is a cipher and an HMAC alone, of the standard library, with keys that do not matter.
type raw struct {
	mac   hash.Hash
	crypt func(dst, src []byte) // nil: integrity
	block int
	sum   []byte
}

func newRaw(b *testing.B, etype int32, private, encrypt bool) *raw {
	p := profiles[etype]
	r := &raw{sum: make([]byte, 0, 64), block: 1}
	if p == nil {
		r.mac = hmac.New(md5.New, make([]byte, rc4KeyLen))
	} else {
		r.mac = hmac.New(p.newHash, make([]byte, p.macKeyLen))
	}
	switch {
	case !private:
	case p == nil:
		c, err := stdrc4.NewCipher(make([]byte, rc4KeyLen))
		if err != nil {
			b.Fatal(err)
		}
		r.crypt = c.XORKeyStream
	default:
		c := mustAES(make([]byte, p.keyLen))
		newMode := cipher.NewCBCDecrypter
		if encrypt {
			newMode = cipher.NewCBCEncrypter
		}
		r.crypt, r.block = newMode(c, make([]byte, aes.BlockSize)).CryptBlocks, aes.BlockSize
	}
	return r
}

func (r *raw) encode(dst, data []byte) {
	r.sign(data)
	if r.crypt != nil {
		r.crypt(dst, data[:len(data)/r.block*r.block])
	}
}

func (r *raw) decode(b []byte) {
	if r.crypt != nil {
		whole := b[:len(b)/r.block*r.block]
		r.crypt(whole, whole)
	}
	r.sign(b)
}

func (r *raw) sign(b []byte) {
	r.mac.Reset()
	r.mac.Write(b)
	r.mac.Sum(r.sum)
}

// meter notes the CPU time of two ways to do a thing, which take turns.
type meter struct {
	b             *testing.B
	size          int // bytes of data a turn
	byOurs, byRaw []float64
}

func newMeter(b *testing.B, size int) *meter {
	runtime.LockOSThread()
	b.Cleanup(runtime.UnlockOSThread)
	return &meter{b: b, size: size}
}

func (m *meter) ours(f func()) { m.byOurs = append(m.byOurs, m.time(f)) }
func (m *meter) raw(f func())  { m.byRaw = append(m.byRaw, m.time(f)) }

func (m *meter) time(f func()) float64 {
	start := threadTime(m.b)
	f()
	return float64(threadTime(m.b) - start)
}

func threadTime(b *testing.B) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return time.Duration(t.Nano())
}

// report tells medians: of the speeds, and of the ratio in each turn.
func (m *meter) report() {
	ratios := make([]float64, len(m.byOurs))
	for i := range ratios {
		ratios[i] = m.byRaw[i] / m.byOurs[i]
	}
	m.b.ReportMetric(speed(m.size, time.Duration(median(m.byOurs))), "token-MB/cpu-s")
	m.b.ReportMetric(speed(m.size, time.Duration(median(m.byRaw))), "raw-MB/cpu-s")
	m.b.ReportMetric(median(ratios), "token/raw")
	m.b.ReportMetric(0, "ns/op")
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

func speed(bytes int, d time.Duration) float64 { return float64(bytes) / 1e6 / d.Seconds() }

// BenchmarkMIT measures MIT's library at the same.
func BenchmarkMIT(b *testing.B) {
	mit := newMIT(b)
	eachBench(b, "both", func(b *testing.B, etype int32, private bool, packet int) {
		mit.t = b
		mit.context(etype, true)
		var took [2]time.Duration
		rounds := 0
		for b.Loop() {
			for i, word := range mit.do("speed %d %d %d", digit(private), packet, benchData/packet) {
				ns, err := strconv.Atoi(word)
				if err != nil {
					b.Fatal(err)
				}
				took[i] += time.Duration(ns)
			}
			rounds++
		}
		b.ReportMetric(speed(benchData*rounds, took[0]), "wrap-MB/cpu-s")
		b.ReportMetric(speed(benchData*rounds, took[1]), "unwrap-MB/cpu-s")
		b.ReportMetric(0, "ns/op")
	})
}
