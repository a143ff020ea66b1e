package reactor_test

import (
	"context"
	"fmt"
	"sync"
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

func serve() (*service, error) {
	loop, err := reactor.New()
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &service{loop: loop, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		s.err = loop.Run(ctx)
		loop.Close()
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

// An adapter for goroutines: whoever wants something of the loop posts it and waits.
func Example_adapterGoroutine() {
	s, err := serve()
	if err != nil {
		panic(err)
	}
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
	// sum: 10
	// context canceled
	// after the end: false
}
