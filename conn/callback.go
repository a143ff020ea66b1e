package conn

import (
	"slices"
	"unique"

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
//
// An entry for OK, NO, BAD or BYE with CallbackNoLiteral alone comes before all
// others, whenever it was added: in the C library these four are there from the
// start.
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
	c.callbacks = slices.Grow(c.callbacks, len(cbs))
	for i := range cbs {
		c.addCallback(&cbs[i])
	}
}

func (c *Client) addCallback(cb *Callback) {
	if cb.Flags&CallbackNoLiteral != 0 {
		c.framer.NoLiteral = c.noLiteral
	}
	e := entry{
		key:  unique.Make(callbackKey{upper(cb.Keyword), cb.Flags}),
		proc: cb.Proc,
		rock: cb.Rock,
	}
	for i := range c.callbacks {
		if c.callbacks[i].key == e.key {
			c.callbacks[i] = e
			return
		}
	}
	at := len(c.callbacks)
	if cb.Flags == CallbackNoLiteral && comesFirst(cb.Keyword) {
		at = 0
	}
	c.callbacks = slices.Insert(c.callbacks, at, e)
}

// comesFirst tells the keywords whose CallbackNoLiteral entries stand first.
func comesFirst(keyword string) bool {
	switch upper(keyword) {
	case "OK", "NO", "BAD", "BYE":
		return true
	}
	return false
}

// entry is a Callback as it is kept. A daemon's connections all register the same
// few keywords, so these are kept once for all of them.
type entry struct {
	key  unique.Handle[callbackKey]
	proc Proc
	rock any
}

type callbackKey struct {
	keyword string // upper case
	flags   CallbackFlags
}

// upper is strings.ToUpper for the letters whose case does not count, those of
// ASCII. Any other byte stays what it is.
func upper(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

// lookup finds the entry for a reply; nil when none wants it.
func (c *Client) lookup(keyword []byte, numbered bool) *entry {
	var fallback *entry
	for i := range c.callbacks {
		e := &c.callbacks[i]
		key := e.key.Value()
		if len(key.keyword) == len(keyword) &&
			(key.flags&CallbackNumbered != 0) == numbered &&
			wire.EqualFold(keyword, key.keyword) {
			return e
		}
		if key == (callbackKey{}) {
			fallback = e
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
	e := c.lookup(h.Keyword, h.Number >= 0)
	return e != nil && e.key.Value().flags&CallbackNoLiteral != 0
}
