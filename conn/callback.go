package conn

import (
	"slices"

	"github.com/imclient/imclient/wire"
)

// Proc is a callback, imclient_proc_t of the manual page. It runs within
// ProcessOneEvent (or the loop's turn) on the goroutine that drives the
// connection. In it everything that does not wait is allowed, on this
// connection too: Send, Continue, AddCallback, flags, Close. Calls that wait
// return [ErrReentrant].
type Proc func(c *Client, rock any, r *Reply)

// CallbackFlags say which untagged replies a [Callback] is for.
type CallbackFlags uint8

const (
	// CallbackNumbered: replies with a message number, "* 5 EXPUNGE".
	CallbackNumbered CallbackFlags = 1 << iota
	// CallbackNoLiteral: the line is the whole reply even if it ends like a
	// literal's header. FETCH is framed by its literals all the same, so that
	// no message can pass for protocol.
	CallbackNoLiteral
)

// Callback is one entry for untagged replies (imclient_addcallback).
//
// A reply goes to the first entry, in order of registration, whose Keyword is
// its own (case does not count) and whose CallbackNumbered is set just when it
// has a number; else to the default, the entry with Keyword "" and no flags,
// which gets numbered replies too; else nowhere. A nil Proc calls nothing.
type Callback struct {
	Keyword string
	Flags   CallbackFlags
	Proc    Proc
	Rock    any
}

// AddCallback adds entries. One that is there already, with the same keyword
// and flags, keeps its place in the order and gets the new Proc and Rock.
// Legal in a callback, from the next reply on.
func (c *Client) AddCallback(cbs ...Callback) {
	if c.sharedCallbacks {
		c.callbacks = slices.Clone(c.callbacks)
		c.sharedCallbacks = false
	}
	for _, cb := range cbs {
		if i := slices.IndexFunc(c.callbacks, cb.sameKey); i >= 0 {
			c.callbacks[i].Proc, c.callbacks[i].Rock = cb.Proc, cb.Rock
		} else {
			c.callbacks = append(c.callbacks, cb)
		}
	}
}

func (cb Callback) sameKey(other Callback) bool {
	return cb.Flags == other.Flags && len(cb.Keyword) == len(other.Keyword) &&
		wire.EqualFold([]byte(cb.Keyword), other.Keyword)
}

// shareCallbacks starts with the Dialer's entries, without a copy of them for
// each connection unless two have the same key.
func (c *Client) shareCallbacks(cbs []Callback) {
	for i, cb := range cbs {
		if slices.ContainsFunc(cbs[:i], cb.sameKey) {
			c.AddCallback(cbs...)
			return
		}
	}
	c.callbacks, c.sharedCallbacks = cbs, true
}

// lookup finds the entry for a reply; nil when none wants it.
func (c *Client) lookup(keyword []byte, numbered bool) *Callback {
	var fallback *Callback
	for i := range c.callbacks {
		cb := &c.callbacks[i]
		if len(cb.Keyword) == len(keyword) &&
			(cb.Flags&CallbackNumbered != 0) == numbered &&
			wire.EqualFold(keyword, cb.Keyword) {
			return cb
		}
		if cb.Keyword == "" && cb.Flags == 0 {
			fallback = cb
		}
	}
	return fallback
}

// noLiteral tells the framer whether the callback for a reply asked for bare
// lines.
func (c *Client) noLiteral(h wire.Head) bool {
	if h.Kind != wire.Untagged || wire.EqualFold(h.Keyword, "FETCH") {
		return false
	}
	cb := c.lookup(h.Keyword, h.Number >= 0)
	return cb != nil && cb.Flags&CallbackNoLiteral != 0
}
