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
type span struct{ begin, end int64 }

// maxTraceLine cuts lines: a trace is for reading.
const maxTraceLine = 1000

const redacted = "***"

func (t *tracer) note(format string, args ...any) {
	if t != nil {
		t.emit(t.c, "# "+fmt.Sprintf(format, args...))
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
			case at >= s.begin:
				k := min(int64(n), s.end-at)
				if at == s.begin {
					t.show(redacted)
				}
				if at += k; at == s.end {
					t.secrets = t.secrets[1:]
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
		} else if b != '\r' {
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
		if len(t.in) < maxTraceLine {
			t.in = append(t.in, ev.Data[:min(len(ev.Data), maxTraceLine)]...)
		}
	case wire.KindLiteralHeader:
		t.in = append(append(t.in, ev.Data...), "<literal>"...)
	case wire.KindEnd:
		t.line("S: ", t.in)
		t.in = t.in[:0]
	}
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
