package reactor

import "reflect"

// slot is a source in the loop. A slot lives from Add to removal and is never used
// for a second source, so a list that still holds a dead one needs only look at fd.
type slot struct {
	src Source
	// Asked for once, when the source is added; nil for what it does not implement.
	deadliner  Deadliner
	interester Interester
	inner      *Loop // src, if that is one

	fd     int32  // -1: removed
	gen    uint32 // in the kernel's events for fd, see table
	heapAt int32  // place in the heap of deadlines, -1: none
	listAt int32  // place in the list of sources that cannot notify, -1: none

	want Interest // what the source wanted when last asked
	have Interest // what the kernel has

	literal bool // is called only for what the kernel reported
	blocked bool // said that nothing was ready while it wanted to write
	held    bool // its deadline has passed: it still holds work
	onReady bool
	onDirty bool
}

func (s *slot) removed() bool { return s.fd < 0 }

func (s *slot) place(i int32) { s.heapAt = i }

// ask asks the source for its descriptor and interest.
func (s *slot) ask() (fd int, want Interest) {
	read := true
	var write bool
	if s.interester != nil {
		fd, read, write = s.interester.Interest()
	} else {
		fd, write = s.src.GetSelectInfo()
	}
	if read {
		want |= Readable
	}
	if write {
		want |= Writable
	}
	return fd, want
}

// wants notes what the source wants now.
func (s *slot) wants(want Interest) {
	s.want = want
	if want&Writable == 0 {
		s.blocked = false
	}
}

// untried reports whether the source wants to write and may well be able to: the
// kernel was not asked to say when, and the source has not yet said that it cannot.
func (s *slot) untried() bool {
	return s.want&^s.have&Writable != 0 && !s.blocked && !s.literal
}

// outdated reports whether an event may be one of an interest that the source no
// longer has. If it is not, the kernel will report it again.
func (s *slot) outdated() bool { return s.literal && s.want != s.have }

// due is the interest that the kernel should have. Most sockets can be written most
// of the time, so an untried source is called first, and most of the time that saves
// two epoll_ctl.
func (s *slot) due() Interest {
	if s.untried() {
		return s.want &^ Writable
	}
	return s.want
}

// literal is a [Source] that is called only for what the kernel reported: the loop
// does not try whether it can be written before it asks the kernel. Types that embed a
// *Descriptor are too.
type literal interface{ literally() }

// table finds the slot of an event by its descriptor.
//
// A descriptor number is reused as soon as it is closed, while events of its former
// owner may still be in the batch. So each registration has a generation that the
// kernel hands back with the event, and lookup, the only reader of events, drops
// those of another generation.
type table struct {
	byFD []*slot
	gen  uint32 // the latest given out; wraps around after 4 billion registrations
	n    int
}

// lookup returns the slot that ev is for, nil if that has gone.
func (t *table) lookup(ev event) *slot {
	s := t.at(int(ev.fd))
	if s == nil || s.gen != ev.gen {
		return nil
	}
	return s
}

// at returns the slot that has fd now.
func (t *table) at(fd int) *slot {
	if uint(fd) >= uint(len(t.byFD)) {
		return nil
	}
	return t.byFD[fd]
}

func (t *table) generation() uint32 {
	t.gen++
	return t.gen
}

func (t *table) put(s *slot) {
	t.byFD = reach(t.byFD, int(s.fd))
	t.byFD[s.fd] = s
	t.n++
}

func (t *table) clear(s *slot) {
	t.byFD[s.fd] = nil
	t.n--
}

// findable reports whether == finds s again.
func findable(s Source) bool {
	if s == nil {
		return false
	}
	v := reflect.ValueOf(s)
	return v.Comparable() && !(v.Kind() == reflect.Pointer && v.IsNil())
}
