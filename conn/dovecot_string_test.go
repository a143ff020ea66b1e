package conn_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/wire"
)

// Logins that Dovecot refuses, and one that it takes; no trace shows the
// password.
func TestDovecotLogin(t *testing.T) {
	user, password := fromBed(t, "USER"), fromBed(t, "PASSWORD")
	for _, tc := range []struct {
		name, address  string
		user, password string
		code           string // of the refusal
	}{
		{"LOGINDISABLED", "DOVECOT_LOGINDISABLED", user, password, "PRIVACYREQUIRED"},
		{"wrong password", "DOVECOT", user, "not the password", "AUTHENTICATIONFAILED"},
		{"wrong password in a literal", "DOVECOT", user, "p\xe4ssword {10}", "AUTHENTICATIONFAILED"},
		{"quotes and backslashes", "DOVECOT", fromBed(t, "USER2"), fromBed(t, "PASSWORD2"), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := dial(t, fromBed(t, tc.address))
			r := s.send("LOGIN %s %p", tc.user, tc.password).wait()
			checkRefusal(t, r, tc.code)
			s.send("NOOP").ok()
			checkSecrecy(t, s.trace, tc.user, tc.password)
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

func checkSecrecy(t *testing.T, trace []string, user, password string) {
	t.Helper()
	login := "C: " + tagPrefix + "1 LOGIN " + user + " ***"
	if !slices.ContainsFunc(trace, func(line string) bool { return strings.HasPrefix(line, login) }) {
		t.Errorf("the trace shows the password as ***: %q", trace)
	}
	escaped := strings.Trim(fmt.Sprintf("%q", password), `"`)
	for _, line := range trace {
		if strings.Contains(line, password) || strings.Contains(line, escaped) {
			t.Errorf("no trace shows a password: %q", line)
		}
	}
}

// Names that are hard to send and that Dovecot gives to mailboxes all the same.
var hardNames = []string{
	`with "quotes" and \back`, `"`, `\`, `\\`, `\"`, `ends in a backslash\`, `"{5}`,
	"{5}", "{5+}", "ends like a literal {5}", "&AOk- {5}", "&-",
	"NIL", "nil", "OK", "+", "*", "%", "*%", "50%25", "%s", "(x [y] z)", "]", " spaces ", "'", "#", "<>",
	strings.Repeat("n", 254),
}

func TestDovecotMailboxNames(t *testing.T) {
	user, password := loadAccount(t, namesAccount)
	s := login(t, user, password)
	var listed []string
	s.on("LIST", 0, func(r *conn.Reply) { listed = append(listed, listName(t, r)) })
	list := func() []string {
		listed = nil
		s.send("LIST %s %s", "", "*").ok()
		return sorted(listed)
	}
	onAll := func(format string) {
		var commands []*sent
		for _, name := range hardNames {
			commands = append(commands, s.send(format, name))
		}
		for _, c := range commands {
			c.ok()
		}
	}
	onAll("CREATE %s")
	same(t, "LIST names each mailbox as it was created", list(), sorted(append(hardNames[:len(hardNames):len(hardNames)], "INBOX")))

	var found []string
	s.on("STATUS", 0, func(r *conn.Reply) { found = append(found, statusName(t, r)) })
	onAll("STATUS %s (MESSAGES)")
	same(t, "STATUS finds each mailbox by its name", sorted(found), sorted(hardNames))

	onAll("DELETE %s")
	same(t, "DELETE deletes each mailbox", list(), []string{"INBOX"})
}

func sorted(names []string) []string { return slices.Sorted(slices.Values(names)) }

func listName(t *testing.T, r *conn.Reply) string {
	t.Helper()
	c := wire.NewCursor(r.Text)
	for c.ExpectListBegin(); c.More(); {
		c.ExpectFlag()
	}
	c.ExpectSP()
	c.ExpectNString() // hierarchy delimiter
	c.ExpectSP()
	name := c.ExpectAString().String()
	return walked(t, &c, r, name)
}

func statusName(t *testing.T, r *conn.Reply) string {
	t.Helper()
	c := wire.NewCursor(r.Text)
	name := c.ExpectAString().String()
	c.ExpectSP()
	for c.ExpectListBegin(); c.More(); {
		c.ExpectSkip()
	}
	return walked(t, &c, r, name)
}

func walked(t *testing.T, c *wire.Cursor, r *conn.Reply, name string) string {
	t.Helper()
	c.ExpectEnd()
	if err := c.Err(); err != nil {
		t.Errorf("a %s reply can be walked: %v", r.Keyword, err)
	}
	return name
}

// Names that no mailbox can have. Dovecot repeats in its refusal a name that it
// does not know, whatever the length; others it finds malformed.
func TestDovecotRefusesMailboxNames(t *testing.T) {
	long := strings.Repeat(`"long" \ {5} `, 200)
	var unknown []string
	for _, n := range []int{1022, 1023, 1024, 1025, 2500} { // to be quoted up to 1,023
		unknown = append(unknown, long[:n], long[:n-3]+"{5}")
	}
	malformed := []string{"8-bit \xe9 {5}", "8-bit \u00e9", "CR \r LF \n both \r\n{5}", eightBit()}
	eachMode(t, namesAccount, func(t *testing.T, s *session, _ bool) {
		refuses := func(name, says string) {
			t.Helper()
			refused, behind := s.send("SUBSCRIBE %s", name), s.send("NOOP")
			if r := refused.wait(); r.Keyword != "NO" || !strings.Contains(string(r.Text), says) {
				t.Errorf("there is no mailbox %q: %s %s", name, r.Keyword, r.Text)
			}
			behind.ok()
		}
		for _, name := range unknown {
			refuses(name, "doesn't exist: "+name+" (")
		}
		for _, name := range malformed {
			refuses(name, "not valid mUTF-7")
		}
	})
}

// Strings of other kinds than names, which Dovecot gives back or finds.
func TestDovecotStrings(t *testing.T) {
	eachMode(t, namesAccount, func(t *testing.T, s *session, _ bool) {
		mailbox := s.mailbox("strings")
		mail := "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
		for _, body := range []string{"a caf\u00e9 {5}", "a cafe {5}", "a caf\u00e8 {5}"} {
			s.send("APPEND %s %l", mailbox, []byte(mail+body)).ok()
		}
		s.send("SELECT %s", mailbox).ok()

		var found string
		s.on("SEARCH", 0, func(r *conn.Reply) { found = string(r.Text) })
		s.send("SEARCH CHARSET UTF-8 BODY %s", "a caf\u00e8 {5}").ok()
		if found != "3" {
			t.Errorf("SEARCH finds the message with a string of 8-bit characters: %q", found)
		}

		fields := []string{`A"B\\C`, "X {5}", "{5}", "X]", "NIL", "", strings.Repeat("LONG {5}", 300)}
		var echoed []string
		s.on("FETCH", conn.CallbackNumbered, func(r *conn.Reply) { echoed = fieldNames(t, r) })
		s.send("FETCH 1 (BODY.PEEK[HEADER.FIELDS (%v)])", fields).ok()
		same(t, "a FETCH of header fields repeats their names", echoed, fields)
	})
}

// fieldNames returns the names in a reply to a FETCH of BODY[HEADER.FIELDS].
func fieldNames(t *testing.T, r *conn.Reply) (names []string) {
	t.Helper()
	c := wire.NewCursor(r.Text)
	c.ExpectListBegin()
	c.ExpectAtom() // BODY[HEADER.FIELDS
	c.ExpectSP()
	for c.ExpectListBegin(); c.More(); {
		names = append(names, c.ExpectAString().String())
	}
	c.ExpectSpecial(']')
	c.ExpectSP()
	c.ExpectNString()
	c.ExpectListEnd()
	c.ExpectEnd()
	if err := c.Err(); err != nil {
		t.Errorf("a FETCH reply can be walked: %v", err)
	}
	return names
}
