//go:build unix

package reactor

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// poll(2) says in the wait itself that a descriptor was closed behind the loop's back:
// each is named once, and what else the wait brought is not lost.
func TestPollNamesClosedDescriptors(t *testing.T) {
	w := pollWorld()
	l := w.loop(t)
	a, b := w.newPair(t)
	good := w.newCounter(t)
	mustAdd(t, l, a, good, b)
	good.signal()
	closed := []*stream{a, b}
	for _, s := range closed {
		unix.Close(s.fd)
	}
	var named []Source
	for range closed {
		err := l.Run(context.Background())
		var fault *SourceError
		if !errors.As(err, &fault) || !errors.Is(err, unix.EBADF) {
			t.Fatalf("the error names a source, and says EBADF; it was %v", err)
		}
		named = append(named, fault.Source)
	}
	if !slices.Contains(named, Source(a)) || !slices.Contains(named, Source(b)) || l.table.n != 1 {
		t.Errorf("each is named once and removed; %v, %d sources are left", named, l.table.n)
	}
	a.fd, b.fd = -1, -1
	run(t, l, func() bool { return good.calls == 1 })
}

// An entry that was muted after its hang-up moves when another is removed, and is
// still the one that a new interest brings back.
func TestPollMovesMutedEntries(t *testing.T) {
	p := pollWorld().loop(t).poller
	a, b := newPair(t)
	first, last := newCounter(t), newCounter(t)
	if err := errors.Join(p.add(int32(first.fd), 1, Readable), p.add(int32(b.fd), 2, 0),
		p.add(int32(last.fd), 4, Readable)); err != nil {
		t.Fatal(err)
	}
	a.close()
	into := make([]event, 4)
	hungUp := event{int32(b.fd), 2}
	for _, n := range []int{1, 0, 0} {
		if got, err := p.wait(into, 0); got.n != n || err != nil || n == 1 && into[0] != hungUp {
			t.Fatalf("a hang-up that nobody wants to hear of is told once; a wait told of %d (%v), not %d", got.n, err, n)
		}
	}
	p.remove(int32(first.fd)) // last takes its place
	last.signal()
	if got, err := p.wait(into, 0); got.n != 1 || into[0] != (event{int32(last.fd), 4}) || err != nil {
		t.Errorf("what moves keeps its generation; it was %+v, %v, %v", got, into[0], err)
	}
	p.remove(int32(last.fd)) // the muted one does
	if err := p.modify(int32(b.fd), 3, 0); err != nil {
		t.Fatal(err)
	}
	if got, err := p.wait(into, 0); got.n != 1 || into[0] != (event{int32(b.fd), 3}) || err != nil {
		t.Errorf("a new interest may tell once more, with its generation; it was %+v, %v, %v", got, into[0], err)
	}
	p.remove(int32(b.fd))
	if got, err := p.wait(into, 0); got.n != 0 || err != nil {
		t.Errorf("what was removed is silent, also if it was muted; it was %+v, %v", got, err)
	}
}

// countedPolls finds nothing, and counts how long it was asked to wait.
type countedPolls struct {
	system
	clock    *fakeClock
	timeouts []time.Duration
	sizes    []int
}

func (k *countedPolls) poll(fds []unix.PollFd, timeout time.Duration) (int, error) {
	k.timeouts = append(k.timeouts, timeout)
	k.sizes = append(k.sizes, len(fds))
	k.clock.now = k.clock.now.Add(timeout)
	return 0, nil
}

// What is removed costs the following waits nothing, and a deadline one wait.
func TestPollIsHandedWhatIsWatched(t *testing.T) {
	k := &countedPolls{clock: &fakeClock{now: time.Unix(1000, 0)}}
	p, err := newPoll(k)
	if err != nil {
		t.Fatal(err)
	}
	l := newLoop(p, k.clock.read)
	defer l.Close()
	a, b := newPair(t)
	mustAdd(t, l, a, b)
	fired := 0
	for range 2 {
		l.After(100*time.Microsecond, func() { fired++ })
		steps(t, l, 1)
		if a.fd >= 0 {
			a.close()
		}
	}
	want := []time.Duration{100 * time.Microsecond, 100 * time.Microsecond}
	if !slices.Equal(k.timeouts, want) || !slices.Equal(k.sizes, []int{3, 2}) {
		t.Errorf("two waits of 100 µs are for two sources, then one, and the pipe; they were of %v for %v", k.timeouts, k.sizes)
	}
}

// The loop of NewPoll is one over poll(2), and works.
func TestNewPoll(t *testing.T) {
	l, err := NewPoll()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, ok := l.poller.(*poll); !ok {
		t.Errorf("its poller is that of poll(2); it was %T", l.poller)
	}
	c := newCounter(t)
	mustAdd(t, l, c)
	c.signal()
	run(t, l, func() bool { return c.calls == 1 })
}
