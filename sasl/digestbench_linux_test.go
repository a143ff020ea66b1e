package sasl

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"hash"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const benchData = 1 << 20 // bytes a round: 64 KiB at a time, as conn writes and reads

// BenchmarkDigestLayer measures each layer beside the cipher and the MAC alone, over
// the same packets and in turn, in CPU time of the thread.
func BenchmarkDigestLayer(b *testing.B) {
	for _, c := range digestLayers {
		for _, packet := range []int{4096, maxPacket} {
			kind := "auth-int"
			if c != "" {
				kind = string(c)
			}
			name := fmt.Sprintf("layer=%s/packet=%d", kind, packet)
			b.Run("encode/"+name, func(b *testing.B) { benchEncode(b, c, packet) })
			b.Run("decode/"+name, func(b *testing.B) { benchDecode(b, c, packet) })
		}
	}
}

func benchEncode(b *testing.B, c Cipher, packet int) {
	client, _ := newPair(b, c, packet)
	raw := newRawDigest(b, c, true)
	data, dst := make([]byte, 64<<10), make([]byte, packet)
	m := newMeter(b)
	b.ReportAllocs()
	for b.Loop() {
		for range benchData / len(data) {
			m.layer(func() {
				if err := client.Write(data); err != nil {
					b.Fatal(err)
				}
			})
			m.raw(func() { raw.seal(dst, client.Pending(), data) })
			client.Sent(len(client.Pending()))
		}
	}
	m.report()
}

func benchDecode(b *testing.B, c Cipher, packet int) {
	client, server := newPair(b, c, packet)
	raw := newRawDigest(b, c, false)
	data, plain := make([]byte, 64<<10), make([]byte, 64<<10)
	wire := make([]byte, 0, 128<<10)
	m := newMeter(b)
	b.ReportAllocs()
	for b.Loop() {
		for range benchData / len(data) {
			if err := client.Write(data); err != nil {
				b.Fatal(err)
			}
			wire = append(wire[:0], client.Pending()...)
			m.raw(func() { raw.open(client.Pending()) })
			client.Sent(len(client.Pending()))
			m.layer(func() {
				server.Feed(wire)
				if n, err := server.Read(plain); n != len(plain) || err != nil {
					b.Fatalf("%d bytes, %v", n, err)
				}
				server.Keep()
			})
		}
	}
	m.report()
}

// rawDigest is a cipher and a MAC alone, with keys that do not matter.
type rawDigest struct {
	mac   hash.Hash
	crypt func(dst, src []byte)
	sum   [md5.Size]byte
}

func newRawDigest(b *testing.B, c Cipher, encrypt bool) *rawDigest {
	r := &rawDigest{mac: hmac.New(md5.New, make([]byte, md5.Size)), crypt: func(dst, src []byte) {}}
	if c != "" {
		var err error
		if r.crypt, err = c.crypter(md5.Sum(nil), encrypt); err != nil {
			b.Fatal(err)
		}
	}
	return r
}

// sign is the HMAC of a packet: its number is 4 bytes like any other.
func (r *rawDigest) sign(number, p []byte) {
	r.mac.Reset()
	r.mac.Write(number)
	r.mac.Write(p)
	r.mac.Sum(r.sum[:0])
}

// seal does the work that was done for packets and their data.
func (r *rawDigest) seal(dst, packets, data []byte) {
	eachPacket(packets, func(number, body []byte) {
		n := min(len(body)-digestMACLen, len(data))
		r.sign(number, data[:n])
		data = data[n:]
		r.crypt(dst, body)
	})
}

// open does the work that has to be done for packets.
func (r *rawDigest) open(packets []byte) {
	eachPacket(packets, func(number, body []byte) {
		r.crypt(body, body)
		r.sign(number, body[:len(body)-digestMACLen])
	})
}

func eachPacket(packets []byte, f func(number, body []byte)) {
	for len(packets) > 0 {
		n := int(binary.BigEndian.Uint32(packets)) + lengthLen
		f(packets[:lengthLen], packets[lengthLen:n-digestTailLen])
		packets = packets[n:]
	}
}

// meter adds up the CPU time of two ways to do a thing.
type meter struct {
	b              *testing.B
	byLayer, byRaw time.Duration
}

func newMeter(b *testing.B) *meter {
	runtime.LockOSThread()
	b.Cleanup(runtime.UnlockOSThread)
	return &meter{b: b}
}

func (m *meter) layer(f func()) { m.byLayer += m.time(f) }
func (m *meter) raw(f func())   { m.byRaw += m.time(f) }

func (m *meter) time(f func()) time.Duration {
	start := threadTime(m.b)
	f()
	return threadTime(m.b) - start
}

func threadTime(b *testing.B) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return time.Duration(t.Nano())
}

func (m *meter) report() {
	speed := func(d time.Duration) float64 { return float64(m.b.N) * benchData / 1e6 / d.Seconds() }
	m.b.ReportMetric(speed(m.byLayer), "layer-MB/cpu-s")
	m.b.ReportMetric(speed(m.byRaw), "raw-MB/cpu-s")
	m.b.ReportMetric(float64(m.byRaw)/float64(m.byLayer), "layer/raw")
	m.b.ReportMetric(0, "ns/op")
}
