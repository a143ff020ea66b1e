package conn

import (
	"fmt"

	"github.com/imclient/imclient/wire"
)

// tracer turns what passes into lines for Dialer.Trace. A nil tracer costs a
// test. It knows the secrets by position, never by what they look like.
type tracer struct {
	c       *Client
	emit    func(c *Client, line string)
	out, in []byte // the lines begun; "C: " and "S: " come with them
	secrets []span // in the queue, in order
}

// span is a range of positions in the queue.
type span struct {
	begin, end int64
	header     bool // it ends with a literal's header, and thus a line
}

// maxTraceLine cuts lines: a trace is for reading.
const maxTraceLine = 1000

const redacted = "***"

func (t *tracer) note(format string, args ...any) {
	if t != nil {
		t.emit(t.c, "# "+fmt.Sprintf(format, args...))
	}
}

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

// sentData shows the first n bytes of a mark's data: a literal by its size, an
// answer to "+" by its text.
func (t *tracer) sentData(m *mark, n int) {
	switch {
	case t == nil:
	case m.kind == referenceMark:
		if n == len(m.data) {
			t.show("<literal>")
		}
	case m.secret:
		if n == len(m.ready()) {
			t.show(redacted)
			t.endOut()
		}
	default:
		t.text(m.data[:n])
	}
}

func (t *tracer) show(s string) { t.out = append(t.out, s...) }

// text adds protocol text, line by line.
func (t *tracer) text(p []byte) {
	for _, b := range p {
		if b == '\n' {
			t.endOut()
		} else if b != '\r' && len(t.out) <= maxTraceLine {
			t.out = append(t.out, b)
		}
	}
}

func (t *tracer) endOut() {
	t.line("C: ", t.out)
	t.out = t.out[:0]
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
	t.emit(t.c, string(line))
}
