// Package storm is a process with one loop in which thousands of connections
// begin TLS at the same moment. What it measures is how long the loop then keeps
// everybody else waiting: a timer, and a connection that stood before.
package storm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/imclient/imclient/bench/fleet"
	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/reactor"
	"github.com/imclient/imclient/tlsup"
)

// Request is one storm.
type Request struct {
	Server  fleet.Server   // of the storm
	Quiet   netip.AddrPort // a server in the clear, of the connection that stands
	Conns   int
	Workers int // 0: handshakes are computed on the loop's goroutine
}

// Response says how it went.
type Response struct {
	Error string        // "": all connections stood at the end
	Wall  time.Duration // from the last call that began a connection to the last that stands
	CPU   time.Duration // of the process, for beginning them too
	Lag   Waits         // how late the loop was for each millisecond
	Own   Waits         // how much of that the process computed, the rest being other processes' doing
	Noop  Waits         // from Send to completion, on the connection that stood
}

// Waits sums up how long something took, time after time.
type Waits struct {
	Count    int
	P99, Max time.Duration
}

func sum(waits []time.Duration) Waits {
	if len(waits) == 0 {
		return Waits{}
	}
	slices.Sort(waits)
	return Waits{Count: len(waits), P99: waits[(len(waits)*99-1)/100], Max: waits[len(waits)-1]}
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
	loop  *reactor.Loop
	quiet *conn.Client

	stop  context.CancelFunc
	err   error // why it was stopped early
	left  int   // connections that do not stand yet
	ticks ticks
	noops []time.Duration
}

func run(req Request) (resp Response, err error) {
	loop, err := reactor.New()
	if err != nil {
		return resp, err
	}
	s := storm{Request: req, loop: loop, left: req.Conns}
	if err := s.settle(); err != nil {
		return resp, err
	}
	err = s.rage(&resp)
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
		done(c)
	})
}

// settle connects what is to stand when the storm begins.
func (s *storm) settle() error {
	return s.until(func() {
		s.connect(new(conn.Dialer), s.Quiet, func(c *conn.Client) {
			s.quiet = c
			s.noop(func(time.Duration) { s.stop() })
		})
	})
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

// rage begins all connections in one turn, and measures from then on: how long an
// application keeps its loop to begin them is its own affair.
func (s *storm) rage(resp *Response) error {
	dialer := conn.Dialer{
		ImplicitTLS: true,
		TLS:         &tlsup.Policy{Files: tlsup.Files{CA: s.Server.CA}, Sessions: -1},
		Callbacks:   []conn.Callback{{Keyword: "OK", Proc: greeted, Rock: s}},
	}
	if s.Workers > 0 {
		dialer.Workers = conn.NewWorkers(s.Workers)
	}
	clients := make([]*conn.Client, 0, s.Conns)
	var begin time.Time
	before, err := fleet.CPU()
	if err != nil {
		return err
	}
	err = s.until(func() {
		for range s.Conns {
			s.connect(&dialer, s.Server.Addr, func(c *conn.Client) { clients = append(clients, c) })
		}
		begin = time.Now()
		s.ticks.start(s.loop, begin)
		s.again(0)
	})
	resp.Wall = time.Since(begin)
	after, errCPU := fleet.CPU()
	resp.CPU = after - before
	s.ticks.stop()
	resp.Lag, resp.Own, resp.Noop = sum(s.ticks.late), sum(s.ticks.own), sum(s.noops)
	for _, c := range append(clients, s.quiet) {
		c.Close()
	}
	return errors.Join(err, errCPU, s.ticks.err)
}

// greeted is where a connection stands: its server knows of it, and has counted it.
func greeted(_ *conn.Client, rock any, _ *conn.Reply) {
	s := rock.(*storm)
	if s.left--; s.left == 0 {
		s.stop()
	}
}

// again sends the next NOOP when the last took so long.
func (s *storm) again(took time.Duration) {
	if took > 0 {
		s.noops = append(s.noops, took)
	}
	s.noop(s.again)
}

// ticks is a timer that is due every millisecond. When the loop is late for
// several of them it was late for each: all count, so that one long stall is not
// one sample among many short ones.
type ticks struct {
	due   time.Time
	timer *reactor.Timer
	used  time.Duration // CPU time of the process up to the last call
	late  []time.Duration
	own   []time.Duration // of each of late, at most what the process used since the last call
	err   error
}

func (t *ticks) start(l *reactor.Loop, now time.Time) {
	t.used, t.err = fleet.CPU()
	t.due = now.Add(time.Millisecond)
	t.timer = l.After(time.Millisecond, t.tick)
}

func (t *ticks) tick() {
	now := time.Now()
	used, err := fleet.CPU()
	t.err = errors.Join(t.err, err)
	for ; !t.due.After(now); t.due = t.due.Add(time.Millisecond) {
		late := now.Sub(t.due)
		t.late = append(t.late, late)
		t.own = append(t.own, min(late, used-t.used))
	}
	t.used = used
	t.timer.Reset(t.due.Sub(now))
}

func (t *ticks) stop() {
	t.tick()
	t.timer.Stop()
}
