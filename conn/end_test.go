package conn_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
)

// onClose is the dial of a scene that logs the end.
func onClose(d *conn.Dialer, log *conntest.Log) { d.OnClose = closing(log) }

func TestEnd(t *testing.T) {
	each(t, []scene{
		{
			says: "at the end every pending command completes with EOF, oldest first, then OnClose is called",
			dial: onClose,
			send: commands("A", "B", "C", "D"),
			script: `
				C: a1 A
				S: a2 OK
				S: * BYE going
				S.`,
			want: []string{`a2 OK ""`, `* BYE "going"`, `a1 EOF: EOF`, `a3 EOF: EOF`, `a4 EOF: EOF`, `closed: EOF`},
			err:  "EOF",
		}, {
			says:   "an end with nothing pending is OnClose alone",
			dial:   onClose,
			script: `S.`,
			want:   []string{`closed: EOF`},
			err:    "EOF",
		}, {
			says: "the end within a line is an unexpected one, and the piece is no reply",
			dial: onClose,
			send: commands("NOOP"),
			script: `
				C: a1 NOOP
				S: * OK
				S> * BYE going
				S.`,
			want: []string{`* OK ""`, `a1 EOF: unexpected EOF`, `closed: unexpected EOF`},
			err:  "unexpected EOF",
		}, {
			says: "so is the end within a literal",
			dial: onClose,
			send: commands("NOOP"),
			script: `
				C: a1 NOOP
				S: * 1 FETCH (BODY[] {100}
				S> half
				S.`,
			want: []string{`a1 EOF: unexpected EOF`, `closed: unexpected EOF`},
			err:  "unexpected EOF",
		}, {
			says: "and the end behind a literal's header",
			dial: onClose,
			script: `
				S: * X {0}
				S.`,
			want: []string{`closed: unexpected EOF`},
			err:  "unexpected EOF",
		}, {
			says: "a reset is a system's error, and comes behind what was sent before",
			dial: onClose,
			send: commands("NOOP"),
			script: `
				C: a1 NOOP
				S: * BYE going
				S!`,
			want: []string{
				`* BYE "going"`, `a1 EOF: read: connection reset by peer`, `closed: read: connection reset by peer`,
			},
			err: "read: connection reset by peer",
		}, {
			says: "a command of which a byte may have been written is not safe to retry, those behind it are",
			send: func(send sender) { send("NOOP"); send("LOGIN %s x", "ü"); send("NOOP"); send("NOOP") },
			script: `
				C: a1 NOOP
				C: a2 LOGIN {2}
				S.`,
			want: []string{`a1 EOF: EOF`, `a2 EOF: EOF`, `a3 EOF: EOF, safe to retry`, `a4 EOF: EOF, safe to retry`},
			err:  "EOF",
		}, {
			says:   "commands that were never written are safe to retry",
			send:   commands("NOOP", "NOOP"),
			script: `S.`,
			want:   []string{`a1 EOF: EOF, safe to retry`, `a2 EOF: EOF, safe to retry`},
			err:    "EOF",
		},
	})
}

func TestEndErrors(t *testing.T) {
	var got error
	c, s := conntest.New(t, &conn.Dialer{})
	err := c.Send(func(_ *conn.Client, _ any, r *conn.Reply) {
		got = r.Err
		if r.Keyword != "EOF" || r.MsgNo != -1 || len(r.Text) != 0 {
			t.Errorf("the reply at the end has the keyword EOF and nothing else\n got: %+v", r)
		}
		if r.AsError() != r.Err || !errors.Is(r.Clone().AsError(), io.EOF) {
			t.Errorf("AsError of the end is Err\n got: %v", r.AsError())
		}
	}, nil, "NOOP")
	if err != nil {
		t.Fatal(err)
	}
	s.Play(`S.`)
	if !errors.Is(got, io.EOF) || got.Error() != "conn: the server closed the connection: EOF (command not sent)" {
		t.Errorf("the error of a command that was not sent says so and wraps the cause\n got: %v", got)
	}
	if conn.SafeToRetry(c.Err()) || conn.SafeToRetry(nil) || conn.SafeToRetry(io.EOF) {
		t.Error("only the error of a command says that the command is safe to retry")
	}
	if !conn.SafeToRetry(fmt.Errorf("wrapped: %w", got)) {
		t.Error("SafeToRetry looks through wrapped errors")
	}
}

func TestReplyError(t *testing.T) {
	var got []error
	c, s := conntest.New(t, &conn.Dialer{})
	for range 4 {
		if err := c.Send(func(_ *conn.Client, _ any, r *conn.Reply) { got = append(got, r.AsError()) }, nil, "X"); err != nil {
			t.Fatal(err)
		}
	}
	s.Play(`
		C: a1 X
		S: a1 OK fine
		S: a2 no [TRYCREATE] nowhere
		S: a3 BAD ` + strings.Repeat("x", 300) + `
		S: a4 ENTRY
		S: a4 OK`)
	if len(got) != 5 || got[0] != nil || got[3] != nil || got[4] != nil {
		t.Fatalf("OK and intermediate replies are no errors\n got: %q", got)
	}
	var refusal *conn.ReplyError
	if !errors.As(got[1], &refusal) || refusal.Keyword != "no" || refusal.Text != "[TRYCREATE] nowhere" {
		t.Errorf("NO is a *ReplyError with what the server said\n got: %#v", got[1])
	}
	if !errors.As(got[2], &refusal) || refusal.Keyword != "BAD" || len(refusal.Text) != 200 {
		t.Errorf("BAD is a *ReplyError with at most 200 bytes of it\n got: %#v", got[2])
	}
}

// Everything that a client can be asked after its end.
func TestAfterTheEnd(t *testing.T) {
	var log conntest.Log
	d := &conn.Dialer{Callbacks: []conn.Callback{{Proc: told(&log, "*")}}, OnClose: closing(&log)}
	c, s := conntest.New(t, d)
	if err := c.Send(told(&log, "a1"), nil, "NOOP"); err != nil {
		t.Fatal(err)
	}
	s.Play(`
		C: a1 NOOP
		S.`)
	same(t, "the connection ends", log.Take(), []string{"a1 EOF: EOF", "closed: EOF"})
	for range 2 {
		refused(t, "Send after the end returns why it ended", c.Send(told(&log, "late"), nil, "NOOP"), io.EOF)
		refused(t, "a wrong command too", c.Send(told(&log, "late"), nil, "%x"), io.EOF)
		refused(t, "SendCommand too", c.SendCommand(&conn.Command{Finish: told(&log, "late")}, "NOOP"), io.EOF)
		refused(t, "Continue too", c.Continue("DONE"), io.EOF)
		refused(t, "ProcessOneEvent too", c.ProcessOneEvent(), io.EOF)
		did, err := c.TryProcessOneEvent()
		refused(t, "TryProcessOneEvent too", err, io.EOF)
		if did {
			t.Error("after the end there are no events")
		}
		c.AddCallback(conn.Callback{Keyword: "X", Proc: told(&log, "late")})
		c.SetFlags(conn.NonSyncLiteral)
		if _, ok := c.NextDeadline(); ok {
			t.Error("after the end there is no deadline")
		}
		if _, read, write := c.Interest(); read || write {
			t.Error("after the end nothing is to be waited for")
		}
		if err := c.Close(); err != nil {
			t.Errorf("Close after the end returns nil\n got: %v", err)
		}
		refused(t, "Close does not change why it ended", c.Err(), io.EOF)
	}
	same(t, "after the last callback there is never another", log.Take(), nil)
}

func TestClose(t *testing.T) {
	var log conntest.Log
	c, s := conntest.New(t, &conn.Dialer{OnClose: closing(&log)})
	send := sending(t, c, &log)
	send("NOOP")
	s.Play(`C: a1 NOOP`)
	s.Send("* BYE half a li")
	send("LOGOUT")
	send("LOGIN %s x", "ü")
	send("NOOP")
	if err := c.Close(); err != nil {
		t.Errorf("Close returns nil\n got: %v", err)
	}
	same(t, "Close completes the commands before it returns", log.Take(), []string{
		"a1 EOF: Close", "a2 EOF: Close", "a3 EOF: Close", "a4 EOF: Close, safe to retry", "closed: Close",
	})
	s.Play(`
		C: a2 LOGOUT
		C: a3 LOGIN {2}
		C-`)
	if err := c.Close(); err != nil {
		t.Errorf("a second Close returns nil\n got: %v", err)
	}
	same(t, "a second Close calls nobody", log.Take(), nil)
	refused(t, "Err tells that this side closed", c.Err(), conn.ErrClosed)
	refused(t, "Send after Close returns ErrClosed", c.Send(nil, nil, "NOOP"), conn.ErrClosed)
}

func TestCloseOfNewClient(t *testing.T) {
	var log conntest.Log
	c, s := conntest.New(t, &conn.Dialer{OnClose: closing(&log), Callbacks: []conn.Callback{{Proc: told(&log, "*")}}})
	s.HangUp()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	s.Drive()
	same(t, "Close counts, not what has not been read yet", log.Take(), []string{"closed: Close"})
}

// What is queued gets one attempt, and a peer that does not read cannot hold
// Close up.
func TestCloseOnFullSocket(t *testing.T) {
	var log conntest.Log
	c, server := pair(t, &conn.Dialer{TagPrefix: "a", OnClose: closing(&log)})
	send := sending(t, c, &log)
	c.SetFlags(conn.NonSyncLiteral)
	send("APPEND x %l", bytes.Repeat([]byte("x"), 8<<20))
	send("LOGOUT")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	same(t, "Close does not wait for a peer that does not read", log.Take(),
		[]string{"a1 EOF: Close", "a2 EOF: Close, safe to retry", "closed: Close"})
	if text := server.read(t); !strings.HasPrefix(text, "a1 APPEND x {8388608+}\r\nxxx") {
		t.Errorf("what the socket takes is written\n got: %d bytes", len(text))
	}
}

// closeIn runs a life in which the callback named where closes the client.
type closeIn struct {
	where string
	want  []string
}

func TestCloseInCallback(t *testing.T) {
	for _, tc := range []closeIn{
		{"untagged", []string{"untagged X", "dialogue EOF", "behind EOF", "OnClose Close"}},
		{"intermediate", []string{"untagged X", "dialogue ENTRY", "dialogue EOF", "behind EOF", "OnClose Close"}},
		{"OnContinue", []string{"untagged X", "dialogue ENTRY", "OnContinue +", "dialogue EOF", "behind EOF", "OnClose Close"}},
		{"completion", []string{"untagged X", "dialogue ENTRY", "OnContinue +", "dialogue OK", "behind EOF", "OnClose Close"}},
		{"EOF", []string{"untagged X", "dialogue ENTRY", "OnContinue +", "dialogue OK", "untagged Y", "behind EOF", "OnClose EOF"}},
		{"OnClose", []string{"untagged X", "dialogue ENTRY", "OnContinue +", "dialogue OK", "untagged Y", "behind EOF", "OnClose EOF"}},
	} {
		t.Run(tc.where, func(t *testing.T) { conntest.EveryCut(t, tc.play) })
	}
}

func (tc *closeIn) play(t *testing.T, cut *conntest.Cut) {
	var log conntest.Log
	in := func(c *conn.Client, where string) {
		if where != tc.where {
			return
		}
		for range 2 {
			before := c.Err()
			if err := c.Close(); err != nil {
				t.Errorf("Close in a callback returns nil\n got: %v", err)
			}
			if c.Err() == nil || before != nil && c.Err() != before {
				t.Errorf("Err is set at once and for good\n got: %v, then %v", before, c.Err())
			}
			if c.Send(nil, nil, "NOOP") == nil || c.Continue("x") == nil {
				t.Error("after Close in a callback nothing can be sent")
			}
		}
	}
	proc := func(name string) conn.Proc {
		return func(c *conn.Client, _ any, r *conn.Reply) {
			where := name
			switch {
			case r.Keyword == "ENTRY":
				where = "intermediate"
			case r.Keyword == "EOF":
				where = "EOF"
			case name == "dialogue":
				where = "completion"
			}
			in(c, where)
			log.Add(name + " " + r.Keyword) // behind what Close called, had it called anything
		}
	}
	c, s := conntest.NewCut(t, &conn.Dialer{
		Callbacks: []conn.Callback{{Proc: proc("untagged")}},
		OnClose: func(c *conn.Client, err error) {
			in(c, "OnClose")
			log.Add("OnClose " + kind(err))
		},
	}, cut)
	if err := c.SendCommand(&conn.Command{Finish: proc("dialogue"), OnContinue: proc("OnContinue")}, "IDLE"); err != nil {
		t.Fatal(err)
	}
	if err := c.Send(proc("behind"), nil, "NOOP"); err != nil {
		t.Fatal(err)
	}
	s.Play(`
		C: a1 IDLE
		S> * X\r\na1 ENTRY\r\n+ go\r\na1 OK\r\n* Y\r\n
		S.`)
	same(t, "Close in a callback ends the connection when the callbacks' call returns, and only then", log.Take(), tc.want)
	if fd, _ := c.GetSelectInfo(); fd != -1 {
		t.Errorf("the connection is closed before the outermost call returns\n got: descriptor %d", fd)
	}
}

// Commands sent in the callback that closes are written, too: LOGOUT, say.
func TestLastCommandInCallback(t *testing.T) {
	conntest.EveryCut(t, func(t *testing.T, cut *conntest.Cut) {
		var log conntest.Log
		_, s := conntest.NewCut(t, &conn.Dialer{
			OnClose: closing(&log),
			Callbacks: []conn.Callback{{Keyword: "OK", Proc: func(c *conn.Client, _ any, _ *conn.Reply) {
				if err := c.Send(told(&log, "a1"), nil, "LOGOUT"); err != nil {
					t.Error(err)
				}
				_ = c.Close()
			}}},
		}, cut)
		s.Play(`
			S: * OK ready
			C: a1 LOGOUT
			C-`)
		same(t, "Close in a callback writes what is queued", log.Take(), []string{"a1 EOF: Close", "closed: Close"})
	})
}

// The server says BYE and stops reading. That we notice first that we cannot
// write must not cost the BYE.
func TestByeWhenWritingFails(t *testing.T) {
	var log conntest.Log
	c, server := pair(t, &conn.Dialer{
		TagPrefix: "a",
		OnClose:   closing(&log),
		Callbacks: []conn.Callback{{Keyword: "BYE", Proc: told(&log, "*")}},
	})
	if err := c.Send(told(&log, "a1"), nil, "NOOP"); err != nil {
		t.Fatal(err)
	}
	server.write(t, strings.Repeat("* OK more than one read takes\r\n", 3000)+"* BYE too many\r\n")
	if err := unix.Shutdown(int(server), unix.SHUT_RD); err != nil {
		t.Fatal(err)
	}
	var err error
	for did := true; did && err == nil; {
		did, err = c.TryProcessOneEvent()
	}
	if kind(err) != "write: broken pipe" {
		t.Errorf("a connection that cannot be written to has ended\n got: %v", err)
	}
	same(t, "what the server said before the end is delivered though writing fails", log.Take(),
		[]string{`* BYE "too many"`, "a1 EOF: write: broken pipe, safe to retry", "closed: write: broken pipe"})
}

func TestEndReleasesDescriptor(t *testing.T) {
	var fd int
	ends := []func(c *conn.Client, s *conntest.Server){
		func(c *conn.Client, s *conntest.Server) { _ = c.Close() },
		func(c *conn.Client, s *conntest.Server) { s.HangUp(); s.Drive() },
		func(c *conn.Client, s *conntest.Server) { s.Reset(); s.Drive() },
		func(c *conn.Client, s *conntest.Server) { s.Play(`S: {1}`) },
	}
	for i, end := range ends {
		c, s := conntest.New(t, &conn.Dialer{OnClose: func(c *conn.Client, _ error) {
			if now, _ := c.GetSelectInfo(); now != -1 {
				t.Errorf("the descriptor is closed before OnClose\n got: %d", now)
			}
			if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
				t.Errorf("the descriptor is closed before OnClose\n got: %v", err)
			}
		}})
		fd, _ = c.GetSelectInfo()
		end(c, s)
		if c.Err() == nil {
			t.Errorf("end %d ends the connection", i)
		}
	}
}
