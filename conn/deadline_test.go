package conn

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net"
	"testing"
	"time"
)

func TestDeadlines(t *testing.T) {
	idle := &Command{OnContinue: func(*Client, any, *Reply) {}}
	cases := []struct {
		name string
		do   func(t *testing.T, r *rig)
		wait string        // "": none
		left time.Duration // from now
	}{
		{"greeting", func(t *testing.T, r *rig) {}, "greeting", 30 * time.Second},
		{"greeting, and a command that is sent meanwhile", func(t *testing.T, r *rig) {
			r.clock = r.clock.Add(29 * time.Second)
			mustSend(t, r.c, nil, "NOOP")
			r.drive()
		}, "greeting", time.Second},
		{"reply begun, and a command that is sent meanwhile", func(t *testing.T, r *rig) {
			r.say("* OK\r\n")
			r.say("* 1 EXI")
			r.clock = r.clock.Add(59 * time.Second)
			mustSend(t, r.c, nil, "NOOP")
			r.drive()
		}, "reply", time.Second},
		{"reply begun, and a dialogue that is answered meanwhile", func(t *testing.T, r *rig) {
			r.say("* OK\r\n")
			if err := r.c.SendCommand(idle, "IDLE"); err != nil {
				t.Fatal(err)
			}
			r.drive()
			r.say("+ idling\r\n* 1 EXI")
			r.clock = r.clock.Add(59 * time.Second)
			if err := r.c.Continue("DONE"); err != nil {
				t.Fatal(err)
			}
			r.drive()
		}, "reply", time.Second},
		{"nothing to wait for", func(t *testing.T, r *rig) { r.say("* OK\r\n") }, "", 0},
		{"command", func(t *testing.T, r *rig) {
			r.say("* OK\r\n")
			r.clock = r.clock.Add(time.Hour)
			mustSend(t, r.c, nil, "NOOP")
		}, "command", 5 * time.Minute},
		{"command, the server keeps talking", func(t *testing.T, r *rig) {
			r.say("* OK\r\n")
			mustSend(t, r.c, nil, "NOOP")
			r.clock = r.clock.Add(4 * time.Minute)
			r.say("* 1 EXISTS\r\n")
			r.clock = r.clock.Add(time.Minute)
		}, "command", 4 * time.Minute},
		{"reply begun", func(t *testing.T, r *rig) {
			r.say("* OK\r\n")
			r.say("* 1 FETCH (BODY[] {5}\r\nhe")
		}, "reply", time.Minute},
		{"reply begun in a dialogue", func(t *testing.T, r *rig) {
			r.say("* OK\r\n")
			if err := r.c.SendCommand(idle, "IDLE"); err != nil {
				t.Fatal(err)
			}
			r.drive()
			r.say("+ idling\r\n* 1 EXI")
		}, "reply", time.Minute},
		{"logout", func(t *testing.T, r *rig) {
			r.say("* OK\r\n")
			mustSend(t, r.c, nil, "LOGOUT")
			r.drive()
		}, "logout", 10 * time.Second},
		{"a command's own timeout", func(t *testing.T, r *rig) {
			r.say("* OK\r\n")
			mustSend(t, r.c, nil, "NOOP")
			for _, d := range []time.Duration{3, 2, 4} {
				if err := r.c.SendCommand(&Command{Timeout: d * time.Minute}, "NOOP"); err != nil {
					t.Fatal(err)
				}
			}
			r.drive()
			r.clock = r.clock.Add(time.Minute)
			r.say("* 1 EXISTS\r\n")
		}, "command", time.Minute},
		{"a command's own timeout, done", func(t *testing.T, r *rig) {
			r.say("* OK\r\n")
			if err := r.c.SendCommand(&Command{Timeout: time.Minute}, "NOOP"); err != nil {
				t.Fatal(err)
			}
			r.drive()
			r.say("a1 OK\r\n")
			mustSend(t, r.c, nil, "NOOP")
		}, "command", 5 * time.Minute},
		{"command done", func(t *testing.T, r *rig) {
			r.say("* OK\r\n")
			mustSend(t, r.c, nil, "NOOP")
			r.drive()
			r.say("a1 OK\r\n")
		}, "", 0},
		{"dialogue before its +", func(t *testing.T, r *rig) {
			r.say("* OK\r\n")
			if err := r.c.SendCommand(idle, "IDLE"); err != nil {
				t.Fatal(err)
			}
			r.drive()
		}, "command", 5 * time.Minute},
		{"dialogue", func(t *testing.T, r *rig) {
			r.say("* OK\r\n")
			if err := r.c.SendCommand(idle, "IDLE"); err != nil {
				t.Fatal(err)
			}
			r.drive()
			r.say("+ idling\r\n")
		}, "", 0},
		{"dialogue answered", func(t *testing.T, r *rig) {
			r.say("* OK\r\n")
			if err := r.c.SendCommand(idle, "IDLE"); err != nil {
				t.Fatal(err)
			}
			r.drive()
			r.say("+ idling\r\n")
			r.clock = r.clock.Add(time.Hour)
			if err := r.c.Continue("DONE"); err != nil {
				t.Fatal(err)
			}
			r.drive()
		}, "command", 5 * time.Minute},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, &Dialer{}, nil)
			tc.do(t, r)
			at, ok := r.c.NextDeadline()
			if !ok {
				if tc.wait != "" {
					t.Fatalf("there is a deadline for: %s", tc.wait)
				}
				r.clock = r.clock.Add(24 * time.Hour)
				if err := r.drive(); err != nil {
					t.Fatalf("without a deadline nothing expires: %v", err)
				}
				return
			}
			if tc.wait == "" || at.Sub(r.clock) != tc.left {
				t.Fatalf("the deadline is in %v: %v", tc.left, at.Sub(r.clock))
			}
			r.clock = at.Add(-1)
			if err := r.drive(); err != nil {
				t.Fatalf("nothing expires a nanosecond early: %v", err)
			}
			r.clock = at
			err := r.drive()
			var timeout *TimeoutError
			var netErr net.Error
			if !errors.As(err, &timeout) || timeout.Wait != tc.wait || !errors.As(err, &netErr) || !netErr.Timeout() {
				t.Fatalf("the wait %q ends in time: %v", tc.wait, err)
			}
		})
	}
}

// A greeting must come whole in its time, drop by drop too.
func TestGreetingDrips(t *testing.T) {
	r := newRig(t, &Dialer{}, nil)
	for _, b := range "* OK h" {
		r.clock = r.clock.Add(5 * time.Second)
		r.say(string(b))
	}
	r.clock = r.clock.Add(5 * time.Second)
	var timeout *TimeoutError
	if r.drive(); !errors.As(r.c.Err(), &timeout) || timeout.Wait != "greeting" {
		t.Errorf("a greeting is due 30 s after connecting: %v", r.c.Err())
	}
}

// A Command may be used again once it has completed.
func TestCommandAgain(t *testing.T) {
	r := newRig(t, &Dialer{}, nil)
	r.say("* OK\r\n")
	calls := 0
	cmd := &Command{Timeout: time.Second, Finish: func(*Client, any, *Reply) { calls++ }}
	for i, d := range []time.Duration{time.Second, 0, time.Minute, time.Second} {
		cmd.Timeout = d
		if err := r.c.SendCommand(cmd, "NOOP"); err != nil {
			t.Fatal(err)
		}
		r.drive()
		at, _ := r.c.NextDeadline()
		if left, want := at.Sub(r.clock), cmp.Or(d, 5*time.Minute); left != want {
			t.Errorf("use %d has its own timeout: %v, not %v", i+1, left, want)
		}
		r.say(fmt.Sprintf("a%d OK\r\n", i+1))
		if r.c.timed != 0 || calls != i+1 {
			t.Errorf("use %d is over: %d timed, %d calls", i+1, r.c.timed, calls)
		}
		r.clock = r.clock.Add(time.Hour)
	}
}

// A command's own timeout comes whatever else the server has to say.
func TestCommandTimeoutInFlood(t *testing.T) {
	r := newRig(t, &Dialer{}, nil)
	r.say("* OK\r\n")
	if err := r.c.SendCommand(&Command{Timeout: time.Second}, "NOOP"); err != nil {
		t.Fatal(err)
	}
	r.clock = r.clock.Add(time.Second)
	r.put("* 1 EXISTS\r\n")
	var timeout *TimeoutError
	if _, err := r.c.TryProcessOneEvent(); !errors.As(err, &timeout) {
		t.Errorf("the command is late, in the very event in which something came: %v", err)
	}
}

// A limit that reaches past the end of time is none.
func TestEndlessTimeouts(t *testing.T) {
	const endless = time.Duration(math.MaxInt64)
	r := newRig(t, &Dialer{Timeouts: Timeouts{Greeting: endless, Command: endless, Reply: endless, Logout: endless}},
		func(r *rig) { r.clock = epoch.Add(time.Hour) })
	check := func(wait string) {
		t.Helper()
		if at, ok := r.c.NextDeadline(); ok || r.c.expired() {
			t.Errorf("%s never ends: %v, %v", wait, at, r.c.Err())
		}
	}
	check("greeting")
	r.say("* OK\r\n")
	if err := r.c.SendCommand(&Command{Timeout: endless}, "NOOP"); err != nil {
		t.Fatal(err)
	}
	check("command")
	r.drive()
	r.say("a1 OK\r\n* LI")
	check("reply")
	r.say("ST\r\n")
	mustSend(t, r.c, nil, "LOGOUT")
	check("logout")
}

// A "+" too many must not make the wait for a dialogue's end one for nothing.
func TestDialogueAnsweredOnce(t *testing.T) {
	r := newRig(t, &Dialer{}, nil)
	r.say("* OK\r\n")
	if err := r.c.SendCommand(&Command{OnContinue: func(*Client, any, *Reply) {}}, "IDLE"); err != nil {
		t.Fatal(err)
	}
	r.drive()
	r.say("+\r\n+\r\n")
	if at, ok := r.c.NextDeadline(); ok {
		t.Errorf("in IDLE silence is what one waits for: %v", at)
	}
	if err := r.c.Continue("DONE"); err != nil {
		t.Fatal(err)
	}
	r.drive()
	if at, ok := r.c.NextDeadline(); !ok || at.Sub(r.clock) != defaultCommand {
		t.Errorf("DONE wants an answer in time: %v %v", at, ok)
	}
	r.say("+\r\n")
	if at, ok := r.c.NextDeadline(); ok {
		t.Errorf("the server asks again: %v", at)
	}
}

func TestDeadlineOptions(t *testing.T) {
	r := newRig(t, &Dialer{Timeouts: Timeouts{Greeting: time.Second, Command: -1}}, nil)
	if at, ok := r.c.NextDeadline(); !ok || at.Sub(r.clock) != time.Second {
		t.Errorf("Timeouts.Greeting holds: %v %v", at, ok)
	}
	r.say("* OK\r\n")
	mustSend(t, r.c, nil, "NOOP")
	if at, ok := r.c.NextDeadline(); ok {
		t.Errorf("a negative timeout is none: %v", at)
	}
}

// Data that came in time counts though the call comes late: a suspended
// machine must not find all its connections dead.
func TestDeadlineAfterData(t *testing.T) {
	r := newRig(t, &Dialer{}, nil)
	r.clock = r.clock.Add(time.Hour)
	if r.say("* OK\r\n"); r.c.Err() != nil {
		t.Errorf("what arrived is processed before the deadline is looked at: %v", r.c.Err())
	}
}
