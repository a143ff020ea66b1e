package wire

import (
	"bytes"
	"testing"
)

// TestPoison: in race builds lent bytes are overwritten, in others they are not
// touched. raceBuild is set by the one test file of race builds.
func TestPoison(t *testing.T) {
	b := []byte("* 3 EXISTS")
	Poison(b[2:3])
	Poison(nil)
	want := []byte("* 3 EXISTS")
	if raceBuild {
		want[2] = 0xdb
	}
	if !bytes.Equal(b, want) {
		t.Errorf("Poison overwrites what it is given in race builds only (%v): got %q", raceBuild, b)
	}
}
