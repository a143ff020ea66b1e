package conn

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/imclient/imclient/wire"
)

// tracer turns what passes into lines for Dialer.Trace. A nil tracer costs a
// test. It knows the secrets by position, never by what they look like.
type tracer struct {
	c       *Client
	emit    func(c *Client, line string)
	out, in []byte // the lines begun; "C: " and "S: " come with them
	tail    []byte // the end of the line that out begins, where a header would be
	literal int64  // bytes of a literal that are still to come, and not shown
	secrets []span // in the queue, in order
	next    int64  // position behind what was shown last
	inside  bool   // emit is being called
}

// span is a range of positions in the queue.
type span struct {
	begin, end int64
	header     bool // it ends with a literal's header, and thus a line
}

const (
	// maxTraceLine cuts lines: a trace is for reading.
	maxTraceLine = 1000
	// maxHeader is more than the header of a literal can be long.
	maxHeader = 32
)

const redacted = "***"

func (t *tracer) note(format string, args ...any) {
	if t != nil {
		t.call("# " + fmt.Sprintf(format, args...))
	}
}

func (t *tracer) call(line string) {
	t.inside = true
	defer func() { t.inside = false }()
	t.emit(t.c, line)
}

// emitting reports whether Dialer.Trace is being called. The queue is not in a
// state then in which it could be added to.
func (t *tracer) emitting() bool { return t != nil && t.inside }

// waits tells of a literal that waits at a position. A secret that ends there
// was its header.
func (t *tracer) waits(at int64) {
	if t == nil {
		return
	}
	if n := len(t.secrets); n > 0 && t.secrets[n-1].end == at {
		t.secrets[n-1].header = true
	}
}

// sent shows bytes of the queue, p at position at.
func (t *tracer) sent(at int64, p []byte) {
	if t == nil {
		return
	}
	if at != t.next {
		t.literal = 0 // it was dropped with its command, which the server refused
		if len(t.out) > 0 {
			t.endOut()
		}
	}
	t.next = at + int64(len(p))
	for len(p) > 0 {
		n := len(p)
		if len(t.secrets) > 0 {
			s := t.secrets[0]
			switch {
			case at >= s.end: // it was dropped with a command that the server refused
				t.secrets = t.secrets[1:]
				continue
			case at >= s.begin:
				k := min(int64(n), s.end-at)
				if at == s.begin {
					t.show(redacted)
				}
				if at += k; at == s.end {
					t.secrets = t.secrets[1:]
					if s.header {
						t.endOut()
					}
				}
				p = p[k:]
				continue
			case at+int64(n) > s.begin:
				n = int(s.begin - at)
			}
		}
		t.text(p[:n])
		at += int64(n)
		p = p[n:]
	}
}

// sentData shows p, which was a mark's data: a literal by its size, an answer to "+"
// by its text. whole: nothing of it is left.
func (t *tracer) sentData(m *mark, p []byte, whole bool) {
	switch {
	case t == nil:
	case !m.secret:
		t.text(p)
	case whole:
		if m.kind == talkMark {
			t.show(t.c.login.shown)
		}
		t.show(redacted)
		t.endOut()
	}
}

func (t *tracer) show(s string) { t.out = append(t.out, s...) }

// text adds what is sent, line by line. Of a literal it shows that it is there:
// its contents could look like any line.
func (t *tracer) text(p []byte) {
	for len(p) > 0 {
		if t.literal > 0 {
			n := min(t.literal, int64(len(p)))
			if t.literal -= n; t.literal == 0 {
				t.show("<literal>")
			}
			p = p[n:]
			continue
		}
		line, rest, ended := bytes.Cut(p, []byte("\n"))
		t.out = append(t.out, line[:min(len(line), max(0, maxTraceLine+2-len(t.out)))]...)
		t.tail = append(t.tail, line[max(0, len(line)-maxHeader):]...)
		t.tail = t.tail[max(0, len(t.tail)-maxHeader):]
		if p = rest; ended {
			t.literal = announced(bytes.TrimSuffix(t.tail, []byte("\r")))
			t.endOut()
		}
	}
}

func (t *tracer) endOut() {
	t.line("C: ", bytes.TrimSuffix(t.out, []byte("\r")))
	t.out, t.tail = t.out[:0], t.tail[:0]
}

// announced returns the size in the header of a literal that ends a line, 0 if
// none does.
func announced(line []byte) int64 {
	header, ok := bytes.CutSuffix(line, []byte("}"))
	if !ok {
		return 0
	}
	header = bytes.TrimSuffix(header, []byte("+"))
	n, err := strconv.ParseInt(string(header[bytes.LastIndexByte(header, '{')+1:]), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// received shows one event of the framer.
func (t *tracer) received(ev *wire.Event) {
	if t == nil {
		return
	}
	switch ev.Kind {
	case wire.KindText:
		t.heard(ev.Data)
	case wire.KindLiteralHeader:
		t.heard(ev.Data)
		t.heard([]byte("<literal>"))
	case wire.KindEnd:
		t.line("S: ", t.in)
		t.in = t.in[:0]
	}
}

// heard adds to the server's line, no more than will be shown and one byte,
// which tells that the line is longer.
func (t *tracer) heard(p []byte) {
	t.in = append(t.in, p[:min(len(p), maxTraceLine+1-len(t.in))]...)
}

// line emits one line with nothing in it that could pass for another: control
// and 8-bit bytes are escaped.
func (t *tracer) line(prefix string, b []byte) {
	line := []byte(prefix)
	for _, c := range b[:min(len(b), maxTraceLine)] {
		if c < ' ' || c > '~' {
			line = fmt.Appendf(line, `\x%02x`, c)
		} else {
			line = append(line, c)
		}
	}
	if len(b) > maxTraceLine {
		line = append(line, "..."...)
	}
	t.call(string(line))
}
