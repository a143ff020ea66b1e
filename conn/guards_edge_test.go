package conn

// Each of these tests fails when one certain check of the package is taken away that no
// other test would miss.

import (
	"context"
	"errors"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A command that is pending alone, or fills its ring, answers to its own tag only.
func TestOwnTag(t *testing.T) {
	for _, n := range []int{1, minRing} {
		r := newRig(t, &Dialer{}, nil)
		done := 0
		for range n {
			mustSend(t, r.c, func(*Client, any, *Reply) { done++ }, "NOOP")
		}
		r.drive()
		r.say("a0 OK\r\na" + strconv.Itoa(n+1) + " OK\r\na" + strconv.Itoa(n+minRing) + " OK\r\n")
		if done != 0 || r.c.stats.Junk.UnknownTag != 3 || r.c.Err() != nil {
			t.Errorf("of %d commands %d completed by tags that are none of theirs: %+v, %v", n, done, r.c.stats.Junk, r.c.Err())
		}
	}
}

// Output that waits is waited for, and only that.
func TestWaitForOutput(t *testing.T) {
	r := newRig(t, &Dialer{}, func(r *rig) { r.pollErr, r.writeErr = unix.ENOMEM, unix.EAGAIN })
	_ = r.c.ProcessOneEvent()
	if r.events != unix.POLLIN {
		t.Errorf("an idle connection waits for input: %#x", r.events)
	}
	mustSend(t, r.c, nil, "NOOP")
	_ = r.c.ProcessOneEvent()
	if r.events != unix.POLLIN|unix.POLLOUT {
		t.Errorf("one with output waits for both: %#x", r.events)
	}
}

func TestLocalPeers(t *testing.T) {
	for _, tc := range []struct {
		peer unix.Sockaddr
		want bool
	}{
		{&unix.SockaddrInet6{Addr: netip.MustParseAddr("::ffff:127.0.0.1").As16()}, true},
		{&unix.SockaddrInet6{Addr: netip.MustParseAddr("::ffff:192.0.2.1").As16()}, false},
		{&unix.SockaddrNetlink{}, false},
		{nil, false},
	} {
		if isLocal(tc.peer) != tc.want {
			t.Errorf("%+v is on this machine: %v", tc.peer, !tc.want)
		}
	}
}

// goneKernel connects to peers that are gone at once.
type goneKernel struct {
	system
	open *int
}

func (k goneKernel) socket(domain int) (int, error) { *k.open++; return k.system.socket(domain) }
func (k goneKernel) close(fd int) error             { *k.open--; return k.system.close(fd) }
func (goneKernel) peer(int) (unix.Sockaddr, error)  { return nil, unix.ENOTCONN }

func TestPeerGone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	open := 0
	d := &Dialer{kernel: goneKernel{open: &open}}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if _, err := d.Connect("127.0.0.1", port); !errors.Is(err, unix.ENOTCONN) || open != 0 {
		t.Errorf("a peer that is gone again leaves no socket open: %d, %v", open, err)
	}
}

func TestControlFirst(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for _, from := range []string{"127.0.0.1", "::ffff:127.0.0.1"} {
		bound := -1
		d := &Dialer{LocalAddr: netip.MustParseAddr(from), Control: func(fd int) error {
			if a, ok := must(unix.Getsockname(fd)).(*unix.SockaddrInet4); ok {
				bound = a.Port
			}
			return nil
		}}
		c, err := d.Connect("127.0.0.1", port)
		if err != nil || bound != 0 {
			t.Errorf("from %s, Control sees a socket that is not bound: port %d, %v", from, bound, err)
			continue
		}
		_ = c.Close()
	}
}

func must(sa unix.Sockaddr, err error) unix.Sockaddr {
	if err != nil {
		panic(err)
	}
	return sa
}

// An address that is none is no address to try.
func TestNoAddress(t *testing.T) {
	d := &Dialer{Resolve: func(context.Context, string) ([]netip.Addr, error) { return make([]netip.Addr, 1), nil }}
	if _, err := d.Connect("host.test", "143"); !errors.Is(err, ErrHostNotFound) || strings.Contains(err.Error(), "LocalAddr") {
		t.Errorf("a name without a valid address is not found: %v", err)
	}
}

// With a layer, and a reply begun, the budget holds as well.
func TestBudgetBehindKept(t *testing.T) {
	n := 0
	r := newRig(t, &Dialer{Callbacks: []Callback{{Proc: func(*Client, any, *Reply) { n++ }}}}, nil)
	client, server := stacks(1)
	layered(r, client)
	r.c.SetNotify(func() {})
	r.say(encode(t, server, "* 1 EXI"))
	if _, err := unix.Write(r.server, []byte(encode(t, server, "STS\r\n"+strings.Repeat("* 1 EXISTS\r\n", 1000)))); err != nil {
		t.Fatal(err)
	}
	if _, err := r.c.TryProcessOneEvent(); err != nil || n > replyBudget {
		t.Errorf("a turn dispatches at most %d replies: %d, %v", replyBudget, n, err)
	}
}

// A command that is sent later does not put the wait for the first one off.
func TestWaitIsForTheFirst(t *testing.T) {
	r := newRig(t, &Dialer{}, nil)
	r.say("* OK\r\n")
	mustSend(t, r.c, nil, "NOOP")
	r.clock = r.clock.Add(4 * time.Minute)
	mustSend(t, r.c, nil, "NOOP")
	if at, _ := r.c.NextDeadline(); at.Sub(r.clock) != time.Minute {
		t.Errorf("the wait ends when the first command's does: %v", at.Sub(r.clock))
	}
	if err := r.c.SendCommand(&Command{Timeout: time.Second}, "X %x"); err == nil || r.c.timed != 0 {
		t.Errorf("a command that is refused waits for nothing: %d, %v", r.c.timed, err)
	}
}

// Only a command with OnContinue holds later ones back.
func TestNoDialogue(t *testing.T) {
	r := newRig(t, &Dialer{}, nil)
	for range 2 {
		if err := r.c.SendCommand(new(Command), "NOOP"); err != nil {
			t.Fatal(err)
		}
	}
	if r.drive(); r.heard() != "a1 NOOP\r\na2 NOOP\r\n" {
		t.Error("commands without OnContinue are pipelined")
	}
}

// The loop hears of an answer that waits to be sent, and of a limit.
func TestLoopIsTold(t *testing.T) {
	r := newRig(t, &Dialer{}, nil)
	told := 0
	r.say("* OK\r\n")
	var deadline time.Time
	r.c.SetNotify(func() { told++; deadline, _ = r.c.NextDeadline() })
	if err := r.c.SendCommand(&Command{OnContinue: func(*Client, any, *Reply) {}, Timeout: time.Second}, "IDLE"); err != nil {
		t.Fatal(err)
	}
	if deadline.Sub(r.clock) != time.Second {
		t.Errorf("the loop hears of the command's limit: %v", deadline.Sub(r.clock))
	}
	r.drive()
	r.say("+\r\n")
	told = 0
	if err := r.c.Continue("DONE"); err != nil || told == 0 {
		t.Errorf("the loop hears of the answer: %d, %v", told, err)
	}
	r.c.SetNotify(nil)
}

// A layer's output that the socket does not take is no progress.
func TestLayerStuck(t *testing.T) {
	r := newRig(t, &Dialer{}, func(r *rig) { r.writeErr = unix.EAGAIN })
	client, _ := stacks(1)
	layered(r, client)
	mustSend(t, r.c, nil, "NOOP")
	_, _ = r.c.TryProcessOneEvent()
	if _, want := r.c.GetSelectInfo(); !want {
		t.Error("output that is stuck in a layer is waited for")
	}
	if did, err := r.c.TryProcessOneEvent(); did || err != nil {
		t.Errorf("nothing was done: %v, %v", did, err)
	}
}

// NoLiteral is of untagged replies.
func TestTaggedLiteral(t *testing.T) {
	var got []string
	r := newRig(t, &Dialer{Callbacks: []Callback{{Keyword: "ENTRY", Flags: CallbackNoLiteral}}}, nil)
	mustSend(t, r.c, func(_ *Client, _ any, reply *Reply) { got = append(got, reply.Keyword+" "+string(reply.Text)) }, "SEARCH")
	r.drive()
	r.say("a1 ENTRY {7}\r\na1 OK\r\n\r\n")
	if strings.Join(got, "|") != "ENTRY {7}\r\na1 OK\r\n" {
		t.Errorf("a tagged reply has its literal: %q", got)
	}
}

// A list is a new one only when the server had seen the login.
func TestListBeforeLogin(t *testing.T) {
	r := newRig(t, &Dialer{}, func(r *rig) { r.writeErr = unix.EAGAIN })
	r.say("* OK\r\n")
	mustSend(t, r.c, nil, "LOGIN a b")
	r.say("* CAPABILITY A  B\r\n")
	if r.c.Has("") {
		t.Error("nothing is no capability")
	}
	r.writeErr = nil
	r.drive()
	if r.say("a1 OK\r\n"); r.c.Capabilities() != "" {
		t.Errorf("what came before the login was sent is forgotten: %q", r.c.Capabilities())
	}
	mustSend(t, r.c, nil, "NOOP")
	r.drive()
	r.say("* CAPABILITY A B\r\na2 OK\r\n")
	mustSend(t, r.c, nil, "LOGIN a b")
	r.drive()
	if r.say("a3 OK\r\n"); r.c.Capabilities() != "" {
		t.Errorf("what came with another command too: %q", r.c.Capabilities())
	}
}

func TestTagDigits(t *testing.T) {
	r := newRig(t, &Dialer{}, nil)
	done := 0
	for range 300 {
		mustSend(t, r.c, func(*Client, any, *Reply) { done++ }, "NOOP")
	}
	r.drive()
	r.say("a1/ OK\r\na1: OK\r\n")
	if done != 0 || r.c.stats.Junk.UnknownTag != 2 {
		t.Errorf("what is no digit makes no tag: %d done, %+v", done, r.c.stats.Junk)
	}
}

func TestPrefixes(t *testing.T) {
	for s, want := range map[string]bool{
		strings.Repeat("a", maxPrefix): true, strings.Repeat("a", maxPrefix+1): false,
		"a:b": false, "a/b": false, "a@b": false, "a[b": false, "a`b": false, "a{b": false, "a1": false, "1a": true,
	} {
		if _, err := (&Dialer{TagPrefix: s}).tagPrefix(); (err == nil) != want {
			t.Errorf("TagPrefix %q: %v", s, err)
		}
	}
}

func TestSecretDialogue(t *testing.T) {
	r := newRig(t, &Dialer{JunkAllowance: -1}, nil)
	r.say("* OK\r\n")
	if err := r.c.SendCommand(&Command{OnContinue: func(*Client, any, *Reply) {}}, "AUTHENTICATE PLAIN"); err != nil {
		t.Fatal(err)
	}
	r.drive()
	if r.say("b1 OK hunter2\r\n"); r.c.Err() == nil || strings.Contains(r.c.Err().Error(), "hunter2") {
		t.Errorf("nobody is told the secret: %v", r.c.Err())
	}
}

func TestTraceFull(t *testing.T) {
	var lines []string
	r := newRig(t, &Dialer{Trace: func(_ *Client, line string) { lines = append(lines, line) }}, nil)
	long := strings.Repeat("x", maxTraceLine+1)
	mustSend(t, r.c, nil, "X %a %p %s", long, "hunter2", "y")
	if r.drive(); r.c.Err() != nil || len(lines) != 2 || len(lines[1]) != len("C: ")+maxTraceLine+len("...") {
		t.Errorf("a secret behind a long line: %q", lines)
	}
}

type noAdopt struct{ system }

func (noAdopt) adopt(int) error { return unix.EINVAL }

func TestAdopt(t *testing.T) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := (&Dialer{kernel: noAdopt{}}).Attach(ends[0], ""); c != nil || !errors.Is(err, unix.EINVAL) {
		t.Errorf("a descriptor that would block is not taken: %v", err)
	}
	if unix.Close(ends[0]) != nil || unix.Close(ends[1]) != nil {
		t.Error("it is still the caller's")
	}
}

// What poll(2) makes of a limit.
func TestPoll(t *testing.T) {
	r := newRig(t, &Dialer{}, nil)
	fd, _ := r.c.GetSelectInfo()
	for _, d := range []time.Duration{0, time.Microsecond, 1500 * time.Microsecond} {
		begin := time.Now()
		ready, err := r.system.poll(fd, unix.POLLIN, d)
		if took := time.Since(begin); ready || err != nil || took < d || took > 5*time.Second {
			t.Errorf("a wait of %v does not end early, nor late: %v, %v, %v", d, took, ready, err)
		}
	}
	for _, d := range []time.Duration{-1, math.MaxInt64 - time.Millisecond} {
		timer := time.AfterFunc(20*time.Millisecond, func() { _, _ = unix.Write(r.server, []byte("x")) })
		if ready, err := r.system.poll(fd, unix.POLLIN, d); !ready || err != nil {
			t.Errorf("a wait of %v ends when something comes: %v, %v", d, ready, err)
		}
		timer.Stop()
		var b [8]byte
		_, _ = unix.Read(fd, b[:])
	}
}

func TestShortCommand(t *testing.T) {
	r := newRig(t, &Dialer{}, nil)
	for _, text := range []string{"L", "LO", "A"} {
		mustSend(t, r.c, nil, text)
	}
	if _, err := servicePort(" 143", "imap"); err == nil {
		t.Error("a port with a space is none")
	}
}
