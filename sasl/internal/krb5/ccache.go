package krb5

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jcmturner/gokrb5/v8/types"
)

// ccacheLimit is far above what any credential cache has: a ticket with the largest
// PAC takes 64 KiB.
const ccacheLimit = 16 << 20

// CCache is a credential cache as it was when it was read. Any goroutine may read it.
type CCache struct {
	Name      Setting // the file it was read from, "FILE:/run/user/0/krb5cc/tkt", and what named it
	Principal Principal
	Tickets   []Ticket // without those that were removed or are encrypted in a ticket's key
	// Offset is how far the KDC's clock was ahead of ours when the cache was made; to
	// be added to ours where the configuration has kdc_timesync.
	Offset time.Duration
	// StartRealm is the realm of the ticket granting ticket to begin with, where it is
	// not the client's own.
	StartRealm string

	skew   time.Duration // by how much clocks may differ
	stamps stamps
}

// lacks is the error of a cache without a ticket granting ticket that is valid at now,
// by the KDC's clock.
func (c *CCache) lacks(now time.Time) *Error {
	t := c.Last(c.TGT())
	e := &Error{Look: c.Name.String(), Kind: Expired}
	switch {
	case t == nil:
		e.Kind = NoCredentials
		e.What = "the credential cache has no ticket granting ticket of " + c.Principal.String() + "; kinit gets one"
	case !now.Before(t.End):
		e.What = "the ticket of " + c.Principal.String() + " ended at " + timeText(t.End) + "; kinit gets another"
	case t.Flags&FlagInvalid != 0:
		e.What = "the ticket of " + c.Principal.String() + " is postdated, and has to be validated first (kinit -v)"
	default:
		e.Kind = ClockSkew
		e.What = fmt.Sprintf("the ticket of %v begins at %s, which by our clock is in %v", c.Principal, timeText(t.Start), t.Start.Sub(now).Round(time.Second))
		e.Look = "the clock of this machine, and that of the machine where kinit ran; " + e.Look
	}
	return e
}

// Changed tells whether the files are others now than when they were read.
func (c *CCache) Changed() bool { return c.stamps.changed() }

// Find returns the ticket of the cache's principal for a service that is valid at now,
// by the KDC's clock: of several the one that ends last. nil: there is none.
func (c *CCache) Find(server Principal, now time.Time) *Ticket {
	return c.last(server, func(t *Ticket) bool { return t.ValidAt(now, c.skew) })
}

// Last returns the ticket for a service that ends last, whether it is valid or not:
// for errors that say when it ended. nil: there is none.
func (c *CCache) Last(server Principal) *Ticket {
	return c.last(server, func(*Ticket) bool { return true })
}

func (c *CCache) last(server Principal, fits func(*Ticket) bool) *Ticket {
	var best *Ticket
	for i := range c.Tickets {
		t := &c.Tickets[i]
		if t.Server.Equal(server) && t.Client.Equal(c.Principal) && fits(t) && (best == nil || t.End.After(best.End)) {
			best = t
		}
	}
	return best
}

// TGT is the name of the ticket granting service to begin with.
func (c *CCache) TGT() Principal {
	realm := c.StartRealm
	if realm == "" {
		realm = c.Principal.Realm
	}
	return TGS(realm, realm)
}

// readCCache reads one file.
func readCCache(name Setting, path string) (*CCache, error) {
	data, at, err := readFile(path, ccacheLimit)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &Error{What: "there is no credential cache (kinit makes one)", Look: name.String(), Kind: NoCredentials, Err: err}
	case err != nil:
		return nil, &Error{What: "the credential cache cannot be read", Look: name.String(), Kind: BadFile, Err: err}
	case len(data) == 0:
		return nil, &Error{What: "the credential cache is empty; kinit fills it", Look: name.String(), Kind: NoCredentials}
	}
	c, what := parseCCache(data)
	if what != "" {
		return nil, &Error{What: "the credential cache is damaged: " + what, Look: name.String(), Kind: BadFile}
	}
	c.Name = name
	c.stamps = stamps{at}
	for i, from := 0, name.String(); i < len(c.Tickets); i++ {
		c.Tickets[i].From = from
	}
	return c, nil
}

// parseCCache reads MIT's file format
// (https://web.mit.edu/kerberos/krb5-devel/doc/formats/ccache_file_format.html), all
// four versions of it. Tickets and keys alias data. It says what is wrong; "" if
// nothing is.
func parseCCache(data []byte) (c *CCache, what string) {
	r := ccacheReader{reader: reader{rest: data, total: len(data), order: binary.BigEndian}}
	c = &CCache{}
	magic := r.uint16()
	r.version = int(magic) - 0x0500
	switch {
	case !r.ok():
	case r.version < 1 || r.version > 4:
		return nil, fmt.Sprintf("it begins with %#04x, where 0x0501 to 0x0504 are credential caches", magic)
	case r.version < 3:
		r.order = binary.NativeEndian
	case r.version == 4:
		c.Offset = r.header()
	}
	c.Principal = r.principal()
	for r.ok() && len(r.rest) > 0 {
		r.credential(c)
	}
	if !r.ok() {
		return nil, r.what
	}
	return c, ""
}

type ccacheReader struct {
	reader
	version int
}

// header reads the fields of version 4 and returns the KDC's offset (tag 1: seconds
// and microseconds, signed).
func (r *ccacheReader) header() (offset time.Duration) {
	fields := reader{order: r.order, total: r.total}
	fields.rest = r.bytes(uint32(r.uint16()))
	for fields.ok() && len(fields.rest) > 0 {
		tag := fields.uint16()
		value := fields.bytes(uint32(fields.uint16()))
		if tag != 1 || !fields.ok() {
			continue
		}
		if len(value) != 8 {
			fields.fail("the header's time offset is not of 8 bytes")
			break
		}
		seconds, micros := int32(r.order.Uint32(value)), int32(r.order.Uint32(value[4:]))
		offset = time.Duration(seconds)*time.Second + time.Duration(micros)*time.Microsecond
	}
	if !fields.ok() {
		r.fail("the header is damaged")
	}
	return offset
}

func (r *ccacheReader) principal() (p Principal) {
	if r.version > 1 {
		p.Type = int32(r.uint32())
	}
	n := r.uint32()
	if r.version == 1 {
		if n == 0 {
			r.fail("a principal has no realm")
		}
		n-- // the realm is counted
	}
	count := r.components(n)
	p.Realm = string(r.data())
	for i := 0; i < count && r.ok(); i++ {
		p.Names = append(p.Names, string(r.data()))
	}
	return p
}

func (r *ccacheReader) key() (k types.EncryptionKey) {
	k.KeyType = int32(int16(r.uint16()))
	if r.version == 3 {
		r.uint16() // the type again
	}
	k.KeyValue = r.data()
	if r.ok() && !goodKey(k.KeyType, k.KeyValue) {
		r.fail("a key has not the length that its encryption type has")
	}
	return k
}

// typed reads a list of addresses or of authorization data.
func (r *ccacheReader) typed() (list []types.HostAddress) {
	for n := r.uint32(); n > 0 && r.ok(); n-- {
		kind := int32(int16(r.uint16()))
		list = append(list, types.HostAddress{AddrType: kind, Address: r.data()})
	}
	return list
}

// credential reads a credential and adds it to c, or what it says of the cache if it
// is an entry of MIT's configuration.
func (r *ccacheReader) credential(c *CCache) {
	var t Ticket
	t.Client = r.principal()
	t.Server = r.principal()
	t.Key = r.key()
	t.AuthTime, t.Start, t.End, t.RenewTill = r.time(), r.time(), r.time(), r.time()
	inSessionKey := r.uint8() != 0
	t.Flags = r.uint32()
	t.Addresses = r.typed()
	r.typed() // authorization data, which is in the ticket too
	t.DER = r.data()
	r.data() // the second ticket, of user to user authentication
	if t.Start.IsZero() {
		t.Start = t.AuthTime
	}
	switch {
	case !r.ok():
	case t.Server.Realm == "X-CACHECONF:":
		c.configure(t.Server.Names, string(t.DER))
	case t.Server.Realm == "X-RMED-CONF:", t.End.IsZero(), inSessionKey:
		// Entries that MIT has removed in place, or that we have no use for.
	default:
		c.Tickets = append(c.Tickets, t)
	}
}

func (c *CCache) configure(names []string, value string) {
	if len(names) != 2 || names[0] != "krb5_ccache_conf_data" {
		return // of one service, or of a program that we do not know
	}
	if names[1] == "start_realm" {
		c.StartRealm = value
	}
}
