//go:build !race

package conn

import (
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// A command and its reply allocate nothing in the steady state.
func TestNoAllocations(t *testing.T) {
	finish := func(*Client, any, *Reply) {}
	callback := func(*Client, any, *Reply) {}
	d := &Dialer{Callbacks: []Callback{
		{Keyword: "EXISTS", Flags: CallbackNumbered, Proc: callback},
		{Keyword: "FETCH", Flags: CallbackNumbered, Proc: callback},
		{Keyword: "", Proc: callback},
	}}
	var in [1 << 16]byte
	hear := func(r *rig) {
		if n, _ := r.system.read(r.server, in[:]); n <= 0 {
			t.Fatal("nothing was sent")
		}
	}
	uid := 1_000_000
	big := string(make([]byte, 100_000))
	cases := []struct {
		name string
		send func(r *rig)
		n    int
		text string
	}{
		{"NOOP", func(r *rig) { mustSend(t, r.c, finish, "NOOP") }, 1, "* 3 EXISTS\r\n"},
		{"FETCH", func(r *rig) { mustSend(t, r.c, finish, "UID FETCH %d (FLAGS BODY[])", uid) }, 1,
			"* 3 FETCH (UID 1000000 BODY[] {5}\r\nhello)\r\n"},
		{"long FETCH", func(r *rig) { mustSend(t, r.c, finish, "UID FETCH %d (FLAGS BODY[])", uid) }, 1,
			"* 3 FETCH (UID 1000000 BODY[] {100000}\r\n" + big + ")\r\n"},
		{"depth 16", func(r *rig) {
			for range 16 {
				mustSend(t, r.c, finish, "STORE %d %s", uid, "INBOX")
			}
		}, 16, ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, d, nil)
			r.say("* OK\r\n")
			tag := uint64(1)
			var reply []byte
			step := func() {
				tc.send(r)
				r.drive()
				hear(r)
				reply = append(reply[:0], tc.text...)
				for range tc.n {
					reply = append(reply, 'a')
					reply = strconv.AppendUint(reply, tag, 10)
					reply = append(reply, " OK done\r\n"...)
					tag++
				}
				if n, err := unix.Write(r.server, reply); n != len(reply) {
					t.Fatal(n, err)
				}
				r.drive()
			}
			step()
			if n := testing.AllocsPerRun(1000, step); n != 0 {
				t.Errorf("a command and its reply allocate nothing: %v allocations", n)
			}
			if r.c.pending.len() != 0 {
				t.Errorf("all commands are complete: %d pending", r.c.pending.len())
			}
		})
	}
}
