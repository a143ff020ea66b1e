//go:build race

package conn

import (
	"bytes"
	"strings"
	"testing"
)

// In race builds whoever keeps a reply too long reads rubbish, wherever its bytes
// were: in the read's own memory, in a kept buffer, behind a layer.
func TestLifetimeEnds(t *testing.T) {
	long := strings.Repeat("x", 3*readSize)
	for _, tc := range []struct {
		name, text string
		layers     int
		piece      int
	}{
		{"one read", "* LIST (a b) {5}\r\nhello\r\n", 0, 1 << 20},
		{"kept buffer", "* LIST (a b) {5}\r\nhello\r\n", 0, 7},
		{"many reads", "* LIST " + long + "\r\n", 0, 1 << 20},
		{"layers", "* LIST (a b) {5}\r\nhello\r\n", 2, 1 << 20},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var kept *Reply
			var text, clone []byte
			d := &Dialer{Callbacks: []Callback{{Keyword: "LIST", Proc: func(_ *Client, _ any, r *Reply) {
				kept, text, clone = r, r.Text, r.Clone().Text
			}}}}
			r := newRig(t, d, nil)
			client, server := stacks(tc.layers)
			layered(r, client)
			for rest := encode(t, server, tc.text); len(rest) > 0; {
				n := min(tc.piece, len(rest), readSize)
				r.say(rest[:n])
				rest = rest[n:]
			}
			want := strings.TrimSuffix(strings.TrimPrefix(tc.text, "* LIST "), "\r\n")
			if string(clone) != want {
				t.Fatalf("a clone keeps its bytes: %d of %d", len(clone), len(want))
			}
			if len(text) == 0 || bytes.Count(text, text[:1]) != len(text) || text[0] < 0x80 {
				t.Errorf("a reply's bytes end with its callback: %.40q", text)
			}
			if kept.Keyword != "" || kept.Text != nil {
				t.Errorf("a reply ends with its callback: %+v", kept)
			}
		})
	}
}
