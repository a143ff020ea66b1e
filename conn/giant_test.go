package conn

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
	"weak"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/wire"
)

// giant is a client that is told one long reply.
type giant struct {
	t     *testing.T
	k     *mute
	c     *Client
	reply string
	texts []string // what callbacks got of it
}

func newGiant(t *testing.T, reply string, maxRead int) *giant {
	t.Helper()
	g := &giant{t: t, reply: reply}
	g.k = &mute{clock: time.Unix(1e9, 0), from: &unix.SockaddrUnix{}, maxRead: maxRead, window: 1 << 20}
	g.k.in = []byte(reply + "\r\n")
	d := &Dialer{kernel: g.k, Callbacks: []Callback{{Proc: func(_ *Client, _ any, r *Reply) {
		g.texts = append(g.texts, string(r.Text))
	}}}}
	var err error
	if g.c, err = d.Attach(7, "server.test"); err != nil {
		t.Fatal(err)
	}
	return g
}

// A SEARCH in a mailbox of a million messages is one line, as long as lines may be. Its
// memory is given back, and that of a line which is too long, too.
func TestGiantLine(t *testing.T) {
	const limit = 8 << 20
	longest := "* SEARCH" + strings.Repeat(" 1234567", limit/8-1)
	for _, more := range []string{"", "8"} {
		g := newGiant(t, longest+more, readSize)
		c := g.c
		var held weak.Pointer[byte]
		for did := true; did; {
			did, _ = c.TryProcessOneEvent()
			if c.in != nil && cap(c.in.b) > limit/2 {
				held = weak.Make(&c.in.b[0])
			}
		}
		var exceeded *wire.LimitError
		switch {
		case more == "" && (c.Err() != nil || len(g.texts) != 1 || g.texts[0] != longest[len("* SEARCH "):]):
			t.Errorf("a line of 8 MiB comes whole: %d replies, %v", len(g.texts), c.Err())
		case more != "" && (!errors.As(c.Err(), &exceeded) || exceeded.What != "line" || exceeded.Limit != limit || len(g.texts) != 0):
			t.Errorf("a byte more is over the limit, and no reply: %d replies, %v", len(g.texts), c.Err())
		}
		if held == (weak.Pointer[byte]{}) || c.in != nil {
			t.Errorf("a long line is kept while it comes, and not after: %v", c.in)
		}
		runtime.GC() // pools keep what is free
		runtime.GC() // until the second collection
		if runtime.GC(); held.Value() != nil {
			t.Error("the memory of a long line is given back")
		}
		runtime.KeepAlive(c)
	}
}

// A reply that comes in a million pieces costs work in proportion to its length: every
// byte is copied less than twice, however often the buffer grows, and searched once.
// The latter is proved by overwriting what lies behind with line ends, which are found
// if anybody looks again.
func TestMillionPieces(t *testing.T) {
	const (
		size    = 1 << 20
		head    = 16 // bytes that are parsed at the end
		pending = 16 // that may be a literal's header
	)
	for says, reply := range map[string]string{
		"a line":        "* SEARCH        " + strings.Repeat(" 1", size/2),
		"a literal":     fmt.Sprintf("* 1 FETCH (BODY {%d}\r\n", size) + strings.Repeat("x", size) + ")",
		"many literals": "* 1 FETCH (X    " + strings.Repeat("{1}\r\nx ", size/7) + ")",
	} {
		t.Run(says, func(t *testing.T) {
			g := newGiant(t, reply, 1)
			// The scratch of all the events is one: pools lose some where races are sought.
			s, copied := new(scratch), 0
			var last *byte
			for g.c.input(s) {
				if g.c.in == nil {
					continue
				}
				kept := g.c.in.b
				if &kept[0] != last {
					copied += len(kept)
					last = &kept[0]
				}
				if copied > 2*len(reply) {
					t.Fatalf("the work is linear: %d bytes were copied for %d", copied, len(kept))
				}
				if i := len(kept) - pending; i > head {
					kept[i-1] = '\n'
				}
			}
			stats := g.c.Stats()
			if stats.Replies != 1 || len(g.texts) != 1 || g.c.in != nil {
				t.Errorf("the reply is one, and no byte of it is searched again: %d replies, %v", stats.Replies, g.c.Err())
			}
			if stats.Reads != uint64(len(reply)+2) {
				t.Errorf("each byte came by itself: %d reads for %d", stats.Reads, len(reply))
			}
		})
	}
}
