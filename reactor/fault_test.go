//go:build unix

package reactor

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// plan says which system call fails: the nth one of its name. It counts them all.
type plan struct {
	op     string
	nth    int // counted from 1; 0: none
	errno  error
	counts map[string]int
}

func (p *plan) fails(op string) bool {
	p.counts[op]++
	return op == p.op && p.counts[op] == p.nth
}

// call makes a system call unless the plan says that it fails.
func call[T any](p *plan, op string, f func() (T, error)) (T, error) {
	if p.fails(op) {
		var none T
		return none, p.errno
	}
	return f()
}

func (p *plan) do(op string, f func() error) error {
	_, err := call(p, op, func() (struct{}, error) { return struct{}{}, f() })
	return err
}

// faultyFiles fails as planned.
type faultyFiles struct {
	files
	*plan
}

func (k faultyFiles) pipe() (r, w int, err error) {
	if k.fails("pipe") {
		return -1, -1, k.errno
	}
	return k.files.pipe()
}

func (k faultyFiles) kind(fd int) (fileKind, error) {
	return call(k.plan, "fstat", func() (fileKind, error) { return k.files.kind(fd) })
}

func (k faultyFiles) read(fd int, b []byte) (int, error) {
	return call(k.plan, "read", func() (int, error) { return k.files.read(fd, b) })
}

func (k faultyFiles) write(fd int, b []byte) (int, error) {
	return call(k.plan, "write", func() (int, error) { return k.files.write(fd, b) })
}

// close closes whatever it says, as close(2) does.
func (k faultyFiles) close(fd int) error {
	err := k.files.close(fd)
	return k.do("close", func() error { return err })
}

type faultyPoll struct{ faultyFiles }

func (k faultyPoll) poll(fds []unix.PollFd, timeout time.Duration) (int, error) {
	return call(k.plan, "poll", func() (int, error) { return system{}.poll(fds, timeout) })
}

type faultyKqueue struct {
	faultyFiles
	m *model
}

func (k faultyKqueue) kqueue() (int, error) { return call(k.plan, "kqueue", k.m.kqueue) }

func (k faultyKqueue) change(kq int, c kevent) error {
	return k.do("kevent", func() error { return k.m.change(kq, c) })
}

func (k faultyKqueue) events(kq int, into []kevent, timeout time.Duration) (int, error) {
	return call(k.plan, "kevent", func() (int, error) { return k.m.events(kq, into, timeout) })
}

func (k faultyKqueue) tick() time.Duration { return k.m.tick() }
func (k faultyKqueue) userEvents() bool    { return k.m.userEvents() }

// faultyWorld is a kernel that fails as planned.
type faultyWorld struct {
	make  func(p *plan) *world
	calls []string // what the conversation uses
	// Calls that a signal interrupts; the others never return EINTR.
	interrupted []string
}

func faultyModel(userEvents bool) func(p *plan) *world {
	return func(p *plan) *world {
		m := newModel(userEvents, time.Millisecond)
		w := m.world()
		w.newPoller = func() (poller, error) { return newKqueue(faultyKqueue{faultyFiles{m, p}, m}) }
		return w
	}
}

// faultyWorlds is completed by the system's own.
var faultyWorlds = map[string]faultyWorld{
	"poll": {
		make: func(p *plan) *world {
			w := pollWorld()
			w.newPoller = func() (poller, error) { return newPoll(faultyPoll{faultyFiles{system{}, p}}) }
			return w
		},
		calls:       []string{"pipe", "fstat", "poll", "read", "write", "close"},
		interrupted: []string{"poll", "read", "write"},
	},
	"kqueue": {
		make:        faultyModel(true),
		calls:       []string{"kqueue", "fstat", "kevent", "close"},
		interrupted: []string{"kevent"},
	},
	"kqueue with pipes": {
		make:        faultyModel(false),
		calls:       []string{"kqueue", "pipe", "fstat", "kevent", "read", "write", "close"},
		interrupted: []string{"kevent", "read", "write"},
	},
}

// openDescriptors counts those of the process or of the model.
func openDescriptors(t *testing.T, w *world) int {
	t.Helper()
	if m, ok := w.files.(*model); ok {
		n := 0
		for _, o := range m.fds {
			if o != nil {
				n++
			}
		}
		return n
	}
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// conversation uses every operation of the kernel, and returns the first error that
// the loop reports to its driver. Two sockets, a timer, a post and a host.
func conversation(t *testing.T, w *world) (heard string, err error) {
	p, err := w.newPoller()
	if err != nil {
		return "", err
	}
	l := newLoop(p, w.clock)
	defer l.Close()
	a, b := w.newPair(t)
	defer a.close()
	defer b.close()
	if err := errors.Join(l.Add(a), l.Add(b)); err != nil {
		return "", err
	}
	fired, posted := false, false
	l.After(time.Millisecond, func() { fired = true })
	if !l.Post(func() { posted = true }) {
		return "", errors.New("the post was refused")
	}
	a.send([]byte("hello"))
	b.pause(true)
	resumed := false
	for turns := 0; len(b.in) < 5 || !fired || !posted; turns++ {
		if turns > 100 {
			return "", errors.New("a hundred turns are enough; the loop spins")
		}
		if err := oneEvent(w, l); err != nil {
			return string(b.in), err
		}
		if posted && !resumed {
			resumed = true
			b.pause(false)
			l.After(3*time.Millisecond, func() {}).Reset(time.Millisecond)
		}
	}
	a.send([]byte(" again"))
	b.heard = func() {
		if len(b.in) == len("hello again") {
			err = l.Close()
		}
	}
	if end := l.Run(context.Background()); end != ErrClosed {
		return string(b.in), end
	}
	return string(b.in), err
}

// oneEvent is what a host does that sleeps only on what the loop shows it, or, with a
// loop that shows nothing, does not.
func oneEvent(w *world, l *Loop) error {
	fd, _ := l.GetSelectInfo()
	if fd < 0 {
		return l.ProcessOneEvent()
	}
	if err := w.sleep(fd); err != nil {
		return err
	}
	_, err := l.TryProcessOneEvent()
	return err
}

// Each call of each operation fails once. The conversation then goes through, or the
// error comes out with the name of the call; nothing hangs and no descriptor is lost.
func TestEveryKernelCallFails(t *testing.T) {
	for name, f := range faultyWorlds {
		t.Run(name, f.test)
	}
}

func (f faultyWorld) test(t *testing.T) {
	clean := &plan{counts: map[string]int{}}
	if heard, err := conversation(t, f.make(clean)); heard != "hello again" || err != nil {
		t.Fatalf("without a fault all goes well; it was %q, %v", heard, err)
	}
	for _, op := range f.calls {
		if clean.counts[op] == 0 {
			t.Errorf("the conversation uses %s; it did not", op)
		}
	}
	for op, calls := range clean.counts {
		for nth := 1; nth <= calls; nth++ {
			f.fail(t, plan{op: op, nth: nth, errno: unix.ENOMEM})
		}
	}
	for _, op := range f.interrupted {
		for nth := 1; nth <= clean.counts[op]; nth++ {
			f.interrupt(t, plan{op: op, nth: nth, errno: unix.EINTR})
		}
	}
}

// with has a conversation with a fault.
func (f faultyWorld) with(t *testing.T, p *plan) (heard string, err error) {
	t.Helper()
	p.counts = map[string]int{}
	w := f.make(p)
	before := openDescriptors(t, w)
	heard, err = conversation(t, w)
	if n := openDescriptors(t, w); n > before {
		t.Fatalf("no descriptor is lost when %s number %d fails; %d were", p.op, p.nth, n-before)
	}
	return heard, err
}

func (f faultyWorld) interrupt(t *testing.T, p plan) {
	if heard, err := f.with(t, &p); err != nil || heard != "hello again" {
		t.Errorf("nothing is noticed when %s number %d is interrupted; it was %q, %v", p.op, p.nth, heard, err)
	}
}

func (f faultyWorld) fail(t *testing.T, p plan) {
	heard, err := f.with(t, &p)
	var call *os.SyscallError
	if errors.As(err, &call) && (call.Syscall != p.op || call.Err != p.errno) {
		t.Errorf("the error names the call when %s number %d fails; it was %v", p.op, p.nth, err)
	}
	if hit := p.counts[p.op] >= p.nth; hit && err == nil && !excused(p.op, heard) {
		t.Errorf("an error comes out when %s number %d fails; none did, heard %q", p.op, p.nth, heard)
	}
}

// excused says which failures need not be reported: those of a close that is not the
// last, and of a remove, which the owner of the descriptor makes good by closing it.
func excused(op, heard string) bool {
	return heard == "hello again" && (op == "close" || op == "epoll_ctl" || op == "kevent")
}
