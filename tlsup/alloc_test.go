//go:build !race

package tlsup

import (
	"testing"
	"time"
)

func TestForIsCheap(t *testing.T) {
	root := newRoot(t, "Root")
	p := trusting(root)
	f := newFolder(t)
	f.write("ca/a", certPEM(root.cert.Raw))
	p.Files.CAPath = f.join("ca")
	p.Unverified = true // warns
	now := clock()
	p.Config.Time = func() time.Time { // goes on, if not to where a directory is looked at again
		now = now.Add(time.Microsecond)
		return now
	}
	configFor(t, p, mail)
	if n := testing.AllocsPerRun(100, func() { configFor(t, p, mail) }); n != 0 {
		t.Errorf("For allocates nothing when nothing changed\n got: %v", n)
	}
}
