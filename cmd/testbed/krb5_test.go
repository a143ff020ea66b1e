//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestKDC(t *testing.T) {
	b := startServers(t)
	t.Run("passwords", func(t *testing.T) { testKinitByPassword(t, b.vars) })
	t.Run("keytabs", func(t *testing.T) { testKinitByKeytab(t, b.vars) })
	t.Run("preauthentication", func(t *testing.T) { testPreauthentication(t, b.vars) })
	t.Run("short life", func(t *testing.T) { testShortLife(t, b.vars) })
	t.Run("services", func(t *testing.T) { testServices(t, b.vars) })
	t.Run("other realms", func(t *testing.T) { testOtherRealms(t, b.vars) })
}

// mitTool runs one of MIT's programs as a user would who has no other
// configuration than KRB5_CONFIG.
func mitTool(vars map[string]string, input, name string, args ...string) (output string, err error) {
	cmd := exec.Command(name, args...)
	cmd.Env = []string{"KRB5_CONFIG=" + vars["KRB5_CONFIG"]}
	cmd.Stdin = strings.NewReader(input)
	all, err := cmd.CombinedOutput()
	return string(all), err
}

// newCCache is the name of a ticket cache that is not there yet.
func newCCache(t *testing.T) string { return "FILE:" + filepath.Join(t.TempDir(), "ccache") }

// ownCCache is a copy of the reading account's ticket.
func ownCCache(t *testing.T, vars map[string]string) string {
	t.Helper()
	data, err := os.ReadFile(strings.TrimPrefix(vars["KRB5_CCACHE"], "FILE:"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ccache")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return "FILE:" + file
}

func testKinitByPassword(t *testing.T, vars map[string]string) {
	realm := "@" + vars["KRB5_REALM"]
	for principal, password := range map[string]string{
		vars["KRB5_PRINCIPAL"]:      vars["KRB5_PASSWORD"],
		vars["USER"] + realm:        vars["PASSWORD"],
		vars["USER2"] + realm:       vars["PASSWORD2"],
		vars["ADMIN"] + realm:       vars["ADMINPASSWORD"],
		vars["KRB5_SHORTPRINCIPAL"]: vars["KRB5_SHORTPASSWORD"],
	} {
		if output, err := mitTool(vars, password+"\n", "kinit", "-c", newCCache(t), principal); err != nil {
			t.Errorf("%s must get a ticket: %v: %s", principal, err, output)
		}
		if _, err := mitTool(vars, password+"x\n", "kinit", "-c", newCCache(t), principal); err == nil {
			t.Errorf("%s must not get a ticket for a wrong password", principal)
		}
	}
}

func testKinitByKeytab(t *testing.T, vars map[string]string) {
	files := map[string][]string{vars["KRB5_CLIENT_KEYTAB"]: nil}
	for _, e := range encTypes {
		files[vars["KRB5_CLIENT_KEYTAB"]] = append(files[vars["KRB5_CLIENT_KEYTAB"]], e.mit)
		files[filepath.Join(vars["KRB5_CLIENT_KEYTABS"], e.name+".keytab")] = []string{e.mit}
	}
	for file, types := range files {
		listed, err := mitTool(vars, "", "klist", "-k", "-e", file)
		if got := encTypesIn(listed); err != nil || !slices.Equal(got, types) {
			t.Errorf("%s must have keys of %q: %q, %v: %s", file, types, got, err, listed)
		}
		if output, err := mitTool(vars, "", "kinit", "-c", newCCache(t), "-k", "-t", file, vars["KRB5_PRINCIPAL"]); err != nil {
			t.Errorf("a keytab must do for a ticket: %s: %v: %s", file, err, output)
		}
	}
}

var keytabLine = regexp.MustCompile(`(?m)@\S+ \((?:DEPRECATED:)?([^)]+)\)`)

func encTypesIn(keytab string) []string {
	var types []string
	for _, line := range keytabLine.FindAllStringSubmatch(keytab, -1) {
		types = append(types, line[1])
	}
	return types
}

// testPreauthentication reads in the log who was asked for it.
func testPreauthentication(t *testing.T, vars map[string]string) {
	for user, c := range map[string]struct {
		password string
		asked    bool
	}{
		vars["USER"]:  {vars["PASSWORD"], true},
		vars["USER2"]: {vars["PASSWORD2"], false},
		vars["ADMIN"]: {vars["ADMINPASSWORD"], true},
	} {
		principal := user + "@" + vars["KRB5_REALM"]
		log := logged(t, vars, func() {
			if output, err := mitTool(vars, c.password+"\n", "kinit", "-c", newCCache(t), principal); err != nil {
				t.Errorf("%s must get a ticket: %v: %s", principal, err, output)
			}
		})
		if strings.Contains(log, "NEEDED_PREAUTH: "+principal) != c.asked {
			t.Errorf("%s must need preauthentication: %v: %s", principal, c.asked, log)
		}
	}
}

// logged returns what the KDC writes into its log while f runs.
func logged(t *testing.T, vars map[string]string, f func()) string {
	t.Helper()
	before, err := os.ReadFile(vars["KRB5_KDC_LOG"])
	if err != nil {
		t.Fatal(err)
	}
	f()
	after, err := os.ReadFile(vars["KRB5_KDC_LOG"])
	if err != nil {
		t.Fatal(err)
	}
	return string(after[len(before):])
}

var tgtTimes = regexp.MustCompile(`(?m)^(\S+ \S+)  (\S+ \S+)  krbtgt/`)

func testShortLife(t *testing.T, vars map[string]string) {
	ccache := newCCache(t)
	if output, err := mitTool(vars, vars["KRB5_SHORTPASSWORD"]+"\n", "kinit", "-c", ccache, vars["KRB5_SHORTPRINCIPAL"]); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	listed, err := mitTool(vars, "", "klist", "-c", ccache)
	times := tgtTimes.FindStringSubmatch(listed)
	if err != nil || times == nil {
		t.Fatalf("%v: %s", err, listed)
	}
	const layout = "01/02/06 15:04:05" // of klist in the C locale
	begins, beginsErr := time.Parse(layout, times[1])
	ends, endsErr := time.Parse(layout, times[2])
	if life := ends.Sub(begins); beginsErr != nil || endsErr != nil || life != 10*time.Second {
		t.Errorf("a ticket of %s must be good for 10 seconds: %v, %v, %v: %s", vars["KRB5_SHORTPRINCIPAL"], life, beginsErr, endsErr, listed)
	}
}

// testServices gets a ticket for each service and looks at the types of the
// session key and of the service's own.
func testServices(t *testing.T, vars map[string]string) {
	wanted := map[string]string{"localhost": encTypes[0].mit, plainHost: encTypes[0].mit, "nokeytab.test": encTypes[0].mit}
	for _, e := range encTypes {
		wanted[e.name+".test"] = e.mit
	}
	keys, err := mitTool(vars, "", "klist", "-k", vars["KRB5_SERVICE_KEYTAB"])
	if err != nil {
		t.Fatalf("%v: %s", err, keys)
	}
	for host, encType := range wanted {
		ccache, service := ownCCache(t, vars), "imap/"+host+"@"+vars["KRB5_REALM"]
		if output, err := mitTool(vars, "", "kvno", "-c", ccache, service); err != nil {
			t.Errorf("there must be a ticket for %s: %v: %s", service, err, output)
		}
		listed, err := mitTool(vars, "", "klist", "-e", "-c", ccache)
		types := regexp.MustCompile(`(?s)  ` + regexp.QuoteMeta(service) + `\n.*?Etype \(skey, tkt\): (?:DEPRECATED:)?(\S+), (?:DEPRECATED:)?(\S+)`).FindStringSubmatch(listed)
		if err != nil || types == nil || types[1] != encType || types[2] != encType {
			t.Errorf("the session key and the key of %s must be of %s: %q, %v: %s", service, encType, types, err, listed)
		}
		if strings.Contains(keys, " "+service+"\n") == (host == "nokeytab.test") {
			t.Errorf("the servers must have the key of each service but one: %s: %s", service, keys)
		}
	}
}

var issued = regexp.MustCompile(`TGS_REQ .* ISSUE: .* for (\S+)\n`)

// testOtherRealms reads in the log by which realms a client gets to the others.
func testOtherRealms(t *testing.T, vars map[string]string) {
	for _, c := range []struct{ host, realm, through string }{
		{vars["KRB5_FARHOST"], vars["KRB5_FARREALM"], middleRealm},
		{vars["KRB5_DEEPHOST"], vars["KRB5_DEEPREALM"], subRealm},
	} {
		log := logged(t, vars, func() {
			if output, err := mitTool(vars, "", "kvno", "-c", ownCCache(t, vars), "-S", "imap", c.host); err != nil {
				t.Errorf("a client must find the way to %s: %v: %s", c.realm, err, output)
			}
		})
		var way []string
		for _, line := range issued.FindAllStringSubmatch(log, -1) {
			way = append(way, line[1])
		}
		if want := []string{
			fmt.Sprintf("krbtgt/%s@%s", c.through, vars["KRB5_REALM"]),
			fmt.Sprintf("krbtgt/%s@%s", c.realm, c.through),
			fmt.Sprintf("imap/%s@%s", c.host, c.realm),
		}; !slices.Equal(way, want) {
			t.Errorf("the only way to %s must be %q: %q", c.realm, want, way)
		}
	}
}

// TestMachinesKerberosIsNotUsed puts what no program can read in the place of the
// machine's configuration, seen by the bed alone, and points to it in the bed's
// environment.
func TestMachinesKerberosIsNotUsed(t *testing.T) {
	const machines = "/etc/krb5.conf"
	if os.Geteuid() != 0 || !exists(machines) {
		t.Skip("needs root and a configuration to cover")
	}
	alone := exec.Command("/bin/mount", "--bind", "/etc", "/etc")
	alone.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if err := alone.Run(); err != nil {
		t.Skip("needs mounts that only its children see, which this system does not grant: ", err)
	}
	garbage := filepath.Join(t.TempDir(), "garbage")
	if err := os.WriteFile(garbage, []byte("[libdefaults\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := actor(t, realBed, "-serve")
	cmd.Args = append([]string{"sh", "-c", `mount --bind "$0" ` + machines + ` && exec "$@"`, garbage, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	cmd.Env = append(cmd.Env, "KRB5_CONFIG="+garbage, "KRB5_KDC_PROFILE="+garbage, "KRB5CCNAME=FILE:"+garbage, "KRB5_KTNAME="+garbage)
	cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS
	b := startServersBy(t, cmd)
	if output, err := mitTool(b.vars, "", "kvno", "-c", ownCCache(t, b.vars), "imap/localhost"); err != nil {
		t.Errorf("the KDC must not need the machine's configuration: %v: %s", err, output)
	}
	for _, server := range []string{"DOVECOT", "CYRUS"} {
		l := gssapiLogin{ccache: ownCCache(t, b.vars), as: b.vars["USER"], service: "localhost", layer: "0"}
		if _, err := l.through(t, b.vars, server); err != nil {
			t.Errorf("%s must not need the machine's configuration: %v", server, err)
		}
	}
}

func TestKDCThatDoesNotStart(t *testing.T) {
	if missing(serverPackages) != nil {
		t.Skip("needs a KDC; run it as: go run ./cmd/testbed go test ./...")
	}
	runtime.LockOSThread() // as main does; see startGroup
	defer runtime.UnlockOSThread()
	k := &kdc{owner: ourselves(), krb5Dir: krb5Dir(t.TempDir()), Port: 1}
	if err := k.prepare(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(k.Database(farRealm)); err != nil {
		t.Fatal(err)
	}
	processes, err := k.start()
	if err != nil {
		t.Fatal(err)
	}
	s := k.server(processes, func() {})
	if err := s.await(context.Background()); err == nil || !strings.Contains(err.Error(), farRealm) {
		t.Errorf("the error must show what the KDC says: %v", err)
	}
}

func TestComplaintsOfMITsPrograms(t *testing.T) {
	if missing(serverPackages) != nil {
		t.Skip("needs a KDC; run it as: go run ./cmd/testbed go test ./...")
	}
	k := &kdc{owner: ourselves(), krb5Dir: krb5Dir(t.TempDir())}
	if err := k.prepare(); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"no_such_command\n", addUser(readUser, readPassword, "") + "\n"} {
		if err := k.run(kadminProgram, command, "-r", homeRealm); err == nil {
			t.Errorf("what kadmin.local complains about must be an error: %q", command)
		}
	}
	if err := k.run(kdbProgram, "", "-r", homeRealm, "no_such_command"); err == nil || !strings.Contains(err.Error(), "kdb5_util: ") {
		t.Errorf("the error must say which program it is from: %v", err)
	}
}

func TestKDCConfig(t *testing.T) {
	k := &kdc{krb5Dir: "/tmp/testbed-1/krb5", Port: 4567}
	for _, c := range []struct{ config, lines string }{
		{string(executed(krb5Conf, k)), "    default_realm = IMCLIENT.TEST\n"},
		{string(executed(krb5Conf, k)), "    default_ccache_name = FILE:/tmp/testbed-1/krb5/client.ccache\n"},
		{string(executed(krb5Conf, k)), "    FAR.TEST = {\n        kdc = 127.0.0.1:4567\n    }\n"},
		{string(executed(kdcConf, k)), "    kdc_listen = 127.0.0.1:4567\n"},
		{string(executed(kdcConf, k)), "    kdc_tcp_listen = 127.0.0.1:4567\n"},
		{string(executed(kdcConf, k)), "    FAR.TEST = {\n        database_name = /tmp/testbed-1/krb5/FAR.TEST.db\n"},
		{string(executed(kdcConf, k)), "    kdc = FILE:/tmp/testbed-1/krb5/kdc.log\n"},
	} {
		if !strings.Contains(c.config, "\n"+c.lines) {
			t.Errorf("the configuration must have the lines %q:\n%s", c.lines, c.config)
		}
	}
}
