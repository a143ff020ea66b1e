//go:build unix

package reactor

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What holds for every poller, over its kernel or, for kqueue, a model of that.

// More than a socket holds goes from one side to the other, both in one loop.
func TestSocketsBothWays(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		l := w.loop(t)
		a, b := w.newPair(t)
		mustAdd(t, l, a, b)
		sent := make([]byte, 4<<20)
		for i := range sent {
			sent[i] = byte(i * i >> 3)
		}
		a.send(sent)
		b.send(sent[:1<<20])
		run(t, l, func() bool { return len(b.in) == len(sent) && len(a.in) == 1<<20 })
		if !slices.Equal(b.in, sent) || !slices.Equal(a.in, sent[:1<<20]) {
			t.Error("what arrives is what was sent; it was not")
		}
		settled(t, l)
		waits := l.stats.Turns
		if ok, _ := l.TryProcessOneEvent(); ok || l.stats.Turns != waits+1 {
			t.Error("a socket that can be written but has nothing to write is quiet; it was not")
		}
	})
}

// E3: data, end of data and hang-up at once: all data first, then the end.
func TestDataBeforeHangUp_E3(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		l := w.loop(t)
		a, b := w.newPair(t)
		mustAdd(t, l, b)
		if _, err := w.write(a.fd, make([]byte, 10_000)); err != nil {
			t.Fatal(err)
		}
		a.close()
		run(t, l, func() bool { return b.err != nil })
		if len(b.in) != 10_000 || b.err != io.EOF || b.changed != nil {
			t.Errorf("10,000 bytes come before the end, and the source is removed; there were %d, then %v", len(b.in), b.err)
		}
	})
}

// E4: an error without readability. The write end of a pipe hears of nothing but
// EPOLLERR when its reader has gone.
func TestErrorAlone_E4(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		l := w.loop(t)
		r, wr, err := w.pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer w.close(wr)
		called := 0
		writer := &plain{fd: wr, do: func() (bool, error) {
			called++
			if _, err := w.write(wr, []byte{0}); err != unix.EPIPE {
				t.Errorf("the reader has gone: EPIPE; it was %v", err)
			}
			return true, unix.EPIPE
		}}
		mustAdd(t, l, writer)
		if ok, err := l.TryProcessOneEvent(); ok || err != nil {
			t.Fatalf("a pipe that only can be written is quiet; it said %v, %v", ok, err)
		}
		w.close(r)
		run(t, l, func() bool { return called > 0 })
		if l.table.n != 0 {
			t.Error("a source that fails is removed; it was not")
		}
	})
}

// A paused source whose peer has gone hears of it once, and the loop sleeps on.
func TestPausedSourceDoesNotSpin(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		l := w.loop(t)
		a, b := w.newPair(t)
		b.paused = true
		mustAdd(t, l, b)
		if _, err := w.write(a.fd, []byte("left unread")); err != nil {
			t.Fatal(err)
		}
		a.close()
		settled(t, l)
		events := l.stats.Events
		if events > 1 {
			t.Errorf("a hang-up nobody wants to hear of is told once at most; it was %d times", events)
		}
		fired := false
		l.After(20*time.Millisecond, func() { fired = true })
		waits := l.stats.Waits
		run(t, l, func() bool { return fired })
		if n := l.stats.Waits - waits; n != 1 {
			t.Errorf("the loop sleeps through; it woke %d times", n)
		}
		b.pause(false)
		run(t, l, func() bool { return b.err != nil })
		if string(b.in) != "left unread" {
			t.Errorf("once resumed it reads what was left; it was %q", b.in)
		}
	})
}

// E8, with a real socket: after the blocked writer has written everything, the loop
// sleeps until its next deadline without waking.
func TestBlockedWriterSleeps_E8(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		l := w.loop(t)
		a, b := w.newPair(t)
		mustAdd(t, l, a)
		a.send(make([]byte, 1<<20))
		settled(t, l)
		if len(a.out) == 0 {
			t.Fatal("a megabyte does not fit into the socket; it did")
		}
		waits, fired := l.stats.Waits, false
		timer := l.After(20*time.Millisecond, func() { fired = true })
		run(t, l, func() bool { return fired })
		if n := l.stats.Waits - waits; n != 1 {
			t.Errorf("a writer that is blocked waits; the loop woke %d times", n)
		}
		mustAdd(t, l, b)
		run(t, l, func() bool { return len(b.in) == 1<<20 })
		settled(t, l)
		waits, fired = l.stats.Waits, false
		timer.Reset(20 * time.Millisecond)
		run(t, l, func() bool { return fired })
		if n := l.stats.Waits - waits; n != 1 {
			t.Errorf("a writer that is done waits; the loop woke %d times", n)
		}
	})
}

// E15, with a real copy of the descriptor, as a child would keep it.
func TestCopyOfAClosedDescriptor_E15(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		l := w.loop(t)
		a, b := w.newPair(t)
		mustAdd(t, l, b)
		copied, err := w.dup(b.fd)
		if err != nil {
			t.Fatal(err)
		}
		defer w.close(copied)
		b.close()
		if _, err := w.write(a.fd, []byte("for the child")); err != nil {
			t.Fatal(err)
		}
		settled(t, l)
		if l.stats.Stale != 0 || l.stats.Events != 0 {
			t.Errorf("the kernel has nothing to tell of a source that was removed; %d events, %d stale", l.stats.Events, l.stats.Stale)
		}
		if err := l.poller.alarm(time.Hour); err != nil { // makes the timerfd
			t.Fatal(err)
		}
		for _, fd := range descriptors(l) {
			if !w.real {
				continue
			}
			flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
			if err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("a child inherits no descriptor of the loop; it would %d (%v)", fd, err)
			}
		}
	})
}

func TestRegularFilesAreRefused(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		l := w.loop(t)
		file := w.file(t)
		defer w.close(file)
		if err := l.Add(newFull(file)); !errors.Is(err, ErrNotPollable) || !errors.Is(err, ErrMisuse) {
			t.Errorf("a regular file is refused as one; the error was %v", err)
		}
		var errno *os.SyscallError
		err := l.Add(newFull(1 << 30))
		if !errors.As(err, &errno) || errno.Err != unix.EBADF || len(l.table.byFD) > 1<<20 {
			t.Errorf("a number that is no descriptor is EBADF and costs no memory; it was %v", err)
		}
		if err := l.Add(l); err == nil {
			t.Error("a loop cannot be in itself; it was added")
		}
	})
}

// A descriptor closed behind the loop's back is named when the kernel next hears of it.
func TestClosedBehindOurBack(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		l := w.loop(t)
		_, b := w.newPair(t)
		mustAdd(t, l, b)
		w.close(b.fd)
		b.pause(true)
		err := l.ProcessOneEvent()
		var fault *SourceError
		if !errors.As(err, &fault) || fault.Source != b || !errors.Is(err, unix.EBADF) {
			t.Errorf("the error names the source, and says EBADF; it was %v", err)
		}
		b.fd = -1
		settled(t, l)
	})
}

// E18: 19,500 descriptors, 1,100 of them before the first.
func TestManyDescriptors_E18(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		var limit unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
		n := 19_500
		if room := int(limit.Max-100) / counterSize; w.real && room < n {
			n = room
		}
		before := min(1100, n/2)
		for range before {
			w.newCounter(t)
		}
		l := w.loop(t)
		sources := make([]*counter, n-before)
		for i := range sources {
			sources[i] = w.newCounter(t)
			mustAdd(t, l, sources[i])
		}
		for _, s := range sources {
			s.signal()
		}
		left := len(sources)
		for range sources {
			steps(t, l, 1)
			left--
		}
		for _, s := range sources {
			if s.calls != 1 {
				t.Fatalf("each source has its one event; one of %d, number %d, had %d", len(sources), s.fd, s.calls)
			}
		}
		if ok, _ := l.TryProcessOneEvent(); ok || left != 0 {
			t.Error("and no other; there was one")
		}
	})
}

// E9, with what the loop is woken by: after the close its number is somebody else's, who must
// find nothing written.
func TestNothingIsWrittenAfterClose_E9(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		l := w.loop(t)
		numbers := descriptors(l)
		ctx, cancel := context.WithCancel(context.Background())
		l.Post(func() { l.Close() })
		if err := l.Run(ctx); err != ErrClosed {
			t.Errorf("Run says ErrClosed; it said %v", err)
		}
		var heirs []*counter
		for range 3 {
			heirs = append(heirs, w.newCounter(t))
		}
		cancel()
		if l.Post(func() {}) {
			t.Error("Post after Close says false; it said true")
		}
		inherited := false
		for _, h := range heirs {
			inherited = inherited || slices.Contains(numbers, h.fd)
			if ok, _ := h.TryProcessOneEvent(); ok {
				t.Errorf("nothing is written to a number that was the loop's; %d was", h.fd)
			}
		}
		if !inherited {
			t.Error("the heirs have the loop's numbers, or this test shows nothing")
		}
	})
}

// The end of a context wakes a loop that sleeps; if it did not, Run would not return.
func TestContextWakesTheLoop(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		l := w.loop(t)
		for range 100 {
			ctx, cancel := context.WithCancel(context.Background())
			l.Post(func() { go cancel() })
			if err := l.Run(ctx); err != context.Canceled {
				t.Errorf("Run ends with its context; it said %v", err)
			}
		}
	})
}

// A deadline that has come already shows, where a timer set to zero would be off.
func TestDeadlineOfNowShows(t *testing.T) {
	inNestingWorlds(t, func(t *testing.T, w *world) {
		l := w.loop(t)
		fired := false
		l.After(0, func() { fired = true })
		w.hostUntil(t, l, func() bool { return fired })
	})
}

// A host that sleeps on the descriptor wakes once for a deadline, and once more if it
// had moved, whatever the unit of the system's timers is.
func TestDeadlinesShowOnce(t *testing.T) {
	inNestingWorlds(t, func(t *testing.T, w *world) {
		l := w.loop(t)
		fired := 0
		later := l.After(1500*time.Microsecond, func() { fired++ })
		l.After(700*time.Microsecond, func() { fired++ }) // the alarm moves earlier
		later.Reset(2 * time.Millisecond)
		if idle := w.hostUntil(t, l, func() bool { return fired == 2 }); idle > 2 {
			t.Errorf("two deadlines wake a host twice for nothing at most; it was %d times", idle)
		}
	})
}

// A wait that is over before the deadline would spin towards it.
func TestWaitRoundsUp(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		const tries = 100 // a signal may cut any wait short, but not all
		for range tries {
			l := w.loop(t)
			fired := false
			l.After(1500*time.Microsecond, func() { fired = true })
			run(t, l, func() bool { return fired })
			if l.stats.Turns == 1 {
				return
			}
		}
		t.Errorf("a wait that rounds up needs no second; each of %d did", tries)
	})
}

// A wake that was taken back shows no more, and the next one does.
func TestHush(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		l := w.loop(t)
		p := l.poller
		into := make([]event, 4)
		for range 3 {
			for range 3 {
				if err := p.wake(); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.hush(); err != nil {
				t.Fatal(err)
			}
			if got, err := p.wait(into, 0); got.woken || err != nil {
				t.Fatalf("no wait finds a wake that was taken back; one did (%v)", err)
			}
			if err := p.wake(); err != nil {
				t.Fatal(err)
			}
			if got, err := p.wait(into, -1); !got.woken || err != nil {
				t.Fatalf("a wake ends the wait that follows; it did not (%v)", err)
			}
			if got, err := p.wait(into, 0); got.woken || err != nil {
				t.Fatalf("three wakes are one; there was another (%v)", err)
			}
		}
	})
}

// More wakes than a pipe has room for are still one.
func TestManyWakes(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		p := w.loop(t).poller
		for range 70_000 {
			if err := p.wake(); err != nil {
				t.Fatal(err)
			}
		}
		into := make([]event, 4)
		first, err := p.wait(into, 0)
		second, err2 := p.wait(into, 0)
		if !first.woken || second.woken || err != nil || err2 != nil {
			t.Errorf("all wakes before a wait are one; it was %v, %v (%v, %v)", first, second, err, err2)
		}
	})
}

// A batch that is too short for all that is ready says so, and leaves nobody out.
func TestShortBatches(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		p := w.loop(t).poller
		counters := make([]*counter, 10)
		seen := map[event]int{}
		for i := range counters {
			counters[i] = w.newCounter(t)
			counters[i].signal()
			if err := p.add(int32(counters[i].fd), uint32(i+1), Readable); err != nil {
				t.Fatal(err)
			}
		}
		into := make([]event, 3)
		for range 8 { // 24 events for ten
			got, err := p.wait(into, 0)
			if got.n != 3 || !got.more || err != nil {
				t.Fatalf("three of ten events are a full batch, and there are more; it was %+v, %v", got, err)
			}
			for _, ev := range into {
				seen[ev]++
			}
		}
		for i, c := range counters {
			if n := seen[event{int32(c.fd), uint32(i + 1)}]; n < 2 {
				t.Errorf("each has its turn with its generation; the one at place %d had %d", i, n)
			}
		}
		for _, c := range counters {
			p.remove(int32(c.fd))
		}
		if got, err := p.wait(into, 0); got.n != 0 || got.more || err != nil {
			t.Errorf("of what was removed nothing is reported; it was %+v, %v", got, err)
		}
	})
}

// Reading and writing are one event of a source, and one call.
func TestBothDirectionsAreOneEvent(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		p := w.loop(t).poller
		a, b := w.newPair(t)
		if _, err := w.write(b.fd, []byte("to read")); err != nil {
			t.Fatal(err)
		}
		if err := p.add(int32(a.fd), 1, 0); err != nil {
			t.Fatal(err)
		}
		into := make([]event, 8)
		for _, c := range []struct {
			in     Interest
			events int
		}{{Readable | Writable, 1}, {0, 0}, {Writable, 1}, {Readable, 1}, {0, 0}, {Readable | Writable, 1}} {
			if err := p.modify(int32(a.fd), 1, c.in); err != nil {
				t.Fatal(err)
			}
			for range 2 { // level-triggered
				if got, err := p.wait(into, 0); got.n != c.events || err != nil {
					t.Errorf("with interest %v a wait reports %d events; it was %d, %v", c.in, c.events, got.n, err)
				}
			}
		}
	})
}
