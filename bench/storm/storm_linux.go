// Package storm is a process with one loop in which thousands of connections
// begin TLS, or log in, at the same moment. What it measures is how long the loop then
// keeps everybody else waiting: a timer, and a connection that stood before.
package storm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"time"

	"github.com/imclient/imclient/bench/fleet"
	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/reactor"
)

// Request is one storm.
type Request struct {
	Server  fleet.Server   // of the storm
	Quiet   netip.AddrPort // a server in the clear, of the connection that stands
	Conns   int
	Workers int     // of handshakes; 0: they are computed on the loop's goroutine
	Logins  *Logins // nil: the storm is of handshakes
}

// Response says how it went.
type Response struct {
	Error   string        // "": all connections stood at the end, or were logged in
	Begin   time.Duration // of the calls that begin them, in one turn
	Wall    time.Duration // from the last of these calls to the last connection that is done
	CPU     time.Duration // of the process, for beginning them too
	Lag     Waits         // how late the loop was for each millisecond
	Own     Waits         // how much of that the process computed, the rest being other processes' doing
	Noop    Waits         // from Send to completion, on the connection that stood
	Derived uint64        // SCRAM keys, or tickets that were looked for in the cache
}

// Serve makes storms until in ends.
func Serve(in io.Reader, out io.Writer) error {
	return fleet.Answer("storm", in, out, func(req Request) Response {
		resp, err := run(req)
		if err != nil {
			resp.Error = err.Error()
		}
		return resp
	})
}

// storm is one request on its way. All of it happens on the loop's goroutine.
type storm struct {
	Request
	loop    *reactor.Loop
	clients []*conn.Client // all
	quiet   *conn.Client   // the one that stood before

	stop  context.CancelFunc
	err   error // why it was stopped early
	left  int   // connections that have not come where they are to come
	ticks ticks
	noops []time.Duration
}

// kind is what a storm consists of.
type kind interface {
	// settle has connections stand that are to stand when it begins, and calls
	// ready.
	settle(s *storm, ready func())
	// begin begins all of it; for each connection that is done it calls s.done.
	begin(s *storm)
}

func run(req Request) (resp Response, err error) {
	loop, err := reactor.New()
	if err != nil {
		return resp, err
	}
	s := storm{Request: req, loop: loop}
	var kind kind = newHandshakes(req)
	if req.Logins != nil {
		logins := newLogins(&req)
		defer func() { resp.Derived = logins.derived() }()
		kind = logins
	}
	if err = s.settle(kind); err == nil {
		err = s.rage(kind, &resp)
	}
	for _, c := range s.clients {
		c.Close()
	}
	return resp, errors.Join(err, loop.Close())
}

// until runs the loop until something calls stop or fail.
func (s *storm) until(begin func()) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	s.stop = stop
	begin()
	if err := s.loop.Run(ctx); ctx.Err() == nil {
		return err
	}
	return s.err
}

func (s *storm) fail(err error) {
	if s.err == nil {
		s.err = err
	}
	s.stop()
}

func (s *storm) connect(d *conn.Dialer, to netip.AddrPort, done func(*conn.Client)) {
	host, port := to.Addr().String(), strconv.Itoa(int(to.Port()))
	d.ConnectAsync(context.Background(), s.loop, host, port, func(c *conn.Client, err error) {
		if err != nil {
			s.fail(err)
			return
		}
		s.clients = append(s.clients, c)
		done(c)
	})
}

// settle connects what is to stand when the storm begins.
func (s *storm) settle(kind kind) error {
	return s.until(func() {
		s.connect(new(conn.Dialer), s.Quiet, func(c *conn.Client) {
			s.quiet = c
			s.noop(func(time.Duration) { kind.settle(s, s.stop) })
		})
	})
}

// done is called for each connection that has come where the storm leads.
func (s *storm) done() {
	if s.left--; s.left == 0 {
		s.stop()
	}
}

// noop calls done with the time that a NOOP took.
func (s *storm) noop(done func(time.Duration)) {
	sent := time.Now()
	err := s.quiet.Send(func(_ *conn.Client, _ any, r *conn.Reply) {
		if r.Keyword == "OK" {
			done(time.Since(sent))
		} else {
			s.fail(fmt.Errorf("storm: NOOP: %s %w", r.Keyword, r.AsError()))
		}
	}, nil, "NOOP")
	if err != nil {
		s.fail(err)
	}
}

// rage begins all connections, or logins, in one turn, and measures from then on: how
// long an application keeps its loop to begin them is its own affair.
func (s *storm) rage(kind kind, resp *Response) error {
	s.left = s.Conns
	var begin, begun time.Time
	before, err := fleet.CPU()
	if err != nil {
		return err
	}
	err = s.until(func() {
		begin = time.Now()
		kind.begin(s)
		begun = time.Now()
		s.ticks.start(s.loop, begun)
		s.again(0)
	})
	resp.Begin, resp.Wall = begun.Sub(begin), time.Since(begun)
	after, errCPU := fleet.CPU()
	resp.CPU = after - before
	s.ticks.stop()
	resp.Lag, resp.Own, resp.Noop = sum(s.ticks.late), sum(s.ticks.own), sum(s.noops)
	return errors.Join(err, errCPU, s.ticks.err)
}

// again sends the next NOOP when the last took so long.
func (s *storm) again(took time.Duration) {
	if took > 0 {
		s.noops = append(s.noops, took)
	}
	s.noop(s.again)
}
