package reactor

import (
	"testing"
	"time"
)

func TestMillisecondsRoundUp(t *testing.T) {
	for _, c := range []struct {
		d  time.Duration
		ms int
	}{
		{-1, -1}, {0, 0}, {1, 1}, {time.Millisecond, 1}, {time.Millisecond + 1, 2},
		{1<<63 - 1, 1<<31 - 1},
	} {
		if got := milliseconds(c.d); got != c.ms {
			t.Errorf("a wait of %v is one of %d ms; it was %d", c.d, c.ms, got)
		}
	}
}
