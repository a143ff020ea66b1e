//go:build !race

package reactor

import (
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The race detector allocates on its own, so this file is left out of such builds.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	l := newReal(t)
	l.SpreadLimit(64)
	cs := make([]*counter, 100)
	for i := range cs {
		cs[i] = newCounter(t)
		mustAdd(t, l, cs[i])
	}
	writer := newFull(newCounter(t).fd)
	writer.do = func() (bool, error) {
		writer.write = false
		writer.deadline = l.Now().Add(time.Hour)
		return true, nil
	}
	mustAdd(t, l, writer)
	f := func() {}
	timer := l.After(time.Hour, f)
	soon := l.After(time.Hour, f)
	fds := []unix.PollFd{{Fd: int32(l.poller.descriptor()), Events: unix.POLLIN}}
	for name, work := range map[string]func(){
		"events": func() {
			for _, c := range cs {
				c.signal()
			}
			steps(t, l, len(cs))
		},
		"events under a foreign host": func() {
			for _, c := range cs[:10] {
				c.signal()
			}
			for n, _ := unix.Poll(fds, 0); n > 0; n, _ = unix.Poll(fds, 0) {
				if _, err := l.TryProcessOneEvent(); err != nil {
					t.Fatal(err)
				}
			}
		},
		"posts": func() {
			for range keepPosts {
				l.Post(f)
			}
			steps(t, l, keepPosts)
		},
		"functions of Spread": func() {
			for range keepSpread {
				l.Spread(f)
			}
			steps(t, l, keepSpread)
		},
		"a queue of Spread that is never empty": func() {
			for range keepSpread / 2 {
				l.Spread(f)
			}
			steps(t, l, keepSpread/2-2)
			for range 2 * keepSpread {
				l.Spread(f)
				steps(t, l, 1)
			}
			steps(t, l, 2)
		},
		"a timer set and stopped": func() {
			timer.Reset(time.Minute)
			timer.Reset(time.Hour)
			timer.Stop()
			timer.Reset(time.Hour)
		},
		"a timer that fires": func() {
			soon.Reset(0)
			steps(t, l, 1)
		},
		"writes and deadlines": func() {
			writer.write = true
			writer.deadline = l.Now().Add(time.Minute)
			writer.changed()
			writer.changed()
			steps(t, l, 1)
		},
		"interest": func() {
			writer.paused = !writer.paused
			writer.changed()
			if _, err := drive(l, false); err != nil {
				t.Fatal(err)
			}
		},
		"stats": func() { l.Stats() },
	} {
		work() // slices grow to what they need
		work()
		if n := testing.AllocsPerRun(100, work); n != 0 {
			t.Errorf("%s allocate nothing; they did %v times", name, n)
		}
	}
}

// What a source costs: its slot, a place in the table and, with a deadline, in the
// heap, and the closure that it is given.
func TestMemoryOfASource(t *testing.T) {
	if n := unsafe.Sizeof(slot{}); n > 80 {
		t.Errorf("a slot is 80 bytes at most; it is %d", n)
	}
	if n := unsafe.Sizeof(deadline{}); n > 32 {
		t.Errorf("a deadline is 32 bytes at most; it is %d", n)
	}
}

// What race builds look at, others do not even keep.
func TestNobodyLooksAtGoroutines(t *testing.T) {
	if n := unsafe.Sizeof(driver{}); n != 0 {
		t.Errorf("the driver is nothing; it is %d bytes", n)
	}
}
