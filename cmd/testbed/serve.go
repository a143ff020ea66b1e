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
	vars      []string // NAME=value without the prefix: how tests find it
	processes *group
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
	vars := []string{"TESTBED=" + self, "MESSAGES=" + filepath.Join(dir, "messages")}
	if err := writeMessages(filepath.Join(dir, "messages"), messages); err != nil {
		return err
	}

	// What a killed server leaves behind becomes our child, not init's, and is
	// waited for before the directory goes.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	defer reapAll()
	starting, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	dovecot, err := startDovecot(starting, filepath.Join(dir, "dovecot"), messages)
	if err != nil {
		return fmt.Errorf("no Dovecot: %w", err)
	}
	defer dovecot.processes.kill()
	vars = append(vars, dovecot.vars...)

	_, err = io.WriteString(stdout, prefix+strings.Join(vars, "\n"+prefix)+"\n")
	if err := errors.Join(err, stdout.Close()); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
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
