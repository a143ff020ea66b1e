package reactor

const (
	// usualSpread is the limit that [Loop.SpreadLimit] changes.
	usualSpread = 4
	// keepSpread is how many functions of Spread a loop keeps room for. The room for
	// more is given back to the collector when none waits any longer.
	keepSpread = 1024
)

// Spread has f called on the loop's goroutine, in a later turn than the present one,
// after what was spread before. Of all functions so queued, at most 4 run in a turn,
// or what [Loop.SpreadLimit] says, and only when everybody who was ready has been
// called. It is for work that the others would notice if all of it came at once, like
// the public-key work of a thousand TLS handshakes. Work that they would notice even
// alone goes to another goroutine.
//
// f cannot be taken back, but may find that there is nothing left for it to do. On a
// closed loop Spread does nothing, and Close drops what waits. Legal in a callback; to
// get here from another goroutine, Post. In the long run it allocates nothing while no
// more than 1,024 functions wait. Spread panics if f is nil.
func (l *Loop) Spread(f func()) {
	l.driver.check("Loop.Spread")
	if f == nil {
		panic("reactor: Spread of a nil function")
	}
	if l.closed {
		return
	}
	l.backlog.push(f)
	l.touched()
}

// SpreadLimit sets how many functions of [Loop.Spread] run in a turn, from the next
// turn on; less than 1 is 1. It is the limit of this loop: an inner one has its own,
// and may have more than one turn in a turn of the outer loop. Legal in a callback.
func (l *Loop) SpreadLimit(n int) {
	l.driver.check("Loop.SpreadLimit")
	l.backlog.limit = max(1, n)
}

// backlog is the functions of Spread that wait, in order: a ring.
type backlog struct {
	ring  []func() // as long as a power of two, or nil
	first int      // place of the one that has waited longest
	n     int      // how many wait
	limit int      // how many run in a turn
}

// share is how many of those that wait now are for the turn that begins.
func (b *backlog) share() int { return min(b.n, b.limit) }

func (b *backlog) push(f func()) {
	if b.n == len(b.ring) {
		grown := make([]func(), max(2*b.n, 16))
		behind := copy(grown, b.ring[b.first:])
		copy(grown[behind:], b.ring[:b.first])
		b.ring, b.first = grown, 0
	}
	b.ring[b.place(b.n)] = f
	b.n++
}

func (b *backlog) pop() func() {
	f := b.ring[b.first]
	b.ring[b.first] = nil
	b.first = b.place(1)
	if b.n--; b.n == 0 && len(b.ring) > keepSpread {
		b.ring, b.first = nil, 0
	}
	return f
}

// place is where the i-th of those that wait stands.
func (b *backlog) place(i int) int { return (b.first + i) & (len(b.ring) - 1) }
