package krb5

import (
	"fmt"
	"time"
)

const codeNotUs = 35 // KRB_AP_ERR_NOT_US

// ByService says what a KRB-ERROR means that a service has for a ticket. clock is the
// service's; zero: it did not say. Nothing proves that it was the service.
func ByService(t *Ticket, code int32, clock, now time.Time) *Error {
	e := &Error{Kind: Refused, Code: code, Look: "the log of the server"}
	switch code {
	case codeSkew:
		e.Kind = ClockSkew
		e.What = fmt.Sprintf("the server %v finds our clock too far from its own", t.Server)
		if !clock.IsZero() {
			e.What = fmt.Sprintf("our clock is %s that of the server %v", behind(clock.Sub(now)), t.Server)
		}
		e.Look = "the clocks of this machine and of the server; clockskew in the server's krb5.conf"
	case codeExpired:
		e.Kind = Expired
		e.What = fmt.Sprintf("the server %v says that the ticket of %v has ended; we have it that it ends at %s", t.Server, t.Client, t.End.Format(time.DateTime))
		e.Look = "the clocks of this machine and of the server"
	case codeNotYet:
		e.Kind = ClockSkew
		e.What = fmt.Sprintf("the server %v says that the ticket of %v has not begun", t.Server, t.Client)
		e.Look = "the clocks of this machine and of the server"
	case codeNoKey, codeNotUs, codeKeyVersion, codeIntegrity, codeModified:
		e.Kind = UnknownService
		e.What = fmt.Sprintf("the server has not the key of %v with which the KDC made the ticket", t.Server)
		e.Look = "the keytab of the server, which is to have the service's present key; and that the server was named as the KDC knows it"
	default:
		e.What = fmt.Sprintf("the server %v refuses the ticket of %v: error %d", t.Server, t.Client, code)
	}
	return e
}
