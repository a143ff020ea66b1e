package reactor_test

import (
	"context"
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/reactor"
)

// pipe is a source over the reading end of a pipe(2).
type pipe struct {
	fd   int
	line func(string)
	end  func()
}

func (p *pipe) GetSelectInfo() (fd int, wantToWrite bool) { return p.fd, false }

// TryProcessOneEvent reads once. EAGAIN is no error: readiness is a hint.
func (p *pipe) TryProcessOneEvent() (bool, error) {
	var buf [512]byte
	n, err := unix.Read(p.fd, buf[:])
	switch {
	case errors.Is(err, unix.EAGAIN):
		return false, nil
	case err != nil:
		return true, err
	case n == 0:
		p.end()
		return true, io.EOF // removes the pipe from its loop
	}
	p.line(string(buf[:n]))
	return true, nil
}

func newPipe() (r, w int) {
	var fds [2]int
	err := unix.Pipe(fds[:])
	for _, fd := range fds {
		unix.CloseOnExec(fd)
		err = errors.Join(err, unix.SetNonblock(fd, true))
	}
	if err != nil {
		panic(err)
	}
	return fds[0], fds[1]
}

// A pipe and a timer in a loop. The timer writes what the pipe reads.
func Example() {
	loop, err := reactor.New()
	if err != nil {
		panic(err)
	}
	defer loop.Close()
	ctx, cancel := context.WithCancel(context.Background())

	r, w := newPipe()
	defer unix.Close(r)
	err = loop.Add(&pipe{
		fd:   r,
		line: func(s string) { fmt.Println("read:", s) },
		end: func() {
			fmt.Println("end")
			cancel()
		},
	})
	if err != nil {
		panic(err)
	}

	left := 3
	var tick *reactor.Timer
	tick = loop.After(time.Millisecond, func() {
		if left == 0 {
			unix.Close(w)
			return
		}
		fmt.Fprintf(fdWriter(w), "tick %d", left)
		left--
		tick.Reset(time.Millisecond)
	})

	fmt.Println(loop.Run(ctx))
	// Output:
	// read: tick 3
	// read: tick 2
	// read: tick 1
	// end
	// context canceled
}

type fdWriter int

func (w fdWriter) Write(b []byte) (int, error) { return unix.Write(int(w), b) }

// A loop inside a program's own poll(2), beside a descriptor of the program's. The
// one descriptor of the loop stands for its sources, timers and posts alike.
func ExampleLoop_GetSelectInfo() {
	loop, err := reactor.New()
	if err != nil {
		panic(err)
	}
	defer loop.Close()

	r, w := newPipe()
	defer unix.Close(r)
	defer unix.Close(w)
	if err := loop.Add(&pipe{fd: r, line: func(s string) { fmt.Println("in the loop:", s) }}); err != nil {
		panic(err)
	}
	ours, feed := newPipe()
	defer unix.Close(ours)
	defer unix.Close(feed)

	fmt.Fprint(fdWriter(w), "from a pipe")
	loop.After(10*time.Millisecond, func() {
		fmt.Println("in the loop: a timer")
		fmt.Fprint(fdWriter(feed), "the program's own")
	})
	go loop.Post(func() {}) // from any goroutine

	fd, _ := loop.GetSelectInfo()
	fds := []unix.PollFd{
		{Fd: int32(fd), Events: unix.POLLIN},
		{Fd: int32(ours), Events: unix.POLLIN},
	}
	for {
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			panic(err)
		}
		if fds[0].Revents != 0 {
			if _, err := loop.TryProcessOneEvent(); err != nil {
				panic(err)
			}
		}
		if fds[1].Revents != 0 {
			var buf [64]byte
			n, _ := unix.Read(ours, buf[:])
			fmt.Println("in the program:", string(buf[:n]))
			break
		}
	}
	// Output:
	// in the loop: from a pipe
	// in the loop: a timer
	// in the program: the program's own
}

// Slow work runs on a goroutine of its own and comes back by Post.
func ExampleLoop_Post() {
	loop, err := reactor.New()
	if err != nil {
		panic(err)
	}
	defer loop.Close()
	ctx, cancel := context.WithCancel(context.Background())

	go func() {
		answer := 6 * 7 // takes long
		loop.Post(func() {
			fmt.Println("the answer is", answer)
			cancel()
		})
	}()

	fmt.Println(loop.Run(ctx))
	// Output:
	// the answer is 42
	// context canceled
}

// A timer that is set anew each time something happens, and fires when nothing did.
func ExampleLoop_After() {
	loop, err := reactor.New()
	if err != nil {
		panic(err)
	}
	defer loop.Close()
	ctx, cancel := context.WithCancel(context.Background())

	idle := loop.After(time.Hour, func() {
		fmt.Println("idle")
		cancel()
	})
	loop.After(time.Millisecond, func() {
		fmt.Println("something happened; it was set:", idle.Reset(time.Millisecond))
	})

	fmt.Println(loop.Run(ctx))
	// Output:
	// something happened; it was set: true
	// idle
	// context canceled
}

// What a daemon shows on /debug/vars. One place takes the figures, because the means
// and maxima are those since they were taken before.
func ExampleLoop_Stats() {
	loop, err := reactor.New()
	if err != nil {
		panic(err)
	}
	defer loop.Close()
	expvar.Publish("loop", expvar.Func(func() any { return loop.Stats() })) // safe on any goroutine

	ctx, cancel := context.WithCancel(context.Background())
	loop.After(time.Millisecond, func() {})
	loop.After(2*time.Millisecond, func() {})
	loop.After(3*time.Millisecond, cancel)
	fmt.Println(loop.Run(ctx))

	var shown reactor.Stats // durations are nanoseconds
	if err := json.Unmarshal([]byte(expvar.Get("loop").String()), &shown); err != nil {
		panic(err)
	}
	fmt.Println("timers:", shown.Timers)
	fmt.Println("slept most of the time:", shown.Asleep > time.Millisecond)
	fmt.Println("timers were late:", shown.Lag.Max >= shown.Lag.Mean && shown.Lag.Mean > 0)
	// Output:
	// context canceled
	// timers: 3
	// slept most of the time: true
	// timers were late: true
}
