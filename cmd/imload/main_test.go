package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// runEnv makes the test binary the command, for tests that need a process.
const runEnv = "IMLOAD_TEST_RUN"

func TestMain(m *testing.M) {
	if os.Getenv(serverEnv) != "" || os.Getenv(runEnv) != "" {
		main()
	}
	os.Exit(m.Run())
}

// imload runs the command in this process.
func imload(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	status = run(args, strings.NewReader(""), &out, &err)
	return status, out.String(), err.String()
}

// imloadJSON runs the command with -json and reads what it printed.
func imloadJSON(t *testing.T, args ...string) (int, *report) {
	t.Helper()
	status, stdout, stderr := imload(t, append(args, "-json")...)
	r := &report{}
	if err := json.Unmarshal([]byte(stdout), r); err != nil {
		t.Fatalf("stdout must be one JSON object: %v\nstdout: %s\nstderr: %s", err, stdout, stderr)
	}
	return status, r
}

// command is the command as a process of its own.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(executable, args...)
	cmd.Env = append(os.Environ(), runEnv+"=1")
	return cmd
}

func (r *report) count(v verb) int64 {
	for _, row := range r.Verbs {
		if row.Verb == v.String() {
			return row.Count
		}
	}
	return 0
}

func (r *report) hasError(kind string) bool {
	return slices.ContainsFunc(r.Errors, func(e kindCount) bool { return e.Kind == kind })
}

func TestEveryConnectionDoesEverything(t *testing.T) {
	const n = 20
	status, r := imloadJSON(t, "-n", "20", "-commands", "600")
	if status != exitOK || r.ErrorsTotal != 0 {
		t.Fatalf("the run must succeed: status %d, errors %v", status, r.Errors)
	}
	if r.Commands < 600 {
		t.Errorf("600 commands must complete, %d did", r.Commands)
	}
	if c := r.Connections; c.Wanted != n || c.Admitted != n || c.Peak != n {
		t.Errorf("all %d connections must get in and stay: %+v", n, c)
	}
	for _, v := range []verb{verbLogin, verbSelect, verbNoop, verbHeaders, verbBody, verbStore, verbLogout, verbConnect} {
		if r.count(v) < n {
			t.Errorf("each of %d connections must %v at least once, there are %d", n, v, r.count(v))
		}
	}
	for _, v := range []verb{verbIdle, verbAppend, verbWake, verbDelete, verbExpunge} {
		if r.count(v) == 0 {
			t.Errorf("there must be %v", v)
		}
	}
	if c := r.Checked; c.Headers < n || c.Bodies < n || c.Generated != c.Headers+c.Bodies {
		t.Errorf("all mail must have been compared with what was generated: %+v", c)
	}
	if r.BytesIn < uint64(r.Checked.Bytes) || r.BytesOut == 0 {
		t.Errorf("the bytes of all connections must be counted: in %d, out %d, of mail %d", r.BytesIn, r.BytesOut, r.Checked.Bytes)
	}
	if r.Goroutines.AtWork > 10 {
		t.Errorf("20 connections must not take %d goroutines", r.Goroutines.AtWork)
	}
}

func TestOddNumbersAndOddMixes(t *testing.T) {
	for _, args := range [][]string{
		{"-n", "1", "-commands", "40"},
		{"-n", "2", "-commands", "40", "-mix", "idle=1"},
		{"-n", "3", "-commands", "60", "-mix", "idle=1", "-depth", "3"},
		{"-n", "5", "-commands", "200", "-depth", "16"},
		{"-n", "4", "-commands", "200", "-mix", "select=1,idle=1,noop=1"},
		{"-n", "7", "-commands", "200", "-mix", "noop=0,store=1"},
		{"-n", "2", "-commands", "60", "-messages", "1"},
		{"-n", "6", "-commands", "1"},
	} {
		status, r := imloadJSON(t, args...)
		if status != exitOK || r.ErrorsTotal != 0 {
			t.Errorf("imload %s must succeed: status %d, errors %v", strings.Join(args, " "), status, r.Errors)
		}
		if in, out := r.count(verbLogin), r.count(verbLogout); in != out {
			t.Errorf("imload %s: who logs in must log out: %d did, %d did", strings.Join(args, " "), in, out)
		}
	}
}

func TestLoginInTheMixLogsInAgain(t *testing.T) {
	status, r := imloadJSON(t, "-n", "4", "-commands", "300", "-mix", "login=1,idle=1")
	if status != exitOK || r.ErrorsTotal != 0 {
		t.Fatalf("the run must succeed: status %d, errors %v", status, r.Errors)
	}
	if logins := r.count(verbLogin); logins < 8 || logins != r.count(verbLogout) || logins != r.count(verbConnect) {
		t.Errorf("connections must log in again, each time on a new connection, after a LOGOUT: %d logins, %d logouts, %d connects",
			logins, r.count(verbLogout), r.count(verbConnect))
	}
	if r.Connections.Admitted != 4 {
		t.Errorf("four connections are four, however often they log in, not %d", r.Connections.Admitted)
	}
}

func TestTableAndProgressGoApart(t *testing.T) {
	status, stdout, stderr := imload(t, "-n", "4", "-commands", "100", "-trace")
	if status != exitOK {
		t.Fatalf("the run must succeed: status %d\n%s", status, stderr)
	}
	for _, want := range []string{"4 connections to the embedded server\n", "p99.9", "fetch-body ", "total ", "wake ", "errors         none"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the table must contain %q:\n%s", want, stdout)
		}
	}
	for _, want := range []string{"C: ", "LOGIN u0 ***", "S: ", "LOGOUT"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("the trace on stderr must contain %q:\n%s", want, stderr)
		}
	}
	if strings.Contains(stdout, "C: ") {
		t.Errorf("the trace must not be on stdout:\n%s", stdout)
	}
}

// TestDurationEndsTheRun does not ask how much was done: on a busy machine not
// even a connection may come about.
func TestDurationEndsTheRun(t *testing.T) {
	status, r := imloadJSON(t, "-n", "2", "-d", "50ms")
	if status != exitOK || r.ErrorsTotal != 0 || r.Interrupted {
		t.Errorf("a run bounded by time must end well: status %d, errors %v, interrupted %v", status, r.Errors, r.Interrupted)
	}
}

func TestWrongUse(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ args, want string }{
		{"-n 0", "-n must be at least 1"},
		{"-n 2000000000", "-n 2000000000: this process may have "},
		{"-n x", "-n"},
		{"-d -1s", "-d must not be negative"},
		{"-commands 0", "-commands must be at least 1"},
		{"-depth 0", "-depth must be from 1 to 1000"},
		{"-depth 1001", "-depth must be from 1 to 1000"},
		{"-messages 0", "-messages must be from 1 to 10000"},
		{"-messages 10001", "-messages must be from 1 to 10000"},
		{"-mix fetch=1", `-mix: unknown verb "fetch"`},
		{"-n 1 -mix idle=1", "idle needs a second connection"},
		{"-q", "-q"},
		{"-tls -starttls", "exclude each other"},
		{"-workers 2", "-workers needs -tls or -starttls"},
		{"-tls -workers -1", "-workers must be from 0 to "},
		{"-insecure", "-insecure needs -tls or -starttls"},
		{"-no-resume", "-no-resume needs -tls or -starttls"},
		{"-tls -ca x", "-ca is for a real server"},
		{"-starttls -insecure", "-insecure is for a real server"},
		{"-host localhost -tls -insecure -ca x", "one of them"},
		{"-host localhost -tls -key x", "-key needs -cert"},
		{"now", `"now" is no flag`},
		{"-user alice", "-user is for a real server"},
		{"-fill", "-fill is for a real server"},
		{"-host localhost", "-host needs -user"},
		{"-host localhost -user alice", "-host needs -password-file"},
		{"-host localhost -user a%s -password-file " + empty, "%d is the only %"},
		{"-host localhost -user a -password-file " + empty, "is empty"},
		{"-host localhost -user a -password-file /nowhere/file", "/nowhere/file"},
		{"-host localhost -user a -password-file " + empty + " -mailbox=", "-mailbox must not be empty"},
		{"-auth kerberos", `no mechanism "kerberos" here: imload -auth help lists them`},
		{"-auth=", "imload -auth help"},
		{"-auth plain-plus", `"plain-plus"`},
		{"-auth plain,,login", `""`},
		{"-auth scram-sha-1-plus,plain", "-PLUS forms go with nothing else"},
		{"-auth anonymous,plain", "ANONYMOUS goes with nothing else"},
		{"-auth digest-md5", "the embedded server has only EXTERNAL SCRAM-SHA-512 "},
		{"-auth plain,digest-md5", "for DIGEST-MD5 there is -host"},
		{"-auth external", "-auth external needs -tls or -starttls"},
		{"-auth scram-sha-1-plus", "-auth scram-sha-1-plus needs -tls or -starttls"},
		{"-auth plain -prot some", `-prot: "some"`},
		{"-prot integrity", "-prot needs -auth"},
		{"-auth plain -authz x", "-authz is for a real server"},
		{"-auth plain -token-file x", "-token-file is for a real server"},
		{"-host localhost -user a -token-file x", "-token-file needs -auth"},
		{"-host localhost -user a -auth cram-md5", "-auth cram-md5 needs -password-file"},
		{"-host localhost -user a -auth xoauth2 -password-file " + empty, "-auth xoauth2 needs -token-file"},
		{"-host localhost -user a -auth xoauth2 -token-file " + empty, "-token-file: the first line of"},
		{"-host localhost -user a -auth any -password-file - -token-file -", "cannot both be stdin"},
		{"-host localhost -auth plain -password-file " + empty, "-host needs -user"},
		{"-host localhost -auth external -tls", "-auth external needs -cert"},
		{"-host localhost -auth anonymous -user a", "-auth ANONYMOUS logs nobody in"},
		{"-host localhost -user a%d -authz b -auth plain -password-file " + empty, "-authz: -user is one"},
		{"-host localhost -user a -authz b%s -auth plain -password-file " + empty, "-authz: %d is the only %"},
	} {
		status, stdout, stderr := imload(t, strings.Fields(test.args)...)
		if status != exitUsage || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, test.want) {
			t.Errorf("imload %s must say %q in one line and exit with 2: status %d, stdout %q, stderr %q",
				test.args, test.want, status, stdout, stderr)
		}
	}
}

func TestHelpFitsAScreen(t *testing.T) {
	status, stdout, stderr := imload(t, "-h")
	if status != exitOK || stderr != "" {
		t.Errorf("-h must succeed: status %d, stderr %q", status, stderr)
	}
	lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	if len(lines) > 45 {
		t.Errorf("-h must fit 45 lines, has %d", len(lines))
	}
	for _, line := range lines {
		if len(line) > 80 {
			t.Errorf("-h must fit 80 columns: %q", line)
		}
	}
	for _, flag := range []string{"-n ", "-d ", "-commands ", "-depth ", "-messages ", "-mix ", "-seed ", "-json", "-trace",
		"-host ", "-port ", "-user ", "-password-file ", "-mailbox ", "-fill", "-cleartext",
		"-auth ", "-authz ", "-prot ", "-token-file ", "-tls, ", "-starttls ", "-ca ", "-cert ", "-key ", "-insecure ", "-no-resume ", "-workers "} {
		if !strings.Contains(stdout, flag) {
			t.Errorf("-h must explain %s", flag)
		}
	}
}

func TestPasswordFromStdin(t *testing.T) {
	o, err := parseOptions(strings.Fields("-host h -user u -password-file -"), strings.NewReader("se cret\r\nmore\n"))
	if err != nil || o.password != "se cret" {
		t.Errorf("the first line of stdin is the password: %v", err)
	}
}
