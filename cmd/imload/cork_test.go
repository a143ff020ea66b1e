package main

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// sink is a connection that records writes and whose Read waits for input.
type sink struct {
	net.Conn
	writes  []string
	fail    error
	reading chan struct{} // one for each Read that has begun
	input   chan string
	closed  bool
}

func newSink() *sink { return &sink{reading: make(chan struct{}), input: make(chan string)} }

func (s *sink) Write(b []byte) (int, error) {
	if s.fail != nil {
		return 0, s.fail
	}
	s.writes = append(s.writes, string(b))
	return len(b), nil
}

func (s *sink) Read(b []byte) (int, error) {
	s.reading <- struct{}{}
	return copy(b, <-s.input), nil
}

func (s *sink) Close() error { s.closed = true; return nil }

func (s *sink) SetWriteDeadline(at time.Time) error {
	s.writes = append(s.writes, "deadline")
	return nil
}

func (s *sink) expect(t *testing.T, when string, want ...string) {
	t.Helper()
	if strings.Join(s.writes, "|") != strings.Join(want, "|") {
		t.Errorf("%s these must have been written: %q, were: %q", when, want, s.writes)
	}
	s.writes = nil
}

func TestCorkedWritesWhenTheOtherSideMustAnswer(t *testing.T) {
	s := newSink()
	c := &corked{Conn: s}
	_, _ = io.WriteString(c, "* 1 EXISTS\r\n")
	_, _ = io.WriteString(c, "a OK\r\n")
	s.expect(t, "before a Read")

	read := make(chan string)
	go func() {
		b := make([]byte, 10)
		n, _ := c.Read(b)
		read <- string(b[:n])
	}()
	<-s.reading
	s.expect(t, "when a Read waits", "* 1 EXISTS\r\na OK\r\n")
	_, _ = io.WriteString(c, "* 2 EXISTS\r\n")
	s.expect(t, "while a Read waits, at once", "* 2 EXISTS\r\n")
	s.input <- "DONE"
	if got := <-read; got != "DONE" {
		t.Errorf("Read must return what came: %q", got)
	}
	_, _ = io.WriteString(c, "b OK\r\n")
	s.expect(t, "after the Read")
	if _ = c.Close(); !s.closed {
		t.Errorf("Close must close the connection")
	}
	s.expect(t, "at the end", "b OK\r\n")
}

func TestCorkedIsBounded(t *testing.T) {
	s := newSink()
	c := &corked{Conn: s}
	half := strings.Repeat("x", corkLimit/2)
	_, _ = io.WriteString(c, half)
	s.expect(t, "below the limit")
	_, _ = io.WriteString(c, half)
	s.expect(t, "at the limit", half+half)
}

func TestCorkedKeepsTheError(t *testing.T) {
	s := newSink()
	s.fail = errors.New("gone")
	c := &corked{Conn: s}
	_, _ = io.WriteString(c, "x")
	if _, err := c.Read(nil); err != s.fail {
		t.Errorf("Read must return what writing came to: %v", err)
	}
	if _, err := io.WriteString(c, "x"); err != s.fail {
		t.Errorf("Write must return it, too: %v", err)
	}
}

// crypto/tls lets nothing out any more behind its close_notify, but that itself has
// to get out.
func TestCorkedWritesBeforeItsDeadlineHasPassed(t *testing.T) {
	s := newSink()
	c := &corked{Conn: s}
	_, _ = io.WriteString(c, "close_notify")
	_ = c.SetWriteDeadline(time.Time{})
	_ = c.SetWriteDeadline(time.Now().Add(time.Hour))
	s.expect(t, "with deadlines that are far", "deadline", "deadline")
	_ = c.SetWriteDeadline(time.Now())
	s.expect(t, "with one that has passed", "close_notify", "deadline")
}
