//go:build linux

package main

import (
	"context"
	"errors"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// group is a server's first process with all that it starts, which stays in its
// process group.
type group struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when the first process has ended
}

// startGroup starts cmd as the leader of a group. The kernel sends it SIGTERM if
// our thread dies, so that it takes its children along.
func startGroup(cmd *exec.Cmd) (*group, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	g := &group{cmd: cmd, ended: make(chan struct{})}
	go func() {
		// WNOWAIT: the process stays a zombie, and its number ours, so that
		// kill cannot hit a stranger.
		for errors.Is(unix.Waitid(unix.P_PID, g.pid(), nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
		}
		close(g.ended)
	}()
	return g, nil
}

func (g *group) pid() int { return g.cmd.Process.Pid }

// kill ends all of the group. There is nothing to save: the directory goes too.
func (g *group) kill() {
	_ = unix.Kill(-g.pid(), unix.SIGKILL)
	_ = g.cmd.Wait()
}

// awaitService returns when try succeeds. It fails when ended is closed.
func awaitService(ctx context.Context, ended <-chan struct{}, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-ended:
			return errors.New("it has ended at once")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// reapAll waits for every child, adopted ones included.
func reapAll() {
	for {
		if _, err := unix.Wait4(-1, nil, 0, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
