package conn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/reactor"
)

// race is how connecting to a host with several addresses goes; the script's lines
// are those of network.play.
type race struct {
	says, addrs, script string
	timeouts            Timeouts
}

var races = []race{
	{says: "the first answers", addrs: "a6 a4", script: `
		resolves
		tries a6
		answers a6
		connected a6`},
	{says: "a slow one gets company after 250 ms", addrs: "a6 a4 b6", script: `
		resolves
		tries a6
		pass 249ms
		tries
		pass 1ms
		tries a4
		pass 249ms
		tries
		pass 1ms
		tries b6
		answers a4
		connected a4`},
	{says: "the slow one answers after all", addrs: "a6 a4 b6", script: `
		resolves
		pass 250ms
		tries a6 a4
		answers a6
		connected a6`},
	{says: "both answer in one turn", addrs: "a6 a6", script: `
		resolves
		pass 250ms
		tries a6 a6
		answers a6
		connected a6`},
	{says: "a refusal leads to the next at once", addrs: "a6 b6 a4", script: `
		resolves
		tries a6
		pass 100ms
		refuses a6
		tries a4
		pass 249ms
		tries
		pass 1ms
		tries b6
		answers b6
		connected b6`},
	{says: "addresses that refuse on the spot are passed over", addrs: "a6 b6 a4", script: `
		refusing a6
		refusing a4
		resolves
		tries a6 a4 b6
		answers b6
		connected b6`},
	{says: "a refusal while another is under way", addrs: "a6 a4", script: `
		resolves
		pass 250ms
		tries a6 a4
		refuses a4
		tries
		pass 10s
		tries
		answers a6
		connected a6`},
	{says: "all refuse: the first error counts", addrs: "a6 a4 b4", script: `
		resolves
		pass 250ms
		pass 250ms
		tries a6 a4 b4
		refuses b4
		tries
		refuses a6
		tries
		refuses a4
		fails conn: 192.0.2.2:143: connect: connection refused`},
	{says: "all refuse on the spot", addrs: "a6 a4", script: `
		refusing a6
		refusing a4
		resolves
		fails conn: [2001:db8::a]:143: connect: connection refused`},
	{says: "there is no address", addrs: "", script: `
		resolves
		fails host not found`},
	{says: "the resolver may take 30 s", addrs: "a6", script: `
		pass 29.999999999s
		tries
		pass 1ns
		fails timeout resolve`},
	{says: "connecting may take 30 s more", addrs: "a6 a4", script: `
		pass 29s
		resolves
		tries a6
		pass 250ms
		tries a4
		refuses a6
		pass 29.749999999s
		tries
		pass 1ns
		fails timeout connect`},
	{says: "Timeouts.Resolve", addrs: "a6", timeouts: Timeouts{Resolve: time.Second}, script: `
		pass 999ms
		tries
		pass 1ms
		fails timeout resolve`},
	{says: "Timeouts.Connect", addrs: "a6", timeouts: Timeouts{Connect: time.Second}, script: `
		pass 2s
		resolves
		tries a6
		pass 1s
		fails timeout connect`},
	{says: "no timeouts", addrs: "a6", timeouts: Timeouts{Resolve: -1, Connect: -1}, script: `
		pass 24h
		resolves
		pass 24h
		tries a6
		answers a6
		connected a6`},
}

func TestRace_E13(t *testing.T) {
	for _, tc := range races {
		t.Run(tc.says, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, &Dialer{Timeouts: tc.timeouts})
				n.dial(tc.addrs)
				for _, line := range lines(tc.script) {
					n.play(line)
				}
				n.clear()
			})
		})
	}
}

// Each of the races is broken off after each line of its script.
func TestRaceBrokenOff(t *testing.T) {
	why := errors.New("why")
	breakers := map[string]func(t *testing.T, n *network){
		"cancelled": func(t *testing.T, n *network) {
			n.cancel(why)
			n.turn()
			if n.calls != 1 || n.client != nil || n.err != why {
				t.Errorf("done gets the context's cause, once: %d calls, %v", n.calls, n.err)
			}
			n.over()
		},
		"loop closed": func(t *testing.T, n *network) {
			attempts := len(n.socks)
			if err := n.loop.Close(); err != nil {
				t.Fatal(err)
			}
			n.turn()
			if attempts > 0 && (n.calls != 1 || n.err != reactor.ErrClosed) || attempts == 0 && n.calls != 0 {
				t.Errorf("done hears of it where connecting is under way: %d sockets, %d calls, %v", attempts, n.calls, n.err)
			}
		},
	}
	for how, breakOff := range breakers {
		for _, tc := range races {
			script := lines(tc.script)
			for i := range script {
				t.Run(fmt.Sprintf("%s/%s/%d", how, tc.says, i), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						n := newNetwork(t, &Dialer{Timeouts: tc.timeouts})
						n.dial(tc.addrs)
						defer n.clear()
						for _, line := range script[:i] {
							n.play(line)
						}
						if n.calls > 0 { // it has failed already
							return
						}
						breakOff(t, n)
						if len(n.socks) > 0 {
							t.Errorf("no socket is left open: %d", len(n.socks))
						}
					})
				})
			}
		}
	}
}

// A resolver that does not heed its context is left to itself.
func TestStubbornResolver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stubborn := make(chan struct{})
		n := newNetwork(t, &Dialer{Resolve: func(context.Context, string) ([]netip.Addr, error) {
			<-stubborn
			return []netip.Addr{addrs["a4"]}, nil
		}})
		var got error
		n.d.ConnectAsync(t.Context(), n.loop, "host.test", "", func(_ *Client, err error) { got = err })
		n.play("pass 30s")
		if failure(got) != "timeout resolve" {
			t.Errorf("a resolver that hangs holds nobody up: %v", got)
		}
		close(stubborn)
		n.turn()
		if len(n.tried) > 0 {
			t.Errorf("what it says too late is not heeded: %q", n.tried)
		}
		n.clear()
	})
}

// refuseAll tries a host whose addresses all refuse, and returns the order.
func refuseAll(t *testing.T, d *Dialer, names string) (tried []string, n *network) {
	n = newNetwork(t, d)
	for name := range addrs {
		n.refuse[name] = true
	}
	n.dial(names)
	n.play("resolves")
	n.turn()
	tried = n.tried
	n.clear()
	return tried, n
}

func TestOrderOfAddresses(t *testing.T) {
	for _, tc := range []struct{ says, addrs, local, want string }{
		{"families take turns, the first one's first", "a6 b6 a4 b4", "", "a6 a4 b6 b4"},
		{"the resolver's order is kept within a family", "b4 a4 b6 a6", "", "b4 b6 a4 a6"},
		{"what one family has more comes last", "a4 b4 c4 a6", "", "a4 a6 b4 c4"},
		{"one family alone", "b6 a6", "", "b6 a6"},
		{"a mapped address is of IPv4", "a4 mapped a6", "", "a4 a6 c4"},
		{"what is no address is passed over", "none a6 none a4", "", "a6 a4"},
		{"addresses of the other family than LocalAddr are not tried", "a6 a4 b6 b4", "192.0.2.99", "a4 b4"},
		{"nor are they by IPv6", "a4 a6 b4 b6", "2001:db8::99", "a6 b6"},
		{"a mapped LocalAddr is of IPv4", "a6 a4", "::ffff:192.0.2.99", "a4"},
	} {
		t.Run(tc.says, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := new(Dialer)
				if tc.local != "" {
					d.LocalAddr = netip.MustParseAddr(tc.local)
				}
				tried, n := refuseAll(t, d, tc.addrs)
				if got := strings.Join(tried, " "); got != tc.want {
					t.Errorf("%s: %q, want %q", tc.says, got, tc.want)
				}
				binds := 0
				if tc.local != "" {
					binds = len(tried)
				}
				want := slices.Repeat([]string{netip.AddrPortFrom(d.LocalAddr.Unmap(), 0).String()}, binds)
				if !slices.Equal(n.binds, want) {
					t.Errorf("each socket is bound to LocalAddr: %q, want %q", n.binds, want)
				}
			})
		})
	}
}

// LocalAddr holds for addresses that were given as such, too.
func TestLocalAddrAndLiteral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, &Dialer{LocalAddr: netip.MustParseAddr("192.0.2.99")})
		n.d.ConnectAsync(t.Context(), n.loop, "2001:db8::a", "", func(_ *Client, err error) { n.calls, n.err = n.calls+1, err })
		n.play("fails host not found")
		if len(n.tried) > 0 {
			t.Errorf("an address of the other family is not tried: %q", n.tried)
		}
		n.clear()
	})
}

// The resolver may keep its list, and hand it to others.
func TestResolverKeepsItsList(t *testing.T) {
	list := []netip.Addr{addrs["mapped"], addrs["a6"], addrs["none"]}
	kept := slices.Clone(list)
	interleave(list)
	if !slices.Equal(list, kept) {
		t.Errorf("the resolver's list is not written to: %v, before %v", list, kept)
	}
}

// A zone is an interface's name or its number (RFC 4007 section 11.2).
func TestZones(t *testing.T) {
	loopback, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	for zone, want := range map[string]int{"": 0, "%lo": loopback.Index, "%4711": 4711, "%nosuchname": 0} {
		to := sockaddr(netip.MustParseAddr("fe80::1"+zone), 143).(*unix.SockaddrInet6)
		if int(to.ZoneId) != want {
			t.Errorf("the zone %q is %d: %d", zone, want, to.ZoneId)
		}
	}
}

func TestControl(t *testing.T) {
	refused := errors.New("not this one")
	for _, tc := range []struct {
		says string
		bad  int // that many sockets are refused
		want string
	}{
		{"Control sees each socket before it is connected", 0, "a6 a4 b6"},
		{"its error ends the attempt, and the next one begins", 1, "a4 b6"},
		{"its first error is the one of connecting", 3, ""},
	} {
		t.Run(tc.says, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var n *network
				seen := 0
				d := &Dialer{Control: func(fd int) error {
					if s := n.socks[fd]; s == nil || s.to != nil || len(n.binds) > 0 {
						t.Errorf("Control gets a socket that is not bound and not connecting yet: %d", fd)
					}
					if seen++; seen <= tc.bad {
						return fmt.Errorf("%w: %d", refused, seen)
					}
					return nil
				}}
				n = newNetwork(t, d)
				n.dial("a6 b6 a4")
				n.play("resolves")
				n.play("pass 250ms")
				n.play("pass 250ms")
				if got := strings.Join(n.tried, " "); got != tc.want || seen != 3 {
					t.Errorf("%s: %q of %d, want %q", tc.says, got, seen, tc.want)
				}
				if tc.want == "" && (!errors.Is(n.err, refused) || !strings.HasSuffix(n.err.Error(), ": 1")) {
					t.Errorf("%s: %v", tc.says, n.err)
				}
				n.cancel(nil)
				n.turn()
				n.clear()
			})
		})
	}
}

// A connection that its loop does not take is no connection: OnClose does not
// hear of it.
func TestControlClosesLoop(t *testing.T) {
	for result, want := range map[error]string{
		nil:              "reactor: the loop is closed",
		unix.EINPROGRESS: "conn: [2001:db8::a]:143: reactor: the loop is closed",
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t, &Dialer{OnClose: func(*Client, error) { t.Error("there is no connection to be closed") }})
			n.d.kernel = prompt{n, result}
			n.d.Control = func(int) error { return n.loop.Close() }
			n.dial("a6 a4")
			n.play("resolves")
			n.play("fails " + want)
			n.clear()
		})
	}
}

// prompt is a network whose connect(2) has its result at once.
type prompt struct {
	*network
	result error
}

func (p prompt) connect(fd int, to unix.Sockaddr) error {
	_ = p.network.connect(fd, to)
	return p.result
}

func TestGreetingAfterRace(t *testing.T) {
	for greeting, want := range map[string][]string{
		"* PREAUTH welcome back\r\n": {"connected", "PREAUTH welcome back", "closed: conn: the server closed the connection: EOF"},
		"* BYE too many\r\n":         {"connected", "BYE too many", "closed: conn: the server closed the connection: EOF"},
		"* OK hel":                   {"connected", "closed: conn: the server closed the connection within a reply: unexpected EOF"},
		"":                           {"connected", "closed: conn: the server closed the connection: EOF"},
	} {
		t.Run(greeting, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log []string
				n := newNetwork(t, &Dialer{
					Callbacks: []Callback{{Proc: func(_ *Client, _ any, r *Reply) { log = append(log, r.Keyword+" "+string(r.Text)) }}},
					OnClose:   func(_ *Client, err error) { log = append(log, "closed: "+err.Error()) },
				})
				n.dial("a6 a4")
				for _, line := range []string{"resolves", "pass 250ms", "answers a4", "connected a4"} {
					n.play(line)
				}
				log = append(log, "connected")
				far := n.socks[int(n.client.transport.fd)].far
				if _, err := unix.Write(far, []byte(greeting)); err != nil {
					t.Fatal(err)
				}
				_ = unix.Shutdown(far, unix.SHUT_RDWR)
				n.turn()
				if !slices.Equal(log, want) {
					t.Errorf("the winner lives as any connection does: %q, want %q", log, want)
				}
				n.clear()
			})
		})
	}
}

// The winner's greeting has its own time, which begins when it has connected.
func TestGreetingTimeoutAfterRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, new(Dialer))
		n.dial("a6")
		for _, line := range []string{"pass 20s", "resolves", "pass 20s", "answers a6", "connected a6", "pass 29.999999999s"} {
			n.play(line)
		}
		if err := n.client.Err(); err != nil {
			t.Errorf("the greeting may take 30 s from the connection: %v", err)
		}
		n.play("pass 1ns")
		if got := failure(n.client.Err()); got != "timeout greeting" {
			t.Errorf("and no more: %v", got)
		}
		n.clear()
	})
}
