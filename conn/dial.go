package conn

import (
	"context"
	"math"
	"net/netip"
	"os"
	"strconv"
	"time"
	"unique"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/reactor"
	"github.com/imclient/imclient/sasl"
	"github.com/imclient/imclient/tlsup"
	"github.com/imclient/imclient/wire"
)

// Dialer holds what a connection is made with. Its zero value is ready to use.
// One Dialer serves any number of connections, which keep looking at it: it
// must not be changed once it has been used.
type Dialer struct {
	// Callbacks are registered before the greeting can arrive.
	Callbacks []Callback
	// OnClose is called once, last of all callbacks, with the reason why the
	// connection ended (see [Client.Err]).
	OnClose func(c *Client, err error)
	// Warn is told what a person should know and no error says: that a server says
	// what it should not, at the first line of it that is skipped; that its certificate
	// is not verified; that a file of the TLS policy has become bad, or the client's
	// certificate is out of date; what is odd about a login. Like Trace, it must not
	// drive the connection. nil: nobody is told.
	Warn func(c *Client, text string)
	// Trace gets the protocol line by line, without line ends: "C: " and "S: "
	// lines, and "# " for remarks. What was sent as a secret shows as "***" and
	// literals without their contents; what the server says shows as it came, even
	// if it repeats a secret. It runs within the calls that drive the connection and
	// must not drive it; Send and Continue return an error in it, and all else is as in
	// a callback.
	Trace func(c *Client, line string)
	// ImplicitTLS begins every connection with a TLS handshake (RFC 8314), as is usual
	// on port 993, imaps. Else TLS comes by [Client.StartTLS], or not at all.
	ImplicitTLS bool
	// TLS says whom to trust and who we are, and keeps what connections share: files
	// and sessions. nil: [tlsup.Default]. The callbacks of its tls.Config are called on
	// another goroutine, for which the connection waits, or, with Workers, does not:
	// they must not touch it, nor its loop but by Post.
	TLS *tlsup.Policy
	// RequireTLS allows no conversation in the clear. Until StartTLS has been called,
	// Send refuses all commands but LOGOUT. Until there is TLS nothing that the server
	// says reaches a callback, and a greeting that rules STARTTLS out (PREAUTH), a
	// server that does not offer or refuses it, and any line that is no reply of ours
	// end the connection with [ErrTLSRequired].
	RequireTLS bool
	// Workers do the computing of TLS handshakes for connections in a loop. nil: the
	// loop does it, [reactor.Loop.SpreadLimit] steps in a turn.
	Workers *Workers
	// AllowCleartextAuth allows secrets (%p, and logins that send one as it stands) on
	// connections that anybody on the way may read. TLS, a security layer that gives
	// privacy, loopback and unix sockets need no permission.
	AllowCleartextAuth bool
	// AuthFloor is what Authenticate wants of a mechanism at least; the zero value takes
	// any that is safe on the connection.
	AuthFloor sasl.Floor
	// TagPrefix begins every tag: up to 15 letters and digits, the last a letter. "": two
	// random letters for each connection, so that nobody can answer a command
	// who has not seen it.
	TagPrefix string
	// Timeouts bound the waits.
	Timeouts Timeouts
	// Limits bound what a server may send.
	Limits wire.Limits
	// JunkAllowance is how many lines that are no reply of ours are skipped
	// between two completed commands before they end the connection, at most
	// 65,000. 0 means 16, a negative number none.
	JunkAllowance int
	// MaxQueued bounds the bytes of commands that are queued and not written, those
	// that %l and %L refer to not counted, and likewise those of answers by Continue:
	// Send and Continue refuse when more are. 0 means 16 MiB, a negative number no
	// bound.
	MaxQueued int64
	// SyncLiterals makes every literal wait for the server's "+" unless the flag
	// NonSyncLiteral is set, whatever the server says it can do.
	SyncLiterals bool
	// Resolve finds the addresses of a name, on a goroutine of its own. nil: Go's
	// resolver.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	// LocalAddr is where connections come from; the zero value leaves it to the
	// system. Addresses of the other family are not tried.
	LocalAddr netip.Addr
	// Control is called with each new socket, before it is bound and connected, for
	// options that are not named here. Its error ends the attempt.
	Control func(fd int) error
	// Now is the clock of a connection, for tests; nil is the system's. It must be
	// within 290 years of that. Deadlines are measured by it, but for those of
	// resolving and connecting, which are timers of the loop.
	Now func() time.Time

	kernel kernel // nil: the real one
}

const (
	defaultJunkAllowance = 16
	maxJunkAllowance     = 65_000 // a uint16 counts
	defaultMaxQueued     = 16 << 20
)

func (d *Dialer) maxQueued() int64 {
	switch {
	case d.MaxQueued == 0:
		return defaultMaxQueued
	case d.MaxQueued < 0:
		return math.MaxInt64
	}
	return d.MaxQueued
}

func (d *Dialer) junkAllowance() int {
	if d.JunkAllowance == 0 {
		return defaultJunkAllowance
	}
	return min(max(d.JunkAllowance, 0), maxJunkAllowance)
}

// usualPort is the service that stands for "": the C library's, or that of TLS.
func (d *Dialer) usualPort() string {
	if d.ImplicitTLS {
		return "imaps"
	}
	return "imap"
}

func (d *Dialer) system() kernel {
	if d.kernel != nil {
		return d.kernel
	}
	return system{}
}

// Connect connects with the zero Dialer. See [Dialer.Connect].
func Connect(host, port string) (*Client, error) { return new(Dialer).Connect(host, port) }

// Connect connects to a host (imclient_connect) and blocks until the
// connection stands or all addresses have failed; with ImplicitTLS, until TLS does.
// host is a name, an address, or the path of a unix socket, which begins with "/". port
// is a number or a service's name; "" is "143", with ImplicitTLS "993". The greeting
// is not read: it is the first untagged reply. It must not be called in a callback: it
// would hold up all other connections.
//
// The page's -1 is [ErrHostNotFound], which wraps what the resolver said, its -2
// [ErrServiceNotFound], its errno an *os.SyscallError; [*TimeoutError] when
// Dialer.Timeouts ends the wait, [ErrMisuse] for a bad TagPrefix, whatever
// Dialer.Control returns, and of TLS *[tlsup.FileError], *[tlsup.CertificateError] and
// *[tlsup.HandshakeError].
func (d *Dialer) Connect(host, port string) (*Client, error) {
	c, err := d.connectPlain(host, port)
	if err != nil || !d.ImplicitTLS {
		return c, err
	}
	c.unborn = true
	defer func() {
		if c.unborn { // a callback of the tls.Config may have panicked
			_ = c.Close()
		}
	}()
	for !c.secured() {
		if err := c.ProcessOneEvent(); err != nil {
			return nil, err
		}
	}
	c.unborn = false
	return c, nil
}

// connectPlain is Connect, up to where TLS would begin.
func (d *Dialer) connectPlain(host, port string) (*Client, error) {
	l, err := reactor.New()
	if err != nil {
		return nil, err
	}
	defer l.Close()
	var client *Client
	var result error
	done := false
	d.connect(context.Background(), l, host, port, false, func(c *Client, err error) {
		client, result, done = c, err, true
	})
	for err == nil && !done {
		err = l.ProcessOneEvent()
	}
	if err == nil {
		err = result
	}
	if err == nil {
		err = l.Remove(client)
	}
	if err != nil && client != nil {
		_ = client.Close()
		client = nil
	}
	return client, err
}

// Attach makes a Client of a connected stream socket: TCP, a unix socket, an
// end of a socketpair. serverName is the name for TLS and Kerberos. The Client
// owns fd from then on; after an error it is still the caller's. Errors are
// *os.SyscallError, [ErrMisuse] (a bad TagPrefix, a socket that is no stream) and
// *[tlsup.FileError]. With ImplicitTLS the handshake follows when the Client is driven.
// Legal in a callback.
func (d *Dialer) Attach(fd int, serverName string) (*Client, error) {
	return d.attach(fd, serverName, nil)
}

// attach is Attach; terms are those of implicit TLS, nil if they are yet to be made.
func (d *Dialer) attach(fd int, serverName string, terms *terms) (*Client, error) {
	prefix, err := d.tagPrefix()
	if err != nil {
		return nil, err
	}
	k := d.system()
	if err := k.stream(fd); err != nil {
		return nil, err
	}
	peer, err := k.peer(fd)
	if err != nil {
		return nil, os.NewSyscallError("getpeername", err)
	}
	if err := k.adopt(fd); err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	if _, unixSocket := peer.(*unix.SockaddrUnix); !unixSocket {
		patience(k, fd)
	}
	c := &Client{
		d:         d,
		known:     unique.Make(known{serverName, SASL{Prot: sasl.ProtNone}}),
		prefix:    prefix,
		transport: transport{k: k, fd: int32(fd)},
		local:     isLocal(peer),
	}
	c.pending.first, c.pending.next = 1, 1
	c.framer.Limits = &d.Limits
	c.since = c.now()
	c.AddCallback(d.Callbacks...)
	c.busy = true // for a Close in Trace or Warn, which the first event then finds
	if d.Trace != nil {
		c.trace = &tracer{c: c, emit: d.Trace}
		c.trace.note("connected to %s", serverName)
	}
	if d.ImplicitTLS && c.state == greeting {
		if terms == nil {
			terms, err = d.terms(tlsup.Peer{Host: serverName, Port: c.peerPort(), Implicit: true})
			if err != nil {
				return nil, err
			}
		}
		c.secure(terms, nil)
	}
	c.busy = false
	return c, nil
}

// peerPort is the port of the other side; "" where there is none.
func (c *Client) peerPort() string {
	peer, err := c.transport.k.peer(int(c.transport.fd))
	if err != nil {
		return ""
	}
	switch a := peer.(type) {
	case *unix.SockaddrInet4:
		return strconv.Itoa(a.Port)
	case *unix.SockaddrInet6:
		return strconv.Itoa(a.Port)
	}
	return ""
}

// isLocal reports whether what is sent to peer stays on this machine.
func isLocal(peer unix.Sockaddr) bool {
	switch a := peer.(type) {
	case *unix.SockaddrUnix:
		return true
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(a.Addr).IsLoopback()
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(a.Addr).Unmap().IsLoopback()
	}
	return false
}
