// Package loops measures event loops without a network: a process watches many
// eventfds, makes some of them ready, and has its loop call a function for each,
// which reads it.
//
// The sides are told apart only by the loop. Each is a process that takes
// requests on its standard input, a line of JSON each, and answers on its
// standard output. The program in ../libuv speaks the same.
package loops

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/bench/fleet"
)

// Side is an event loop that is measured.
type Side interface {
	// Open watches the descriptors. For each event of fds[i] ready(i) is to be
	// called, in the loop's own way.
	Open(fds []int, ready func(i int) error) error
	// Run drives the loop until ready has been called n times. It is called when
	// the first descriptors are ready; then it is ready that makes the next so.
	Run(n int) error
}

// Request is an order to a side's process. The first one's Sources is the number
// of descriptors for the life of the process.
type Request struct {
	Sources int
	Ready   int // so many descriptors are made ready at a time,
	Events  int // and so many in all, a multiple
}

// Response is what that cost.
type Response struct {
	Error  string // "": done
	CPU    time.Duration
	Events int // that reached the function
}

// Serve carries out requests until in ends.
func Serve(side Side, in io.Reader, out io.Writer) error {
	p := process{side: side}
	return fleet.Answer("loops", in, out, func(req Request) Response {
		resp, err := p.do(req)
		if err != nil {
			resp.Error = err.Error()
		}
		return resp
	})
}

type process struct {
	side   Side
	req    Request
	fds    []int
	next   int // to be made ready
	events int // seen by ready
	buf    [8]byte
}

// stride spreads the ready ones over all descriptors. It has no divisor in common
// with their number.
const stride = 7

var one = [8]byte{1} // little or big endian, it is not zero

func (p *process) do(req Request) (resp Response, err error) {
	if p.fds == nil {
		if err := p.open(req.Sources); err != nil {
			return resp, err
		}
	}
	p.req, p.events = req, 0
	begin, err := cpu()
	if err != nil {
		return resp, err
	}
	if err := p.signal(); err != nil {
		return resp, err
	}
	if err := p.side.Run(req.Events); err != nil {
		return resp, err
	}
	end, err := cpu()
	return Response{CPU: end - begin, Events: p.events}, err
}

func (p *process) open(n int) error {
	if n%stride == 0 {
		return fmt.Errorf("loops: %d descriptors are a multiple of %d", n, stride)
	}
	p.fds = make([]int, n)
	for i := range p.fds {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			return os.NewSyscallError("eventfd", err)
		}
		p.fds[i] = fd
	}
	return p.side.Open(p.fds, p.ready)
}

// signal makes the next descriptors ready.
func (p *process) signal() error {
	for range p.req.Ready {
		if _, err := unix.Write(p.fds[p.next], one[:]); err != nil {
			return os.NewSyscallError("write", err)
		}
		p.next = (p.next + stride) % len(p.fds)
	}
	return nil
}

// ready is the same work for every side.
func (p *process) ready(i int) error {
	if _, err := unix.Read(p.fds[i], p.buf[:]); err != nil {
		return os.NewSyscallError("read", err)
	}
	p.events++
	if p.events%p.req.Ready != 0 || p.events == p.req.Events {
		return nil
	}
	return p.signal()
}

// cpu returns the user and system time of the process so far.
func cpu() (time.Duration, error) {
	var usage unix.Rusage
	err := unix.Getrusage(unix.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), os.NewSyscallError("getrusage", err)
}
