package main

import "syscall"

// childAttributes: a process group of its own, so that a Ctrl-C at the terminal
// leaves the server alive for the LOGOUTs; and no survival without the parent,
// even when the child is too busy to notice that its stdin ended.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
