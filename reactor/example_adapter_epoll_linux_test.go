package reactor_test

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/reactor"
)

// foreign stands for somebody else's loop: it is told of a descriptor and a function,
// and calls the function at each edge.
type foreign struct {
	ep    int
	funcs map[int32]func()
}

func (f *foreign) watch(fd int, edge func()) error {
	f.funcs[int32(fd)] = edge
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(fd)}
	return unix.EpollCtl(f.ep, unix.EPOLL_CTL_ADD, fd, &ev)
}

func (f *foreign) forget(fd int) error {
	delete(f.funcs, int32(fd))
	return unix.EpollCtl(f.ep, unix.EPOLL_CTL_DEL, fd, nil)
}

func (f *foreign) turn() error {
	var events [8]unix.EpollEvent
	n, err := unix.EpollWait(f.ep, events[:], -1)
	for _, ev := range events[:max(n, 0)] {
		if edge := f.funcs[ev.Fd]; edge != nil {
			edge()
		}
	}
	if errors.Is(err, unix.EINTR) {
		return nil
	}
	return err
}

// attach is the adapter: it puts a Loop, and all that is in it, into the foreign one.
// detach takes it out again.
func attach(f *foreign, l *reactor.Loop, failed func(error)) (detach func() error, err error) {
	fd, _ := l.GetSelectInfo()
	err = f.watch(fd, func() {
		for more := true; more; {
			ok, err := l.TryProcessOneEvent()
			if err != nil {
				failed(err)
			}
			// A *SourceError says that a source has gone; the loop has more to do.
			more = ok || errors.As(err, new(*reactor.SourceError))
		}
	})
	return func() error { return f.forget(fd) }, err
}

// An adapter for an epoll(7) loop of somebody else's.
func Example_adapterEpoll() {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		panic(err)
	}
	defer unix.Close(ep)
	host := &foreign{ep, map[int32]func(){}}

	loop, err := reactor.New()
	if err != nil {
		panic(err)
	}
	defer loop.Close()
	detach, err := attach(host, loop, func(err error) { fmt.Println(err) })
	if err != nil {
		panic(err)
	}
	done := false
	loop.Post(func() { fmt.Println("a post") })
	loop.After(time.Millisecond, func() {
		fmt.Println("a timer")
		done = true
	})
	for !done {
		if err := host.turn(); err != nil {
			panic(err)
		}
	}
	fmt.Println("detached:", detach())
	// Output:
	// a post
	// a timer
	// detached: <nil>
}
