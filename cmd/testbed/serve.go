//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/imclient/imclient/cmd/internal/mailgen"
	"golang.org/x/sys/unix"
)

// prefix is that of every variable.
const prefix = "IMCLIENT_TEST_"

// mailCount is how many messages the reading account has.
const mailCount = 300

// startTimeout is far beyond what a start takes, half a second, for machines
// that are busy.
const startTimeout = 60 * time.Second

// server is a server that runs.
type server struct {
	name      string
	log       string   // file
	vars      []string // NAME=value without the prefix: how tests find it
	processes *group
	ready     func(context.Context) error // returns when it is of use
}

// await returns when the server is ready.
func (s *server) await(ctx context.Context) error {
	err := s.ready(ctx)
	if err != nil {
		err = fmt.Errorf("no %s: %w; its log ends in\n%s", s.name, err, tail(s.log, 20))
	}
	return err
}

// serve starts the servers and writes their variables to stdout, which it then
// closes. It ends them when stdin ends or a signal comes. If it is killed, the
// kernel and Dovecot see to the processes, and only the directory is left.
func serve(signals <-chan os.Signal, stdin io.Reader, stdout io.WriteCloser) (status int, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, stdin) // an error ends the wait as well
		cancel()
	}()
	go func() {
		<-signals
		cancel()
	}()
	if err := serveUntil(ctx, stdout); err != nil && ctx.Err() == nil {
		return statusFailed, err
	}
	return 0, nil
}

func serveUntil(ctx context.Context, stdout io.WriteCloser) error {
	if err := raiseDescriptorLimit(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := makeDir(os.TempDir())
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	messages := mailgen.Messages(mailCount)
	ca, vars, err := furnish(dir, messages)
	if err != nil {
		return err
	}
	vars = append(append(vars, "TESTBED="+self), accounts()...)

	// What a killed server leaves behind becomes our child, not init's, and is
	// waited for before the directory goes.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	defer reapAll()
	servers, err := startAll(ctx, dir, ca, messages)
	for _, s := range servers {
		defer s.processes.kill()
		vars = append(vars, s.vars...)
	}
	if err != nil {
		return err
	}
	_, err = io.WriteString(stdout, prefix+strings.Join(vars, "\n"+prefix)+"\n")
	if err := errors.Join(err, stdout.Close()); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// starts start the servers. The others look for the KDC's files.
var starts = []func(dir string, ca *authority, messages []mailgen.Message) (*server, error){startKDC, startCyrus, startDovecot}

// startAll starts the servers, and returns when all are ready or one cannot
// be; those that it returns have processes in any case.
func startAll(ctx context.Context, dir string, ca *authority, messages []mailgen.Message) (servers []*server, err error) {
	starting, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	failures := make(chan error, len(starts))
	for _, start := range starts {
		s, err := start(dir, ca, messages)
		if err != nil {
			return servers, err
		}
		servers = append(servers, s)
		go func() { failures <- s.await(starting) }()
	}
	for range servers {
		err = errors.Join(err, <-failures)
	}
	return servers, err
}

// furnish fills the bed's directory with what no server has for itself, and
// returns the variables that say where it is.
func furnish(dir string, messages []mailgen.Message) (ca *authority, vars []string, err error) {
	if ca, err = newAuthority(); err != nil {
		return nil, nil, err
	}
	client, err := ca.sign(forUser(readUser))
	if err != nil {
		return nil, nil, err
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	vars = []string{
		"MESSAGES=" + file("messages"),
		"CA=" + file("ca.pem"),
		"CLIENTCERT=" + file("client.pem"),
		"CLIENTKEY=" + file("client.key"),
	}
	return ca, vars, errors.Join(
		writeMessages(file("messages"), messages),
		ca.write(file("ca.pem")),
		client.write(file("client.pem"), file("client.key")),
	)
}

// maxDir leaves room for the names of unix sockets, at most 107 bytes in all.
const maxDir = 60

// makeDir makes the bed's directory in parent. Servers that do not run as this
// user must be able to enter it, and blanks would end words of their
// configuration.
func makeDir(parent string) (string, error) {
	parent, err := filepath.Abs(parent)
	if err != nil {
		return "", err
	}
	if strings.ContainsAny(parent, " \t\"") {
		return "", fmt.Errorf("no blanks and quotes in the path of temporary files, please: set TMPDIR to other than %q", parent)
	}
	for dir := parent; os.Geteuid() == 0 && dir != "/"; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return "", err
		}
		if info.Mode()&0o001 == 0 {
			return "", fmt.Errorf("only root can enter %s: set TMPDIR to a directory that all can enter", dir)
		}
	}
	dir, err := os.MkdirTemp(parent, "testbed-")
	if err != nil {
		return "", err
	}
	if len(dir) > maxDir {
		os.Remove(dir)
		return "", fmt.Errorf("%s is too long for unix sockets in it: set TMPDIR to a shorter path", dir)
	}
	return dir, os.Chmod(dir, 0o755)
}

// writeMessages writes each message to a file as it goes over the wire.
func writeMessages(dir string, messages []mailgen.Message) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for _, m := range messages {
		if err := os.WriteFile(filepath.Join(dir, m.Name+".eml"), m.Data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// chownAll gives dir and all that is in it to a user.
func chownAll(dir string, uid, gid int) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, uid, gid))
	})
}

// executed fills a configuration file's template.
func executed(t *template.Template, data any) []byte {
	var text strings.Builder
	if err := t.Execute(&text, data); err != nil {
		panic(err) // the template does not fit the type
	}
	return []byte(text.String())
}
