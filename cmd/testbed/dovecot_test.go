//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/imclient/imclient/cmd/internal/mailgen"
	"golang.org/x/sys/unix"
)

func TestDovecotConfig(t *testing.T) {
	d := &dovecot{Dir: "/tmp/testbed-1/dovecot", User: "someone", Group: "some", UID: 12, GID: 34, Port: 4567}
	both := []string{
		"base_dir = /tmp/testbed-1/dovecot/run",
		"log_path = " + d.logFile(),
		"listen = 127.0.0.1, 127.0.0.2",
		"    port = 4567",
		"default_internal_user = someone",
		"default_internal_group = some",
		"default_login_user = someone",
		"  username_filter = load*",
		"  process_min_avail = 2",
	}
	versions := map[bool][]string{
		false: {"  args = uid=12 gid=34 home=/tmp/testbed-1/dovecot/home/%u", "  service_count = 0"},
		true:  {"    uid = 12", "    gid = 34", "    home = /tmp/testbed-1/dovecot/home/%{user}", "  service_restart_request_count = unlimited"},
	}
	for v24, own := range versions {
		d.V24 = v24
		config := d.config()
		for _, line := range append(both[:len(both):len(both)], own...) {
			if !strings.Contains(config, "\n"+line+"\n") {
				t.Errorf("the configuration must have the line %q (2.4: %v):\n%s", line, v24, config)
			}
		}
		for _, line := range versions[!v24] {
			if strings.Contains(config, "\n"+line+"\n") {
				t.Errorf("the configuration must not have another version's line %q (2.4: %v)", line, v24)
			}
		}
		if strings.HasPrefix(config, "\ndovecot_config_version = ") != v24 {
			t.Errorf("the version of the configuration must be its first line where there is such a line: %.40q", config)
		}
	}
}

// bedProcess is a testbed's -serve, started as tests elsewhere do.
type bedProcess struct {
	cmd  *exec.Cmd
	hold io.Closer
	vars map[string]string // without the prefix
}

func startServers(t *testing.T) *bedProcess {
	t.Helper()
	if os.Getenv(prefix+"TESTBED") == "" {
		t.Skip("needs servers; run it as: go run ./cmd/testbed go test ./...")
	}
	b := &bedProcess{cmd: actor(t, realBed, "-serve"), vars: make(map[string]string)}
	b.cmd.Stderr = os.Stderr
	var err error
	if b.hold, err = b.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	output, err := b.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.hold.Close()
		_ = b.cmd.Wait()
	})
	text, err := io.ReadAll(output)
	if err != nil || len(text) == 0 {
		t.Fatalf("the servers must come up: %q, %v", text, err)
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		b.vars[strings.TrimPrefix(name, prefix)] = value
	}
	return b
}

func (b *bedProcess) dovecotPID(t *testing.T) int {
	t.Helper()
	pid, err := strconv.Atoi(b.vars["DOVECOT_PID"])
	if err != nil || pid <= 1 {
		t.Fatalf("DOVECOT_PID must be a number: %q", b.vars["DOVECOT_PID"])
	}
	return pid
}

// mailClient is just enough of a client to see that the servers are as promised;
// it is no part of what is tested with them.
type mailClient struct {
	conn net.Conn
	r    *bufio.Reader
	tag  int
}

func connect(address string) (*mailClient, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c := &mailClient{conn: conn, r: bufio.NewReader(conn)}
	if greeting, err := c.line(); !bytes.HasPrefix(greeting, []byte("* OK ")) {
		conn.Close()
		return nil, fmt.Errorf("greeting %q, %v", greeting, err)
	}
	return c, nil
}

var literalHeader = regexp.MustCompile(`\{(\d+)\}\r\n$`)

// line reads a line and the literals in it.
func (c *mailClient) line() ([]byte, error) {
	var all []byte
	for {
		piece, err := c.r.ReadBytes('\n')
		all = append(all, piece...)
		if err != nil {
			return all, err
		}
		header := literalHeader.FindSubmatch(piece)
		if header == nil {
			return all, nil
		}
		size, err := strconv.Atoi(string(header[1]))
		if err != nil {
			return all, err
		}
		literal := make([]byte, size)
		if _, err := io.ReadFull(c.r, literal); err != nil {
			return all, err
		}
		all = append(all, literal...)
	}
}

// do sends a command and returns all lines up to the tagged one, which must be OK.
func (c *mailClient) do(command string) ([]byte, error) {
	c.tag++
	tag := fmt.Sprintf("t%d ", c.tag)
	if _, err := io.WriteString(c.conn, tag+command+"\r\n"); err != nil {
		return nil, err
	}
	var all []byte
	for {
		line, err := c.line()
		if err != nil {
			return all, err
		}
		all = append(all, line...)
		if bytes.HasPrefix(line, []byte(tag)) {
			if !bytes.HasPrefix(line, []byte(tag+"OK ")) {
				return all, fmt.Errorf("%s: %q", command, line)
			}
			return all, nil
		}
	}
}

// login connects, logs in and selects INBOX.
func login(address, user, password string) (c *mailClient, selected []byte, err error) {
	c, err = connect(address)
	if err != nil {
		return nil, nil, err
	}
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	if _, err = c.do(fmt.Sprintf(`LOGIN "%s" "%s"`, user, quote.Replace(password))); err == nil {
		selected, err = c.do("SELECT INBOX")
	}
	if err != nil {
		c.conn.Close()
		return nil, nil, err
	}
	return c, selected, nil
}

func TestDovecot(t *testing.T) {
	b := startServers(t)
	t.Run("variables", func(t *testing.T) { testVariables(t, b.vars) })
	t.Run("messages", func(t *testing.T) { testMessages(t, b.vars) })
	t.Run("accounts", func(t *testing.T) { testAccounts(t, b.vars) })
	t.Run("LOGINDISABLED", func(t *testing.T) { testLoginDisabled(t, b.vars) })
	t.Run("APPEND", func(t *testing.T) { testAppend(t, b.vars) })
	t.Run("push", func(t *testing.T) { testPush(t, b.vars) })
	t.Run("2000 sessions", func(t *testing.T) { testManySessions(t, b.vars) })
}

func testVariables(t *testing.T, vars map[string]string) {
	documented := regexp.MustCompile(`(?m)^    ([A-Z0-9_]+)(?:, ([A-Z0-9_]+))? `).FindAllStringSubmatch(usage, -1)
	names := make(map[string]bool)
	for _, line := range documented {
		for _, name := range line[1:] {
			if name != "" {
				names[name] = true
			}
		}
	}
	for name := range vars {
		if !names[name] {
			t.Errorf("-h must explain every variable: %s", name)
		}
	}
	for name := range names {
		if vars[name] == "" {
			t.Errorf("every variable that -h explains must be set: %s", name)
		}
	}
}

// testMessages fetches every message as it was delivered.
func testMessages(t *testing.T, vars map[string]string) {
	c, selected, err := login(vars["DOVECOT"], vars["USER"], vars["PASSWORD"])
	if err != nil {
		t.Fatal(err)
	}
	defer c.conn.Close()
	if !bytes.Contains(selected, []byte("* 300 EXISTS\r\n")) {
		t.Errorf("INBOX must hold 300 messages: %q", selected)
	}
	for i, m := range mailgen.Messages(mailCount) {
		file, err := os.ReadFile(filepath.Join(vars["MESSAGES"], m.Name+".eml"))
		if !bytes.Equal(file, m.Data) {
			t.Errorf("the file of message %s must hold its bytes: %v", m.Name, err)
		}
		reply, err := c.do(fmt.Sprintf("FETCH %d BODY.PEEK[]", i+1))
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Appendf(nil, "* %d FETCH (BODY[] {%d}\r\n%s)\r\n", i+1, len(m.Data), m.Data)
		if !bytes.HasPrefix(reply, want) {
			t.Errorf("a message must come as it was delivered: %s (%s): %.200q", m.Name, m.What, reply)
		}
		reply, err = c.do(fmt.Sprintf("FETCH %d (INTERNALDATE RFC822.SIZE)", i+1))
		if err != nil {
			t.Fatal(err)
		}
		date := mailgen.Date(i + 1).Format(`INTERNALDATE "02-Jan-2006 15:04:05 -0700"`)
		if !bytes.Contains(reply, []byte(date)) || !bytes.Contains(reply, fmt.Appendf(nil, "RFC822.SIZE %d", len(m.Data))) {
			t.Errorf("internal date and size must be those of message %s: %q, want %s", m.Name, reply, date)
		}
	}
}

func testAccounts(t *testing.T, vars map[string]string) {
	load := func(n int) string { return fmt.Sprintf(vars["LOADUSER"], n) }
	for _, c := range []struct {
		user, password string
		exists         string // "": no entry
	}{
		{vars["USER"], vars["PASSWORD"], "300"},
		{vars["USER2"], vars["PASSWORD2"], "0"},
		{load(1), vars["LOADPASSWORD"], "0"},
		{load(123456), vars["LOADPASSWORD"], "0"},
		{vars["USER"], vars["LOADPASSWORD"], ""},
		{vars["USER2"], vars["PASSWORD"], ""},
		{load(1), vars["PASSWORD"], ""},
		{"nobody", vars["LOADPASSWORD"], ""},
	} {
		client, selected, err := login(vars["DOVECOT"], c.user, c.password)
		if (err == nil) != (c.exists != "") {
			t.Errorf("%s must be let in if, and only if, the password is right: %v", c.user, err)
		}
		if err != nil {
			continue
		}
		if !bytes.Contains(selected, []byte("* "+c.exists+" EXISTS\r\n")) {
			t.Errorf("INBOX of %s must hold %s messages: %q", c.user, c.exists, selected)
		}
		client.conn.Close()
	}
}

func testLoginDisabled(t *testing.T, vars map[string]string) {
	c, err := connect(vars["DOVECOT_LOGINDISABLED"])
	if err != nil {
		t.Fatal(err)
	}
	defer c.conn.Close()
	if reply, err := c.do("CAPABILITY"); !bytes.Contains(reply, []byte(" LOGINDISABLED")) {
		t.Errorf("CAPABILITY must say LOGINDISABLED: %q, %v", reply, err)
	}
	if reply, err := c.do(fmt.Sprintf("LOGIN %s %s", vars["USER"], vars["PASSWORD"])); err == nil {
		t.Errorf("LOGIN must be refused: %q", reply)
	}
}

// testAppend has an account that tests write into return what was written. Only
// a CR at the end, where no LF can follow any more, Dovecot does not store.
func testAppend(t *testing.T, vars map[string]string) {
	c, _, err := login(vars["DOVECOT"], vars["USER2"], vars["PASSWORD2"])
	if err != nil {
		t.Fatal(err)
	}
	defer c.conn.Close()
	for i, m := range mailgen.Special() {
		if _, err := c.do(fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(m.Data), m.Data)); err != nil {
			t.Fatal(err)
		}
		reply, err := c.do(fmt.Sprintf("FETCH %d BODY.PEEK[]", i+1))
		if err != nil {
			t.Fatal(err)
		}
		stored := bytes.TrimSuffix(m.Data, []byte("\r"))
		if want := fmt.Appendf(nil, "BODY[] {%d}\r\n%s)\r\n", len(stored), stored); !bytes.Contains(reply, want) {
			t.Errorf("a message must come as it was appended: %s (%s): %.200q", m.Name, m.What, reply)
		}
	}
}

func testPush(t *testing.T, vars map[string]string) {
	user := fmt.Sprintf(vars["LOADUSER"], 999999)
	idler, _, err := login(vars["DOVECOT"], user, vars["LOADPASSWORD"])
	if err != nil {
		t.Fatal(err)
	}
	defer idler.conn.Close()
	if _, err := io.WriteString(idler.conn, "i IDLE\r\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := idler.line(); !bytes.HasPrefix(line, []byte("+")) {
		t.Fatalf("IDLE must be accepted: %q, %v", line, err)
	}
	other, _, err := login(vars["DOVECOT"], user, vars["LOADPASSWORD"])
	if err != nil {
		t.Fatal(err)
	}
	defer other.conn.Close()
	if _, err := other.do("APPEND INBOX {15+}\r\nSubject: hi\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := idler.line(); string(line) != "* 1 EXISTS\r\n" {
		t.Errorf("another connection's APPEND must wake IDLE: %q, %v", line, err)
	}
}

// testManySessions holds 2,000 sessions of as many accounts at once.
func testManySessions(t *testing.T, vars map[string]string) {
	const n = 2000
	clients := make([]*mailClient, n)
	failures := make(chan error, n)
	for i := range n {
		go func() {
			var err error
			clients[i], _, err = login(vars["DOVECOT"], fmt.Sprintf(vars["LOADUSER"], 1000+i), vars["LOADPASSWORD"])
			failures <- err
		}()
	}
	for range n {
		if err := <-failures; err != nil {
			t.Fatalf("2000 sessions must be possible at once: %v", err)
		}
	}
	for i, c := range clients {
		if _, err := c.do("NOOP"); err != nil {
			t.Errorf("all sessions must stay: number %d: %v", i+1, err)
		}
		c.conn.Close()
	}
}

// gone reports whether a process group has no member left.
func gone(pgid int) bool { return errors.Is(unix.Kill(-pgid, 0), unix.ESRCH) }

func TestServersEnd(t *testing.T) {
	ends := map[string]func(*bedProcess) error{
		"its input ends":       func(b *bedProcess) error { return b.hold.Close() },
		"SIGINT comes":         func(b *bedProcess) error { return b.cmd.Process.Signal(syscall.SIGINT) },
		"SIGTERM comes":        func(b *bedProcess) error { return b.cmd.Process.Signal(syscall.SIGTERM) },
		"Dovecot is dead, too": func(b *bedProcess) error { return errors.Join(killDovecot(t, b), b.hold.Close()) },
	}
	for when, end := range ends {
		b := startServers(t)
		pgid := b.dovecotPID(t)
		c, _, err := login(b.vars["DOVECOT"], b.vars["USER"], b.vars["PASSWORD"])
		if err != nil {
			t.Fatal(err)
		}
		if err := end(b); err != nil {
			t.Fatal(err)
		}
		if err := b.cmd.Wait(); err != nil {
			t.Errorf("-serve must end well when %s: %v", when, err)
		}
		if !gone(pgid) {
			t.Errorf("no process of Dovecot may be left when %s", when)
		}
		if dir := filepath.Dir(b.vars["MESSAGES"]); exists(dir) {
			t.Errorf("the directory must be gone when %s: %s", when, dir)
		}
		if _, err := io.Copy(io.Discard, c.r); err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("sessions must have ended when %s: %v", when, err)
		}
		c.conn.Close()
	}
}

func killDovecot(t *testing.T, b *bedProcess) error {
	return unix.Kill(-b.dovecotPID(t), unix.SIGKILL)
}

// TestServersEndWithTheirParent kills -serve, which leaves it to the kernel to
// end Dovecot. The test adopts what is orphaned, so that it can wait for it.
// Dovecot lets a session go on for some seconds, unless its client goes.
func TestServersEndWithTheirParent(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	b := startServers(t)
	pgid := b.dovecotPID(t)
	c, _, err := login(b.vars["DOVECOT"], b.vars["USER"], b.vars["PASSWORD"])
	if err != nil {
		t.Fatal(err)
	}
	if err := b.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = b.cmd.Wait()
	c.conn.Close()
	for err == nil || errors.Is(err, unix.EINTR) {
		_, err = unix.Wait4(-pgid, nil, 0, nil)
	}
	if !gone(pgid) {
		t.Errorf("no process of Dovecot may be left when the testbed is killed: %v", err)
	}
	os.RemoveAll(filepath.Dir(b.vars["MESSAGES"]))
}

func TestDovecotThatDoesNotStart(t *testing.T) {
	if missing(serverPackages) != nil {
		t.Skip("needs Dovecot; run it as: go run ./cmd/testbed go test ./...")
	}
	runtime.LockOSThread() // as main does; see startGroup
	defer runtime.UnlockOSThread()
	d := &dovecot{Dir: t.TempDir()}
	for _, file := range []string{d.confFile(), d.logFile()} {
		if err := os.WriteFile(file, []byte("no_such_setting = 1\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.chooseUser(); err != nil {
		t.Fatal(err)
	}
	d.UID, d.GID = os.Getuid(), os.Getgid() // who can enter a test's directory
	_, err := d.start(context.Background())
	if err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("the error must show what Dovecot says: %v", err)
	}
}
