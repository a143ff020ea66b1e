package server

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// listenTLS starts a server and returns the configuration of its clients.
func listenTLS(t *testing.T) (*TLS, *tls.Config) {
	t.Helper()
	s, err := ListenTLS()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.listener.Close() })
	go s.Serve()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(s.Status().CA)) {
		t.Fatal("the status has no CA")
	}
	return s, &tls.Config{RootCAs: roots, ClientSessionCache: tls.NewLRUClientSessionCache(0)}
}

func dialTLS(t *testing.T, s *TLS, config *tls.Config) *tls.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", s.Status().Addr.String(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestConversationInTLS(t *testing.T) {
	deliveries := map[string]func(io.Reader) io.Reader{
		"whole":        func(r io.Reader) io.Reader { return r },
		"byte by byte": iotest.OneByteReader,
	}
	_, literal, _ := strings.Cut(string(small), "\r\n")
	want := strings.Replace(replies, "...)\r\n", literal, 1)
	for name, delivery := range deliveries {
		t.Run(name, func(t *testing.T) {
			s, config := listenTLS(t)
			c := dialTLS(t, s, config)
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

func TestTicketsAreGivenOutAndResumptionsCounted(t *testing.T) {
	s, config := listenTLS(t)
	for i := range int64(3) {
		before := s.Status()
		c := dialTLS(t, s, config)
		if greeting, err := bufio.NewReader(c).ReadString('\n'); err != nil || greeting != Greeting {
			t.Fatalf("the greeting comes first: got %q, %v", greeting, err)
		}
		got := s.Status().Since(before)
		if want := min(i, 1); got.Handshakes != 1 || got.Resumed != want {
			t.Errorf("connection %d resumes a session %d times: counted %d handshakes, %d resumed", i, want, got.Handshakes, got.Resumed)
		}
		c.Close()
	}
}
