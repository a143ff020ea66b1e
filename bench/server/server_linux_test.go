package server

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
)

// dial starts a server and connects to it.
func dial(t *testing.T) (*Server, net.Conn) {
	t.Helper()
	s, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve()
	return s, connect(t, s)
}

func connect(t *testing.T, s *Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// stuck reports whether the server has answers that it could not send.
func stuck(s *Server) bool {
	for _, ss := range s.sessions {
		if len(ss.unsent) > 0 {
			return true
		}
	}
	return false
}

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
			if got, want := s.Status().Answered, int64(strings.Count(commands, "\r\n")); got != want {
				t.Errorf("%d lines were answered: counted %d", want, got)
			}
		})
	}
}

func TestAnswerIsWhatTheServerSays(t *testing.T) {
	for _, command := range []string{"t NOOP\r\n", "t FETCH 1 (BODY.PEEK[])\r\n", "t FETCH 2 (BODY.PEEK[])\r\n", "t FETCH 3 (BODY.PEEK[])\r\n", "t IDLE\r\n"} {
		_, c := dial(t)
		if _, err := io.WriteString(c, command); err != nil {
			t.Fatal(err)
		}
		want := Greeting + string(Answer(command))
		if size := len(Greeting) + AnswerSize(command); size != len(want) {
			t.Errorf("%q is answered by %d bytes: its size is said to be %d", command, len(want), size)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
			t.Errorf("%q is answered by %d bytes: got %q, %v", command, len(want), got, err)
		}
	}
}

// TestSlowReader reads nothing until the server is stuck in the middle of an
// answer.
func TestSlowReader(t *testing.T) {
	s, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	c := connect(t, s)
	say := func(lines string) {
		if _, err := io.WriteString(c, lines); err != nil {
			t.Fatal(err)
		}
	}
	asked := 0
	for ; !stuck(s); asked++ {
		say("t FETCH 2 (BODY.PEEK[])\r\n")
		if err := s.step(); err != nil {
			t.Fatal(err)
		}
	}
	say("t LOGOUT\r\n")
	go s.Serve()
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
