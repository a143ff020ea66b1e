package reactor

import (
	"math"
	"slices"
	"testing"
	"time"
)

// A lawFault is a way in which a loop could be wrong. put makes the loop on trial so:
// it returns a poller in place of p, or meddles with the loop when that is called.
type lawFault struct {
	name string
	put  func(w *lawWorld, p poller) poller
}

// Pollers that do not do one of the things that they should.
type (
	noModify struct{ poller }
	noRemove struct{ poller }
	noWake   struct{ poller }
	noHush   struct{ poller }
	noAlarm  struct{ poller }
)

func (noModify) modify(int32, uint32, Interest) error { return nil }
func (noRemove) remove(int32)                         {}
func (noWake) wake() error                            { return nil }
func (noHush) hush() error                            { return nil }
func (noAlarm) alarm(time.Duration) error             { return nil }

// bent is a poller whose functions are given something else, or give it.
type bent struct {
	poller
	interest   func(fd int32, in Interest) Interest
	alarmed    func(d time.Duration) time.Duration
	added      func(fd int32, gen uint32)
	removed    func(fd int32)
	beforeWait func()
	afterWait  func(into []event, got *waited)
}

func (p *bent) add(fd int32, gen uint32, in Interest) error {
	if p.added != nil {
		p.added(fd, gen)
	}
	if p.interest != nil {
		in = p.interest(fd, in)
	}
	return p.poller.add(fd, gen, in)
}

func (p *bent) modify(fd int32, gen uint32, in Interest) error {
	if p.interest != nil {
		in = p.interest(fd, in)
	}
	return p.poller.modify(fd, gen, in)
}

func (p *bent) remove(fd int32) {
	if p.removed != nil {
		p.removed(fd)
	}
	p.poller.remove(fd)
}

func (p *bent) alarm(d time.Duration) error {
	if p.alarmed != nil && d > 0 {
		d = p.alarmed(d)
	}
	return p.poller.alarm(d)
}

func (p *bent) wait(into []event, timeout time.Duration) (waited, error) {
	if p.beforeWait != nil {
		p.beforeWait()
	}
	got, err := p.poller.wait(into, timeout)
	if p.afterWait != nil {
		p.afterWait(into, &got)
	}
	return got, err
}

// before and after meddle with a loop around its waits.
func before(meddle func(l *Loop)) func(w *lawWorld, p poller) poller {
	return func(w *lawWorld, p poller) poller {
		return &bent{poller: p, beforeWait: func() { meddle(w.loop) }}
	}
}

func after(meddle func(into []event, got *waited)) func(w *lawWorld, p poller) poller {
	return func(w *lawWorld, p poller) poller { return &bent{poller: p, afterWait: meddle} }
}

// during meddles with it in its turns, before each callback.
func during(meddle func(l *Loop)) func(w *lawWorld, p poller) poller {
	return func(w *lawWorld, p poller) poller {
		w.onCallback = func() { meddle(w.loop) }
		return p
	}
}

// whenTold meddles with it when a source has said that it changed.
func whenTold(meddle func(l *Loop)) func(w *lawWorld, p poller) poller {
	return func(w *lawWorld, p poller) poller {
		w.onTold = func() { meddle(w.loop) }
		return p
	}
}

var lawFaults = []lawFault{
	{"a change of interest does not reach the kernel", func(w *lawWorld, p poller) poller { return noModify{p} }},
	{"a source that is removed is still watched", func(w *lawWorld, p poller) poller { return noRemove{p} }},
	{"a wake is swallowed", func(w *lawWorld, p poller) poller { return noWake{p} }},
	{"a wake is not taken back", func(w *lawWorld, p poller) poller { return noHush{p} }},
	{"deadlines do not show in the descriptor", func(w *lawWorld, p poller) poller { return noAlarm{p} }},
	{"the alarm is late", func(w *lawWorld, p poller) poller {
		return &bent{poller: p, alarmed: func(d time.Duration) time.Duration { return d + 1 }}
	}},
	{"the alarm is early", func(w *lawWorld, p poller) poller {
		return &bent{poller: p, alarmed: func(d time.Duration) time.Duration { return d - 1 }}
	}},
	{"a blocked writer is not watched", func(w *lawWorld, p poller) poller {
		return &bent{poller: p, interest: func(fd int32, in Interest) Interest { return in &^ Writable }}
	}},
	{"who has written all is still watched for writing", func(w *lawWorld, p poller) poller {
		had := map[int32]Interest{}
		return &bent{poller: p, removed: func(fd int32) { delete(had, fd) }, interest: func(fd int32, in Interest) Interest {
			had[fd] |= in
			return in | had[fd]&Writable
		}}
	}},
	{"who pauses is still watched for reading", func(w *lawWorld, p poller) poller {
		return &bent{poller: p, interest: func(fd int32, in Interest) Interest { return in | Readable }}
	}},
	{"the last event of a batch is lost", after(func(into []event, got *waited) { got.n = max(0, got.n-1) })},
	{"an event is told twice", after(func(into []event, got *waited) {
		if 0 < got.n && got.n < len(into) {
			into[got.n] = into[0]
			got.n++
		}
	})},
	{"that a batch was full is forgotten", after(func(into []event, got *waited) { got.more = false })},
	{"a wake that was consumed is taken for pending", after(func(into []event, got *waited) { got.woken = false })},
	{"a post during the wait finds the loop awake", before(func(l *Loop) { l.mail.parked = false })},
	{"a post is dropped", before(func(l *Loop) { l.mail.posts = l.mail.posts[:max(0, len(l.mail.posts)-1)] })},
	{"a post is run twice", before(func(l *Loop) {
		if n := len(l.mail.posts); n > 0 {
			l.mail.posts = append(l.mail.posts, l.mail.posts[n-1])
		}
	})},
	{"posts run in the wrong order", before(func(l *Loop) {
		if n := len(l.mail.posts); n > 1 {
			l.mail.posts[0], l.mail.posts[n-1] = l.mail.posts[n-1], l.mail.posts[0]
		}
	})},
	{"only one post is run in a turn, and the others forgotten", during(func(l *Loop) {
		if l.turn.phase == posts {
			l.turn.posts = l.turn.posts[:l.turn.nextPost]
		}
	})},
	{"the ready list is forgotten", before(func(l *Loop) {
		for _, s := range l.ready {
			s.onReady = false
		}
		l.ready = l.ready[:0]
	})},
	{"what a source says between two calls is forgotten", whenTold(func(l *Loop) {
		for _, s := range l.dirty {
			s.onDirty = false
		}
		l.dirty = l.dirty[:0]
	})},
	{"what a source says between two calls does not show", whenTold(func(l *Loop) {
		if !l.inside && l.mail.signalled {
			l.mail.signalled = false
			_ = l.poller.hush()
		}
	})},
	{"an outer loop is not told", before(func(l *Loop) {
		if l.hostNotify != nil {
			l.hostNotify = func() {}
		}
	})},
	{"a source's deadline that moves earlier is left where it was", func(w *lawWorld, p poller) poller {
		filed := map[*slot]int64{}
		return &bent{poller: p, beforeWait: func() { keepDeadlines(w.loop, filed) }}
	}},
	{"a timer fires before its time", before(func(l *Loop) {
		if q := &l.deadlines; len(q.heap) > 0 {
			q.heap[0].when = min(q.heap[0].when, l.tick)
		}
	})},
	{"equal timers fire in the wrong order", before(func(l *Loop) {
		if h := l.deadlines.heap; len(h) > 1 && h[0].when == h[1].when && h[0].seq < h[1].seq {
			h[0].seq, h[1].seq = h[1].seq, h[0].seq
			l.deadlines.sift(0, h[0])
		}
	})},
	{"a timer that a turn sets does not wait for the next", during(func(l *Loop) { l.turn.lastSeq = math.MaxUint64 })},
	{"an event reaches the next owner of its descriptor", func(w *lawWorld, p poller) poller {
		return &bent{poller: p, added: func(fd int32, gen uint32) {
			for i := range w.loop.turn.batch {
				if ev := &w.loop.turn.batch[i]; ev.fd == fd {
					ev.gen = gen
				}
			}
		}}
	}},
	{"a removed source is called for an event of the batch", func(w *lawWorld, p poller) poller {
		gone := map[int32]*slot{}
		w.onCallback = func() {
			for fd, s := range gone {
				if w.loop.table.at(int(fd)) == nil {
					w.loop.table.byFD[fd] = s
				}
			}
		}
		return &bent{poller: p,
			removed:    func(fd int32) { gone[fd] = w.loop.table.at(int(fd)) },
			beforeWait: func() { forget(w.loop, gone) },
		}
	}},
}

// forget takes slots that have gone out of the table after all.
func forget(l *Loop, gone map[int32]*slot) {
	for fd, s := range gone {
		if l.table.at(int(fd)) == s {
			l.table.byFD[fd] = nil
		}
		delete(gone, fd)
	}
}

// keepDeadlines puts deadlines of sources that have moved earlier back in their place.
func keepDeadlines(l *Loop, filed map[*slot]int64) {
	for i := 0; i < len(l.deadlines.heap); i++ {
		d := l.deadlines.heap[i]
		s, ok := d.owner.(*slot)
		if !ok {
			continue
		}
		if was, ok := filed[s]; ok && d.when < was && was > l.tick {
			d.when = was
			l.deadlines.sift(i, d)
			i = -1
			continue
		}
		filed[s] = d.when
	}
}

// Each fault is found by one of the programs that once failed or of the first random
// ones, each under one host, and a short program is left of that. A fault that is not
// found shows that the tests of the law prove less than they say.
func TestLawFindsFaults(t *testing.T) {
	hosts := lawBackends[0].hosts()
	for _, f := range slices.Concat(lawFaults, lawSpreadFaults) {
		t.Run(f.name, func(t *testing.T) {
			for i, p := range lawCandidates(500) {
				h := hosts[i%len(hosts)]
				if broken, _ := judge(p, h, lawBackends[0], f, false); broken != "" {
					checkFound(t, i, p, h, f)
					return
				}
			}
			t.Error("the fault is found by one of the programs; it is not")
		})
	}
}

// lawCandidates are the programs that once failed and those of some seeds.
func lawCandidates(seeds int) (all []program) {
	for _, c := range lawCases {
		all = append(all, c.p)
	}
	for seed := range uint64(seeds) {
		all = append(all, read(random(seed)))
	}
	return all
}

// checkFound shrinks a program that has found a fault.
func checkFound(t *testing.T, i int, p program, h lawHost, f lawFault) {
	const longest = 8
	b := lawBackends[0]
	short := shrunk(p, h, b, f)
	if len(short) > longest {
		t.Errorf("%d deeds are enough; it took %s", longest, report(p, h, b, f))
	}
	if clean, _ := judge(short, h, b, lawFault{}, false); clean != "" {
		t.Errorf("it is the fault that is found; without it: %s", report(short, h, b, lawFault{}))
	}
	broken, _ := judge(short, h, b, f, false)
	t.Logf("program %d, %s: %d deeds, then %d:\n%s\n%v", i, h.name, len(p), len(short), broken, short)
}
