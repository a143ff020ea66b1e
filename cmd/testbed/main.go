//go:build linux

// Command testbed runs a command beside real IMAP servers that end with it:
//
//	go run ./cmd/testbed go test ./...
//
// It is two processes. The one in front runs the command. The one behind, the
// same program with -serve, is the parent of the servers and ends them when its
// standard input ends: the front closes that pipe, and so does the kernel when
// the front is killed. A test that wants servers for itself alone, to kill them,
// starts one more.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
)

const usage = `usage: testbed [-v] COMMAND [ARGUMENT...]
       testbed -serve

Runs COMMAND beside real servers, Dovecot, Cyrus IMAP and MIT's KDC on loopback,
with ports and a directory of their own, and ends them with it. As root, it
first installs what is missing with apt-get; else it says what to install.

    go run ./cmd/testbed go test ./...
    go run ./cmd/testbed bash           # then: env | grep IMCLIENT_TEST

COMMAND finds in its environment, each with the prefix IMCLIENT_TEST_:

    DOVECOT, CYRUS           127.0.0.1:port, IMAP with STARTTLS
    DOVECOT_TLS, CYRUS_TLS   127.0.0.1:port, imaps, of all of DOVECOT_* below
    DOVECOT_LOGINDISABLED, CYRUS_LOGINDISABLED  127.0.0.2:port, LOGIN needs TLS
    DOVECOT_EXPIRED          127.0.0.3:port, whose certificate is out of date
    DOVECOT_WRONGHOST        127.0.0.4:port, whose certificate is another host's
    DOVECOT_SELFSIGNED       127.0.0.5:port, whose certificate no CA has signed
    DOVECOT_CLIENTCERT       127.0.0.6:port, asks for certificates, like CYRUS
    DOVECOT_PID, CYRUS_PID   process group: kill -9 -$IMCLIENT_TEST_DOVECOT_PID
    DOVECOT_LOG, CYRUS_LOG   log
    USER, PASSWORD           an account with 300 messages, only to be read
    USER2, PASSWORD2         one without mail and with a password hard to quote
    LOADUSER, LOADPASSWORD   any number for %d, without mail; no INBOX in CYRUS
    ADMIN, ADMINPASSWORD     one that may act for the others
    SCRAMUSER, SCRAMPASSWORD one whose salt is always the same, for DOVECOT
    TOKEN, EXPIREDTOKEN      USER's bearer tokens, for DOVECOT
    CA                       file: the CA that the certificates are from
    CLIENTCERT, CLIENTKEY    files: USER's certificate and its key
    MESSAGES                 directory with the messages: 0001.eml is the first
    KRB5_CONFIG, KRB5_REALM  krb5.conf, and its default realm
    KRB5_CCACHE              FILE:name, USER's ticket; make a copy to add others
    KRB5_PRINCIPAL, KRB5_PASSWORD  USER's; there are USER2's, who needs no
                             preauthentication, and ADMIN's, too
    KRB5_SHORTPRINCIPAL, KRB5_SHORTPASSWORD  whose tickets end after 10 seconds
    KRB5_CLIENT_KEYTAB       USER's keys
    KRB5_CLIENT_KEYTABS      directory, by type: {aes128,aes256,aes128sha2,
                             aes256sha2,rc4,camellia256}.keytab
    KRB5_SERVICE_KEYTAB      the servers' keys: imap/{localhost,127.0.0.1},
                             imap/{aes128,...}.test of that type alone; there
                             is no key of imap/nokeytab.test in it
    KRB5_FARREALM, KRB5_FARHOST    a realm by way of [capaths], with imap/host
    KRB5_DEEPREALM, KRB5_DEEPHOST  one by way of its name, with imap/host
    KRB5_KDC                 127.0.0.1:port, UDP and TCP
    KRB5_KDC_PID, KRB5_KDC_LOG  process group, log
    TESTBED                  this program, for tests that want a server to kill

-serve starts servers, prints the variables, closes standard output, and ends
the servers when standard input ends. -v shows the end of the servers' logs when
COMMAND fails. A signal is passed on to COMMAND alone; what that has started is
its own to end.

Exit status: COMMAND's, or 128+n if signal n ended it; 125 if the testbed
failed, 126 and 127 if COMMAND cannot be run, 2 for wrong use. go run makes 1 of
all that are not 0.
`

// The testbed's own exit statuses; 125 to 127 are what env(1) and timeout(1) use.
const (
	statusWrongUse   = 2
	statusFailed     = 125
	statusCannotRun  = 126
	statusNotFound   = 127
	statusSignalBase = 128
)

func main() {
	// PR_SET_PDEATHSIG, which both processes use, goes by the thread that
	// started a child; the main goroutine must stay on its thread.
	runtime.LockOSThread()
	status, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "testbed: %v\n", err)
	}
	os.Exit(status)
}

func run(args []string) (status int, err error) {
	flags := flag.NewFlagSet("testbed", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	verbose := flags.Bool("v", false, "")
	serving := flags.Bool("serve", false, "")
	err = flags.Parse(args)
	command := flags.Args()
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, err := io.WriteString(os.Stdout, usage)
		return 0, err
	case err != nil:
		return statusWrongUse, fmt.Errorf("%w (see testbed -h)", err)
	case *serving != (len(command) == 0):
		return statusWrongUse, errors.New("needs a COMMAND or -serve (see testbed -h)")
	}
	if !*serving {
		// Now, and not when the servers have come up for nothing.
		_, err := exec.LookPath(command[0])
		switch {
		case errors.Is(err, fs.ErrPermission):
			return statusCannotRun, err
		case err != nil:
			return statusNotFound, err
		}
	}
	// From here on a signal must not end us before we have cleaned up.
	signals := catchSignals()
	if err := install(command, os.Stderr); err != nil {
		return statusFailed, err
	}
	if *serving {
		return serve(signals, os.Stdin, os.Stdout)
	}
	return runBeside(command, signals, *verbose)
}

func catchSignals() <-chan os.Signal {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	return signals
}

// raiseDescriptorLimit gives the children as many descriptors as the hard limit
// allows. Go has raised its own limit already, but hands the old one down unless
// the program sets one.
func raiseDescriptorLimit() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return os.NewSyscallError("getrlimit", err)
	}
	limit.Cur = limit.Max
	return os.NewSyscallError("setrlimit", syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
}
