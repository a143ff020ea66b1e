//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/imclient/imclient/cmd/internal/mailgen"
)

func TestDovecotConfig(t *testing.T) {
	d := &dovecot{owner: owner{User: "someone", Group: "some", UID: 12, GID: 34}, Dir: "/tmp/testbed-1/dovecot", Krb5: "/tmp/testbed-1/krb5", Port: 4567, TLSPort: 8910}
	both := []string{
		"base_dir = /tmp/testbed-1/dovecot/run",
		"log_path = " + d.logFile(),
		"listen = 127.0.0.1, 127.0.0.2, 127.0.0.3, 127.0.0.4, 127.0.0.5, 127.0.0.6",
		"    port = 4567",
		"    port = 8910\n    ssl = yes",
		"ssl = yes",
		"auth_krb5_keytab = /tmp/testbed-1/krb5/service.keytab",
		"default_internal_user = someone",
		"default_internal_group = some",
		"default_login_user = someone",
		"  username_filter = load*",
		"  process_min_avail = 2",
		"  process_limit = 1",
		"  master = yes\n}",
	}
	versions := map[bool][]string{
		false: {
			"import_environment = $import_environment KRB5_CONFIG=/tmp/testbed-1/krb5/krb5.conf KRB5RCACHENAME=file2:/tmp/testbed-1/dovecot/replay-cache",
			"  args = uid=12 gid=34 home=/tmp/testbed-1/dovecot/home/%u",
			"  service_count = 0",
			"ssl_cert = </tmp/testbed-1/dovecot/tls/127.0.0.1.pem",
			"ssl_key = </tmp/testbed-1/dovecot/tls/127.0.0.1.key",
			"ssl_ca = </tmp/testbed-1/dovecot/tls/ca.pem",
			"local 127.0.0.3 {\n  ssl_cert = </tmp/testbed-1/dovecot/tls/127.0.0.3.pem\n  ssl_key = </tmp/testbed-1/dovecot/tls/127.0.0.3.key\n}",
			"local 127.0.0.6 {\n  ssl_verify_client_cert = yes\n}",
			"  mechanisms = external",
			"  driver = oauth2\n  mechanisms = oauthbearer xoauth2\n  args = /tmp/testbed-1/dovecot/oauth2.conf",
			"  args = /tmp/testbed-1/dovecot/admins",
		},
		true: {
			"import_environment {\n  KRB5_CONFIG=/tmp/testbed-1/krb5/krb5.conf\n  KRB5RCACHENAME=file2:/tmp/testbed-1/dovecot/replay-cache\n}",
			"    uid = 12", "    gid = 34", "    home = /tmp/testbed-1/dovecot/home/%{user}",
			"  service_restart_request_count = unlimited",
			"ssl_server_cert_file = /tmp/testbed-1/dovecot/tls/127.0.0.1.pem",
			"ssl_server_key_file = /tmp/testbed-1/dovecot/tls/127.0.0.1.key",
			"ssl_server_ca_file = /tmp/testbed-1/dovecot/tls/ca.pem",
			"local 127.0.0.3 {\n  ssl_server_cert_file = /tmp/testbed-1/dovecot/tls/127.0.0.3.pem\n  ssl_server_key_file = /tmp/testbed-1/dovecot/tls/127.0.0.3.key\n}",
			"local 127.0.0.6 {\n  ssl_server_ca_file = /tmp/testbed-1/dovecot/tls/ca.pem\n  ssl_server_request_client_cert = yes\n}",
			"  mechanisms_filter = external",
			"        prefix = /tmp/testbed-1/dovecot/keys/",
			"  passwd_file_path = /tmp/testbed-1/dovecot/admins",
		},
	}
	for v24, own := range versions {
		d.V24 = v24
		config := string(executed(dovecotConf, d))
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
	return startServersBy(t, actor(t, realBed, "-serve"))
}

func startServersBy(t *testing.T, cmd *exec.Cmd) *bedProcess {
	t.Helper()
	if os.Getenv(prefix+"TESTBED") == "" {
		t.Skip("needs servers; run it as: go run ./cmd/testbed go test ./...")
	}
	b := &bedProcess{cmd: cmd, vars: make(map[string]string)}
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

// groups are the process groups of the servers.
func (b *bedProcess) groups(t *testing.T) map[string]int {
	t.Helper()
	groups := make(map[string]int)
	for _, server := range []string{"DOVECOT", "CYRUS", "KRB5_KDC"} {
		pid, err := strconv.Atoi(b.vars[server+"_PID"])
		if err != nil || pid <= 1 {
			t.Fatalf("%s_PID must be a number: %q", server, b.vars[server+"_PID"])
		}
		groups[server] = pid
	}
	return groups
}

func TestDovecot(t *testing.T) {
	b := startServers(t)
	t.Run("variables", func(t *testing.T) { testVariables(t, b.vars) })
	t.Run("messages", func(t *testing.T) { testMessages(t, b.vars, "DOVECOT") })
	t.Run("accounts", func(t *testing.T) { testAccounts(t, b.vars) })
	t.Run("LOGINDISABLED", func(t *testing.T) { testLoginDisabled(t, b.vars, "DOVECOT") })
	t.Run("APPEND", func(t *testing.T) { testAppend(t, b.vars) })
	t.Run("push", func(t *testing.T) { testPush(t, b.vars) })
	t.Run("mechanisms", func(t *testing.T) { testMechanisms(t, b.vars, "DOVECOT") })
	t.Run("salt", func(t *testing.T) { testScram(t, b.vars) })
	t.Run("tokens", func(t *testing.T) { testTokens(t, b.vars) })
	t.Run("administrator", func(t *testing.T) { testAdmin(t, b.vars, "DOVECOT") })
	t.Run("GSSAPI", func(t *testing.T) { testDovecotGSSAPI(t, b.vars) })
	t.Run("GSSAPI for others", func(t *testing.T) { testGSSAPIForOthers(t, b.vars, "DOVECOT") })
	t.Run("TLS", func(t *testing.T) { testTLS(t, b.vars, "DOVECOT", plainHost, disabledHost) })
	t.Run("faulty certificates", func(t *testing.T) { testFaultyCertificates(t, b.vars) })
	t.Run("TLS sessions are resumed", func(t *testing.T) { testResumption(t, b.vars) })
	t.Run("client certificates", func(t *testing.T) { testClientCertificates(t, b.vars, "DOVECOT", clientCertHost) })
	t.Run("2000 sessions", func(t *testing.T) {
		testManySessions(t, b.vars, func() (*mailClient, error) { return connect(b.vars["DOVECOT"]) })
	})
	t.Run("2000 TLS sessions", func(t *testing.T) {
		config := trusting(t, b.vars)
		testManySessions(t, b.vars, func() (*mailClient, error) { return connectTLS(b.vars["DOVECOT_TLS"], config) })
	})
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
func testMessages(t *testing.T, vars map[string]string, server string) {
	c, selected, err := login(vars[server], vars["USER"], vars["PASSWORD"])
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
		reply = bytes.Replace(reply, []byte(`INTERNALDATE " `), []byte(`INTERNALDATE "0`), 1) // both are right
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

func testLoginDisabled(t *testing.T, vars map[string]string, server string) {
	c, err := connect(vars[server+"_LOGINDISABLED"])
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
	if err := c.startTLS(trusting(t, vars)); err != nil {
		t.Fatal(err)
	}
	if reply, err := c.do("CAPABILITY"); err != nil || bytes.Contains(reply, []byte(" LOGINDISABLED")) {
		t.Errorf("CAPABILITY must not say LOGINDISABLED any more when there is TLS: %q, %v", reply, err)
	}
	if _, err := c.login(vars["USER"], vars["PASSWORD"]); err != nil {
		t.Errorf("LOGIN must be accepted when there is TLS: %v", err)
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
func testManySessions(t *testing.T, vars map[string]string, connect func() (*mailClient, error)) {
	const n = 2000
	clients := make([]*mailClient, n)
	failures := make(chan error, n)
	for i := range n {
		go func() {
			c, err := connect()
			if err == nil {
				_, err = c.login(fmt.Sprintf(vars["LOADUSER"], 1000+i), vars["LOADPASSWORD"])
			}
			clients[i] = c
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

func TestDovecotThatDoesNotStart(t *testing.T) {
	if missing(serverPackages) != nil {
		t.Skip("needs Dovecot; run it as: go run ./cmd/testbed go test ./...")
	}
	runtime.LockOSThread() // as main does; see startGroup
	defer runtime.UnlockOSThread()
	d := &dovecot{owner: ourselves(), Dir: t.TempDir(), tokens: newTokenIssuer()}
	for _, file := range []string{d.confFile(), d.logFile()} {
		if err := os.WriteFile(file, []byte("no_such_setting = 1\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	processes, err := d.start()
	if err != nil {
		t.Fatal(err)
	}
	s := d.server(processes, func() {})
	if err := s.await(context.Background()); err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("the error must show what Dovecot says: %v", err)
	}
}
