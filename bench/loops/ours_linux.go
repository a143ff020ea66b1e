package loops

import (
	"context"
	"errors"

	"github.com/imclient/imclient/reactor"
)

// Ours is a reactor.Loop, and Run is its Run.
type Ours struct {
	Depth int // so many loops stand around the one with the sources

	outermost *reactor.Loop
	ready     func(i int) error
	left      int    // events until Run is done
	stop      func() // ends Run
	err       error  // of ready
}

func (l *Ours) Open(fds []int, ready func(i int) error) error {
	l.ready = ready
	loop, err := reactor.New()
	if err != nil {
		return err
	}
	for i, fd := range fds {
		if err := loop.Add(&source{l, fd, i}); err != nil {
			return err
		}
	}
	for range l.Depth {
		inner := loop
		if loop, err = reactor.New(); err != nil {
			return err
		}
		if err := loop.Add(inner); err != nil {
			return err
		}
	}
	l.outermost = loop
	return nil
}

func (l *Ours) Run(n int) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	l.left, l.stop = n, stop
	if err := l.outermost.Run(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return l.err
}

// source is one eventfd.
type source struct {
	side *Ours
	fd   int
	i    int
}

func (s *source) GetSelectInfo() (fd int, wantToWrite bool) { return s.fd, false }

// SetNotify makes it a reactor.Notifier. It never changes.
func (s *source) SetNotify(func()) {}

func (s *source) TryProcessOneEvent() (bool, error) {
	l := s.side
	l.left--
	if err := l.ready(s.i); err != nil {
		l.err, l.left = err, 0
	}
	if l.left == 0 {
		l.stop()
	}
	return true, nil
}
