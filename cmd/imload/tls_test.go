package main

import (
	"crypto/tls"
	"encoding/pem"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imclient/imclient/tlsup"
)

// asAuthority writes whom to trust into a file of a directory.
func (e *embedded) asAuthority(t *testing.T) (file, dir string) {
	t.Helper()
	dir = t.TempDir()
	file = filepath.Join(dir, "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.authority.Raw})
	if err := os.WriteFile(file, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return file, dir
}

// flag is what asks for the mode.
func (m tlsMode) flag() string {
	if m == tlsFirst {
		return "-tls"
	}
	return "-starttls"
}

var tlsModes = []tlsMode{tlsFirst, tlsLater}

func TestTLSWithTheEmbeddedServer(t *testing.T) {
	for _, mode := range tlsModes {
		for _, more := range []string{"", "-no-resume -workers 2 -depth 8"} {
			t.Run(string(mode)+more, func(t *testing.T) {
				args := append([]string{mode.flag(), "-n", "10", "-commands", "300", "-mix", defaultMix + ",login=1"}, strings.Fields(more)...)
				status, r := imloadJSON(t, args...)
				if status != exitOK || r.ErrorsTotal != 0 {
					t.Fatalf("the run must succeed: status %d, errors %v", status, r.Errors)
				}
				checkHandshakes(t, r, mode)
				if resumes := more == ""; (r.TLS.Resumed > 0) != resumes {
					t.Errorf("sessions must be resumed, but not with -no-resume: %d of %d", r.TLS.Resumed, r.TLS.Handshakes)
				}
			})
		}
	}
}

// checkHandshakes looks whether each connection had one, and figures fit together.
func checkHandshakes(t *testing.T, r *report, mode tlsMode) {
	t.Helper()
	h := r.TLS
	if h == nil || h.Mode != mode || !h.Verified || h.Rate <= 0 || h.Computing <= 0 {
		t.Fatalf("the handshakes must be measured: %+v", h)
	}
	if logins := r.count(verbLogin); h.Handshakes < logins || h.Handshakes <= 10 {
		t.Errorf("each of %d connections must have had a handshake, and there must be more than at first: %d", logins, h.Handshakes)
	}
	if full, resumed := r.count(verbHandshake), r.count(verbResumption); full == 0 || resumed != h.Resumed || full+resumed != h.Handshakes {
		t.Errorf("full and resumed handshakes must have a row each: %d and %d, %+v", full, resumed, h)
	}
	var kinds int64
	for _, k := range h.Kinds {
		kinds += k.Count
	}
	if kinds != h.Handshakes || !strings.HasPrefix(h.Kinds[0].Kind, "TLS 1.3, TLS_") {
		t.Errorf("version and cipher must be told of each: %v", h.Kinds)
	}
	if connects := r.count(verbConnect); (connects > 0) != (mode == tlsLater) {
		t.Errorf("with -tls nobody knows when the socket was connected: %d connects", connects)
	}
}

func TestAuthorityOfARealServer(t *testing.T) {
	for _, mode := range tlsModes {
		server := startSecureServer(t, 8, mode)
		args := append(server.asRealServer(t, server.password), mode.flag(), "-n", "6", "-messages", "8", "-commands", "60")
		file, dir := server.asAuthority(t)
		for _, path := range []string{file, dir} {
			if status, r := imloadJSON(t, append(args, "-ca", path)...); status != exitOK || r.ErrorsTotal != 0 || !r.TLS.Verified {
				t.Errorf("%s -ca %s must succeed: status %d, errors %v", mode.flag(), path, status, r.Errors)
			}
		}
		other, _ := startSecureServer(t, 1, mode).asAuthority(t)
		for _, args := range [][]string{args, append(args, "-ca", other)} {
			status, r := imloadJSON(t, args...)
			if want := (kindCount{"connect: certificate of an unknown issuer", 1}); status != exitFailed || len(r.Errors) != 1 || r.Errors[0] != want {
				t.Errorf("nobody must be trusted but whom -ca names: status %d, errors %v", status, r.Errors)
			}
		}
		status, stdout, stderr := imload(t, append(args, "-insecure")...)
		if status != exitOK || strings.Count(stderr, "not verified") != 1 || !strings.Contains(stdout, "NOT VERIFIED") {
			t.Errorf("-insecure must succeed, and say what it means: status %d\n%s%s", status, stdout, stderr)
		}
	}
}

// TestTLSThatCannotBe meets servers that nobody should talk to: one try, and what
// was wrong.
func TestTLSThatCannotBe(t *testing.T) {
	loopback := net.IPv4(127, 0, 0, 1)
	expired := func(c *tls.Config) { c.Time = func() time.Time { return time.Now().AddDate(2, 0, 0) } }
	for _, test := range []struct {
		name, flag string
		serve      func(c net.Conn, secure *tls.Config)
		host       net.IP
		change     func(*tls.Config) // of ours
		want       string
	}{
		{"another host's", "-tls", serveTLS, net.IPv4(192, 0, 2, 1), nil, "certificate for another host"},
		{"expired", "-tls", serveTLS, loopback, expired, "certificate out of date"},
		{"no TLS there", "-tls", serveText("* OK ready\r\n"), loopback, nil, "no TLS on that port"},
		{"no TLS in common", "-tls", func(c net.Conn, secure *tls.Config) {
			secure.MinVersion = tls.VersionTLS13
			serveTLS(c, secure)
		}, loopback, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, "TLS alert protocol_version"},
		{"hangs up", "-tls", func(c net.Conn, _ *tls.Config) {
			_, _ = c.Read(make([]byte, 1))
			_ = c.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, c)
		}, loopback, nil, "TLS handshake failed"},
		{"no STARTTLS", "-starttls", serveText("* OK ready\r\n", "%s BAD what?\r\n"), loopback, nil, "STARTTLS refused"},
		{"PREAUTH", "-starttls", serveText("* PREAUTH come in\r\n"), loopback, nil, "no STARTTLS"},
		{"plain text behind OK", "-starttls", serveText("* OK ready\r\n", "%s OK\r\n* OK trust me\r\n"), loopback, nil, "plain text before TLS"},
	} {
		t.Run(test.name, func(t *testing.T) {
			certificates, err := certify(test.host)
			if err != nil {
				t.Fatal(err)
			}
			host, port := listen(t, func(c net.Conn) {
				defer c.Close()
				test.serve(c, certificates.config(false))
			})
			opt, err := parseOptions([]string{test.flag, "-n", "5", "-d", "0"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			server := embedded{host: host, port: port, password: "x", authority: certificates.authority}
			f, err := newFleet(opt, server.target(), newConsole(io.Discard))
			if err != nil {
				t.Fatal(err)
			}
			defer f.close()
			if test.change != nil {
				config := f.dialer.TLS.Config.Clone()
				test.change(config)
				f.dialer.TLS = &tlsup.Policy{Config: config}
			}
			r := f.mustRun(t)
			if want := []kindCount{{"connect: " + test.want, 1}}; !slices.Equal(r.Errors, want) {
				t.Errorf("it must be tried once, and end with %v: %v", want, r.Errors)
			}
		})
	}
}

func serveTLS(c net.Conn, secure *tls.Config) {
	s := tls.Server(c, secure)
	_, _ = io.WriteString(s, "* OK ready\r\n")
	_, _ = io.Copy(io.Discard, s)
}

// serveText says its first line, and answers what comes by the others.
func serveText(greeting string, answers ...string) func(net.Conn, *tls.Config) {
	return func(c net.Conn, _ *tls.Config) {
		_, _ = io.WriteString(c, greeting)
		for _, answer := range answers {
			b := make([]byte, 100)
			n, _ := c.Read(b)
			tag, _, _ := strings.Cut(string(b[:n]), " ")
			_, _ = io.WriteString(c, strings.ReplaceAll(answer, "%s", tag))
		}
		_, _ = io.Copy(io.Discard, c)
	}
}

func TestFilesAreLookedAtFirst(t *testing.T) {
	server := startSecureServer(t, 1, tlsFirst)
	file, _ := server.asAuthority(t)
	for _, test := range []struct{ flags, want string }{
		{"-ca /nowhere/ca.pem", "/nowhere/ca.pem"},
		{"-ca " + file + " -cert /nowhere/cert.pem", "/nowhere/cert.pem"},
		{"-ca " + file + " -cert " + file + " -key /nowhere/key.pem", "/nowhere/key.pem"},
	} {
		args := append(server.asRealServer(t, server.password), "-tls", "-n", "100")
		status, stdout, stderr := imload(t, append(args, strings.Fields(test.flags)...)...)
		if status != exitFailed || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, test.want) {
			t.Errorf("with %s one line must name the file: status %d, stdout %q, stderr %q", test.flags, status, stdout, stderr)
		}
	}
}

// TestEndInMidHandshake stops a run whose handshakes are under way.
func TestEndInMidHandshake(t *testing.T) {
	for flag, serve := range map[string]func(net.Conn, *tls.Config){
		"-tls":      serveText(""),
		"-starttls": serveText("* OK ready\r\n", "%s OK\r\n"),
	} {
		host, port := listen(t, func(c net.Conn) { defer c.Close(); serve(c, nil) })
		f := newTestFleet(t, host, port, "x", nil, flag, "-n", "5", "-d", "0")
		if flag == "-starttls" { // a server that says no more is given up, not waited for
			f.grace = time.Millisecond
		}
		f.when(func() bool { return f.handshakes.underway > 0 }, f.stop)
		r := f.mustRun(t)
		if flag == "-tls" && r.ErrorsTotal != 0 {
			t.Errorf("a connection that is given up is no error: %v", r.Errors)
		}
		if f.up != 0 || f.entering != 0 || f.handshakes.underway != 0 {
			t.Errorf("%s: nothing must be under way any more: %d up, %d entering, %d handshakes", flag, f.up, f.entering, f.handshakes.underway)
		}
	}
}

func TestHandshakesAreTimedWhileAnyIsUnderWay(t *testing.T) {
	var h handshakes
	at := func(second int) time.Time { return time.Unix(int64(second), 0) }
	h.begin(at(10))
	h.begin(at(11))
	h.end(at(12))
	if got := h.lasted(at(13)); got != 3*time.Second {
		t.Errorf("one has been under way for 3 s: %v", got)
	}
	h.end(at(14))
	h.begin(at(20))
	h.end(at(21))
	if got := h.lasted(at(30)); got != 5*time.Second || h.ended != 3 {
		t.Errorf("3 have ended, and took 5 s between them: %d, %v", h.ended, got)
	}
}
