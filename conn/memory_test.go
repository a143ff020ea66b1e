package conn

import (
	"strconv"
	"strings"
	"testing"
)

// An idle connection holds no buffer, in no direction, whatever it did before.
func TestIdleHoldsNoBuffer(t *testing.T) {
	nothing := func(*Client, any, *Reply) {}
	idle := func(r *rig) {
		if err := r.c.SendCommand(&Command{Finish: nothing, OnContinue: nothing}, "IDLE"); err != nil {
			t.Fatal(err)
		}
		r.drive()
	}
	for _, tc := range []struct {
		name string
		do   func(r *rig)
	}{
		{"greeting", func(r *rig) {}},
		{"a command", func(r *rig) {
			mustSend(t, r.c, nothing, "NOOP")
			r.drive()
			r.say("a1 OK\r\n")
		}},
		{"a long reply in pieces", func(r *rig) {
			r.say("* 1 FETCH (BODY[] {65536}\r\n")
			for range 16 {
				r.say(strings.Repeat("x", 4096))
			}
			r.say(")\r\n")
		}},
		{"many commands at once", func(r *rig) {
			for range 100 {
				mustSend(t, r.c, nothing, "NOOP")
			}
			r.drive()
			r.say("a100 OK\r\n")
			for i := range 99 {
				r.say("a" + strconv.Itoa(99-i) + " OK\r\n")
			}
		}},
		{"a literal", func(r *rig) {
			mustSend(t, r.c, nothing, "APPEND x %l", make([]byte, 1000))
			r.drive()
			r.say("+\r\n")
			r.say("a1 OK\r\n")
		}},
		{"a refused literal", func(r *rig) {
			mustSend(t, r.c, nothing, "APPEND x %l", make([]byte, 1000))
			r.drive()
			r.say("a1 NO\r\n")
		}},
		{"a refused command", func(r *rig) {
			if err := r.c.Send(nothing, nil, "%z"); err == nil {
				t.Fatal("%z is no verb")
			}
		}},
		{"IDLE", func(r *rig) {
			idle(r)
			r.say("+ idling\r\n* 1 EXISTS\r\n")
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, &Dialer{}, nil)
			r.say("* OK\r\n")
			tc.do(r)
			if err := r.c.Err(); err != nil {
				t.Fatal(err)
			}
			if c := r.c; c.in != nil || c.out.buf != nil || c.pending.ring != nil || cap(c.out.marks) > keptMarks {
				t.Errorf("nothing is held: in %v, out %v, ring %v, %d marks", c.in, c.out.buf, c.pending.ring, cap(c.out.marks))
			}
		})
	}
}
