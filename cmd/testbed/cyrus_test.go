//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/user"
	"runtime"
	"strings"
	"testing"
)

func TestCyrus(t *testing.T) {
	b := startServers(t)
	t.Run("messages", func(t *testing.T) { testMessages(t, b.vars, "CYRUS") })
	t.Run("flags", func(t *testing.T) { testFlags(t, b.vars) })
	t.Run("accounts", func(t *testing.T) { testCyrusAccounts(t, b.vars) })
	t.Run("administrator", func(t *testing.T) { testAdmin(t, b.vars, "CYRUS") })
	t.Run("LOGINDISABLED", func(t *testing.T) { testLoginDisabled(t, b.vars, "CYRUS") })
	t.Run("mechanisms", func(t *testing.T) { testMechanisms(t, b.vars, "CYRUS") })
	t.Run("channel binding", func(t *testing.T) { testChannelBinding(t, b.vars) })
	t.Run("layers", func(t *testing.T) { testLayers(t, b.vars) })
	t.Run("GSSAPI", func(t *testing.T) { testCyrusGSSAPI(t, b.vars) })
	t.Run("GSSAPI for others", func(t *testing.T) { testGSSAPIForOthers(t, b.vars, "CYRUS") })
	t.Run("TLS", func(t *testing.T) { testTLS(t, b.vars, "CYRUS", plainHost) })
	t.Run("client certificates", func(t *testing.T) { testClientCertificates(t, b.vars, "CYRUS", plainHost) })
	t.Run("log", func(t *testing.T) { testCyrusLog(t, b.vars) })
}

// testFlags compares the flags of the messages with Dovecot's.
func testFlags(t *testing.T, vars map[string]string) {
	var flags [2]string
	for i, server := range []string{"DOVECOT", "CYRUS"} {
		c, _, err := login(vars[server], vars["USER"], vars["PASSWORD"])
		if err != nil {
			t.Fatal(err)
		}
		defer c.conn.Close()
		for _, flag := range []string{"SEEN", "ANSWERED", "FLAGGED", "DRAFT", "DELETED"} {
			reply, err := c.do("SEARCH " + flag)
			if err != nil {
				t.Fatal(err)
			}
			found, _, _ := bytes.Cut(reply, []byte("\r\n"))
			flags[i] += fmt.Sprintf("%s %s\n", flag, found)
		}
	}
	if flags[0] != flags[1] {
		t.Errorf("messages must have the same flags in both servers: Dovecot\n%s\nCyrus\n%s", flags[0], flags[1])
	}
}

func testCyrusAccounts(t *testing.T, vars map[string]string) {
	if _, selected, err := login(vars["CYRUS"], vars["USER2"], vars["PASSWORD2"]); err != nil || !bytes.Contains(selected, []byte("* 0 EXISTS\r\n")) {
		t.Errorf("INBOX of %s must be empty: %q, %v", vars["USER2"], selected, err)
	}
	for _, c := range []struct {
		user, password string
		exists         bool
	}{
		{fmt.Sprintf(vars["LOADUSER"], 123456), vars["LOADPASSWORD"], true},
		{vars["ADMIN"], vars["ADMINPASSWORD"], true},
		{"nobody", vars["LOADPASSWORD"], false},
		{"", vars["LOADPASSWORD"], false},
	} {
		if err := tryMechanism(vars["CYRUS"], "PLAIN", plain("", c.user, c.password)); (err == nil) != c.exists {
			t.Errorf("%q must be let in if, and only if, there is that account: %v", c.user, err)
		}
	}
}

func testCyrusLog(t *testing.T, vars map[string]string) {
	log, err := os.ReadFile(vars["CYRUS_LOG"])
	if err != nil {
		t.Fatal(err)
	}
	said := bytes.Contains(log, []byte("login: ")) && bytes.Contains(log, []byte("badlogin: "))
	if _, err := syslogLibrary(); err == nil && !said {
		t.Errorf("the log must tell of logins: %s", log)
	} else if err != nil && !strings.HasPrefix(string(log), noSyslog) {
		t.Errorf("the log must say where the log is: %s", log)
	}
}

// ourselves is who runs a test, and can enter its directory.
func ourselves() owner { return owner{UID: os.Getuid(), GID: os.Getgid()} }

func TestCyrusThatDoesNotStart(t *testing.T) {
	programs, found := findCyrus()
	if !found || !programs.complete() {
		t.Skip("needs Cyrus IMAP; run it as: go run ./cmd/testbed go test ./...")
	}
	runtime.LockOSThread() // as main does; see startGroup
	defer runtime.UnlockOSThread()
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	c := &cyrus{cyrusPrograms: programs, owner: ourselves(), Dir: t.TempDir(), Port: 1, TLSPort: 2}
	c.User = u.Username
	if err := c.prepare(newTestAuthority(t)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.imapdConf(), []byte("no_such_setting\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	processes, err := c.start()
	if err != nil {
		t.Fatal(err)
	}
	s := c.server(processes, func() {}, nil)
	want := "invalid option name on line 1"
	if c.syslog == "" {
		want = noSyslog
	}
	if err := s.await(context.Background()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the error must show what Cyrus says: %v", err)
	}
}

func TestCyrusConfig(t *testing.T) {
	c := &cyrus{
		cyrusPrograms: cyrusPrograms{usr: "/unpacked/usr"}, owner: owner{User: "someone"},
		Dir: "/tmp/testbed-1/cyrus", Krb5: "/tmp/testbed-1/krb5", Port: 4567, TLSPort: 8910,
	}
	for _, line := range []string{
		"configdirectory: /tmp/testbed-1/cyrus/conf",
		"partition-default: /tmp/testbed-1/cyrus/spool",
		"cyrus_user: someone",
		"sasl_keytab: /tmp/testbed-1/krb5/service.keytab",
		"tls_server_cert: /tmp/testbed-1/cyrus/tls/127.0.0.1.pem",
		"disabled_allowplaintext: no",
	} {
		if config := string(executed(cyrusIMAPDConf, c)); !strings.Contains("\n"+config, "\n"+line+"\n") {
			t.Errorf("imapd.conf must have the line %q:\n%s", line, config)
		}
	}
	for _, line := range []string{
		`  imap cmd="/unpacked/usr/lib/cyrus/bin/imapd -C /tmp/testbed-1/cyrus/imapd.conf" listen="127.0.0.1:4567" prefork=0`,
		`  imaps cmd="/unpacked/usr/lib/cyrus/bin/imapd -C /tmp/testbed-1/cyrus/imapd.conf -s" listen="127.0.0.1:8910" prefork=0`,
		`  disabled cmd="/unpacked/usr/lib/cyrus/bin/imapd -C /tmp/testbed-1/cyrus/imapd.conf" listen="127.0.0.2:4567" prefork=0`,
	} {
		if config := string(executed(cyrusConf, c)); !strings.Contains(config, "\n"+line+"\n") {
			t.Errorf("cyrus.conf must have the line %q:\n%s", line, config)
		}
	}
}
