package conn_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/wire"
)

// The tests named TestDovecot talk to the Dovecot of cmd/testbed, whose usage
// says what there is.

// fromBed returns a variable of the testbed. Without one it skips the test.
func fromBed(t *testing.T, name string) string {
	t.Helper()
	const prefix = "IMCLIENT_TEST_"
	if os.Getenv(prefix+"DOVECOT") == "" {
		t.Skip("needs the testbed: go run ./cmd/testbed go test ./conn")
	}
	value := os.Getenv(prefix + name)
	if value == "" {
		t.Fatalf("the testbed says %s%s", prefix, name)
	}
	return value
}

// The accounts without mail that the tests change, one for each that wants its
// own.
const (
	appendAccount = 9000 + iota
	namesAccount
	idleAccount
	fleetAccount
)

func loadAccount(t *testing.T, number int) (user, password string) {
	t.Helper()
	return strings.ReplaceAll(fromBed(t, "LOADUSER"), "%d", fmt.Sprint(number)), fromBed(t, "LOADPASSWORD")
}

// messageFiles returns the messages in the reader's INBOX: message 1 is the
// first.
func messageFiles(t *testing.T) [][]byte {
	t.Helper()
	dir := fromBed(t, "MESSAGES")
	var files [][]byte
	for n := 1; n <= 300; n++ {
		data, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("%04d.eml", n)))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, data)
	}
	return files
}

// tagPrefix begins the tags of sessions.
const tagPrefix = "tag"

// session is a bare client in the hands of a test, whose waits drive it.
type session struct {
	*conn.Client
	t     *testing.T
	trace []string
}

// patient is for servers on busy machines: no wait has a limit.
var patient = conn.Timeouts{Connect: -1, Greeting: -1, Command: -1, Reply: -1, Logout: -1}

// dial connects. Literals wait unless options say otherwise.
func dial(t *testing.T, address string, options ...func(*conn.Dialer)) *session {
	t.Helper()
	s := &session{t: t}
	d := &conn.Dialer{
		TagPrefix:    tagPrefix,
		Trace:        func(_ *conn.Client, line string) { s.trace = append(s.trace, line) },
		Timeouts:     patient,
		SyncLiterals: true,
	}
	for _, option := range options {
		option(d)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	if s.Client, err = d.Connect(host, port); err != nil {
		t.Fatalf("the server takes a connection: %v", err)
	}
	t.Cleanup(func() {
		_ = s.Close()
		if t.Failed() {
			t.Logf("a connection's last lines:\n%s", strings.Join(s.trace[max(0, len(s.trace)-40):], "\n"))
		}
	})
	return s
}

func login(t *testing.T, user, password string, options ...func(*conn.Dialer)) *session {
	t.Helper()
	s := dial(t, fromBed(t, "DOVECOT"), options...)
	s.send("LOGIN %s %p", user, password).ok()
	return s
}

// on registers f for untagged replies.
func (s *session) on(keyword string, flags conn.CallbackFlags, f func(r *conn.Reply)) {
	s.AddCallback(conn.Callback{Keyword: keyword, Flags: flags, Proc: func(_ *conn.Client, _ any, r *conn.Reply) { f(r) }})
}

// until drives the connection.
func (s *session) until(done func() bool) {
	s.t.Helper()
	for !done() {
		if err := s.ProcessOneEvent(); err != nil {
			s.t.Fatalf("the connection lives: %v", err)
		}
	}
}

// sent is a command on its way.
type sent struct {
	s      *session
	format string
	reply  *conn.Reply // its completion
}

func (s *session) send(format string, args ...any) *sent {
	s.t.Helper()
	return s.sendCommand(conn.Command{}, format, args...)
}

func (s *session) sendCommand(cmd conn.Command, format string, args ...any) *sent {
	s.t.Helper()
	w := &sent{s: s, format: format}
	cmd.Finish = func(_ *conn.Client, _ any, r *conn.Reply) {
		if w.reply != nil {
			s.t.Errorf("a command completes once: %s: %s %s", format, r.Keyword, r.Text)
		}
		w.reply = r.Clone()
	}
	if err := s.SendCommand(&cmd, format, args...); err != nil {
		s.t.Fatalf("Send(%q) queues a command: %v", format, err)
	}
	return w
}

func (w *sent) wait() *conn.Reply {
	w.s.t.Helper()
	w.s.until(func() bool { return w.reply != nil })
	return w.reply
}

func (w *sent) ok() *conn.Reply {
	w.s.t.Helper()
	r := w.wait()
	if err := r.AsError(); err != nil {
		w.s.t.Fatalf("%s succeeds: %v", w.format, err)
	}
	return r
}

// mailbox creates a mailbox that goes with the test.
func (s *session) mailbox(name string) string {
	s.t.Helper()
	s.send("CREATE %s", name).ok()
	s.t.Cleanup(func() { s.send("DELETE %s", name).ok() })
	return name
}

// fetched is a FETCH reply. Its bytes alias the reply's text.
type fetched struct {
	uid      uint32
	size     int64
	flags    []string
	sections map[string][]byte
}

func parseFetch(t *testing.T, r *conn.Reply) fetched {
	t.Helper()
	f := fetched{sections: map[string][]byte{}}
	c := wire.NewCursor(r.Text)
	for c.ExpectListBegin(); c.More(); {
		name := string(c.ExpectAtom())
		if c.Special(']') {
			name += "]"
		}
		c.ExpectSP()
		switch name {
		case "UID":
			f.uid = c.ExpectNumber()
		case "RFC822.SIZE":
			f.size = c.ExpectNumber64()
		case "FLAGS":
			for c.ExpectListBegin(); c.More(); {
				f.flags = append(f.flags, string(c.ExpectFlag()))
			}
		default:
			f.sections[name] = c.ExpectNString().Bytes(nil)
		}
	}
	c.ExpectEnd()
	if err := c.Err(); err != nil {
		t.Errorf("a FETCH reply can be walked: %v", err)
	}
	return f
}

// joined returns sections one after the other.
func (f *fetched) joined(t *testing.T, names ...string) []byte {
	t.Helper()
	var all [][]byte
	for _, name := range names {
		section, there := f.sections[name]
		if !there {
			t.Errorf("a FETCH reply holds %s: message with UID %d", name, f.uid)
		}
		all = append(all, section)
	}
	return bytes.Join(all, nil)
}

func sameBytes(t *testing.T, says string, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	t.Errorf("%s\n got %d bytes, from %d on: %.60q\nwant %d bytes, from there: %.60q", says, len(got), at, got[at:], len(want), want[at:])
}

func TestDovecotEveryMessage(t *testing.T) {
	files := messageFiles(t)
	for _, tc := range []struct {
		name     string
		commands int // the format has a verb for the UID if there is one for each
		format   string
		sections []string
	}{
		{"whole", 1, "UID FETCH 1:* (RFC822.SIZE BODY.PEEK[])", []string{"BODY[]"}},
		{"header and text", 1, "UID FETCH 1:* (RFC822.SIZE BODY.PEEK[HEADER] BODY.PEEK[TEXT])", []string{"BODY[HEADER]", "BODY[TEXT]"}},
		{"a command for each", 300, "UID FETCH %d (RFC822.SIZE BODY.PEEK[])", []string{"BODY[]"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := login(t, fromBed(t, "USER"), fromBed(t, "PASSWORD"))
			s.send("EXAMINE INBOX").ok()
			came := make([]int, len(files)+1)
			s.on("FETCH", conn.CallbackNumbered, func(r *conn.Reply) {
				f := parseFetch(t, r)
				if r.MsgNo < 1 || int(r.MsgNo) > len(files) {
					t.Fatalf("the INBOX has 300 messages: %d FETCH", r.MsgNo)
				}
				came[r.MsgNo]++
				file := files[r.MsgNo-1]
				sameBytes(t, fmt.Sprintf("message %d is its file, byte for byte", r.MsgNo), f.joined(t, tc.sections...), file)
				if int64(f.uid) != r.MsgNo || f.size != int64(len(file)) {
					t.Errorf("message %d has this UID and %d bytes: UID %d, %d bytes", r.MsgNo, len(file), f.uid, f.size)
				}
			})
			var commands []*sent
			for uid := 1; uid <= tc.commands; uid++ {
				var args []any
				if tc.commands > 1 {
					args = []any{uid}
				}
				commands = append(commands, s.send(tc.format, args...))
			}
			for _, c := range commands {
				c.ok()
			}
			for n := 1; n <= len(files); n++ {
				if came[n] != 1 {
					t.Errorf("each message comes once: message %d %d times", n, came[n])
				}
			}
		})
	}
}

// question is a command and what Dovecot makes of it.
type question struct {
	format  string
	args    []any
	keyword string // of the completion
	reply   string // the untagged reply that comes before the completion; "": none
}

// questions makes n commands of ten kinds. Messages up to 34 are the large and
// the strange ones, some without Message-ID.
func questions(n int, files [][]byte) []question {
	var all []question
	for i := range n {
		number := 35 + i%(len(files)-34)
		file := files[number-1]
		header := file[:bytes.Index(file, []byte("\r\n\r\n"))+4]
		all = append(all, [...]question{
			{"NOOP", nil, "OK", ""},
			{"FETCH %d RFC822.SIZE", []any{number}, "OK", fmt.Sprintf("%d FETCH (RFC822.SIZE %d)", number, len(file))},
			{"FETCH %d BODY.PEEK[HEADER]", []any{number}, "OK", fmt.Sprintf("%d FETCH (BODY[HEADER] {%d}\r\n%s)", number, len(header), header)},
			{"UID FETCH %u BODY.PEEK[]", []any{uint32(number)}, "OK", fmt.Sprintf("%d FETCH (UID %[1]d BODY[] {%d}\r\n%s)", number, len(file), file)},
			{"STATUS %s (MESSAGES)", []any{"INBOX"}, "OK", "STATUS INBOX (MESSAGES 300)"},
			{"SEARCH HEADER %a %s", []any{"Message-ID", fmt.Sprintf("<%d@imclient.test>", number)}, "OK", fmt.Sprintf("SEARCH %d", number)},
			{"UID SEARCH %d,%d", []any{number, 1}, "OK", fmt.Sprintf("SEARCH 1 %d", number)},
			{"STATUS %s (MESSAGES)", []any{fmt.Sprintf("nothing called %d", i)}, "NO", ""},
			{"STATUS %s (MESSAGES)", []any{"a synchronizing literal: \x80"}, "NO", ""},
			{"FETCH %d NONSENSE", []any{number}, "BAD", ""},
		}[i%10])
	}
	return all
}

// Dovecot may complete a command behind one that was sent later (RFC 9051
// section 5.5 allows it), so the order to be kept is that of the wire.
func TestDovecotPipelining(t *testing.T) {
	s := login(t, fromBed(t, "USER"), fromBed(t, "PASSWORD"))
	s.send("EXAMINE INBOX").ok()
	s.send("NOOP").ok()
	before := s.Stats()
	s.trace = nil

	replies := map[string]int{}
	s.on("", 0, func(r *conn.Reply) {
		text := r.Keyword + " " + string(r.Text)
		if r.MsgNo >= 0 {
			text = fmt.Sprintf("%d %s", r.MsgNo, text)
		}
		replies[text]++
	})
	var order []string // of completion
	all := questions(1000, messageFiles(t))
	for i, q := range all {
		tag := fmt.Sprint(before.Commands + uint64(i) + 1)
		finish := func(_ *conn.Client, _ any, r *conn.Reply) {
			order = append(order, tag)
			if r.Keyword != q.keyword {
				t.Errorf("command %d, %s, completes with %s: %s %s", i, q.format, q.keyword, r.Keyword, r.Text)
			}
			if replies[q.reply] == 0 && q.reply != "" {
				t.Errorf("command %d, %s, has its reply when it completes: %q", i, q.format, q.reply)
			}
			replies[q.reply]--
		}
		if err := s.Send(finish, nil, q.format, q.args...); err != nil {
			t.Fatal(err)
		}
	}
	if s.Stats() != before {
		t.Fatal("Send queues commands and does nothing else")
	}
	s.until(func() bool { return len(order) == len(all) })

	delete(replies, "") // of the commands without one
	for text, n := range replies {
		if n != 0 {
			t.Errorf("each reply comes once for each command that asks for it: %d times too often: %q", n, text)
		}
	}
	if want := taggedReplies(s.trace); !slices.Equal(order, want) {
		t.Errorf("commands complete once, in the order of the wire\n got: %q\nwant: %q", order, want)
	}
	if got := s.Stats().Commands - before.Commands; got != 1000 {
		t.Errorf("1000 commands are counted: %d", got)
	}
}

// taggedReplies returns the numbers in the tags of a trace's replies.
func taggedReplies(trace []string) []string {
	var numbers []string
	for _, line := range trace {
		if reply, tagged := strings.CutPrefix(line, "S: "+tagPrefix); tagged {
			number, _, _ := strings.Cut(reply, " ")
			numbers = append(numbers, number)
		}
	}
	return numbers
}
