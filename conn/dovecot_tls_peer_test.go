package conn_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/tlsup"
)

// wiretap hands on what goes between its own address and a server's, and keeps what
// the client says. Its host is the server's.
type wiretap struct {
	address string
	over    sync.WaitGroup // conversations
	said    []byte
}

// tap makes a wiretap for one connection.
func tap(t *testing.T, server string) *wiretap {
	t.Helper()
	host, _, err := net.SplitHostPort(server)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	w := &wiretap{address: l.Addr().String()}
	w.over.Add(1)
	go func() {
		defer w.over.Done()
		defer func() { _ = l.Close() }()
		client, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = client.Close() }()
		backend, err := net.Dial("tcp", server)
		if err != nil {
			return
		}
		defer func() { _ = backend.Close() }()
		go func() { _, _ = io.Copy(client, backend) }()
		var b [4096]byte
		for {
			n, err := client.Read(b[:])
			w.said = append(w.said, b[:n]...)
			if _, failed := backend.Write(b[:n]); err != nil || failed != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { _ = l.Close() })
	return w
}

// records returns what the client has said, once it has hung up: the text before
// TLS, and the records.
func (w *wiretap) records(t *testing.T) (text string, records [][]byte) {
	t.Helper()
	w.over.Wait()
	rest := w.said
	if at := strings.LastIndex(string(rest), "STARTTLS\r\n"); at >= 0 {
		at += len("STARTTLS\r\n")
		text, rest = string(rest[:at]), rest[at:]
	}
	for len(rest) > 0 {
		if len(rest) < 5 || len(rest) < 5+int(binary.BigEndian.Uint16(rest[3:])) {
			t.Fatalf("what the client says is records: %q", rest)
		}
		n := 5 + int(binary.BigEndian.Uint16(rest[3:]))
		records, rest = append(records, rest[:n]), rest[n:]
	}
	return text, records
}

// checkHelloOnly fails unless the client has said nothing but its ClientHello, and
// that it will not go on.
func (w *wiretap) checkHelloOnly(t *testing.T) {
	t.Helper()
	const changeCipherSpec, alert, handshake, encrypted = 20, 21, 22, 23
	const alertLen, encryptedAlertLen = 5 + 2, 5 + 2 + 1 + 16 // level and description; type and tag
	text, records := w.records(t)
	if text != "" && text != tagPrefix+"1 STARTTLS\r\n" {
		t.Errorf("nothing goes before TLS but STARTTLS: %q", text)
	}
	if len(records) == 0 || records[0][0] != handshake || records[0][5] != 1 {
		t.Fatalf("TLS begins with a ClientHello: %q", records)
	}
	for _, r := range records[1:] {
		switch {
		case r[0] == changeCipherSpec: // of no meaning in TLS 1.3 (RFC 8446 appendix D.4)
		case r[0] == alert && len(r) == alertLen:
		case r[0] == encrypted && len(r) == encryptedAlertLen:
		default:
			t.Errorf("nothing goes behind the ClientHello but an alert: %q", r)
		}
	}
}

// fault is what is wrong with a certificate.
type fault struct {
	host string // variable of the testbed
	says string // in the error's text
	is   func(error) bool
}

var faults = []fault{
	{"DOVECOT_EXPIRED", "it expired on ", func(err error) bool {
		var invalid x509.CertificateInvalidError
		return errors.As(err, &invalid) && invalid.Reason == x509.Expired
	}},
	{"DOVECOT_WRONGHOST", `it is for "elsewhere.example", not for "127.0.0.4"`, func(err error) bool {
		return errors.As(err, new(x509.HostnameError))
	}},
	{"DOVECOT_SELFSIGNED", "it is self-signed", func(err error) bool {
		return errors.As(err, new(x509.UnknownAuthorityError))
	}},
}

// eachFault runs f for each faulty certificate, each way to TLS and each version.
func eachFault(t *testing.T, f func(t *testing.T, w way, policy *tlsup.Policy, wrong fault)) {
	for _, wrong := range faults {
		t.Run(wrong.host, func(t *testing.T) {
			eachWay(t, func(t *testing.T, w way, policy *tlsup.Policy) { f(t, w, policy, wrong) })
		})
	}
}

// A server whose certificate is not accepted hears the ClientHello and nothing else,
// and a password that was queued meanwhile is not sent.
func TestDovecotTLSFaultyCertificates(t *testing.T) {
	eachFault(t, func(t *testing.T, w way, policy *tlsup.Policy, wrong fault) {
		wire := tap(t, w.address(t, wrong.host))
		var refused *tlsup.CertificateError
		if w.implicit {
			_, err := w.connect(t, wire.address, "", policy)
			if !errors.As(err, &refused) {
				t.Fatalf("the certificate is refused: %v", err)
			}
		} else {
			refused = refusedLater(t, wire.address, w, policy)
		}
		if host, _, _ := net.SplitHostPort(wire.address); refused.Host != host || !wrong.is(refused) {
			t.Errorf("the error is of its type, and names the host: %q, %v", refused.Host, refused.Err)
		}
		if !strings.Contains(refused.Error(), wrong.says) || refused.Remedy == "" {
			t.Errorf("the error says %q and what to do: %v", wrong.says, refused)
		}
		if s := policy.Stats(); s.Failed != 1 || s.Handshakes != 0 {
			t.Errorf("the handshake counts as failed: %+v", s)
		}
		wire.checkHelloOnly(t)
	})
}

// refusedLater asks for TLS, and queues a LOGIN behind it.
func refusedLater(t *testing.T, address string, w way, policy *tlsup.Policy) (refused *tlsup.CertificateError) {
	t.Helper()
	s := dial(t, address, w.under(policy))
	over := false
	var result error
	if err := s.StartTLSAsync("", "", "", "", func(err error) { over, result = true, err }); err != nil {
		t.Fatal(err)
	}
	login := s.send("LOGIN %s %p", "alice", "secret")
	var err error
	for err == nil {
		err = s.ProcessOneEvent()
	}
	if !over || !errors.As(result, &refused) || !errors.Is(err, refused) || !errors.Is(s.Err(), refused) {
		t.Fatalf("the certificate is refused, which is told and ends the connection: %v, %v", result, err)
	}
	if r := login.reply; r == nil || r.Keyword != "EOF" || !conn.SafeToRetry(r.Err) {
		t.Errorf("what was queued behind STARTTLS is not sent: %+v", r)
	}
	return refused
}

// Unverified mode takes each of them, with a warning for each connection.
func TestDovecotTLSUnverified(t *testing.T) {
	eachFault(t, func(t *testing.T, w way, policy *tlsup.Policy, wrong fault) {
		policy.Unverified = true
		for range 2 { // the second resumes a session
			var warnings []string
			s, err := w.connect(t, w.address(t, wrong.host), "", policy, func(d *conn.Dialer) {
				d.Warn = func(_ *conn.Client, text string) { warnings = append(warnings, text) }
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(warnings) != 1 || !strings.Contains(warnings[0], "is not verified") {
				t.Errorf("each connection warns once: %q", warnings)
			}
			s.read()
		}
	})
}

// A pinned key is enough of a certificate that nobody vouches for, and another key is
// refused.
func TestDovecotTLSPinned(t *testing.T) {
	eachWay(t, func(t *testing.T, w way, policy *tlsup.Policy) {
		s := w.secure(t, policy)
		own := s.TLS().PeerCertificates[0]
		for _, pins := range [][][32]byte{{{}, tlsup.Pin(own)}, {{}}} {
			pinned := trusting(t, policy.Config.MaxVersion)
			pinned.Pins = pins
			_, err := w.connect(t, w.address(t, "DOVECOT"), "", pinned)
			var refused *tlsup.PinError
			if wrong := len(pins) == 1; errors.As(err, &refused) != wrong || !wrong && err != nil {
				t.Errorf("one of the keys must be pinned: %v", err)
			}
		}
	})
}

// The name that is verified, and sent as SNI, is the caller's.
func TestDovecotTLSNames(t *testing.T) {
	eachWay(t, func(t *testing.T, w way, policy *tlsup.Policy) {
		for _, tc := range []struct {
			host, name string
			ok         bool
			sni        string
		}{
			{"DOVECOT", "", true, ""},
			{"DOVECOT", "localhost", true, "localhost"},
			{"DOVECOT", "localhost.", true, "localhost"},
			{"DOVECOT", "elsewhere.example", false, "elsewhere.example"},
			{"DOVECOT_LOGINDISABLED", "", true, ""},
			{"DOVECOT_WRONGHOST", "elsewhere.example", true, "elsewhere.example"},
			{"DOVECOT_WRONGHOST", "localhost", false, "localhost"},
		} {
			policy := trusting(t, policy.Config.MaxVersion)
			wire := tap(t, w.address(t, tc.host))
			s, err := w.connect(t, wire.address, tc.name, policy)
			if ok := err == nil; ok != tc.ok || !ok && !errors.As(err, new(x509.HostnameError)) {
				t.Errorf("a server is who the caller says, or else refused: %s as %q: %v", tc.host, tc.name, err)
			}
			if s != nil {
				_ = s.Close()
			}
			_, records := wire.records(t)
			if got := serverNameIn(records[0]); got != tc.sni {
				t.Errorf("the ClientHello names the server, unless that is an address: %s as %q: %q", tc.host, tc.name, got)
			}
		}
	})
}

// serverNameIn returns the name in a ClientHello, "": none.
func serverNameIn(record []byte) string {
	var name string
	s := tlsup.Server(&tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		name = hello.ServerName
		return nil, errors.New("that is all")
	}})
	s.Feed(record)
	_, _ = s.Step()
	s.Abort()
	return name
}

// The client's certificate, by the arguments of StartTLS and by the policy: with it,
// EXTERNAL is a login.
func TestDovecotTLSClientCertificate(t *testing.T) {
	cert, key := fromBed(t, "CLIENTCERT"), fromBed(t, "CLIENTKEY")
	eachWay(t, func(t *testing.T, w way, policy *tlsup.Policy) {
		for _, known := range []bool{true, false} {
			policy := trusting(t, policy.Config.MaxVersion)
			if known {
				policy.Cert, policy.Key = cert, key
			}
			s, err := w.connect(t, w.address(t, "DOVECOT_CLIENTCERT"), "", policy)
			if err != nil {
				t.Fatalf("a certificate is optional: %v", err)
			}
			checkExternal(s, known)
		}
		if w.implicit {
			return
		}
		s := dial(t, w.address(t, "DOVECOT_CLIENTCERT"), func(d *conn.Dialer) {
			d.TLS = &tlsup.Policy{Config: policy.Config} // and not that of all, with its sessions: see below
		})
		if err := s.StartTLS(cert, key, fromBed(t, "CA"), ""); err != nil {
			t.Fatal(err)
		}
		checkExternal(s, true)
	})
}

func checkExternal(s *session, known bool) {
	s.t.Helper()
	if r := s.send("AUTHENTICATE EXTERNAL =").wait(); (r.Keyword == "OK") != known {
		s.t.Errorf("a certificate, and nothing else, proves who we are: known %v: %s %s", known, r.Keyword, r.Text)
	}
	if known {
		s.send("EXAMINE INBOX").ok()
	}
}

// That address cannot resume the sessions that it gives out, and hangs up on who
// tries: that costs a handshake, not the service.
func TestDovecotTLSClientCertificateResumption(t *testing.T) {
	eachWay(t, func(t *testing.T, w way, policy *tlsup.Policy) {
		policy.Cert, policy.Key = fromBed(t, "CLIENTCERT"), fromBed(t, "CLIENTKEY")
		failed := 0
		for done := 0; done < 5; {
			s, err := w.connect(t, w.address(t, "DOVECOT_CLIENTCERT"), "", policy)
			if err != nil {
				var refused *tlsup.HandshakeError
				if !errors.As(err, &refused) && !errors.Is(err, unix.ECONNRESET) {
					t.Fatalf("Dovecot breaks the handshake off: %v", err)
				}
				if failed++; failed > 1 {
					t.Fatalf("the handshake after one that failed is a full one, and succeeds: %v", err)
				}
				continue
			}
			checkExternal(s, true)
			if s.TLS().DidResume {
				t.Error("no session can be resumed there")
			}
			_ = s.Close()
			done, failed = done+1, 0
		}
	})
}

// Dovecot dies in mid-handshake: when we have checked its certificate, and when it has
// said nothing yet.
func TestDovecotKilledInMidHandshake(t *testing.T) {
	fromBed(t, "DOVECOT")
	for _, w := range waysIn {
		t.Run(w.name+"/certificate checked", func(t *testing.T) {
			server := startSpare(t)
			policy := &tlsup.Policy{Files: tlsup.Files{CA: server["CA"]}, Config: &tls.Config{
				MaxVersion: tls.VersionTLS12, // in which the server has the last word
				VerifyConnection: func(tls.ConnectionState) error {
					server.signal(t, unix.SIGKILL)
					return nil
				},
			}}
			_, err := w.connect(t, server[w.port], "", policy)
			checkBrokenOff(t, err)
			if s := policy.Stats(); s.Failed != 1 || s.Handshakes != 0 {
				t.Errorf("the handshake counts as failed: %+v", s)
			}
		})
	}
	t.Run("nothing said", func(t *testing.T) {
		server := startSpare(t)
		policy := &tlsup.Policy{Files: tlsup.Files{CA: server["CA"]}}
		f := newFleet(t)
		f.killed = true
		f.dialer.TLS, f.dialer.ImplicitTLS = policy, true
		server.signal(t, unix.SIGSTOP)
		host, port, err := net.SplitHostPort(server["DOVECOT_TLS"])
		if err != nil {
			t.Fatal(err)
		}
		const size = 20
		var results []error
		for range size {
			f.dialer.ConnectAsync(f.ctx, f.loop, host, port, func(_ *conn.Client, err error) {
				if results = append(results, err); len(results) == size {
					f.stop()
				}
			})
		}
		f.whenSpread(size, func() { server.signal(t, unix.SIGKILL) })
		f.run()
		for _, err := range results {
			checkBrokenOff(t, err)
		}
	})
}

// whenSpread calls do when the loop has done so many steps of handshakes.
func (f *fleet) whenSpread(steps uint64, do func()) {
	if f.loop.Stats().Spread < steps {
		f.loop.Post(func() { f.whenSpread(steps, do) }) // look again in the next turn
		return
	}
	do()
}

func checkBrokenOff(t *testing.T, err error) {
	t.Helper()
	if !isHangUp(err) {
		t.Errorf("a handshake ends with its server: %v", err)
	}
}

// The outage of TestDovecotKilled, through TLS: in mid-reply, with commands that are
// written, that wait, and that are half on their way.
func TestDovecotKilledUnderTLS(t *testing.T) {
	fromBed(t, "DOVECOT")
	for _, w := range waysIn {
		t.Run(w.name, func(t *testing.T) {
			server := startSpare(t)
			before := descriptors(t)
			const size = 50
			f := &outage{fleet: newFleet(t), server: server, duties: duties(lines(16 << 20)), waiting: size}
			w.under(&tlsup.Policy{Files: tlsup.Files{CA: server["CA"]}})(&f.dialer)
			f.on("FETCH", conn.CallbackNumbered, f.fetched)
			for range size {
				f.connect(server[w.port], func(m *member) {
					if !w.implicit {
						if err := m.StartTLSAsync("", "", "", "", func(error) {}); err != nil {
							f.fail("connection %d asks for TLS: %v", m.number, err)
						}
					}
					f.enlist(m)
				})
			}
			f.run()
			for _, m := range f.members {
				checkLost(t, m, f.duty(m))
			}
			givenBack(t, before)
		})
	}
}
