package tlsup

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"runtime"
	"testing"
)

var errCallback = errors.New("what a callback says")

// callbacks are those of a client's tls.Config that run within Step: of its first
// call, and of a later one. (A KeyLogWriter must not panic: crypto/tls has a lock of
// the whole process while it runs, and would keep it.)
var callbacks = map[string]func(config *tls.Config, f func() error){
	"ClientSessionCache": func(config *tls.Config, f func() error) { config.ClientSessionCache = caller{f} },
	"VerifyConnection": func(config *tls.Config, f func() error) {
		config.VerifyConnection = func(tls.ConnectionState) error { return f() }
	},
	"VerifyPeerCertificate": func(config *tls.Config, f func() error) {
		config.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { return f() }
	},
}

type caller struct{ f func() error }

func (c caller) Get(string) (*tls.ClientSessionState, bool) { _ = c.f(); return nil, false }
func (c caller) Put(string, *tls.ClientSessionState)        {}

// calling does a handshake whose client's callback does f, and returns the client's
// last words.
func calling(t *testing.T, version uint16, name string, f func(e *Engine) error) (e *Engine, panicked any, err error) {
	client, server := configs(version)
	callbacks[name](client, func() error { return f(e) })
	p := newPair(t, client, server)
	e = p.c
	defer func() { panicked = recover() }()
	_, _ = p.s.Step()
	if _, err = e.Step(); err != nil {
		return e, nil, err
	}
	for !e.done {
		p.move(e, p.s, whole)
		e.Feed(take(p.s))
		if _, err = e.Step(); err != nil {
			return e, nil, err
		}
	}
	return e, nil, nil
}

func eachCallback(t *testing.T, f func(t *testing.T, version uint16, name string)) {
	for name := range callbacks {
		t.Run(name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, version uint16) { f(t, version, name) })
		})
	}
	suspended(t, 0)
}

// A callback's panic comes out of Step, once, and ends the connection.
func TestCallbackPanics(t *testing.T) {
	eachCallback(t, func(t *testing.T, version uint16, name string) {
		e, panicked, _ := calling(t, version, name, func(*Engine) error { panic(errCallback) })
		if panicked != any(errCallback) {
			t.Fatalf("Step panics as the callback did\n got: %v", panicked)
		}
		_, err := e.Step()
		ends(t, "the connection is at its end", e, err, errPanicked.Error())
	})
}

// Goexit ends the handshake's goroutine, and nobody else's.
func TestCallbackExits(t *testing.T) {
	eachCallback(t, func(t *testing.T, version uint16, name string) {
		e, panicked, err := calling(t, version, name, func(*Engine) error { runtime.Goexit(); return nil })
		if panicked != nil {
			t.Fatal(panicked)
		}
		ends(t, "Goexit is an error", e, err, errGoexit.Error())
	})
}

// A callback's error is the handshake's.
func TestCallbackFails(t *testing.T) {
	eachCallback(t, func(t *testing.T, version uint16, name string) {
		e, _, err := calling(t, version, name, func(*Engine) error { return errCallback })
		if name == "ClientSessionCache" {
			if err != nil || !e.done {
				t.Errorf("a cache that has nothing is none\n got: %v", err)
			}
			return
		}
		if !errors.Is(err, errCallback) {
			t.Fatalf("the callback's error is the handshake's\n got: %v", err)
		}
		if len(e.Pending()) == 0 {
			t.Error("the peer is told: nothing is pending")
		}
		ends(t, "the connection is at its end", e, err, err.Error())
	})
}

// A callback may end the connection it belongs to. What else it does then does not
// matter, a panic aside.
func TestCallbackAborts(t *testing.T) {
	eachCallback(t, func(t *testing.T, version uint16, name string) {
		for what, then := range map[string]func() error{
			"returns": func() error { return nil },
			"fails":   func() error { return errCallback },
			"exits":   func() error { runtime.Goexit(); return nil },
			"panics":  func() error { panic(errCallback) },
		} {
			e, panicked, err := calling(t, version, name, func(e *Engine) error {
				if e.State().HandshakeComplete {
					t.Error("a callback knows nothing of the connection yet: it does")
				}
				e.Abort()
				return then()
			})
			if (panicked != nil) != (what == "panics") {
				t.Errorf("a panic comes out of Step, and nothing else does\n got: %v", panicked)
			}
			if panicked == nil && err != errAborted {
				t.Errorf("an abandoned handshake says so\n got: %v", err)
			}
			holdsNothing(t, e)
			_, err = e.Step()
			ends(t, "the connection is at its end", e, err, errAborted.Error())
		}
	})
}

// The server's own callbacks run within its Step as well.
func TestServerCallback(t *testing.T) {
	client, server := configs(tls.VersionTLS13)
	server.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, errCallback }
	p := newPair(t, client, server)
	_, _ = p.c.Step()
	_, err := deliver(t, p.s, take(p.c), every(1), 0)
	ends(t, "a server's callback fails", p.s, err, errCallback.Error())
	_, err = deliver(t, p.c, take(p.s), whole, 0)
	ends(t, "the client is told", p.c, err, "remote error: tls: internal error")
	suspended(t, 0)
}

// Before the handshake is done nothing is read or written.
func TestEarly(t *testing.T) {
	p := ofVersion(t, tls.VersionTLS13)
	for range 2 {
		n, err := p.c.Read(make([]byte, 10))
		if n != 0 || err != nil || p.c.Write([]byte("x")) != errEarly {
			t.Errorf("before the handshake nothing is read or written\n got: %d %v", n, err)
		}
		if p.c.CloseNotify(); len(p.c.Pending()) > 0 && p.c.hands == nil {
			t.Error("nor is close_notify pending: it is")
		}
		_, _ = p.c.Step()
	}
	p.shake(whole)
	if done, err := p.c.Step(); !done || err != nil {
		t.Errorf("done stays true\n got: %t %v", done, err)
	}
	_ = p.s.Write([]byte("x"))
	p.s.CloseNotify()
	if _, err := deliver(t, p.c, take(p.s), whole, 0); err != io.EOF {
		t.Fatal(err)
	}
	if done, err := p.c.Step(); !done || err != io.EOF {
		t.Errorf("done stays true, with the connection's end\n got: %t %v", done, err)
	}
}
