package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/sasl"
)

// checkLogins looks whether all logged in by one mechanism, and none by LOGIN.
func checkLogins(t *testing.T, status int, r *report, want string) {
	t.Helper()
	if status != exitOK || r.ErrorsTotal != 0 {
		t.Fatalf("the run must succeed: status %d, errors %v", status, r.Errors)
	}
	if len(r.Logins) != 1 || r.Logins[0] != (kindCount{want, r.count(verbLogin)}) {
		t.Errorf("all of %d must have logged in by %s: %v", r.count(verbLogin), want, r.Logins)
	}
}

func TestAuthWithTheEmbeddedServer(t *testing.T) {
	run := func(want string, args ...string) {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			status, r := imloadJSON(t, append(args, "-n", "4", "-messages", "2", "-commands", "60", "-mix", "noop=1,login=1")...)
			checkLogins(t, status, r, want+", no layer")
			if r.count(verbLogin) < 5 {
				t.Errorf("connections must log in again: %d logins", r.count(verbLogin))
			}
		})
	}
	for _, name := range embeddedMechanisms {
		if name == "EXTERNAL" {
			continue // needs TLS
		}
		run(name, "-auth", strings.ToLower(name))
	}
	run("SCRAM-SHA-512", "-auth", "any")
	run("CRAM-MD5", "-auth", "login, Cram-MD5,plain")
	run("SCRAM-SHA-512-PLUS", "-auth", "any", "-tls")
	run("PLAIN", "-auth", "plain", "-tls", "-prot", "privacy")
	for _, mode := range tlsModes {
		run("EXTERNAL", "-auth", "external", mode.flag())
		run("SCRAM-SHA-1-PLUS", "-auth", "scram-sha-1-plus", mode.flag())
	}
	run("SCRAM-SHA-256-PLUS", "-auth", "scram-sha-256", "-starttls")
	run("OAUTHBEARER", "-auth", "oauthbearer", "-tls", "-no-resume")
}

// file is one with a line in it.
func file(t *testing.T, line string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestAuthRefused: one try, one error, and not a word of the secret.
func TestAuthRefused(t *testing.T) {
	server := startServer(t, 1)
	for _, name := range embeddedMechanisms {
		args := []string{"-host", server.host, "-port", server.port, "-auth", name, "-user", "user%d", "-n", "50", "-trace"}
		switch find(name).need {
		case needPassword:
			args = append(args, "-password-file", file(t, "hunter2"))
		case needToken:
			args = append(args, "-token-file", file(t, "hunter2"))
		default:
			continue
		}
		status, stdout, stderr := imload(t, args...)
		if status != exitFailed || !strings.Contains(stdout, "1 x login: NO\n") {
			t.Errorf("%s: a wrong secret must be tried once and no more: status %d\n%s", name, status, stdout)
		}
		if want := "imload: connection 0 (user0): login: " + name + `: server answered NO: "[AUTHENTICATIONFAILED] Authentication failed"`; strings.Count(stderr, want) != 1 {
			t.Errorf("%s: one line must say %q:\n%s", name, want, stderr)
		}
		if strings.Contains(stdout+stderr, "hunter2") {
			t.Errorf("%s: the secret must not be in the output:\n%s%s", name, stdout, stderr)
		}
	}
}

// A server that has the secret takes it from files.
func TestAuthFiles(t *testing.T) {
	server := startConfigured(t, serverConfig{Messages: 2, TLS: tlsFirst})
	ca, _ := server.asAuthority(t)
	args := []string{"-host", server.host, "-port", server.port, "-tls", "-ca", ca, "-messages", "2", "-user", "user%d", "-n", "4", "-commands", "40"}
	args = append(args, "-password-file", file(t, server.password), "-token-file", file(t, server.token))
	for auth, want := range map[string]string{"plain": "PLAIN", "xoauth2,oauthbearer": "OAUTHBEARER", "any": "SCRAM-SHA-512-PLUS"} {
		status, r := imloadJSON(t, append(args, "-auth", auth)...)
		checkLogins(t, status, r, want+", no layer")
	}
}

// TestAuthWithFaultyServers meets servers that are not what they should be.
func TestAuthWithFaultyServers(t *testing.T) {
	offers := func(names string) string { return "* CAPABILITY IMAP4rev1 SASL-IR " + names + "\r\n%s OK\r\n" }
	for _, test := range []struct {
		name, auth string
		answer     script
		want       string
	}{
		{"premature OK", "scram-sha-256", script{"CAPABILITY": offers("AUTH=SCRAM-SHA-256"), "AUTHENTICATE": "%s OK\r\n"},
			"login: OK before the server proved itself"},
		{"BAD", "plain", script{"CAPABILITY": offers("AUTH=PLAIN"), "AUTHENTICATE": "%s BAD\r\n"}, "login: BAD"},
		{"not offered", "scram-sha-1", script{"CAPABILITY": offers("AUTH=PLAIN")}, "login: no mechanism that can be used"},
		{"nothing offered", "any", script{"CAPABILITY": offers("")}, "login: no mechanism that can be used"},
		{"hang-up", "plain", script{"CAPABILITY": offers("AUTH=PLAIN"), "AUTHENTICATE": "* BYE\r\n"}, "login: server hung up"},
		{"no layer", "plain -prot privacy", script{"CAPABILITY": offers("AUTH=PLAIN")}, "login: no mechanism that can be used"},
	} {
		t.Run(test.name, func(t *testing.T) {
			host, port := test.answer.start(t)
			args := append([]string{"-n", "5", "-commands", "10", "-auth"}, strings.Fields(test.auth)...)
			r := newTestFleet(t, host, port, "x", nil, args...).mustRun(t)
			if want := []kindCount{{test.want, 1}}; !slices.Equal(r.Errors, want) || len(r.Logins) != 0 {
				t.Errorf("it must be tried once, and end with %v: %v, logins %v", want, r.Errors, r.Logins)
			}
		})
	}
}

// TestWhyNoLogin: what a person reads.
func TestWhyNoLogin(t *testing.T) {
	no := func(text string) error {
		return errors.Join(sasl.ErrAuthFailed, &conn.ReplyError{Keyword: "NO", Text: text})
	}
	host, port := listen(t, func(c net.Conn) {
		serveText("* OK [CAPABILITY AUTH=CRAM-MD5 AUTH=PLAIN AUTH=SCRAM-SHA-1 AUTH=SCRAM-SHA-1-PLUS] hello\r\n")(c, nil)
	})
	c, err := new(conn.Dialer).Connect(host, port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for !c.Has("AUTH=PLAIN") {
		if err := c.ProcessOneEvent(); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name     string
		auth     authOptions
		refusals []sasl.Refusal
		want     string
	}{
		{"in the clear", authOptions{}, []sasl.Refusal{{Name: "PLAIN", Err: sasl.ErrCleartext}},
			"PLAIN: " + withoutPackages(sasl.ErrCleartext) + " (-tls and -starttls encrypt, -cleartext permits it)"},
		{"not offered", authOptions{}, []sasl.Refusal{{Name: "LOGIN", Err: errors.New("x")}},
			"the server does not offer LOGIN, but CRAM-MD5, PLAIN, SCRAM-SHA-1, SCRAM-SHA-1-PLUS"},
		{"the same of several", authOptions{any: true},
			[]sasl.Refusal{{Name: "LOGIN", Err: no("x")}, {Name: "PLAIN", Err: sasl.ErrCleartext}, {Name: "CRAM-MD5", Err: sasl.ErrNotProved}},
			"PLAIN: " + withoutPackages(sasl.ErrCleartext) + "; CRAM-MD5: " + withoutPackages(sasl.ErrNotProved) + " (-tls and -starttls encrypt, -cleartext permits it)"},
		{"those that were tried", authOptions{any: true},
			[]sasl.Refusal{{Name: "SCRAM-SHA-1", Err: no("x")}, {Name: "CRAM-MD5", Err: no("x")}, {Name: "PLAIN", Err: errors.New("weak")}},
			"SCRAM-SHA-1, CRAM-MD5: " + withoutPackages(no("x"))},
		{"bound", authOptions{bound: true},
			[]sasl.Refusal{{Name: "SCRAM-SHA-1", Err: errors.New("not bound")}, {Name: "SCRAM-SHA-1-PLUS", Err: errors.New("no")}},
			"SCRAM-SHA-1-PLUS: no"},
	} {
		s := &session{fleet: &fleet{opt: &options{auth: test.auth}}, client: c}
		if got := s.whyNoLogin(&sasl.ChoiceError{Refusals: test.refusals}); got != test.want {
			t.Errorf("%s\n got: %s\nwant: %s", test.name, got, test.want)
		}
	}
	s := &session{fleet: &fleet{opt: &options{}}, client: c}
	if got := s.whyNoLogin(conn.ErrCleartext); !strings.Contains(got, "-starttls") {
		t.Errorf("LOGIN in the clear must say what to do: %s", got)
	}
}

func TestAuthHelp(t *testing.T) {
	status, stdout, stderr := imload(t, "-auth", "HELP")
	if status != exitOK || stderr != "" {
		t.Errorf("-auth help must succeed: status %d, stderr %q", status, stderr)
	}
	for _, m := range append(sasl.All(nil), sasl.Anonymous("")) {
		if rows := strings.Count(stdout, "\n  "+m.Name()+" "); rows != 1 {
			t.Errorf("-auth help must have one line of %s, has %d:\n%s", m.Name(), rows, stdout)
		}
	}
	for line := range strings.Lines(stdout) {
		if len(line) > 81 { // with its line end
			t.Errorf("-auth help must fit 80 columns: %q", line)
		}
	}
}

// TestNeeds: what the library says of its mechanisms is what everybody knows of them.
func TestNeeds(t *testing.T) {
	want := map[string]need{
		"EXTERNAL": needCertificate, "OAUTHBEARER": needToken, "XOAUTH2": needToken, "ANONYMOUS": needNothing,
		"GSSAPI": needTicket,
	}
	for _, m := range catalog() {
		if w, ok := want[m.name]; m.need != w && (ok || m.need != needPassword) {
			t.Errorf("%s needs %s", m.name, m.need)
		}
	}
	for _, name := range embeddedMechanisms {
		if find(name) == nil {
			t.Errorf("the embedded server has %s, the library has not", name)
		}
	}
}

func TestAuthOptions(t *testing.T) {
	for text, want := range map[string]authOptions{
		"-prot none":                       {prot: sasl.ProtNone},
		"-prot privacy":                    {prot: sasl.ProtPrivacy},
		"-prot Integrity,none":             {prot: sasl.ProtIntegrity | sasl.ProtNone},
		"-prot any -tls":                   {prot: sasl.ProtAny},
		"":                                 {prot: sasl.ProtNone},
		"-auth scram-sha-1 -tls":           {prot: sasl.ProtNone},
		"-auth ScRAM-sHA-1-PluS -tls":      {prot: sasl.ProtNone, bound: true},
		"-auth any -prot integrity,  -tls": {},
	} {
		args := strings.Fields(text)
		if !strings.Contains(text, "-auth") {
			args = append(args, "-auth", "plain")
		}
		o, err := parseOptions(args, nil)
		if want.prot == 0 {
			if err == nil {
				t.Errorf("%q must be refused", text)
			}
			continue
		}
		if err != nil || o.auth.prot != want.prot || o.auth.bound != want.bound {
			t.Errorf("%q must be %+v: %+v, %v", text, want, o, err)
		}
	}
}
