package conn

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// check holds a client that has nothing to do against what its host relies on.
func (l *life) check() {
	c, t := l.c, l.t
	if l.closed > 0 {
		return
	}
	if len(l.k.in) > 0 || l.k.ended {
		t.Errorf("nothing lies unread, the end neither: %q", l.k.in)
	}
	if _, write := c.GetSelectInfo(); write && l.k.window > 0 {
		t.Error("what could be written has been")
	}
	if at, ok := c.NextDeadline(); ok && !at.After(l.k.clock) {
		t.Errorf("no deadline has passed: %v", at.Sub(l.k.clock))
	}
	if c.stats.BytesIn != uint64(l.fed) || c.stats.BytesOut != uint64(len(l.k.out)) {
		t.Errorf("all bytes are counted: %+v, %d in, %d out", c.stats, l.fed, len(l.k.out))
	}
	if c.in != nil && (len(c.in.b)-c.in.start > l.fed || cap(c.in.b) > 8*max(l.fed, 1<<minBufferBits)) {
		t.Errorf("what is kept came from the server: %d bytes in %d, of %d", len(c.in.b)-c.in.start, cap(c.in.b), l.fed)
	}
	queued := c.out.end() - c.out.position()
	if queued > int64(len(l.text)) || len(c.out.marks) > l.marks || c.out.buf != nil && (queued == 0 || cap(c.out.buf.b) > 8*max(len(l.text), 1<<minBufferBits)) {
		t.Errorf("what is queued was sent: %d bytes, %d marks, of %d and %d", queued, len(c.out.marks), len(l.text), l.marks)
	}
	l.checkPending()
	l.checkJunk()
}

func (l *life) checkPending() {
	c := l.c
	found, timed := 0, 0
	for n := c.pending.first; n != c.pending.next; n++ {
		if cmd := c.pending.find(n); cmd != nil {
			found++
			if extra := cmd.extra(); extra != nil && extra.due != 0 {
				timed++
			}
		}
	}
	undone := 0
	for _, cmd := range l.sent {
		if !cmd.done && !cmd.detached {
			undone++
		}
	}
	if found != len(l.sent)-int(c.stats.Commands) || found < undone || timed != int(c.timed) {
		l.t.Errorf("every command is pending or complete: %d of %d pending, %d complete, %d of %d timed",
			found, len(l.sent), c.stats.Commands, timed, c.timed)
	}
}

func (l *life) checkJunk() {
	stats, allowed := l.c.stats, uint64(l.c.d.junkAllowance())
	junk := uint64(stats.Junk.UnknownTag) + uint64(stats.Junk.Malformed) + uint64(stats.Junk.Continuation)
	if junk > stats.Replies-stats.Commands || junk > (allowed+1)*(stats.Commands+1) {
		l.t.Errorf("junk is what is skipped of the replies, within the allowance: %+v", stats)
	}
	if l.c.trace != nil && junk != uint64(l.skipped) {
		l.t.Errorf("each line that is skipped is counted: %+v, %d traced", stats.Junk, l.skipped)
	}
}

// epilogue holds a client that has ended against what its owner relies on.
func (l *life) epilogue() {
	c, t := l.c, l.t
	l.checkJunk()
	if l.closed != 1 || l.k.closes != 1 {
		t.Errorf("the end comes once: OnClose %d times, close(2) %d times", l.closed, l.k.closes)
	}
	for _, cmd := range l.sent {
		if !cmd.done && !cmd.detached {
			t.Errorf("each command completes: %d has not", cmd.number)
		}
	}
	if l.plain && !bytes.HasPrefix(l.text, l.k.out) {
		t.Errorf("what was written is the commands, in order\n got: %q\nwant: %q", l.k.out, l.text)
	}
	events := len(l.log)
	_, tryErr := c.TryProcessOneEvent()
	for call, err := range map[string]error{
		"Send":               c.Send(nil, nil, "NOOP"),
		"SendCommand":        c.SendCommand(&Command{Timeout: time.Second}, "NOOP"),
		"Continue":           c.Continue("DONE"),
		"ProcessOneEvent":    c.ProcessOneEvent(),
		"TryProcessOneEvent": tryErr,
	} {
		if err == nil || err != c.Err() {
			t.Errorf("after the end every call says why: %s %v, want %v", call, err, c.Err())
		}
	}
	c.AddCallback(Callback{Keyword: "X", Proc: l.untagged})
	_ = c.Close()
	fd, write := c.GetSelectInfo()
	_, due := c.NextDeadline()
	if fd != -1 || write || due || len(l.log) != events {
		t.Errorf("after the end nothing is wanted, and nobody called: %d %t %t", fd, write, due)
	}
	if c.in != nil || c.out.buf != nil || c.out.marks != nil || c.pending.ring != nil {
		t.Error("after the end nothing is kept")
	}
	if l.secrets && strings.Contains(fmt.Sprint(c.Err()), fuzzSecret) {
		t.Errorf("no error holds a secret: %v", c.Err())
	}
}
