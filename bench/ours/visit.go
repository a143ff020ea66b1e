package ours

import (
	"errors"

	"github.com/imclient/imclient/bench/fleet"
	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/tlsup"
)

// visitor makes connections beside those that are open, as many at once as those
// are. Each is closed by what it was made for.
type visitor struct {
	fleet   *Fleet
	dialer  conn.Dialer
	stands  func(*conn.Client)
	begin   int // connections not begun
	pending int // and those not ended
}

// visit does a job of connections, and calls stands with each.
func (f *Fleet) visit(job fleet.Job, d conn.Dialer, stands func(*conn.Client)) (fleet.Work, error) {
	f.work = fleet.Work{}
	total := len(f.agents) * job.Batches
	v := &visitor{fleet: f, dialer: d, stands: stands, begin: total, pending: total}
	v.dialer.OnClose = v.closed
	err := f.run(func() {
		for range f.agents {
			v.next()
		}
	})
	return f.work, err
}

func (v *visitor) next() {
	if v.begin == 0 {
		return
	}
	v.begin--
	v.fleet.connect(&v.dialer, func(c *conn.Client, err error) {
		if err != nil {
			v.fleet.fail(err)
			return
		}
		v.stands(c)
	})
}

// closed is told of every connection that stood, whatever became of it.
func (v *visitor) closed(_ *conn.Client, err error) {
	if !errors.Is(err, conn.ErrClosed) {
		v.fleet.fail(err)
		return
	}
	if v.pending--; v.pending == 0 {
		v.fleet.stop()
		return
	}
	v.next()
}

// shake makes connections in TLS, and closes each when it has greeted.
func (f *Fleet) shake(job fleet.Job) (fleet.Work, error) {
	policy := f.dialer.TLS
	if job.Verb == fleet.Handshake {
		policy = &tlsup.Policy{Files: policy.Files, Sessions: -1}
	}
	d := conn.Dialer{
		ImplicitTLS: true,
		TLS:         policy,
		Callbacks:   []conn.Callback{{Keyword: "OK", Proc: greeted, Rock: f}},
	}
	return f.visit(job, d, func(*conn.Client) {})
}

func greeted(c *conn.Client, rock any, _ *conn.Reply) {
	rock.(*Fleet).work.Commands++
	c.Close()
}
