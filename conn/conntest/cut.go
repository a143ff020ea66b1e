package conntest

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// Cut says where the bytes of a Server are cut: each piece is processed by the
// client before the next is sent. nil cuts nowhere.
type Cut struct {
	everywhere bool
	at         int // > 0: in two, at this place
	total      int // bytes that were sent
}

// next returns the length of the next piece, of n bytes at the place sent.
func (c *Cut) next(sent, n int) int {
	switch {
	case c == nil:
		return n
	case c.everywhere:
		return 1
	case sent < c.at && c.at < sent+n:
		return c.at - sent
	}
	return n
}

func (c *Cut) reached(sent int) {
	if c != nil {
		c.total = max(c.total, sent)
	}
}

// everyNth of the places is cut at: inside TLS each costs a handshake.
var everyNth = [...]int{outside: 1, CutText: 7, CutRecords: 29}

// EveryCut runs f with the server's bytes whole, one by one, and cut in two at
// each place. f hands its Cut to [NewCut], once.
func EveryCut(t *testing.T, f func(t *testing.T, cut *Cut)) {
	t.Helper()
	SomeCuts(t, everyNth[inside], f)
}

// SomeCuts is [EveryCut] with every n-th place. A TLS handshake has a thousand of
// them.
func SomeCuts(t *testing.T, n int, f func(t *testing.T, cut *Cut)) {
	t.Helper()
	whole := new(Cut)
	t.Run("whole", func(t *testing.T) { f(t, whole) })
	if t.Failed() {
		return // the rest would only say it again
	}
	t.Run("bytes", func(t *testing.T) { f(t, &Cut{everywhere: true}) })
	for at := 1; at < whole.total && !t.Failed(); at += n {
		t.Run(fmt.Sprintf("at=%d", at), func(t *testing.T) { f(t, &Cut{at: at}) })
	}
}

// unquote undoes Go escapes in text that stands without quotes around it.
func unquote(text string) (string, error) {
	return strconv.Unquote(`"` + strings.ReplaceAll(strings.ReplaceAll(text, `\"`, `"`), `"`, `\"`) + `"`)
}
