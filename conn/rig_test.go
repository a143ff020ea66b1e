package conn

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// rig is a client whose kernel a test can bend: a clock that only moves by
// hand, a peer that lives where the test says, system calls that are counted or
// fail.
type rig struct {
	system
	t      testing.TB
	c      *Client
	server int // the other end of the client's socketpair
	clock  time.Time
	from   unix.Sockaddr // the peer's address; nil: the real one

	maxRead, maxWrite int    // bytes of one call; 0: no bound
	flood             string // the server says it over and over, without end
	said              int    // bytes of flood
	writeErr, pollErr error
	full              error // of writes when room is used up; nil: there is room
	room              int   // bytes
	refused           bool  // full was the answer
	reads, writes     int
	events            int16         // of the last poll
	timeout           time.Duration // of the last poll

	tls      *rigTLS // nil: the server speaks no TLS
	plain    []byte  // what came through it, not yet heard
	straight bool    // nothing is bent yet
}

func newRig(t testing.TB, d *Dialer, bend func(*rig)) *rig {
	t.Helper()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, server: ends[1], clock: time.Unix(1e9, 0)}
	if bend != nil {
		bend(r)
	}
	own := *d
	own.kernel = r
	wrapped := wrapRig(&own)
	if own.TagPrefix == "" {
		own.TagPrefix = "a"
	}
	if r.c, err = own.Attach(ends[0], "server.test"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.c.Close()
		_ = unix.Close(r.server)
	})
	if wrapped && r.c.Err() == nil {
		r.enter()
	}
	return r
}

func (r *rig) now() time.Time { return r.clock }

func (r *rig) peer(fd int) (unix.Sockaddr, error) {
	if r.from != nil {
		return r.from, nil
	}
	return r.system.peer(fd)
}

func (r *rig) read(fd int, p []byte) (int, error) {
	r.reads++
	if r.straight {
		return r.system.read(fd, p)
	}
	if r.flood != "" {
		for i := range p {
			p[i] = r.flood[r.said%len(r.flood)]
			r.said++
		}
		return len(p), nil
	}
	if r.maxRead > 0 {
		p = p[:min(len(p), r.maxRead)]
	}
	return r.system.read(fd, p)
}

func (r *rig) write(fd int, p []byte) (int, error) {
	r.writes++
	if r.straight {
		return r.system.write(fd, p)
	}
	if r.writeErr != nil {
		return 0, r.writeErr
	}
	if r.maxWrite > 0 {
		p = p[:min(len(p), r.maxWrite)]
	}
	if r.full != nil {
		if p = p[:min(len(p), r.room)]; len(p) == 0 {
			r.refused = true
			return 0, r.full
		}
	}
	n, err := r.system.write(fd, p)
	r.room -= n
	return n, err
}

func (r *rig) writev(fd int, iov [][]byte) (int, error) {
	if r.maxWrite > 0 || r.writeErr != nil || r.full != nil {
		return r.write(fd, iov[0])
	}
	return r.system.writev(fd, iov)
}

// say sends bytes from the server and lets the client process them.
func (r *rig) say(text string) {
	r.t.Helper()
	r.put(text)
	r.drive()
}

// drive calls the client until nothing is ready, and returns the last error.
func (r *rig) drive() error {
	for {
		did, err := r.c.TryProcessOneEvent()
		if !did || err != nil {
			return err
		}
	}
}

func mustSend(t testing.TB, c *Client, finish Proc, format string, args ...any) {
	t.Helper()
	if err := c.Send(finish, nil, format, args...); err != nil {
		t.Fatalf("Send %q: %v", format, err)
	}
}

func (r *rig) poll(fd int, events int16, timeout time.Duration) (bool, error) {
	r.events, r.timeout = events, timeout
	if r.pollErr != nil {
		return false, r.pollErr
	}
	return r.system.poll(fd, events, timeout)
}

// A wait that the system refuses is told as what it is, and ends nothing.
func TestWaitFails(t *testing.T) {
	r := newRig(t, &Dialer{}, func(r *rig) { r.pollErr = unix.ENOMEM })
	var system *os.SyscallError
	if err := r.c.ProcessOneEvent(); !errors.As(err, &system) || system.Syscall != "poll" || !errors.Is(err, unix.ENOMEM) {
		t.Errorf("the error names the call: %v", err)
	}
	if r.say("* OK\r\n"); r.c.Err() != nil || r.c.Stats().Replies != 1 {
		t.Errorf("the connection lives on: %v", r.c.Err())
	}
}
