package krb5

import (
	"container/list"
	"context"
	"crypto/sha256"
	"errors"
	"time"
)

// identity is whose tickets: those of another source, of a source that has changed, or
// by another password are others.
type identity struct {
	kind   string // "ccache", "keytab", "password"
	name   string // of the file
	client string
	loaded [2]uint64         // which reading of the configuration, and of the file
	digest [sha256.Size]byte // of the password, keyed
}

// ticketID is what tickets are kept by.
type ticketID struct {
	identity
	server string
}

// kept is a ticket in the cache.
type kept struct {
	id     ticketID
	ticket *Ticket
	renew  time.Time // when to fetch the next, by our clock; it lasts for longer
}

// flight is a ticket being fetched. It ends when nobody waits for it any more.
type flight struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiters int  // guarded by Fleet.mu
	inner   bool // guarded by Fleet.mu: only other fetches wait
	ticket  *Ticket
	err     error
}

// fetch gets a ticket. old is the one that it is to be better than; nil: there is none.
type fetch func(ctx context.Context, old *Ticket) (*Ticket, error)

// prepare makes a fetch when one begins: it takes copies of what belongs to the caller.
type prepare func() fetch

// get returns a ticket that is kept, or has it fetched: once, however many want it.
// Where the ticket is near its end, the caller has it still, and the next one is
// fetched meanwhile. inner: it is for another fetch, which waits for the next one, and
// is not counted.
func (f *Fleet) get(ctx context.Context, id ticketID, inner bool, how prepare) (*Ticket, error) {
	f.mu.Lock()
	k := f.lookup(id)
	if k != nil && (f.now().Before(k.renew) || !inner) {
		defer f.mu.Unlock()
		f.stats.Hits += count(!inner)
		if !f.now().Before(k.renew) && f.underway[id] == nil {
			f.ahead(ctx, id, k.ticket, how)
		}
		return k.ticket, nil
	}
	var old *Ticket
	if k != nil {
		old = k.ticket
	}
	fl := f.underway[id]
	if fl != nil {
		f.stats.Waits += count(!inner)
	} else {
		own, cancel := context.WithCancel(context.WithoutCancel(ctx))
		fl = f.begin(own, cancel, id, old, how)
	}
	fl.inner = fl.inner && inner
	fl.waiters++
	f.mu.Unlock()
	return f.await(ctx, id, fl, old)
}

func count(yes bool) uint64 {
	if yes {
		return 1
	}
	return 0
}

// ahead begins a flight that nobody waits for: it has a time to end by. It is called
// with mu held.
func (f *Fleet) ahead(ctx context.Context, id ticketID, old *Ticket, how prepare) {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), aheadRequests*f.timeout)
	fl := f.begin(bounded, cancel, id, old, how)
	fl.inner = false
	fl.waiters++
}

// aheadRequests is how many requests in a row a ticket that is fetched ahead may take.
const aheadRequests = 4

// begin is called with mu held.
func (f *Fleet) begin(ctx context.Context, cancel context.CancelFunc, id ticketID, old *Ticket, how prepare) *flight {
	fl := &flight{done: make(chan struct{}), cancel: cancel, inner: true}
	f.underway[id] = fl
	go f.fly(ctx, fl, id, old, how())
	return fl
}

// fly fetches. Its end is deferred for the sake of those who wait, should how panic.
func (f *Fleet) fly(ctx context.Context, fl *flight, id ticketID, old *Ticket, how fetch) {
	defer func() {
		fl.cancel()
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.underway[id] == fl {
			delete(f.underway, id)
			f.land(fl, id)
		}
		close(fl.done)
	}()
	fl.err = broken
	err := guarded(func() (err error) {
		fl.ticket, err = how(ctx, old)
		return err
	})
	var panicked *panicError
	if !errors.As(err, &panicked) {
		fl.err = err
	}
}

var broken = &Error{What: "what a KDC or a file says has broken the code that reads it", Look: "the KDC, the credential cache and the keytab", Kind: BadReply}

// land keeps what was fetched. Where it was not, or is no better than what is kept, the
// next try is when half of the time is gone that is left. It is called with mu held.
func (f *Fleet) land(fl *flight, id ticketID) {
	now := f.now()
	k := f.lookup(id)
	if fl.err != nil {
		f.stats.Failures += count(!fl.inner)
		if k != nil {
			k.renew = halfway(now, k.ticket)
		}
		return
	}
	if k != nil && !fl.ticket.End.After(k.ticket.End) {
		k.renew = halfway(now, k.ticket)
		return
	}
	f.keep(id, fl.ticket, now)
}

func halfway(now time.Time, t *Ticket) time.Time {
	return now.Add(t.End.Sub(now.Add(t.Offset)) / 2)
}

// await waits for a flight. Who has a good ticket still takes it where the flight fails.
func (f *Fleet) await(ctx context.Context, id ticketID, fl *flight, old *Ticket) (*Ticket, error) {
	select {
	case <-fl.done:
		if fl.err != nil && old != nil {
			return old, nil
		}
		return fl.ticket, fl.err
	case <-ctx.Done():
	}
	e := Error{What: "a ticket for " + id.server + " was waited for, but not for long enough", Look: "kdc in [realms] in krb5.conf: those KDCs are slow", Kind: NoKDC}
	if f.leave(id, fl) {
		// The last one ends the flight, which knows what it was that took so long.
		<-fl.done
		var known *Error
		if errors.As(fl.err, &known) {
			e = *known
		}
	}
	e.Err = ctx.Err()
	return nil, &e
}

// leave ends a flight with the last who waits for it: who comes later begins another.
func (f *Fleet) leave(id ticketID, fl *flight) (last bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl.waiters--; fl.waiters > 0 {
		return false
	}
	if f.underway[id] == fl {
		delete(f.underway, id)
	}
	fl.cancel()
	return true
}

// holds tells whether a ticket is kept and valid.
func (f *Fleet) holds(id ticketID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lookup(id) != nil
}

// lookup returns what is kept and valid. It is called with mu held.
func (f *Fleet) lookup(id ticketID) *kept {
	e := f.tickets[id]
	if e == nil {
		return nil
	}
	k := e.Value.(*kept)
	if !k.ticket.End.After(f.now().Add(k.ticket.Offset)) {
		f.remove(e)
		return nil
	}
	f.recent.MoveToFront(e)
	return k
}

// keep is called with mu held.
func (f *Fleet) keep(id ticketID, t *Ticket, now time.Time) {
	if e := f.tickets[id]; e != nil {
		f.remove(e)
	}
	for f.recent.Len() >= f.max {
		f.remove(f.recent.Back())
	}
	f.tickets[id] = f.recent.PushFront(&kept{id: id, ticket: t, renew: renewal(t, now)})
}

func (f *Fleet) remove(e *list.Element) { delete(f.tickets, f.recent.Remove(e).(*kept).id) }

// renewal is when a ticket is near its end: a tenth of its life is left, at most ten
// minutes.
func renewal(t *Ticket, now time.Time) time.Time {
	end := t.End.Add(-t.Offset)
	return end.Add(-min(t.End.Sub(t.Start)/10, 10*time.Minute))
}

// nearEnd is what get fetches the next ticket for.
func nearEnd(t *Ticket, now time.Time) bool { return !now.Before(renewal(t, now)) }
