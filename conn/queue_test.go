package conn

import (
	"strings"
	"testing"
)

// The command is refused while its first literal is on its way, and a second one
// stands behind it. Wherever the transport is at that moment, the server gets the
// literal whole and no header, for whose literal it would take the next command.
// Only a header that it has already is answered by its NO.
func TestRefusedBetweenLiterals(t *testing.T) {
	const first, second = "a1 X {3}\r\n", "one ~{4}\r\n"
	const header = len("one ~")
	var log []string
	for events, sent := 0, 0; sent < len(second); events++ {
		r := newRig(t, &Dialer{}, func(r *rig) { r.maxWrite = 1 })
		mustSend(t, r.c, func(_ *Client, _ any, reply *Reply) { log = append(log, reply.Keyword) }, "X %l %L z", []byte("one"), []byte("four"))
		mustSend(t, r.c, nil, "NOOP")
		if r.drive(); r.heard() != first {
			t.Fatal("the first literal waits")
		}
		r.put("+\r\n")
		for range events {
			if _, err := r.c.TryProcessOneEvent(); err != nil {
				t.Fatal(err)
			}
		}
		got := r.heard()
		sent = len(got)
		want := second
		switch {
		case sent <= header:
			want = second[:header] + "\r\n"
		case sent < len(second):
			want = second[:sent] + " \r\n"
		}
		r.say("a1 NO\r\n")
		got += r.heard()
		if want += "a2 NOOP\r\n"; got != want {
			t.Errorf("refused when %d bytes were sent\n got: %q\nwant: %q", sent, got, want)
		}
		r.say("a2 OK\r\n")
		if r.c.Err() != nil || len(r.c.out.marks) != 0 || r.c.pending.len() != 0 {
			t.Errorf("the connection lives on with nothing left: %v", r.c.Err())
		}
	}
	for _, keyword := range log {
		if keyword != "NO" {
			t.Errorf("the command completes with NO: %q", keyword)
		}
	}
}

// The header of the first literal has not been written either.
func TestRefusedBeforeItsLiteral(t *testing.T) {
	r := newRig(t, &Dialer{}, func(r *rig) { r.maxWrite = 3 })
	mustSend(t, r.c, nil, "XYZ %s %l", "{", []byte("one"))
	mustSend(t, r.c, nil, "NOOP")
	if _, err := r.c.TryProcessOneEvent(); err != nil {
		t.Fatal(err)
	}
	r.say("a1 BAD\r\n")
	if got, want := r.heard(), "a1 XYZ \"{\" \r\na2 NOOP\r\n"; got != want {
		t.Errorf("a command that is refused early ends before its literal's header\n got: %q\nwant: %q", got, want)
	}
}

// A queue that never empties does not keep what was written.
func TestQueueThatNeverEmpties(t *testing.T) {
	r := newRig(t, &Dialer{MaxQueued: -1}, func(r *rig) { r.maxWrite = 100 })
	most := 0
	for range 10_000 {
		mustSend(t, r.c, nil, "NOOP %s", strings.Repeat("x", 80))
		for r.c.out.end()-r.c.out.position() > 2000 {
			if _, err := r.c.TryProcessOneEvent(); err != nil {
				t.Fatal(err)
			}
		}
		r.heard()
		most = max(most, cap(r.c.out.buf.b))
	}
	if most > 8<<10 {
		t.Errorf("2,000 queued bytes need no buffer of %d", most)
	}
}

// Thousands of literals that wait cost their own place, not that of all behind them.
func TestPopOfMany(t *testing.T) {
	q := queue{marks: make([]mark, 1000)}
	last := &q.marks[999]
	for len(q.marks) > maxIOV {
		q.marks[0].data = []byte("held")
		first := &q.marks[0]
		if q.pop(1); first.data != nil || &q.marks[len(q.marks)-1] != last {
			t.Fatalf("what is left stays where it is, and what is gone holds nothing: %d left", len(q.marks))
		}
	}
	for range maxIOV {
		q.pop(1)
	}
	if q.marks != nil {
		t.Error("an empty queue does not keep the place of thousands")
	}
}

// One call of writev(2), and one event, have bounds, however much is queued.
func TestBoundsOfOneEvent(t *testing.T) {
	q := queue{buf: newBuffer(1)}
	for i := range 100 {
		q.buf.b = append(q.buf.b, 'x')
		q.marks = append(q.marks, mark{kind: referenceMark, at: int64(i + 1), data: []byte("y")})
	}
	if n := len(q.gather(nil)); n != maxIOV {
		t.Errorf("a call has %d pieces at most: %d", maxIOV, n)
	}
	r := newRig(t, &Dialer{}, nil)
	r.c.SetFlags(NonSyncLiteral)
	for range 100 {
		mustSend(t, r.c, nil, "X %l", []byte("y"))
	}
	if _, err := r.c.TryProcessOneEvent(); err != nil || r.c.stats.Writes != maxWrites {
		t.Errorf("an event has %d writes at most: %d, %v", maxWrites, r.c.stats.Writes, err)
	}
}
