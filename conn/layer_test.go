package conn

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

// packets is a layer like a SASL security layer: packets of a length and that
// many bytes, each masked. The two sides of a test are the same code.
type packets struct {
	mask     byte
	max      int    // bytes of a packet's contents
	raw      []byte // fed, not whole yet
	plain    []byte // decoded, not read
	out      []byte
	received int // packets
	err      error
}

var errPacket = errors.New("packet over the limit")

func (l *packets) Feed(p []byte) {
	l.raw = append(l.raw, p...)
	for len(l.raw) >= 2 {
		n := int(binary.BigEndian.Uint16(l.raw))
		if n > l.max {
			l.err = errPacket
			return
		}
		if len(l.raw) < 2+n {
			break
		}
		for _, b := range l.raw[2 : 2+n] {
			l.plain = append(l.plain, b^l.mask)
		}
		l.raw = l.raw[2+n:]
		l.received++
	}
}

func (l *packets) Read(p []byte) (int, error) {
	n := copy(p, l.plain)
	l.plain = l.plain[n:]
	if n == 0 {
		return 0, l.err
	}
	return n, nil
}

func (l *packets) Keep() {} // Feed has copied

func (l *packets) Write(p []byte) error {
	for len(p) > 0 {
		n := min(len(p), l.max)
		l.out = binary.BigEndian.AppendUint16(l.out, uint16(n))
		for _, b := range p[:n] {
			l.out = append(l.out, b^l.mask)
		}
		p = p[n:]
	}
	return nil
}

func (l *packets) Pending() []byte { return l.out }
func (l *packets) Sent(n int)      { l.out = l.out[n:] }

// encode sends text through the server's stack, lowest layer first.
func encode(t *testing.T, stack []*packets, text string) string {
	t.Helper()
	b := []byte(text)
	for i := len(stack) - 1; i >= 0; i-- {
		if err := stack[i].Write(b); err != nil {
			t.Fatal(err)
		}
		b = stack[i].out
		stack[i].out = nil
	}
	return string(b)
}

func decode(t *testing.T, stack []*packets, text string) string {
	t.Helper()
	b := []byte(text)
	for _, l := range stack {
		l.Feed(b)
		b, l.plain = l.plain, nil
	}
	return string(b)
}

// stacks returns the same layers twice, for the two sides.
func stacks(depth int) (client, server []*packets) {
	for i := range depth {
		max := 7 + 6*i
		client = append(client, &packets{mask: byte(3 + i), max: max})
		server = append(server, &packets{mask: byte(3 + i), max: max})
	}
	return client, server
}

func layered(r *rig, stack []*packets) {
	for _, l := range stack {
		r.c.transport.push(l)
	}
}

func TestLayers(t *testing.T) {
	for depth := 1; depth <= 3; depth++ {
		for _, chunk := range []int{1, 2, 3, 1 << 16} {
			var got []string
			note := func(_ *Client, _ any, r *Reply) { got = append(got, r.Keyword+" "+string(r.Text)) }
			r := newRig(t, &Dialer{Callbacks: []Callback{{Proc: note}}}, nil)
			client, server := stacks(depth)
			layered(r, client)
			mustSend(t, r.c, note, "FETCH %d BODY[]", 1)
			mustSend(t, r.c, note, "APPEND x %l", []byte("literal"))
			if r.drive(); r.c.Err() != nil {
				t.Fatal(r.c.Err())
			}
			if got := decode(t, server, r.heard()); got != "a1 FETCH 1 BODY[]\r\na2 APPEND x {7}\r\n" {
				t.Fatalf("layers carry what is sent, to the literal that waits\n got: %q", got)
			}
			wire := encode(t, server, "* OK hello\r\n* 1 FETCH (BODY[] {12}\r\n"+"a2 NO\r\n+ x\r\n"+")\r\na1 OK done\r\n+ go\r\n")
			for len(wire) > 0 {
				n := min(chunk, len(wire))
				r.say(wire[:n])
				wire = wire[n:]
			}
			want := []string{"OK hello", "FETCH (BODY[] {12}\r\na2 NO\r\n+ x\r\n)", "OK done"}
			if strings.Join(got, "|") != strings.Join(want, "|") {
				t.Fatalf("%d layers in pieces of %d deliver each reply once\n got: %q\nwant: %q", depth, chunk, got, want)
			}
			if got := decode(t, server, r.heard()); got != "literal\r\n" {
				t.Fatalf("the literal goes after its +\n got: %q", got)
			}
		}
	}
}

// When the caller sleeps, nothing may lie hidden in a layer: one read brings
// many replies, and all are dispatched before the call returns.
func TestLayerHidesNothing(t *testing.T) {
	n := 0
	r := newRig(t, &Dialer{Callbacks: []Callback{{Proc: func(*Client, any, *Reply) { n++ }}}}, nil)
	client, server := stacks(2)
	layered(r, client)
	text := strings.Repeat("* 1 EXISTS\r\n", 1000)
	wire := encode(t, server, text)
	if _, err := r.system.write(r.server, []byte(wire)); err != nil {
		t.Fatal(err)
	}
	if did, err := r.c.TryProcessOneEvent(); !did || err != nil {
		t.Fatal(did, err)
	}
	if n != 1000 || r.reads != 1 {
		t.Errorf("one read's replies are all dispatched: %d replies, %d reads", n, r.reads)
	}
}

// In a loop the budget may leave some, and then the deadline is now.
func TestBudgetInLoop(t *testing.T) {
	for depth := range 2 {
		n := 0
		r := newRig(t, &Dialer{Callbacks: []Callback{{Proc: func(*Client, any, *Reply) { n++ }}}}, nil)
		client, server := stacks(depth)
		layered(r, client)
		r.c.SetNotify(func() {})
		text := encode(t, server, strings.Repeat("* 1 EXISTS\r\n", 1000))
		if _, err := r.system.write(r.server, []byte(text)); err != nil {
			t.Fatal(err)
		}
		turns := 0
		for n < 1000 {
			before := n
			if did, err := r.c.TryProcessOneEvent(); !did || err != nil {
				t.Fatal(did, err)
			}
			turns++
			if n-before > replyBudget {
				t.Fatalf("a turn dispatches at most %d replies: %d", replyBudget, n-before)
			}
			at, ok := r.c.NextDeadline()
			if now := ok && !at.After(r.clock); now != (n < 1000) {
				t.Fatalf("the deadline is now while replies are left: %d dispatched, %v %v", n, at, ok)
			}
		}
		if turns != 4 || r.reads != 1 {
			t.Errorf("1000 replies of one read take 4 turns: %d turns, %d reads", turns, r.reads)
		}
		r.c.SetNotify(nil)
	}
}

func TestLayerError(t *testing.T) {
	var closed error
	r := newRig(t, &Dialer{OnClose: func(_ *Client, err error) { closed = err }}, nil)
	layered(r, []*packets{{max: 10}})
	r.say("\x00\x0bwhatever it is")
	if !errors.Is(r.c.Err(), errPacket) || !errors.Is(closed, errPacket) {
		t.Errorf("a layer's error ends the connection: %v, %v", r.c.Err(), closed)
	}
}

// Output that the socket does not take stays where GetSelectInfo sees it.
func TestLayerBlocked(t *testing.T) {
	r := newRig(t, &Dialer{}, func(r *rig) { r.maxWrite = 5 })
	client, server := stacks(2)
	layered(r, client)
	mustSend(t, r.c, nil, "NOOP")
	sent := ""
	for i := 0; ; i++ {
		_, want := r.c.GetSelectInfo()
		if !want {
			break
		}
		if did, err := r.c.TryProcessOneEvent(); !did || err != nil {
			t.Fatalf("a call makes progress while output is wanted: %v, %v", did, err)
		}
		sent += r.heard()
		if i > 100 {
			t.Fatal("output never ends")
		}
	}
	if got := decode(t, server, sent); got != "a1 NOOP\r\n" {
		t.Errorf("all of it is sent\n got: %q", got)
	}
}
