//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// gssapiLogin is a login by imtest, which is Cyrus's own client, with MIT's library.
type gssapiLogin struct {
	ccache   string
	as       string // the account
	service  string // the host in the service's name
	layer    string // how many bits it may have at most: 0, 1 for integrity, 256
	startTLS bool
}

// through logs in to a server, has it send a megabyte, or little over TLS, and
// returns how many bits the layer has.
func (l gssapiLogin) through(t *testing.T, vars map[string]string, server string) (bits string, err error) {
	t.Helper()
	programs, found := findCyrus()
	if !found {
		t.Fatal("there must be Cyrus's programs")
	}
	_, port, err := net.SplitHostPort(vars[server])
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-m", "GSSAPI", "-p", port, "-l", l.layer, "-a", l.as, "-u", l.as}
	command := "FETCH 1:32 BODY.PEEK[]"
	if l.startTLS {
		// Of a long TLS record that is the last one, imtest may lose the end.
		command = "FETCH 1:10 UID"
		args = append(args, "-t", "")
	}
	cmd := hostsFor(t, l.service, exec.Command(programs.Program("lib/cyrus/bin/imtest"), append(args, l.service)...))
	cmd.Env = append(programs.environ(), "KRB5_CONFIG="+vars["KRB5_CONFIG"], "KRB5CCNAME="+l.ccache)
	return converse(cmd, "1 SELECT INBOX\r\n2 "+command+"\r\n3 LOGOUT\r\n")
}

// hostsFor makes a command find a host at our address by that name, which only
// root can do: imtest takes the service's name from the host's.
func hostsFor(t *testing.T, host string, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	if host == "localhost" {
		return cmd
	}
	hosts := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(hosts, fmt.Appendf(nil, "%s %s\n", plainHost, host), 0o644); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-c", `mount --bind "$0" /etc/hosts && exec "$@"`, hosts, cmd.Path}, cmd.Args[1:]...)
	cmd = exec.Command("sh", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	return cmd
}

var (
	layerBits   = regexp.MustCompile(`(?m)^Security strength factor: (\d+)\r?$`)
	gotMessages = []byte("\n2 OK ")
)

// converse gives imtest commands that end the session. It must have a standard
// input until then.
func converse(cmd *exec.Cmd, commands string) (bits string, err error) {
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return "", err
	}
	defer stdin.Close()
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		return "", err
	}
	_, err = io.WriteString(stdin, commands)
	err = errors.Join(err, cmd.Wait())
	found := layerBits.FindSubmatch(output.Bytes())
	if err != nil || found == nil || !bytes.Contains(output.Bytes(), gotMessages) {
		return "", fmt.Errorf("no session: %v: %s", err, output.Bytes()[max(0, output.Len()-2000):])
	}
	return string(found[1]), nil
}

// oneTypeHosts are the hosts whose services have one type of keys; none if we
// cannot make imtest find them.
func oneTypeHosts() []string {
	if os.Geteuid() != 0 {
		return nil
	}
	var hosts []string
	for _, e := range encTypes {
		hosts = append(hosts, e.name+".test")
	}
	return hosts
}

// testCyrusGSSAPI logs in with each layer, by each type and from other realms.
func testCyrusGSSAPI(t *testing.T, vars map[string]string) {
	for _, host := range append(oneTypeHosts(), "localhost") {
		for _, layer := range []string{"0", "1", "256"} {
			l := gssapiLogin{ccache: ownCCache(t, vars), as: vars["USER"], service: host, layer: layer}
			if bits, err := l.through(t, vars, "CYRUS"); err != nil || bits != layer {
				t.Errorf("Cyrus must let in by imap/%s with a layer of %s bits: %q, %v", host, layer, bits, err)
			}
		}
	}
	testGSSAPIServices(t, vars, "CYRUS")
}

// testDovecotGSSAPI logs in by each type and from other realms; Dovecot has no
// layers.
func testDovecotGSSAPI(t *testing.T, vars map[string]string) {
	for _, host := range append(oneTypeHosts(), "localhost") {
		l := gssapiLogin{ccache: ownCCache(t, vars), as: vars["USER"], service: host, layer: "256"}
		if bits, err := l.through(t, vars, "DOVECOT"); err != nil || bits != "0" {
			t.Errorf("Dovecot must let in by imap/%s without a layer: %q, %v", host, bits, err)
		}
	}
	testGSSAPIServices(t, vars, "DOVECOT")
}

// testGSSAPIServices logs in with what each server takes for its own service.
func testGSSAPIServices(t *testing.T, vars map[string]string, server string) {
	services := map[string]bool{"localhost": true}
	if os.Geteuid() == 0 {
		services = map[string]bool{"localhost": true, vars["KRB5_FARHOST"]: true, vars["KRB5_DEEPHOST"]: true, "nokeytab.test": false}
	}
	for host, known := range services {
		l := gssapiLogin{ccache: ownCCache(t, vars), as: vars["USER"], service: host, layer: "256", startTLS: true}
		if _, err := l.through(t, vars, server); (err == nil) != known {
			t.Errorf("%s must take imap/%s for itself: %v: %v", server, host, known, err)
		}
	}
}

// testGSSAPIForOthers has the administrator, and nobody else, act for others.
func testGSSAPIForOthers(t *testing.T, vars map[string]string, server string) {
	for _, c := range []struct {
		user, password string
		may            bool
	}{
		{vars["ADMIN"], vars["ADMINPASSWORD"], true},
		{vars["USER2"], vars["PASSWORD2"], false},
	} {
		ccache := newCCache(t)
		if output, err := mitTool(vars, c.password+"\n", "kinit", "-c", ccache, c.user+"@"+vars["KRB5_REALM"]); err != nil {
			t.Fatalf("%v: %s", err, output)
		}
		l := gssapiLogin{ccache: ccache, as: vars["USER"], service: "localhost", layer: "0"}
		if _, err := l.through(t, vars, server); (err == nil) != c.may || err != nil && !strings.Contains(err.Error(), "failed") {
			t.Errorf("%s must act for %s by GSSAPI: %v: %v", c.user, vars["USER"], c.may, err)
		}
	}
}
