package krb5

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/jcmturner/gokrb5/v8/types"
)

// Bits of [Ticket.Flags] (RFC 4120 section 5.3; RFC 6806 section 11).
const (
	FlagForwardable  = 1 << (31 - 1)
	FlagForwarded    = 1 << (31 - 2)
	FlagProxiable    = 1 << (31 - 3)
	FlagPostdated    = 1 << (31 - 6)
	FlagInvalid      = 1 << (31 - 7)
	FlagRenewable    = 1 << (31 - 8)
	FlagInitial      = 1 << (31 - 9)
	FlagOKAsDelegate = 1 << (31 - 13)
	FlagEncPARep     = 1 << (31 - 15)
)

// Ticket is a ticket with what the client knows of it. It does not show by fmt,
// since it has the session key.
type Ticket struct {
	Client, Server Principal
	DER            []byte // the ticket as it came, never encoded anew
	Key            types.EncryptionKey
	Flags          uint32
	// AuthTime is when the client proved itself. Start is AuthTime where the KDC did
	// not say it, RenewTill zero where the ticket is not renewable.
	AuthTime, Start, End, RenewTill time.Time
	// Offset is how far the KDC's clock is ahead of ours: to be added to ours in what is
	// made with the ticket.
	Offset time.Duration
	// Addresses are those the ticket may be used from; none: from anywhere.
	Addresses []types.HostAddress
	// From is what it was got by, in the form of [Error.Look]: the cache that it lay in,
	// or the keytab or password that proved the client.
	From string

	dropped *atomic.Bool // of one that lies in a cache: a login has failed with it
}

// ValidAt tells whether the ticket may be used at now (by the KDC's clock): it has
// begun, give or take skew, has not ended, and is not one that must be validated first (RFC 4120
// section 2.2).
func (t *Ticket) ValidAt(now time.Time, skew time.Duration) bool {
	return t.Flags&FlagInvalid == 0 && !now.Add(skew).Before(t.Start) && now.Before(t.End)
}

// RenewableAt tells whether the KDC would renew it at now (RFC 4120 section 2.3): a
// ticket that has ended cannot be.
func (t *Ticket) RenewableAt(now time.Time) bool {
	return t.Flags&FlagRenewable != 0 && t.ValidAt(now, 0) && now.Before(t.RenewTill)
}

// Format implements [fmt.Formatter].
func (t Ticket) Format(f fmt.State, verb rune) {
	fmt.Fprintf(f, "(ticket of %v for %v)", t.Client, t.Server)
}

// opaque keeps fmt from showing what embeds it.
type opaque struct{}

// Format implements [fmt.Formatter].
func (opaque) Format(f fmt.State, verb rune) { io.WriteString(f, "(krb5: not shown)") }

func (t *Ticket) drop() {
	if t.dropped != nil {
		t.dropped.Store(true)
	}
}

func (t *Ticket) isDropped() bool { return t.dropped != nil && t.dropped.Load() }
