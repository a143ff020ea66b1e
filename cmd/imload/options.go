package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// options is what the command line says.
type options struct {
	connections int
	duration    time.Duration // 0: until commands or Ctrl-C
	commands    int64         // 0: until duration or Ctrl-C
	depth       int
	messages    int
	mix         mix
	seed        uint64
	json, trace bool

	// Of a real server; all but mailbox and user are empty for the embedded one.
	host, port    string
	user, mailbox string
	password      string
	fill          bool
	cleartext     bool

	token string
	auth  authOptions
	tls   tlsOptions
}

// maxPipeline bounds -depth: more than this in flight measures buffers.
const maxPipeline = 1000

// helpText fits a screen of 80 columns and 45 lines; a test holds it to that.
const helpText = `imload: many real IMAP conversations, all from one goroutine.

  imload                        1000 connections for 10 s to a server that it
                                starts itself (go-imap's, in memory, a child)
  imload -n 5000 -d 1m          more of them, longer
  imload -n 200 -commands 50000 until so many commands are done
  imload -mix noop=1 -depth 16  nothing but NOOP, 16 in flight a connection
  imload -mix fetch-body=9,idle=1   nine bodies to one IDLE
  imload -n 2 -commands 40 -trace   watch one conversation, line by line
  imload -json | jq .commands   one object on stdout and nothing else
  imload -tls -mix noop=9,login=1   reconnect all the time, and resume TLS
  imload -auth scram-sha-256 -mix noop=9,login=1   the same without TLS, by SASL
  imload -host mail.example.org -user load%d -password-file pw -n 100 -starttls

Each connection logs in, SELECTs, does each verb of the mix once, then draws by
weight, and logs out. Two share a mailbox: when one IDLEs the other APPENDs a
small mail to wake it, and deletes it again. STORE sets and clears $imload.
Every header and body that comes is compared: with what the server was filled
with; on a real server with what was generated if the mail is ours (Message-ID
<N@imclient.test>), else with how it first came; its size with RFC822.SIZE.
Bodies over 256 KiB are left alone.

  -n N              connections (1000)     -messages N   per mailbox (64)
  -d TIME           how long (10s; 0: no limit)
  -commands N       end after N commands   -depth N      pipelining (1)
  -mix VERB=W,...   ` + defaultMix + `
                    verbs: noop fetch-headers fetch-body store idle select login
  -seed N           of the draws (1)       -trace        connection 0 to stderr
  -json             result as JSON         -h            this text
  -host NAME        a real server          -port PORT    number or name (143)
  -user NAME        %d in it: 0 for the first pair, 1 for the next, ...
  -auth MECH,...    SASL in place of the LOGIN command; -auth help lists them
  -authz NAME       act for NAME           -prot P,...  none integrity privacy
  -password-file F, -token-file F          secret in its first line; - is stdin
  -mailbox NAME     to work in (INBOX)     -fill         put mail in empty ones
  -cleartext        passwords without TLS to a host that is not this machine
  -tls, -starttls   from the first byte (-port 993); by STARTTLS, or no login
  -ca PATH          file or directory of who may vouch for the server; else the
                    system's; to the embedded server a CA made on the spot
  -cert F, -key F   the client's certificate, and its key if that is not in it
  -insecure         take any certificate: whoever is on the path reads it all
  -no-resume        every TLS handshake in full    -workers N  goroutines that
                    compute them (0: the one that does everything)
Ctrl-C ends early with the table, twice at once. Exit status: 0; 1 if a command
failed or a byte was not what it should be; 2 for wrong use.
`

// parseOptions reads the arguments. The error is flag.ErrHelp for -h; any other
// is wrong use, said in one line.
func parseOptions(args []string, stdin io.Reader) (*options, error) {
	o := &options{}
	var mixText, authText, protText string
	set := flag.NewFlagSet("imload", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.IntVar(&o.connections, "n", 1000, "")
	set.DurationVar(&o.duration, "d", 10*time.Second, "")
	set.Int64Var(&o.commands, "commands", 0, "")
	set.IntVar(&o.depth, "depth", 1, "")
	set.IntVar(&o.messages, "messages", 64, "")
	set.StringVar(&mixText, "mix", defaultMix, "")
	set.Uint64Var(&o.seed, "seed", 1, "")
	set.BoolVar(&o.json, "json", false, "")
	set.BoolVar(&o.trace, "trace", false, "")
	set.StringVar(&o.host, "host", "", "")
	set.StringVar(&o.port, "port", "143", "")
	set.StringVar(&o.user, "user", "", "")
	set.StringVar(&o.auth.passwordFile, "password-file", "", "")
	set.StringVar(&o.auth.tokenFile, "token-file", "", "")
	set.StringVar(&authText, "auth", "", "")
	set.StringVar(&o.auth.authz, "authz", "", "")
	set.StringVar(&protText, "prot", "none", "")
	set.StringVar(&o.mailbox, "mailbox", "INBOX", "")
	set.BoolVar(&o.fill, "fill", false, "")
	set.BoolVar(&o.cleartext, "cleartext", false, "")
	first, later := set.Bool("tls", false, ""), set.Bool("starttls", false, "")
	set.StringVar(&o.tls.authority, "ca", "", "")
	set.StringVar(&o.tls.cert, "cert", "", "")
	set.StringVar(&o.tls.key, "key", "", "")
	set.BoolVar(&o.tls.insecure, "insecure", false, "")
	set.BoolVar(&o.tls.full, "no-resume", false, "")
	set.IntVar(&o.tls.workers, "workers", 0, "")
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	given := map[string]bool{}
	set.Visit(func(f *flag.Flag) { given[f.Name] = true })
	// Who bounds the run by commands wants no clock in it.
	if given["commands"] && !given["d"] {
		o.duration = 0
	}
	if set.NArg() > 0 {
		return nil, fmt.Errorf("%q is no flag", set.Arg(0))
	}
	var err error
	if o.mix, err = parseMix(mixText); err != nil {
		return nil, fmt.Errorf("-mix: %w", err)
	}
	if err := o.tls.check(*first, *later, given); err != nil {
		return nil, err
	}
	if given["auth"] {
		if err := o.auth.parseAuth(authText); err != nil {
			return nil, err
		}
	}
	if err := o.auth.parseProt(protText); err != nil {
		return nil, err
	}
	if err := o.auth.check(given, &o.tls, o.user); err != nil {
		return nil, err
	}
	if err := o.check(given); err != nil {
		return nil, err
	}
	if o.tls.mode == tlsFirst && !given["port"] {
		o.port = "993"
	}
	if o.host == "" {
		if o.auth.wantsUser() {
			o.user = "u%d"
		}
		return o, nil
	}
	return o, o.readSecrets(stdin)
}

// check says what cannot be, as soon as it is known.
func (o *options) check(given map[string]bool) error {
	switch {
	case o.connections < 1:
		return errors.New("-n must be at least 1")
	case o.duration < 0:
		return errors.New("-d must not be negative")
	case o.commands < 0 || given["commands"] && o.commands == 0:
		return errors.New("-commands must be at least 1")
	case o.depth < 1 || o.depth > maxPipeline:
		return fmt.Errorf("-depth must be from 1 to %d", maxPipeline)
	case o.messages < 1 || o.messages > maxMessages:
		return fmt.Errorf("-messages must be from 1 to %d", maxMessages)
	case o.connections == 1 && o.mix[verbIdle] == o.mix.total():
		return errors.New("-mix: idle needs a second connection that wakes the first")
	}
	if o.host == "" {
		for _, name := range []string{"port", "user", "password-file", "token-file", "authz", "mailbox", "fill", "cleartext", "ca", "cert", "key", "insecure"} {
			if given[name] {
				return fmt.Errorf("-%s is for a real server: it needs -host", name)
			}
		}
		return o.auth.checkEmbedded()
	}
	switch {
	case o.user == "" && o.auth.wantsUser():
		return errors.New("-host needs -user")
	case strings.Count(strings.ReplaceAll(o.user, "%d", ""), "%") > 0:
		return errors.New("-user: %d is the only % that it may hold")
	case o.mailbox == "":
		return errors.New("-mailbox must not be empty")
	}
	return o.auth.checkFiles(&o.tls)
}

// readSecrets reads those that there are.
func (o *options) readSecrets(stdin io.Reader) (err error) {
	if o.auth.passwordFile != "" {
		if o.password, err = readSecret("-password-file", o.auth.passwordFile, stdin); err != nil {
			return err
		}
	}
	if o.auth.tokenFile != "" {
		o.token, err = readSecret("-token-file", o.auth.tokenFile, stdin)
	}
	return err
}

// readSecret reads the first line of a file, or of stdin. option is whose file it is.
func readSecret(option, name string, stdin io.Reader) (string, error) {
	var content []byte
	var err error
	if name == "-" {
		content, err = io.ReadAll(stdin)
	} else {
		content, err = os.ReadFile(name)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", option, err)
	}
	line, _, _ := bytes.Cut(content, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 {
		return "", fmt.Errorf("%s: the first line of %s is empty", option, name)
	}
	return string(line), nil
}
