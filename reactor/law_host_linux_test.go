package reactor

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// A lawBackend is a poller with its kernel. Every program runs over every backend.
type lawBackend struct {
	name   string
	kernel func() lawKernel
	waits  []lawWait                         // by which hosts can watch a loop's descriptor
	depths []int                             // of nesting
	outer  func(k lawKernel) (poller, error) // of the outer loops; nil: the same
	sticky bool                              // a descriptor looks readable until a wait has found nothing
}

var lawBackends = []lawBackend{
	{name: "epoll", kernel: newHandKernel, depths: []int{0, 1, 2}, waits: []lawWait{
		{"select", false, selecting},
		{"poll", false, polling},
		{"level-triggered epoll", false, epolling(0)},
		{"edge-triggered epoll", true, epolling(unix.EPOLLET)},
	}},
	{name: "poll", kernel: func() lawKernel { return pollLawKernel{newHandKernel().(*handKernel)} }, depths: []int{0}},
	{name: "epoll in poll", kernel: newHandKernel, depths: []int{1}, outer: func(k lawKernel) (poller, error) {
		return newPoll(k.(*handKernel))
	}},
	{name: "kqueue", kernel: func() lawKernel { return newModelLawKernel(true) }, depths: []int{0, 1, 2},
		waits: kqueueWaits, sticky: true},
	{name: "kqueue with pipes", kernel: func() lawKernel { return newModelLawKernel(false) }, depths: []int{0, 1, 2},
		waits: kqueueWaits, sticky: true},
}

var kqueueWaits = []lawWait{
	{"poll", false, polling},
	{"kqueue with EV_CLEAR", true, clearing},
}

// A lawWait is a system call in which a foreign host sleeps.
type lawWait struct {
	name  string
	edges bool
	watch func(k lawKernel, fd int) (ready func() bool, end func())
}

// A lawHost drives a loop until nothing will happen any more. It knows nothing but
// what the documentation says, and sleeps only as that allows.
type lawHost struct {
	name  string
	depth int // loops around the one on trial, the last of which it drives
	drive func(w *lawWorld, l *Loop)
}

// hosts are all that can host the backend's loops.
func (b lawBackend) hosts() (all []lawHost) {
	for _, depth := range b.depths {
		of := [...]string{"", " of an outer loop", " of two outer loops"}[depth]
		for _, wait := range b.waits {
			all = append(all, lawHost{wait.name + of, depth, wait.drive})
		}
		all = append(all, lawHost{"Run" + of, depth, byRun}, lawHost{"ProcessOneEvent" + of, depth, byOne})
		if depth == 0 {
			all = append(all, lawHost{"NextDeadline alone", 0, byDeadline})
		}
	}
	return all
}

// drive is a host that sleeps on the loop's descriptor and on nothing else. When it is
// woken it deals with one event, and then looks again; if by edges, with all.
func (h lawWait) drive(w *lawWorld, l *Loop) {
	fd, _ := l.GetSelectInfo()
	ready, end := h.watch(w.k, fd)
	defer end()
	for !w.over {
		if fd, _ := l.GetSelectInfo(); fd < 0 {
			return
		}
		if !ready() {
			w.sleep(time.Time{})
			continue
		}
		w.woke()
		for w.try(l) && h.edges {
		}
	}
}

func selecting(_ lawKernel, fd int) (ready func() bool, end func()) {
	return func() bool {
		var set unix.FdSet
		set.Set(fd)
		n, err := unix.Select(fd+1, &set, nil, nil, &unix.Timeval{})
		return n > 0 && err == nil
	}, func() {}
}

func polling(k lawKernel, fd int) (ready func() bool, end func()) {
	return func() bool { return k.ready(fd, Readable) }, func() {}
}

func epolling(flags uint32) func(k lawKernel, fd int) (ready func() bool, end func()) {
	return func(_ lawKernel, fd int) (func() bool, func()) {
		ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		ev := []unix.EpollEvent{{Events: unix.EPOLLIN | flags, Fd: int32(fd)}}
		if err == nil {
			err = unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &ev[0])
		}
		mustLaw(err)
		return func() bool {
			n, err := unix.EpollWait(ep, ev, 0)
			return n > 0 && err == nil
		}, func() { unix.Close(ep) }
	}
}

func clearing(k lawKernel, fd int) (ready func() bool, end func()) {
	m := k.(*modelLawKernel)
	kq, err := m.kqueue()
	mustLaw(err)
	mustLaw(m.change(kq, kevent{ident: fd, filter: filterRead, flags: evAdd | evClear}))
	return func() bool {
		m.look()
		n, err := m.events(kq, make([]kevent, 1), 0)
		return n > 0 && err == nil
	}, func() { m.close(kq) }
}

// mustLaw is for what cannot fail unless the process has run out of descriptors.
func mustLaw(err error) {
	if err != nil {
		panic(breach(fmt.Sprintf("a call of the kernel succeeds; it said %v", err)))
	}
}

// byDeadline has no descriptor to sleep on. It asks again whenever anything at all
// may have happened, and wakes by itself only for NextDeadline.
func byDeadline(w *lawWorld, l *Loop) {
	for !w.over {
		for w.try(l) {
		}
		if w.closed {
			return
		}
		when, ok := l.NextDeadline()
		if ok && !when.After(w.k.time()) {
			w.woke()
			continue
		}
		w.sleep(when)
	}
}

func byRun(w *lawWorld, l *Loop) {
	for !w.over && !(w.closed && l == w.loop) {
		w.run(l, func() bool { return false })
	}
}

func byOne(w *lawWorld, l *Loop) {
	for !w.over && !(w.closed && l == w.loop) {
		if err := l.ProcessOneEvent(); err != ErrClosed || !w.closed {
			w.must(err)
		}
	}
}
