package server

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

// dial starts a server and connects to it.
func dial(t *testing.T) (*Server, *net.TCPConn) {
	t.Helper()
	s, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return s, c.(*net.TCPConn)
}

// session holds a whole conversation with its literals left out.
const (
	commands = "a LOGIN joe secret\r\nb SELECT INBOX\r\nc NOOP\r\nd FETCH 1 (BODY.PEEK[])\r\ne IDLE\r\nDONE\r\n" +
		"f XYZZY\r\nDONE\r\ng CAPABILITY\r\nh LOGOUT\r\n"
	replies = Greeting +
		"a OK [CAPABILITY IMAP4rev1 IDLE] logged in\r\n" +
		selected + "b OK [READ-WRITE] SELECT completed\r\n" +
		"c OK NOOP completed\r\n" +
		"* 1 FETCH (BODY[] {4096}\r\n...)\r\nd OK FETCH completed\r\n" +
		"+ idling\r\ne OK IDLE terminated\r\n" +
		"f BAD unknown command\r\n" +
		"DONE BAD unknown command\r\n" +
		"* CAPABILITY IMAP4rev1 IDLE\r\ng OK CAPABILITY completed\r\n" +
		"* BYE logging out\r\nh OK LOGOUT completed\r\n"
)

func TestConversation(t *testing.T) {
	deliveries := map[string]func(io.Reader) io.Reader{
		"whole":        func(r io.Reader) io.Reader { return r },
		"byte by byte": iotest.OneByteReader,
		"in halves":    iotest.HalfReader,
	}
	_, literal, _ := strings.Cut(string(small), "\r\n")
	want := strings.Replace(replies, "...)\r\n", literal, 1)
	for name, delivery := range deliveries {
		t.Run(name, func(t *testing.T) {
			s, c := dial(t)
			if _, err := io.Copy(struct{ io.Writer }{c}, delivery(strings.NewReader(commands))); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(c); err != nil || string(got) != want {
				t.Errorf("the server says\n%s\ngot %v and\n%s", want, err, got)
			}
			if got, want := s.Answered(), int64(strings.Count(commands, "\r\n")); got != want {
				t.Errorf("%d lines were answered: counted %d", want, got)
			}
		})
	}
}

func TestAnswerIsWhatTheServerSays(t *testing.T) {
	for _, command := range []string{"t NOOP\r\n", "t FETCH 1 (BODY.PEEK[])\r\n", "t FETCH 2 (BODY.PEEK[])\r\n", "t IDLE\r\n"} {
		_, c := dial(t)
		if _, err := io.WriteString(c, command); err != nil {
			t.Fatal(err)
		}
		want := Greeting + string(Answer(command))
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
			t.Errorf("%q is answered by %d bytes: got %q, %v", command, len(want), got, err)
		}
	}
}

// TestSlowReader asks for more than sockets can hold before it reads anything,
// so that the server has to stop in the middle of an answer.
func TestSlowReader(t *testing.T) {
	const asked = 500
	s, c := dial(t)
	go io.WriteString(c, strings.Repeat("t FETCH 2 (BODY.PEEK[])\r\n", asked)+"t LOGOUT\r\n")
	for s.Answered() == 0 {
		runtime.Gosched() // The first read has been answered; its 64 KiB for every 25 bytes do
		// not fit into the socket.
	}
	in := bufio.NewReader(c)
	greeting, err := in.ReadString('\n')
	if err != nil || greeting != Greeting {
		t.Fatalf("the greeting comes first: got %q, %v", greeting, err)
	}
	want := Answer("t FETCH 2")
	answer := make([]byte, len(want))
	for i := range asked {
		if _, err := io.ReadFull(in, answer); err != nil || !bytes.Equal(answer, want) {
			t.Fatalf("answer %d of %d is complete: got %.80q, %v", i, asked, answer, err)
		}
	}
	if rest, err := io.ReadAll(in); err != nil || string(rest) != string(Answer("t LOGOUT")) {
		t.Errorf("the last answer comes last: got %q, %v", rest, err)
	}
}
