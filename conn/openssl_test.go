package conn_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/tlsup"
)

// opensslServer is OpenSSL's s_server with one client. What it reads is sent, but what
// begins with certain letters, which are commands to itself: it looks at the first byte
// of each read(2). So its standard input is a socket that keeps messages apart.
type opensslServer struct {
	t       *testing.T
	address string
	input   *os.File
	lines   chan string // what it prints: its own remarks, and what the client says
	passed  []string    // by await
}

// startOpenSSL starts a server on loopback.
func startOpenSSL(t *testing.T, args ...string) *opensslServer {
	t.Helper()
	fromBed(t, "DOVECOT") // the testbed installs OpenSSL, too
	certFile, keyFile := writePEM(t, conntest.Certificate("127.0.0.1"))
	cmd := exec.Command("openssl", append([]string{"s_server", "-accept", "127.0.0.1:0", "-cert", certFile, "-key", keyFile}, args...)...)
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs := os.NewFile(uintptr(fds[0]), "stdin")
	s := &opensslServer{t: t, input: os.NewFile(uintptr(fds[1]), "input"), lines: make(chan string, 1<<12)}
	cmd.Stdin, cmd.Stderr = theirs, os.Stderr
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = theirs.Close()
	t.Cleanup(func() {
		_ = s.input.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	go s.listen(output)
	_, s.address, _ = strings.Cut(s.await("ACCEPT "), " ")
	return s
}

// listen reads what the server prints, without ever keeping it waiting, and passes on
// what tests await.
func (s *opensslServer) listen(output io.Reader) {
	defer close(s.lines)
	for lines := bufio.NewScanner(output); lines.Scan(); {
		for _, text := range []string{"ACCEPT ", tagPrefix, sentUpdate, gotUpdate} {
			if strings.Contains(lines.Text(), text) {
				s.lines <- lines.Text()
			}
		}
	}
}

// What the server prints for each message, with -msg.
const (
	sentUpdate = ">>> TLS 1.3, Handshake [length 0005], KeyUpdate"
	gotUpdate  = "<<< TLS 1.3, Handshake [length 0005], KeyUpdate"
)

// await reads the server's lines up to one with text in it.
func (s *opensslServer) await(text string) string {
	for line := range s.lines {
		if strings.Contains(line, text) {
			return line
		}
		s.passed = append(s.passed, line)
	}
	s.t.Errorf("OpenSSL says %q", text)
	return ""
}

// count returns how many lines await has passed over with text in them.
func (s *opensslServer) count(text string) int {
	n := 0
	for _, line := range s.passed {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// say is one read of the server's: to be sent, or a command.
func (s *opensslServer) say(text []byte) {
	if _, err := s.input.Write(text); err != nil {
		s.t.Errorf("OpenSSL takes its input: %v", err)
	}
}

// dotted returns about size bytes in lines that no command of s_server's begins like.
func dotted(size int) []byte {
	return bytes.ReplaceAll(append([]byte("\n"), lines(size)...), []byte("\n"), []byte("\n."))[1:]
}

// 10 MB come while the server changes its keys again and again, and demands that we
// change ours.
func TestOpenSSLKeyUpdates(t *testing.T) {
	const piece, every = 8 << 10, 20 // pieces between two updates
	var script sync.WaitGroup
	t.Cleanup(script.Wait) // it ends when OpenSSL does
	server := startOpenSSL(t, "-tls1_3", "-naccept", "1", "-msg")
	mail := dotted(10 << 20)
	demanded := 0
	script.Go(func() {
		server.say([]byte("* OK ready\r\n"))
		server.await(tagPrefix + "1 FETCH")
		server.say(fmt.Appendf(nil, "* 1 FETCH (BODY[] {%d}\r\n", len(mail)))
		for n, rest := 0, mail; len(rest) > 0; n++ {
			at := min(piece, len(rest))
			if at < len(rest) {
				at = bytes.LastIndexByte(rest[:at], '\n') + 1
			}
			server.say(rest[:at])
			rest = rest[at:]
			switch n % (2 * every) {
			case 0:
				server.say([]byte("K\n")) // and demands ours
				demanded++
			case every:
				server.say([]byte("k\n"))
			}
		}
		server.say([]byte(")\r\n"))
		server.say([]byte(tagPrefix + "1 OK done\r\n"))
		server.await(tagPrefix + "2 NOOP") // by our newest key
		server.say([]byte(tagPrefix + "2 OK done\r\n"))
	})
	policy := &tlsup.Policy{Files: tlsup.Files{CA: conntest.CAFile(t)}}
	s, err := waysIn[1].connect(t, server.address, "", policy)
	if err != nil {
		t.Fatal(err)
	}
	came := 0
	s.on("FETCH", conn.CallbackNumbered, func(r *conn.Reply) {
		came++
		got := parseFetch(t, r)
		sameBytes(t, "the message comes through all changes of keys", got.joined(t, "BODY[]"), mail)
	})
	s.send("FETCH 1 (BODY.PEEK[])").ok()
	s.send("NOOP").ok()
	script.Wait()
	if came != 1 {
		t.Errorf("it comes once: %d times", came)
	}
	theirs, ours := server.count(sentUpdate), server.count(gotUpdate)
	if theirs < 2*demanded-1 || ours != demanded || demanded < 20 {
		t.Errorf("each demand for a KeyUpdate is answered: %d of the server's, %d demands, %d answers", theirs, demanded, ours)
	}
}
