//go:build !linux

package main

import "syscall"

// childAttributes is that of Linux without what only Linux has: a child that is too
// busy to notice that its stdin ended outlives its parent by as long.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
