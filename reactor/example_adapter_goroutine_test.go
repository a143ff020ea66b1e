package reactor_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/imclient/imclient/reactor"
)

// service is a Loop on a goroutine of its own, for a program that is made of
// goroutines. Its methods are safe anywhere but in the loop's callbacks.
type service struct {
	loop *reactor.Loop
	stop context.CancelFunc
	done chan struct{} // closed when the goroutine has ended
	err  error         // why; to be read after done
}

// serve starts a service. failed is called on its goroutine when the loop has given up
// a source, or some at once. That ends nothing: the loop is sound.
func serve(failed func(error)) (*service, error) {
	loop, err := reactor.New()
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &service{loop: loop, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		defer loop.Close()
		for {
			if s.err = loop.Run(ctx); !errors.As(s.err, new(*reactor.SourceError)) {
				return // any other error is the loop's own, or its end
			}
			failed(s.err)
		}
	}()
	return s, nil
}

// do has f called on the loop's goroutine and waits for it. False says that the loop
// ended first.
func (s *service) do(f func(l *reactor.Loop)) bool {
	called := make(chan struct{})
	if !s.loop.Post(func() { f(s.loop); close(called) }) {
		return false
	}
	select {
	case <-called:
		return true
	case <-s.done: // a Close drops what was posted
		return false
	}
}

func (s *service) close() error {
	s.stop()
	<-s.done
	return s.err
}

// An adapter for goroutines: whoever wants something of the loop posts it and waits. A
// source that goes bad does not end the service.
func Example_adapterGoroutine() {
	s, err := serve(func(err error) {
		fmt.Println("a source is lost, closed too early:", errors.Is(err, syscall.EBADF))
	})
	if err != nil {
		panic(err)
	}
	s.do(func(l *reactor.Loop) {
		r, w, err := os.Pipe()
		if err != nil {
			panic(err)
		}
		defer w.Close()
		bad := reactor.FD(int(r.Fd()), reactor.Readable, func() error { return nil })
		if err := l.Add(bad); err != nil {
			panic(err)
		}
		r.Close()                  // behind the loop's back: Remove should come first
		bad.Want(reactor.Writable) // which comes out when the kernel is told this
	})
	sum := 0
	var wg sync.WaitGroup
	for i := range 5 {
		wg.Go(func() { s.do(func(*reactor.Loop) { sum += i }) }) // needs no lock
	}
	wg.Wait()
	fired := make(chan struct{})
	s.do(func(l *reactor.Loop) { l.After(time.Millisecond, func() { close(fired) }) })
	<-fired
	fmt.Println("sum:", sum)
	fmt.Println(s.close())
	fmt.Println("after the end:", s.do(func(*reactor.Loop) {}))
	// Output:
	// a source is lost, closed too early: true
	// sum: 10
	// context canceled
	// after the end: false
}
