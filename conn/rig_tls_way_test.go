package conn

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/reactor"
	"github.com/imclient/imclient/tlsup"
)

// secureRig is a rig on its way to TLS, bare or in a loop, and what its application is
// told. It has a STARTTLS, if TLS is not implicit, and then a NOOP and a LOGIN to send.
type secureRig struct {
	*rig
	loop *reactor.Loop // nil: it is bare
	log  []string
}

// rigWays are the ways to drive a client.
var rigWays = []string{"bare", "in a loop", "with Workers"}

func newSecureRig(t testing.TB, d Dialer, way string) *secureRig {
	t.Helper()
	x := new(secureRig)
	d.RequireTLS, d.TLS = true, rigPolicy()
	d.OnClose = func(_ *Client, err error) { x.log = append(x.log, "closed: "+end(err)) }
	d.Callbacks = []Callback{{Proc: func(_ *Client, _ any, r *Reply) { x.log = append(x.log, "* "+r.Keyword) }}}
	if way == "with Workers" {
		d.Workers = NewWorkers(1)
	}
	x.rig = newRig(t, &d, func(r *rig) { r.from = &unix.SockaddrInet4{Port: 143, Addr: [4]byte{192, 0, 2, 1}} })
	if way != "bare" {
		x.join()
	}
	if !d.ImplicitTLS {
		x.starts()
	}
	x.sends("NOOP")
	x.sends("LOGIN alice %p", "secret word")
	if !d.ImplicitTLS {
		x.rawPut("* OK\r\n")
		x.turn()
		if got := x.rawHeard(); got != "a1 STARTTLS\r\n" {
			t.Fatalf("STARTTLS goes out alone: %q", got)
		}
		x.rawPut("a1 OK\r\n")
	}
	return x
}

// join puts the client in a loop of its own.
func (x *secureRig) join() {
	x.t.Helper()
	l, err := reactor.New()
	if err == nil {
		x.t.Cleanup(func() { _ = l.Close() })
		err = l.Add(x.c)
	}
	if err != nil {
		x.t.Fatal(err)
	}
	x.loop = l
}

// end names an end of a connection by what it is about.
func end(err error) string {
	var handshake *tlsup.HandshakeError
	var timeout *TimeoutError
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &handshake) && handshake.Alert != "":
		return "handshake: " + handshake.Alert
	case errors.As(err, &handshake):
		return "handshake"
	case errors.As(err, &timeout):
		return "timeout: " + timeout.Wait
	case errors.Is(err, errUnannounced):
		return "unannounced"
	case errors.Is(err, errTruncated) || errors.Is(err, errTruncatedRecord):
		return "truncated"
	case errors.Is(err, ErrClosed):
		return "Close"
	}
	return err.Error()
}

func (x *secureRig) starts() {
	x.t.Helper()
	err := x.c.StartTLSAsync("", "", "", "", func(err error) { x.log = append(x.log, "TLS: "+end(err)) })
	if err != nil {
		x.t.Fatal(err)
	}
}

func (x *secureRig) sends(format string, args ...any) {
	x.t.Helper()
	name := format[:4]
	mustSend(x.t, x.c, func(_ *Client, _ any, r *Reply) {
		line := name + " " + r.Keyword
		if SafeToRetry(r.Err) {
			line += ", safe to retry"
		}
		x.log = append(x.log, line)
	}, format, args...)
}

// turn lets the client do all that there is to do, and workers all that they were given.
func (x *secureRig) turn() {
	x.t.Helper()
	if x.loop == nil {
		x.drive()
		return
	}
	for {
		did, err := x.loop.TryProcessOneEvent()
		if t := x.c.transport.tls(); !did && err == nil && t != nil && t.lent() {
			err = x.loop.ProcessOneEvent()
			did = true
		}
		if err != nil {
			x.t.Fatal(err)
		}
		if !did {
			return
		}
	}
}

// negotiate moves records between the two until nothing moves, or the server has sent
// limit bytes and does something else. It reports whether that was so.
func (x *secureRig) negotiate(limit int, then func()) (reached bool) {
	x.t.Helper()
	for {
		x.turn()
		raw := x.rawHeard()
		x.plain = append(x.plain, x.tls.take(raw)...)
		flight := x.tls.flight()
		if len(flight) >= limit {
			if limit > 0 {
				x.rawPut(flight[:limit])
			}
			then()
			x.turn()
			return true
		}
		if limit -= len(flight); flight != "" {
			x.rawPut(flight)
		} else if raw == "" {
			return false
		}
	}
}

// closed looks what all have been told when the connection has ended.
func (x *secureRig) closed(says string, want ...string) {
	x.t.Helper()
	if x.c.Err() == nil {
		x.t.Fatalf("%s: it lives", says)
	}
	if !slices.Equal(x.log, want) {
		x.t.Errorf("%s\n got: %q (%v)\nwant: %q", says, x.log, x.c.Err(), want)
	}
	if t := x.c.transport.tls(); t != nil && (t.errand != nil || len(t.engine.Pending()) > 0) {
		x.t.Errorf("%s: nothing is under way any more", says)
	}
	if fd, read, write := x.c.Interest(); fd >= 0 || read || write {
		x.t.Errorf("%s: nothing is waited for: %d, %t, %t", says, fd, read, write)
	}
}

// reset closes the server's end so that the client's reads fail, behind what was sent.
func (r *rig) reset() {
	r.t.Helper()
	if _, err := unix.Write(int(r.c.transport.fd), []byte{0}); err != nil {
		r.t.Fatal(err)
	}
	_ = unix.Close(r.server)
	r.server = -1
}

func versionConfig(version uint16) *tls.Config {
	return &tls.Config{
		Certificates:     []tls.Certificate{rigCertificate()},
		CurvePreferences: []tls.CurveID{tls.X25519},
		MinVersion:       version, MaxVersion: version,
	}
}

// inAllWays runs a test for each way to drive a client, each version, and STARTTLS and
// implicit TLS.
func inAllWays(t *testing.T, f func(t *testing.T, way string, version uint16, implicit bool)) {
	for _, way := range rigWays {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for _, implicit := range []bool{false, true} {
				name := fmt.Sprintf("%s, %s, implicit %t", way, tls.VersionName(version), implicit)
				t.Run(name, func(t *testing.T) { f(t, way, version, implicit) })
			}
		}
	}
}
