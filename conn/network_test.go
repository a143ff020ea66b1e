package conn

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/reactor"
)

// network is a kernel whose addresses answer when the test says so. A socket is
// one end of a socketpair whose buffer is full, so that it is not writable, as one
// that is connecting; an answer makes room in it. Its time is that of the synctest
// bubble in which the test runs.
type network struct {
	system
	t      *testing.T
	d      *Dialer
	loop   *reactor.Loop
	cancel context.CancelCauseFunc
	names  int           // being resolved
	answer chan struct{} // closed: the resolver answers
	refuse map[string]bool
	socks  map[int]*sock
	tried  []string // addresses, in the order of the attempts, since the last look
	binds  []string

	calls  int // of done
	client *Client
	err    error
}

// sock is an open socket of the client's.
type sock struct {
	to  unix.Sockaddr
	far int   // the other end
	err error // SO_ERROR
}

// addrs are the addresses by the names that tests use.
var addrs = map[string]netip.Addr{
	"a6": netip.MustParseAddr("2001:db8::a"), "b6": netip.MustParseAddr("2001:db8::b"),
	"a4": netip.MustParseAddr("192.0.2.1"), "b4": netip.MustParseAddr("192.0.2.2"),
	"mapped": netip.MustParseAddr("::ffff:192.0.2.3"), "none": {},
	"c4": netip.MustParseAddr("192.0.2.3"),
}

func named(ip netip.Addr) string {
	for name, a := range addrs {
		if a == ip {
			return name
		}
	}
	return ip.String()
}

func newNetwork(t *testing.T, d *Dialer) *network {
	l, err := reactor.New()
	if err != nil {
		t.Fatal(err)
	}
	n := &network{t: t, d: d, loop: l, cancel: func(error) {}, answer: make(chan struct{}), refuse: map[string]bool{}, socks: map[int]*sock{}}
	d.kernel = n
	return n
}

// dial begins to connect to a host that has the addresses with these names.
func (n *network) dial(names string) {
	n.d.Resolve = func(ctx context.Context, _ string) ([]netip.Addr, error) {
		n.names++
		defer func() { n.names-- }()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-n.answer:
		}
		var ips []netip.Addr
		for _, name := range strings.Fields(names) {
			ips = append(ips, addrs[name])
		}
		return ips, nil
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	n.cancel = cancel
	n.d.ConnectAsync(ctx, n.loop, "host.test", "143", func(c *Client, err error) {
		n.calls++
		n.client, n.err = c, err
	})
}

// turn lets loop and goroutines run until none has anything to do at this time.
func (n *network) turn() {
	for again := true; again; {
		synctest.Wait()
		again = false
		for {
			did, err := n.loop.TryProcessOneEvent()
			if err != nil && err != reactor.ErrClosed {
				n.t.Fatalf("the loop lives: %v", err)
			}
			if !did {
				break
			}
			again = true
		}
	}
}

// clear closes what the test made, and fails if the client left anything. That no
// goroutine is left is the bubble's to check.
func (n *network) clear() {
	n.t.Helper()
	if n.client != nil {
		_ = n.client.Close()
	}
	if len(n.socks) > 0 {
		n.t.Errorf("no descriptor is left: %d", len(n.socks))
	}
	n.cancel(nil)
	_ = n.loop.Close()
	synctest.Wait()
}

// play takes one line of a test's script:
//
//	refusing A    from now on A refuses at once
//	resolves      the resolver answers
//	answers A     the connection to A stands
//	refuses A     the one to A is refused
//	pass D        time
//	tries A...    these attempts were begun since the last look, in this order
//	connected A   done has the client, and no other socket is open
//	fails E       done has this error, and no socket is open
func (n *network) play(line string) {
	n.t.Helper()
	verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	switch verb {
	case "":
	case "refusing":
		n.refuse[rest] = true
	case "resolves":
		close(n.answer)
	case "answers":
		n.outcome(rest, nil)
	case "refuses":
		n.outcome(rest, unix.ECONNREFUSED)
	case "pass":
		d, err := time.ParseDuration(rest)
		if err != nil {
			n.t.Fatal(err)
		}
		n.turn()
		time.Sleep(d)
		n.turn()
	case "tries":
		n.turn()
		if got := strings.Join(n.tried, " "); got != rest || n.calls != 0 {
			n.t.Fatalf("connecting goes on with the next address: %q, want %q; done called %d times", got, rest, n.calls)
		}
		n.tried = nil
	case "connected":
		n.turn()
		if n.calls != 1 || n.err != nil || len(n.socks) != 1 || n.nameOf(int(n.client.transport.fd)) != rest {
			n.t.Fatalf("done is called once, with a connection to %s, and the losers are closed: %d calls, %v, %d sockets", rest, n.calls, n.err, len(n.socks))
		}
		n.over()
	case "fails":
		n.turn()
		if n.calls != 1 || n.client != nil || len(n.socks) != 0 || failure(n.err) != rest {
			n.t.Fatalf("done is called once, with %q, and nothing is left: %d calls, %v, %d sockets", rest, n.calls, n.err, len(n.socks))
		}
		n.over()
	default:
		n.t.Fatalf("unknown line %q", line)
	}
}

// over fails if connecting goes on though done was called: a loop that was not
// closed has the client, if there is one, and the client's deadline.
func (n *network) over() {
	n.t.Helper()
	var client time.Time
	sources := 0
	if n.client != nil {
		client, _ = n.client.NextDeadline()
		sources = 1
	}
	at, _ := n.loop.NextDeadline()
	if got := n.loop.Stats().Sources; !at.Equal(client) || got != sources || n.names != 0 {
		n.t.Errorf("nothing goes on: the loop has %d sources, want %d, a deadline at %v, want %v; %d names are being resolved",
			got, sources, at, client, n.names)
	}
}

// failure names an error of connecting.
func failure(err error) string {
	var timeout *TimeoutError
	switch {
	case err == nil:
		return "nothing"
	case errors.As(err, &timeout):
		return "timeout " + timeout.Wait
	case errors.Is(err, ErrHostNotFound):
		return "host not found"
	}
	return err.Error()
}

// outcome ends the attempts to connect to an address.
func (n *network) outcome(name string, err error) {
	for fd, s := range n.socks {
		if n.nameOf(fd) == name {
			s.err = err
			drain(s.far)
		}
	}
}

func drain(fd int) {
	var b [1 << 14]byte
	for n := 1; n > 0; {
		n, _ = unix.Read(fd, b[:])
	}
}

func (n *network) nameOf(fd int) string {
	if s := n.socks[fd]; s != nil && s.to != nil {
		return named(ipOf(s.to))
	}
	return "nobody"
}

func ipOf(to unix.Sockaddr) netip.Addr {
	switch a := to.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(a.Addr)
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(a.Addr)
	}
	return netip.Addr{}
}

func (n *network) socket(int) (int, error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	_ = unix.SetsockoptInt(ends[0], unix.SOL_SOCKET, unix.SO_SNDBUF, 1)
	for err == nil {
		_, err = unix.Write(ends[0], make([]byte, 1024))
	}
	n.socks[ends[0]] = &sock{far: ends[1]}
	return ends[0], nil
}

func (n *network) bind(_ int, from unix.Sockaddr) error {
	n.binds = append(n.binds, addrString(from))
	return nil
}

func (n *network) connect(fd int, to unix.Sockaddr) error {
	n.socks[fd].to = to
	name := n.nameOf(fd)
	n.tried = append(n.tried, name)
	if n.refuse[name] {
		return unix.ECONNREFUSED
	}
	return unix.EINPROGRESS
}

func (n *network) socketError(fd int) error { return n.socks[fd].err }

func (n *network) peer(fd int) (unix.Sockaddr, error) { return n.socks[fd].to, nil }

func (n *network) close(fd int) error {
	s := n.socks[fd]
	if s == nil {
		n.t.Errorf("only what is open is closed: %d", fd)
		return unix.EBADF
	}
	delete(n.socks, fd)
	_ = unix.Close(s.far)
	return n.system.close(fd)
}

// lines returns the lines of a script.
func lines(script string) []string {
	return slices.DeleteFunc(strings.Split(script, "\n"), func(line string) bool { return strings.TrimSpace(line) == "" })
}
