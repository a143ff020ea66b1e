package conn_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/wire"
)

// literalModes are the two ways to send a literal.
var literalModes = []struct {
	name  string
	flags conn.Flags
}{
	{"synchronizing", 0},
	{"non-synchronizing", conn.NonSyncLiteral},
}

// eachMode runs f on a connection for each of the ways.
func eachMode(t *testing.T, account int, f func(t *testing.T, s *session)) {
	fromBed(t, "DOVECOT")
	for _, mode := range literalModes {
		t.Run(mode.name, func(t *testing.T) {
			user, password := loadAccount(t, account)
			s := login(t, user, password)
			s.SetFlags(mode.flags)
			f(t, s)
		})
	}
}

// wantLiterals fails unless the last command's literals were announced in the
// session's way.
func (s *session) literalsSent() (waiting, notWaiting int) {
	for _, line := range s.trace {
		if strings.HasPrefix(line, "C: ") && strings.HasSuffix(line, "}") {
			if strings.HasSuffix(line, "+}") {
				notWaiting++
			} else {
				waiting++
			}
		}
	}
	return waiting, notWaiting
}

// eightBit is every byte that Dovecot stores as it is: no NUL, and CR and LF
// only as a pair.
func eightBit() string {
	var b strings.Builder
	for c := 1; c < 256; c++ {
		if c != '\r' && c != '\n' {
			b.WriteByte(byte(c))
		}
	}
	return b.String()
}

// lines returns size bytes in lines that are all different.
func lines(size int) []byte {
	source := rand.New(rand.NewPCG(1, uint64(size)))
	b := make([]byte, 0, size+64)
	for len(b) < size-2 {
		b = fmt.Appendf(b, "%016x %016x {%d}\r\n", source.Uint64(), source.Uint64(), len(b))
	}
	return append(b[:size-2], "\r\n"...)
}

// appendUID returns the first UID of the response code APPENDUID (RFC 4315).
func appendUID(t *testing.T, r *conn.Reply) (first, last uint32) {
	t.Helper()
	text := wire.NewCursor(r.Text)
	name, arg, _ := text.Code()
	c := wire.NewCursor(arg)
	c.ExpectNumber() // UIDVALIDITY
	c.ExpectSP()
	first = c.ExpectNumber()
	if last = first; c.Special(':') {
		last = c.ExpectNumber()
	}
	c.ExpectEnd()
	if string(name) != "APPENDUID" || c.Err() != nil {
		t.Fatalf("an APPEND is answered with the UID: %s", r.Text)
	}
	return first, last
}

// stored fetches a message and compares it.
func (s *session) stored(says string, uid uint32, section string, want []byte) (flags []string) {
	s.t.Helper()
	came := 0
	s.on("FETCH", conn.CallbackNumbered, func(r *conn.Reply) {
		f := parseFetch(s.t, r)
		if f.uid != uid {
			return // news of another message's flags
		}
		came++
		flags = f.flags
		sameBytes(s.t, says+" is read back byte for byte", f.joined(s.t, section), want)
	})
	s.send("UID FETCH %u (FLAGS %a)", uid, wire.Text(strings.Replace(section, "[", ".PEEK[", 1))).ok()
	if came != 1 {
		s.t.Errorf("%s is read back: %d replies", says, came)
	}
	return flags
}

func TestDovecotAppend(t *testing.T) {
	cases := []struct {
		name string
		data []byte
	}{
		{"one byte", []byte("x")},
		{"what cannot be quoted", []byte(eightBit())},
		{"line ends", bytes.Repeat([]byte("\r\n"), 30_000)},
		{"what looks like protocol", []byte("+ \r\n* BYE {5}\r\na1 OK\r\n)\r\nDONE\r\n{10}\r\n~{3+}")},
		{"the line end in two", []byte("Subject: x\r\n\r\n")},
		{"1 MB", lines(1 << 20)},
		{"10 MB", lines(10 << 20)},
	}
	eachMode(t, appendAccount, func(t *testing.T, s *session) {
		mailbox := s.mailbox("append")
		var appends []*sent
		for _, tc := range cases {
			appends = append(appends, s.send("APPEND %s %l", mailbox, tc.data))
		}
		nothing := s.send("APPEND %s %l", mailbox, []byte{})
		behind := s.send("SELECT %s", mailbox)
		if r := nothing.wait(); r.Keyword != "NO" {
			t.Errorf("Dovecot refuses an empty message: %s %s", r.Keyword, r.Text)
		}
		behind.ok()
		for i, tc := range cases {
			uid, _ := appendUID(t, appends[i].ok())
			s.stored(tc.name, uid, "BODY[]", tc.data)
		}
	})
}

func TestDovecotTwoLiterals(t *testing.T) {
	eachMode(t, appendAccount, func(t *testing.T, s *session) {
		mailbox := s.mailbox("two literals")
		first, second := lines(100_000), []byte("second: \xff\r\n\r\n{5}")
		last := s.send("APPEND %s (\\Seen) %l (\\Flagged %a) %l", mailbox, first, "$two", second)
		s.send("SELECT %s", mailbox).ok()
		uid, lastUID := appendUID(t, last.ok())
		if lastUID != uid+1 {
			t.Errorf("one APPEND stores two messages: UIDs %d to %d", uid, lastUID)
		}
		if flags := s.stored("the first message", uid, "BODY[]", first); !slices.Contains(flags, `\Seen`) {
			t.Errorf("the first message has its flag: %q", flags)
		}
		if flags := s.stored("the second message", lastUID, "BODY[]", second); !slices.Contains(flags, "$two") {
			t.Errorf("the second message has its flag: %q", flags)
		}
	})
}

// Dovecot sends what has a NUL as a literal8, too.
func TestDovecotLiteral8(t *testing.T) {
	eachMode(t, appendAccount, func(t *testing.T, s *session) {
		mailbox := s.mailbox("literal8")
		data := []byte("Subject: NUL\r\nContent-Transfer-Encoding: binary\r\n\r\na\x00b\x00\x00{1}\r\n")
		uid, _ := appendUID(t, s.send("APPEND %s %L", mailbox, data).ok())
		s.send("SELECT %s", mailbox).ok()
		s.stored("a message with NUL", uid, "BINARY[]", data)
	})
}

// A literal that waits is not sent when it was refused; one that does not wait
// is, and the server skips it. Either way the commands behind it get their own
// answers.
func TestDovecotRefusesAppend(t *testing.T) {
	data := lines(50_000)
	for _, tc := range []struct {
		name, mailbox, code string
		want                int // bytes of literals that are sent when they wait
		format              string
		args                []any
	}{
		{"no such mailbox", "nothing here", "TRYCREATE", 0, "APPEND %s %l", []any{"nothing here", data}},
		{"no such mailbox, two literals", "nothing here", "TRYCREATE", 0, "APPEND %s %l %l", []any{"nothing here", data, data}},
		{"second literal of three", "INBOX", "", len(data), "APPEND %s %l %l %l", []any{"INBOX", data, []byte{}, data}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			eachMode(t, appendAccount, func(t *testing.T, s *session) {
				out := s.Stats().BytesOut
				refused := s.send(tc.format, tc.args...)
				var status string
				s.on("STATUS", 0, func(r *conn.Reply) { status = string(r.Text) })
				behind := []*sent{s.send("NOOP"), s.send("STATUS INBOX (MESSAGES)"), s.send("NOOP")}
				r := refused.wait()
				text := wire.NewCursor(r.Text)
				if name, _, _ := text.Code(); r.Keyword != "NO" || string(name) != tc.code {
					t.Errorf("the APPEND is refused with NO [%s]: %s %s", tc.code, r.Keyword, r.Text)
				}
				for _, c := range behind {
					c.ok()
				}
				if status != "INBOX (MESSAGES 0)" {
					t.Errorf("nothing of a refused APPEND is stored: %s", status)
				}
				want := tc.want
				if _, notWaiting := s.literalsSent(); notWaiting > 0 {
					want = 0
					for _, arg := range tc.args {
						b, _ := arg.([]byte)
						want += len(b)
					}
				}
				const commands = 300 // bytes, and some to spare
				if sent := int(s.Stats().BytesOut - out); sent < want || sent > want+commands {
					t.Errorf("of the literals %d bytes are sent: %d bytes in all", want, sent)
				}
			})
		})
	}
}

// Logins that Dovecot refuses, and one that it takes; no trace shows the
// password.
func TestDovecotLogin(t *testing.T) {
	user, password := fromBed(t, "USER"), fromBed(t, "PASSWORD")
	for _, tc := range []struct {
		name, address  string
		user, password string
		code           string // of the refusal
		literal        bool   // the password is one
	}{
		{"LOGINDISABLED", "DOVECOT_LOGINDISABLED", user, password, "PRIVACYREQUIRED", false},
		{"wrong password", "DOVECOT", user, "not the password", "AUTHENTICATIONFAILED", false},
		{"wrong password in a literal", "DOVECOT", user, "p\xe4ssword {10}", "AUTHENTICATIONFAILED", true},
		{"quotes and backslashes", "DOVECOT", fromBed(t, "USER2"), fromBed(t, "PASSWORD2"), "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := dial(t, fromBed(t, tc.address))
			r := s.send("LOGIN %s %p", tc.user, tc.password).wait()
			checkRefusal(t, r, tc.code)
			s.send("NOOP").ok()
			checkSecrecy(t, s.trace, tc.password, tc.literal)
		})
	}
}

func checkRefusal(t *testing.T, r *conn.Reply, code string) {
	t.Helper()
	err := r.AsError()
	if code == "" {
		if err != nil {
			t.Errorf("the login succeeds: %v", err)
		}
		return
	}
	var refusal *conn.ReplyError
	if !errors.As(err, &refusal) || refusal.Keyword != "NO" || !strings.HasPrefix(refusal.Text, "["+code+"]") {
		t.Errorf("the login is refused with a *conn.ReplyError, NO [%s]: %v", code, err)
	}
}

func checkSecrecy(t *testing.T, trace []string, password string, literal bool) {
	t.Helper()
	shown := slices.IndexFunc(trace, func(line string) bool { return strings.HasSuffix(line, "***") })
	switch {
	case shown < 0:
		t.Errorf("the trace shows the password as ***: %q", trace)
	case strings.Contains(trace[shown], "LOGIN") == literal:
		t.Errorf("*** stands where the password was sent, behind its header if it is a literal: %q", trace[shown])
	}
	escaped := strings.Trim(fmt.Sprintf("%q", password), `"`)
	for _, line := range trace {
		if strings.Contains(line, password) || strings.Contains(line, escaped) {
			t.Errorf("no trace shows a password: %q", line)
		}
	}
}
