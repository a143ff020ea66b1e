package ours

import (
	"errors"

	"github.com/imclient/imclient/bench/fleet"
	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/tlsup"
)

// shaker makes connections beside those that are open, as many at once as those
// are, and closes each when it has greeted.
type shaker struct {
	fleet   *Fleet
	dialer  conn.Dialer
	begin   int // connections not begun
	pending int // and those not ended
}

func (f *Fleet) shake(job fleet.Job) (fleet.Work, error) {
	f.work = fleet.Work{}
	total := len(f.agents) * job.Batches
	s := &shaker{fleet: f, begin: total, pending: total}
	s.dialer = conn.Dialer{
		ImplicitTLS: true,
		TLS:         f.dialer.TLS,
		Callbacks:   []conn.Callback{{Keyword: "OK", Proc: greeted, Rock: s}},
		OnClose:     s.closed,
	}
	if job.Verb == fleet.Handshake {
		s.dialer.TLS = &tlsup.Policy{Files: f.dialer.TLS.Files, Sessions: -1}
	}
	err := f.run(func() {
		for range f.agents {
			s.next()
		}
	})
	return f.work, err
}

func (s *shaker) next() {
	if s.begin == 0 {
		return
	}
	s.begin--
	s.fleet.connect(&s.dialer, func(_ *conn.Client, err error) { s.fleet.check(err) })
}

func greeted(c *conn.Client, rock any, _ *conn.Reply) {
	rock.(*shaker).fleet.work.Commands++
	c.Close()
}

// closed is told of every connection that stood, greeted or not.
func (s *shaker) closed(_ *conn.Client, err error) {
	if !errors.Is(err, conn.ErrClosed) {
		s.fleet.fail(err)
		return
	}
	if s.pending--; s.pending == 0 {
		s.fleet.stop()
		return
	}
	s.next()
}
