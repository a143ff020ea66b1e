package main

import (
	"strconv"
	"time"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/wire"
)

// trashLimit is how many mails a session leaves lying about before it deletes
// them, all at once.
const trashLimit = 8

// wakeMail is what wakes the one who IDLEs. It is deleted again.
var wakeMail = []byte("From: imload <imload@localhost>\r\n" +
	"To: imload <imload@localhost>\r\n" +
	"Subject: imload wakes a connection that IDLEs\r\n" +
	"\r\n" +
	"This mail may be deleted.\r\n")

// sleep is an IDLE. Of two partners one at most sleeps, since the other has to
// wake it.
type sleep struct {
	planned bool      // chosen; until the IDLE has completed
	asleep  bool      // between the server's "+" and our DONE
	called  time.Time // when the APPEND that is to wake us was sent; zero: not yet
}

// maySleep reports whether there is somebody who will wake us.
func (s *session) maySleep() bool {
	return s.partner != nil && s.partner.phase == working && !s.partner.idle.planned
}

// asleep is the "+" of IDLE: the partner is asked to wake us.
func asleep(_ *conn.Client, rock any, _ *conn.Reply) {
	s := rock.(*op).session
	s.idle.asleep = true
	if s.fleet.stopping || s.partner.phase == over {
		s.wake()
		return
	}
	s.partner.owed = append(s.partner.owed, s)
	s.partner.next()
}

// wakeOther wakes the first of those who wait for it, with an APPEND.
func (s *session) wakeOther() {
	sleeper := s.owed[0]
	s.owed = append(s.owed[:0], s.owed[1:]...)
	if sleeper.idle.asleep {
		sleeper.idle.called = time.Now()
		s.calling++
		s.send(op{verb: verbAppend, wakes: sleeper})
	}
}

// stirred is new mail. In a mailbox that more than two share it may be another's
// before ours has been sent: that is not the wake we measure.
func (s *session) stirred() {
	if s.idle.asleep && !s.idle.called.IsZero() {
		s.fleet.meter.done(verbWake, time.Since(s.idle.called))
		s.wake()
	}
}

// overslept gives up a wake that does not come.
func (s *session) overslept() {
	limit := s.fleet.wakeLimit
	if s.idle.asleep && !s.idle.called.IsZero() && time.Since(s.idle.called) > limit {
		s.failAs(verbIdle, "not woken", "no EXISTS "+limit.String()+" after the APPEND")
		s.wake()
	}
}

// wake ends the IDLE, if there is one.
func (s *session) wake() {
	if !s.arise() {
		return
	}
	if err := s.client.Continue("DONE"); err != nil && s.client.Err() == nil {
		s.fail(verbIdle, err)
	}
}

// arise ends the waiting for a wake and reports whether there was any.
func (s *session) arise() bool {
	if !s.idle.asleep {
		return false
	}
	s.idle.asleep = false
	if !s.idle.called.IsZero() {
		s.partner.calling--
	}
	return true
}

// awake is the completion of IDLE: now it may be the partner's turn.
func (s *session) awake() {
	s.idle = sleep{}
	if s.partner != nil {
		s.partner.next()
	}
}

// appended is the completion of the APPEND. A server with UIDPLUS says which
// message it made (RFC 4315 section 3), and then it is deleted later on.
func (s *session) appended(done *op, r *conn.Reply, ok bool) {
	if !ok {
		done.wakes.wake() // no mail, no push
		return
	}
	if uid, ok := appendUID(r.Text); ok {
		s.trash = append(s.trash, uid)
	}
}

// appendUID reads `[APPENDUID uidvalidity uid]`.
func appendUID(text []byte) (uint32, bool) {
	status := wire.NewCursor(text)
	code, arg, ok := status.Code()
	if !ok || !wire.EqualFold(code, "APPENDUID") {
		return 0, false
	}
	c := wire.NewCursor(arg)
	if _, ok := c.Number(); !ok || !c.SP() {
		return 0, false
	}
	uid, ok := c.Number()
	return uid, ok && c.End()
}

// mayClean reports whether it is time to delete. What is to wake somebody stays
// until it has: Dovecot looks at a mailbox half a second after a change, and
// then does not mention mail that has come and gone.
func (s *session) mayClean() bool {
	return len(s.trash) >= trashLimit && s.cleaning == 0 && s.calling == 0
}

// clean deletes what was appended: UID STORE, then UID EXPUNGE, which spares
// what others have marked \Deleted.
func (s *session) clean() {
	s.cleaning = len(s.trash)
	s.send(op{verb: verbDelete})
}

// cleaned forgets what was deleted; or could not be, which has been counted.
func (s *session) cleaned() {
	s.trash = s.trash[:copy(s.trash, s.trash[s.cleaning:])]
	s.cleaning = 0
}

// trashSet is the sequence-set of what is being deleted.
func (s *session) trashSet() wire.Text {
	var set []byte
	for i, uid := range s.trash[:s.cleaning] {
		if i > 0 {
			set = append(set, ',')
		}
		set = strconv.AppendUint(set, uint64(uid), 10)
	}
	return wire.Text(set)
}
