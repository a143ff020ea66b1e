package sasl

import (
	"context"
	"fmt"
	"time"

	"github.com/imclient/imclient/sasl/internal/krb5"
)

// KerberosOptions say where tickets come from. The zero value is what kinit and
// krb5.conf have set up: the credential cache of KRB5CCNAME, else the keytab of
// KRB5_CLIENT_KTNAME, as MIT's library finds them.
type KerberosOptions struct {
	// Config is krb5.conf: a file, or several, separated by colons. "": KRB5_CONFIG,
	// else /etc/krb5.conf.
	Config string
	// CCache is a credential cache: "FILE:path", "DIR:path", or a path. A cache of the
	// kernel (KEYRING:) or of a daemon (KCM:) cannot be read. "": none, if Keytab or
	// Provider is set, else KRB5CCNAME, else the configuration's default_ccache_name, else
	// FILE:/tmp/krb5cc_ and the user's number.
	CCache string
	// Keytab is a file with a client's keys. "": none, if CCache or Provider is set, else
	// KRB5_CLIENT_KTNAME, else the configuration's default_client_keytab_name.
	Keytab string
	// Principal is whose ticket it is to be, "alice@EXAMPLE.ORG"; without a realm it is
	// of the configuration's default_realm. "": whosever the cache is, or the keytab's
	// first entry; for a password whom the Provider names.
	Principal string
	// Provider has a password where neither CCache nor Keytab has anything. It is
	// asked at each login, for that is how it says whose; Credentials.Username is a
	// principal.
	Provider Provider
	// Canonicalize lets the KDC answer with another principal of the service's than the
	// one asked for, an alias's real name (RFC 6806). Names are never looked up in DNS.
	Canonicalize bool
	// Binding is the kind of channel binding by which a login over TLS is bound to it,
	// "tls-server-end-point" or "tls-exporter"; Active Directory can want the former. "":
	// none, as RFC 4752 section 3.1 has it. Where there is no TLS there is none either.
	Binding string
	// Timeout is how long a KDC, or all of a realm's, may take to answer one request.
	// 0: 10 seconds.
	Timeout time.Duration
	// MaxTickets is how many are kept, the latest used; 0: 1024.
	MaxTickets int
}

// Kerberos gets tickets and keeps them, for any number of logins: a thousand that begin
// at the same moment send the KDC one request for each service and identity. A ticket is
// fetched anew a while before it ends, and dropped when a server did not want it. A
// credential cache or keytab that has changed is read again.
//
// It is safe on any goroutine. It has neither goroutines nor descriptors while nothing is
// asked of it, and need not be closed.
type Kerberos struct {
	opaque
	options KerberosOptions
	fleet   *krb5.Fleet
	now     func() time.Time
}

// NewKerberos makes one. Nothing is read before the first login.
func NewKerberos(o KerberosOptions) *Kerberos {
	return newKerberos(o, time.Now)
}

func newKerberos(o KerberosOptions, now func() time.Time) *Kerberos {
	k := &Kerberos{options: o, now: now}
	options := krb5.Options{
		Config: o.Config, CCache: o.CCache, Keytab: o.Keytab, Principal: o.Principal,
		Canonicalize: o.Canonicalize, Timeout: o.Timeout, Max: o.MaxTickets,
		Now: now, Limit: derive,
	}
	if o.Provider != nil {
		options.Password = k.password
	}
	k.fleet = krb5.New(options)
	return k
}

// KerberosStats counts what [Kerberos] did.
type KerberosStats struct {
	ASRequests  uint64 // to KDCs, for a ticket to ask for tickets with
	TGSRequests uint64 // to KDCs, with such a ticket
	Hits        uint64 // logins whose ticket was there
	Waits       uint64 // logins that waited for a request which another had begun
	Failures    uint64 // requests that no ticket came of
	Kept        int    // tickets, now
}

// Stats returns what it did.
func (k *Kerberos) Stats() KerberosStats {
	s := k.fleet.Stats()
	return KerberosStats{
		ASRequests: s.AS, TGSRequests: s.TGS,
		Hits: s.Hits, Waits: s.Waits, Failures: s.Failures, Kept: s.Kept,
	}
}

// ticket returns one for the service of a login.
func (k *Kerberos) ticket(ctx context.Context, params Params) (*krb5.Ticket, error) {
	t, err := k.fleet.Ticket(context.WithValue(ctx, loginKey{}, params), params.Service, params.Host)
	if err != nil {
		return nil, noTicket(err)
	}
	return t, nil
}

// loginKey is that of the login's Params in a context.
type loginKey struct{}

// password asks the provider. The password is the caller's, who overwrites it.
func (k *Kerberos) password(ctx context.Context) (principal string, password []byte, err error) {
	params := ctx.Value(loginKey{}).(Params)
	c, err := askProvider(ctx, k.options.Provider, gssapiName, params)
	if err != nil {
		return "", nil, err
	}
	wipe(c.Token)
	if principal = k.options.Principal; principal == "" {
		principal, _ = c.identities(params)
	}
	if err := c.needPassword(principal); err != nil {
		c.Wipe()
		return "", nil, &KerberosError{Kind: KerberosNoCredentials, What: "there is no name, or no password", Look: "the provider of credentials", Err: err}
	}
	return principal, c.Password, nil
}

// binding is the application data that a login is bound by; nil: it is not.
func (k *Kerberos) binding(params Params) ([]byte, error) {
	kind := k.options.Binding
	if kind == "" || params.Binding == nil {
		return nil, nil
	}
	data, err := params.Binding(kind)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrNoBinding, kind, err)
	}
	return append([]byte(kind+":"), data...), nil
}
