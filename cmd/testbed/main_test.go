//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The tests run this binary again, as the testbed or as one whose servers are
// only pretended.
const (
	actAs      = "TESTBED_TEST_ACT_AS"
	realBed    = "testbed"
	pretence   = "testbed with pretended servers"
	noServers  = "testbed whose servers fail"
	slowServer = "testbed whose servers never come up"
	markFile   = "TESTBED_TEST_MARK" // made when the pretended servers end
)

func TestMain(m *testing.M) {
	switch role := os.Getenv(actAs); {
	case role == "":
		os.Exit(m.Run())
	case role == realBed:
		main()
	case slices.Contains(os.Args, "-serve"):
		pretendServers(role)
	default:
		status, err := runBeside(os.Args[1:], catchSignals(), true)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(status)
	}
}

// pretendServers is what makeBed starts in the roles other than realBed.
func pretendServers(role string) {
	switch role {
	case noServers:
		os.Exit(1)
	case slowServer:
		fmt.Fprintln(os.Stderr, "starting")
	case pretence:
		log := os.Getenv(markFile) + ".log"
		if err := os.WriteFile(log, []byte("a server's words\n"), 0o644); err != nil {
			panic(err)
		}
		fmt.Printf("IMCLIENT_TEST_SERVER=pretended one\nIMCLIENT_TEST_SERVER_LOG=%s\n", log)
		os.Stdout.Close()
	}
	io.Copy(io.Discard, os.Stdin)
	if err := os.WriteFile(os.Getenv(markFile), nil, 0o644); err != nil {
		panic(err)
	}
	os.Exit(0)
}

// actor is this binary in a role, in a session of its own, so that no terminal
// of whoever runs the tests matters.
func actor(t *testing.T, role string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), actAs+"="+role, markFile+"="+filepath.Join(t.TempDir(), "ended"),
		"GORACE=atexit_sleep_ms=0") // or each run takes a second more
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

func mark(cmd *exec.Cmd) string {
	for _, v := range slices.Backward(cmd.Env) {
		if file, found := strings.CutPrefix(v, markFile+"="); found {
			return file
		}
	}
	panic("no mark")
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// status runs cmd and returns its exit status.
func status(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode()
}

func TestExitStatus(t *testing.T) {
	cases := []struct {
		role string
		args []string
		want int
	}{
		{pretence, []string{"true"}, 0},
		{pretence, []string{"false"}, 1},
		{pretence, []string{"sh", "-c", "exit 7"}, 7},
		{pretence, []string{"sh", "-c", "kill -KILL $$"}, 128 + 9},
		{pretence, []string{"sh", "-c", "kill -USR1 $$"}, 128 + 10},
		{pretence, []string{"sh", "-c", "kill -TERM $$"}, 128 + 15},
		{noServers, []string{"true"}, 125},
		{realBed, []string{"/etc/passwd"}, 126},
		{realBed, []string{"no-such-command"}, 127},
		{realBed, []string{"/no/such/command"}, 127},
		{realBed, nil, 2},
		{realBed, []string{"-v"}, 2},
		{realBed, []string{"-x", "true"}, 2},
		{realBed, []string{"-serve", "true"}, 2},
		{realBed, []string{"-h"}, 0},
		{realBed, []string{"--help"}, 0},
	}
	for _, c := range cases {
		cmd := actor(t, c.role, c.args...)
		if got := status(t, cmd); got != c.want {
			t.Errorf("the exit status must be %d: %s %q: %d", c.want, c.role, c.args, got)
		}
		if c.role == pretence && !exists(mark(cmd)) {
			t.Errorf("the servers must have ended before the testbed does: %q", c.args)
		}
	}
}

func TestCommandHasTheTerminalsThreeFilesAndTheVariables(t *testing.T) {
	cmd := actor(t, pretence, "sh", "-c", `cat; echo "$IMCLIENT_TEST_SERVER" >&2; test ! -e "$`+markFile+`"`)
	cmd.Env = append(cmd.Env, "IMCLIENT_TEST_SERVER=that of another testbed around this one")
	var stdout, stderr strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader("input"), &stdout, &stderr
	if got := status(t, cmd); got != 0 {
		t.Errorf("the servers must run while the command does: status %d", got)
	}
	if stdout.String() != "input" {
		t.Errorf("standard input must reach the command and its output, alone, ours: %q", &stdout)
	}
	if stderr.String() != "pretended one\n" {
		t.Errorf("the command must see our variables, and its standard error, alone, be ours: %q", &stderr)
	}
}

func TestLogsAreShownWhenTheCommandFails(t *testing.T) {
	for _, command := range []string{"true", "false"} {
		cmd := actor(t, pretence, command)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		failed := status(t, cmd) != 0
		if shown := strings.Contains(stderr.String(), "a server's words"); shown != failed {
			t.Errorf("with -v the servers' logs must be shown if, and only if, the command fails: %s: %q", command, &stderr)
		}
	}
}

// loop is a shell script that says "ready" and runs until stop.
func loop(traps string) []string {
	return []string{"sh", "-c", traps + "\n" + `echo ready; while [ -z "$stop" ]; do sleep 0.02; done; sleep 0.2; echo $count; exit 9`}
}

// startReady starts cmd and returns its output once the command is ready.
func startReady(t *testing.T, cmd *exec.Cmd) *bufio.Reader {
	t.Helper()
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(output)
	if line, err := r.ReadString('\n'); line != "ready\n" {
		t.Fatalf("the command must come up: %q, %v", line, err)
	}
	return r
}

func TestSignalsReachTheCommand(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		cmd := actor(t, pretence, loop(fmt.Sprintf("trap 'stop=1' %d", int(s)))...)
		startReady(t, cmd)
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != 9 {
			t.Errorf("the command must receive %v and its exit status be ours: %v", s, cmd.ProcessState)
		}
		if !exists(mark(cmd)) {
			t.Errorf("the servers must have ended before the testbed does, after %v", s)
		}
	}
}

func TestSignalWhileServersStart(t *testing.T) {
	cmd := actor(t, slowServer, "true")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stderr).ReadString('\n'); line != "starting\n" {
		t.Fatalf("the servers must be starting: %q, %v", line, err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != 128+15 {
		t.Errorf("a signal while the servers start must end the testbed: %v", cmd.ProcessState)
	}
	if !exists(mark(cmd)) {
		t.Error("the servers must have ended before the testbed does, after a signal while they started")
	}
}

// TestCtrlC types it at a terminal: the command must be told once, by the
// terminal, and not once more by us.
func TestCtrlC(t *testing.T) {
	master, terminal := openTerminal(t)
	cmd := actor(t, pretence, loop(`count=; trap 'stop=1; count=x$count' INT`)...)
	cmd.SysProcAttr.Setctty = true
	cmd.Stdin = terminal
	output := startReady(t, cmd)
	if _, err := master.Write([]byte{3}); err != nil {
		t.Fatal(err)
	}
	count, err := output.ReadString('\n')
	if count != "x\n" {
		t.Errorf("Ctrl-C must reach the command once: %q, %v", count, err)
	}
	if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != 9 {
		t.Errorf("the testbed must wait for the command after Ctrl-C: %v", cmd.ProcessState)
	}
	if !exists(mark(cmd)) {
		t.Error("the servers must have ended before the testbed does, after Ctrl-C")
	}
}

// openTerminal returns both ends of a new pseudo-terminal (pts(4)).
func openTerminal(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	master = os.NewFile(uintptr(fd), "ptmx")
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return master, terminal
}

// TestKilledTestbed has all of them share a pipe: its end says that all are gone.
func TestKilledTestbed(t *testing.T) {
	cmd := actor(t, pretence, loop("")...)
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	startReady(t, cmd)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(pipe); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if !exists(mark(cmd)) {
		t.Error("the servers must end when the testbed is killed")
	}
}

func TestDescriptorLimit(t *testing.T) {
	cmd := actor(t, pretence, "sh", "-c", "ulimit -Sn; ulimit -Hn")
	cmd.Args = append([]string{"sh", "-c", `ulimit -Sn 200; ulimit -Hn 400; exec "$@"`, "sh", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	output, err := cmd.Output()
	if err != nil || string(output) != "400\n400\n" {
		t.Errorf("the command must get as many descriptors as the hard limit allows: %q, %v", output, err)
	}
}

func TestUsageFitsAScreen(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(usage, "\n"), "\n")
	if len(lines) > 55 {
		t.Errorf("-h must fit a screen: %d lines", len(lines))
	}
	for _, line := range lines {
		if len(line) > 80 {
			t.Errorf("-h must fit a screen: %q", line)
		}
	}
	cmd := actor(t, realBed, "-h")
	output, err := cmd.Output()
	if err != nil || string(output) != usage {
		t.Errorf("-h must print the usage to standard output: %q, %v", output, err)
	}
}
