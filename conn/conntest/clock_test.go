package conntest_test

import (
	"slices"
	"testing"
	"time"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/reactor"
)

// Time passes for a client, bare or in a loop, when the script says so and not
// otherwise.
func TestTimePasses(t *testing.T) {
	for _, inLoop := range []bool{false, true} {
		conntest.EveryCut(t, func(t *testing.T, cut *conntest.Cut) {
			var log conntest.Log
			c, s := conntest.NewCut(t, &conn.Dialer{OnClose: log.OnClose, Timeouts: conn.Timeouts{Command: time.Nanosecond}}, cut)
			if inLoop {
				l, err := reactor.New()
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				s.Join(l)
			}
			s.Play(`S: * OK`)
			if err := c.Send(log.Proc("noop"), nil, "NOOP"); err != nil {
				t.Fatal(err)
			}
			s.Play(`
				C: a1 NOOP
				T+ 0s`)
			if got := log.Take(); got != nil {
				t.Errorf("the client's time stands still\n got: %q", got)
			}
			s.Play(`T+ 1ns`)
			want := []string{
				`noop EOF "" conn: timed out after 1ns, waiting for: command`,
				"closed: conn: timed out after 1ns, waiting for: command",
			}
			if got := log.Take(); !slices.Equal(got, want) {
				t.Errorf("time passes when the script says so\n got: %q\nwant: %q", got, want)
			}
		})
	}
}

// A test that has a clock of its own moves it for all its clients.
func TestSharedClock(t *testing.T) {
	var clock conntest.Clock
	before := clock.Now()
	d := &conn.Dialer{Now: clock.Now}
	x, xs := conntest.New(t, d)
	y, ys := conntest.New(t, d)
	clock.Advance(30 * time.Second)
	if got := clock.Now().Sub(before); got != 30*time.Second {
		t.Errorf("Advance moves the clock\n got: %v", got)
	}
	if x.Err() != nil || y.Err() != nil {
		t.Error("Advance drives nobody")
	}
	xs.Drive()
	ys.Drive()
	if x.Err() == nil || y.Err() == nil {
		t.Errorf("the clients' greetings are overdue\n got: %v, %v", x.Err(), y.Err())
	}
}

// New writes nothing to a Dialer that the test may use again.
func TestDialerIsCopied(t *testing.T) {
	d := new(conn.Dialer)
	conntest.New(t, d)
	if d.Now != nil || d.TagPrefix != "" {
		t.Errorf("the test's Dialer stays as it was\n got: %+v", d)
	}
}
