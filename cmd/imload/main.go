// Imload holds a thousand IMAP conversations, or ten thousand, from one
// goroutine, checks every byte that it fetches, and shows what that costs. With
// no -host it starts a server of its own, so that
//
//	go run ./cmd/imload
//
// works anywhere. With -auth it logs in by SASL, and
//
//	go run ./cmd/imload -auth scram-sha-256 -mix noop=9,login=1
//
// shows what a mechanism costs beside the LOGIN command. imload -h tells the rest,
// imload -auth help the mechanisms.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1 // a command failed, or a byte was not what it should be
	exitUsage  = 2
)

func main() {
	if os.Getenv(serverEnv) != "" {
		os.Exit(serveMain(os.Stdin, os.Stdout))
	}
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole command and returns its exit status.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	opt, err := parseOptions(args, stdin)
	if errors.Is(err, flag.ErrHelp) {
		_, _ = io.WriteString(stdout, helpText)
		return exitOK
	}
	if errors.Is(err, errAuthHelp) {
		_, _ = io.WriteString(stdout, authHelp())
		return exitOK
	}
	if err == nil {
		err = checkDescriptors(opt.connections)
	}
	if err != nil {
		fmt.Fprintf(stderr, "imload: %v (imload -h tells how)\n", err)
		return exitUsage
	}
	result, err := load(opt, newConsole(stderr))
	if err == nil && opt.json {
		err = result.writeJSON(stdout)
	} else if err == nil {
		err = result.writeTable(stdout)
	}
	if err != nil {
		fmt.Fprintln(stderr, "imload:", withoutPackage(err))
		return exitFailed
	}
	if result.ErrorsTotal > 0 {
		return exitFailed
	}
	return exitOK
}

func checkDescriptors(connections int) error {
	possible, err := raiseDescriptorLimit()
	if err != nil {
		return err
	}
	if connections > possible {
		return fmt.Errorf("-n %d: this process may have %d connections (ulimit -n)", connections, max(possible, 0))
	}
	return nil
}

// load runs the fleet against its server.
func load(opt *options, c *console) (*report, error) {
	var (
		server = "the embedded server"
		to     = target{host: opt.host, port: opt.port, password: opt.password, token: opt.token}
		child  *embedded
	)
	if to.host == "" {
		var err error
		if child, err = startEmbedded(opt.embedded()); err != nil {
			return nil, err
		}
		defer child.stop()
		to = child.target()
		to.mails = embeddedMails(opt.messages)
	} else {
		server = to.host + " port " + to.port
	}
	f, err := newFleet(opt, to, c)
	if err != nil {
		return nil, err
	}
	defer f.close()
	defer onInterrupt(f.interrupt)()
	if err := f.run(); err != nil {
		return nil, err
	}
	if child != nil {
		if how, died := child.died(); died {
			c.printf("imload: the embedded server has ended: %s", how)
		}
	}
	return f.report(server), nil
}

// onInterrupt calls f at the first Ctrl-C. The second does what Ctrl-C does to
// programs that know nothing of it.
func onInterrupt(f func()) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		if _, ok := <-signals; ok {
			signal.Stop(signals)
			f()
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
	}
}
