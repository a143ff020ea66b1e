package reactor

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// lawSource is a source that can all that a source can, over one end of a socketpair.
// What it shows the loop of that is the matter of the types that embed it.
type lawSource struct {
	w    *lawWorld
	id   int
	self Source      // as the loop knows it
	desc *Descriptor // it is one that FD has made; else nil
	link lawLink

	literal  bool // it is made by FD
	added    bool
	paused   bool
	deadline time.Time // zero: none
	held     int       // pieces in hand that have been read and decoded
	out      int       // bytes that it wishes to write
	script   []program // what it will do in its callbacks
	changed  func()    // nil: none, or not in the loop
	loop     *Loop     // nil: not in the loop

	excuses int // how often it may be called for nothing
	turn    int // in which it was last called
	calls   int // in that turn
}

// Sources differ in what they tell the loop.
type (
	plainLaw    struct{ *lawSource } // nothing but what it must
	toldLaw     struct{ *lawSource } // that it has changed
	patientLaw  struct{ *lawSource } // that it does not want to read, and deadlines
	completeLaw struct{ toldLaw }    // all of it
)

// SetLoop makes all but Descriptors members.
func (s *lawSource) SetLoop(l *Loop) {
	if !s.w.closed && (l == nil) == (s.loop == nil) {
		s.w.breach("a member is told once when it joins and once when it leaves; source %d was told twice", s.id)
	}
	s.loop = l
}

func (s toldLaw) SetNotify(changed func()) {
	if (changed == nil) != (s.loop == nil) {
		s.w.breach("a member hears of its loop before it hears of changed; source %d did not", s.id)
	}
	s.changed = nil
	if changed == nil {
		return
	}
	s.changed = func() {
		changed()
		if s.w.onTold != nil {
			s.w.onTold()
		}
	}
}

func (s patientLaw) Interest() (int, bool, bool)       { return s.interest() }
func (s completeLaw) Interest() (int, bool, bool)      { return s.interest() }
func (s patientLaw) NextDeadline() (time.Time, bool)   { return s.next() }
func (s completeLaw) NextDeadline() (time.Time, bool)  { return s.next() }
func (s *lawSource) GetSelectInfo() (int, bool)        { return s.link.near, s.out > 0 }
func (s *lawSource) interest() (fd int, read, wr bool) { return s.link.near, !s.paused, s.out > 0 }

// next is now while there is something in hand.
func (s *lawSource) next() (time.Time, bool) {
	if s.held > 0 {
		return lawBegin, true
	}
	return s.deadline, !s.deadline.IsZero()
}

func (w *lawWorld) newSource(id int) *lawSource {
	s := &lawSource{w: w, id: id}
	switch id {
	case 0, 1:
		s.self = completeLaw{toldLaw{s}}
	case 2:
		s.self = patientLaw{s}
	case 3:
		s.self = plainLaw{s}
	default:
		s.literal = true
	}
	s.open()
	return s
}

// open gives it a new descriptor, and returns the old one to be closed.
func (s *lawSource) open() (old lawLink) {
	old, s.link = s.link, openLink(s.w.k)
	if s.literal {
		s.desc = FD(s.link.near, s.wants(), s.ready)
		s.self = s.desc
	}
	return old
}

// wants is what FD is told.
func (s *lawSource) wants() (want Interest) {
	if !s.paused {
		want = Readable
	}
	if s.out > 0 {
		want |= Writable
	}
	return want
}

// ready is what FD calls: for readiness and nothing else, so that excuses do not count.
func (s *lawSource) ready() error {
	if owed := s.owed(); owed == "" {
		s.w.breach("the function of an FD is called for readiness; that of source %d was without", s.id)
	}
	ok, err := s.TryProcessOneEvent()
	if !ok && err == nil {
		return unix.EAGAIN
	}
	return err
}

// mute reports whether it cannot tell the loop that it has changed.
func (s *lawSource) mute() bool {
	_, ok := s.self.(Notifier)
	return !ok
}

// canPause reports whether the loop asks it whether it wants to read.
func (s *lawSource) canPause() bool {
	_, ok := s.self.(Interester)
	return ok
}

// canWait reports whether the loop asks it for a deadline.
func (s *lawSource) canWait() bool {
	_, ok := s.self.(Deadliner)
	return ok
}

// owed says what the loop owes the source, by the kernel's word.
func (s *lawSource) owed() string {
	switch now := s.w.k.time(); {
	case !s.added:
	case s.held > 0:
		return fmt.Sprintf("has %d pieces in hand", s.held)
	case !s.deadline.IsZero() && !s.deadline.After(now):
		return fmt.Sprintf("has a deadline at %v", s.deadline.Sub(lawBegin))
	case !s.paused && s.w.k.ready(s.link.near, Readable):
		return fmt.Sprintf("has bytes to read, from number %d", s.link.heard)
	case s.out > 0 && s.w.k.ready(s.link.near, Writable):
		return fmt.Sprintf("could write %d bytes", s.out)
	}
	return ""
}

// TryProcessOneEvent deals with one event and then does the next deed of its script.
func (s *lawSource) TryProcessOneEvent() (ok bool, err error) {
	s.w.callback(func() bool {
		s.checkCall()
		what := ""
		what, err = s.one()
		ok = what != ""
		if s.w.note("source %d %s", s.id, what); err != nil {
			s.left()
			return true
		}
		if ok {
			s.act()
		} else if s.excuses--; s.excuses < 0 {
			s.w.breach("a source is called when there is something for it to do; source %d was without", s.id)
		}
		return ok
	})
	return ok, err
}

// checkCall checks that the source may be called now. It is in a turn at most once
// for each reason: its deadline, its descriptor, what it has left.
func (s *lawSource) checkCall() {
	if !s.added {
		s.w.breach("a source that has been removed is not called; source %d was", s.id)
	}
	if s.turn != s.w.turn {
		s.turn, s.calls = s.w.turn, 0
	}
	if s.calls++; s.calls > 3 {
		s.w.breach("a source is called three times in a turn at most; source %d was called %d times", s.id, s.calls)
	}
}

var errLawEnd = errors.New("the far end has hung up")

// one deals with one event, and says what it was.
func (s *lawSource) one() (what string, err error) {
	if !s.deadline.IsZero() && !s.deadline.After(s.w.k.time()) {
		s.deadline = time.Time{}
		return "keeps its deadline", nil
	}
	if s.held > 0 {
		s.held--
		return "deals with a piece in hand", nil
	}
	if !s.paused {
		if n, err := s.link.read(s.w); n > 0 || err != nil {
			return fmt.Sprintf("reads %d", n), err
		}
	}
	if s.out > 0 {
		if n, err := s.link.write(); n > 0 || err != nil {
			s.out -= n
			if s.out == 0 && s.literal {
				s.tell()
			}
			return fmt.Sprintf("writes %d", n), err
		}
	}
	return "", nil
}

// act does the next deed of the script.
func (s *lawSource) act() { s.w.doNext(&s.script) }

// do changes what the source wants.
func (s *lawSource) do(d deed) {
	switch d.verb {
	case doWrite:
		s.out += int(d.n) + 1
	case doPause, doResume:
		s.paused = s.canPause() && d.verb == doPause
	case doDeadline:
		if s.canWait() {
			s.deadline = s.w.k.time().Add(d.span())
		}
	case doClear:
		s.deadline = time.Time{}
	case doHold:
		if s.canWait() {
			s.held += int(d.n) + 1
		}
	case doExchange:
		s.exchange()
		return
	}
	s.excuse()
	s.tell()
}

// excuse allows one call for nothing, and the host one wake.
func (s *lawSource) excuse() {
	s.excuses++
	s.w.excuses++
}

func (s *lawSource) tell() {
	switch {
	case s.literal:
		s.desc.Want(s.wants())
	case s.changed != nil:
		s.changed()
	}
}

func (s *lawSource) hangUp() {
	s.link.hangUp()
	s.excuse()
}

func (s *lawSource) add() {
	if s.added || s.w.closed {
		return
	}
	if s.link.near < 0 || s.link.ended {
		old := s.open()
		old.close()
	}
	s.added, s.excuses, s.calls = true, 0, 0
	if s.link.far < 0 {
		s.excuses++ // whoever watches it anew hears once more of the far end, paused or not
	}
	s.w.excuses++
	s.w.must(s.w.loop.Add(s.self))
	if !s.literal && s.loop != s.w.loop {
		s.w.breach("a member is told its loop; source %d was not", s.id)
	}
}

func (s *lawSource) remove() {
	if !s.added {
		return
	}
	s.left()
	s.w.must(s.w.loop.Remove(s.self))
	s.checkNotify()
}

// left notes that the source is in the loop no longer. The loop may find that out
// from an event that is under way, for which it has woken its host.
func (s *lawSource) left() {
	s.added = false
	s.w.excuses++
}

func (s *lawSource) checkNotify() {
	if s.changed != nil || s.loop != nil || s.literal && s.desc.changed != nil {
		s.w.breach("a source that is removed is let go of; source %d was not", s.id)
	}
}

// shut closes the descriptor, in the order that the contract asks for.
func (s *lawSource) shut() {
	if s.mute() || s.literal {
		s.remove()
	}
	old := s.link
	s.link = lawLink{k: s.w.k, near: -1, far: -1}
	if s.added {
		s.left()
		s.tell()
		s.checkNotify()
	}
	old.close()
}

// exchange goes on with another descriptor. Who can say so opens it before the old
// one is closed; who cannot leaves, and most probably gets the same number again.
func (s *lawSource) exchange() {
	if s.mute() || s.literal {
		was := s.added
		s.shut()
		if was {
			s.add()
		}
		return
	}
	old := s.open()
	s.excuse()
	s.tell()
	old.close()
}
