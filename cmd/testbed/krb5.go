//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/imclient/imclient/cmd/internal/mailgen"
)

// The programs of MIT Kerberos, where Debian has them. Who is not root may not
// have /usr/sbin in PATH.
const (
	kdcProgram    = "/usr/sbin/krb5kdc"
	kdbProgram    = "/usr/sbin/kdb5_util"
	kadminProgram = "/usr/sbin/kadmin.local"
	kinitProgram  = "/usr/bin/kinit"
)

// krb5Dir is the directory of the KDC, with all that it, the servers and clients
// need to know: nobody reads the machine's own configuration.
type krb5Dir string

func krb5DirIn(bed string) krb5Dir { return krb5Dir(filepath.Join(bed, "krb5")) }

func (d krb5Dir) file(name string) string { return filepath.Join(string(d), name) }

// Config is the krb5.conf of everybody.
func (d krb5Dir) Config() string  { return d.file("krb5.conf") }
func (d krb5Dir) kdcConf() string { return d.file("kdc.conf") }

// LogFile is the KDC's.
func (d krb5Dir) LogFile() string { return d.file("kdc.log") }

// ServiceKeytab has the keys of all services that the servers play.
func (d krb5Dir) ServiceKeytab() string { return d.file("service.keytab") }

// ClientKeytab has the keys of the reading account, of all encryption types.
func (d krb5Dir) ClientKeytab() string { return d.file("client.keytab") }

// clientKeytabs holds a keytab for each encryption type, named after it.
func (d krb5Dir) clientKeytabs() string { return d.file("keytabs") }

// CCache holds the ticket of the reading account.
func (d krb5Dir) CCache() string { return "FILE:" + d.file("client.ccache") }

// Environ is for a server that takes tickets. It runs as a user of its own, so it
// remembers which it has seen in a file in its own directory.
func (d krb5Dir) Environ(server string) []string {
	return []string{
		"KRB5_CONFIG=" + d.Config(),
		"KRB5RCACHENAME=file2:" + filepath.Join(server, "replay-cache"),
	}
}

// kdc is an MIT KDC, which one process and one port are enough for: each request
// names its realm.
type kdc struct {
	owner
	krb5Dir
	Port int // UDP and TCP
}

// startKDC starts the KDC in a directory of the bed's. When it is ready, the
// reading account has a ticket. The certificates and the messages are for others.
func startKDC(bed string, _ *authority, _ []mailgen.Message) (_ *server, err error) {
	k := &kdc{krb5Dir: krb5DirIn(bed)}
	if k.owner, err = chooseOwner(); err != nil {
		return nil, err
	}
	release, err := reservePorts([]string{plainHost}, &k.Port)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			release()
		}
	}()
	if err := k.prepare(); err != nil {
		return nil, err
	}
	processes, err := k.start()
	if err != nil {
		return nil, err
	}
	return k.server(processes, release), nil
}

// server is what startKDC has started. When it is ready, release is called.
func (k *kdc) server(processes *group, release func()) *server {
	ready := func(ctx context.Context) error {
		defer release()
		if err := awaitService(ctx, processes.ended, func() error { return k.answers(ctx) }); err != nil {
			return err
		}
		return k.run(kinitProgram, "", "-c", k.CCache(), "-k", "-t", k.ClientKeytab(), principal(readUser))
	}
	vars := append(k.vars(), "KRB5_KDC_PID="+strconv.Itoa(processes.pid()))
	return &server{name: "KDC", log: k.LogFile(), vars: vars, processes: processes, ready: ready}
}

func (k *kdc) address() string { return net.JoinHostPort(plainHost, strconv.Itoa(k.Port)) }

// answers returns nil when the KDC takes connections. It takes datagrams before
// that.
func (k *kdc) answers(ctx context.Context) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", k.address())
	if err != nil {
		return err
	}
	return conn.Close()
}

// prepare fills the directory: configuration, databases, keytabs.
func (k *kdc) prepare() error {
	if err := errors.Join(
		os.MkdirAll(k.clientKeytabs(), 0o755),
		os.WriteFile(k.Config(), executed(krb5Conf, k), 0o644),
		os.WriteFile(k.kdcConf(), executed(kdcConf, k), 0o644),
		os.WriteFile(k.LogFile(), nil, 0o644),
		os.WriteFile(k.ServiceKeytab(), emptyKeytab, 0o600),
	); err != nil {
		return err
	}
	if err := errors.Join(k.createRealms(), splitKeytab(k.ClientKeytab(), k.clientKeytabs())); err != nil {
		return err
	}
	return chownAll(string(k.krb5Dir), k.UID, k.GID)
}

func (k *kdc) start() (*group, error) {
	log, err := os.OpenFile(k.LogFile(), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	args := []string{"-n"}
	for _, r := range realms {
		args = append(args, "-r", r)
	}
	cmd := exec.Command(kdcProgram, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = k.environ(), log, log // what it says before it has read kdc.conf
	return k.startGroup(cmd)
}

// environ is all that a program of MIT's finds in its environment. The databases
// need not be on disk, as they end with the bed.
func (k *kdc) environ() []string {
	return []string{
		"KRB5_CONFIG=" + k.Config(),
		"KRB5_KDC_PROFILE=" + k.kdcConf(),
		"LD_PRELOAD=libeatmydata.so",
	}
}

// vars says how to find all but the process.
func (k *kdc) vars() []string {
	return []string{
		"KRB5_CONFIG=" + k.Config(),
		"KRB5_KDC=" + k.address(),
		"KRB5_KDC_LOG=" + k.LogFile(),
		"KRB5_REALM=" + homeRealm,
		"KRB5_PRINCIPAL=" + principal(readUser),
		"KRB5_PASSWORD=" + readPassword,
		"KRB5_SHORTPRINCIPAL=" + principal(shortUser),
		"KRB5_SHORTPASSWORD=" + shortPassword,
		"KRB5_CLIENT_KEYTAB=" + k.ClientKeytab(),
		"KRB5_CLIENT_KEYTABS=" + k.clientKeytabs(),
		"KRB5_SERVICE_KEYTAB=" + k.ServiceKeytab(),
		"KRB5_CCACHE=" + k.CCache(),
		"KRB5_FARREALM=" + farRealm,
		"KRB5_FARHOST=" + farHost,
		"KRB5_DEEPREALM=" + deepRealm,
		"KRB5_DEEPHOST=" + deepHost,
	}
}

func principal(user string) string { return fmt.Sprintf("%s@%s", user, homeRealm) }
