package main

import (
	"net"
	"os"
	"slices"
	"strings"
	"testing"
)

// fromBed is a variable of the testbed.
func fromBed(t *testing.T, name string) string {
	t.Helper()
	const prefix = "IMCLIENT_TEST_"
	if os.Getenv(prefix+"DOVECOT") == "" {
		t.Skip("needs the testbed: go run ./cmd/testbed go test ./cmd/imload")
	}
	value := os.Getenv(prefix + name)
	if value == "" {
		t.Fatalf("the testbed says %s%s", prefix, name)
	}
	return value
}

// atBed are flags for a server of the testbed, and a few commands.
func atBed(t *testing.T, server string, more string) []string {
	t.Helper()
	host, port, err := net.SplitHostPort(fromBed(t, server))
	if err != nil {
		t.Fatal(err)
	}
	if host == "127.0.0.1" {
		host = "localhost" // as in the certificates, and in the realms of DIGEST-MD5
	}
	args := []string{"-host", host, "-port", port, "-n", "4", "-commands", "40", "-mix", "noop=1", "-messages", "2"}
	return append(args, strings.Fields(more)...)
}

func TestAuthWithDovecotAndCyrus(t *testing.T) {
	var (
		reader   = "-user " + fromBed(t, "USER")
		password = reader + " -password-file " + file(t, fromBed(t, "PASSWORD"))
		load     = "-fill -user " + fromBed(t, "LOADUSER") + " -password-file " + file(t, fromBed(t, "LOADPASSWORD"))
		admin    = "-user " + fromBed(t, "ADMIN") + " -authz " + fromBed(t, "USER") + " -password-file " + file(t, fromBed(t, "ADMINPASSWORD"))
		token    = reader + " -fill -token-file " + file(t, fromBed(t, "TOKEN"))
		ca       = " -ca " + fromBed(t, "CA")
		cert     = " -cert " + fromBed(t, "CLIENTCERT") + " -key " + fromBed(t, "CLIENTKEY")
	)
	for _, test := range []struct{ server, flags, want string }{
		{"DOVECOT", load + " -auth plain", "PLAIN, no layer"},
		{"DOVECOT", load + " -auth login", "LOGIN, no layer"},
		{"DOVECOT", load + " -auth cram-md5", "CRAM-MD5, no layer"},
		{"DOVECOT", load + " -auth digest-md5", "DIGEST-MD5, no layer"},
		{"DOVECOT", load + " -auth scram-sha-1", "SCRAM-SHA-1, no layer"},
		{"DOVECOT", load + " -auth any", "SCRAM-SHA-256, no layer"},
		{"DOVECOT", load + " -auth scram-sha-256 -starttls" + ca, "SCRAM-SHA-256, no layer"},
		{"DOVECOT_TLS", load + " -auth plain,scram-sha-1 -tls" + ca, "SCRAM-SHA-1, no layer"},
		{"DOVECOT", admin + " -auth plain", "PLAIN, no layer"},
		{"DOVECOT", "-fill -auth anonymous", "ANONYMOUS, no layer"},
		{"DOVECOT", token + " -auth oauthbearer -starttls" + ca, "OAUTHBEARER, no layer"},
		{"DOVECOT_TLS", token + " -auth xoauth2 -tls" + ca, "XOAUTH2, no layer"},
		// Where it asks for certificates it breaks off the handshake that would resume.
		{"DOVECOT_CLIENTCERT", "-fill -auth external -starttls -no-resume" + ca + cert, "EXTERNAL, no layer"},
		{"CYRUS", password + " -auth plain", "PLAIN, no layer"},
		{"CYRUS", password + " -auth any", "SCRAM-SHA-256, no layer"},
		{"CYRUS", password + " -auth cram-md5,plain", "CRAM-MD5, no layer"},
		{"CYRUS", password + " -auth digest-md5 -prot integrity", "DIGEST-MD5, layer: integrity"},
		{"CYRUS", password + " -auth digest-md5 -prot any", "DIGEST-MD5, layer: privacy, 128 bits"},
		{"CYRUS", password + " -auth digest-md5 -prot privacy -starttls" + ca, "DIGEST-MD5, layer: privacy, 128 bits"},
		{"CYRUS_TLS", password + " -auth scram-sha-1 -tls" + ca, "SCRAM-SHA-1, no layer"},
		{"CYRUS", admin + " -auth scram-sha-256", "SCRAM-SHA-256, no layer"},
		{"CYRUS", reader + " -auth external -starttls" + ca + cert, "EXTERNAL, no layer"},
	} {
		_, name, _ := strings.Cut(test.flags, "-auth ")
		t.Run(test.server+" "+strings.Fields(name)[0], func(t *testing.T) {
			status, r := imloadJSON(t, atBed(t, test.server, test.flags)...)
			checkLogins(t, status, r, test.want)
		})
	}
}

func TestAuthRefusedByDovecotAndCyrus(t *testing.T) {
	wrong := "-password-file " + file(t, "hunter2") + " -user " + fromBed(t, "USER")
	expired := "-token-file " + file(t, fromBed(t, "EXPIREDTOKEN")) + " -user " + fromBed(t, "USER")
	right := "-password-file " + file(t, fromBed(t, "PASSWORD")) + " -user " + fromBed(t, "USER")
	for _, test := range []struct{ server, flags, class, says string }{
		{"DOVECOT", wrong + " -auth any", "NO", "SCRAM-SHA-256, SCRAM-SHA-1, DIGEST-MD5, CRAM-MD5: server answered NO"},
		{"DOVECOT", wrong + " -auth scram-sha-512", "no mechanism that can be used", "does not offer SCRAM-SHA-512-PLUS, SCRAM-SHA-512, but PLAIN, LOGIN, "},
		{"DOVECOT", expired + " -auth oauthbearer", "NO", `the server refuses the token, status "invalid_token"`},
		{"CYRUS", wrong + " -auth scram-sha-256", "NO", "SCRAM-SHA-256: server answered NO"},
		// Its binding is one that TLS 1.3 does not have.
		{"CYRUS", right + " -auth scram-sha-256-plus -starttls -ca " + fromBed(t, "CA"), "NO", "SCRAM-SHA-256-PLUS: server answered NO"},
		{"CYRUS", right + " -auth cram-md5 -authz bob", "no mechanism that can be used", "CRAM-MD5 cannot act for another user"},
	} {
		args := atBed(t, test.server, test.flags)
		if status, r := imloadJSON(t, args...); status != exitFailed || !slices.Equal(r.Errors, []kindCount{{"login: " + test.class, 1}}) {
			t.Errorf("%s: one try must end with %s: status %d, %v", test.flags, test.class, status, r.Errors)
		}
		if _, stdout, stderr := imload(t, args...); strings.Count(stderr, test.says) != 1 || strings.Contains(stdout+stderr, "hunter2") {
			t.Errorf("%s: one line must say %q, and nothing a secret:\n%s%s", test.flags, test.says, stderr, stdout)
		}
	}
}

// A ticket is in the environment's cache, or comes of a password.
func TestKerberosWithDovecotAndCyrus(t *testing.T) {
	t.Setenv("KRB5_CONFIG", fromBed(t, "KRB5_CONFIG"))
	t.Setenv("KRB5CCNAME", fromBed(t, "KRB5_CCACHE"))
	password := " -user " + fromBed(t, "USER") + " -password-file " + file(t, fromBed(t, "PASSWORD"))
	ca := " -ca " + fromBed(t, "CA")
	for _, source := range []string{"", password} {
		for _, test := range []struct{ server, flags, want string }{
			{"DOVECOT", "-prot none", "GSSAPI, no layer"},
			{"DOVECOT", "-prot any", "GSSAPI, no layer"},
			{"DOVECOT", "-prot privacy -starttls" + ca, "GSSAPI, no layer"},
			{"DOVECOT_TLS", "-prot integrity -tls" + ca, "GSSAPI, no layer"},
			{"CYRUS", "-prot none", "GSSAPI, no layer"},
			{"CYRUS", "-prot integrity", "GSSAPI, layer: integrity"},
			{"CYRUS", "-prot privacy", "GSSAPI, layer: privacy, 256 bits"},
			{"CYRUS", "-prot any -starttls" + ca, "GSSAPI, layer: privacy, 256 bits"},
		} {
			t.Run(test.server+" "+test.flags+source, func(t *testing.T) {
				status, r := imloadJSON(t, atBed(t, test.server, "-auth gssapi "+test.flags+source)...)
				checkLogins(t, status, r, test.want)
			})
		}
	}
}
