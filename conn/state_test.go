package conn

import (
	"fmt"
	"testing"
)

// The table is the only truth about transitions: each pair is tried.
func TestStateMoves(t *testing.T) {
	legal := map[string]bool{
		"0-1": true, // greeting, ready
		"0-2": true, // greeting, closing
		"1-2": true, // ready, closing
		"2-3": true, // closing, closed
	}
	for from := greeting; from <= closed; from++ {
		for to := greeting; to <= closed; to++ {
			c := &Client{state: from}
			panicked := func() (p bool) {
				defer func() { p = recover() != nil }()
				c.setState(to)
				return
			}()
			if want := legal[fmt.Sprintf("%d-%d", from, to)]; panicked == want {
				t.Errorf("from %d to %d is legal: %v", from, to, want)
			}
		}
	}
}
