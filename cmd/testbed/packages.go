//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// debianPackage is a package and the files, or patterns as of filepath.Glob, of
// which any one shows that it is there, from Debian or from elsewhere.
type debianPackage struct {
	name  string
	shows []string
}

var serverPackages = []debianPackage{
	{"dovecot-core", []string{"/usr/sbin/dovecot"}},
	{"dovecot-imapd", []string{"/usr/lib/dovecot/imap"}},
	{"krb5-kdc", []string{kdcProgram}},
	{"krb5-admin-server", []string{kadminProgram}},
	{"krb5-user", []string{kinitProgram}},
	{"dovecot-gssapi", []string{"/usr/lib/dovecot/modules/auth/libmech_gssapi.so"}},
	{"libsasl2-modules-gssapi-mit", []string{"/usr/lib/*/sasl2/libgssapiv2.so", "/usr/lib/sasl2/libgssapiv2.so"}},
	{"libeatmydata1", []string{"/usr/lib/*/libeatmydata.so", "/usr/lib/libeatmydata.so"}},
	{"libsasl2-modules", []string{"/usr/lib/*/sasl2/libscram.so", "/usr/lib/sasl2/libscram.so"}},
	{"libsasl2-modules-sql", []string{"/usr/lib/*/sasl2/libsql.so", "/usr/lib/sasl2/libsql.so"}},
	{"openssl", []string{"/usr/bin/openssl", "/usr/local/bin/openssl"}}, // tests start its s_server
}

// compilerPackages are for -race, which needs cgo. Debian's gcc comes without
// the C library's headers when recommended packages are left out.
var compilerPackages = []debianPackage{
	{"gcc", []string{"/usr/bin/gcc", "/usr/local/bin/gcc"}},
	{"libc6-dev", []string{"/usr/include/stdlib.h"}},
}

// headerPackages are for tests that compile a program against MIT's library, to
// exchange tokens with it. They take 1 MB, and are of no use without a compiler,
// which takes nearly 200.
var headerPackages = []debianPackage{
	{"libkrb5-dev", []string{"/usr/include/gssapi/gssapi_krb5.h"}},
}

// packagesFor lists what the servers and command need.
func packagesFor(command []string) []debianPackage {
	packages := slices.Clone(serverPackages)
	_, err := exec.LookPath("cc")
	compiler := err == nil || os.Getenv("CC") != ""
	if os.Getenv("CC") == "" && strings.Contains(strings.Join(command, " "), "-race") {
		packages = append(packages, compilerPackages...)
		compiler = true
	}
	if compiler {
		packages = append(packages, headerPackages...)
	}
	return packages
}

func missing(packages []debianPackage) []string {
	var names []string
	for _, p := range packages {
		if !p.present() {
			names = append(names, p.name)
		}
	}
	return names
}

func (p debianPackage) present() bool {
	for _, file := range p.shows {
		if found, _ := filepath.Glob(file); found != nil {
			return true
		}
	}
	return false
}

// install installs what is not there of what the servers and command need.
func install(command []string, progress io.Writer) error {
	packages := packagesFor(command)
	if p, found := findCyrus(); !found || !p.complete() {
		if _, err := exec.LookPath("apt-get"); err != nil {
			return whoInstalls(append(missing(packages), cyrusPackages...), false, false)
		}
		libraries, err := unpackCyrus(progress)
		if err != nil {
			return fmt.Errorf("no Cyrus IMAP: %w", err)
		}
		packages = append(packages, libraries...)
	}
	return installMissing(packages, progress)
}

// installMissing installs with apt what is not there of packages. Progress and
// apt's own words go to progress.
func installMissing(packages []debianPackage, progress io.Writer) error {
	names := missing(packages)
	if len(names) == 0 {
		return nil
	}
	_, err := exec.LookPath("apt-get")
	if err := whoInstalls(names, err == nil, os.Geteuid() == 0); err != nil {
		return err
	}
	fmt.Fprintf(progress, "testbed: installing %s\n", strings.Join(names, " "))
	resume, err := holdServices(policyFile)
	if err != nil {
		return err
	}
	defer resume()
	// Lists that cannot be had are no reason to give up: the old ones may do.
	_ = aptGet(progress, "", "update")
	if err := aptGet(progress, "", installArgs(names)...); err != nil {
		return fmt.Errorf("apt-get install: %w", err)
	}
	if left := missing(packages); len(left) > 0 {
		return fmt.Errorf("apt-get has installed %s, but not where this program looks", strings.Join(left, " "))
	}
	return nil
}

func installArgs(names []string) []string {
	return append([]string{"install", "-y", "--no-install-recommends", "--no-upgrade"}, names...)
}

// whoInstalls returns nil if we can, else an error that says what to do.
func whoInstalls(names []string, haveApt, root bool) error {
	switch {
	case !haveApt:
		return fmt.Errorf("needs what Debian has in the packages %s; please install that", strings.Join(names, ", "))
	case !root:
		return fmt.Errorf("needs packages that only root can install: apt-get %s", strings.Join(installArgs(names), " "))
	}
	return nil
}

// aptGet runs apt-get in dir. It waits for another apt or dpkg to end, asks
// nothing and removes nothing.
func aptGet(output io.Writer, dir string, args ...string) error {
	cmd := exec.Command("apt-get", append([]string{"-q", "-o", "DPkg::Lock::Timeout=600", "--no-remove"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, output, output
	return cmd.Run()
}

// policyFile is asked by Debian's packages before they start a service.
const policyFile = "/usr/sbin/policy-rc.d"

// holdServices keeps packages from starting their services at once, with their
// stock configuration on the well-known ports, until resume is called. A policy
// that the machine already has stays in force.
func holdServices(policy string) (resume func(), err error) {
	file, err := os.OpenFile(policy, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	resume = func() { os.Remove(policy) }
	_, err = io.WriteString(file, "#!/bin/sh\n# Made by imclient's testbed while it installs packages.\nexit 101\n")
	if err := errors.Join(err, file.Close()); err != nil {
		resume()
		return nil, err
	}
	return resume, nil
}
