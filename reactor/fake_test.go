package reactor

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// fakeClock stands still unless a test or a wait moves it.
type fakeClock struct {
	now   time.Time
	reads int
}

func (c *fakeClock) read() time.Time {
	c.reads++
	return c.now
}

// fakePoller is level-triggered like the real ones: wait reports the descriptors that
// are ready and watched for it, in the order in which they became ready. A wait that
// would sleep moves the clock to its end, or, if it has none, calls asleep.
type fakePoller struct {
	t       testing.TB
	clock   *fakeClock
	watched map[int32]fakeWatch
	ready   []fakeReady
	inject  []event // reported by the next wait whatever is watched
	asleep  func()  // must make something happen
	woken   bool
	wakes   int
	waits   []time.Duration
	alarms  []time.Duration
	log     []string // adds, modifies, removes and what tests put in
	failing map[string]error
	closed  bool
}

type fakeWatch struct {
	gen uint32
	in  Interest
}

type fakeReady struct {
	fd int32
	in Interest
}

func newFake(t testing.TB) (*Loop, *fakePoller, *fakeClock) {
	t.Helper()
	clock := &fakeClock{now: time.Unix(1000, 0)}
	p := &fakePoller{t: t, clock: clock, watched: map[int32]fakeWatch{}, failing: map[string]error{}}
	return newLoop(p, clock.read), p, clock
}

// set makes a descriptor ready for in and for nothing else.
func (p *fakePoller) set(fd int, in Interest) {
	p.ready = slices.DeleteFunc(p.ready, func(r fakeReady) bool { return r.fd == int32(fd) })
	if in != 0 {
		p.ready = append(p.ready, fakeReady{int32(fd), in})
	}
}

func (p *fakePoller) logf(format string, args ...any) {
	p.log = append(p.log, fmt.Sprintf(format, args...))
}

// takeLog returns what was logged since the last call.
func (p *fakePoller) takeLog() []string {
	log := p.log
	p.log = nil
	return log
}

func (p *fakePoller) descriptor() int { return 1 << 20 }

func (p *fakePoller) add(fd int32, gen uint32, in Interest) error {
	if _, twice := p.watched[fd]; twice {
		p.t.Errorf("a descriptor is added once; %d was added again", fd)
	}
	if err := p.failing["add"]; err != nil {
		return err
	}
	p.logf("add %d %v", fd, in)
	p.watched[fd] = fakeWatch{gen, in}
	return nil
}

func (p *fakePoller) modify(fd int32, gen uint32, in Interest) error {
	w, ok := p.watched[fd]
	if !ok || w.gen != gen {
		p.t.Errorf("only watched descriptors are modified; %d is not", fd)
	}
	if w.in == in {
		p.t.Errorf("interest is written only when it differs; %d had %v already", fd, in)
	}
	if err := p.failing["modify"]; err != nil {
		return err
	}
	p.logf("modify %d %v", fd, in)
	p.watched[fd] = fakeWatch{gen, in}
	return nil
}

func (p *fakePoller) remove(fd int32) {
	if _, ok := p.watched[fd]; !ok {
		p.t.Errorf("only watched descriptors are removed; %d is not", fd)
	}
	p.logf("remove %d", fd)
	delete(p.watched, fd)
}

func (p *fakePoller) wait(into []event, timeout time.Duration) (waited, error) {
	p.waits = append(p.waits, timeout)
	if err := p.failing["wait"]; err != nil {
		return waited{}, err
	}
	w := p.collect(into)
	if w.n > 0 || w.woken || timeout == 0 {
		return w, nil
	}
	switch {
	case timeout > 0:
		p.clock.now = p.clock.now.Add(timeout)
	case p.asleep != nil:
		p.asleep()
	default:
		p.t.Fatal("something is left to wait for; the loop went to sleep for ever")
	}
	return p.collect(into), nil
}

func (p *fakePoller) collect(into []event) (w waited) {
	w.n = copy(into, p.inject)
	p.inject = p.inject[w.n:]
	for _, r := range p.ready {
		if watch, ok := p.watched[r.fd]; ok && watch.in&r.in != 0 && w.n < len(into) {
			into[w.n] = event{r.fd, watch.gen}
			w.n++
		}
	}
	w.more = w.n == len(into)
	w.woken, p.woken = p.woken, false
	return w
}

func (p *fakePoller) wake() error {
	if p.closed {
		p.t.Error("nothing is written to a closed descriptor; the poller was woken")
	}
	if err := p.failing["wake"]; err != nil {
		return err
	}
	p.wakes++
	p.woken = true
	return nil
}

func (p *fakePoller) hush() error {
	p.woken = false
	return p.failing["hush"]
}

func (p *fakePoller) alarm(d time.Duration) error {
	p.alarms = append(p.alarms, d)
	return p.failing["alarm"]
}

func (p *fakePoller) close() error {
	if p.closed {
		p.t.Error("the poller is closed once; it was closed again")
	}
	p.closed = true
	return nil
}

// plain is a source that can do nothing but what it must.
type plain struct {
	fd    int
	write bool
	do    func() (bool, error) // nil: says true
	calls int
	asked int // calls of GetSelectInfo
}

func (s *plain) GetSelectInfo() (int, bool) {
	s.asked++
	return s.fd, s.write
}

func (s *plain) TryProcessOneEvent() (bool, error) {
	s.calls++
	if s.do == nil {
		return true, nil
	}
	return s.do()
}

// full is a source that can do all that a source can.
type full struct {
	plain
	paused    bool
	deadline  time.Time
	changed   func() // nil: not in a loop
	dismissed int
	onDismiss func()
}

func (s *full) Interest() (fd int, read, write bool) {
	fd, write = s.GetSelectInfo()
	return fd, !s.paused, write
}

func (s *full) NextDeadline() (time.Time, bool) {
	return s.deadline, !s.deadline.IsZero()
}

func (s *full) SetNotify(changed func()) {
	s.changed = changed
	if changed == nil {
		s.dismissed++
		if s.onDismiss != nil {
			s.onDismiss()
		}
	}
}

func newFull(fd int) *full { return &full{plain: plain{fd: fd}} }

// counterless is a Notifier that has little to do.
type counterless struct {
	fd int
	do func() // nil: nothing
}

func (s *counterless) GetSelectInfo() (int, bool) { return s.fd, false }
func (s *counterless) SetNotify(func())           {}

func (s *counterless) TryProcessOneEvent() (bool, error) {
	if s.do != nil {
		s.do()
	}
	return true, nil
}

func mustAdd(t testing.TB, l *Loop, sources ...Source) {
	t.Helper()
	for _, s := range sources {
		if err := l.Add(s); err != nil {
			t.Fatalf("Add succeeds; it said %v", err)
		}
	}
}

// turns has a loop do n events, as Run does, and returns how many turns it took.
func steps(t testing.TB, l *Loop, n int) (turns uint64) {
	t.Helper()
	before := l.stats.Turns
	for n > 0 {
		ok, err := drive(l, true)
		if err != nil {
			t.Fatalf("a step succeeds; it said %v", err)
		}
		if ok {
			n--
		}
	}
	return l.stats.Turns - before
}

// drive makes one step as Run makes them, without a host that looks on.
func drive(l *Loop, wait bool) (bool, error) {
	l.inside = true
	defer func() { l.inside = false }()
	return l.step(wait)
}

// drain has a loop do all that it has to do, up to the next wait.
func drain(t testing.TB, l *Loop) {
	t.Helper()
	for {
		ok, err := drive(l, false)
		if err != nil {
			t.Fatalf("a step succeeds; it said %v", err)
		}
		if !ok {
			l.settle()
			return
		}
	}
}

func wantLog(t *testing.T, p *fakePoller, want ...string) {
	t.Helper()
	if got := p.takeLog(); !slices.Equal(got, want) {
		t.Errorf("the poller is told %q; it was told %q", want, got)
	}
}
