package krb5

import (
	"container/list"
	"context"
	"crypto/rand"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options say where credentials and KDCs are. The zero value is what MIT's programs do
// in the same environment.
type Options struct {
	// Config is a list of files as in KRB5_CONFIG; "": what the environment says.
	Config string
	// CCache and Keytab name credentials as the environment's KRB5CCNAME and
	// KRB5_CLIENT_KTNAME do. Where one of them, or Password, is set, those are all; else
	// the environment's and the configuration's are tried, the cache first.
	CCache, Keytab string
	// Principal is whose tickets; "": those of whom the cache or keytab is of.
	Principal string
	// Password is asked, at each login and with the ctx of Ticket, where neither cache nor
	// keytab has anything; nil: there is none. The password is the caller's to give away:
	// it is overwritten.
	Password func(ctx context.Context) (principal string, password []byte, err error)
	// Canonicalize lets KDCs name the client and the service otherwise than we do.
	Canonicalize bool
	Timeout      time.Duration // of one request to the KDCs of a realm; 0: 10 s
	Max          int           // tickets kept; 0: 1024

	Now      func() time.Time    // nil: time.Now
	Getenv   func(string) string // nil: os.Getenv
	Resolver Resolver            // nil: net.DefaultResolver
	// Dial connects to KDCs, by "tcp", "udp" and "unix", and must end soon when ctx does; nil: a
	// net.Dialer's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Limit runs what computes for a while; nil: at once. Its error is ctx's.
	Limit func(ctx context.Context, compute func()) error
}

// Fleet has tickets for any number of logins, from any number of goroutines: it keeps
// them, and fetches each but once however many ask. It has no goroutine while nothing
// is fetched.
type Fleet struct {
	opaque
	o       Options
	now     func() time.Time
	timeout time.Duration
	stagger time.Duration
	max     int
	secret  [32]byte // passwords are told apart under it

	files files // what was read

	mu       sync.Mutex
	stats    Stats
	tickets  map[ticketID]*list.Element // of recent, whose values are *kept
	recent   *list.List
	underway map[ticketID]*flight
}

// Stats count since the start.
type Stats struct {
	AS, TGS  uint64 // requests sent: an AS exchange with pre-authentication is two
	Hits     uint64 // tickets given out that were there
	Waits    uint64 // logins that waited for a ticket which another was fetching
	Failures uint64 // fetches that failed
	Kept     int    // tickets kept now, ticket granting tickets too
}

// New returns a fleet. It reads nothing yet.
func New(o Options) *Fleet {
	f := &Fleet{
		o: o, now: o.Now, timeout: o.Timeout, stagger: time.Second, max: o.Max,
		tickets: make(map[ticketID]*list.Element), recent: list.New(),
		underway: make(map[ticketID]*flight),
	}
	rand.Read(f.secret[:])
	f.files.turn = make(chan struct{}, 1)
	if f.now == nil {
		f.now = time.Now
	}
	if f.timeout <= 0 {
		f.timeout = 10 * time.Second
	}
	if f.max <= 0 {
		f.max = 1024
	}
	if f.o.Resolver == nil {
		f.o.Resolver = net.DefaultResolver
	}
	if f.o.Dial == nil {
		f.o.Dial = new(net.Dialer).DialContext
	}
	if f.o.Limit == nil {
		f.o.Limit = func(ctx context.Context, compute func()) error { compute(); return nil }
	}
	return f
}

// Ticket returns a ticket for service/host, as the host is named: nothing is looked up
// to find another name for it. It belongs to all who have asked for it and is not to be
// changed. It blocks, for at most some requests' timeouts; ctx ends only this wait,
// and the fetch with the last who waits.
//
// Errors are *Error, which wraps ctx's where that ended the wait; Password's as it is.
func (f *Fleet) Ticket(ctx context.Context, service, host string) (*Ticket, error) {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if service == "" || host == "" || len(service)+len(host) > maxNameLen {
		return nil, &Error{What: "a service has no name, or none of this length", Look: "the host as the program names it", Kind: UnknownService}
	}
	config, loaded, err := f.files.config(ctx, &f.o)
	if err != nil {
		return nil, err
	}
	s, err := f.source(ctx, config, loaded)
	if err != nil {
		return nil, err
	}
	defer s.wipe()
	id := ticketID{s.identity, Service(service, host, "").String()}
	return f.get(ctx, id, false, s.service(service, host))
}

// Drop forgets a ticket that a login has failed with: the next login fetches another.
func (f *Fleet) Drop(t *Ticket) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for e := f.recent.Front(); e != nil; e = e.Next() {
		if e.Value.(*kept).ticket == t {
			f.remove(e)
			break
		}
	}
	t.drop() // it may be in the cache's file, too
}

// Stats returns what was counted.
func (f *Fleet) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stats
	s.Kept = f.recent.Len()
	return s
}

func (f *Fleet) sent(kind int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stats.AS += count(kind == msgASReq)
	f.stats.TGS += count(kind == msgTGSReq)
}

// files are what was read last. A changed one is read again, by one at a time: where a
// file system does not answer, the others wait for as long as their contexts let them.
type files struct {
	turn      chan struct{} // holds one while somebody reads
	conf      *Config
	cache     *CCache
	keys      *Keytab
	cacheConf *Config // what cache was loaded by
	cacheName Setting
	client    Principal
	keysName  Setting
	confN     uint64 // how often each was read
	cacheN    uint64
	keysN     uint64
}

func (l *files) lock(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &Error{
			What: "the files of Kerberos were not read in time", Kind: BadFile, Err: ctx.Err(),
			Look: "the file systems of krb5.conf, the credential cache and the keytab",
		}
	}
}

func (l *files) unlock() { <-l.turn }

func (l *files) config(ctx context.Context, o *Options) (*Config, uint64, error) {
	if err := l.lock(ctx); err != nil {
		return nil, 0, err
	}
	defer l.unlock()
	if l.conf == nil || l.conf.Changed() {
		c, err := LoadConfig(o.Config, o.Getenv)
		if err != nil {
			return nil, 0, err
		}
		l.conf = c
		l.confN++
	}
	return l.conf, l.confN, nil
}

func (l *files) ccache(ctx context.Context, config *Config, name Setting, client Principal) (*CCache, uint64, error) {
	if err := l.lock(ctx); err != nil {
		return nil, 0, err
	}
	defer l.unlock()
	if l.cache == nil || l.cacheConf != config || l.cacheName != name || !l.client.Equal(client) || l.cache.Changed() {
		l.cache = nil
		c, err := LoadCCache(name, client)
		if err != nil {
			return nil, 0, err
		}
		if !config.KDCTimesync {
			c.Offset = 0 // our clock is to be right
		}
		c.skew = config.ClockSkew
		for i := range c.Tickets {
			c.Tickets[i].Offset, c.Tickets[i].dropped = c.Offset, new(atomic.Bool)
		}
		l.cache, l.cacheConf, l.cacheName, l.client = c, config, name, client
		l.cacheN++
	}
	return l.cache, l.cacheN, nil
}

func (l *files) keytab(ctx context.Context, name Setting) (*Keytab, uint64, error) {
	if err := l.lock(ctx); err != nil {
		return nil, 0, err
	}
	defer l.unlock()
	if l.keys == nil || l.keysName != name || l.keys.Changed() {
		l.keys = nil
		k, err := LoadKeytab(name)
		if err != nil {
			return nil, 0, err
		}
		l.keys, l.keysName = k, name
		l.keysN++
	}
	return l.keys, l.keysN, nil
}

// staleCode is a KDC's word that a ticket granting ticket is no good any more.
func staleCode(err error) bool {
	var e *Error
	return errors.As(err, &e) && stale(e.Code)
}
