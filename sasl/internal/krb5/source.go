package krb5

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"io/fs"
	"strings"
	"time"
)

// source is what a login's tickets come from: a credential cache, a keytab or a
// password.
type source struct {
	identity
	fleet  *Fleet
	config *Config
	client Principal

	// One of these:
	cache    *CCache
	keys     *keytabSecret
	password []byte
}

// source chooses by what there is. One that has nothing gives way to the next; if none
// has anything, all are said, or that tickets have ended, which kinit can mend.
func (f *Fleet) source(ctx context.Context, config *Config, loaded uint64) (*source, error) {
	client, err := f.client(config, f.o.Principal, "the principal that the program names")
	if err != nil {
		return nil, err
	}
	explicit := f.o.CCache != "" || f.o.Keytab != "" || f.o.Password != nil // and the environment may be somebody else's
	var none []*Error
	for _, try := range []struct {
		on bool
		do func() (*source, error)
	}{
		{!explicit || f.o.CCache != "", func() (*source, error) { return f.fromCCache(ctx, config, loaded, client) }},
		{!explicit || f.o.Keytab != "", func() (*source, error) { return f.fromKeytab(ctx, config, client) }},
		{f.o.Password != nil, func() (*source, error) { return f.fromPassword(ctx, config) }},
	} {
		if !try.on {
			continue
		}
		s, err := try.do()
		if err == nil {
			return s.of(f, config, loaded), nil
		}
		var e *Error
		switch {
		case !errors.As(err, &e):
			return nil, passwordError(none, err)
		case e.Kind != NoCredentials && e.Kind != Expired:
			return nil, err
		}
		none = append(none, e)
	}
	return nil, joined(none)
}

func (s *source) of(f *Fleet, config *Config, loaded uint64) *source {
	s.fleet, s.config, s.loaded[0] = f, config, loaded
	s.identity.client = s.client.String()
	return s
}

// passwordError is who gives the password saying that there is none: the other sources
// had nothing either, which may be what is wrong.
func passwordError(none []*Error, err error) error {
	if len(none) == 0 {
		return err
	}
	e := *joined(none)
	e.Err = err
	return &e
}

// joined is the error of sources that all have nothing.
func joined(none []*Error) *Error {
	e := &Error{Kind: NoCredentials}
	var what, look []string
	for _, one := range none {
		if one.Kind == Expired {
			return one
		}
		why := one.What
		if one.Err != nil && !errors.Is(one.Err, fs.ErrNotExist) {
			why += ": " + one.Err.Error()
		}
		what, look = append(what, why), append(look, one.Look)
	}
	e.What, e.Look = strings.Join(what, ", and "), strings.Join(look, ", and ")
	return e
}

// client reads a principal, whose realm may be left out; "" is none.
func (f *Fleet) client(config *Config, name, from string) (Principal, error) {
	if name == "" {
		return Principal{}, nil
	}
	p, err := Parse(name)
	switch {
	case err != nil:
		return p, &Error{What: "the name of the client is none", Look: from, Kind: NoCredentials, Err: err}
	case p.Realm != "":
	case config.DefaultRealm == "":
		return p, &Error{
			What: "the realm of " + p.String() + " is not known: it is not in the name, and there is no default",
			Look: from + "; default_realm in [libdefaults] in " + config.Look.String(),
			Kind: WrongRealm,
		}
	default:
		p.Realm = config.DefaultRealm
	}
	return p, nil
}

func (f *Fleet) fromCCache(ctx context.Context, config *Config, loaded uint64, client Principal) (*source, error) {
	cache, n, err := f.files.ccache(ctx, config, config.CCache(f.o.CCache), client)
	if err != nil {
		return nil, err
	}
	s := &source{cache: cache, client: cache.Principal, identity: identity{kind: "ccache", name: cache.Name.Value}}
	s.loaded[1] = n
	now := f.now().Add(cache.Offset)
	renewed := ticketID{s.of(f, config, loaded).identity, cache.TGT().String()}
	if cache.Find(cache.TGT(), now) != nil || holdsService(cache, now) || f.holds(renewed) {
		return s, nil
	}
	return nil, cache.lacks(now)
}

// holdsService tells whether a cache has tickets of services that are valid: it may have
// nothing else.
func holdsService(cache *CCache, now time.Time) bool {
	for i := range cache.Tickets {
		if t := &cache.Tickets[i]; !isTGS(t.Server) && t.Client.Equal(cache.Principal) && t.ValidAt(now, cache.skew) {
			return true
		}
	}
	return false
}

func (f *Fleet) fromKeytab(ctx context.Context, config *Config, client Principal) (*source, error) {
	keytab, n, err := f.files.keytab(ctx, config.ClientKeytab(f.o.Keytab))
	if err != nil {
		return nil, err
	}
	if all := keytab.Principals(); client.IsZero() && len(all) > 0 {
		client = all[0]
	}
	keys := keytab.Keys(client)
	if len(keys) == 0 {
		return nil, &Error{What: "the keytab has no key of " + client.String(), Look: keytab.Name.String(), Kind: NoCredentials}
	}
	s := &source{client: client, keys: &keytabSecret{keytab: keytab, all: keys}, identity: identity{kind: "keytab", name: keytab.Name.Value}}
	s.loaded[1] = n
	return s, nil
}

func (f *Fleet) fromPassword(ctx context.Context, config *Config) (*source, error) {
	name, password, err := f.o.Password(ctx)
	if err != nil {
		clear(password)
		return nil, err
	}
	if name == "" {
		name = f.o.Principal
	}
	client, err := f.client(config, name, "the name that comes with the password")
	if err == nil && (client.IsZero() || len(password) == 0) {
		err = &Error{What: "there is no password, or no name of whose it is", Look: "what gives the password", Kind: NoCredentials}
	}
	if err != nil {
		clear(password)
		return nil, err
	}
	s := &source{client: client, password: password, identity: identity{kind: "password"}}
	mac := hmac.New(sha256.New, f.secret[:])
	mac.Write(password)
	mac.Sum(s.digest[:0])
	return s, nil
}

// wipe overwrites the password. Fetches have copies of their own.
func (s *source) wipe() { clear(s.password) }

// service fetches a ticket for a service, with a copy of what wipe overwrites: it may
// end when the caller has long gone.
func (s *source) service(service, host string) prepare {
	return func() fetch {
		own := s.clone()
		return func(ctx context.Context, old *Ticket) (*Ticket, error) {
			defer own.wipe()
			return own.fetch(ctx, service, host, old)
		}
	}
}

func (s *source) clone() *source {
	own := *s
	own.password = bytes.Clone(s.password)
	return &own
}

func (s *source) fetch(ctx context.Context, service, host string, old *Ticket) (*Ticket, error) {
	f := s.fleet
	a := f.asker(s.config)
	here := s.inCache(a, service, host)
	barred := here != nil && !s.config.permits(here)
	if here != nil && here != old && !barred {
		return here, nil
	}
	var tgt *Ticket
	w := walk{asker: a, resolver: f.o.Resolver, canonicalize: f.o.Canonicalize, kept: s.between}
	w.home = func(ctx context.Context) (t *Ticket, err error) {
		tgt, err = f.get(ctx, s.ticketID(s.start()), true, s.initial(a))
		return tgt, err
	}
	t, err := w.serviceTicket(ctx, service, host)
	switch {
	case err != nil && tgt == nil && barred:
		return nil, s.config.bars(here)
	case err != nil && tgt != nil && staleCode(err):
		f.Drop(tgt)
	}
	return t, err
}

func (s *source) ticketID(server Principal) ticketID { return ticketID{s.identity, server.String()} }

// between gets the ticket granting ticket of another realm, by the same rules as any.
func (s *source) between(ctx context.Context, server Principal, how func(context.Context) (*Ticket, error)) (*Ticket, error) {
	f := s.fleet
	if s.cache != nil {
		t := s.cache.Find(server, f.now().Add(s.cache.Offset))
		if t != nil && !nearEnd(t, f.now()) && s.config.permits(t) {
			return t, nil
		}
	}
	return f.get(ctx, s.ticketID(server), true, func() fetch {
		return func(ctx context.Context, _ *Ticket) (*Ticket, error) { return how(ctx) }
	})
}

func (f *Fleet) asker(config *Config) *asker {
	return &asker{
		config: config,
		transport: &transport{
			config: config, resolver: f.o.Resolver, dial: f.o.Dial, timeout: f.timeout, stagger: f.stagger,
		},
		now: f.now, limit: f.o.Limit, sent: f.sent,
	}
}

// start is the ticket granting service to begin with.
func (s *source) start() Principal {
	if s.cache != nil {
		return s.cache.TGT()
	}
	return TGS(s.client.Realm, s.client.Realm)
}

// inCache looks for the service's own ticket in the cache: of the realm that the host
// is in, else of the client's, or as MIT keeps those it was referred to.
func (s *source) inCache(a *asker, service, host string) *Ticket {
	if s.cache == nil {
		return nil
	}
	realms := []string{s.client.Realm, ""}
	if realm, known := a.config.RealmOf(host); known {
		realms = []string{realm}
	}
	now := s.fleet.now()
	for _, realm := range realms {
		t := s.cache.Find(Service(service, host, realm), now.Add(s.cache.Offset))
		if t != nil && !t.isDropped() {
			return t
		}
	}
	return nil
}

// initial gets the ticket granting ticket: the cache's, made anew near its end where it
// may be, or the KDC's for key or password.
func (s *source) initial(a *asker) prepare {
	return func() fetch {
		own := s.clone()
		return func(ctx context.Context, old *Ticket) (*Ticket, error) {
			defer own.wipe()
			return own.tgt(ctx, a, old)
		}
	}
}

func (s *source) tgt(ctx context.Context, a *asker, old *Ticket) (*Ticket, error) {
	canonicalize := s.fleet.o.Canonicalize || s.config.Canonicalize
	switch {
	case s.cache != nil:
		return s.cachedTGT(ctx, a, old)
	case s.keys != nil:
		return a.tgt(ctx, s.client, s.keys, canonicalize)
	}
	p := &passwordSecret{password: bytes.Clone(s.password), limit: s.fleet.o.Limit}
	defer p.wipe()
	return a.tgt(ctx, s.client, p, canonicalize)
}

// cachedTGT is the file's, or the one that was made of it.
func (s *source) cachedTGT(ctx context.Context, a *asker, old *Ticket) (*Ticket, error) {
	now := s.fleet.now()
	t := s.cache.Find(s.cache.TGT(), now.Add(s.cache.Offset))
	if old != nil && (t == nil || old.End.After(t.End)) {
		t = old
	}
	switch {
	case t == nil:
		return nil, s.cache.lacks(now.Add(s.cache.Offset))
	case !nearEnd(t, now) || !t.RenewableAt(now.Add(t.Offset)):
		return t, nil
	}
	next, err := a.tgs(ctx, t, t.Server, tgsOptions{renew: true})
	if err != nil {
		return t, nil // it is good for a while; then the error will be that it has ended
	}
	return next, nil
}
