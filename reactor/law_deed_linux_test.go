package reactor

import "context"

// post posts a function that does the next deed of s.
func (w *lawWorld) post(s *lawSource) {
	if w.closed {
		if w.loop.Post(func() {}) {
			w.breach("a closed loop refuses posts; it took one")
		}
		return
	}
	w.shows()
	number, turn, inside := w.posted, w.turn, w.called
	w.posted++
	ok := w.loop.Post(func() {
		w.callback(func() bool {
			w.note("post %d", number)
			if number != w.ran {
				w.breach("posted functions run once each and in order; number %d ran in place of %d", number, w.ran)
			}
			if inside && w.turn != turn+1 {
				w.breach("what is posted in a callback runs in the next turn; it was %d turns later", w.turn-turn)
			}
			w.ran++
			s.act()
			return true
		})
	})
	if !ok {
		w.breach("an open loop takes posts; it refused one")
	}
}

// onLoop does something on the goroutine of the loop: at once if nobody sleeps there,
// else by a post to the loop that does.
func (w *lawWorld) onLoop(f func()) {
	if w.asleep == nil {
		f()
		return
	}
	w.errand(w.asleep, f)
}

// inTurn does something in a callback of the loop on trial, where also those who
// cannot notify it are heard.
func (w *lawWorld) inTurn(f func()) {
	if w.called || w.closed {
		f()
		return
	}
	w.errand(w.loop, f)
}

func (w *lawWorld) errand(l *Loop, f func()) {
	w.errands[l]++
	l.Post(func() {
		w.errands[l]--
		if l != w.loop {
			w.happens()
			f()
			return
		}
		w.callback(func() bool { f(); return true })
	})
}

// doNext does the next deed of a script, and those along with it.
func (w *lawWorld) doNext(script *[]program) {
	if len(*script) == 0 {
		return
	}
	group := (*script)[0]
	*script = (*script)[1:]
	for _, d := range group {
		w.note("        %v", d)
		w.do(d)
	}
}

// do does a deed.
func (w *lawWorld) do(d deed) {
	s := w.sources[d.who]
	switch d.verb {
	case doSend:
		s.link.send(int(d.n) + 1)
	case doDrain:
		s.link.drain(w)
	case doHangUp:
		s.hangUp()
	case doPost:
		w.post(s)
	case doWait:
		w.until = w.k.time().Add(d.span())
	case doBatch:
		w.batch = int(d.n)%3 + 2
	case doLag:
		w.k.set(w.k.time().Add(d.span()))
	case doWrite, doPause, doResume, doDeadline, doClear, doHold, doExchange:
		if s.mute() {
			w.inTurn(func() { s.do(d) })
		} else {
			w.onLoop(func() { s.do(d) })
		}
	default:
		w.onLoop(func() { w.doOnLoop(s, d) })
	}
}

func (w *lawWorld) doOnLoop(s *lawSource, d deed) {
	switch d.verb {
	case doSpread:
		w.spreads(s, int(d.n)/2+1)
	case doLimit:
		w.limits(int(d.n))
	case doTimer:
		w.after(int(d.who), d.span())
	case doReset:
		w.timers[d.who].reset(d.span())
	case doStop:
		w.timers[d.who].stop()
	case doAdd:
		s.add()
	case doRemove:
		s.remove()
	case doShut:
		s.shut()
	case doOwn:
		w.own(int(d.n))
	case doClose:
		w.close()
	}
}

// own has the owner of the loop on trial drive it, in place of its host. An outer loop
// need not be left for that.
func (w *lawWorld) own(events int) {
	switch {
	case w.closed || w.over:
	case w.called:
		if _, err := w.loop.TryProcessOneEvent(); err != ErrReentrant {
			w.breach("a loop is not driven by its own callbacks; that said %v", err)
		}
	case len(w.outer) > 0 && events%2 == 0:
		w.shows()
		w.must(w.outer[0].Remove(w.loop))
		w.tryFor(events)
		if !w.closed {
			w.must(w.outer[0].Add(w.loop))
		}
	case len(w.outer) > 0:
		w.tryFor(events)
	default:
		w.excuses++ // what was left when it was nested has made a wake
		target := w.happened + events
		w.run(w.loop, func() bool { return w.happened >= target })
	}
}

func (w *lawWorld) tryFor(events int) {
	for ok := true; ok && events > 0; events-- {
		w.shows()
		ok = w.try(w.loop)
	}
}

// run is Run until done, or until nothing will happen any more.
func (w *lawWorld) run(l *Loop, done func() bool) {
	err := l.Run(untilDone{context.Background(), func() bool { return w.over || done() }})
	if err != context.Canceled && (err != ErrClosed || !w.closed) {
		w.breach("Run goes on until it is told to stop; it said %v", err)
	}
}

// untilDone is a context that is done when a function says so: no other goroutine
// has a say in when that is noticed.
type untilDone struct {
	context.Context
	done func() bool
}

func (c untilDone) Err() error {
	if c.done() {
		return context.Canceled
	}
	return nil
}

// try has a loop deal with one event, or find that there is none.
func (w *lawWorld) try(l *Loop) bool {
	before := w.happened
	ok, err := l.TryProcessOneEvent()
	if w.closed && err == ErrClosed {
		return false
	}
	w.must(err)
	if ok != (w.happened > before) {
		w.breach("TryProcessOneEvent says whether something happened; it said %v for %d events", ok, w.happened-before)
	}
	return ok
}

func (w *lawWorld) must(err error) {
	if err != nil {
		w.breach("a call that is legal succeeds; it said %v", err)
	}
}

// close closes the loop on trial. Nothing is owed any more to those who were in it.
func (w *lawWorld) close() {
	if w.closed {
		return
	}
	w.closed = true
	w.posted, w.set, w.left = w.ran, nil, nil
	w.spread.dropped()
	delete(w.errands, w.loop)
	for _, s := range w.sources {
		s.left()
	}
	w.must(w.loop.Close())
	for _, s := range w.sources {
		s.checkNotify()
	}
}
