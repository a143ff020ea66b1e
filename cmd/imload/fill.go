package main

// An empty mailbox of a real server can be filled, one APPEND after the other,
// by the first session that finds it empty; the others of the account wait and
// then SELECT once more, because to them the new mail is not there yet.

// lookAround asks what is in the mailbox, as the first of its account.
func (s *session) lookAround() {
	a, opt := s.account, s.fleet.opt
	n := min(int(s.exists), opt.messages)
	switch {
	case n > 0:
		s.send(op{verb: verbSizes, hi: uint16(n - 1)})
	case !opt.fill:
		s.failAs(verbSelect, "mailbox is empty", "there is nothing to fetch (-fill puts mail there)")
		s.leave(false)
	case a.filler == nil:
		a.filler = s
		s.send(op{verb: verbFill, lo: 0})
	default:
		a.waiting = append(a.waiting, s)
	}
}

// filled is the completion of an APPEND that fills.
func (s *session) filled(done *op) {
	if next := done.lo + 1; int(next) < len(s.fleet.fillMails) {
		s.send(op{verb: verbFill, lo: next})
		return
	}
	s.send(op{verb: verbSelect})
}

// doneFilling lets the others of the account go on: because the mailbox is
// full, or because one of them has to fill it now.
func (s *session) doneFilling() {
	a := s.account
	if a.filler != s {
		return
	}
	a.filler = nil
	waiting := a.waiting
	a.waiting = nil
	for _, other := range waiting {
		if other.phase == entering && other.client != nil {
			other.send(op{verb: verbSelect})
		}
	}
}
