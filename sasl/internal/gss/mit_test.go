package gss

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// mit is MIT's library, at both ends of a context: testdata/mit.c.
type mit struct {
	t   testing.TB
	in  io.Writer
	out *bufio.Reader
}

// newMIT builds and starts it beside the testbed's KDC.
func newMIT(t testing.TB) *mit {
	t.Helper()
	conf := os.Getenv("IMCLIENT_TEST_KRB5_CONFIG")
	if conf == "" {
		t.Skip("IMCLIENT_TEST_KRB5_CONFIG is not set: no testbed with a KDC")
	}
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("no C compiler, which the testbed installs for go test -race; TestRecorded has tokens of MIT's")
	}
	cmd := exec.Command(buildMIT(t))
	cmd.Env = append(os.Environ(),
		"KRB5_CONFIG="+conf,
		"KRB5_KTNAME="+os.Getenv("IMCLIENT_TEST_KRB5_SERVICE_KEYTAB"),
		"KRB5_CLIENT_KTNAME="+os.Getenv("IMCLIENT_TEST_KRB5_CLIENT_KEYTAB"),
		"KRB5CCNAME=MEMORY:", "KRB5RCACHENAME=none:")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	return &mit{t, in, bufio.NewReader(out)}
}

func buildMIT(t testing.TB) string {
	t.Helper()
	flags, err := exec.Command("krb5-config", "--cflags", "--libs", "gssapi").Output()
	if err != nil {
		t.Fatalf("the testbed has a KDC, but there is no libkrb5-dev: krb5-config: %v", err)
	}
	program := filepath.Join(t.TempDir(), "mit")
	args := append([]string{"-O2", "-o", program, "testdata/mit.c"}, strings.Fields(string(flags))...)
	if out, err := exec.Command("cc", args...).CombinedOutput(); err != nil {
		t.Fatalf("cc: %v\n%s", err, out)
	}
	return program
}

// do returns the answer to a command, without "ok".
func (m *mit) do(format string, args ...any) []string {
	m.t.Helper()
	if _, err := fmt.Fprintf(m.in, format+"\n", args...); err != nil {
		m.t.Fatal(err)
	}
	line, err := m.out.ReadString('\n')
	if err != nil {
		m.t.Fatal(err)
	}
	words := strings.Fields(line)
	if words[0] != "ok" {
		m.t.Fatalf("MIT's library does it\n got: %.200s", line)
	}
	return words[1:]
}

// services have session keys of one encryption type.
var services = map[int32]string{
	aes128SHA1: "aes128", aes256SHA1: "aes256", aes128SHA256: "aes128sha2", aes256SHA384: "aes256sha2", rc4HMAC: "rc4",
}

// mitContext is what both sides of a test need to know of a context.
type mitContext struct {
	key                       Key
	subkey                    bool
	initiatorSeq, acceptorSeq uint64
}

func (m *mit) context(etype int32, mutual bool) mitContext {
	m.t.Helper()
	c := parseContext(m.t, m.do("context imap/%s.test@%s %d %d", services[etype], os.Getenv("IMCLIENT_TEST_KRB5_REALM"), etype, digit(mutual)))
	if c.key.EType != etype || c.subkey != (mutual && etype != rc4HMAC) {
		m.t.Fatalf("a context with %s, acceptor's subkey %t", EncTypeName(c.key.EType), c.subkey)
	}
	return c
}

func parseContext(t testing.TB, words []string) mitContext {
	t.Helper()
	if len(words) != 5 {
		t.Fatalf("a context is five words\n got: %d", len(words))
	}
	number := func(s string) uint64 {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return mitContext{
		key:          Key{EType: int32(number(words[0])), Value: unhex(t, words[1])},
		subkey:       words[2] == "1",
		initiatorSeq: number(words[3]),
		acceptorSeq:  number(words[4]),
	}
}

// wrappers are our two ends of it. Each talks to MIT's other one.
func (c mitContext) wrappers(t testing.TB) (initiator, acceptor *Wrapper) {
	o := WrapperOptions{AcceptorSubkey: c.subkey, SendSeq: c.initiatorSeq, RecvSeq: c.acceptorSeq}
	initiator = newWrapper(t, c.key, o)
	return initiator, newWrapper(t, c.key, WrapperOptions{
		Acceptor: true, AcceptorSubkey: c.subkey, SendSeq: c.acceptorSeq, RecvSeq: c.initiatorSeq,
	})
}

func digit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// digits writes bytes as the program reads them.
func digits(b []byte) string {
	if len(b) == 0 {
		return "-"
	}
	return hex.EncodeToString(b)
}

func undigits(t testing.TB, s string) []byte {
	t.Helper()
	if s == "-" {
		return nil
	}
	return unhex(t, s)
}

// mitLengths are all of a few blocks, and those around the bounds of packets: of data,
// and of tokens.
func mitLengths() []int {
	var all []int
	for n := range 301 {
		all = append(all, n)
	}
	for _, bound := range []int{4096, 65536} {
		for n := bound - 90; n <= bound+17; n++ {
			if n <= bound-70 || n >= bound-62 && n <= bound-40 || n >= bound-33 && n <= bound-26 || n >= bound-17 {
				all = append(all, n)
			}
		}
	}
	return all
}

// Tokens of each length go in both directions, from either end, with and without a
// subkey of the acceptor, between ours and MIT's.
func TestMIT(t *testing.T) {
	m := newMIT(t)
	eachKind(t, func(t *testing.T, etype int32, private bool) {
		for _, mutual := range []bool{true, false} {
			m.t = t
			c := m.context(etype, mutual)
			initiator, acceptor := c.wrappers(t)
			for _, n := range mitLengths() {
				p := text(n)
				m.exchange(initiator, "acceptor", p, private)
				m.exchange(acceptor, "initiator", p, private)
				if etype != rc4HMAC {
					mustOpen(t, acceptor, undigits(t, m.do("rotate initiator %d %s", digit(private), digits(p))[0]), p, private)
					mustOpen(t, initiator, undigits(t, m.do("rotate acceptor %d %s", digit(private), digits(p))[0]), p, private)
				}
			}
		}
	})
}

// exchange has p wrapped by w and by MIT's end, for each other.
func (m *mit) exchange(w *Wrapper, end string, p []byte, private bool) {
	m.t.Helper()
	got := m.do("unwrap %s %s", end, hex.EncodeToString(seal(m.t, w, p, private)))
	if got[0] != strconv.Itoa(digit(private)) || !bytes.Equal(undigits(m.t, got[1]), p) {
		m.t.Fatalf("MIT's %s has %d bytes, private %t, of our token\n got: private %s, %.100s", end, len(p), private, got[0], got[1])
	}
	mustOpen(m.t, w, undigits(m.t, m.do("wrap %s %d %s", end, digit(private), digits(p))[0]), p, private)
}

// The negotiation of RFC 4752 is without privacy, what follows may be with it; any order will do.
func TestMITMixed(t *testing.T) {
	m := newMIT(t)
	for _, etype := range etypes {
		initiator, acceptor := m.context(etype, true).wrappers(t)
		for i := range 64 {
			m.exchange(initiator, "acceptor", text(i), i&1 != 0)
			m.exchange(acceptor, "initiator", text(i), i&2 != 0)
		}
	}
}

var record = flag.Bool("record", false, "write testdata/mit.txt anew, with MIT's library")

const recorded = "testdata/mit.txt"

// Tokens that MIT's library has made, for where it is not at hand.
func TestRecorded(t *testing.T) {
	if *record {
		recordMIT(t)
	}
	file, err := os.ReadFile(recorded)
	if err != nil {
		t.Fatal(err)
	}
	var initiator, acceptor *Wrapper
	tokens := 0
	for line := range strings.Lines(string(file)) {
		words := strings.Fields(line)
		switch words[0] {
		case "#":
		case "context":
			initiator, acceptor = parseContext(t, words[1:]).wrappers(t)
		default:
			receiver := acceptor
			if words[0] == "acceptor" {
				receiver = initiator
			}
			mustOpen(t, receiver, undigits(t, words[3]), undigits(t, words[2]), words[1] == "1")
			tokens++
		}
	}
	if tokens != len(etypes)*2*len(recordedLengths)*4 {
		t.Errorf("%d tokens were recorded", tokens)
	}
}

var recordedLengths = []int{0, 1, 15, 16, 17, 100}

func recordMIT(t *testing.T) {
	m := newMIT(t)
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Wrap tokens made by MIT's library (krb5 %s) in testdata/mit.c, for contexts with the testbed's KDC.\n", mitVersion(t))
	fmt.Fprint(&b, "# Made by: go test -run TestRecorded -record (go run ./cmd/testbed has the environment).\n",
		"# context ETYPE KEY ACCEPTOR-SUBKEY INITIATOR-SEQ ACCEPTOR-SEQ, then tokens in order: SENDER PRIVATE DATA TOKEN\n",
		"# AES: two of four are made by gss_wrap_iov, which rotates them.\n")
	for _, etype := range etypes {
		for _, mutual := range []bool{true, false} {
			words := m.do("context imap/%s.test@%s %d %d", services[etype], os.Getenv("IMCLIENT_TEST_KRB5_REALM"), etype, digit(mutual))
			fmt.Fprintln(&b, "context", strings.Join(words, " "))
			for i, n := range recordedLengths {
				for j := range 4 {
					verb, end, private := "wrap", [2]string{"initiator", "acceptor"}[(i+j)%2], j/2
					if etype != rc4HMAC && (i+j/2)%2 == 0 {
						verb = "rotate"
					}
					p := digits(text(n))
					fmt.Fprintln(&b, end, private, p, m.do("%s %s %d %s", verb, end, private, p)[0])
				}
			}
		}
	}
	if err := os.WriteFile(recorded, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func mitVersion(t *testing.T) string {
	out, err := exec.Command("krb5-config", "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(strings.TrimSpace(string(out)), "Kerberos 5 release ")
}
