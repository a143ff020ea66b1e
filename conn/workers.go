package conn

import (
	"slices"
	"sync"

	"github.com/imclient/imclient/reactor"
)

// Workers compute on other goroutines what would hold a loop up: the public-key work
// of TLS handshakes. The same Workers can serve any number of Dialers and loops. There
// is no goroutine while there is no work.
//
// What comes of the work gets back to a loop in the order in which the loop gave it
// out, however long each piece took: events keep the order that they have without.
type Workers struct {
	mu      sync.Mutex
	size    int
	running int
	waiting []*job                   // not begun, oldest first
	lines   map[*reactor.Loop][]*job // given out and not delivered, oldest first
}

// NewWorkers returns Workers that are at most n goroutines, and at least one.
func NewWorkers(n int) *Workers {
	return &Workers{size: max(n, 1), lines: map[*reactor.Loop][]*job{}}
}

// job is one piece of work.
type job struct {
	loop     *reactor.Loop
	work     func()        // on a worker
	deliver  func()        // after that, on the loop's goroutine
	worked   chan struct{} // closed when work has returned, or never will be called
	done     bool          // worked is closed
	recalled bool
}

// do has work called on a worker, and then deliver on the loop's goroutine, if there
// still is a loop. work must not panic.
func (w *Workers) do(l *reactor.Loop, work, deliver func()) *job {
	j := &job{loop: l, work: work, deliver: deliver, worked: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = append(w.waiting, j)
	w.lines[l] = append(w.lines[l], j)
	if w.running < w.size {
		w.running++
		go w.run()
	}
	return j
}

// run is a worker: it works until there is nothing to do.
func (w *Workers) run() {
	for j := w.next(); j != nil; j = w.next() {
		j.work()
		w.mu.Lock()
		w.close(j)
		w.mu.Unlock()
	}
}

// next takes the next job; nil, and the worker is none any more, if there is none.
func (w *Workers) next() *job {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) == 0 {
		w.running--
		return nil
	}
	j := w.waiting[0]
	w.waiting[0] = nil
	w.waiting = w.waiting[1:]
	return j
}

// close ends a job, and delivers all at the head of its line that are done.
func (w *Workers) close(j *job) {
	j.done = true
	close(j.worked)
	line := w.lines[j.loop]
	for len(line) > 0 && line[0].done {
		if first := line[0]; !first.recalled {
			first.loop.Post(first.deliver)
		}
		line[0] = nil
		line = line[1:]
	}
	if len(line) == 0 {
		delete(w.lines, j.loop)
	} else {
		w.lines[j.loop] = line
	}
}

// recall takes a job back: from now on nobody works on it. It reports whether the
// work was done; work that has begun it waits for. deliver may still be called.
func (w *Workers) recall(j *job) bool {
	w.mu.Lock()
	j.recalled = true
	if i := slices.Index(w.waiting, j); i >= 0 {
		w.waiting = slices.Delete(w.waiting, i, i+1)
		w.close(j)
		w.mu.Unlock()
		return false
	}
	w.mu.Unlock()
	<-j.worked
	return true
}
