package conntest_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/reactor"
)

// recorder is a test that may fail.
type recorder struct {
	testing.TB
	failure string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatalf(format string, args ...any) {
	r.failure = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// failureOf plays a script to a client that sends NOOP and returns how the test
// of it fails; "" if it does not.
func failureOf(t *testing.T, script string) string {
	r := &recorder{TB: t}
	return r.run(func() {
		c, s := conntest.New(r, &conn.Dialer{})
		if err := c.Send(nil, nil, "NOOP"); err != nil {
			r.Fatalf("%v", err)
		}
		s.Play(script)
	})
}

// run runs the test f and returns how it fails.
func (r *recorder) run(f func()) string {
	over := make(chan struct{})
	go func() { // a failure ends the goroutine
		defer close(over)
		f()
	}()
	<-over
	return r.failure
}

func TestPlayFails(t *testing.T) {
	for script, want := range map[string]string{
		"C: a1 NOOP\nC-":             "",
		`C> a1 NOOP\r\n`:             "",
		"# a remark\n\n\tC: a1 NOOP": "",
		"C: a1 NOO":                  "the client sends what was expected",
		"C: a1 NOOP\nC: a2 NOOP":     "the client sends what was expected",
		"C-":                         "the client sends nothing",
		"X: a1 NOOP":                 "begins with none of",
		`S> \q`:                      "invalid syntax",
		"T+ 1":                       "missing unit",
		"C: a1 NOOP\nC- a2 NOOP":     "nothing may follow C-",
		"S.garbage":                  "nothing may follow S.",
		"S! now":                     "nothing may follow S!",
		"S/ now":                     "nothing may follow S/",
		"R. now":                     "nothing may follow R.",
		"C. now":                     "nothing may follow C.",
		"TLS now":                    "begins with none of",
	} {
		got := failureOf(t, script)
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("a test fails when the client does not keep to the script\n%s\n got: %q\nwant: %q", script, got, want)
		}
	}
}

func TestEscapes(t *testing.T) {
	var log conntest.Log
	_, s := conntest.New(t, &conn.Dialer{Callbacks: []conn.Callback{{Proc: log.Proc("*")}}})
	s.Play(`
		S> * X "a" \"b\" \x41\\\r\n
		S: * X "a" \"b\"`)
	want := []string{`* X "\"a\" \"b\" A\\"`, `* X "\"a\" \\\"b\\\""`}
	if got := log.Take(); !slices.Equal(got, want) {
		t.Errorf("S> undoes escapes, S: does not\n got: %q\nwant: %q", got, want)
	}
}

func TestJoin(t *testing.T) {
	conntest.EveryCut(t, func(t *testing.T, cut *conntest.Cut) {
		l, err := reactor.New()
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		var log conntest.Log
		c, s := conntest.NewCut(t, &conn.Dialer{OnClose: log.OnClose}, cut)
		s.Join(l)
		if err := c.Send(log.Proc("noop"), nil, "NOOP"); err != nil {
			t.Fatal(err)
		}
		s.Play(`
			C: a1 NOOP
			S: a1 OK
			S!`)
		want := []string{`noop OK ""`, "closed: conn: connection lost: read: connection reset by peer"}
		if got := log.Take(); !slices.Equal(got, want) {
			t.Errorf("a client in a loop plays like any other\n got: %q\nwant: %q", got, want)
		}
	})
}

// SomeCuts leaves places out.
func TestSomeCuts(t *testing.T) {
	runs := 0
	conntest.SomeCuts(t, 3, func(t *testing.T, cut *conntest.Cut) {
		_, s := conntest.NewCut(t, &conn.Dialer{}, cut)
		s.Play(`S: * OK ok`)
		runs++
	})
	if runs != 2+3 {
		t.Errorf("nine bytes are cut at 1, 4 and 7\n got: %d runs", runs)
	}
}

// What EveryCut cuts is every byte of the server's, once each way.
func TestEveryCut(t *testing.T) {
	pieces := map[string]int{}
	conntest.EveryCut(t, func(t *testing.T, cut *conntest.Cut) {
		c, s := conntest.NewCut(t, &conn.Dialer{}, cut)
		s.Play(`
			S: * OK
			S> a`)
		pieces[fmt.Sprint(c.Stats().Reads)]++
	})
	// Seven bytes in two lines: one of the six places to cut is between the lines.
	want := map[string]int{"2": 2, "3": 5, "7": 1}
	if fmt.Sprint(pieces) != fmt.Sprint(want) {
		t.Errorf("the bytes come whole, one by one, and cut in two at each place\n got: %v\nwant: %v", pieces, want)
	}
}
