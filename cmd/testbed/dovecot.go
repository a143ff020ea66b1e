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
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/imclient/imclient/cmd/internal/mailgen"
)

const dovecotProgram = "/usr/sbin/dovecot"

// The addresses. The second one says LOGINDISABLED until there is TLS. It must be
// one that clients do not connect from: Dovecot takes a connection from its own
// address for safe. The next three have certificates with a fault. The last one
// asks clients for a certificate.
const (
	plainHost      = "127.0.0.1"
	disabledHost   = "127.0.0.2"
	expiredHost    = "127.0.0.3"
	wrongHost      = "127.0.0.4"
	selfSignedHost = "127.0.0.5"
	clientCertHost = "127.0.0.6"
)

var dovecotHosts = []string{plainHost, disabledHost, expiredHost, wrongHost, selfSignedHost, clientCertHost}

// readMailboxes are what the reading account has beside INBOX: a hierarchy, a
// name in modified UTF-7, one that must be quoted.
var readMailboxes = []string{"Archive", "Archive.2024.First quarter", "Sm&APY-rg&AOU-sbord", `with "quotes" and \back`}

// dovecot is an instance of Dovecot in a directory of its own.
type dovecot struct {
	owner
	Dir     string
	Krb5    krb5Dir
	V24     bool // version 2.4, not 2.3
	Port    int  // IMAP, with STARTTLS
	TLSPort int  // imaps
	tokens  *tokenIssuer
}

// startDovecot starts Dovecot in a directory of the bed's, with messages in the
// INBOX of the reading account.
func startDovecot(bed string, ca *authority, messages []mailgen.Message) (_ *server, err error) {
	d := &dovecot{Dir: filepath.Join(bed, "dovecot"), Krb5: krb5DirIn(bed), tokens: newTokenIssuer()}
	if d.V24, err = dovecotIs24(); err != nil {
		return nil, err
	}
	if d.owner, err = chooseOwner(); err != nil {
		return nil, err
	}
	release, err := reservePorts(dovecotHosts, &d.Port, &d.TLSPort)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			release()
		}
	}()
	if err := d.prepare(ca, messages); err != nil {
		return nil, err
	}
	processes, err := d.start()
	if err != nil {
		return nil, err
	}
	return d.server(processes, release), nil
}

// server is what startDovecot has started. When it is ready, release is called.
func (d *dovecot) server(processes *group, release func()) *server {
	ready := func(ctx context.Context) error {
		defer release()
		for _, host := range dovecotHosts {
			if err := awaitGreeting(ctx, d.address(host), processes.ended); err != nil {
				return err
			}
		}
		return nil
	}
	vars := append(d.vars(), "DOVECOT_PID="+strconv.Itoa(processes.pid()))
	return &server{name: "Dovecot", log: d.logFile(), vars: vars, processes: processes, ready: ready}
}

// dovecotIs24 tells version 2.4 from 2.3, and knows no others.
func dovecotIs24() (bool, error) {
	version, err := exec.Command(dovecotProgram, "--version").Output()
	if err != nil {
		return false, err
	}
	is24 := bytes.HasPrefix(version, []byte("2.4."))
	if !is24 && !bytes.HasPrefix(version, []byte("2.3.")) {
		return false, fmt.Errorf("needs Dovecot 2.3 or 2.4, and this is %s", bytes.TrimSpace(version))
	}
	return is24, nil
}

func (d *dovecot) confFile() string { return filepath.Join(d.Dir, "dovecot.conf") }
func (d *dovecot) logFile() string  { return filepath.Join(d.Dir, "dovecot.log") }

// OAuthFile is where 2.3 finds what it must know of tokens.
func (d *dovecot) OAuthFile() string { return filepath.Join(d.Dir, "oauth2.conf") }

// KeyDir holds the key to tokens.
func (d *dovecot) KeyDir() string { return filepath.Join(d.Dir, "keys") }

func (d *dovecot) address(host string) string { return net.JoinHostPort(host, strconv.Itoa(d.Port)) }

// prepare fills the directory: configuration, passwords, certificates, mail.
func (d *dovecot) prepare(ca *authority, messages []mailgen.Message) error {
	maildir := filepath.Join(d.Dir, "home", readUser, "Maildir")
	if err := writeMaildir(maildir, messages, readMailboxes...); err != nil {
		return err
	}
	if err := errors.Join(
		os.WriteFile(d.confFile(), executed(dovecotConf, d), 0o644),
		os.WriteFile(d.logFile(), nil, 0o644),
		os.WriteFile(filepath.Join(d.Dir, "users"), []byte(d.users()), 0o644),
		os.WriteFile(filepath.Join(d.Dir, "admins"), fmt.Appendf(nil, "%s:{PLAIN}%s\n", adminUser, adminPassword), 0o644),
		os.WriteFile(d.OAuthFile(), executed(dovecotOAuthConf, d), 0o644),
		d.tokens.write(d.KeyDir()),
		d.writeCertificates(ca),
	); err != nil {
		return err
	}
	return chownAll(d.Dir, d.UID, d.GID)
}

func (d *dovecot) start() (*group, error) {
	log, err := os.OpenFile(d.logFile(), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(dovecotProgram, "-F", "-c", d.confFile())
	cmd.Stdout, cmd.Stderr = log, log // what it says before it has read log_path
	return d.startGroup(cmd)
}

// vars says how to find all but the process.
func (d *dovecot) vars() []string {
	now := time.Now()
	return []string{
		"TOKEN=" + d.tokens.token(readUser, now.Add(-time.Minute), now.AddDate(0, 1, 0)),
		"EXPIREDTOKEN=" + d.tokens.token(readUser, now.Add(-time.Hour), now.Add(-time.Minute)),
		"DOVECOT=" + d.address(plainHost),
		"DOVECOT_TLS=" + net.JoinHostPort(plainHost, strconv.Itoa(d.TLSPort)),
		"DOVECOT_LOGINDISABLED=" + d.address(disabledHost),
		"DOVECOT_EXPIRED=" + d.address(expiredHost),
		"DOVECOT_WRONGHOST=" + d.address(wrongHost),
		"DOVECOT_SELFSIGNED=" + d.address(selfSignedHost),
		"DOVECOT_CLIENTCERT=" + d.address(clientCertHost),
		"DOVECOT_LOG=" + d.logFile(),
	}
}

// awaitGreeting returns when the server at address greets. It fails when the
// server has ended.
func awaitGreeting(ctx context.Context, address string, ended <-chan struct{}) error {
	return awaitService(ctx, ended, func() error {
		line, err := firstLine(ctx, address)
		if err == nil && !strings.HasPrefix(line, "* OK ") {
			err = fmt.Errorf("%q", line)
		}
		if err != nil {
			err = fmt.Errorf("no greeting from %s: %w", address, err)
		}
		return err
	})
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
