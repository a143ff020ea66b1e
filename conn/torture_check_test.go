package conn

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/imclient/imclient/sasl"
)

// allOK is the log of a session in which nothing failed.
func (s *session) allOK() (log []string) {
	for i := range s.due {
		log = append(log, fmt.Sprint(i+1, " OK"))
	}
	return log
}

// judge holds a run against the clean one:
//
//	I1   each command completes once, with EOF only if the connection has ended
//	I2   no callback comes after OnClose, within Send, or on another goroutine
//	I3   what passes changes nothing
//	I4   what fails leaves a beginning of the clean run; nothing is sent again
//	I5   no descriptor, goroutine, source or timer is left
//	I6   nobody spins
//	I7   nothing is held after the end, and never more than the session needs
//	I8   nothing secret is in errors, traces, or memory that others get
//	I9   the error says which call failed, how, and how far the command had come
//	I10  Close again, Close in a callback and Send after the end are defined
//
// What must hold at the time of a callback or of a wait, and what is counted over all
// runs, is judged there: see called, poll, playInLoop and TestTorture.
func (s *session) judge(f fault, clean *session) {
	s.t.Helper()
	if s.connected != 1 {
		s.t.Errorf("connecting ends once: %d", s.connected)
	}
	if s.client == nil {
		if s.closed != 0 || len(s.log) != 0 {
			s.t.Errorf("I1: where there was no connection nothing completes: %q", s.log)
		}
	} else {
		s.judgeEnd()
	}
	// The last thing that a client writes through TLS is a goodbye that nobody waits for.
	goodbye := s.how.secure() && f.op == "write" && f.n == clean.k.calls["write"]
	if f.passes() || goodbye {
		s.judgePassed(clean)
	} else {
		s.judgeFailed(f, clean)
	}
	if f.err != errOneByte && s.waits > 3*clean.waits {
		s.t.Errorf("I6: a fault costs few waits: %d, without it %d", s.waits, clean.waits)
	}
	s.judgeSecrets()
}

// judgeSecrets is I8. Neither is a secret told by its base64.
func (s *session) judgeSecrets() {
	s.t.Helper()
	told := fmt.Sprint(s.connectErr, s.waitErr, s.err, s.loginErr) + s.trace.String()
	secrets := []string{tortureSecret, loginSecret, plainLine()}
	if s.how.kerberos != nil {
		secrets = append(secrets, s.how.kerberos.key)
	}
	for _, secret := range secrets {
		if (s.how.secure() || secret == loginSecret || s.how.kerberos != nil) && bytes.Contains(s.k.wrote, []byte(secret)) {
			s.t.Errorf("I8: the secret %q is not in what was written", secret)
		}
		if strings.Contains(told, secret) || bytes.Contains(s.login, []byte(secret)) {
			s.t.Errorf("I8: the secret stays one: told %q, held %q", told, s.login)
		}
		for _, p := range s.k.offered {
			// Through TLS it is records, in memory that the server's engine may have had
			// since, to decrypt in.
			if s.how.login != "" && !s.how.secure() && bytes.Contains(p, []byte(secret)) {
				s.t.Errorf("I8: what was written of it is overwritten: %q", p)
			}
		}
	}
	for _, p := range s.responses {
		if len(bytes.Trim(p, "\x00")) > 0 {
			s.t.Errorf("I8: what the mechanism gave is overwritten: %q", p)
		}
	}
}

// judgeEnd holds a client that has ended against what its owner relies on.
func (s *session) judgeEnd() {
	c, t := s.client, s.t
	t.Helper()
	if s.closed != 1 {
		t.Errorf("I2: OnClose comes once: %d", s.closed)
	}
	if due := map[bool]int{true: 1}[s.how.startTLS]; s.secured != due {
		t.Errorf("I1: StartTLS ends once: %d", s.secured)
	}
	s.judgeLogin()
	if len(s.log) != s.due {
		t.Errorf("I1: each command completes once: %q", s.log)
	}
	if c.login != nil || c.in != nil || c.out.buf != nil || c.out.marks != nil || c.pending.ring != nil || c.callbacks != nil {
		t.Error("I7: after the end nothing is held")
	}
	if limit := 4 << minBufferBits; s.peak > limit {
		t.Errorf("I7: a small session holds little: %d bytes, more than %d", s.peak, limit)
	}
	if err := c.Send(nil, nil, "NOOP"); !errors.Is(err, s.err) || errors.Is(err, io.EOF) {
		t.Errorf("I10: a Send after the end says why: %v", err)
	}
	if _, due := c.NextDeadline(); due {
		t.Error("I5: after the end there is no deadline")
	}
}

// judgePassed is I3.
func (s *session) judgePassed(clean *session) {
	s.t.Helper()
	if s.connectErr != nil || s.waitErr != nil || !errors.Is(s.err, ErrClosed) {
		s.t.Errorf("I3: what passes is no error: %v, %v, %v", s.connectErr, s.waitErr, s.err)
	}
	wrote := s.k.wrote
	if s.how.encoded() {
		wrote = s.sent // records and packets are others each time
	}
	if !slices.Equal(s.log, clean.log) || !bytes.Equal(s.sent, clean.sent) || !bytes.Equal(wrote, clean.sent) {
		s.t.Errorf("I3: what passes changes nothing\n got: %q, %q\nwant: %q, %q", s.log, s.sent, clean.log, clean.sent)
	}
}

// judgeFailed is I1, I4 and I9.
func (s *session) judgeFailed(f fault, clean *session) {
	t := s.t
	t.Helper()
	reason, call := s.err, f.op
	switch {
	case s.client == nil:
		reason = s.connectErr
	case s.waitErr != nil: // the connection was alive; its owner was not content
		reason = s.waitErr
	}
	if name, ok := callNames[f.op]; ok {
		call = name
	}
	var errno syscall.Errno
	var system *os.SyscallError
	if !errors.As(reason, &system) || system.Syscall != call || !errors.As(reason, &errno) || errno != f.err || !errors.Is(reason, f.err) {
		t.Errorf("I9: the error says which call failed, and how: %v, want %s: %v", reason, call, f.err)
	}
	if s.how.encoded() {
		s.judgeFailedEncoded(clean)
		return
	}
	if !bytes.HasPrefix(clean.sent, s.k.wrote) || !bytes.HasPrefix(s.k.wrote, s.sent) {
		t.Errorf("I4: what was sent is a beginning of the clean run's: %q, of which %q came", s.k.wrote, s.sent)
	}
	ended := false
	for i, line := range s.log {
		number, keyword, _ := strings.Cut(line, " ")
		if number != fmt.Sprint(i+1) || ended && keyword != "EOF" {
			t.Errorf("I1: replies come in order, then EOF, oldest first: %q", s.log)
		}
		ended = keyword == "EOF"
		written := len(s.k.wrote) > clean.beginOf(number)
		if ended && written == slices.Contains(s.unsent, number) {
			t.Errorf("I9: the error of command %s says whether a byte of it was written: %t", number, written)
		}
	}
}

// judgeFailedEncoded is I1, I4 and I9 where what was written cannot be read but by the
// server, and a command counts as written when its record or packet was made.
func (s *session) judgeFailedEncoded(clean *session) {
	t := s.t
	t.Helper()
	if !bytes.HasPrefix(clean.sent, s.sent) {
		t.Errorf("I4: what was sent is a beginning of the clean run's: %q", s.sent)
	}
	ended := false
	for i, line := range s.log {
		number, keyword, _ := strings.Cut(line, " ")
		if number != fmt.Sprint(i+1) || ended && keyword != "EOF" {
			t.Errorf("I1: replies come in order, then EOF, oldest first: %q", s.log)
		}
		ended = keyword == "EOF"
		came := len(s.sent) > clean.beginOf(number)
		if ended && came && slices.Contains(s.unsent, number) {
			t.Errorf("I9: command %s came, and is not safe to retry", number)
		}
	}
}

// beginOf is where a command begins in what was sent.
func (s *session) beginOf(number string) int {
	n, _ := strconv.Atoi(number)
	if s.how.startTLS { // which was the first
		n++
	}
	if s.how.login != "" { // which has tags for all that it may come to
		n += 1 + (&authentication{mechs: make([]sasl.Mechanism, 1)}).tags()
	}
	number = fmt.Sprint(n)
	return bytes.Index(append([]byte("\n"), s.sent...), []byte("\na"+number+" "))
}
