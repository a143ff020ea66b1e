package conn

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/reactor"
)

// A peer that vanishes says nothing, neither FIN nor RST. That it has gone the kernel
// finds out, by output that is not acknowledged and by probes that are not answered.

// idler is a connection in IDLE with a command before it that the server owes an
// answer, and one behind it that was not sent.
type idler struct {
	t    *testing.T
	call string // that fails at the end
	want error
	log  []string
}

func (i *idler) send(c *Client, finish Proc, dialogue bool, format string) {
	i.t.Helper()
	cmd := &Command{Finish: finish}
	if dialogue {
		cmd.OnContinue = func(*Client, any, *Reply) { i.log = append(i.log, format+" on") }
	}
	if err := c.SendCommand(cmd, format); err != nil {
		i.t.Fatal(err)
	}
}

func (i *idler) begin(c *Client) {
	for _, name := range []string{"NOOP", "IDLE", "CHECK"} {
		i.send(c, i.finish(name), name == "IDLE", name)
	}
}

func (i *idler) finish(name string) Proc {
	return func(_ *Client, _ any, r *Reply) {
		line := name + " " + r.Keyword
		if SafeToRetry(r.Err) {
			line += ", safe to retry"
		}
		i.log = append(i.log, line)
		i.blame(r.Err)
	}
}

func (i *idler) onClose(_ *Client, err error) {
	i.log = append(i.log, "closed")
	i.blame(err)
}

// blame fails unless err says that it was the system, in which call, and what.
func (i *idler) blame(err error) {
	i.t.Helper()
	var system *os.SyscallError
	if !errors.As(err, &system) || system.Syscall != i.call || !errors.Is(err, i.want) {
		i.t.Errorf("the end is the system's word: %v, want %s: %v", err, i.call, i.want)
	}
}

// judge holds what the callbacks were told against what they must be.
func (i *idler) judge() {
	i.t.Helper()
	want := []string{"IDLE on", "NOOP EOF", "IDLE EOF", "CHECK EOF, safe to retry", "closed"}
	if !slices.Equal(i.log, want) {
		i.t.Errorf("every command completes, then OnClose comes\n got: %q\nwant: %q", i.log, want)
	}
}

// givenUp is a kernel that has given up on the peer. Linux says why once, to
// whichever call comes first; from then on the socket is merely at its end.
type givenUp struct {
	*rig
	call string
	why  error
}

func (k *givenUp) tell(call string) error {
	if call != k.call {
		return unix.EAGAIN
	}
	k.call = ""
	return k.why
}

func (k *givenUp) read(int, []byte) (int, error) {
	if k.call == "" {
		return 0, nil
	}
	return 0, k.tell("read")
}

func (k *givenUp) write(int, []byte) (int, error) {
	if k.call == "" {
		return 0, unix.EPIPE
	}
	return 0, k.tell("write")
}

// ETIMEDOUT is what the kernel has to say when nothing came back, EHOSTUNREACH when a
// router on the way told it why.
func TestPeerVanished(t *testing.T) {
	for _, call := range []string{"read", "write"} {
		for _, why := range []error{unix.ETIMEDOUT, unix.EHOSTUNREACH} {
			t.Run(fmt.Sprint(call, ": ", why), func(t *testing.T) {
				i := &idler{t: t, call: call, want: why}
				r := newRig(t, &Dialer{OnClose: i.onClose}, nil)
				r.say("* OK\r\n")
				i.begin(r.c)
				r.drive()
				r.say("+ idling\r\n")
				r.c.transport.k = &givenUp{r, call, why}
				if err := r.c.Continue("DONE"); err != nil {
					t.Fatal(err)
				}
				i.blame(r.drive())
				i.judge()
			})
		}
	}
}

// The same with the real kernel. The peer is one whose system takes no segment any
// more: a filter on its socket drops all that comes, so that nothing is acknowledged,
// answered or refused, as if its machine had lost power. No deadline of ours is on:
// only the kernel can end these connections, and however late that is, the test waits.
func TestPeerVanishes(t *testing.T) {
	for _, tc := range []struct {
		says    string
		options map[int]int // of TCP, for want of the patience that the defaults have
		end     func(c *Client) error
	}{
		{
			"probes of an idle connection are not answered",
			map[int]int{unix.TCP_KEEPIDLE: 1, unix.TCP_KEEPINTVL: 1, unix.TCP_USER_TIMEOUT: 1000},
			func(*Client) error { return nil },
		}, {
			"output is not acknowledged",
			map[int]int{unix.TCP_USER_TIMEOUT: 500},
			func(c *Client) error { return c.Continue("DONE") },
		},
	} {
		for how, drive := range map[string]func(t *testing.T, c *Client){"bare": driveBare, "in a loop": driveInLoop} {
			t.Run(tc.says+", "+how, func(t *testing.T) {
				t.Parallel() // the kernel counts in seconds
				i := &idler{t: t, call: "read", want: unix.ETIMEDOUT}
				c, server := dialPeer(t, &Dialer{OnClose: i.onClose, Timeouts: Timeouts{Greeting: -1, Command: -1, Reply: -1}})
				server.say("* OK\r\n")
				i.begin(c)
				until(t, c, func() bool { return c.out.waiting() != nil })
				server.say("+ idling\r\n")
				until(t, c, func() bool { return len(i.log) > 0 })
				fd, _ := c.GetSelectInfo()
				for option, value := range tc.options {
					if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, option, value); err != nil {
						t.Fatal(err)
					}
				}
				server.vanish()
				if err := tc.end(c); err != nil {
					t.Fatal(err)
				}
				drive(t, c)
				i.blame(c.Err())
				i.judge()
			})
		}
	}
}

// until drives the client until something is so.
func until(t *testing.T, c *Client, so func() bool) {
	t.Helper()
	for !so() {
		if err := c.ProcessOneEvent(); err != nil {
			t.Fatal(err)
		}
	}
}

func driveBare(_ *testing.T, c *Client) {
	for c.ProcessOneEvent() == nil {
	}
}

func driveInLoop(t *testing.T, c *Client) {
	l, err := reactor.New()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Add(c); err != nil {
		t.Fatal(err)
	}
	for c.Err() == nil {
		if err := l.ProcessOneEvent(); err != nil {
			t.Fatal(err)
		}
	}
}

// farEnd is the server's end of a TCP connection.
type farEnd struct {
	t  *testing.T
	c  *net.TCPConn
	fd int
}

// dialPeer returns a connected client and the server's end.
func dialPeer(t *testing.T, d *Dialer) (*Client, *farEnd) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	c, err := d.Connect("127.0.0.1", port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s := &farEnd{t: t, c: accepted.(*net.TCPConn)}
	t.Cleanup(func() {
		_ = s.c.SetLinger(0) // or the kernel would go on sending to nobody
		_ = s.c.Close()
	})
	raw, err := s.c.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { s.fd = int(fd) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

func (s *farEnd) say(text string) {
	s.t.Helper()
	if _, err := s.c.Write([]byte(text)); err != nil {
		s.t.Fatal(err)
	}
}

// vanish makes the peer's system deaf, once it has heard that all it said has come:
// it would say it again, and so be alive for a while.
func (s *farEnd) vanish() {
	s.t.Helper()
	for unheard := 1; unheard > 0; {
		var err error
		if unheard, err = unix.IoctlGetInt(s.fd, unix.TIOCOUTQ); err != nil {
			s.t.Fatal(err)
		}
	}
	drop := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0} // keep 0 bytes of whatever it is
	if err := unix.SetsockoptSockFprog(s.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop}); err != nil {
		s.t.Fatal(err)
	}
}
