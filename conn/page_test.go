package conn_test

import (
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/wire"
)

// sentence is one of imclient(3), the manual page, and what proves that it holds,
// with the differences that the package documentation states. Its name is that of
// the function it speaks of, and a few words of it.
type sentence struct {
	name  string
	proof func(t *testing.T)
}

// manualPage is the page in its own order, with the sample program last. The table in the package documentation is compared with it.
var manualPage = slices.Concat(pageConnections, pageCallbacks, pageCommands, pageEvents, pageAuthenticate, pageTLS, pageSample)

func TestManualPage(t *testing.T) {
	for _, s := range manualPage {
		t.Run(s.name, s.proof)
	}
}

// TestManualPageTable reads the table in the package documentation, whose last
// column names the subtests of TestManualPage.
func TestManualPageTable(t *testing.T) {
	columns := regexp.MustCompile(` {2,}`)
	var table, want []string
	for line := range strings.Lines(codeIn(t, "doc.go", "The manual page")) {
		cells := columns.Split(strings.TrimRight(line, "\n"), -1)
		if last := cells[len(cells)-1]; strings.Contains(last, "/") {
			table = append(table, last)
		}
	}
	for _, s := range manualPage {
		want = append(want, s.name)
	}
	same(t, "the table lists the subtests of TestManualPage, in their order", table, want)
}

// played makes a proof of a scene.
func played(sc scene) func(*testing.T) {
	return func(t *testing.T) { sc.play(t, nil) }
}

var pageConnections = []sentence{
	{"library/callbacks by keyword and tag", played(scene{
		says: "callbacks are set for the keywords of untagged replies and for the tags at the end of commands",
		dial: entries(entry{"SEARCH", 0, "search"}),
		send: commands("SEARCH ALL", "NOOP"),
		script: `
			C: a1 SEARCH ALL
			C: a2 NOOP
			S: * SEARCH 2 3
			S: a2 OK second
			S: a1 OK first`,
		want: []string{`search SEARCH "2 3"`, `a2 OK "second"`, `a1 OK "first"`},
	})},
	{"library/fatal is OnClose and errors", func(t *testing.T) {
		var log conntest.Log
		c, s := conntest.New(t, &conn.Dialer{OnClose: closing(&log)})
		s.Play(`S: * X {99999999999}`)
		same(t, "an error within the library is told to OnClose", log.Take(), []string{"closed: limit of a literal"})
		var limit *wire.LimitError
		if err := c.Send(nil, nil, "NOOP"); !errors.As(err, &limit) {
			t.Errorf("and returned by what is called later\n got: %v", err)
		}
	}},
	{"library/from connect to close", func(t *testing.T) {
		c, err := conn.Connect("127.0.0.1", greeter(t, "tcp", "127.0.0.1:0"))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(c.Send(nil, nil, "NOOP"), c.ProcessOneEvent()); err != nil {
			t.Errorf("what Connect returns can be used\n got: %v", err)
		}
		_ = c.Close()
		refused(t, "after Close a command is refused", c.Send(nil, nil, "NOOP"), conn.ErrClosed)
		refused(t, "and so is an event", c.ProcessOneEvent(), conn.ErrClosed)
	}},
	{"connect/returns a connection", func(t *testing.T) {
		port := greeter(t, "tcp", "127.0.0.1:0")
		c, err := conn.Connect("127.0.0.1", port)
		if err != nil {
			t.Fatalf("Connect succeeds\n got: %v", err)
		}
		defer c.Close()
		fd, _ := c.GetSelectInfo()
		if _, err := unix.Getpeername(fd); err != nil || c.Err() != nil {
			t.Errorf("the connection stands when Connect returns\n got: %v, %v", err, c.Err())
		}
	}},
	{"connect/represents its flags and callbacks", func(t *testing.T) {
		var log conntest.Log
		d := &conn.Dialer{Callbacks: []conn.Callback{entry{"X", 0, "both"}.callback(&log)}}
		c, s := conntest.New(t, d)
		other, otherServer := conntest.New(t, d)
		c.SetFlags(conn.NonSyncLiteral)
		c.AddCallback(entry{"X", 0, "own"}.callback(&log))
		if err := errors.Join(c.Send(nil, nil, "X %s", "ü"), other.Send(nil, nil, "X %s", "ü")); err != nil {
			t.Fatal(err)
		}
		s.Play("S: * X\nC: a1 X {2+}\nC: ü")
		otherServer.Play("S: * X\nC: a1 X {2}\nC-")
		same(t, "each connection has flags and callbacks of its own", log.Take(), []string{`own X ""`, `both X ""`})
	}},
	{"connect/errno of a system call", func(t *testing.T) {
		_, closed := bound(t)
		_, err := conn.Connect("127.0.0.1", closed)
		var system *os.SyscallError
		if !errors.As(err, &system) || system.Syscall != "connect" || system.Err != unix.ECONNREFUSED {
			t.Errorf("a system call that failed is named, with its errno\n got: %v", err)
		}
	}},
	{"connect/host not found", func(t *testing.T) {
		_, err := conn.Connect("host.invalid", "143")
		refused(t, "the page's -1 is ErrHostNotFound", err, conn.ErrHostNotFound)
	}},
	{"connect/service not found", func(t *testing.T) {
		_, err := conn.Connect("127.0.0.1", "nosuchservice")
		refused(t, "the page's -2 is ErrServiceNotFound", err, conn.ErrServiceNotFound)
	}},
	{"close/closes and frees", func(t *testing.T) {
		c, server := pair(t, &conn.Dialer{})
		_ = c.Close()
		if fd, _ := c.GetSelectInfo(); fd != -1 {
			t.Errorf("Close gives the descriptor back\n got: %d", fd)
		}
		if n, err := unix.Read(int(server), make([]byte, 1)); n != 0 || err != nil {
			t.Errorf("the server sees the end of the connection\n got: %d, %v", n, err)
		}
	}},
	{"setflags/sets flags", func(t *testing.T) {
		c, s := conntest.New(t, &conn.Dialer{})
		send := sending(t, c, new(conntest.Log))
		send("X %s", "ü")
		c.SetFlags(conn.NonSyncLiteral)
		send("Y %s", "ü")
		send("Z %s", "ü")
		s.Play(`
			C: a1 X {2}
			C-
			S: +
			C: ü
			C: a2 Y {2+}
			C: ü
			C: a3 Z {2+}
			C: ü`)
	}},
	{"setflags/nonsyncliteral is the only one", func(t *testing.T) {
		c, s := conntest.New(t, &conn.Dialer{})
		c.SetFlags(^conn.NonSyncLiteral)
		sending(t, c, new(conntest.Log))("X %s", "ü")
		s.Play(`
			C: a1 X {2}
			C-`)
	}},
	{"clearflags/clears flags", func(t *testing.T) {
		c, s := conntest.New(t, &conn.Dialer{})
		c.SetFlags(conn.NonSyncLiteral)
		c.ClearFlags(conn.NonSyncLiteral)
		sending(t, c, new(conntest.Log))("X %s", "ü")
		s.Play(`
			C: a1 X {2}
			C-`)
	}},
	{"servername/name of the server", func(t *testing.T) {
		c, _ := conntest.New(t, &conn.Dialer{})
		if got := c.ServerName(); got != "server.test" {
			t.Errorf("ServerName is the name of the server\n got: %q", got)
		}
	}},
}

var pageCallbacks = []sentence{
	{"addcallback/adds a callback", played(scene{
		says:   "an untagged reply reaches the callback that was added for it",
		dial:   entries(entry{"FLAGS", 0, "flags"}),
		script: `S: * FLAGS (\Seen)`,
		want:   []string{`flags FLAGS "(\\Seen)"`},
	})},
	{"addcallback/proc gets client, rock, reply", func(t *testing.T) {
		var client *conn.Client
		var rock any
		c, s := conntest.New(t, &conn.Dialer{})
		c.AddCallback(conn.Callback{Keyword: "X", Rock: "rock", Proc: func(c *conn.Client, r any, reply *conn.Reply) {
			if client, rock = c, r; reply == nil {
				t.Error("there is a reply")
			}
		}})
		s.Play(`S: * X`)
		if client != c || rock != "rock" {
			t.Errorf("a callback gets its connection and its rock\n got: %p %v\nwant: %p rock", client, rock, c)
		}
	}},
	{"addcallback/reply has keyword, msgno, text", func(t *testing.T) {
		var replies []conn.Reply
		_, s := conntest.New(t, &conn.Dialer{Callbacks: []conn.Callback{{Proc: func(_ *conn.Client, _ any, r *conn.Reply) {
			replies = append(replies, *r.Clone())
		}}}})
		s.Play("S: * 12 FETCH (FLAGS ())\nS: * SEARCH 1 2")
		if len(replies) != 2 ||
			replies[0].Keyword != "FETCH" || replies[0].MsgNo != 12 || string(replies[0].Text) != "(FLAGS ())" ||
			replies[1].Keyword != "SEARCH" || replies[1].MsgNo != -1 || string(replies[1].Text) != "1 2" {
			t.Errorf("a reply is its keyword, message number and text, -1 where there is no number\n got: %+v", replies)
		}
	}},
	{"addcallback/zero or more instances", func(t *testing.T) {
		var log conntest.Log
		c, s := conntest.New(t, &conn.Dialer{})
		c.AddCallback()
		c.AddCallback(entry{"X", 0, "X"}.callback(&log), entry{"Y", 0, "Y"}.callback(&log), entry{"Z", 0, "Z"}.callback(&log))
		s.Play("S: * Z\nS: * Y\nS: * X")
		same(t, "one call adds any number of callbacks", log.Take(), []string{`Z Z ""`, `Y Y ""`, `X X ""`})
	}},
	{"addcallback/adds or changes", func(t *testing.T) {
		var log conntest.Log
		c, s := conntest.New(t, &conn.Dialer{})
		c.AddCallback(entry{"X", 0, "first"}.callback(&log))
		c.AddCallback(entry{"Y", 0, "other"}.callback(&log), entry{"X", 0, "second"}.callback(&log))
		s.Play("S: * X\nS: * Y")
		same(t, "the same keyword is changed, another added", log.Take(), []string{`second X ""`, `other Y ""`})
	}},
	{"addcallback/flags say how to parse", played(scene{
		says: "CallbackNumbered is for replies with a number, CallbackNoLiteral for lines whose end means nothing",
		dial: entries(entry{"X", numbered, "numbered"}, entry{"X", 0, "plain"}, entry{"Y", noLiteral, "line"}),
		script: `
			S: * 3 X
			S: * X {1}
			S> 3\r\n
			S: * Y {1}
			S: * X`,
		want: []string{`numbered 3 X ""`, `plain X "{1}\r\n3"`, `line Y "{1}"`, `plain X ""`},
	})},
	{"addcallback/proc is invoked with rock", func(t *testing.T) {
		var rocks []any
		proc := func(_ *conn.Client, rock any, _ *conn.Reply) { rocks = append(rocks, rock) }
		_, s := conntest.New(t, &conn.Dialer{Callbacks: []conn.Callback{{"X", 0, proc, 1}, {"Y", 0, proc, 2}}})
		s.Play("S: * Y\nS> * X")
		if !slices.Equal(rocks, []any{2}) {
			t.Errorf("nothing is invoked before the data is whole\n got: %v", rocks)
		}
		s.Play(`S> \r\n`)
		if !slices.Equal(rocks, []any{2, 1}) {
			t.Errorf("each callback is invoked with its rock, once for each reply\n got: %v", rocks)
		}
	}},
	{"addcallback/proc may be null", played(scene{
		says: "without a Proc no function is invoked, the default neither",
		dial: entries(entry{"X", 0, ""}, entry{"", 0, "default"}),
		script: `
			S: * X
			S: * Y`,
		want: []string{`default Y ""`},
	})},
	{"addcallback/calls within it", func(t *testing.T) {
		var log conntest.Log
		c, s := conntest.New(t, &conn.Dialer{OnClose: closing(&log)})
		c.AddCallback(conn.Callback{Keyword: "X", Proc: callsWithin(t)})
		s.Play(`
			S: * X
			C: a1 NOOP
			C-`)
		same(t, "Send and Close are allowed on the connection, driving it is not", log.Take(), []string{"closed: Close"})
	}},
	{"addcallback/text may be overwritten", played(scene{
		says: "a callback may overwrite the text, and the next reply is whole",
		dial: func(d *conn.Dialer, log *conntest.Log) {
			d.Callbacks = append(d.Callbacks, conn.Callback{Keyword: "X", Proc: func(_ *conn.Client, _ any, r *conn.Reply) {
				for i := range r.Text {
					r.Text[i] = '\n'
				}
				log.Add(string(r.Text))
			}})
		},
		script: `S> * X text\r\n* Y text\r\n`,
		want:   []string{"\n\n\n\n", `* Y "text"`},
	})},
}

// callsWithin is a callback that makes the calls of which the page says that they
// may not be made in one. Ours are allowed but for those that wait.
func callsWithin(t *testing.T) conn.Proc {
	return func(c *conn.Client, _ any, _ *conn.Reply) {
		if err := c.Send(nil, nil, "NOOP"); err != nil {
			t.Errorf("Send is allowed in a callback\n got: %v", err)
		}
		refused(t, "ProcessOneEvent is refused in a callback", c.ProcessOneEvent(), conn.ErrReentrant)
		if err := c.Close(); err != nil {
			t.Errorf("Close is allowed in a callback\n got: %v", err)
		}
	}
}

var pageCommands = []sentence{
	{"send/sends a command", played(scene{
		says:   "a command is sent, with its line end",
		send:   commands("NOOP"),
		script: `C> a1 NOOP\r\n`,
	})},
	{"send/finish is called with rock", func(t *testing.T) {
		var rocks []any
		c, s := conntest.New(t, &conn.Dialer{})
		if err := c.Send(func(_ *conn.Client, rock any, _ *conn.Reply) { rocks = append(rocks, rock) }, "rock", "NOOP"); err != nil {
			t.Fatal(err)
		}
		s.Play("C: a1 NOOP\nS: * 3 EXISTS")
		if len(rocks) != 0 {
			t.Errorf("finish is not called before the command completes\n got: %v", rocks)
		}
		s.Play("S: a1 OK")
		if !slices.Equal(rocks, []any{"rock"}) {
			t.Errorf("finish is called once, with its rock\n got: %v", rocks)
		}
	}},
	{"send/finish may be null", func(t *testing.T) {
		c, s := conntest.New(t, &conn.Dialer{})
		if err := c.Send(nil, nil, "NOOP"); err != nil {
			t.Fatal(err)
		}
		s.Play("C: a1 NOOP\nS: a1 OK")
		if got := c.Stats().Commands; got != 1 || c.Err() != nil {
			t.Errorf("a command without finish completes in silence\n got: %d completed, %v", got, c.Err())
		}
	}},
	{"send/calls within finish", func(t *testing.T) {
		var log conntest.Log
		c, s := conntest.New(t, &conn.Dialer{OnClose: closing(&log)})
		if err := c.Send(callsWithin(t), nil, "NOOP"); err != nil {
			t.Fatal(err)
		}
		s.Play(`
			C: a1 NOOP
			S: a1 OK
			C: a2 NOOP
			C-`)
		same(t, "Send and Close are allowed on the connection, driving it is not", log.Take(), []string{"closed: Close"})
	}},
	{"send/format is like printf", played(scene{
		says:   "verbs are replaced by the arguments in their order, the rest is copied",
		send:   func(send sender) { send("STORE %d:%d +FLAGS (%a)", 2, 4, "$Junk") },
		script: `C: a1 STORE 2:4 +FLAGS ($Junk)`,
	})},
	{"send/tag is added", func(t *testing.T) {
		c, server := pair(t, &conn.Dialer{})
		send := sending(t, c, new(conntest.Log))
		send("NOOP")
		send("NOOP")
		if got := server.drain(t, c); !regexp.MustCompile(`^([a-z]+)1 NOOP\r\n([a-z]+)2 NOOP\r\n$`).MatchString(got) {
			t.Errorf("each command gets a tag of its own\n got: %q", got)
		}
	}},
	{"send/%% for %", formatted("X 100%%", "X 100%")},
	{"send/%a for an atom", formatted("X %a", "X INBOX", "INBOX")},
	{"send/%s for an astring", func(t *testing.T) {
		c, s := conntest.New(t, &conn.Dialer{})
		send := sending(t, c, new(conntest.Log))
		send("X %s %s %s", "atom", "two words", "")
		send("X %s", "zwölf")
		s.Play(`
			C: a1 X atom "two words" ""
			C: a2 X {6}
			S: +
			C: zwölf`)
	}},
	{"send/%d for a decimal", formatted("X %d %d", "X -7 0", -7, int64(0))},
	{"send/%u for an unsigned decimal", formatted("X %u", "X 4294967295", uint32(1<<32-1))},
	{"send/%v for astrings", formatted("X (%v)", `X (a "b c" NILS)`, []string{"a", "b c", "NILS"})},
}

// formatted proves that a command arrives as line.
func formatted(format, line string, args ...any) func(*testing.T) {
	return played(scene{
		says:   "the verb writes its argument",
		send:   func(send sender) { send(format, args...) },
		script: "C: a1 " + line + "\nC-",
	})
}

var pageEvents = []sentence{
	{"getselectinfo/fd to read from", func(t *testing.T) {
		c, server := pair(t, &conn.Dialer{})
		fd, _ := c.GetSelectInfo()
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds, 0); n != 0 || err != nil {
			t.Errorf("the descriptor is not ready before there is something\n got: %d, %v", n, err)
		}
		server.write(t, "* OK\r\n")
		if n, err := unix.Poll(fds, 0); n != 1 || err != nil {
			t.Errorf("the descriptor is ready when there is something\n got: %d, %v", n, err)
		}
	}},
	{"getselectinfo/wanttowrite", func(t *testing.T) {
		c, server := pair(t, &conn.Dialer{})
		if _, write := c.GetSelectInfo(); write {
			t.Error("with nothing to send there is nothing to wait for")
		}
		sending(t, c, new(conntest.Log))("NOOP")
		if _, write := c.GetSelectInfo(); !write {
			t.Error("with a command to send select is to be used for write as well")
		}
		server.drain(t, c)
		if _, write := c.GetSelectInfo(); write {
			t.Error("with all sent it is not any more")
		}
	}},
	{"processoneevent/one input or output event", func(t *testing.T) {
		var log conntest.Log
		c, server := pair(t, &conn.Dialer{Callbacks: []conn.Callback{{Proc: told(&log, "*")}}, TagPrefix: "a"})
		sending(t, c, &log)("NOOP")
		if err := c.ProcessOneEvent(); err != nil {
			t.Fatal(err)
		}
		if got := server.read(t); got != "a1 NOOP\r\n" {
			t.Errorf("an output event sends what is queued\n got: %q", got)
		}
		server.write(t, "* 3 EXISTS\r\na1 OK\r\n")
		if err := c.ProcessOneEvent(); err != nil {
			t.Fatal(err)
		}
		same(t, "an input event calls the callbacks", log.Take(), []string{`* 3 EXISTS ""`, `a1 OK ""`})
	}},
}

var pageSample = []sentence{{"example/prints the capabilities", pageExample}}

// pageExample is the page's sample program line by line, but for its
// authentication; Example has it with LOGIN. The arguments of its strstr are in
// their right order here.
func pageExample(t *testing.T) {
	imclient, server := pair(t, &conn.Dialer{TagPrefix: "a"})
	server.write(t, "* OK ready\r\n")
	var capability, said string
	imclient.AddCallback(conn.Callback{
		Keyword: "CAPABILITY",
		Flags:   conn.CallbackNoLiteral,
		Proc:    func(_ *conn.Client, rock any, r *conn.Reply) { *rock.(*string) = string(r.Text) },
		Rock:    &capability,
	})
	nc := 1
	endCommand := func(_ *conn.Client, rock any, _ *conn.Reply) { *rock.(*int)-- }
	if err := imclient.Send(endCommand, &nc, "CAPABILITY"); err != nil {
		t.Fatal(err)
	}
	for nc > 0 {
		if err := imclient.ProcessOneEvent(); err != nil {
			t.Fatal(err)
		}
		if said += server.read(t); said == "a1 CAPABILITY\r\n" {
			server.write(t, "* CAPABILITY IMAP4 LITERAL+\r\na1 OK done\r\n")
		}
	}
	if strings.Contains(capability, "LITERAL+") {
		imclient.SetFlags(conn.NonSyncLiteral)
	}
	if err := imclient.Send(nil, nil, "LOGOUT"); err != nil {
		t.Fatal(err)
	}
	_ = imclient.Close()
	if capability != "IMAP4 LITERAL+" {
		t.Errorf("the callback has kept the text\n got: %q", capability)
	}
	if got := server.read(t); got != "a2 LOGOUT\r\n" {
		t.Errorf("LOGOUT is sent though Close follows at once\n got: %q", got)
	}
}
