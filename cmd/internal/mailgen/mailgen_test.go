package mailgen

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/mail"
	"strings"
	"testing"
	"time"
)

// TestSameBytesEverywhere pins all the bytes: whoever changes a message changes
// what servers in other processes and recorded traces were filled with.
func TestSameBytesEverywhere(t *testing.T) {
	const want = "ad35a6d01f80608a0fd4cba7e6828e44507aec3d9f38e18ca0d3ede8726c0e93"
	hash := sha256.New()
	for _, m := range Messages(300) {
		fmt.Fprintf(hash, "%s %s %d\n", m.Name, m.What, len(m.Data))
		hash.Write(m.Data)
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != want {
		t.Errorf("the first 300 messages must never change: hash %s, want %s", got, want)
	}
}

func TestMessageDependsOnlyOnItsNumber(t *testing.T) {
	all := Messages(60)
	for _, n := range []int{0, 1, 10, 31} {
		for i, m := range Messages(n) {
			if !bytes.Equal(m.Data, all[i].Data) {
				t.Errorf("message %s must be the same in Messages(%d) and Messages(%d)", m.Name, n, len(all))
			}
		}
	}
	last := all[len(all)-1]
	if !bytes.Equal(Ordinary(60).Data, last.Data) {
		t.Errorf("Ordinary(60) must be message %s of Messages", last.Name)
	}
}

func TestNumbersAndNames(t *testing.T) {
	what := make(map[string]bool)
	for i, m := range Messages(len(specials) + 3) {
		if want := fmt.Sprintf("%04d", i+1); m.Name != want {
			t.Errorf("the names must count from 0001: message %d is %q", i+1, m.Name)
		}
		if ordinary := m.What == "ordinary"; ordinary != (i >= len(specials)) {
			t.Errorf("only what follows the special messages must be ordinary: %s is %q", m.Name, m.What)
		}
		if m.What != "ordinary" && what[m.What] {
			t.Errorf("each special message must have a description of its own: %q", m.What)
		}
		what[m.What] = true
	}
}

func TestLineEnds(t *testing.T) {
	for _, m := range Messages(300) {
		if bytes.IndexByte(m.Data, 0) >= 0 {
			t.Errorf("%s (%s): no message may hold a NUL", m.Name, m.What)
		}
		if bytes.Contains(m.Data, []byte("\r\r\n")) {
			t.Errorf("%s (%s): no CR may stand right before a CRLF", m.Name, m.What)
		}
		pairs := bytes.Count(m.Data, []byte("\r\n"))
		if lf := bytes.Count(m.Data, []byte("\n")); lf != pairs {
			t.Errorf("%s (%s): every LF must follow a CR: %d LF, %d CRLF", m.Name, m.What, lf, pairs)
		}
		loneCR := bytes.Count(m.Data, []byte("\r")) != pairs
		if says := strings.Contains(m.What, "CR") || strings.Contains(m.What, "every byte"); loneCR != says {
			t.Errorf("%s (%s): a CR without LF must stand where the description says so and only there", m.Name, m.What)
		}
	}
}

// TestSpecialsAreSpecial checks that the cases are what they say, by a sample of
// what would be easy to lose in an edit.
func TestSpecialsAreSpecial(t *testing.T) {
	byWhat := make(map[string][]byte)
	for _, m := range Special() {
		byWhat[m.What] = m.Data
	}
	cases := []struct {
		what string
		ok   func(b []byte) bool
	}{
		{"header only, no empty line", func(b []byte) bool { return !bytes.Contains(b, []byte("\r\n\r\n")) }},
		{"no line end after the last line", func(b []byte) bool { return !bytes.HasSuffix(b, []byte("\n")) }},
		{"the last byte is a CR", func(b []byte) bool { return bytes.HasSuffix(b, []byte("F\r")) }},
		{"a subject like a literal header", func(b []byte) bool { return bytes.Contains(b, []byte("\r\nSubject: {10}\r\n")) }},
		{"header lines that end like literal headers", func(b []byte) bool {
			return bytes.Contains(b, []byte(" {10}\r\n")) && bytes.Contains(b, []byte(" {3+}\r\n")) && bytes.Contains(b, []byte(" ~{5}\r\n"))
		}},
		{"subject of 5000 bytes in one line", func(b []byte) bool { return longestLine(b) == len("Subject: ")+5000 }},
		{"a line of 100000 bytes", func(b []byte) bool { return longestLine(b) == 100000 }},
		{"500 recipients", func(b []byte) bool { return bytes.Count(b, []byte("@example.org>,")) == 499 }},
		{"30 nested multiparts", func(b []byte) bool { return bytes.Count(b, []byte("Content-Type: multipart/mixed;")) == 30 }},
		{"200 parts", func(b []byte) bool { return bytes.Count(b, []byte("--many\r\n")) == 200 }},
		{"body of every byte but NUL", func(b []byte) bool {
			for c := 1; c < 256; c++ {
				if bytes.IndexByte(b, byte(c)) < 0 {
					return false
				}
			}
			return true
		}},
		{"attachment of 1 MB", func(b []byte) bool { return len(b) > 1<<20 && len(b) < 1<<20+2000 }},
		{"attachment of 10 MB", func(b []byte) bool { return len(b) > 10<<20 && len(b) < 10<<20+2000 }},
	}
	for _, c := range cases {
		if b, found := byWhat[c.what]; !found || !c.ok(b) {
			t.Errorf("there must be a message that is what it says: %q", c.what)
		}
	}
}

func longestLine(b []byte) int {
	longest := 0
	for line := range bytes.Lines(b) {
		longest = max(longest, len(bytes.TrimRight(line, "\r\n")))
	}
	return longest
}

func TestOrdinary(t *testing.T) {
	seen := make(map[string]int)
	for i := 1; i <= 2000; i++ {
		m := Ordinary(i)
		if len(m.Data) < 1000 || len(m.Data) > 4096 {
			t.Errorf("ordinary mail must have 1 to 4 KB: %s has %d bytes", m.Name, len(m.Data))
		}
		parsed, err := mail.ReadMessage(bytes.NewReader(m.Data))
		if err != nil {
			t.Fatalf("ordinary mail must be valid: %s: %v", m.Name, err)
		}
		if date, err := parsed.Header.Date(); err != nil || !date.Equal(Date(i)) {
			t.Errorf("Date must return what %s says: %v, want %v (%v)", m.Name, date, Date(i), err)
		}
		if _, err := parsed.Header.AddressList("From"); err != nil {
			t.Errorf("ordinary mail must have a sender: %s: %v", m.Name, err)
		}
		var body bytes.Buffer
		body.ReadFrom(parsed.Body)
		if other := seen[body.String()]; other != 0 {
			t.Errorf("no two bodies may be alike, or a mix-up stays unnoticed: %d and %d", i, other)
		}
		seen[body.String()] = i
		for line := range bytes.Lines(m.Data) {
			if len(line) > 78+len("\r\n") {
				t.Errorf("ordinary mail must keep to lines of 78 characters: %s: %q", m.Name, line)
			}
		}
	}
}

func TestDatesMoveOn(t *testing.T) {
	for i := 1; i < 300; i++ {
		if d := Date(i + 1).Sub(Date(i)); d < time.Hour || d > 2*time.Hour {
			t.Errorf("messages must follow each other by an hour or so: %d is %v after %d", i+1, d, i)
		}
	}
}
