package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/wire"
)

func TestParseFetch(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"(UID 7 RFC822.SIZE 300)", `{7 300 - - false false}`},
		{"(uid 7 rfc822.size 300)", `{7 300 - - false false}`},
		{"(BODY[HEADER] {6}\r\nA: b\r\n UID 7)", `{7 -1 "A: b\r\n" - false false}`},
		{"(UID 7 BODY[] {9}\r\n) {3}\r\n\"( FLAGS ())", `{7 -1 - ") {3}\r\n\"(" true false}`},
		{`(UID 7 BODY[] "a \"b\" \\")`, `{7 -1 - "a \"b\" \\" false false}`},
		{"(UID 7 BODY[] NIL)", `{7 -1 - "" false false}`},
		{"(UID 7 BODY[] {0}\r\n)", `{7 -1 - "" false false}`},
		{`(FLAGS (\Seen $ImLoad x]y) UID 7)`, `{7 -1 - - true true}`},
		{`(FLAGS (\Seen $imload2) MODSEQ (12) ENVELOPE (NIL ("x" NIL)) UID 7)`, `{7 -1 - - true false}`},
	} {
		f, ok := parseFetch([]byte(test.in))
		if got := f.describe(); !ok || got != test.want {
			t.Errorf("%q must be %s, is %s, %v", test.in, test.want, got, ok)
		}
	}
}

func (f *fetched) describe() string {
	quote := func(b []byte) string {
		if b == nil {
			return "-"
		}
		return fmt.Sprintf("%q", b)
	}
	return fmt.Sprintf("{%d %d %s %s %v %v}", f.uid, f.size, quote(f.header), quote(f.body), f.flags, f.marked)
}

func TestParseFetchRefusesWhatIsNone(t *testing.T) {
	for _, in := range []string{
		"", "UID 7", "(UID 7", "(UID)", "(UID x)", "(UID 7) more", "(UID 99999999999)", "(BODY[] 7)", "(BODY[] {9}\r\nshort)",
		"(FLAGS Seen)", "(FLAGS (\\Seen)", "(FLAGS (())) UID 7)", "(RFC822.SIZE -1)", "((UID 7))",
	} {
		if f, ok := parseFetch([]byte(in)); ok {
			t.Errorf("%q is no FETCH, but gave %s", in, f.describe())
		}
	}
}

func TestAppendUID(t *testing.T) {
	for text, want := range map[string]uint32{
		"[APPENDUID 38505 3955] APPEND completed": 3955,
		"[appenduid 1 2] done":                    2,
		"[APPENDUID 1 2:3] done":                  0,
		"[APPENDUID 1] done":                      0,
		"[APPENDUID x 1] done":                    0,
		"[APPENDUID] done":                        0,
		"[UIDNEXT 4] done":                        0,
		"done":                                    0,
		"":                                        0,
	} {
		if got, ok := appendUID([]byte(text)); ok != (want > 0) || ok && got != want {
			t.Errorf("the UID in %q must be %d, is %d, %v", text, want, got, ok)
		}
	}
}

func TestClassOf(t *testing.T) {
	for want, err := range map[string]error{
		"NO":                            &conn.ReplyError{Keyword: "NO", Text: "[ALERT] of many words"},
		"timeout (greeting)":            &conn.TimeoutError{Wait: "greeting", Was: time.Second},
		"connection refused":            fmt.Errorf("conn: 1.2.3.4:5: %w", os.NewSyscallError("connect", syscall.ECONNREFUSED)),
		"protocol error":                fmt.Errorf("x: %w", &wire.SyntaxError{}),
		"protocol error ":               &wire.LimitError{},
		"not sendable":                  &wire.FormatError{},
		"server hung up":                fmt.Errorf("x: %w", io.EOF),
		"server hung up ":               io.ErrUnexpectedEOF,
		"host not found":                fmt.Errorf("%w: x", conn.ErrHostNotFound),
		"service not found":             conn.ErrServiceNotFound,
		"password refused in the clear": conn.ErrCleartext,
		"error":                         errors.New("something new"),
	} {
		if got := classOf(err); got != want && got+" " != want {
			t.Errorf("the class of %v must be %q, is %q", err, want, got)
		}
	}
}
