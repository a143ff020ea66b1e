//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCompilerIsNeededForRaceOnly(t *testing.T) {
	t.Setenv("CC", "")
	cases := []struct {
		command []string
		want    bool
	}{
		{[]string{"go", "test", "./..."}, false},
		{[]string{"go", "test", "-race", "./..."}, true},
		{[]string{"sh", "-c", "go vet ./... && go test -race ./..."}, true},
	}
	for _, c := range cases {
		packages := packagesFor(c.command)
		if got := asked(packages, "gcc"); got != c.want {
			t.Errorf("a C compiler must be asked for where -race is used: %q: %v", c.command, got)
		}
		if !asked(packages, "dovecot-imapd") {
			t.Errorf("Dovecot must be asked for always: %q", c.command)
		}
	}
	t.Setenv("CC", "clang")
	if asked(packagesFor([]string{"go", "test", "-race"}), "gcc") {
		t.Error("who names a compiler must not be given another")
	}
}

func TestHeadersAreNeededWithACompilerOnly(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // no cc
	for _, c := range []struct {
		cc      string
		command []string
		want    bool
	}{
		{"", []string{"go", "test"}, false},
		{"", []string{"go", "test", "-race"}, true},
		{"clang", []string{"go", "test"}, true},
	} {
		t.Setenv("CC", c.cc)
		if got := asked(packagesFor(c.command), "libkrb5-dev"); got != c.want {
			t.Errorf("headers must be asked for where there is a compiler: CC=%s %q: %v", c.cc, c.command, got)
		}
	}
	if err := os.WriteFile(filepath.Join(os.Getenv("PATH"), "cc"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CC", "")
	if !asked(packagesFor([]string{"go", "test"}), "libkrb5-dev") {
		t.Error("headers must be asked for where cc is there")
	}
}

func asked(packages []debianPackage, name string) bool {
	return slices.ContainsFunc(packages, func(p debianPackage) bool { return p.name == name })
}

func TestMissing(t *testing.T) {
	there := filepath.Join(t.TempDir(), "there")
	if err := os.WriteFile(there, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	got := missing([]debianPackage{
		{"all-there", []string{there}},
		{"elsewhere", []string{"/no/such/file", there}},
		{"pattern", []string{filepath.Dir(there) + "/t*e"}},
		{"gone", []string{"/no/such/file"}},
		{"gone-too", []string{there + "/below-a-file"}},
	})
	if want := []string{"gone", "gone-too"}; !slices.Equal(got, want) {
		t.Errorf("a package is missing when none of its files is there: %q, want %q", got, want)
	}
	if err := installMissing([]debianPackage{{"all-there", []string{there}}}, nil); err != nil {
		t.Errorf("nothing must be done when nothing is missing: %v", err)
	}
}

func TestSharedLibraries(t *testing.T) {
	// From cyrus-common's, shortened.
	const depends = "adduser, default-mta | mail-transport-agent, libsasl2-modules, perl:any, debconf (>= 0.5) | debconf-2.0," +
		" libc6 (>= 2.34), libcom-err2:amd64 (>= 1.43.9), libssl3 (>= 3.0.0) | libssl4"
	var got []string
	for _, p := range sharedLibraries(depends) {
		got = append(got, p.name)
	}
	if want := []string{"libsasl2-modules", "libc6", "libcom-err2", "libssl3"}; !slices.Equal(got, want) {
		t.Errorf("libraries, and nothing else, must be installed: %q, want %q", got, want)
	}
	if names := missing(sharedLibraries("libno-such-library1, libc6")); !slices.Equal(names, []string{"libno-such-library1"}) {
		t.Errorf("a library must be missing when dpkg does not know it: %q", names)
	}
	if sharedLibraries("") != nil {
		t.Error("what depends on nothing needs no libraries")
	}
}

func TestWhoInstalls(t *testing.T) {
	names := []string{"dovecot-core", "dovecot-imapd"}
	if err := whoInstalls(names, true, true); err != nil {
		t.Errorf("root must install: %v", err)
	}
	err := whoInstalls(names, true, false)
	if err == nil || !strings.Contains(err.Error(), "apt-get install -y --no-install-recommends --no-upgrade dovecot-core dovecot-imapd") {
		t.Errorf("who is not root must get the line to give to root: %v", err)
	}
	for _, root := range []bool{false, true} {
		err = whoInstalls(names, false, root)
		if err == nil || strings.Contains(err.Error(), "apt-get") || !strings.Contains(err.Error(), "dovecot-core, dovecot-imapd") {
			t.Errorf("who has no apt must get the names alone: %v", err)
		}
	}
}

func TestHoldServices(t *testing.T) {
	policy := filepath.Join(t.TempDir(), "policy-rc.d")
	resume, err := holdServices(policy)
	if err != nil {
		t.Fatal(err)
	}
	if !refuses(policy) {
		t.Error("a package that asks whether it may start its service must be refused")
	}
	resume()
	if exists(policy) {
		t.Error("the policy must be gone when the installation is over")
	}

	const own = "#!/bin/sh\nexit 0\n"
	if err := os.WriteFile(policy, []byte(own), 0o755); err != nil {
		t.Fatal(err)
	}
	resume, err = holdServices(policy)
	if err != nil {
		t.Fatal(err)
	}
	resume()
	if text, err := os.ReadFile(policy); string(text) != own {
		t.Errorf("a policy that was there must stay as it was: %q, %v", text, err)
	}
	if _, err := holdServices(filepath.Join(policy, "below-a-file")); err == nil {
		t.Error("where no policy can be written, the caller must know")
	}
}

// refuses runs a policy-rc.d as Debian's invoke-rc.d does; 101 is "forbidden".
func refuses(policy string) bool {
	cmd := exec.Command(policy, "dovecot", "start")
	_ = cmd.Run()
	return cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == 101
}
