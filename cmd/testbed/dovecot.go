//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/imclient/imclient/cmd/internal/mailgen"
)

const dovecotProgram = "/usr/sbin/dovecot"

// The accounts. The second password is hard to quote. Names that start with
// loadPrefix are as many accounts as one likes: each finds an INBOX of its own,
// made when it first logs in, so nothing has to be listed.
const (
	readUser, readPassword   = "alice", "alice-secret"
	otherUser, otherPassword = "bob", `b"o\b {10}`
	loadPrefix, loadPassword = "load", "load-secret"
)

// The addresses. The second one says LOGINDISABLED. It must be one that clients
// do not connect from: Dovecot takes a connection from its own address for safe.
const plainHost, disabledHost = "127.0.0.1", "127.0.0.2"

// readMailboxes are what the reading account has beside INBOX: a hierarchy, a
// name in modified UTF-7, one that must be quoted.
var readMailboxes = []string{"Archive", "Archive.2024.First quarter", "Sm&APY-rg&AOU-sbord", `with "quotes" and \back`}

// dovecot is an instance of Dovecot in a directory of its own.
type dovecot struct {
	Dir         string
	V24         bool   // version 2.4, not 2.3
	User, Group string // who runs it, master and all
	UID, GID    int
	Port        int
}

// startDovecot starts Dovecot with messages in the INBOX of the reading account,
// and returns when it greets.
func startDovecot(ctx context.Context, dir string, messages []mailgen.Message) (*server, error) {
	version, err := exec.CommandContext(ctx, dovecotProgram, "--version").Output()
	if err != nil {
		return nil, err
	}
	d := &dovecot{Dir: dir, V24: strings.HasPrefix(string(version), "2.4.")}
	if !d.V24 && !strings.HasPrefix(string(version), "2.3.") {
		return nil, fmt.Errorf("needs version 2.3 or 2.4, and this is %s", bytes.TrimSpace(version))
	}
	if err := d.chooseUser(); err != nil {
		return nil, err
	}
	port, release, err := reservePort(plainHost, disabledHost)
	if err != nil {
		return nil, err
	}
	defer release()
	d.Port = port
	if err := d.prepare(messages); err != nil {
		return nil, err
	}
	return d.start(ctx)
}

// chooseUser settles who runs Dovecot. It needs no root, so it does not get it,
// and one configuration serves whoever runs the testbed. What root starts runs
// as the user whom Debian's package has for its least trusted part.
func (d *dovecot) chooseUser() error {
	u, err := user.Current()
	if err == nil && u.Uid == "0" {
		u, err = user.Lookup("dovenull")
	}
	if err != nil {
		return err
	}
	g, err := user.LookupGroupId(u.Gid)
	if err != nil {
		return err
	}
	d.User, d.Group = u.Username, g.Name
	if d.UID, err = strconv.Atoi(u.Uid); err != nil {
		return err
	}
	d.GID, err = strconv.Atoi(u.Gid)
	return err
}

func (d *dovecot) confFile() string { return filepath.Join(d.Dir, "dovecot.conf") }
func (d *dovecot) logFile() string  { return filepath.Join(d.Dir, "dovecot.log") }

// prepare fills the directory: configuration, passwords, mail.
func (d *dovecot) prepare(messages []mailgen.Message) error {
	maildir := filepath.Join(d.Dir, "home", readUser, "Maildir")
	if err := writeMaildir(maildir, messages, readMailboxes...); err != nil {
		return err
	}
	if err := errors.Join(
		os.WriteFile(d.confFile(), []byte(d.config()), 0o644),
		os.WriteFile(d.logFile(), nil, 0o644),
		os.WriteFile(filepath.Join(d.Dir, "users"), []byte(d.users()), 0o644),
	); err != nil {
		return err
	}
	return chownAll(d.Dir, d.UID, d.GID)
}

func (d *dovecot) start(ctx context.Context) (*server, error) {
	log, err := os.OpenFile(d.logFile(), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(dovecotProgram, "-F", "-c", d.confFile())
	cmd.Stdout, cmd.Stderr = log, log // what it says before it has read log_path
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(d.UID), Gid: uint32(d.GID)}}
	}
	processes, err := startGroup(cmd)
	if err != nil {
		return nil, err
	}
	port := strconv.Itoa(d.Port)
	plain, disabled := net.JoinHostPort(plainHost, port), net.JoinHostPort(disabledHost, port)
	for _, address := range []string{plain, disabled} {
		if err := awaitGreeting(ctx, address, processes.ended); err != nil {
			processes.kill()
			return nil, fmt.Errorf("%w; its log ends in\n%s", err, tail(d.logFile(), 20))
		}
	}
	return &server{processes: processes, vars: []string{
		"DOVECOT=" + plain,
		"DOVECOT_LOGINDISABLED=" + disabled,
		"DOVECOT_PID=" + strconv.Itoa(processes.pid()),
		"DOVECOT_LOG=" + d.logFile(),
		"USER=" + readUser, "PASSWORD=" + readPassword,
		"USER2=" + otherUser, "PASSWORD2=" + otherPassword,
		"LOADUSER=" + loadPrefix + "%d", "LOADPASSWORD=" + loadPassword,
	}}, nil
}

// awaitGreeting returns when the server at address greets. It fails when the
// server has ended.
func awaitGreeting(ctx context.Context, address string, ended <-chan struct{}) error {
	for {
		line, err := firstLine(ctx, address)
		if err == nil && strings.HasPrefix(line, "* OK ") {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no greeting from %s: %q, %v", address, line, err)
		case <-ended:
			return errors.New("it has ended at once")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func firstLine(ctx context.Context, address string) (string, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	return bufio.NewReader(conn).ReadString('\n')
}
