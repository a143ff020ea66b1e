package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/imclient/imclient/conn"
)

// startServer starts an embedded server for a test, as a child.
func startServer(t *testing.T, messages int) *embedded {
	t.Helper()
	return startSecureServer(t, messages, tlsNever)
}

func startSecureServer(t *testing.T, messages int, mode tlsMode) *embedded {
	t.Helper()
	return startConfigured(t, serverConfig{Messages: messages, TLS: mode})
}

func startConfigured(t *testing.T, config serverConfig) *embedded {
	t.Helper()
	server, err := startEmbedded(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.stop)
	return server
}

// asRealServer are the flags that make the command take it for a real one.
func (e *embedded) asRealServer(t *testing.T, password string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"-host", e.host, "-port", e.port, "-user", "user%d", "-password-file", file}
}

// newTestFleet is a fleet whose end does not take long, and which says nothing.
func newTestFleet(t *testing.T, host, port, password string, mails [][]byte, args ...string) *fleet {
	t.Helper()
	opt, err := parseOptions(args, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := newFleet(opt, target{host: host, port: port, password: password, mails: mails}, newConsole(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.close)
	return f
}

// when calls do once it is so.
func (f *fleet) when(so func() bool, do func()) {
	f.loop.After(time.Millisecond, func() {
		if so() {
			do()
			return
		}
		f.when(so, do)
	})
}

func (f *fleet) mustRun(t *testing.T) *report {
	t.Helper()
	if err := f.run(); err != nil {
		t.Fatal(err)
	}
	return f.report("a test server")
}

func TestRealServerIsCheckedBySizeAndFirstComing(t *testing.T) {
	server := startServer(t, 64)
	args := append(server.asRealServer(t, server.password), "-n", "10", "-commands", "1500")
	status, r := imloadJSON(t, args...)
	if status != exitOK || r.ErrorsTotal != 0 {
		t.Fatalf("the run must succeed: status %d, errors %v", status, r.Errors)
	}
	// Some of the hard cases have no Message-ID to know them by.
	if c := r.Checked; c.Generated == 0 || c.Generated >= c.Headers+c.Bodies {
		t.Errorf("generated mail must be known by its Message-ID, and the rest counted apart: %+v", c)
	}
}

func TestOneAccountForAll(t *testing.T) {
	server := startServer(t, 8)
	args := append(server.asRealServer(t, server.password), "-user", "alice", "-n", "20", "-commands", "1000")
	status, r := imloadJSON(t, args...)
	if status != exitOK || r.ErrorsTotal != 0 || r.count(verbSizes) != 1 {
		t.Errorf("20 connections in one mailbox must work, and one looks what is in it: status %d, errors %v, looks %d",
			status, r.Errors, r.count(verbSizes))
	}
}

func TestFill(t *testing.T) {
	server := startServer(t, 0)
	args := append(server.asRealServer(t, server.password), "-n", "6", "-messages", "12", "-commands", "400")
	status, r := imloadJSON(t, args...)
	if status != exitFailed || !r.hasError("select: mailbox is empty") || r.count(verbConnect) != 1 {
		t.Errorf("an empty mailbox is an error, and no more than one connection finds it: status %d, errors %v, connects %d",
			status, r.Errors, r.count(verbConnect))
	}
	status, r = imloadJSON(t, append(args, "-fill")...)
	if status != exitOK || r.ErrorsTotal != 0 || r.count(verbFill) != 3*12 {
		t.Errorf("-fill must put 12 mails into each of 3 mailboxes: status %d, errors %v, mails %d", status, r.Errors, r.count(verbFill))
	}
	status, r = imloadJSON(t, append(args, "-fill")...)
	if status != exitOK || r.ErrorsTotal != 0 || r.count(verbFill) != 0 {
		t.Errorf("-fill must leave mailboxes alone that have mail: status %d, errors %v, mails %d", status, r.Errors, r.count(verbFill))
	}
}

// TestAppendedMailIsDeletedAgain looks at what a run leaves behind.
func TestAppendedMailIsDeletedAgain(t *testing.T) {
	server := startServer(t, 5)
	args := append(server.asRealServer(t, server.password), "-n", "2", "-messages", "5", "-commands", "200", "-mix", "idle=1")
	if status, r := imloadJSON(t, args...); status != exitOK || r.count(verbAppend) == 0 {
		t.Fatalf("the run must succeed, with APPENDs: status %d, errors %v", status, r.Errors)
	}
	exists := int64(-1)
	c, err := (&conn.Dialer{Callbacks: []conn.Callback{{Keyword: "EXISTS", Flags: conn.CallbackNumbered,
		Proc: func(_ *conn.Client, _ any, r *conn.Reply) { exists = r.MsgNo }}}}).Connect(server.host, server.port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	done := false
	_ = c.Send(nil, nil, "LOGIN user0 %p", server.password)
	_ = c.Send(func(*conn.Client, any, *conn.Reply) { done = true }, nil, "SELECT INBOX")
	for !done {
		if err := c.ProcessOneEvent(); err != nil {
			t.Fatal(err)
		}
	}
	if exists != 5 {
		t.Errorf("the mailbox must hold the 5 mails that it held before, holds %d", exists)
	}
}

func TestWrongPassword(t *testing.T) {
	server := startServer(t, 1)
	status, r := imloadJSON(t, append(server.asRealServer(t, "wrong"), "-n", "50")...)
	if status != exitFailed || len(r.Errors) != 1 || r.Errors[0] != (kindCount{"login: NO", 1}) {
		t.Errorf("a wrong password must be tried once and no more: status %d, errors %v", status, r.Errors)
	}
}

func TestPasswordShowsNowhere(t *testing.T) {
	server := startServer(t, 2)
	args := append(server.asRealServer(t, server.password), "-n", "2", "-commands", "60", "-trace")
	for _, args := range [][]string{args, append(args, "-json"), append(args, "-auth", "plain"), append(args, "-auth", "login", "-json")} {
		_, stdout, stderr := imload(t, args...)
		if strings.Contains(stdout+stderr, server.password) {
			t.Errorf("the password must not be in the output:\n%s%s", stdout, stderr)
		}
	}
}

func TestNobodyThere(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, free, _ := net.SplitHostPort(listener.Addr().String())
	listener.Close()
	for _, test := range []struct{ host, port, want string }{
		{"127.0.0.1", free, "connect: connection refused"},
		{"no-such-host.invalid", "143", "connect: host not found"},
		{"127.0.0.1", "no-such-service", "connect: service not found"},
	} {
		f := newTestFleet(t, test.host, test.port, "x", nil, "-n", "30", "-d", "0")
		r := f.mustRun(t)
		if len(r.Errors) != 1 || r.Errors[0] != (kindCount{test.want, 1}) {
			t.Errorf("%s port %s must give one %q, gives %v", test.host, test.port, test.want, r.Errors)
		}
	}
}

// TestWrongBytesAreNoticed expects mail other than the server has: one byte of
// the last header, and one of the last body.
func TestWrongBytesAreNoticed(t *testing.T) {
	const n = 6
	for _, test := range []struct {
		name   string
		change func(mail []byte) []byte
		want   []string
	}{
		{"header", func(m []byte) []byte { m[0] ^= 1; return m }, []string{"fetch-headers: wrong bytes", "fetch-body: wrong bytes"}},
		{"body", func(m []byte) []byte { m[len(m)-3] ^= 1; return m }, []string{"fetch-body: wrong bytes"}},
		{"size", func(m []byte) []byte { return m[:len(m)-1] }, []string{"fetch-sizes: wrong contents"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := startServer(t, n)
			mails := embeddedMails(n)
			mails[n-1] = test.change(slices.Clone(mails[n-1]))
			f := newTestFleet(t, server.host, server.port, server.password, mails, "-n", "4", "-messages", strconv.Itoa(n), "-commands", "400")
			r := f.mustRun(t)
			for _, want := range test.want {
				if !r.hasError(want) {
					t.Errorf("there must be errors of the kind %q: %v", want, r.Errors)
				}
			}
			if len(r.Errors) != len(test.want) {
				t.Errorf("there must be no other errors than %v: %v", test.want, r.Errors)
			}
		})
	}
}

// TestMissingMailIsNoticed fills mailboxes with less than expected.
func TestMissingMailIsNoticed(t *testing.T) {
	server := startServer(t, 3)
	r := newTestFleet(t, server.host, server.port, server.password, embeddedMails(4), "-n", "2", "-commands", "50").mustRun(t)
	if !r.hasError("fetch-sizes: wrong contents") {
		t.Errorf("a missing mail must be noticed: %v", r.Errors)
	}
}

// TestServerDiesInTheMiddle kills it when there are commands in flight on each
// connection: each ends with one error.
func TestServerDiesInTheMiddle(t *testing.T) {
	server := startServer(t, 8)
	f := newTestFleet(t, server.host, server.port, server.password, embeddedMails(8),
		"-n", "20", "-messages", "8", "-d", "0", "-mix", "noop=1,fetch-body=1")
	f.when(func() bool { return f.meter.commands > 500 }, func() { _ = server.process.Kill() })
	r := f.mustRun(t)
	if r.ErrorsTotal != 20 {
		t.Errorf("each of 20 connections must report what its command came to, once: %v", r.Errors)
	}
	if f.up != 0 || f.ended != 20 {
		t.Errorf("all connections must be over: %d up, %d over", f.up, f.ended)
	}
	<-server.ended
	if how, died := server.died(); !died || !strings.Contains(how, "killed") {
		t.Errorf("that the server died must be told: %q", how)
	}
}

// silentServer greets and never says anything again.
func silentServer(t *testing.T) (host, port string) {
	t.Helper()
	return listen(t, func(c net.Conn) {
		defer c.Close()
		_, _ = io.WriteString(c, "* OK ready\r\n")
		_, _ = io.Copy(io.Discard, c)
	})
}

// TestSilentServerDoesNotKeepUs ends a run whose command is never answered.
func TestSilentServerDoesNotKeepUs(t *testing.T) {
	host, port := silentServer(t)
	for _, more := range [][]string{nil, {"-auth", "scram-sha-256"}} {
		f := newTestFleet(t, host, port, "x", nil, append(more, "-n", "5", "-d", "0")...)
		f.grace = time.Millisecond
		f.when(func() bool { return f.sessions[0].inFlight > 0 }, f.stop)
		r := f.mustRun(t)
		if len(r.Errors) != 1 || r.Errors[0] != (kindCount{"login: no answer", 1}) {
			t.Errorf("the command without an answer must be counted: %v", r.Errors)
		}
	}
}

// process is the command running by itself, with the lines of its stderr.
type process struct {
	*exec.Cmd
	out   bytes.Buffer
	lines *bufio.Scanner
}

// start starts the command. Its stderr is a pipe that its child has open, too:
// it ends when both have ended.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: command(t, args...), lines: bufio.NewScanner(r)}
	p.Stdout, p.Stderr = &p.out, w
	err = p.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill(); r.Close() })
	return p
}

// await reads stderr until there is a line with text in it.
func (p *process) await(t *testing.T, text string) {
	t.Helper()
	for p.lines.Scan() {
		if strings.Contains(p.lines.Text(), text) {
			return
		}
	}
	t.Fatalf("stderr must have a line with %q", text)
}

func TestInterruptEndsWithLogoutsAndTheReport(t *testing.T) {
	p := start(t, "-n", "10", "-d", "0", "-json")
	p.await(t, "10 up")
	_ = p.Process.Signal(os.Interrupt)
	if err := p.Wait(); err != nil {
		t.Fatalf("an interrupted run must succeed: %v", err)
	}
	r := &report{}
	if err := json.Unmarshal(p.out.Bytes(), r); err != nil {
		t.Fatal(err)
	}
	if !r.Interrupted || r.count(verbLogout) != 10 || r.ErrorsTotal != 0 {
		t.Errorf("each connection must log out: interrupted %v, %d logouts, errors %v", r.Interrupted, r.count(verbLogout), r.Errors)
	}
}

func TestSecondInterruptKills(t *testing.T) {
	host, port := silentServer(t)
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "-host", host, "-port", port, "-user", "u", "-password-file", file, "-d", "0")
	p.await(t, "0/1000 up")
	_ = p.Process.Signal(os.Interrupt)
	p.await(t, "once more kills")
	_ = p.Process.Signal(os.Interrupt)
	var exit *exec.ExitError
	if err := p.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
		t.Errorf("the second interrupt must kill: %v", err)
	}
}

func TestServerEndsWithItsParent(t *testing.T) {
	p := start(t, "-n", "2", "-d", "0")
	p.await(t, "2 up")
	_ = p.Process.Kill()
	for p.lines.Scan() { // it ends when the child has ended as well
	}
	_ = p.Wait()
}

func TestServerEndsWhenItsInputDoes(t *testing.T) {
	server := startServer(t, 1)
	_ = server.stdin.Close()
	<-server.ended
	if server.endErr != nil {
		t.Errorf("the server must exit with 0: %v", server.endErr)
	}
}

func TestServerSaysWhyItDoesNotStart(t *testing.T) {
	var out bytes.Buffer
	for _, config := range []string{"", "nonsense\n"} {
		if status := serveMain(strings.NewReader(config), &out); status != exitFailed || out.Len() > 0 {
			t.Errorf("with the configuration %q the server must fail: status %d, output %q", config, status, out.String())
		}
	}
}
