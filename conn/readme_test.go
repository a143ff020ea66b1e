package conn_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/reactor"
	"github.com/imclient/imclient/sasl"
)

// The programs in README.md are the bodies of these functions, which run.

func smallestProgram(host, port string) {
	c, err := conn.Connect(host, port)
	if err != nil {
		log.Fatal(err)
	}
	pending := 1
	c.AddCallback(conn.Callback{Keyword: "CAPABILITY", Proc: func(c *conn.Client, rock any, r *conn.Reply) {
		fmt.Printf("the server has %s\n", r.Text)
	}})
	err = c.Send(func(c *conn.Client, rock any, r *conn.Reply) {
		pending--
	}, nil, "CAPABILITY")
	for err == nil && pending > 0 {
		err = c.ProcessOneEvent()
	}
}

func daemonProgram(ctx context.Context, accounts []account, newMail conn.Proc, goodbye func(*conn.Client, error), login func(*conn.Client, error)) {
	l, err := reactor.New()
	if err != nil {
		log.Fatal(err)
	}
	d := &conn.Dialer{
		Callbacks: []conn.Callback{{Keyword: "EXISTS", Flags: conn.CallbackNumbered, Proc: newMail}},
		OnClose:   goodbye,
	}
	for _, a := range accounts {
		d.ConnectAsync(ctx, l, a.host, a.port, login)
	}
	err = l.Run(ctx)
	fmt.Println(err)
}

func secureProgram(host, port, caFile string) {
	d := &conn.Dialer{RequireTLS: true}
	c, err := d.Connect(host, port)
	if err == nil {
		err = c.StartTLS("", "", caFile, "")
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(tls.VersionName(c.TLS().Version))
}

func loginProgram(c *conn.Client, user string, password []byte) {
	mechs := sasl.All(sasl.Static(sasl.Credentials{Username: user, Password: password}))
	err := c.Authenticate(mechs, "imap", "", sasl.ProtAny)
	if errors.Is(err, sasl.ErrAuthFailed) {
		fmt.Println(err)
	}
}

func kerberosProgram(c *conn.Client) {
	tickets := sasl.NewKerberos(sasl.KerberosOptions{}) // one, for all connections
	err := c.Authenticate([]sasl.Mechanism{sasl.GSSAPI(tickets)}, "imap", "", sasl.ProtPrivacy)
	if e, ok := errors.AsType[*sasl.KerberosError](err); ok {
		fmt.Println(e)
	}
}

func hostProgram(l *reactor.Loop, done *bool) error {
	fd, _ := l.GetSelectInfo()
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN} /* , your own */}
	for !*done {
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			return err
		}
		if fds[0].Revents != 0 {
			if _, err := l.TryProcessOneEvent(); err != nil {
				return err
			}
		}
	}
	return nil
}

type account struct{ host, port string }

func Example_readmeSmallest() {
	smallestProgram(exampleServer())
	// Output: the server has IMAP4rev2 LITERAL+ IDLE AUTH=SCRAM-SHA-256 AUTH=PLAIN
}

func Example_readmeDaemon() {
	ctx, stop := context.WithCancel(context.Background())
	var accounts []account
	for range 3 {
		host, port := exampleServer()
		accounts = append(accounts, account{host, port})
	}
	idle := func(c *conn.Client, _ any, _ *conn.Reply) {
		_ = c.SendCommand(&conn.Command{OnContinue: func(*conn.Client, any, *conn.Reply) {}}, "IDLE")
	}
	login := func(c *conn.Client, err error) {
		if err != nil {
			log.Fatal(err)
		}
		_ = c.Send(idle, nil, "LOGIN %s %p", "user", "pass word")
	}
	ended := 0
	newMail := func(c *conn.Client, _ any, r *conn.Reply) {
		fmt.Println(r.MsgNo, "messages")
		_ = c.Close()
	}
	goodbye := func(c *conn.Client, err error) {
		if ended++; ended == len(accounts) {
			stop()
		}
	}
	daemonProgram(ctx, accounts, newMail, goodbye, login)
	// Output:
	// 4 messages
	// 4 messages
	// 4 messages
	// context canceled
}

func Example_readmeSecure() {
	t := new(exampleT)
	defer t.end()
	s, stop, err := startSecureServer(local())
	if err != nil {
		log.Fatal(err)
	}
	defer stop()
	secureProgram("127.0.0.1", s.port, conntest.CAFile(t))
	// Output: TLS 1.3
}

func Example_readmeLogin() {
	host, port := exampleServer()
	c, err := conn.Connect(host, port)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	loginProgram(c, "user", []byte("wrong"))
	// Output: sasl: no mechanism is left: SCRAM-SHA-256: sasl: authentication failed: conn: server answered NO: "[AUTHENTICATIONFAILED] no such user"; PLAIN: it would send the secret after a server failed to prove itself by a stronger one; not offered: EXTERNAL, SCRAM-SHA-512-PLUS, SCRAM-SHA-512, SCRAM-SHA-256-PLUS, SCRAM-SHA-1-PLUS, SCRAM-SHA-1, DIGEST-MD5, CRAM-MD5, OAUTHBEARER, XOAUTH2, LOGIN
}

func Example_readmeKerberos() {
	for name, value := range map[string]string{
		"KRB5_CONFIG": "/dev/null", "KRB5CCNAME": "FILE:/tmp/no/ccache", "KRB5_CLIENT_KTNAME": "/etc/no.keytab",
	} {
		was, set := os.LookupEnv(name)
		_ = os.Setenv(name, value)
		defer func() {
			if _ = os.Setenv(name, was); !set {
				_ = os.Unsetenv(name)
			}
		}()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			defer c.Close()
			_, _ = fmt.Fprint(c, "* OK [CAPABILITY AUTH=GSSAPI] ready\r\n")
			_, _ = io.Copy(io.Discard, c)
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	c, err := conn.Connect("localhost", port)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	kerberosProgram(c)
	// Output: sasl: Kerberos: there is no credential cache (kinit makes one), and there is no keytab; see FILE:/tmp/no/ccache (KRB5CCNAME), and /etc/no.keytab (KRB5_CLIENT_KTNAME)
}

// exampleT stands in for the *testing.T that an example does not have.
type exampleT struct {
	testing.TB
	folders []string
}

func (t *exampleT) Helper() {}

func (t *exampleT) TempDir() string {
	folder, err := os.MkdirTemp("", "conn")
	if err != nil {
		log.Fatal(err)
	}
	t.folders = append(t.folders, folder)
	return folder
}

func (t *exampleT) end() {
	for _, folder := range t.folders {
		_ = os.RemoveAll(folder)
	}
}

func Example_readmeHost() {
	l, err := reactor.New()
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	done := false
	host, port := exampleServer()
	new(conn.Dialer).ConnectAsync(context.Background(), l, host, port, func(c *conn.Client, err error) {
		if err != nil {
			log.Fatal(err)
		}
		_ = c.Send(func(_ *conn.Client, _ any, r *conn.Reply) {
			fmt.Printf("%s %s\n", r.Keyword, r.Text)
			done = true
		}, nil, "NOOP")
	})
	if err := hostProgram(l, &done); err != nil {
		log.Fatal(err)
	}
	// Output: OK done
}

// README and code never disagree.
func TestReadmePrograms(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(readme), "```go\n")[1:]
	bodies := bodiesOf(t, "readme_test.go", "smallestProgram", "daemonProgram", "secureProgram", "loginProgram", "kerberosProgram", "hostProgram")
	if len(blocks) != len(bodies) {
		t.Fatalf("README.md has a program for each function here: %d, %d", len(blocks), len(bodies))
	}
	for i, block := range blocks {
		program, _, _ := strings.Cut(block, "```")
		if program != bodies[i] {
			t.Errorf("a program of README.md is one that runs\nREADME.md:\n%s\nreadme_test.go:\n%s", program, bodies[i])
		}
	}
}

// What README.md says that failed logins tell is what the examples print.
func TestReadmeLoginErrors(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("readme_test.go")
	if err != nil {
		t.Fatal(err)
	}
	outputs := strings.Split(string(source), "\t// Output: sasl: ")[1:]
	if len(outputs) != 2 {
		t.Fatalf("there are two examples of errors\n got: %d", len(outputs))
	}
	for _, printed := range outputs {
		printed, _, _ = strings.Cut(printed, "\n")
		if !strings.Contains(string(readme), "```text\nsasl: "+printed+"\n```\n") {
			t.Errorf("README.md shows the error\nwant: sasl: %s", printed)
		}
	}
}

// bodiesOf returns the bodies of functions as they stand, less one indentation.
func bodiesOf(t *testing.T, file string, names ...string) []string {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, file, source, 0)
	if err != nil {
		t.Fatal(err)
	}
	var bodies []string
	for _, name := range names {
		f, _ := parsed.Scope.Lookup(name).Decl.(*ast.FuncDecl)
		text := string(source[files.Position(f.Body.Lbrace).Offset+2 : files.Position(f.Body.Rbrace).Offset])
		var body strings.Builder
		for line := range strings.Lines(text) {
			body.WriteString(strings.TrimPrefix(line, "\t"))
		}
		bodies = append(bodies, body.String())
	}
	return bodies
}
