//go:build unix && !linux

package main

import "syscall"

// childAttributes: a process group of its own, so that a Ctrl-C at the terminal
// leaves the server alive for the LOGOUTs. That the parent died the child sees
// by the end of its stdin.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
