package main

import (
	"fmt"
	"math/bits"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/wire"
)

// storeKeyword is the flag that STORE sets and clears: one that no user has.
const storeKeyword = wire.Text("$imload")

// fetched is what a FETCH reply may hold of what we ask for. Its slices are
// valid as long as the reply's text.
type fetched struct {
	uid          uint32 // 0: none
	size         int64  // -1: none
	header, body []byte // nil: none
	flags        bool
	marked       bool // with flags: storeKeyword is among them
}

// parseFetch reads the text of a FETCH reply. false: it is none.
func parseFetch(text []byte) (f fetched, ok bool) {
	f.size = -1
	c := wire.NewCursor(text)
	if !c.ListBegin() {
		return f, false
	}
	for c.More() {
		name, ok := c.Atom()
		if !ok {
			return f, false
		}
		c.Special(']') // no atom holds it: BODY[HEADER], BODY[]
		if !c.SP() || !f.item(name, &c) {
			return f, false
		}
	}
	return f, c.Err() == nil && c.End()
}

// item takes the value of one item.
func (f *fetched) item(name []byte, c *wire.Cursor) (ok bool) {
	switch {
	case wire.EqualFold(name, "UID"):
		f.uid, ok = c.Number()
	case wire.EqualFold(name, "RFC822.SIZE"):
		f.size, ok = c.Number64()
	case wire.EqualFold(name, "BODY[HEADER"):
		f.header, ok = section(c)
	case wire.EqualFold(name, "BODY["):
		f.body, ok = section(c)
	case wire.EqualFold(name, "FLAGS"):
		f.flags = true
		f.marked, ok = hasFlag(c, string(storeKeyword))
	default:
		ok = c.Skip()
	}
	return ok
}

// section takes the bytes of a section; NIL counts as none at all.
func section(c *wire.Cursor) ([]byte, bool) {
	s, ok := c.NString()
	b := s.Bytes(nil)
	if b == nil {
		b = []byte{}
	}
	return b, ok
}

// hasFlag takes a list of flags and looks for one in it.
func hasFlag(c *wire.Cursor, want string) (found, ok bool) {
	if !c.ListBegin() {
		return false, false
	}
	for c.More() {
		flag, ok := c.Flag()
		if !ok {
			return false, false
		}
		found = found || wire.EqualFold(flag, want)
	}
	return found, c.Err() == nil
}

// gotFetch is every FETCH reply: an answer, or news of a flag that the partner
// has changed.
func gotFetch(c *conn.Client, rock any, r *conn.Reply) {
	s := rock.(*fleet).byClient[c]
	if s == nil {
		return
	}
	got, ok := parseFetch(r.Text)
	if !ok {
		s.failAs(verbHeaders, "malformed FETCH", fmt.Sprintf("%.100q", r.Text))
		return
	}
	if got.size >= 0 && s.phase == entering {
		s.survey = append(s.survey, surveyed{got.uid, uint32(got.size)})
	}
	if got.header != nil {
		s.check(verbHeaders, got.uid, got.header)
	}
	if got.body != nil {
		s.check(verbBody, got.uid, got.body)
	}
	if got.flags {
		s.checkFlag(got)
	}
}

// asked finds the oldest command of a kind that asked for a message, and does
// not have it yet.
func (s *session) asked(v verb, uid uint32) (o *op, at int) {
	at, ok := s.account.position(uid)
	if !ok {
		return nil, 0
	}
	for i := range s.ops {
		candidate := &s.ops[i]
		if candidate.pending && candidate.verb == v &&
			int(candidate.lo) <= at && at <= int(candidate.hi) &&
			candidate.seen&(1<<(at-int(candidate.lo))) == 0 &&
			(o == nil || candidate.began.Before(o.began)) {
			o = candidate
		}
	}
	return o, at
}

// check compares what came with what it must be.
func (s *session) check(v verb, uid uint32, data []byte) {
	o, at := s.asked(v, uid)
	if o == nil {
		s.failAs(v, "not asked for", fmt.Sprintf("UID %d", uid))
		return
	}
	o.seen |= 1 << (at - int(o.lo))
	f := s.fleet
	ours, problem := f.check.compare(s.account, at, v, data)
	if problem != "" {
		s.failAs(v, "wrong bytes", fmt.Sprintf("UID %d: %s", uid, problem))
		return
	}
	f.meter.checked(v, len(data), ours)
}

// checkComplete makes sure that a FETCH brought all that it asked for.
func (s *session) checkComplete(done *op) {
	want := int(done.hi-done.lo) + 1
	if got := bits.OnesCount32(done.seen); got != want {
		s.failAs(done.verb, "incomplete", fmt.Sprintf("%d of %d messages came", got, want))
	}
}

// checkFlag compares a flag with what this session has just made of it. News of
// what others do to their messages is no answer, nor is any where messages are
// not a member's own. Of two STOREs in flight for one message Dovecot may answer
// the first with what the second has made of it.
func (s *session) checkFlag(got fetched) {
	if !s.account.private() {
		return
	}
	o, at := s.asked(verbStore, got.uid)
	if o == nil || o.set == got.marked {
		return
	}
	for i := range s.ops {
		if other := &s.ops[i]; other != o && other.pending && other.verb == verbStore && int(other.lo) == at {
			return
		}
	}
	s.failAs(verbStore, "flag not stored", fmt.Sprintf("UID %d: %s is %v", got.uid, storeKeyword, got.marked))
}

// adoptSurvey takes the answer over, unless the partner's came first.
func (s *session) adoptSurvey(done *op) bool {
	found := s.survey
	s.survey = nil
	if s.account.known() {
		return true
	}
	problem := s.fleet.check.adopt(s.account, found, int(done.hi)+1)
	if problem != "" {
		s.failAs(verbSizes, "wrong contents", problem)
	}
	return problem == ""
}
