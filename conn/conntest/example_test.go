package conntest_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/reactor"
)

// The test of a program that counts new mail, say, looks like this one.
func TestScript(t *testing.T) {
	conntest.EveryCut(t, func(t *testing.T, cut *conntest.Cut) {
		var log conntest.Log
		c, s := conntest.NewCut(t, &conn.Dialer{
			Callbacks: []conn.Callback{{Keyword: "EXISTS", Flags: conn.CallbackNumbered, Proc: log.Proc("exists")}},
		}, cut)
		if err := c.Send(log.Proc("noop"), nil, "NOOP"); err != nil {
			t.Fatal(err)
		}
		s.Play(`
			S: * OK ready
			C: a1 NOOP
			S: * 3 EXISTS
			S: a1 OK done
			C-
			S.
		`)
		want := []string{`exists 3 EXISTS ""`, `noop OK "done"`}
		if got := log.Take(); !slices.Equal(got, want) {
			t.Errorf("callbacks get the replies in order\n got: %q\nwant: %q", got, want)
		}
	})
}

// A server that falls silent: what it says in time extends the wait, and then the
// command and the connection end.
func ExampleServer_Play() {
	t := new(exampleT) // in a test: its *testing.T
	defer t.end()

	var log conntest.Log
	c, s := conntest.New(t, &conn.Dialer{
		Callbacks: []conn.Callback{{Keyword: "EXISTS", Flags: conn.CallbackNumbered, Proc: log.Proc("new mail")}},
		OnClose:   log.OnClose,
		Timeouts:  conn.Timeouts{Command: time.Minute},
	})
	if err := c.Send(log.Proc("NOOP"), nil, "NOOP"); err != nil {
		t.Fatalf("Send: %v", err)
	}
	s.Play(`
		S: * OK ready
		C: a1 NOOP
		T+ 59s
		S: * 3 EXISTS
		T+ 59s
	`)
	fmt.Println("alive:", c.Err() == nil)
	s.Play(`T+ 1s`)
	for _, line := range log.Take() {
		fmt.Println(line)
	}
	// Output:
	// alive: true
	// new mail 3 EXISTS ""
	// NOOP EOF "" conn: timed out after 1m0s, waiting for: command
	// closed: conn: timed out after 1m0s, waiting for: command
}

// A login that waits for TLS: nothing that counts is sent before, and what somebody on
// the way says in the server's name, before or behind its OK, helps nobody.
func ExampleServer_StartTLS() {
	t := new(exampleT) // in a test: its *testing.T
	defer t.end()

	var log conntest.Log
	d := &conn.Dialer{
		RequireTLS: true,
		Callbacks:  []conn.Callback{{Proc: log.Proc("heard")}},
		OnClose:    log.OnClose,
	}
	login := func(c *conn.Client) {
		err := c.StartTLSAsync("", "", "", "", func(err error) { log.Add(fmt.Sprint("TLS: ", err)) })
		if err != nil {
			t.Fatalf("StartTLSAsync: %v", err)
		}
		if err := c.Send(log.Proc("LOGIN"), nil, "LOGIN alice %p", "secret word"); err != nil {
			t.Fatalf("Send: %v", err)
		}
	}

	c, s := conntest.New(t, d)
	login(c)
	s.Play(`
		S: * OK [CAPABILITY IMAP4rev1 STARTTLS] ready
		C: a1 STARTTLS
		C-
		S: a1 OK begin
		TLS
		C: a2 LOGIN alice "secret word"
		S: a2 OK welcome
		S: * 3 EXISTS
		S.
	`)
	for _, line := range log.Take() {
		fmt.Println(line)
	}

	fmt.Println("And now with somebody on the way:")
	c, s = conntest.New(t, d)
	login(c)
	s.Play(`
		S: * OK ready
		C: a1 STARTTLS
		S> a1 OK begin\r\n* 66 EXISTS\r\n
		C.
	`)
	for _, line := range log.Take() {
		fmt.Println(line)
	}
	// Output:
	// TLS: <nil>
	// LOGIN OK "welcome"
	// heard 3 EXISTS ""
	// closed: conn: the server closed the connection: EOF
	// And now with somebody on the way:
	// TLS: conn: plain text behind the server's OK to STARTTLS
	// LOGIN EOF "" conn: plain text behind the server's OK to STARTTLS (command not sent)
	// closed: conn: plain text behind the server's OK to STARTTLS
}

// A program that lives in a loop is tested there: the server's methods turn the
// loop, with all that the program has put in it.
func ExampleServer_Join() {
	t := new(exampleT) // in a test: its *testing.T
	defer t.end()

	l, err := reactor.New()
	if err != nil {
		t.Fatalf("a loop: %v", err)
	}
	defer l.Close()
	mailbox, inbox := conntest.New(t, &conn.Dialer{})
	pager, page := conntest.New(t, &conn.Dialer{})
	inbox.Join(l)
	page.Join(l)
	mailbox.AddCallback(conn.Callback{Keyword: "EXISTS", Flags: conn.CallbackNumbered, Proc: func(_ *conn.Client, _ any, r *conn.Reply) {
		if err := pager.Send(nil, nil, "APPEND pager %l", fmt.Appendf(nil, "mail %d", r.MsgNo)); err != nil {
			t.Fatalf("Send: %v", err)
		}
	}})
	inbox.Play(`S: * 3 EXISTS`)
	page.Play(`
		C: a1 APPEND pager {6}
		S: + go on
		C: mail 3
		S: a1 OK
		S!
	`)
	fmt.Println("pager:", pager.Err())
	fmt.Println("mailbox:", mailbox.Err())
	// Output:
	// pager: conn: connection lost: read: connection reset by peer
	// mailbox: <nil>
}

// exampleT stands in for the *testing.T that an example does not have.
type exampleT struct {
	testing.TB
	cleanups []func()
}

func (t *exampleT) Helper()                           {}
func (t *exampleT) Cleanup(f func())                  { t.cleanups = append(t.cleanups, f) }
func (t *exampleT) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (t *exampleT) end() {
	for _, f := range slices.Backward(t.cleanups) {
		f()
	}
}
