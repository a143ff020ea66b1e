package sasl

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/imclient/imclient/sasl/internal/gss"
	"github.com/imclient/imclient/sasl/internal/krb5"
)

// KerberosKind says of a [KerberosError] what an application may want to tell apart.
type KerberosKind uint8

// The kinds of errors. Who can mend them: the user (a new kinit, another password), the
// administrator (clock, KDC, keytab, krb5.conf), or nobody.
const (
	KerberosNoCredentials  KerberosKind = iota + 1 // neither a cache nor a keytab nor a password, or in a kind of store that cannot be read
	KerberosExpired                                // the ticket has ended, or the password has
	KerberosClockSkew                              // our clock and the KDC's, or the server's, differ by too much
	KerberosUnknownService                         // the KDC has no such service
	KerberosUnknownClient                          // the KDC has no such client
	KerberosNoKDC                                  // no KDC of the realm has answered
	KerberosWrongPassword                          // neither the password nor a key of the keytab is the one that the KDC has
	KerberosWrongRealm                             // the name is of another realm, or there is no way to the realm
	KerberosEncType                                // no encryption type that the one end has and the other takes
	KerberosBadFile                                // a file that cannot be read, or holds what it should not
	KerberosBadReply                               // an answer of a KDC's that breaks the rules
	KerberosRefused                                // any other error that a KDC or server sent; see Code
)

// String returns a few words, "clock skew".
func (k KerberosKind) String() string { return krb5.Kind(k).String() }

// KerberosError is why there is no ticket, or why a ticket is of no use. It is made for a
// person who is to mend it, and holds no secret. As long as nothing was sent to the server
// it wraps [ErrNoCredentials].
type KerberosError struct {
	Kind KerberosKind
	What string // "the ticket of alice@EXAMPLE.ORG ended at 2026-11-24 10:00:00"
	Look string // the file or setting to look at, "FILE:/tmp/krb5cc_0 (KRB5CCNAME)"; "" where there is none
	Code int32  // RFC 4120 section 7.5.9, where a KDC or server said it; else 0
	Err  error  // what lies below; may be nil
}

func (e *KerberosError) Error() string {
	s := "sasl: Kerberos: " + e.What
	if e.Look != "" {
		s += "; see " + e.Look
	}
	return s
}

// Unwrap returns what lies below.
func (e *KerberosError) Unwrap() error { return e.Err }

// noTicket is the error of a login that has not begun, made of one of package krb5.
func noTicket(err error) error {
	var e *krb5.Error
	if !errors.As(err, &e) {
		return err
	}
	what := e.What
	if e.Err != nil && !errors.Is(e.Err, fs.ErrNotExist) { // of what is not there What says all
		what += ": " + e.Err.Error()
	}
	return &KerberosError{
		Kind: KerberosKind(e.Kind), What: what, Look: e.Look, Code: e.Code,
		Err: fmt.Errorf("%w: %w", ErrNoCredentials, err),
	}
}

// ticketUnusable is for a ticket that no context can be made with.
func ticketUnusable(t *krb5.Ticket, err error) error {
	var unsupported *gss.UnsupportedError
	if !errors.As(err, &unsupported) {
		return fmt.Errorf("sasl: %s: %w", gssapiName, err)
	}
	return &KerberosError{
		Kind: KerberosEncType,
		What: fmt.Sprintf("the session key of the ticket for %s is of %s, which we have not", t.Server, gss.EncTypeName(unsupported.EType)),
		Look: "permitted_enctypes and default_tgs_enctypes in krb5.conf, and the service's session_enctypes in the KDC",
		Err:  fmt.Errorf("%w: %w", ErrNoCredentials, err),
	}
}

// ticketRefused is what a server says to a ticket, or has instead of a proof.
func ticketRefused(t *krb5.Ticket, now time.Time, err error) error {
	var said *gss.AcceptorError
	var unsupported *gss.UnsupportedError
	switch {
	case errors.Is(err, gss.ErrNotMutual):
		return fmt.Errorf("%s: %w", gssapiName, ErrNotProved)
	case errors.As(err, &said):
		e := krb5.ByService(t, said.Code, said.Time, now)
		return &KerberosError{Kind: KerberosKind(e.Kind), What: e.What, Look: e.Look, Code: e.Code, Err: err}
	case errors.As(err, &unsupported):
		return &KerberosError{
			Kind: KerberosEncType, Err: err,
			What: fmt.Sprintf("the server %s chose a key of %s, which we have not", t.Server, gss.EncTypeName(unsupported.EType)),
			Look: "permitted_enctypes in the server's krb5.conf",
		}
	}
	return gssFault(err)
}
