// Package ours is the side of this library: one loop, driven by one goroutine,
// with the callbacks of a small application.
package ours

import (
	"context"
	"fmt"
	"strconv"

	"github.com/imclient/imclient/bench/fleet"
	"github.com/imclient/imclient/bench/server"
	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/reactor"
	"github.com/imclient/imclient/sasl"
	"github.com/imclient/imclient/tlsup"
	"github.com/imclient/imclient/wire"
)

// Fleet is our side of a benchmark. Its zero value is ready to Open.
type Fleet struct {
	Prot sasl.Prot // of connections, that have logged in by GSSAPI; 0: by LOGIN

	server fleet.Server
	dialer conn.Dialer
	loop   *reactor.Loop
	agents []agent
	mechs  map[string][]sasl.Mechanism // each alone, by its name

	stop func() // ends the loop's run
	done func() // of each: one more connection is done
	err  error  // why the run was ended early

	job  fleet.Job
	work fleet.Work
	left int // agents that have not done their job
}

// agent is the application's part of a connection.
type agent struct {
	fleet   *Fleet
	client  *conn.Client
	pending int // commands of the batch that have not completed
	batches int // still to send
}

// Open connects as an application with a loop does.
func (f *Fleet) Open(s fleet.Server, n int) (err error) {
	if f.loop, err = reactor.New(); err != nil {
		return err
	}
	f.server = s
	if s.CA != "" {
		f.dialer.ImplicitTLS, f.dialer.TLS = true, &tlsup.Policy{Files: tlsup.Files{CA: s.CA}}
	}
	f.mechs = mechanisms(s)
	f.agents = make([]agent, n)
	return f.each(func(i int) {
		f.connect(&f.dialer, func(c *conn.Client, err error) {
			if err != nil {
				f.fail(err)
				return
			}
			f.agents[i] = agent{fleet: f, client: c}
			f.agents[i].enter(fleet.User(i))
		})
	})
}

func (f *Fleet) connect(d *conn.Dialer, done func(*conn.Client, error)) {
	host, port := f.server.Addr.Addr().String(), strconv.Itoa(int(f.server.Addr.Port()))
	d.ConnectAsync(context.Background(), f.loop, host, port, done)
}

// enter registers the eight callbacks of which the contract speaks, logs in and
// selects.
func (a *agent) enter(user string) {
	a.client.AddCallback(
		conn.Callback{Keyword: "FETCH", Flags: conn.CallbackNumbered, Proc: fetched, Rock: a},
		conn.Callback{Keyword: "EXISTS", Flags: conn.CallbackNumbered, Proc: ignore, Rock: a},
		conn.Callback{Keyword: "RECENT", Flags: conn.CallbackNumbered, Proc: ignore, Rock: a},
		conn.Callback{Keyword: "EXPUNGE", Flags: conn.CallbackNumbered, Proc: ignore, Rock: a},
		conn.Callback{Keyword: "FLAGS", Proc: ignore, Rock: a},
		conn.Callback{Keyword: "CAPABILITY", Proc: ignore, Rock: a},
		conn.Callback{Keyword: "OK", Proc: ignore, Rock: a},
		conn.Callback{Keyword: "BYE", Proc: ignore, Rock: a},
	)
	selects := func() { a.exchange(a.fleet.done, "SELECT %s", "INBOX") }
	f := a.fleet
	if f.Prot == 0 {
		a.exchange(selects, "LOGIN %s %p", user, fleet.Password)
		return
	}
	f.check(a.client.AuthenticateAsync(f.mechs["GSSAPI"], "imap", "", f.Prot, func(err error) {
		if f.check(err); err == nil {
			selects()
		}
	}))
}

func ignore(*conn.Client, any, *conn.Reply) {}

// exchange sends a command and calls next when it has completed with OK.
func (a *agent) exchange(next func(), format string, args ...any) {
	a.fleet.check(a.client.Send(func(_ *conn.Client, _ any, r *conn.Reply) {
		if a.fleet.ok(r) {
			next()
		}
	}, nil, format, args...))
}

// Run sends a batch on every connection; [completed] sends the others.
func (f *Fleet) Run(job fleet.Job) (fleet.Work, error) {
	switch {
	case job.Verb.IsHandshake():
		return f.shake(job)
	case job.Verb.Mechanism() != "":
		return f.logIn(job)
	}
	f.job, f.work, f.left = job, fleet.Work{}, len(f.agents)
	before := f.syscalls()
	err := f.run(func() {
		for i := range f.agents {
			f.agents[i].batches = job.Batches
			f.agents[i].sendBatch()
		}
	})
	f.work.Syscalls = f.syscalls() - before
	return f.work, err
}

func (a *agent) sendBatch() {
	a.batches--
	a.pending = a.fleet.job.Depth
	for range a.pending {
		var err error
		if n := a.fleet.job.Verb.Message(); n > 0 {
			err = a.client.Send(completed, a, "FETCH %u (BODY.PEEK[])", n)
		} else {
			err = a.client.Send(completed, a, "NOOP")
		}
		a.fleet.check(err)
	}
}

// completed is called for every command of a job.
func completed(_ *conn.Client, rock any, r *conn.Reply) {
	a := rock.(*agent)
	if !a.fleet.ok(r) {
		return
	}
	a.fleet.work.Commands++
	if a.pending--; a.pending > 0 {
		return
	}
	if a.batches > 0 {
		a.sendBatch()
		return
	}
	if a.fleet.left--; a.fleet.left == 0 {
		a.fleet.stop()
	}
}

// fetched counts the octets of the literals in a FETCH reply.
func fetched(_ *conn.Client, rock any, r *conn.Reply) {
	a := rock.(*agent)
	cur := wire.NewCursor(r.Text)
	cur.ExpectListBegin()
	for cur.More() {
		if body, ok := cur.Literal(); ok {
			a.fleet.work.Literals += int64(len(body.Bytes(nil)))
		} else {
			cur.ExpectSkip()
		}
	}
	a.fleet.check(cur.Err())
}

// Idle has every connection fetch the large message and leaves IDLE pending.
func (f *Fleet) Idle() error {
	f.work = fleet.Work{}
	err := f.each(func(i int) {
		a := &f.agents[i]
		a.exchange(a.idle, "FETCH %u (BODY.PEEK[])", uint32(2))
	})
	if want := int64(len(f.agents)) * server.Large; err == nil && f.work.Literals != want {
		err = fmt.Errorf("ours: literals of %d octets, not %d", f.work.Literals, want)
	}
	return err
}

// idle is done when the server says that it idles. The command stays pending.
func (a *agent) idle() {
	a.fleet.check(a.client.SendCommand(&conn.Command{Finish: idled, Rock: a, OnContinue: idling}, "IDLE"))
}

func idling(_ *conn.Client, rock any, _ *conn.Reply) { rock.(*agent).fleet.done() }
func idled(_ *conn.Client, rock any, r *conn.Reply)  { rock.(*agent).fleet.ok(r) }

// atOnce is how many connections each has on their way at the same time: a
// server's backlog and its memory for unsent messages are bounded.
const atOnce = 100

// each calls start for every connection in turn, and runs the loop until each
// of them has called done.
func (f *Fleet) each(start func(i int)) error {
	next, left := 0, len(f.agents)
	begin := func() {
		if next < len(f.agents) {
			next++
			start(next - 1)
		}
	}
	f.done = func() {
		if left--; left == 0 {
			f.stop()
			return
		}
		begin()
	}
	return f.run(func() {
		for range atOnce {
			begin()
		}
	})
}

// run calls begin and then runs the loop until something calls stop or fail.
func (f *Fleet) run(begin func()) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	f.stop = stop
	begin()
	if err := f.loop.Run(ctx); f.err == nil && ctx.Err() == nil {
		return err
	}
	return f.err
}

// fail ends the run; the first error is the one that run returns.
func (f *Fleet) fail(err error) {
	if f.err == nil {
		f.err = err
	}
	f.stop()
}

func (f *Fleet) check(err error) {
	if err != nil {
		f.fail(err)
	}
}

// ok reports whether a command has succeeded; if not, the fleet has failed.
func (f *Fleet) ok(r *conn.Reply) bool {
	if r.Keyword == "OK" {
		return true
	}
	f.fail(fmt.Errorf("ours: %s %q, %w", r.Keyword, r.Text, r.AsError()))
	return false
}

// syscalls adds up what loop and connections have counted.
func (f *Fleet) syscalls() int64 {
	n := f.loop.Stats().Waits
	for i := range f.agents {
		s := f.agents[i].client.Stats()
		n += s.Reads + s.Writes
	}
	return int64(n)
}
