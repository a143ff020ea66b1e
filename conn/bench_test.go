package conn

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// echo is a kernel without a kernel: what is written is answered from memory, so
// that a benchmark sees the cost of this package and wire alone.
type echo struct {
	system
	tag     uint64
	text    string // untagged, before each tagged reply
	depth   int
	replies []byte
	off     int
}

func (e *echo) write(_ int, p []byte) (int, error) {
	e.replies, e.off = e.replies[:0], 0
	for range e.depth {
		e.tag++
		e.replies = append(e.replies, e.text...)
		e.replies = append(e.replies, 'k', 'f')
		e.replies = strconv.AppendUint(e.replies, e.tag, 10)
		e.replies = append(e.replies, " OK NOOP completed\r\n"...)
	}
	return len(p), nil
}

func (e *echo) read(_ int, p []byte) (int, error) {
	n := copy(p, e.replies[e.off:])
	if n == 0 {
		return 0, unix.EAGAIN
	}
	e.off += n
	return n, nil
}

func (e *echo) now() time.Time { return time.Now() }

func BenchmarkCommand(b *testing.B) {
	body := string(make([]byte, 4096))
	for _, bc := range []struct{ name, text, format string }{
		{"noop", "", "NOOP"},
		{"fetch", "* 1 FETCH (UID 1 BODY[] {4096}\r\n" + body + ")\r\n", "UID FETCH %d BODY.PEEK[]"},
	} {
		for _, depth := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/depth=%d", bc.name, depth), func(b *testing.B) {
				k := &echo{depth: depth, text: bc.text}
				r := newRig(b, &Dialer{TagPrefix: "kf"}, nil)
				r.c.transport.k = k
				left := 0
				finish := func(c *Client, _ any, r *Reply) { left-- }
				b.ReportAllocs()
				for b.Loop() {
					left = depth
					for range depth {
						if bc.text == "" {
							_ = r.c.Send(finish, nil, bc.format)
						} else {
							_ = r.c.Send(finish, nil, bc.format, 123456)
						}
					}
					for left > 0 {
						if _, err := r.c.TryProcessOneEvent(); err != nil {
							b.Fatal(err)
						}
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*depth), "ns/cmd")
			})
		}
	}
}

// BenchmarkLookup finds the callback of an untagged reply among eight, as many as
// a mail watcher has: the first, the last, the default that is registered last.
func BenchmarkLookup(b *testing.B) {
	r := newRig(b, &Dialer{}, nil)
	for _, keyword := range []string{"EXISTS", "EXPUNGE", "FETCH"} {
		r.c.AddCallback(Callback{Keyword: keyword, Flags: CallbackNumbered})
	}
	for _, keyword := range []string{"OK", "BYE", "CAPABILITY", "SEARCH", ""} {
		r.c.AddCallback(Callback{Keyword: keyword})
	}
	for _, bc := range []struct {
		hit, keyword string
		numbered     bool
		want         int
	}{
		{"first", "EXISTS", true, 0},
		{"first/case=lower", "exists", true, 0},
		{"last", "SEARCH", false, 6},
		{"default", "VANISHED", false, 7},
		{"default/length=same", "RECENT", true, 7},
	} {
		b.Run("hit="+bc.hit, func(b *testing.B) {
			keyword := []byte(bc.keyword)
			var e *entry
			b.ReportAllocs()
			for b.Loop() {
				e = r.c.lookup(keyword, bc.numbered)
			}
			if e != &r.c.callbacks[bc.want] {
				b.Errorf("%s finds the entry %d", bc.keyword, bc.want)
			}
		})
	}
}
