package wire

import (
	"testing"
)

func TestLineAfterLess(t *testing.T) {
	var f Framer
	if ev, _, err := f.Next([]byte("* OK")); ev.Kind != KindNone || err != nil {
		t.Fatal(ev, err)
	}
	if line, n := f.Line([]byte("* ")); line != nil || n != 0 {
		t.Errorf("the caller may keep back bytes that it had shown: %q, %d", line, n)
	}
}

func TestEndAfterFailure(t *testing.T) {
	c := NewCursor([]byte("("))
	for c.ListBegin(); c.More(); {
	}
	if c.Err() == nil || c.End() {
		t.Error("after a failure it is not the end")
	}
}

func TestCodeBackslash(t *testing.T) {
	c := NewCursor([]byte(`[X \] a] b`))
	if _, arg, ok := c.Code(); !ok || string(arg) != `\` || string(c.Rest()) != "a] b" {
		t.Errorf("outside quotes a backslash is a byte: %q, %q", arg, c.Rest())
	}
}

func TestSmall(t *testing.T) {
	for n, want := range map[int]string{maxSmall: "{4096+}\r\n", maxSmall + 1: "{4097}\r\n"} {
		if got, _ := AppendLiteral(nil, nil, NonSynchronizingSmall, make([]byte, n)); string(got) != want {
			t.Errorf("LITERAL- is up to 4,096 bytes: %q", got)
		}
	}
}
