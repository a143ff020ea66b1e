package reactor

import "math"

// Add puts s into the loop, which calls it from the next turn on. Legal in a callback.
//
// A source belongs in one loop at a time. Nobody finds out if it is put into a second,
// but it then keeps the second one's SetNotify, and the first hears of no more changes.
//
// Errors are [ErrClosed], [ErrBadSource], [ErrNoDescriptor], [ErrAdded], or a
// [*SourceError] with [ErrDescriptorTaken], [ErrNotPollable] or the kernel's reason.
func (l *Loop) Add(s Source) error {
	l.driver.check("Loop.Add")
	switch {
	case l.closed:
		return ErrClosed
	case !findable(s):
		return ErrBadSource
	case l.find(s) != nil:
		return ErrAdded
	}
	sl := &slot{src: s, fd: -1, heapAt: -1, listAt: -1}
	sl.deadliner, _ = s.(Deadliner)
	sl.interester, _ = s.(Interester)
	sl.inner, _ = s.(*Loop)
	_, sl.literal = s.(literal)
	fd, want := sl.ask()
	if fd < 0 {
		return ErrNoDescriptor
	}
	sl.wants(want)
	if err := l.attach(sl, fd); err != nil {
		return err
	}
	l.welcome(sl)
	if !sl.removed() { // by its SetLoop or SetNotify
		l.review(sl)
	}
	l.touched()
	return nil
}

// welcome tells a source that it is in the loop.
func (l *Loop) welcome(s *slot) {
	if m, ok := s.src.(Member); ok {
		if m.SetLoop(l); s.removed() {
			return
		}
	}
	if n, ok := s.src.(Notifier); ok {
		n.SetNotify(func() { l.changed(s) })
		return
	}
	s.listAt = int32(len(l.polled))
	l.polled = append(l.polled, s)
}

// Remove takes s out of the loop, which makes no call to it any more but for
// SetLoop(nil) and SetNotify(nil). Call it before the descriptor is closed. Legal in a callback.
// The error, if any, is [ErrNotAdded] or [ErrClosed].
func (l *Loop) Remove(s Source) error {
	l.driver.check("Loop.Remove")
	if l.closed {
		return ErrClosed
	}
	if !findable(s) {
		return ErrNotAdded
	}
	sl := l.find(s)
	if sl == nil {
		return ErrNotAdded
	}
	l.drop(sl)
	return nil
}

// find returns the slot of s. The descriptor leads to it, unless that has changed
// and the source could not say so.
func (l *Loop) find(s Source) *slot {
	fd, _ := s.GetSelectInfo()
	if sl := l.table.at(fd); sl != nil && sl.src == s {
		return sl
	}
	for _, sl := range l.polled {
		if sl.src == s {
			return sl
		}
	}
	return nil
}

// attach watches fd for s.
func (l *Loop) attach(s *slot, fd int) error {
	if fd > math.MaxInt32 {
		return &SourceError{s.src, fd, ErrNoDescriptor}
	}
	if holder := l.table.at(fd); holder != nil {
		// It may have closed the descriptor since it was last asked.
		if l.review(holder); l.table.at(fd) != nil {
			return &SourceError{s.src, fd, ErrDescriptorTaken}
		}
	}
	gen := l.table.generation()
	if err := l.poller.add(int32(fd), gen, s.want); err != nil {
		return &SourceError{s.src, fd, err}
	}
	s.fd, s.gen, s.have, s.blocked = int32(fd), gen, s.want, false
	l.table.put(s)
	return nil
}

// detach ends the watch of a slot's descriptor, before its owner closes it: a copy
// of it in another process would keep the kernel's registration alive.
func (l *Loop) detach(s *slot) {
	l.poller.remove(s.fd)
	l.table.clear(s)
	s.fd = -1
}

// drop removes a source.
func (l *Loop) drop(s *slot) {
	l.detach(s)
	l.forget(s)
}

// expel removes a source that the kernel watches no longer, and says why.
func (l *Loop) expel(s *slot, why error) error {
	fault := &SourceError{s.src, int(s.fd), why}
	l.drop(s)
	l.stats.Failed++
	return fault
}

// forget takes a detached slot out of all lists. Those of this turn and the next are
// left to find out by themselves.
func (l *Loop) forget(s *slot) {
	if s.heapAt >= 0 {
		l.deadlines.remove(s.heapAt)
	}
	if i := s.listAt; i >= 0 {
		last := len(l.polled) - 1
		l.polled[i] = l.polled[last]
		l.polled[i].listAt = i
		l.polled[last] = nil
		l.polled = l.polled[:last]
	}
	s.dismiss()
}

// dismiss tells a source that it is no longer in the loop. SetNotify(nil) stays the
// last call, because a source may join a loop again in that.
func (s *slot) dismiss() {
	if n, ok := s.src.(Notifier); ok {
		defer n.SetNotify(nil)
	}
	if m, ok := s.src.(Member); ok {
		m.SetLoop(nil)
	}
}

// changed is what a Notifier calls. What must be done before the source can close
// its descriptor is done at once; the rest can wait.
func (l *Loop) changed(s *slot) {
	l.driver.check("changed, a Notifier's function,")
	if s.removed() {
		return
	}
	fd, want := s.ask()
	if s.removed() { // by being asked
		return
	}
	s.wants(want)
	if fd != int(s.fd) && !l.rebind(s, fd) {
		return
	}
	if s == l.calling {
		return // will be reviewed when it returns
	}
	if s.untried() {
		l.markReady(s)
	}
	l.markDirty(s)
	l.touched()
}

// rebind follows a source to another descriptor, if it has one, and reports whether
// it is still in the loop.
func (l *Loop) rebind(s *slot, fd int) bool {
	if fd < 0 {
		l.drop(s)
		return false
	}
	l.detach(s)
	if err := l.attach(s, fd); err != nil {
		l.forget(s)
		l.stats.Failed++
		l.noteFault(err)
		return false
	}
	return true
}

// review asks a source for everything that it can want, and files it where it will
// get it. Only the kernel is left for settle. A source may go by being asked.
func (l *Loop) review(s *slot) {
	before := l.asking
	l.asking = s
	l.question(s)
	l.asking = before
}

func (l *Loop) question(s *slot) {
	fd, want := s.ask()
	if s.removed() {
		return
	}
	s.wants(want)
	if fd != int(s.fd) && !l.rebind(s, fd) {
		return
	}
	s.held = false
	if s.deadliner != nil {
		t, ok := s.deadliner.NextDeadline()
		if s.removed() {
			return
		}
		if ok {
			l.file(s, l.at(t))
		}
	}
	if s.held || s.untried() {
		l.markReady(s)
	}
	if s.due() != s.have {
		l.markDirty(s)
	}
}

// file notes a deadline. One that moves later, as those of a busy connection all do,
// stays where it is in the heap, and is looked at again when it fires.
func (l *Loop) file(s *slot, when int64) {
	switch {
	case when <= l.tick:
		s.held = true
	case s.heapAt < 0:
		l.deadlines.push(when, s)
	case when < l.deadlines.heap[s.heapAt].when:
		l.deadlines.move(s.heapAt, when)
	}
}

func (l *Loop) markReady(s *slot) {
	if !s.onReady {
		s.onReady = true
		l.ready = append(l.ready, s)
	}
}

func (l *Loop) markDirty(s *slot) {
	if !s.onDirty {
		s.onDirty = true
		l.dirty = append(l.dirty, s)
	}
}

// settle brings sources, lists and kernel to agree, as they must before a wait.
func (l *Loop) settle() {
	for i := len(l.polled) - 1; i >= 0; i-- {
		if i < len(l.polled) { // a source may remove others, even when asked
			l.review(l.polled[i])
		}
	}
	for i := 0; i < len(l.dirty); i++ {
		s := l.dirty[i]
		if s == nil {
			continue // done, before a later one panicked
		}
		if !s.removed() {
			l.review(s)
		}
		if l.closed { // by being asked
			return
		}
		l.dirty[i], s.onDirty = nil, false
		if !s.removed() {
			l.sync(s)
		}
	}
	l.dirty = l.dirty[:0]
}

// sync writes a slot's interest to the kernel if it differs.
func (l *Loop) sync(s *slot) {
	in := s.due()
	if in == s.have {
		return
	}
	if err := l.poller.modify(s.fd, s.gen, in); err != nil {
		l.noteFault(l.expel(s, err))
		return
	}
	s.have = in
}
