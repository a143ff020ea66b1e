//go:build linux

package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// gone reports whether a process group has no member left.
func gone(pgid int) bool { return errors.Is(unix.Kill(-pgid, 0), unix.ESRCH) }

// logInEverywhere returns a session with each of the IMAP servers.
func (b *bedProcess) logInEverywhere(t *testing.T) map[string]*mailClient {
	t.Helper()
	sessions := make(map[string]*mailClient)
	for _, server := range []string{"DOVECOT", "CYRUS"} {
		c, _, err := login(b.vars[server], b.vars["USER"], b.vars["PASSWORD"])
		if err != nil {
			t.Fatal(err)
		}
		sessions[server] = c
	}
	return sessions
}

func TestServersEnd(t *testing.T) {
	ends := map[string]func(*bedProcess) error{
		"its input ends":            func(b *bedProcess) error { return b.hold.Close() },
		"SIGINT comes":              func(b *bedProcess) error { return b.cmd.Process.Signal(syscall.SIGINT) },
		"SIGTERM comes":             func(b *bedProcess) error { return b.cmd.Process.Signal(syscall.SIGTERM) },
		"the servers are dead, too": func(b *bedProcess) error { return errors.Join(killServers(t, b), b.hold.Close()) },
	}
	for when, end := range ends {
		b := startServers(t)
		groups, sessions := b.groups(t), b.logInEverywhere(t)
		if err := end(b); err != nil {
			t.Fatal(err)
		}
		if err := b.cmd.Wait(); err != nil {
			t.Errorf("-serve must end well when %s: %v", when, err)
		}
		for server, pgid := range groups {
			if !gone(pgid) {
				t.Errorf("no process of %s may be left when %s", server, when)
			}
		}
		if dir := filepath.Dir(b.vars["MESSAGES"]); exists(dir) {
			t.Errorf("the directory must be gone when %s: %s", when, dir)
		}
		for server, c := range sessions {
			if _, err := io.Copy(io.Discard, c.r); err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("sessions with %s must have ended when %s: %v", server, when, err)
			}
			c.conn.Close()
		}
	}
}

func killServers(t *testing.T, b *bedProcess) error {
	var all error
	for _, pgid := range b.groups(t) {
		all = errors.Join(all, unix.Kill(-pgid, unix.SIGKILL))
	}
	return all
}

// TestServersEndWithTheirParent kills -serve, which leaves it to the kernel to
// end the servers. The test adopts what is orphaned, so that it can wait for it.
// Dovecot lets a session go on for some seconds, unless its client goes.
func TestServersEndWithTheirParent(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	b := startServers(t)
	groups, sessions := b.groups(t), b.logInEverywhere(t)
	if err := b.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = b.cmd.Wait()
	for _, c := range sessions {
		c.conn.Close()
	}
	for server, pgid := range groups {
		var err error
		for err == nil || errors.Is(err, unix.EINTR) {
			_, err = unix.Wait4(-pgid, nil, 0, nil)
		}
		if !gone(pgid) {
			t.Errorf("no process of %s may be left when the testbed is killed: %v", server, err)
		}
	}
	os.RemoveAll(filepath.Dir(b.vars["MESSAGES"]))
}
