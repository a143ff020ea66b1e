//go:build linux

package main

import (
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// The accounts. The second password is hard to quote. Names that start with
// loadPrefix are as many accounts as one likes: each finds an INBOX of its own,
// made when it first logs in, so nothing has to be listed. The administrator may
// act for all of them.
const (
	readUser, readPassword   = "alice", "alice-secret"
	otherUser, otherPassword = "bob", `b"o\b {10}`
	loadPrefix, loadPassword = "load", "load-secret"
	adminUser, adminPassword = "admin", "admin-secret"
	scramUser, scramPassword = "carol", "carol-secret"
)

// accounts says how tests find them.
func accounts() []string {
	return []string{
		"USER=" + readUser, "PASSWORD=" + readPassword,
		"USER2=" + otherUser, "PASSWORD2=" + otherPassword,
		"LOADUSER=" + loadPrefix + "%d", "LOADPASSWORD=" + loadPassword,
		"ADMIN=" + adminUser, "ADMINPASSWORD=" + adminPassword,
		"SCRAMUSER=" + scramUser, "SCRAMPASSWORD=" + scramPassword,
	}
}

// owner is the user of the system who runs the servers and owns their files.
type owner struct {
	User, Group string
	UID, GID    int
}

// chooseOwner settles who runs the servers. They need no root, so they do not get
// it, and one configuration serves whoever runs the testbed. What root starts
// runs as the user whom Debian's package has for the least trusted part of
// Dovecot.
func chooseOwner() (owner, error) {
	u, err := user.Current()
	if err == nil && u.Uid == "0" {
		u, err = user.Lookup("dovenull")
	}
	if err != nil {
		return owner{}, err
	}
	g, err := user.LookupGroupId(u.Gid)
	if err != nil {
		return owner{}, err
	}
	o := owner{User: u.Username, Group: g.Name}
	if o.UID, err = strconv.Atoi(u.Uid); err != nil {
		return owner{}, err
	}
	o.GID, err = strconv.Atoi(u.Gid)
	return o, err
}

// startGroup starts cmd, as the owner, as the leader of a group.
func (o owner) startGroup(cmd *exec.Cmd) (*group, error) {
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(o.UID), Gid: uint32(o.GID)}}
	}
	return startGroup(cmd)
}
