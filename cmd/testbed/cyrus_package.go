//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// cyrusPackages hold the programs of Cyrus IMAP. Debian lets only one IMAP server
// be installed, so these are unpacked into a directory, and of what they depend
// on only the shared libraries are installed: no service, no user, no mail
// transport agent.
var cyrusPackages = []string{"cyrus-common", "cyrus-imapd", "cyrus-clients"}

// cyrusNeeded are the programs, one from each package. imtest is a client: tests
// see with it, before they trust the servers, that they let others than us in.
var cyrusNeeded = []string{"lib/cyrus/bin/master", "lib/cyrus/bin/imapd", "lib/cyrus/bin/imtest"}

// cyrusPrograms are the programs of Cyrus IMAP.
type cyrusPrograms struct {
	usr       string // what they are packed to have as /usr
	libraries string // the directory of Cyrus's own shared libraries; "" where the system finds them
}

func (p cyrusPrograms) Program(name string) string { return filepath.Join(p.usr, name) }

// findCyrus looks for the programs where the system has them, where this user has
// unpacked them, and where root has.
func findCyrus() (p cyrusPrograms, found bool) {
	roots := []string{"/"}
	if cache, err := cacheDir(); err == nil {
		roots = append(roots, filepath.Join(cache, "cyrus"))
	}
	for _, root := range append(roots, filepath.Join(cacheOfRoot, "cyrus")) {
		p := cyrusPrograms{usr: filepath.Join(root, "usr")}
		if !p.present() {
			continue
		}
		if own, _ := filepath.Glob(p.Program("lib/*/libcyrus.so.0")); own != nil && root != "/" {
			p.libraries = filepath.Dir(own[0])
		}
		return p, true
	}
	return cyrusPrograms{}, false
}

// present reports whether there is a program from each package.
func (p cyrusPrograms) present() bool {
	for _, name := range cyrusNeeded {
		if _, err := os.Stat(p.Program(name)); err != nil {
			return false
		}
	}
	return true
}

// complete reports whether the shared libraries that the programs need are there.
func (p cyrusPrograms) complete() bool {
	ldd := exec.Command("ldd", p.Program("lib/cyrus/bin/imapd"))
	ldd.Env = p.environ()
	output, err := ldd.Output()
	return err == nil && !bytes.Contains(output, []byte("not found"))
}

// environ is the environment in which the programs find their libraries.
func (p cyrusPrograms) environ() []string {
	if p.libraries == "" {
		return os.Environ()
	}
	return append(os.Environ(), "LD_LIBRARY_PATH="+p.libraries)
}

// cacheOfRoot can be read by everybody, as it must be for the servers' own user.
const cacheOfRoot = "/var/cache/imclient-testbed"

// cacheDir makes the directory where this user keeps what later testbeds need,
// too, and returns its name.
func cacheDir() (string, error) {
	dir := cacheOfRoot
	if os.Geteuid() != 0 {
		caches, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(caches, filepath.Base(cacheOfRoot))
	}
	return dir, errors.Join(os.MkdirAll(dir, 0o755), os.Chmod(dir, 0o755))
}

// unpackCyrus fetches Cyrus with apt, unpacks it, and returns the packages of the
// shared libraries that it needs. Only apt's lists need root.
func unpackCyrus(progress io.Writer) (libraries []debianPackage, err error) {
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp(cache, "unpacking-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	if err := download(progress, work, cyrusPackages); err != nil {
		return nil, err
	}
	archives, _ := filepath.Glob(filepath.Join(work, "*.deb"))
	tree := filepath.Join(work, "tree")
	for _, archive := range archives {
		if output, err := exec.Command("dpkg-deb", "-x", archive, tree).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("dpkg-deb -x %s: %w: %s", archive, err, output)
		}
		depends, err := exec.Command("dpkg-deb", "-f", archive, "Depends").Output()
		if err != nil {
			return nil, fmt.Errorf("dpkg-deb -f %s: %w", archive, err)
		}
		libraries = append(libraries, sharedLibraries(string(depends))...)
	}
	// Another testbed may have been faster, and be using it.
	if p, found := findCyrus(); found && p.complete() {
		return libraries, nil
	}
	dir := filepath.Join(cache, "cyrus")
	return libraries, errors.Join(os.RemoveAll(dir), os.Rename(tree, dir))
}

// download fetches packages into dir, without their dependencies.
func download(progress io.Writer, dir string, packages []string) error {
	fmt.Fprintf(progress, "testbed: fetching %s\n", strings.Join(packages, " "))
	args := append([]string{"download"}, packages...)
	if aptGet(io.Discard, dir, args...) == nil {
		return nil
	}
	if os.Geteuid() == 0 {
		_ = aptGet(progress, dir, "update")
	}
	if err := aptGet(progress, dir, args...); err != nil {
		return fmt.Errorf("apt-get download: %w (apt-get update, by root, may help)", err)
	}
	return nil
}

// sharedLibraries picks from the Depends field of a package those that it needs
// to run at all. What else it depends on is for services and for mail that
// arrives.
func sharedLibraries(depends string) []debianPackage {
	var libraries []debianPackage
	for dependency := range strings.SplitSeq(depends, ",") {
		words := strings.Fields(dependency)
		if len(words) == 0 || !strings.HasPrefix(words[0], "lib") {
			continue
		}
		name, _, _ := strings.Cut(words[0], ":")
		libraries = append(libraries, debianPackage{name, []string{"/var/lib/dpkg/info/" + name + "[:.]*list"}})
	}
	return libraries
}
