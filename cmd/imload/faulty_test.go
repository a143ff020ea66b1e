package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// script is a server that answers each command by the first prefix that fits
// it, and then as a server should that has two messages. It never pushes news.
type script map[string]string // prefix of the command: answer; %s is the tag

const (
	header1, header2 = "A: 1\r\n\r\n", "A: 2\r\n\r\n"
	mail1, mail2     = header1 + "one\r\n", header2 + "two\r\n"
)

var goodScript = script{
	"LOGIN":          "%s OK\r\n",
	"SELECT":         "* 2 EXISTS\r\n%s OK\r\n",
	"FETCH 1:2":      "* 1 FETCH (UID 1 RFC822.SIZE 13)\r\n* 2 FETCH (UID 2 RFC822.SIZE 13)\r\n%s OK\r\n",
	"UID FETCH 1:1 ": "* 1 FETCH (UID 1 BODY[HEADER] {8}\r\n" + header1 + ")\r\n%s OK\r\n",
	"UID FETCH 2:2 ": "* 2 FETCH (UID 2 BODY[HEADER] {8}\r\n" + header2 + ")\r\n%s OK\r\n",
	"UID FETCH 1:2 ": "* 1 FETCH (UID 1 BODY[HEADER] {8}\r\n" + header1 + ")\r\n* 2 FETCH (UID 2 BODY[HEADER] {8}\r\n" + header2 + ")\r\n%s OK\r\n",
	"UID FETCH 1 ":   "* 1 FETCH (UID 1 BODY[] {13}\r\n" + mail1 + ")\r\n%s OK\r\n",
	"UID FETCH 2 ":   "* 2 FETCH (UID 2 BODY[] {13}\r\n" + mail2 + ")\r\n%s OK\r\n",
	"UID STORE 1 +":  "* 1 FETCH (UID 1 FLAGS ($imload))\r\n%s OK\r\n",
	"UID STORE 1 -":  "* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n%s OK\r\n",
	"UID STORE 2 +":  "* 2 FETCH (UID 2 FLAGS ($imload))\r\n%s OK\r\n",
	"UID STORE 2 -":  "* 2 FETCH (UID 2 FLAGS ())\r\n%s OK\r\n",
	"UID STORE 9":    "%s OK\r\n",
	"UID EXPUNGE 9":  "%s OK\r\n",
	"NOOP":           "%s OK\r\n",
	"IDLE":           "+ idling\r\n",
	"APPEND":         "%s OK [APPENDUID 1 9] done\r\n",
	"LOGOUT":         "* BYE\r\n%s OK\r\n",
}

// serve answers on one connection until it is told to hang up. hear, if there is
// one, gets each command first.
func (s script) serve(c net.Conn, hear func(c net.Conn, command string)) {
	defer c.Close()
	in := bufio.NewReader(c)
	_, _ = io.WriteString(c, "* OK ready\r\n")
	for {
		tag, command, err := readCommand(c, in)
		if err != nil {
			return
		}
		if hear != nil {
			hear(c, command)
		}
		answer := s.answer(command)
		if strings.Contains(answer, "%s") {
			answer = fmt.Sprintf(answer, tag)
		}
		_, _ = io.WriteString(c, answer)
		if strings.HasPrefix(answer, "* BYE") {
			return
		}
		if strings.HasPrefix(answer, "+") {
			if line, err := in.ReadString('\n'); err != nil || line != "DONE\r\n" {
				return
			}
			fmt.Fprintf(c, "%s OK\r\n", tag)
		}
	}
}

// readCommand reads a command with its literals, which it asks for.
func readCommand(c io.Writer, in *bufio.Reader) (tag, command string, err error) {
	line, err := in.ReadString('\n')
	tag, command, _ = strings.Cut(strings.TrimSuffix(line, "\r\n"), " ")
	for err == nil && strings.HasSuffix(line, "}\r\n") {
		var size int64
		if _, err := fmt.Sscanf(line[strings.LastIndex(line, "{"):], "{%d}", &size); err != nil {
			return "", "", err
		}
		_, _ = io.WriteString(c, "+ go on\r\n")
		if _, err := io.CopyN(io.Discard, in, size); err != nil {
			return "", "", err
		}
		line, err = in.ReadString('\n')
	}
	return tag, command, err
}

func (s script) answer(command string) string {
	for _, answers := range []script{s, goodScript} {
		for prefix, answer := range answers {
			if strings.HasPrefix(command, prefix) {
				return answer
			}
		}
	}
	return "%s BAD what?\r\n"
}

// start makes the server listen.
func (s script) start(t *testing.T) (host, port string) { return s.startHearing(t, nil) }

func (s script) startHearing(t *testing.T, hear func(c net.Conn, command string)) (host, port string) {
	t.Helper()
	return listen(t, func(c net.Conn) { s.serve(c, hear) })
}

// listen serves each connection to a loopback port on a goroutine of its own, until
// the test ends.
func listen(t *testing.T, serve func(net.Conn)) (host, port string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	host, port, _ = net.SplitHostPort(listener.Addr().String())
	return host, port
}

// TestFaultyServer gives one wrong answer each. The kinds of error must be
// exactly those, and the run must end.
func TestFaultyServer(t *testing.T) {
	const body = "UID FETCH 1 "
	for _, test := range []struct {
		name   string
		answer script
		mix    string
		want   string
	}{
		{"nothing wrong", script{}, "noop=1,fetch-headers=1,fetch-body=1,store=1", ""},
		{"login refused", script{"LOGIN": "%s NO wrong\r\n"}, "noop=1", "login: NO"},
		{"greeting and good bye", script{"LOGIN": "* BYE too many\r\n"}, "noop=1", "login: server hung up"},
		{"select refused", script{"SELECT": "%s NO none such\r\n"}, "noop=1", "select: NO"},
		{"empty", script{"SELECT": "* 0 EXISTS\r\n%s OK\r\n"}, "noop=1", "select: mailbox is empty"},
		{"survey incomplete", script{"FETCH 1:2": "* 1 FETCH (UID 1 RFC822.SIZE 13)\r\n%s OK\r\n"}, "noop=1", "fetch-sizes: wrong contents"},
		{"survey refused", script{"FETCH 1:2": "%s BAD\r\n"}, "noop=1", "fetch-sizes: BAD"},
		{"command refused", script{"NOOP": "%s BAD\r\n"}, "noop=1,store=1", "noop: BAD"},
		{"hang-up", script{"NOOP": "* BYE bored\r\n"}, "noop=1", "noop: server hung up"},
		{"junk", script{"NOOP": "* 99999999999 EXISTS {3}\r\n"}, "noop=1", "noop: protocol error"},
		{"body missing", script{body: "%s OK\r\n"}, "fetch-body=1", "fetch-body: incomplete"},
		{"header missing", script{"UID FETCH 1": "%s OK\r\n"}, "fetch-headers=1", "fetch-headers: incomplete"},
		{"size", script{body: "* 1 FETCH (UID 1 BODY[] {12}\r\n" + mail1[1:] + ")\r\n* 1 FETCH (UID 1 BODY[] {13}\r\n" + mail1 + ")\r\n%s OK\r\n"},
			"fetch-body=1", "fetch-body: not asked for + fetch-body: wrong bytes"},
		{"twice", script{body: "* 1 FETCH (UID 1 BODY[] {13}\r\n" + mail1 + ")\r\n* 1 FETCH (UID 1 BODY[] {13}\r\n" + mail1 + ")\r\n%s OK\r\n"},
			"fetch-body=1", "fetch-body: not asked for"},
		{"not asked for", script{"NOOP": "* 1 FETCH (UID 1 BODY[HEADER] {8}\r\n" + header1 + ")\r\n%s OK\r\n"}, "noop=1", "fetch-headers: not asked for"},
		{"unknown UID", script{"NOOP": "* 3 FETCH (UID 77 BODY[] {1}\r\nx)\r\n%s OK\r\n"}, "noop=1", "fetch-body: not asked for"},
		{"no FETCH", script{"NOOP": "* 1 FETCH nothing\r\n%s OK\r\n"}, "noop=1", "fetch-headers: malformed FETCH"},
		{"flag set", script{"UID STORE 1 -": goodScript["UID STORE 1 +"], "UID STORE 2 -": goodScript["UID STORE 2 +"]},
			"store=1", "store: flag not stored"},
		{"flag not set", script{"UID STORE 1 +": goodScript["UID STORE 1 -"], "UID STORE 2 +": goodScript["UID STORE 2 -"]},
			"store=1", "store: flag not stored"},
		{"news of flags", script{"NOOP": "* 1 FETCH (FLAGS ($imload))\r\n* 2 FETCH (UID 2 FLAGS ())\r\n* 1 EXPUNGE\r\n%s OK\r\n"}, "noop=1,store=1", ""},
		{"no IDLE", script{"IDLE": "%s BAD\r\n"}, "idle=1,noop=1", "idle: BAD"},
		{"append refused", script{"APPEND": "%s NO full\r\n"}, "idle=1,noop=1", "append: NO"},
	} {
		t.Run(test.name, func(t *testing.T) {
			host, port := test.answer.start(t)
			f := newTestFleet(t, host, port, "x", nil, "-n", "2", "-commands", "100", "-mix", test.mix)
			r := f.mustRun(t)
			var kinds []string
			for _, e := range r.Errors {
				kinds = append(kinds, e.Kind)
			}
			slices.Sort(kinds)
			if got := strings.Join(kinds, " + "); got != test.want {
				t.Errorf("the errors must be %q: %q", test.want, got)
			}
		})
	}
}

// TestNobodyWakes: whoever sleeps is not to sleep for ever.
func TestNobodyWakes(t *testing.T) {
	host, port := script{}.start(t)
	f := newTestFleet(t, host, port, "x", nil, "-n", "2", "-commands", "20", "-mix", "idle=1")
	f.wakeLimit = time.Millisecond
	f.console.terminal = true // five looks a second, not one
	r := f.mustRun(t)
	if len(r.Errors) != 1 || r.Errors[0].Kind != "idle: not woken" || r.count(verbIdle) == 0 {
		t.Errorf("an IDLE that nobody wakes must end as an error: %d IDLEs, %v", r.count(verbIdle), r.Errors)
	}
}

// TestWakingMailStaysUntilItHasWoken has a server that takes its time to push,
// like Dovecot, and forgets mail that is expunged before it got round to it.
func TestWakingMailStaysUntilItHasWoken(t *testing.T) {
	var (
		mutex   sync.Mutex
		sleeper net.Conn
		mail    bool // that the sleeper has not heard of
		waited  int  // commands of the other since it came
	)
	host, port := script{}.startHearing(t, func(c net.Conn, command string) {
		mutex.Lock()
		defer mutex.Unlock()
		waited++
		switch {
		case command == "IDLE":
			sleeper = c
		case strings.HasPrefix(command, "APPEND"):
			mail, waited = true, 0
		case strings.HasPrefix(command, "UID EXPUNGE"):
			mail = false
		case mail && waited == 4:
			mail = false
			_, _ = io.WriteString(sleeper, "* 3 EXISTS\r\n")
		}
	})
	r := newTestFleet(t, host, port, "x", nil, "-n", "2", "-commands", "800", "-mix", "idle=1,noop=4").mustRun(t)
	if len(r.Errors) > 0 || r.count(verbExpunge) < 2 || r.count(verbWake) < 3*trashLimit {
		t.Errorf("every sleeper must be woken, and the mail deleted: %d wakes, %d deletions, %v",
			r.count(verbWake), r.count(verbExpunge), r.Errors)
	}
}
