package conn_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/tlsup"
)

// way is a way to TLS.
type way struct {
	name     string
	port     string // variable of the testbed: an address with the way's port
	implicit bool
}

var waysIn = []way{{"STARTTLS", "DOVECOT", false}, {"imaps", "DOVECOT_TLS", true}}

// eachWay runs f for each way to TLS, with each version.
func eachWay(t *testing.T, f func(t *testing.T, w way, policy *tlsup.Policy)) {
	fromBed(t, "DOVECOT")
	for _, w := range waysIn {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(w.name+"/"+tls.VersionName(version), func(t *testing.T) { f(t, w, trusting(t, version)) })
		}
	}
}

// trusting trusts the testbed's CA, and speaks one version.
func trusting(t *testing.T, version uint16) *tlsup.Policy {
	t.Helper()
	return &tlsup.Policy{
		Files:  tlsup.Files{CA: fromBed(t, "CA")},
		Config: &tls.Config{MinVersion: version, MaxVersion: version},
	}
}

// address is where one of the testbed's hosts takes connections of this way.
func (w way) address(t *testing.T, host string) string {
	t.Helper()
	host, _, err := net.SplitHostPort(fromBed(t, host))
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(fromBed(t, w.port))
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort(host, port)
}

// under is the option that makes a Dialer's connections go this way.
func (w way) under(policy *tlsup.Policy) func(*conn.Dialer) {
	return func(d *conn.Dialer) { d.TLS, d.ImplicitTLS, d.RequireTLS = policy, w.implicit, true }
}

// connect makes a connection that is secure, or says why there is none. name stands
// for the server in the place of its address, "": the address.
func (w way) connect(t *testing.T, address, name string, policy *tlsup.Policy, options ...func(*conn.Dialer)) (*session, error) {
	t.Helper()
	s := &session{t: t}
	d := &conn.Dialer{
		TagPrefix: tagPrefix,
		Trace:     func(_ *conn.Client, line string) { s.trace = append(s.trace, line) },
		Timeouts:  patient,
	}
	for _, option := range append(options, w.under(policy)) {
		option(d)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	if name != "" {
		ip := netip.MustParseAddr(host)
		d.Resolve = func(context.Context, string) ([]netip.Addr, error) { return []netip.Addr{ip}, nil }
		host = name
	}
	if s.Client, err = d.Connect(host, port); err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		_ = s.Close()
		if t.Failed() {
			t.Logf("a connection's last lines:\n%s", strings.Join(s.trace[max(0, len(s.trace)-40):], "\n"))
		}
	})
	if !w.implicit {
		err = s.StartTLS("", "", "", "")
	}
	return s, err
}

// secure is connect where nothing may go wrong.
func (w way) secure(t *testing.T, policy *tlsup.Policy, options ...func(*conn.Dialer)) *session {
	t.Helper()
	s, err := w.connect(t, w.address(t, "DOVECOT"), "", policy, options...)
	if err != nil {
		t.Fatalf("Dovecot speaks TLS: %v", err)
	}
	return s
}

// read logs in and opens the INBOX that is there to be read.
func (s *session) read() *session {
	s.t.Helper()
	s.send("LOGIN %s %p", fromBed(s.t, "USER"), fromBed(s.t, "PASSWORD")).ok()
	s.send("EXAMINE INBOX").ok()
	return s
}

func TestDovecotTLS(t *testing.T) {
	files := messageFiles(t)
	eachWay(t, func(t *testing.T, w way, policy *tlsup.Policy) {
		s := w.secure(t, policy)
		s.send("CAPABILITY").ok()
		if state := s.TLS(); state == nil || state.Version != policy.Config.MaxVersion || s.Has("STARTTLS") {
			t.Errorf("there is TLS of this version, and no STARTTLS any more: %v", state)
		}
		s.read()
		came := 0
		s.on("FETCH", conn.CallbackNumbered, func(r *conn.Reply) {
			came++
			got := parseFetch(t, r)
			sameBytes(t, fmt.Sprintf("message %d is its file, byte for byte", r.MsgNo), got.joined(t, "BODY[]"), files[r.MsgNo-1])
		})
		s.send("FETCH 1:* (BODY.PEEK[])").ok()
		if came != len(files) {
			t.Errorf("each message comes once: %d of %d", came, len(files))
		}
		s.send("LOGOUT").ok()
		for s.Err() == nil {
			_ = s.ProcessOneEvent()
		}
		if !errors.Is(s.Err(), io.EOF) {
			t.Errorf("after LOGOUT the server hangs up: %v", s.Err())
		}
	})
}

// The same 10 MB go there and come back.
func TestDovecotTLSGiant(t *testing.T) {
	user, password := loadAccount(t, appendAccount)
	giant := lines(10 << 20)
	eachWay(t, func(t *testing.T, w way, policy *tlsup.Policy) {
		s := w.secure(t, policy)
		s.send("LOGIN %s %p", user, password).ok()
		mailbox := s.mailbox("giant through " + t.Name())
		uid, _ := appendUID(t, s.send("APPEND %s %l", mailbox, giant).ok())
		s.send("SELECT %s", mailbox).ok()
		s.stored("10 MB come back through TLS", uid, "BODY[]", giant)
	})
}

// All 1,000 are there at once before they fetch.
func TestDovecotThousandSTARTTLS(t *testing.T) {
	const size, each = 1000, 3
	files := messageFiles(t)
	user, password, address := fromBed(t, "USER"), fromBed(t, "PASSWORD"), fromBed(t, "DOVECOT")
	before, goroutines := descriptors(t), runtime.NumGoroutine()

	f := newFleet(t)
	f.dialer.TLS = &tlsup.Policy{Files: tlsup.Files{CA: fromBed(t, "CA")}}
	f.dialer.RequireTLS = true
	fetched := make([]int, size)
	f.on("FETCH", conn.CallbackNumbered, func(m *member, r *conn.Reply) {
		fetched[m.number]++
		got := parseFetch(t, r)
		if body := got.joined(t, "BODY[]"); !bytes.Equal(body, files[r.MsgNo-1]) {
			sameBytes(t, fmt.Sprintf("connection %d: message %d is its file, byte for byte", m.number, r.MsgNo), body, files[r.MsgNo-1])
			f.stop()
		}
	})
	ready := 0
	begin := func() {
		if n := runtime.NumGoroutine(); n > goroutines {
			f.fail("no connection has a goroutine once its handshake is over: %d before, %d now", goroutines, n)
		}
		for _, m := range f.members {
			first := 1 + m.number*each%len(files) // so that each message is somebody's
			// Not both at once: where a LOGOUT is behind a reply that is read slowly,
			// Dovecot 2.3's TLS proxy now and then says close_notify before the last
			// few hundred bytes that it was given.
			m.send(func() { m.send(nil, "LOGOUT") }, "FETCH %d:%d (BODY.PEEK[])", first, first+each-1)
		}
	}
	for range size {
		f.connect(address, func(m *member) {
			err := m.StartTLSAsync("", "", "", "", func(err error) {
				if err != nil || m.TLS() == nil {
					f.fail("connection %d gets TLS: %v", m.number, err)
				}
			})
			if err != nil {
				f.fail("connection %d asks for TLS: %v", m.number, err)
				return
			}
			m.send(nil, "LOGIN %s %p", user, password)
			m.send(func() {
				if ready++; ready == size {
					begin()
				}
			}, "EXAMINE INBOX")
		})
	}
	f.run()
	for number, n := range fetched {
		if n != each {
			t.Errorf("connection %d fetches %d messages: %d", number, each, n)
		}
	}
	if s := f.dialer.TLS.Stats(); s.Handshakes != size || s.Failed != 0 {
		t.Errorf("all handshakes succeed: %+v", s)
	}
	givenBack(t, before)
}

func TestDovecotTLSResumption(t *testing.T) {
	eachWay(t, func(t *testing.T, w way, policy *tlsup.Policy) {
		for i := range 101 {
			s := w.secure(t, policy)
			s.send("NOOP").ok() // TLS 1.3 brings tickets after the handshake
			if resumed := s.TLS().DidResume; resumed != (i > 0) {
				t.Fatalf("each connection but the first resumes a session: number %d: %v", i+1, resumed)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if s := policy.Stats(); s.Handshakes != 101 || s.Resumed != 100 || s.Failed != 0 {
			t.Errorf("they are counted: %+v", s)
		}
	})
}

func TestDovecotTLSIdle(t *testing.T) {
	user, password := loadAccount(t, idleAccount)
	eachWay(t, func(t *testing.T, w way, policy *tlsup.Policy) {
		watcher, writer := w.secure(t, policy), w.secure(t, policy)
		for _, s := range []*session{watcher, writer} {
			s.send("LOGIN %s %p", user, password).ok()
		}
		mailbox := watcher.mailbox("idle through " + t.Name())
		watcher.send("SELECT %s", mailbox).ok()
		var exists int64
		watcher.on("EXISTS", conn.CallbackNumbered, func(r *conn.Reply) { exists = r.MsgNo })
		for round := int64(1); round <= 2; round++ {
			idling := false
			idle := watcher.sendCommand(conn.Command{
				OnContinue: func(*conn.Client, any, *conn.Reply) { idling = true },
			}, "IDLE")
			watcher.until(func() bool { return idling })
			writer.send("APPEND %s %l", mailbox, []byte("Subject: wake up\r\n\r\n")).ok()
			watcher.until(func() bool { return exists == round })
			if err := watcher.Continue("DONE"); err != nil {
				t.Errorf("Continue ends an IDLE: %v", err)
			}
			idle.ok()
		}
	})
}

// Where LOGIN is disabled until there is TLS, it is not sent before, and it is
// possible after.
func TestDovecotTLSLoginDisabled(t *testing.T) {
	eachWay(t, func(t *testing.T, w way, policy *tlsup.Policy) {
		s, err := w.connect(t, w.address(t, "DOVECOT_LOGINDISABLED"), "", policy)
		if err != nil {
			t.Fatal(err)
		}
		if s.Capabilities() != "" && !w.implicit {
			t.Errorf("what was said before TLS holds no more: %q", s.Capabilities())
		}
		s.send("CAPABILITY").ok()
		if s.Has("LOGINDISABLED") {
			t.Errorf("with TLS, LOGIN is not disabled: %q", s.Capabilities())
		}
		s.read()
	})
}

// RequireTLS at a server that offers it: nothing is said, and nothing heard, before.
func TestDovecotRequireTLS(t *testing.T) {
	var heard []string
	s := dial(t, fromBed(t, "DOVECOT_LOGINDISABLED"), waysIn[0].under(trusting(t, tls.VersionTLS13)), func(d *conn.Dialer) {
		d.Callbacks = []conn.Callback{{Keyword: "", Proc: func(_ *conn.Client, _ any, r *conn.Reply) {
			heard = append(heard, r.Keyword)
		}}}
	})
	s.until(func() bool { return s.Has("STARTTLS") })
	if !s.Has("LOGINDISABLED") {
		t.Errorf("Dovecot says that LOGIN is disabled: %q", s.Capabilities())
	}
	err := s.Send(nil, nil, "LOGIN %s %p", fromBed(t, "USER"), fromBed(t, "PASSWORD"))
	if !errors.Is(err, conn.ErrTLSRequired) || s.Stats().BytesOut > 0 {
		t.Errorf("nothing is sent before TLS: %v, %d bytes", err, s.Stats().BytesOut)
	}
	if len(heard) > 0 {
		t.Errorf("nothing that was said before TLS reaches a callback: %q", heard)
	}
	if err := s.StartTLS("", "", "", ""); err != nil {
		t.Fatal(err)
	}
	s.send("CAPABILITY").ok()
	s.read()
	if !slices.Contains(heard, "CAPABILITY") || !slices.Contains(heard, "EXISTS") {
		t.Errorf("what is said after does: %q", heard)
	}
	if secret := fromBed(t, "PASSWORD"); strings.Contains(strings.Join(s.trace, "\n"), secret) {
		t.Error("no secret is in the trace")
	}
}

// The manual page's way: imclient_connect and imclient_starttls, with nothing set.
func TestDovecotTLSAsOnThePage(t *testing.T) {
	address, ca := fromBed(t, "DOVECOT"), fromBed(t, "CA")
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, ca string
		ok       bool
	}{{"CAfile", ca, true}, {"the system's", "", false}} {
		c, err := conn.Connect(host, port)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		s := &session{Client: c, t: t}
		s.send("CAPABILITY").ok()
		err = c.StartTLS("", "", tc.ca, "")
		if tc.ok {
			if err != nil || c.TLS() == nil {
				t.Fatalf("CAfile vouches for the server: %v", err)
			}
			s.read()
			continue
		}
		var refused *tlsup.CertificateError
		if !errors.As(err, &refused) || c.Err() != err {
			t.Errorf("%s authorities do not, and the connection ends: %v, %v", tc.name, err, c.Err())
		}
	}
}
