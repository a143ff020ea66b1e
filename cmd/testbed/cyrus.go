//go:build linux

package main

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/imclient/imclient/cmd/internal/mailgen"
)

// cyrus is an instance of Cyrus IMAP in a directory of its own.
type cyrus struct {
	owner
	cyrusPrograms
	Dir     string
	Krb5    krb5Dir
	Port    int    // IMAP, with STARTTLS
	TLSPort int    // imaps
	syslog  string // library that makes it log to logFile; "": there is none
}

// startCyrus starts Cyrus IMAP in a directory of the bed's. When it is ready, the
// reading account's INBOX holds messages.
func startCyrus(bed string, ca *authority, messages []mailgen.Message) (_ *server, err error) {
	programs, found := findCyrus()
	if !found {
		return nil, errors.New("no Cyrus IMAP is there")
	}
	c := &cyrus{cyrusPrograms: programs, Dir: filepath.Join(bed, "cyrus"), Krb5: krb5DirIn(bed)}
	if c.owner, err = chooseOwner(); err != nil {
		return nil, err
	}
	release, err := reservePorts([]string{plainHost, disabledHost}, &c.Port, &c.TLSPort)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			release()
		}
	}()
	if err := c.prepare(ca); err != nil {
		return nil, err
	}
	processes, err := c.start()
	if err != nil {
		return nil, err
	}
	return c.server(processes, release, messages), nil
}

// server is what startCyrus has started. When it is ready, release is called.
func (c *cyrus) server(processes *group, release func(), messages []mailgen.Message) *server {
	ready := func(ctx context.Context) error {
		defer release()
		if err := awaitGreeting(ctx, c.address(plainHost), processes.ended); err != nil {
			return err
		}
		return fillCyrus(ctx, c.address(plainHost), messages)
	}
	vars := append(c.vars(), "CYRUS_PID="+strconv.Itoa(processes.pid()))
	return &server{name: "Cyrus IMAP", log: c.logFile(), vars: vars, processes: processes, ready: ready}
}

func (c *cyrus) imapdConf() string { return filepath.Join(c.Dir, "imapd.conf") }
func (c *cyrus) cyrusConf() string { return filepath.Join(c.Dir, "cyrus.conf") }
func (c *cyrus) logFile() string   { return filepath.Join(c.Dir, "cyrus.log") }
func (c *cyrus) TLSDir() string    { return filepath.Join(c.Dir, "tls") }

// Imapd is the command line of the process that serves one client after another.
func (c *cyrus) Imapd() string {
	return c.Program("lib/cyrus/bin/imapd") + " -C " + c.imapdConf()
}

func (c *cyrus) address(host string) string { return net.JoinHostPort(host, strconv.Itoa(c.Port)) }

// prepare fills the directory. Cyrus makes what it needs below conf, but for
// these.
func (c *cyrus) prepare(ca *authority) error {
	for _, sub := range []string{"conf/db", "conf/log", "conf/proc", "conf/socket", "spool", "tmp", "tls"} {
		if err := os.MkdirAll(filepath.Join(c.Dir, sub), 0o755); err != nil {
			return err
		}
	}
	log := noSyslog
	var err error
	if c.syslog, err = syslogLibrary(); err == nil {
		log = ""
	}
	id, err := ca.sign(forServer("localhost", plainHost, disabledHost))
	if err != nil {
		return err
	}
	cert := filepath.Join(c.TLSDir(), plainHost)
	if err := errors.Join(
		id.write(cert+".pem", cert+".key"),
		ca.write(filepath.Join(c.TLSDir(), "ca.pem")),
		os.WriteFile(c.imapdConf(), executed(cyrusIMAPDConf, c), 0o644),
		os.WriteFile(c.cyrusConf(), executed(cyrusConf, c), 0o644),
		os.WriteFile(c.logFile(), []byte(log), 0o644),
		os.WriteFile(filepath.Join(c.Dir, "empty.sqlite"), nil, 0o644),
	); err != nil {
		return err
	}
	return chownAll(c.Dir, c.UID, c.GID)
}

func (c *cyrus) start() (*group, error) {
	cmd := exec.Command(c.Program("lib/cyrus/bin/master"),
		"-C", c.imapdConf(), "-M", c.cyrusConf(), "-p", filepath.Join(c.Dir, "master.pid"), "-L", c.logFile(), "-l", "4096")
	cmd.Env = append(append(c.environ(), c.Krb5.Environ(c.Dir)...), "LD_PRELOAD=libeatmydata.so "+c.syslog, "TESTBED_SYSLOG="+c.logFile())
	return c.startGroup(cmd)
}

// vars says how to find all but the process.
func (c *cyrus) vars() []string {
	return []string{
		"CYRUS=" + c.address(plainHost),
		"CYRUS_TLS=" + net.JoinHostPort(plainHost, strconv.Itoa(c.TLSPort)),
		"CYRUS_LOGINDISABLED=" + c.address(disabledHost),
		"CYRUS_LOG=" + c.logFile(),
	}
}
