package main

import (
	"time"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/wire"
)

// op is a command in flight.
type op struct {
	session *session
	pending bool
	verb    verb
	set     bool   // store: the flag is set, not cleared
	lo, hi  uint16 // fetch, store: positions in the mailbox, inclusive
	seen    uint32 // fetch: bits of those that came, from lo
	began   time.Time
	wakes   *session // append
}

// send sends a command.
func (s *session) send(o op) {
	slot := s.slot()
	*slot = o
	slot.session, slot.pending, slot.began = s, true, time.Now()
	s.inFlight++
	s.alone = o.verb.alone() || s.phase != working
	if err := slot.write(s.client); err != nil {
		// Bad arguments, a refusal, or a connection that is ending: then the
		// callbacks of its end follow.
		s.release(slot)
		if s.client.Err() == nil {
			s.fail(o.verb, err)
			s.lost = true
			_ = s.client.Close()
		}
	}
}

// slot returns a free one. There is one: next looks before it sends, and the
// other phases send one command at a time.
func (s *session) slot() *op {
	for i := range s.ops {
		if !s.ops[i].pending {
			return &s.ops[i]
		}
	}
	panic("imload: more commands in flight than slots")
}

func (s *session) release(o *op) {
	o.pending, o.wakes = false, nil
	s.inFlight--
	s.alone = false
}

// write gives the command to the connection.
func (o *op) write(c *conn.Client) error {
	a := o.session.account
	switch o.verb {
	case verbLogin:
		return o.logIn(c)
	case verbSelect:
		return c.Send(finished, o, "SELECT %s", o.session.fleet.opt.mailbox)
	case verbFill:
		f := o.session.fleet
		return c.Send(finished, o, "APPEND %s %l", f.opt.mailbox, f.fillMails[o.lo])
	case verbSizes:
		return c.Send(finished, o, "FETCH 1:%d (UID RFC822.SIZE)", int(o.hi)+1)
	case verbNoop:
		return c.Send(finished, o, "NOOP")
	case verbHeaders:
		return c.Send(finished, o, "UID FETCH %u:%u (BODY.PEEK[HEADER])", a.uids[o.lo], a.uids[o.hi])
	case verbBody:
		return c.Send(finished, o, "UID FETCH %u (BODY.PEEK[])", a.uids[o.lo])
	case verbStore:
		sign := wire.Text("-FLAGS")
		if o.set {
			sign = "+FLAGS"
		}
		return c.Send(finished, o, "UID STORE %u %a (%a)", a.uids[o.lo], sign, storeKeyword)
	case verbIdle:
		return c.SendCommand(&conn.Command{Finish: finished, Rock: o, OnContinue: asleep}, "IDLE")
	case verbAppend:
		return c.Send(finished, o, "APPEND %s (\\Seen) %l", o.session.fleet.opt.mailbox, wakeMail)
	case verbDelete:
		return c.Send(finished, o, "UID STORE %a +FLAGS.SILENT (\\Deleted)", o.session.trashSet())
	case verbExpunge:
		return c.Send(finished, o, "UID EXPUNGE %a", o.session.trashSet())
	default:
		return c.Send(finished, o, "LOGOUT")
	}
}

// finished is the completion of every command.
func finished(_ *conn.Client, rock any, r *conn.Reply) {
	o := rock.(*op)
	s, done := o.session, *o
	s.release(o)
	err := r.AsError()
	switch {
	case r.Err != nil: // the connection is at its end
		s.lost = true
		s.fail(done.verb, err)
		if done.wakes != nil {
			done.wakes.wake()
		}
		return
	case err != nil:
		s.fail(done.verb, err)
	default:
		s.fleet.completed(done.verb, time.Since(done.began))
	}
	s.follow(&done, r, err == nil)
}

// follow is what comes after a command.
func (s *session) follow(done *op, r *conn.Reply, ok bool) {
	switch done.verb {
	case verbLogin, verbSelect, verbFill, verbSizes:
		if s.phase == entering {
			s.enter(done, ok)
			return
		}
	case verbHeaders, verbBody:
		if ok {
			s.checkComplete(done)
		}
	case verbIdle:
		s.awake()
	case verbAppend:
		s.appended(done, r, ok)
	case verbDelete:
		if ok {
			s.send(op{verb: verbExpunge})
			return
		}
		s.cleaned()
	case verbExpunge:
		s.cleaned()
	case verbLogout:
		_ = s.client.Close()
		return
	}
	s.next()
}

// gotBye keeps what the server says before it hangs up.
func gotBye(c *conn.Client, rock any, r *conn.Reply) {
	f := rock.(*fleet)
	if s := f.byClient[c]; s != nil && s.phase != leaving {
		s.bye = string(r.Text[:min(len(r.Text), 200)])
	}
}

// gotExists hears of new mail, which is what an IDLE waits for.
func gotExists(c *conn.Client, rock any, r *conn.Reply) {
	f := rock.(*fleet)
	if s := f.byClient[c]; s != nil {
		s.exists = uint32(r.MsgNo)
		s.stirred()
	}
}
