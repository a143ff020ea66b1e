package tlsup

import (
	"crypto/tls"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	// defaultSessions bounds what a policy keeps for resumption: about 1 KiB each.
	defaultSessions = 1024
	// maxTicket bounds a ticket, in bytes. It is the server's, which may send 64 KiB;
	// real ones are a few hundred bytes, some KiB where they hold our certificate.
	maxTicket = 16 << 10
	// distrust is after how many handshakes in a row that failed while they resumed a
	// session all others with that server are dropped. crypto/tls wants the session
	// dropped at the first, which has happened when it was given out; but connections
	// that time out in a storm must not cost all others their sessions.
	distrust = 3
)

// sessionStore holds the sessions of all of a policy's servers and bounds them
// together. Its lock is taken in handshakes, on any goroutine, and never held while
// files are read.
type sessionStore struct {
	mu      sync.Mutex
	limit   int
	held    int
	clock   uint64 // sessions ever put: the age of each
	shelves map[*sessions]struct{}
}

// sessions are those that connections with one tls.Config may resume; it is that
// config's ClientSessionCache. crypto/tls checks very little of a session before it
// offers it: the dates and the name of the certificates, and that its chain still
// ends in a root of the config. Everything else (host, port, client certificate,
// pins, callbacks, who must be trusted) is held apart by there being one of these
// for each config, so the key that crypto/tls has, a server name, is of no use.
type sessions struct {
	store    *sessionStore
	tickets  []ticket // newest last
	failures int      // since the last ticket came
	closed   bool
}

type ticket struct {
	state *tls.ClientSessionState
	born  uint64
}

func (s *sessionStore) open() *sessions { return &sessions{store: s} }

// Get gives the newest session out, once: a server may refuse a TLS 1.3 ticket that
// it has seen (RFC 8446 appendix C.4), and connections with the same one can be
// linked. Only the last one is given out again, in case it works.
func (s *sessions) Get(string) (*tls.ClientSessionState, bool) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	n := len(s.tickets)
	if n == 0 {
		return nil, false
	}
	newest := s.tickets[n-1]
	if n > 1 {
		s.store.drop(s, n-1)
	}
	return newest.state, true
}

// Put adds a session; nil says that one which was given out did no good.
func (s *sessions) Put(_ string, state *tls.ClientSessionState) {
	store := s.store
	store.mu.Lock()
	defer store.mu.Unlock()
	switch {
	case s.closed:
	case state == nil:
		s.failures++
		if s.failures >= distrust || len(s.tickets) == 1 {
			s.clear()
		}
	case fits(state):
		s.failures = 0
		if store.held >= store.limit {
			store.evict()
		}
		store.clock++
		s.tickets = append(s.tickets, ticket{state, store.clock})
		store.held++
		store.shelves[s] = struct{}{}
	}
}

func fits(state *tls.ClientSessionState) bool {
	label, _, err := state.ResumptionState()
	return err == nil && len(label) <= maxTicket
}

// close drops the sessions, and all that are yet to come: connections with the
// config may live for months after it was replaced.
func (s *sessions) close() {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.closed = true
	s.clear()
}

func (s *sessions) clear() {
	s.store.held -= len(s.tickets)
	s.tickets, s.failures = nil, 0
	delete(s.store.shelves, s)
}

func (s *sessionStore) drop(from *sessions, i int) {
	from.tickets = slices.Delete(from.tickets, i, i+1) // clears the slot it frees
	s.held--
	if len(from.tickets) == 0 {
		delete(s.shelves, from)
	}
}

// evict drops the oldest session of the server that has most: one that sends
// tickets without end only drives out its own.
func (s *sessionStore) evict() {
	var most *sessions
	for shelf := range s.shelves {
		if most == nil || len(shelf.tickets) > len(most.tickets) ||
			len(shelf.tickets) == len(most.tickets) && shelf.tickets[0].born < most.tickets[0].born {
			most = shelf
		}
	}
	s.drop(most, 0)
}

// lent is a cache of the caller's, in which the sessions of one config have a key of
// their own. Keys are never used twice, in no process: see [sessions] for all that
// a name would have to stand for.
type lent struct {
	cache  tls.ClientSessionCache
	key    string
	closed atomic.Bool
}

func (l *lent) Get(string) (*tls.ClientSessionState, bool) {
	if l.closed.Load() {
		return nil, false
	}
	return l.cache.Get(l.key)
}

func (l *lent) Put(_ string, state *tls.ClientSessionState) {
	if !l.closed.Load() {
		l.cache.Put(l.key, state)
	}
}

func (l *lent) close() {
	if l.closed.CompareAndSwap(false, true) {
		l.cache.Put(l.key, nil)
	}
}
