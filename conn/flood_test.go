package conn

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A server that always has more to say holds output up for some events, not for ever.
func TestFloodLetsOutputThrough(t *testing.T) {
	r := newRig(t, &Dialer{}, func(r *rig) { r.flood = "* 1 EXISTS\r\n" })
	for range 2 {
		mustSend(t, r.c, nil, "NOOP")
		events := 0
		for r.heard() == "" {
			if events++; events > maxDeaf {
				t.Fatalf("within %d events something is written", maxDeaf)
			}
			if _, err := r.c.TryProcessOneEvent(); err != nil {
				t.Fatal(err)
			}
		}
		if events < maxDeaf {
			t.Errorf("before that the server is heard out: %d events", events)
		}
	}
}

// However large the kept beginning of a reply is, an event reads no more than the
// budget, and the work is linear all the same.
func TestReadBudget(t *testing.T) {
	r := newRig(t, &Dialer{}, func(r *rig) { r.flood = "x" })
	r.put("* 1 FETCH (BODY[] {60000000}\r\n")
	r.flood = ""
	r.drive()
	r.flood = "x"
	var most uint64
	var moved int
	for held := 0; held < 50<<20; {
		before, at := r.c.stats.BytesIn, cap(r.c.in.b)
		if _, err := r.c.TryProcessOneEvent(); err != nil {
			t.Fatal(err)
		}
		most = max(most, r.c.stats.BytesIn-before)
		if r.c.in.want > readSize {
			t.Fatalf("a server that fills what it is given gets %d bytes at most: %d", readSize, r.c.in.want)
		}
		if cap(r.c.in.b) != at {
			moved += held
		}
		held = len(r.c.in.b)
	}
	if most > readBudget {
		t.Errorf("an event reads at most %d bytes: %d", readBudget, most)
	}
	if moved > 100<<20 {
		t.Errorf("50 MiB are moved to larger buffers twice at most: %d bytes", moved)
	}
}

// The last words of a server that cannot be written to are heard, but not without end.
func TestLastWordsEnd(t *testing.T) {
	heard := 0
	d := &Dialer{Callbacks: []Callback{{Keyword: "X", Proc: func(*Client, any, *Reply) { heard++ }}}}
	r := newRig(t, d, func(r *rig) { r.writeErr = unix.EPIPE })
	mustSend(t, r.c, nil, "NOOP")
	r.maxRead = len("* X\r\n")
	r.put(strings.Repeat("* X\r\n", 200))
	for r.c.Err() == nil {
		_, _ = r.c.TryProcessOneEvent()
	}
	if !errors.Is(r.c.Err(), unix.EPIPE) || heard != 65 {
		t.Errorf("%d replies were heard before the end: %v", heard, r.c.Err())
	}
}

// A server that asks on and on and reads no answers does not fill our memory.
func TestAnswersHaveABound(t *testing.T) {
	r := newRig(t, &Dialer{MaxQueued: 10_000}, nil)
	refused := 0
	answer := func(c *Client, _ any, _ *Reply) {
		if err := c.Continue(strings.Repeat("x", 100)); err == ErrBackpressure {
			refused++
		} else if err != nil {
			t.Error(err)
		}
	}
	if err := r.c.SendCommand(&Command{OnContinue: answer}, "X"); err != nil {
		t.Fatal(err)
	}
	r.drive()
	r.writeErr = unix.EAGAIN
	for range 10 {
		r.say(strings.Repeat("+\r\n", 100))
	}
	if held := len(r.c.out.marks[0].data); held > 10_000+102 || refused != 1000-99 {
		t.Errorf("answers are refused past MaxQueued: %d bytes are held, %d were refused", held, refused)
	}
}
