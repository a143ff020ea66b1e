package conn

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/reactor"
	"github.com/imclient/imclient/tlsup"
)

// attemptDelay is how long an address may take before the next one is tried
// beside it (RFC 8305 section 5).
const attemptDelay = 250 * time.Millisecond

// dialing is one ConnectAsync: resolving off the loop, then a race between the
// addresses on it. Everything but lookup runs on the loop's goroutine.
type dialing struct {
	ctx        context.Context
	d          *Dialer
	loop       *reactor.Loop
	name       string
	secure     bool // done comes when TLS stands
	done       func(*Client, error)
	terms      *terms          // of implicit TLS; nil: of a unix socket they are made when it stands
	securing   *Client         // the winner, while its TLS handshake is under way
	addrs      []unix.Sockaddr // not tried yet
	attempts   map[*attempt]struct{}
	timer      *reactor.Timer // the next attempt
	deadline   *reactor.Timer
	stopCancel func() bool // of the context
	cancel     context.CancelFunc
	firstErr   error // of the attempts that failed
	over       bool
}

// ConnectAsync connects like Connect without ever blocking the loop: it returns
// at once, names are resolved elsewhere, addresses are tried by RFC 8305, and
// done is called from l with a Client that is already in l, or with an error; with
// ImplicitTLS when TLS has been negotiated, or could not be. It is called once, never
// before ConnectAsync has returned, unless l is closed first. When ctx ends before that, it is called with context.Cause(ctx) and
// nothing is left behind. It must be called on l's goroutine. Errors: see Connect.
func (d *Dialer) ConnectAsync(ctx context.Context, l *reactor.Loop, host, port string, done func(*Client, error)) {
	d.connect(ctx, l, host, port, d.ImplicitTLS, done)
}

func (d *Dialer) connect(ctx context.Context, l *reactor.Loop, host, port string, secure bool, done func(*Client, error)) {
	x := &dialing{d: d, loop: l, name: host, secure: secure, done: done, attempts: map[*attempt]struct{}{}}
	x.ctx, x.cancel = context.WithCancel(ctx)
	x.stopCancel = context.AfterFunc(x.ctx, func() {
		l.Post(func() { x.end(nil, nil) })
	})
	if err := x.begin(host, port); err != nil {
		l.Post(func() { x.end(nil, err) })
	}
}

// begin starts with what the host is: a path, an address, or a name.
func (x *dialing) begin(host, port string) error {
	if _, err := x.d.tagPrefix(); err != nil { // before anybody is troubled
		return err
	}
	if strings.HasPrefix(host, "/") {
		x.loop.Spread(func() { x.race([]unix.Sockaddr{&unix.SockaddrUnix{Name: host}}) })
		return nil
	}
	number, err := servicePort(port, x.d.usualPort())
	if err != nil {
		return err
	}
	if x.d.ImplicitTLS {
		x.terms, err = x.d.terms(tlsup.Peer{Host: host, Port: strconv.Itoa(number), Implicit: true})
		if err != nil {
			return err
		}
	}
	if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		x.loop.Spread(func() { x.race(x.reachable([]netip.Addr{ip}, number)) })
		return nil
	}
	x.limit("resolve", orDefault(x.d.Timeouts.Resolve, defaultResolve))
	go x.lookup(x.ctx, host, number)
	return nil
}

// limit bounds the phase that begins now.
func (x *dialing) limit(phase string, d time.Duration) {
	if x.deadline != nil {
		x.deadline.Stop()
		x.deadline = nil
	}
	if d > 0 {
		x.deadline = x.loop.After(d, func() { x.end(nil, &TimeoutError{Wait: phase, Was: d}) })
	}
}

// lookup resolves, on a goroutine of its own.
func (x *dialing) lookup(ctx context.Context, host string, port int) {
	resolve := x.d.Resolve
	if resolve == nil {
		resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	ips, err := resolve(ctx, host)
	posted := x.loop.Post(func() {
		if err != nil {
			x.end(nil, fmt.Errorf("%w: %q: %w", ErrHostNotFound, host, err))
			return
		}
		x.loop.Spread(func() { x.race(x.reachable(ips, port)) })
	})
	if !posted { // the loop is closed, and nobody is left to tell
		x.stopCancel()
		x.cancel()
	}
}

// reachable returns the addresses to try, in order: those that LocalAddr can reach.
func (x *dialing) reachable(ips []netip.Addr, port int) []unix.Sockaddr {
	addrs := make([]unix.Sockaddr, 0, len(ips))
	for _, ip := range interleave(ips) {
		if from := x.d.LocalAddr; !from.IsValid() || from.Unmap().Is4() == ip.Is4() {
			addrs = append(addrs, sockaddr(ip, port))
		}
	}
	return addrs
}

// of says which addresses would have done.
func (x *dialing) of() string {
	if from := x.d.LocalAddr; from.IsValid() {
		return " of the family of LocalAddr, " + from.String()
	}
	return ""
}

// interleave orders addresses by turns of family, beginning with the family
// that the resolver put first (RFC 8305 section 4). ips is the resolver's own.
func interleave(ips []netip.Addr) []netip.Addr {
	var first, second []netip.Addr
	for _, ip := range ips {
		switch ip = ip.Unmap(); {
		case !ip.IsValid():
		case len(first) == 0 || ip.Is4() == first[0].Is4():
			first = append(first, ip)
		default:
			second = append(second, ip)
		}
	}
	ordered := make([]netip.Addr, 0, len(ips))
	for i := range max(len(first), len(second)) {
		if i < len(first) {
			ordered = append(ordered, first[i])
		}
		if i < len(second) {
			ordered = append(ordered, second[i])
		}
	}
	return ordered
}

func sockaddr(ip netip.Addr, port int) unix.Sockaddr {
	if ip = ip.Unmap(); ip.Is4() {
		return &unix.SockaddrInet4{Port: port, Addr: ip.As4()}
	}
	sa := &unix.SockaddrInet6{Port: port, Addr: ip.As16()}
	if zone := ip.Zone(); zone != "" {
		if ifi, err := net.InterfaceByName(zone); err == nil {
			sa.ZoneId = uint32(ifi.Index)
		} else if index, err := strconv.ParseUint(zone, 10, 32); err == nil {
			sa.ZoneId = uint32(index)
		}
	}
	return sa
}

// race begins with the addresses.
func (x *dialing) race(addrs []unix.Sockaddr) {
	if x.ctx.Err() != nil { // it has ended, or is over
		x.end(nil, nil)
		return
	}
	x.limit("connect", orDefault(x.d.Timeouts.Connect, defaultConnect))
	x.addrs = addrs
	x.next()
}

// next tries the next address, and arranges for the one after it. It ends the
// dialing when nothing is left to hope for.
func (x *dialing) next() {
	if x.timer != nil {
		x.timer.Stop()
		x.timer = nil
	}
	for !x.over && len(x.addrs) > 0 {
		to := x.addrs[0]
		x.addrs = x.addrs[1:]
		if err := x.try(to); err != nil {
			x.failed(to, err)
			continue
		}
		if !x.over && len(x.addrs) > 0 {
			x.timer = x.loop.After(attemptDelay, x.next)
		}
		return
	}
	if !x.over && len(x.attempts) == 0 {
		err := x.firstErr
		if err == nil {
			err = fmt.Errorf("%w: %q has no address%s", ErrHostNotFound, x.name, x.of())
		}
		x.end(nil, err)
	}
}

// failed remembers why an address did not work: the first says most.
func (x *dialing) failed(to unix.Sockaddr, err error) {
	if x.firstErr == nil {
		x.firstErr = fmt.Errorf("conn: %s: %w", addrString(to), err)
	}
}

// try starts connecting to one address.
func (x *dialing) try(to unix.Sockaddr) error {
	k := x.d.system()
	domain := unix.AF_INET
	switch to.(type) {
	case *unix.SockaddrInet6:
		domain = unix.AF_INET6
	case *unix.SockaddrUnix:
		domain = unix.AF_UNIX
	}
	fd, err := k.socket(domain)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	a := &attempt{x: x, k: k, fd: fd, to: to}
	if err := x.prepare(k, fd, domain); err != nil {
		a.close()
		return err
	}
	if err := k.connect(fd, to); err == nil {
		return x.won(a)
	} else if err != unix.EINPROGRESS {
		a.close()
		return os.NewSyscallError("connect", err)
	}
	if err := x.loop.Add(a); err != nil {
		a.close()
		return err
	}
	x.attempts[a] = struct{}{}
	return nil
}

// prepare does to a new socket what the Dialer asks for.
func (x *dialing) prepare(k kernel, fd, domain int) error {
	if x.d.Control != nil {
		if err := x.d.Control(fd); err != nil {
			return err
		}
	}
	if from := x.d.LocalAddr; from.IsValid() && domain != unix.AF_UNIX {
		return os.NewSyscallError("bind", k.bind(fd, sockaddr(from, 0)))
	}
	return nil
}

// won makes a Client of the first attempt that connected. The error is one that
// leaves hope in other addresses: a peer that has gone again.
func (x *dialing) won(a *attempt) error {
	if x.ctx.Err() != nil {
		a.close()
		x.end(nil, nil)
		return nil
	}
	fd := a.release()
	owned := false
	defer func() {
		if !owned { // nobody has the Client, so OnClose need not hear of it
			_ = a.k.close(fd)
		}
	}()
	c, err := x.d.attach(fd, x.name, x.terms)
	if err != nil {
		return err
	}
	if err := x.loop.Add(c); err != nil { // which no other address can help
		x.end(nil, err)
		return nil
	}
	owned = true
	if !x.secure {
		x.end(c, nil)
		return nil
	}
	c.unborn, x.securing = true, c
	t := c.transport.tls()
	if t == nil { // Dialer.Trace has closed it
		x.end(nil, c.err)
		return nil
	}
	t.done = func(err error) { x.secured(c, err) }
	x.halt()
	return nil
}

// secured is the end of the winner's TLS handshake.
func (x *dialing) secured(c *Client, err error) {
	if x.securing = nil; err != nil {
		c = nil
	}
	x.end(c, err)
}

// end is the only way out: it stops everything that is under way and reports.
// Once the context has ended, whatever failed is reported as that.
func (x *dialing) end(c *Client, err error) {
	if x.over {
		return
	}
	x.over = true
	if c == nil && x.ctx.Err() != nil {
		err = context.Cause(x.ctx)
	}
	x.stopCancel()
	x.cancel()
	x.halt()
	if x.securing != nil {
		_ = x.securing.Close()
	}
	x.done(c, err)
}

// halt stops the race.
func (x *dialing) halt() {
	x.limit("", -1)
	if x.timer != nil {
		x.timer.Stop()
	}
	for a := range x.attempts {
		_ = x.loop.Remove(a)
		a.changed = nil // a loop that is being closed hears of no change any more
		a.close()
	}
	x.addrs, x.attempts = nil, nil
}

// attempt is one connect(2) in progress, a source of its own in the loop.
type attempt struct {
	x  *dialing
	k  kernel
	fd int
	to unix.Sockaddr
	// changed tells the loop that the descriptor is leaving.
	changed func()
}

func (a *attempt) GetSelectInfo() (int, bool) { return a.fd, true }

func (a *attempt) Interest() (int, bool, bool) { return a.fd, false, true }

// SetNotify with nil is the loop's farewell. Comes it out of the blue, the loop
// is being closed, and nobody would ever look at the descriptor again.
func (a *attempt) SetNotify(changed func()) {
	a.changed = changed
	if changed == nil && a.fd >= 0 && !a.x.over {
		delete(a.x.attempts, a)
		a.close()
		a.x.end(nil, reactor.ErrClosed)
	}
}

// TryProcessOneEvent looks for the outcome once the socket is writable.
func (a *attempt) TryProcessOneEvent() (bool, error) {
	call := "poll"
	ready, err := a.k.poll(a.fd, unix.POLLOUT, 0)
	if err == nil {
		if !ready {
			return false, nil
		}
		call, err = "connect", a.k.socketError(a.fd)
	}
	x := a.x
	delete(x.attempts, a)
	if err != nil {
		x.failed(a.to, os.NewSyscallError(call, err))
		a.close()
		x.next()
		return true, nil
	}
	if err := x.won(a); err != nil {
		x.failed(a.to, err)
		x.next()
	}
	return true, nil
}

// release takes the descriptor out of the loop and out of the attempt.
func (a *attempt) release() int {
	fd := a.fd
	a.fd = -1
	if a.changed != nil {
		a.changed()
	}
	return fd
}

func (a *attempt) close() {
	if fd := a.release(); fd >= 0 {
		_ = a.k.close(fd)
	}
}

func addrString(to unix.Sockaddr) string {
	switch a := to.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)).String()
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port)).String()
	case *unix.SockaddrUnix:
		return a.Name
	}
	return "unknown address"
}
