package conn_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/wire"
)

// literalModes are the ways to send a literal.
var literalModes = []struct {
	name         string
	waits        bool
	syncLiterals bool // of the Dialer
	flags        conn.Flags
}{
	{"synchronizing", true, true, 0},
	{"non-synchronizing by the flag", false, true, conn.NonSyncLiteral},
	{"non-synchronizing by capability", false, false, 0},
}

// eachMode runs f on a connection for each of the ways. All commands with
// literals must send them in that way.
func eachMode(t *testing.T, account int, f func(t *testing.T, s *session, waits bool)) {
	fromBed(t, "DOVECOT")
	for _, mode := range literalModes {
		t.Run(mode.name, func(t *testing.T) {
			user, password := loadAccount(t, account)
			s := login(t, user, password, func(d *conn.Dialer) { d.SyncLiterals = mode.syncLiterals })
			s.SetFlags(mode.flags)
			f(t, s, mode.waits)
			checkHeaders(t, s.trace, mode.waits)
		})
	}
}

func checkHeaders(t *testing.T, trace []string, waits bool) {
	t.Helper()
	headers := 0
	for _, line := range trace {
		command := strings.HasPrefix(line, "C: "+tagPrefix) || strings.HasPrefix(line, "C: <literal>")
		if !command || !strings.HasSuffix(line, "}") {
			continue
		}
		headers++
		if strings.HasSuffix(line, "+}") == waits {
			t.Errorf("a literal's header says whether it waits, %v: %q", waits, line)
		}
	}
	if headers == 0 {
		t.Error("literals are sent")
	}
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
	eachMode(t, appendAccount, func(t *testing.T, s *session, _ bool) {
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
	eachMode(t, appendAccount, func(t *testing.T, s *session, _ bool) {
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
	eachMode(t, appendAccount, func(t *testing.T, s *session, _ bool) {
		mailbox := s.mailbox("literal8")
		data := []byte("Subject: NUL\r\nContent-Transfer-Encoding: binary\r\n\r\na\x00b\x00\x00{1}\r\n")
		uid, _ := appendUID(t, s.send("APPEND %s %L", mailbox, data).ok())
		s.send("SELECT %s", mailbox).ok()
		s.stored("a message with NUL", uid, "BINARY[]", data)
		trace := strings.Join(s.trace, "\n")
		if !strings.Contains(trace, " APPEND literal8 ~{") || !strings.Contains(trace, " BINARY[] ~{") {
			t.Error("both sides send it as a literal8")
		}
	})
}

// A literal that waits is not sent when it was refused; one that does not wait
// is, and the server skips it. Either way the commands behind it get their own
// answers.
func TestDovecotRefusesAppend(t *testing.T) {
	fromBed(t, "DOVECOT")
	data := lines(50_000)
	for _, tc := range []struct {
		name, code      string
		mailbox         string
		literals        [][]byte
		taken, skipping int // bytes of literals that are sent if they wait, and if not
	}{
		{"no such mailbox", "TRYCREATE", "nothing here", [][]byte{data}, 0, len(data)},
		{"no such mailbox, two literals", "TRYCREATE", "nothing here", [][]byte{data, data}, 0, 2 * len(data)},
		{"the second of three is empty", "", "INBOX", [][]byte{data, {}, data}, len(data), 2 * len(data)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			eachMode(t, appendAccount, func(t *testing.T, s *session, waits bool) {
				var status string
				s.on("STATUS", 0, func(r *conn.Reply) { status = string(r.Text) })
				before := s.Stats().BytesOut
				refused := s.send("APPEND %s"+strings.Repeat(" %l", len(tc.literals)), withMailbox(tc.mailbox, tc.literals)...)
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
					t.Errorf("nothing of a refused APPEND is stored, and STATUS behind it has its own answer: %q", status)
				}
				want := tc.skipping
				if waits {
					want = tc.taken
				}
				const commands = 300 // bytes, and some to spare
				if sent := int(s.Stats().BytesOut - before); sent < want || sent > want+commands {
					t.Errorf("of the literals %d bytes are sent: %d bytes in all", want, sent)
				}
			})
		})
	}
}

func withMailbox(mailbox string, literals [][]byte) []any {
	args := []any{mailbox}
	for _, literal := range literals {
		args = append(args, literal)
	}
	return args
}
