package reactor_test

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/reactor"
)

// guest makes a loop with a post, a timer and a pipe in it, for a host that knows
// nothing of them. finished says whether all three have been heard.
func guest() (loop *reactor.Loop, finished func() bool) {
	loop, err := reactor.New()
	if err != nil {
		panic(err)
	}
	r, w := newPipe()
	heard := 0
	var source *reactor.Descriptor
	source = reactor.FD(r, reactor.Readable, func() error {
		var buf [64]byte
		n, err := unix.Read(r, buf[:])
		if err != nil {
			return err
		}
		fmt.Printf("a pipe: %s\n", buf[:n])
		heard++
		err = loop.Remove(source)
		unix.Close(r)
		return err
	})
	if err := loop.Add(source); err != nil {
		panic(err)
	}
	loop.After(time.Millisecond, func() {
		fmt.Println("a timer")
		heard++
		fmt.Fprint(fdWriter(w), "hello")
		unix.Close(w)
	})
	loop.Post(func() {
		fmt.Println("a post")
		heard++
	})
	return loop, func() bool { return heard == 3 }
}

// A host over select(2).
func ExampleLoop_GetSelectInfo_select() {
	loop, finished := guest()
	defer loop.Close()
	for !finished() {
		fd, _ := loop.GetSelectInfo()
		var ready unix.FdSet
		ready.Set(fd)
		if _, err := unix.Select(fd+1, &ready, nil, nil, nil); errors.Is(err, unix.EINTR) {
			continue
		}
		if ready.IsSet(fd) {
			if _, err := loop.TryProcessOneEvent(); err != nil {
				panic(err)
			}
		}
	}
	// Output:
	// a post
	// a timer
	// a pipe: hello
}

// A host over poll(2).
func ExampleLoop_GetSelectInfo_poll() {
	loop, finished := guest()
	defer loop.Close()
	for !finished() {
		fd, _ := loop.GetSelectInfo()
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); errors.Is(err, unix.EINTR) {
			continue
		}
		if fds[0].Revents != 0 {
			if _, err := loop.TryProcessOneEvent(); err != nil {
				panic(err)
			}
		}
	}
	// Output:
	// a post
	// a timer
	// a pipe: hello
}

// watch makes an epoll(7) with a loop in it. flags are 0 or EPOLLET.
func watch(loop *reactor.Loop, flags uint32) (ep int) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		panic(err)
	}
	fd, _ := loop.GetSelectInfo()
	ev := unix.EpollEvent{Events: unix.EPOLLIN | flags, Fd: int32(fd)}
	if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		panic(err)
	}
	return ep
}

// A host over a level-triggered epoll(7) calls once, and comes round again.
func ExampleLoop_GetSelectInfo_epollLevelTriggered() {
	loop, finished := guest()
	defer loop.Close()
	ep := watch(loop, 0)
	defer unix.Close(ep)
	var events [8]unix.EpollEvent
	for !finished() {
		n, err := unix.EpollWait(ep, events[:], -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			panic(err)
		}
		if n > 0 { // the loop is all that is in it
			if _, err := loop.TryProcessOneEvent(); err != nil {
				panic(err)
			}
		}
	}
	// Output:
	// a post
	// a timer
	// a pipe: hello
}

// A host over an edge-triggered epoll(7) calls until there is no more.
func ExampleLoop_GetSelectInfo_epollEdgeTriggered() {
	loop, finished := guest()
	defer loop.Close()
	ep := watch(loop, unix.EPOLLET)
	defer unix.Close(ep)
	var events [8]unix.EpollEvent
	for !finished() {
		n, err := unix.EpollWait(ep, events[:], -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			panic(err)
		}
		for more := n > 0; more; {
			if more, err = loop.TryProcessOneEvent(); err != nil {
				panic(err)
			}
		}
	}
	// Output:
	// a post
	// a timer
	// a pipe: hello
}

// A host that is a Loop itself.
func ExampleLoop_Add_loop() {
	loop, finished := guest()
	defer loop.Close()
	outer, err := reactor.New()
	if err != nil {
		panic(err)
	}
	defer outer.Close()
	if err := outer.Add(loop); err != nil {
		panic(err)
	}
	for !finished() {
		if err := outer.ProcessOneEvent(); err != nil {
			panic(err)
		}
	}
	// Output:
	// a post
	// a timer
	// a pipe: hello
}
