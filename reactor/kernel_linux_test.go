package reactor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// faulty is the kernel with a plan: the nth call of an operation fails. It counts.
type faulty struct {
	linux
	op     string
	nth    int // counted from 1; 0: none
	errno  error
	counts map[string]int
}

func (k *faulty) fails(op string) bool {
	k.counts[op]++
	return op == k.op && k.counts[op] == k.nth
}

func (k *faulty) epollCreate() (int, error) {
	if k.fails("epoll_create1") {
		return -1, k.errno
	}
	return k.linux.epollCreate()
}

func (k *faulty) epollCtl(ep, op, fd int, ev *unix.EpollEvent) error {
	if k.fails("epoll_ctl") {
		return k.errno
	}
	return k.linux.epollCtl(ep, op, fd, ev)
}

func (k *faulty) epollWait(ep int, evs []unix.EpollEvent, msec int) (int, error) {
	if k.fails("epoll_wait") {
		return -1, k.errno
	}
	return k.linux.epollWait(ep, evs, msec)
}

func (k *faulty) eventfd() (int, error) {
	if k.fails("eventfd") {
		return -1, k.errno
	}
	return k.linux.eventfd()
}

func (k *faulty) timerfd() (int, error) {
	if k.fails("timerfd_create") {
		return -1, k.errno
	}
	return k.linux.timerfd()
}

func (k *faulty) timerfdSettime(fd int, spec *unix.ItimerSpec) error {
	if k.fails("timerfd_settime") {
		return k.errno
	}
	return k.linux.timerfdSettime(fd, spec)
}

func (k *faulty) read(fd int, b []byte) (int, error) {
	if k.fails("read") {
		return -1, k.errno
	}
	return k.linux.read(fd, b)
}

func (k *faulty) write(fd int, b []byte) (int, error) {
	if k.fails("write") {
		return -1, k.errno
	}
	return k.linux.write(fd, b)
}

func (k *faulty) close(fd int) error {
	err := k.linux.close(fd) // it is closed whatever close(2) says
	if k.fails("close") {
		return k.errno
	}
	return err
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// conversation uses every operation of the kernel, and returns the first error that
// the loop reports to its driver. Two sockets, a timer, a post and a host.
func conversation(t *testing.T, k kernel) (heard string, err error) {
	p, err := newEpoll(k)
	if err != nil {
		return "", err
	}
	l := newLoop(p, time.Now)
	defer l.Close()
	a, b := newPair(t)
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
		// The host sleeps only on what the loop shows it.
		fds := []unix.PollFd{{Fd: int32(p.ep), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds, -1); n < 1 && err != unix.EINTR {
			return "", fmt.Errorf("poll: %v", err)
		}
		if _, err := l.TryProcessOneEvent(); err != nil {
			return string(b.in), err
		}
		if posted && !resumed {
			resumed = true
			b.pause(false)
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

// Each call of each operation fails once. The conversation then goes through, or the
// error comes out with the name of the call; nothing hangs and no descriptor is lost.
func TestEveryKernelCallFails(t *testing.T) {
	clean := &faulty{counts: map[string]int{}}
	if heard, err := conversation(t, clean); heard != "hello again" || err != nil {
		t.Fatalf("without a fault all goes well; it was %q, %v", heard, err)
	}
	for _, op := range []string{"epoll_create1", "epoll_ctl", "epoll_wait", "eventfd", "timerfd_create",
		"timerfd_settime", "read", "write", "close"} {
		if clean.counts[op] == 0 {
			t.Errorf("the conversation uses %s; it did not", op)
		}
	}
	before := openDescriptors(t)
	for op, calls := range clean.counts {
		for nth := 1; nth <= calls; nth++ {
			for _, errno := range []error{unix.EINTR, unix.ENOMEM} {
				k := &faulty{op: op, nth: nth, errno: errno, counts: map[string]int{}}
				heard, err := conversation(t, k)
				where := fmt.Sprintf("%s number %d fails with %v", op, nth, errno)
				if n := openDescriptors(t); n > before {
					t.Fatalf("no descriptor is lost when %s; %d were", where, n-before)
				}
				if errno == unix.EINTR {
					if op != "epoll_wait" && op != "read" && op != "write" {
						continue // never interrupted
					}
					if err != nil || heard != "hello again" {
						t.Errorf("nothing is noticed when %s; it was %q, %v", where, heard, err)
					}
					continue
				}
				var call *os.SyscallError
				hit := k.counts[op] >= nth
				if errors.As(err, &call) && (call.Syscall != op || call.Err != errno) {
					t.Errorf("the error names the call when %s; it was %v", where, err)
				}
				if hit && err == nil && !excused(op, heard) {
					t.Errorf("an error comes out when %s; none did, heard %q", where, heard)
				}
			}
		}
	}
}

// excused says which failures need not be reported: those of a close that is not the
// last, and of a remove, which the owner of the descriptor makes good by closing it.
func excused(op, heard string) bool {
	return heard == "hello again" && (op == "close" || op == "epoll_ctl")
}
