package conn_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/wire"
)

// contract proves the semantics where the page is silent, point by point as the
// package documentation numbers them: each briefly, or by the test that proves it at
// length.
var contract = []func(t *testing.T){
	contractConnection,
	contractLookup,
	contractLiterals,
	contractReplies,
	contractEnd,
	contractSend,
	contractVerbs,
	contractOnContinue,
	contractCallbacks,
	contractClose,
	contractConnect,
	contractStartTLS,
	contractAuthenticate,
}

func TestContract(t *testing.T) {
	for i, point := range contract {
		t.Run(strconv.Itoa(i+1), point)
	}
}

func TestContractPoints(t *testing.T) {
	var want []string
	for i := range contract {
		want = append(want, strconv.Itoa(i+1))
	}
	same(t, "the package documentation has the points that TestContract proves",
		pointsIn(t, "semantics.go", "Where the manual page is silent"), want)
}

func contractConnection(t *testing.T) {
	each(t, []scene{
		{
			says:   "the greeting is an ordinary untagged reply, of ACAP too",
			dial:   entries(entry{"OK", 0, "OK"}, entry{"ACAP", 0, "ACAP"}),
			script: "S: * OK ready\nS: * ACAP (SASL \"PLAIN\")",
			want:   []string{`OK OK "ready"`, `ACAP ACAP "(SASL \"PLAIN\")"`},
		}, {
			says:   "tags are a prefix and a decimal, and TagPrefix fixes the prefix",
			dial:   func(d *conn.Dialer, _ *conntest.Log) { d.TagPrefix = "kf" },
			send:   commands("NOOP", "CHECK"),
			script: "C: kf1 NOOP\nC: kf2 CHECK",
		},
	})
	provedBy(t, "TestTagPrefix", `^[a-z]{2}1 NOOP\r\n$`)
	provedBy(t, "TestConnect", "Connect does not read the greeting", "the greeting is an untagged reply")
	provedBy(t, "TestConnectAsync", "done comes before the greeting")
}

func contractLookup(t *testing.T) {
	each(t, []scene{
		{
			says: "the first entry with the keyword, in any case, and of the right form gets the reply, else the default",
			dial: entries(entry{"", 0, "default"}, entry{"X", numbered, "numbered"}, entry{"x", noLiteral, "first"}, entry{"X", 0, "second"}),
			script: `
				S: * x 1
				S: * 2 X
				S: * 3 Y
				S: * Y 4`,
			want: []string{`first x "1"`, `numbered 2 X ""`, `default 3 Y ""`, `default Y "4"`},
		}, {
			says:   "keyword and flags name an entry, which keeps its place when it is registered again",
			dial:   entries(entry{"X", 0, "old"}, entry{"X", noLiteral, "other"}, entry{"X", 0, "new"}),
			script: `S: * X`,
			want:   []string{`new X ""`},
		}, {
			says:   "without a Proc nothing is called, the default neither",
			dial:   entries(entry{"X", 0, ""}, entry{"", 0, "default"}),
			script: `S: * X`,
		},
	})
}

func contractLiterals(t *testing.T) {
	each(t, []scene{
		{
			says: "the text of a status never holds a literal",
			send: commands("NOOP"),
			script: `
				C: a1 NOOP
				S: * OK {1}
				S: * NO {1}
				S: * BAD {1}
				S: * BYE {1}
				S: * PREAUTH {1}
				S: a1 OK {1}`,
			want: []string{`* OK "{1}"`, `* NO "{1}"`, `* BAD "{1}"`, `* BYE "{1}"`, `* PREAUTH "{1}"`, `a1 OK "{1}"`},
		}, {
			says: "a literal is announced by {n}, {n+} or ~{n}, whatever stands before, but not within quotes",
			script: `
				S> * X a{1}\r\nb{1+}\r\nc ~{1}\r\nd\r\n
				S: * X "{1}`,
			want: []string{`* X "a{1}\r\nb{1+}\r\nc ~{1}\r\nd"`, `* X "\"{1}"`},
		}, {
			says: "a literal is looked for only behind the one before",
			script: `
				S> * X {4}\r\n {7}\r\n
				S: * Y`,
			want: []string{`* X "{4}\r\n {7}"`, `* Y ""`},
		}, {
			says: "with CallbackNoLiteral the line is the whole reply, but for FETCH",
			dial: entries(entry{"X", noLiteral, "X"}, entry{"FETCH", noLiteral | numbered, "FETCH"}),
			script: `
				S: * X {5}
				S> * 1 FETCH {5}\r\n* X 1\r\n`,
			want: []string{`X X "{5}"`, `FETCH 1 FETCH "{5}\r\n* X 1"`},
		},
	})
}

func contractReplies(t *testing.T) {
	each(t, []scene{
		{
			says: "a tagged status in any case completes a command once, other tagged replies leave it pending",
			send: commands("A", "B", "C"),
			script: `
				C: a1 A
				S: a1 ENTRY x
				S: a1 oK
				S: a1 OK
				S: a2 No
				S: a3 bad`,
			want:  []string{`a1 ENTRY "x"`, `a1 oK ""`, `a2 No ""`, `a3 bad ""`},
			check: junk(conn.Junk{UnknownTag: 1}),
		}, {
			says: "a bare LF ends a line and costs no byte, and a number has at most 32 bits",
			script: `
				S> * X hello\n
				S: * 4294967295 EXISTS
				S: * 4294967296 EXISTS`,
			want:  []string{`* X "hello"`, `* 4294967295 EXISTS ""`},
			check: junk(conn.Junk{Malformed: 1}),
		}, {
			says:   "a malformed line that announces a literal is a protocol error at once",
			script: `S: *X {1}`,
			err:    "syntax",
		}, {
			says:   "so is a tagged reply to a command of which no byte was written",
			send:   func(send sender) { send("X %s", "ü"); send("NOOP") },
			script: "C: a1 X {2}\nS: a2 NO",
			want:   []string{`a1 EOF: syntax`, `a2 EOF: syntax, safe to retry`},
			err:    "syntax",
		}, {
			says:   "so is a tagged OK to a command that is not wholly written",
			send:   func(send sender) { send("X %s", "ü") },
			script: "C: a1 X {2}\nS: a1 OK",
			want:   []string{`a1 EOF: syntax`},
			err:    "syntax",
		},
	})
	const sixteen = 16
	t.Run("junk", func(t *testing.T) {
		var trace []string
		c, s := conntest.New(t, &conn.Dialer{Trace: func(_ *conn.Client, line string) {
			if strings.HasPrefix(line, "# skipped") {
				trace = append(trace, line)
			}
		}})
		s.Play(strings.Repeat("S: + for nobody\n", sixteen))
		junk(conn.Junk{Continuation: sixteen})(t, c)
		if len(trace) != sixteen || c.Err() != nil {
			t.Errorf("16 lines of junk are skipped and traced\n got: %d in the trace, %v", len(trace), c.Err())
		}
		s.Play("S: + for nobody")
		if got := kind(c.Err()); got != "syntax" {
			t.Errorf("one more is a protocol error\n got: %v", c.Err())
		}
	})
	provedBy(t, "TestJunkAllowance", "a completed command resets the count of junk")
	provedBy(t, "TestGuessedTag", "what was received is processed before a new command is written")
}

func contractEnd(t *testing.T) {
	for how, script := range map[string]string{"hangs up": "S.", "resets": "S!", "breaks the protocol": "S: *X {1}"} {
		t.Run("a server that "+how, func(t *testing.T) {
			var ends []string
			proc := func(_ *conn.Client, rock any, r *conn.Reply) { ends = append(ends, fmt.Sprint(rock, " ", r.Keyword)) }
			c, s := conntest.New(t, &conn.Dialer{OnClose: func(c *conn.Client, err error) {
				if err == nil || err != c.Err() {
					t.Errorf("OnClose gets the reason\n got: %v\nwant: %v", err, c.Err())
				}
				ends = append(ends, "OnClose")
			}})
			for i := range 3 {
				if err := c.Send(proc, i, "NOOP"); err != nil {
					t.Fatal(err)
				}
			}
			s.Play("C: a1 NOOP\nS: a2 OK\n" + script)
			same(t, "what is pending ends with EOF, oldest first, once, and then OnClose is called", ends,
				[]string{"1 OK", "0 EOF", "2 EOF", "OnClose"})
		})
	}
	printsNothing(t)
}

// printsNothing fails if the library names what would end the process or print.
func printsNothing(t *testing.T) {
	t.Helper()
	for _, folder := range []string{".", "../wire", "../reactor"} {
		names := selectorsIn(t, folder)
		if len(names) == 0 {
			t.Errorf("%s holds a package", folder)
		}
		for _, name := range names {
			for _, loud := range []string{"os.Exit", "os.Std", "fmt.Print", "log."} {
				if strings.HasPrefix(name, loud) {
					t.Errorf("the library neither ends the process nor prints\n got: %s in %s", name, folder)
				}
			}
		}
	}
}

func contractSend(t *testing.T) {
	t.Run("on an error nothing is sent", func(t *testing.T) {
		c, s := conntest.New(t, &conn.Dialer{})
		for _, wrong := range []string{"X %x", "X %s", "X\r\nY", "X\x00", "X %"} {
			if err := c.Send(nil, nil, wrong); !errors.As(err, new(*wire.FormatError)) {
				t.Errorf("%q is refused\n got: %v", wrong, err)
			}
		}
		s.ExpectNothing()
	})
	wait := func(send sender) { send("X %s", "ü"); send("NOOP") }
	each(t, []scene{
		{
			says: "a literal waits in the queue, with later commands behind it; a + needs neither space nor text",
			send: wait,
			script: `
				C: a1 X {2}
				C-
				S: +
				C: ü
				C: a2 NOOP
				C-`,
		}, {
			says: "NO in place of the + drops the rest of the command",
			send: wait,
			script: `
				C: a1 X {2}
				S: a1 NO
				C: a2 NOOP
				C-`,
			want: []string{`a1 NO ""`},
		},
	})
	provedBy(t, "TestSynchronizingLiteral", "BAD does too")
	provedBy(t, "TestRefusedInMidLiteral", "a literal that has begun is sent to its end though the command is refused")
	provedBy(t, "TestNonSyncLiteral", "with NonSyncLiteral literals do not wait; the flag counts when a command is sent")
	provedBy(t, "TestFullSocket", "what a full socket did not take is still to be written")
}

func contractVerbs(t *testing.T) {
	long := strings.Repeat("x", 1024)
	for _, tc := range []struct {
		format string
		arg    any
		want   string // behind the tag and X; "": refused
	}{
		{"X %s", "atom", "atom"},
		{"X %s", "two words", `"two words"`},
		{"X %s", `a"b\c`, `"a\"b\\c"`},
		{"X %s", "", `""`},
		{"X %s", "NIL", `"NIL"`},
		{"X %s", "\x7f", "\"\x7f\""},
		{"X %s", "a\rb", "{3+}\r\na\rb"},
		{"X %s", "a\nb", "{3+}\r\na\nb"},
		{"X %s", "ü", "{2+}\r\nü"},
		{"X %s", long[1:], long[1:]},
		{"X %s", long, "{1024+}\r\n" + long},
		{"X %s", "a\x00", ""},
		{"X %a", "atom", "atom"},
		{"X %a", "no atom", ""},
		{"X %a", wire.Text("1:* (FLAGS)"), "1:* (FLAGS)"},
		{"X %d", int8(-128), "-128"},
		{"X %d", int64(-1 << 63), "-9223372036854775808"},
		{"X %u", uint64(1<<64 - 1), "18446744073709551615"},
		{"X %v", []string{"a", "b c"}, `a "b c"`},
		{"X %p", "pass word", `"pass word"`},
		{"X %l", []byte("a\x00"), "{2+}\r\na\x00"},
		{"X %L", []byte("a\x00"), "~{2+}\r\na\x00"},
	} {
		var trace []string
		c, s := conntest.New(t, &conn.Dialer{Trace: func(_ *conn.Client, line string) { trace = append(trace, line) }})
		c.SetFlags(conn.NonSyncLiteral)
		err := c.Send(nil, nil, tc.format, tc.arg)
		if (err != nil) != (tc.want == "") {
			t.Errorf("%s with %.20q is an error: %t\n got: %v", tc.format, tc.arg, tc.want == "", err)
		}
		if tc.want != "" {
			s.Expect("a1 X " + tc.want + "\r\n")
		}
		s.ExpectNothing()
		if tc.format == "X %p" && (trace[len(trace)-1] != "C: a1 X ***" || strings.Contains(strings.Join(trace, ""), "word")) {
			t.Errorf("a trace shows a secret as ***\n got: %q", trace)
		}
	}
	provedBy(t, "TestLiteralByReference")
}

func contractOnContinue(t *testing.T) {
	conntest.EveryCut(t, func(t *testing.T, cut *conntest.Cut) {
		var log conntest.Log
		c, s := conntest.NewCut(t, &conn.Dialer{}, cut)
		talk(t, c, &log, "a1", "X", "first", "second")
		if err := c.Send(told(&log, "a2"), nil, "NOOP"); err != nil {
			t.Fatal(err)
		}
		s.Play(`
			C: a1 X
			C-
			S: + one
			C: first
			S: + two
			C: second
			C-
			S: a1 OK
			C: a2 NOOP`)
		same(t, "OnContinue is called for each +, and later commands wait", log.Take(), []string{`a1 + "one"`, `a1 + "two"`, `a1 OK ""`})
	})
	provedBy(t, "TestDialogueWithLiteral")
	provedBy(t, "TestIdle", "OnContinue gets the +, untagged replies come before and behind it")
}

func contractCallbacks(t *testing.T) {
	t.Run("ConnectAsync", func(t *testing.T) {
		l := newLoop(t)
		var a *async
		c, s := conntest.New(t, new(conn.Dialer))
		port := greeter(t, "tcp", "127.0.0.1:0")
		c.AddCallback(conn.Callback{Keyword: "X", Proc: func(*conn.Client, any, *conn.Reply) {
			a = connectAsync(context.Background(), new(conn.Dialer), l, "127.0.0.1", port)
		}})
		s.Join(l)
		s.Send("* X\r\n")
		for a.calls == 0 {
			if err := l.ProcessOneEvent(); err != nil {
				t.Fatal(err)
			}
		}
		if a.err != nil || a.client.Close() != nil {
			t.Errorf("ConnectAsync is allowed in a callback\n got: %v", a.err)
		}
	})
	t.Run("deadlines", func(t *testing.T) {
		now := time.Now()
		c, _ := pair(t, &conn.Dialer{Now: func() time.Time { return now }})
		now = now.Add(time.Hour)
		if at, ok := c.NextDeadline(); !ok || at.After(now) || c.Err() != nil {
			t.Errorf("a deadline that has passed fires in no call but one for events\n got: %v %t, %v", at, ok, c.Err())
		}
		_, err := c.TryProcessOneEvent()
		if !errors.As(err, new(*conn.TimeoutError)) {
			t.Errorf("the next call finds that it has passed\n got: %v", err)
		}
	})
	provedBy(t, "TestSendInCallback", "a completion may send the next command")
	provedBy(t, "TestDialogue", "Continue in OnContinue answers")
	provedBy(t, "TestAddCallbackInCallback", "a change of registration holds from the next reply on")
	provedBy(t, "TestSendManyInCallback", "commands from callbacks leave in order, by the flags of their time")
	provedBy(t, "TestCloseInCallback")
	provedBy(t, "TestCloseAnother", "Close of another connection takes effect at once, of one that is being driven when it returns")
	provedBy(t, "TestReentrant", "ErrReentrant is a misuse")
	provedBy(t, "TestDriveAnother", "connections are driven from callbacks of others, to depth")
}

func contractClose(t *testing.T) {
	var log conntest.Log
	c, s := conntest.New(t, &conn.Dialer{OnClose: closing(&log)})
	sending(t, c, &log)("LOGOUT")
	_ = c.Close()
	s.Play("C: a1 LOGOUT\nC-\nS: * BYE")
	same(t, "Close writes what is queued, and completes it", log.Take(), []string{"a1 EOF: Close", "closed: Close"})
	_ = c.Close()
	_, _ = c.TryProcessOneEvent()
	same(t, "after the last callback there is never another", log.Take(), nil)
	provedBy(t, "TestCloseOnFullSocket", "Close does not wait for a peer that does not read")
	provedBy(t, "TestAfterTheEnd", "after the last callback there is never another")
}

func contractConnect(t *testing.T) {
	port := greeter(t, "tcp", "127.0.0.1:0")
	d := &conn.Dialer{Resolve: func(_ context.Context, host string) ([]netip.Addr, error) {
		if host == "mail.test" {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		}
		return nil, errors.New("no such host")
	}}
	c, err := d.Connect("mail.test", port)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.ServerName(); got != "mail.test" {
		t.Errorf("the server's name is the name that the caller gave\n got: %q", got)
	}
	_ = c.Close()
	_, err = d.Connect("other.test", port)
	refused(t, "a name without an address is ErrHostNotFound", err, conn.ErrHostNotFound)
	_, err = d.Connect("mail.test", "nosuchservice")
	refused(t, "a service that nobody knows is ErrServiceNotFound", err, conn.ErrServiceNotFound)
	_, closed := bound(t)
	_, err = d.Connect("mail.test", closed)
	refused(t, "what the system refuses has its errno", err, unix.ECONNREFUSED)
	provedBy(t, "TestConnectErrors", "a failed system call is an *os.SyscallError")
}

func contractStartTLS(t *testing.T) {
	var log conntest.Log
	c, s := conntest.New(t, &conn.Dialer{TLS: conntest.Policy(), OnClose: closing(&log)})
	send := sending(t, c, &log)
	starting := func() {
		err := c.StartTLSAsync("", "", "", "", func(err error) { log.Add(fmt.Sprint("TLS: ", err)) })
		if err != nil {
			t.Fatal(err)
		}
	}
	send("NOOP")
	starting()
	s.Play("S: * OK [CAPABILITY STARTTLS LITERAL+]\nC: a1 NOOP\nC-\nS: a1 OK done\nC: a2 STARTTLS")
	send("CHECK")
	s.Play("C-\nS: a2 NO not now\nC: a3 CHECK\nS: a3 OK done")
	same(t, "STARTTLS is alone on its way, and after NO the connection goes on in the clear", log.Take(),
		[]string{`a1 OK "done"`, `TLS: conn: server answered NO: "not now"`, `a2 OK "done"`})
	starting()
	s.Play("C: a4 STARTTLS\nS: a4 OK begin\nTLS")
	same(t, "after OK TLS is negotiated", log.Take(), []string{"TLS: <nil>"})
	if got := c.Capabilities(); got != "" {
		t.Errorf("after the handshake nothing is known of what the server can do\n got: %q", got)
	}

	c, s = conntest.New(t, &conn.Dialer{TLS: conntest.Policy(), OnClose: closing(&log)})
	starting()
	s.Play("S: * OK\nC: a1 STARTTLS\nS> a1 OK begin\\r\\n*")
	refused(t, "a byte behind the OK ends the connection", c.Err(), conn.ErrInjected)
	log.Take()

	c, s = conntest.New(t, &conn.Dialer{TLS: conntest.Policy(), OnClose: closing(&log)})
	starting()
	s.Play("S: * OK\nC: a1 STARTTLS\nS: + go on")
	if got := kind(c.Err()); got != "syntax" {
		t.Errorf("while STARTTLS is being answered nothing is skipped\n got: %q", got)
	}
}
