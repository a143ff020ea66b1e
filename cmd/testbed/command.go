//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// runBeside runs command while a bed stands and returns its exit status, or the
// testbed's own with an error that says why.
func runBeside(command []string, signals <-chan os.Signal, verbose bool) (status int, err error) {
	if err := raiseDescriptorLimit(); err != nil {
		return statusFailed, err
	}
	b, err := makeBed()
	if err != nil {
		return statusFailed, err
	}
	defer b.remove()
	select {
	case <-b.made:
	case s := <-signals:
		return statusSignalBase + int(s.(syscall.Signal)), nil
	}
	if len(b.vars) == 0 {
		return statusFailed, errors.New("the servers do not run")
	}
	status, err = runCommand(command, b.vars, signals)
	if verbose && status != 0 {
		printLogs(os.Stderr, b.vars)
	}
	return status, err
}

func runCommand(command, vars []string, signals <-chan os.Signal) (status int, err error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), vars...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return statusCannotRun, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			if !sentByTerminal(s) {
				_ = cmd.Process.Signal(s) // it may have ended
			}
		case err := <-ended:
			if cmd.ProcessState == nil {
				return statusFailed, err
			}
			return exitStatus(cmd.ProcessState), nil
		}
	}
}

// exitStatus is what a shell makes of a process's end.
func exitStatus(state *os.ProcessState) int {
	if ws := state.Sys().(syscall.WaitStatus); ws.Signaled() {
		return statusSignalBase + int(ws.Signal())
	}
	return state.ExitCode()
}

// sentByTerminal reports whether s is one of the signals that a terminal sends to
// all of its foreground group, when that is ours: the command has it already,
// and many a program takes a second Ctrl-C for impatience.
func sentByTerminal(s os.Signal) bool {
	if s != syscall.SIGINT && s != syscall.SIGQUIT {
		return false
	}
	terminal, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	defer terminal.Close()
	foreground, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPGRP)
	return err == nil && foreground == unix.Getpgrp()
}

// bed is the process behind, which runs the servers.
type bed struct {
	cmd  *exec.Cmd
	hold io.Closer     // closed, it goes
	made chan struct{} // closed when vars is complete
	vars []string      // NAME=value; none: the servers did not start
}

// makeBed starts the process behind, in a session of its own, so that neither
// Ctrl-C nor a lost terminal reaches it.
func makeBed() (*bed, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-serve")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	hold, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	b := &bed{cmd: cmd, hold: hold, made: make(chan struct{})}
	go func() {
		defer close(b.made)
		if text, err := io.ReadAll(output); err == nil {
			b.vars = strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })
		}
	}()
	return b, nil
}

// remove ends the servers and returns when they and their directory are gone.
func (b *bed) remove() {
	b.hold.Close()
	<-b.made
	_ = b.cmd.Wait() // it has said itself what went wrong
}

// printLogs shows the end of each log among vars.
func printLogs(w io.Writer, vars []string) {
	for _, v := range vars {
		name, file, _ := strings.Cut(v, "=")
		if strings.HasSuffix(name, "_LOG") {
			fmt.Fprintf(w, "testbed: the end of %s:\n%s", filepath.Base(file), tail(file, 200))
		}
	}
}

// tail returns the last lines of a file, or why it cannot be read.
func tail(file string, lines int) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error() + "\n"
	}
	all := strings.SplitAfter(string(text), "\n")
	return strings.Join(all[max(0, len(all)-lines-1):], "")
}
