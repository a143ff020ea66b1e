package reactor

// lawSpread is what the model knows of the functions of Spread.
type lawSpread struct {
	limit   int   // for the next turn
	first   int   // number of the first that waits
	waiting []int // the turns of the loop on trial in which those that wait were spread
	share   int   // how many the present turn has still to run
	turn    int   // the last in which one ran
}

// spreads has n functions spread, each of which does the next deed of s.
func (w *lawWorld) spreads(s *lawSource, n int) {
	for range n {
		if w.closed {
			w.loop.Spread(func() { w.breach("a closed loop runs nothing that is spread; it did") })
			continue
		}
		w.shows()
		number := w.spread.first + len(w.spread.waiting)
		w.spread.waiting = append(w.spread.waiting, w.turn)
		w.loop.Spread(func() { w.callback(func() bool { w.runs(s, number); return true }) })
	}
}

// runs is the callback of one.
func (w *lawWorld) runs(s *lawSource, number int) {
	w.note("spread %d", number)
	m := &w.spread
	if number != m.first || len(m.waiting) == 0 {
		w.breach("what is spread runs once and in order; number %d ran in place of %d", number, m.first)
	}
	if w.turn <= m.waiting[0] {
		w.breach("what is spread runs in a later turn; number %d ran in the same", number)
	}
	if m.share == 0 {
		w.breach("a turn runs no more of what is spread than its share; number %d was too many", number)
	}
	m.first, m.waiting = m.first+1, m.waiting[1:]
	m.share--
	m.turn = w.turn
	s.act()
}

// limits sets how many may run in a turn.
func (w *lawWorld) limits(n int) {
	w.spread.limit = max(1, n)
	w.loop.SpreadLimit(n)
}

// deals is called when a turn of the loop on trial begins, with a share for it.
func (m *lawSpread) deals(w *lawWorld) {
	if m.share > 0 {
		w.breach("a turn runs its whole share of what is spread; it left %d", m.share)
	}
	m.share = min(len(m.waiting), m.limit)
}

// dropped is called when the loop on trial is closed.
func (m *lawSpread) dropped() { m.waiting, m.share = nil, 0 }

// Faults of Spread. Those that the loop's poller can have are among lawFaults.
var lawSpreadFaults = []lawFault{
	{"the limit is ignored", before(func(l *Loop) { l.backlog.limit = 1 << 30 })},
	{"a turn stops in the middle of its share", during(func(l *Loop) {
		if l.turn.phase == spread {
			l.turn.spread = 0
		}
	})},
	{"what is spread runs in the wrong order", before(func(l *Loop) {
		if b := &l.backlog; b.n > 1 {
			last := b.place(b.n - 1)
			b.ring[b.first], b.ring[last] = b.ring[last], b.ring[b.first]
		}
	})},
	{"one that is spread is dropped", before(func(l *Loop) { l.backlog.n = max(0, l.backlog.n-1) })},
	{"what a turn spreads runs in it", during(func(l *Loop) {
		if l.turn.phase < spread {
			l.turn.spread = l.backlog.share()
		}
	})},
	{"what is spread runs before the others", during(func(l *Loop) {
		if b := &l.backlog; l.turn.phase < spread && l.turn.spread > 0 {
			l.turn.spread--
			b.pop()()
		}
	})},
	{"what is spread does not show in the descriptor", func(w *lawWorld, p poller) poller {
		return &spreadsUnseen{p, w}
	}},
	{"what a turn leaves of what is spread keeps nobody awake", func(w *lawWorld, p poller) poller {
		var hidden backlog
		w.onCallback = func() {
			if l := w.loop; l.turn.phase == spread && l.turn.spread == 0 && hidden.n == 0 {
				hidden, l.backlog = l.backlog, backlog{limit: l.backlog.limit}
			}
		}
		return &bent{poller: p, beforeWait: func() {
			for b := &w.loop.backlog; b.n > 0; {
				hidden.push(b.pop())
			}
			hidden.limit = w.loop.backlog.limit
			w.loop.backlog, hidden = hidden, backlog{}
		}}
	}},
}

// spreadsUnseen is a poller that is not woken for what is spread.
type spreadsUnseen struct {
	poller
	w *lawWorld
}

func (p *spreadsUnseen) wake() error {
	if l := p.w.loop; l.backlog.n > 0 && len(l.mail.posts) == 0 {
		return nil
	}
	return p.poller.wake()
}
