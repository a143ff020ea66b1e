package main

import (
	"time"

	"github.com/imclient/imclient/conn"
)

// phase is where a session is in its life.
type phase uint8

const (
	// waiting: not begun yet; ramp begins it.
	waiting phase = iota
	// dialing: the connection is being made. Ends in entering or over.
	dialing
	// entering: STARTTLS, LOGIN, SELECT, and for the first of an account a FETCH of the
	// sizes, each after the other; with nothing in flight only while another
	// fills the mailbox. Ends in working, leaving or over.
	entering
	// working: commands by the mix, as many in flight as the depth. Ends in
	// leaving when the run ends or the mix says login.
	working
	// leaving: LOGOUT is under way. Ends in over, or in dialing again.
	leaving
	// over: no connection, and none to come.
	over
)

// session is one connection with what it is doing: a state machine that its
// callbacks move. There are thousands, so it is small.
type session struct {
	fleet   *fleet
	client  *conn.Client // nil: none
	account *account
	partner *session // shares the mailbox and wakes us; nil: nobody does
	id      int
	member  int // number among those of the account

	phase     phase
	again     bool   // leaving in order to log in again
	lost      bool   // the connection ended under a command
	alone     bool   // a command is in flight that has to be so
	todo      uint16 // bits of the verbs of the first round that are left
	postponed verb   // has to be alone and waits for the others; or verbNone
	inFlight  int
	dialed    time.Time
	bye       string // what the server said when it hung up

	ops    []op
	exists uint32
	survey []surveyed // while its FETCH is under way

	idle     sleep
	owed     []*session // who IDLEs and is to be woken by us
	calling  int        // of whom we have called as many, and they still sleep
	trash    []uint32   // UIDs of what we appended and have to delete
	cleaning int        // as many of trash are being deleted
}

// dial begins the connection.
func (s *session) dial() {
	f := s.fleet
	s.phase, s.dialed = dialing, time.Now()
	f.entering++
	if f.opt.tls.mode == tlsFirst {
		f.handshakes.begin(s.dialed)
	}
	dialer := &f.dialer
	if s.id == 0 && f.opt.trace {
		dialer = &f.traced
	}
	dialer.ConnectAsync(f.dials, f.loop, f.host, f.port, s.connected)
}

func (s *session) connected(c *conn.Client, err error) {
	f := s.fleet
	mode := f.opt.tls.mode
	if mode == tlsFirst {
		f.handshakes.end(time.Now())
	}
	if err != nil {
		if !f.stopping {
			s.fail(verbConnect, err)
		}
		s.end()
		f.refused()
		return
	}
	s.client, s.phase, s.lost, s.bye = c, entering, false, ""
	f.byClient[c] = s
	if mode == tlsFirst {
		s.secured()
	} else {
		f.meter.done(verbConnect, time.Since(s.dialed))
	}
	if mode == tlsLater {
		s.startTLS()
		return
	}
	s.send(op{verb: verbLogin})
}

// next keeps the session busy. It is called when something has changed that
// may let it send: a command completed, a partner came, went or woke.
func (s *session) next() {
	for s.mayIssue() && s.issue() {
	}
}

func (s *session) mayIssue() bool {
	return s.phase == working && s.fleet.atWork && !s.alone && s.inFlight < len(s.ops) &&
		s.client.Err() == nil // else it is about to tell us of its end
}

// issue sends one command; false: there is nothing to send now.
func (s *session) issue() bool {
	if s.fleet.stopping {
		s.wrapUp()
		return false
	}
	if len(s.owed) > 0 {
		s.wakeOther()
		return true
	}
	if s.mayClean() {
		s.clean()
		return true
	}
	v := s.postponed
	if v == verbNone {
		v = s.choose()
	}
	switch {
	case v == verbNone:
		if s.partner.phase == over && s.inFlight == 0 { // nobody will ever wake us
			s.leave(false)
		}
		return false
	case v == verbIdle:
		s.idle.planned = true
	}
	if v.alone() && s.inFlight > 0 {
		s.postponed = v
		return false
	}
	s.postponed = verbNone
	s.todo &^= 1 << v
	s.begin(v)
	return true
}

// choose returns what to do next: what the first round has left, then a draw by
// weight. It is verbNone when the mix has nothing but IDLE and this is not the
// time for it.
func (s *session) choose() verb {
	m := s.fleet.opt.mix
	if !s.maySleep() {
		m[verbIdle] = 0
	}
	for _, v := range mixable {
		if s.todo&(1<<v) != 0 && m[v] > 0 {
			return v
		}
	}
	total := m.total()
	if total == 0 {
		return verbNone
	}
	return m.pick(s.fleet.draw.IntN(total))
}

// begin sends the command that v stands for in the mix.
func (s *session) begin(v verb) {
	a, draw := s.account, s.fleet.draw
	switch v {
	case verbLogin:
		s.leave(true)
	case verbHeaders:
		lo := draw.IntN(len(a.uids))
		hi := min(lo+headersAtOnce, len(a.uids)) - 1
		s.send(op{verb: v, lo: uint16(lo), hi: uint16(hi)})
	case verbBody:
		at := a.bodies[draw.IntN(len(a.bodies))]
		s.send(op{verb: v, lo: at, hi: at})
	case verbStore:
		at := uint16(a.ownPosition(s.member, draw.IntN(len(a.uids))))
		s.send(op{verb: v, lo: at, hi: at, set: draw.IntN(2) == 0})
	default:
		s.send(op{verb: v})
	}
}

// enter takes the next step on the way in.
func (s *session) enter(done *op, ok bool) {
	switch {
	case !ok, s.fleet.stopping:
		s.leave(false)
	case done.verb == verbLogin:
		s.send(op{verb: verbSelect})
	case done.verb == verbSelect && !s.account.known():
		s.lookAround()
	case done.verb == verbFill:
		s.filled(done)
	case done.verb == verbSizes && !s.adoptSurvey(done):
		s.leave(false)
	default:
		s.arrive()
	}
}

// arrive is the end of the way in.
func (s *session) arrive() {
	s.phase, s.postponed = working, verbNone
	s.doneFilling()
	s.fleet.admitted(s.again)
	s.next()
	if s.partner != nil {
		s.partner.next()
	}
}

// leave logs out; again: in order to come back.
func (s *session) leave(again bool) {
	was := s.phase
	s.phase, s.again = leaving, again
	switch was {
	case working:
		s.fleet.up--
	case entering:
		s.doneFilling()
		s.fleet.refused()
	}
	if s.client != nil {
		s.send(op{verb: verbLogout})
	}
}

// wrapUp ends the session's work, step by step: it is called again whenever
// nothing is in flight.
func (s *session) wrapUp() {
	if s.phase != working && s.phase != entering {
		return
	}
	s.wake()
	switch {
	case s.inFlight > 0:
	case len(s.trash) > 0:
		s.clean()
	default:
		s.leave(false)
	}
}

// closed is the end of the connection, after its commands have completed.
func (s *session) closed(err error) {
	was := s.phase
	if (was == working || was == entering) && !s.lost && !s.fleet.aborting {
		s.fail(verbConnect, err)
	}
	s.arise()
	s.client, s.idle = nil, sleep{}
	s.trash, s.cleaning = nil, 0
	switch was {
	case working:
		s.fleet.up--
	case leaving:
		if s.again && !s.lost && !s.fleet.stopping {
			s.dial()
			return
		}
	}
	s.end()
	if was == entering {
		s.doneFilling()
		s.fleet.refused()
	}
}

// end is the end of the session.
func (s *session) end() {
	s.phase = over
	s.fleet.ended++
	for _, sleeper := range s.owed {
		sleeper.wake()
	}
	s.owed = nil
	if s.partner != nil {
		s.partner.next()
	}
	s.fleet.endIfDone()
}
