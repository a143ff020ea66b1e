//go:build !race

package wire

import (
	"bytes"
	"strings"
	"testing"
)

// TestNoAllocations: in the steady state nothing here allocates. (Race builds
// allocate on their own account.)
func TestNoAllocations(t *testing.T) {
	var f Framer
	small := []byte("kf12 OK NOOP completed\r\n")
	fetch := []byte("* 12 FETCH (UID 7 BODY[] {5}\r\nhello)\r\n")
	text := []byte(`(UID 4392 FLAGS (\Seen $X) RFC822.SIZE 44827 ENVELOPE ("d\"" NIL ((NIL NIL "a" "b")) {1}` + "\r\nx))")
	dst, marks := make([]byte, 0, 4096), make([]Mark, 0, 16)
	scratch := make([]byte, 0, 16)
	n, uid, data := 300+len(small), 70000+uint32(len(text)), bytes.Repeat([]byte("x"), 1000)
	password, list := strings.Repeat("p w", 3), []string{"a", "b c"}
	command := func(format string, args ...any) {
		var err error
		if dst, marks, err = AppendCommand(dst[:0], marks[:0], Synchronizing, format, args); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]func(){
		"framer, line":       func() { drain(&f, small) },
		"framer, literal":    func() { drain(&f, fetch) },
		"ParseHead":          func() { ParseHead(small[:22]); ParseHead(fetch[:28]) },
		"StatusOf":           func() { StatusOf(small[5:7]); StatusOf(fetch[5:10]) },
		"EqualFold":          func() { EqualFold(fetch[5:10], "fetch") },
		"cursor":             func() { walkFetch(text, scratch) },
		"command":            func() { command("NOOP") },
		"command, int":       func() { command("FETCH %d (FLAGS)", n) },
		"command, uint32":    func() { command("UID FETCH %u:%u (FLAGS)", uid, uid+1) },
		"command, named":     func() { command("UID FETCH %u %a", namedUint8(uid), Text("(FLAGS)")) },
		"command, named int": func() { command("X %d %s", namedInt16(n), namedString(password)) },
		"command, strings":   func() { command("LOGIN %s %p", password, password) },
		"command, list":      func() { command("X (%v)", list) },
		"command, literal":   func() { command("APPEND %s %l", "INBOX", data) },
	}
	for name, f := range tests {
		if allocs := testing.AllocsPerRun(100, f); allocs != 0 {
			t.Errorf("%s allocates nothing: got %v allocations", name, allocs)
		}
	}
}
