package krb5

import "fmt"

// Kind says of an [Error] what an application may want to tell apart.
type Kind uint8

const (
	// NoCredentials: there is nothing to log in with: no ccache, no keytab, none with
	// a key or a ticket of the principal, or in a kind of store that we cannot read.
	NoCredentials Kind = iota + 1
	// Expired: the tickets have ended.
	Expired
	// ClockSkew: our clock and that of a KDC or server differ by more than is allowed.
	ClockSkew
	// UnknownService: the KDC has no such service.
	UnknownService
	// UnknownClient: the KDC has no such client.
	UnknownClient
	// NoKDC: no KDC of the realm has answered.
	NoKDC
	// WrongPassword: the password or the keytab's key is not the one that the KDC has.
	WrongPassword
	// WrongRealm: the name is of another realm, or there is no way to the realm.
	WrongRealm
	// EncType: no encryption type that the one end has and the other takes.
	EncType
	// BadFile: a file that cannot be read, or that holds what it should not.
	BadFile
	// BadReply: an answer that breaks the protocol's rules.
	BadReply
	// Refused: any other error that a KDC or server sent; see [Error.Code].
	Refused
)

var kinds = [...]string{
	NoCredentials:  "no credentials",
	Expired:        "expired",
	ClockSkew:      "clock skew",
	UnknownService: "unknown service",
	UnknownClient:  "unknown client",
	NoKDC:          "no KDC",
	WrongPassword:  "wrong password",
	WrongRealm:     "wrong realm",
	EncType:        "encryption type",
	BadFile:        "bad file",
	BadReply:       "bad reply",
	Refused:        "refused",
}

func (k Kind) String() string {
	if int(k) < len(kinds) && kinds[k] != "" {
		return kinds[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Error is what is wrong, said so that a person can act on it. It never holds a
// secret, nor bytes of a file or a reply beyond the names of principals.
type Error struct {
	What string // "the ticket of alice@X ended at 2026-11-24 10:00:00"
	Look string // the file or setting to look at: "FILE:/tmp/krb5cc_0 (KRB5CCNAME)"; "" where there is none
	Kind Kind
	Code int32 // RFC 4120 section 7.5.9, where a KDC or server said it; else 0
	Err  error // what lies below: a *fs.PathError, a *net.OpError, the context's; nil where nothing does
}

func (e *Error) Error() string {
	s := "kerberos: " + e.What
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Look != "" {
		s += "; see " + e.Look
	}
	return s
}

// Unwrap returns what lies below.
func (e *Error) Unwrap() error { return e.Err }
