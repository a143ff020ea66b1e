package conntest_test

import (
	"slices"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
)

// The test of a program that counts new mail, say, looks like this one.
func TestScript(t *testing.T) {
	conntest.EveryCut(t, func(t *testing.T, cut *conntest.Cut) {
		var log conntest.Log
		c, s := conntest.NewCut(t, &conn.Dialer{
			Callbacks: []conn.Callback{{Keyword: "EXISTS", Flags: conn.CallbackNumbered, Proc: log.Proc("exists")}},
		}, cut)
		if err := c.Send(log.Proc("noop"), nil, "NOOP"); err != nil {
			t.Fatal(err)
		}
		s.Play(`
			S: * OK ready
			C: a1 NOOP
			S: * 3 EXISTS
			S: a1 OK done
			C-
			S.
		`)
		want := []string{`exists 3 EXISTS ""`, `noop OK "done"`}
		if got := log.Take(); !slices.Equal(got, want) {
			t.Errorf("callbacks get the replies in order\n got: %q\nwant: %q", got, want)
		}
	})
}
