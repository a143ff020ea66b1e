package krb5

import (
	"time"
)

// Setting is a value and where it was set, so that an error can name both.
type Setting struct {
	Value string // "FILE:/tmp/krb5cc_0"
	From  string // "KRB5CCNAME", "default_ccache_name in /etc/krb5.conf", "the default"
}

// String returns "FILE:/tmp/krb5cc_0 (KRB5CCNAME)", the form of [Error.Look].
func (s Setting) String() string {
	if s.From == "" {
		return s.Value
	}
	return s.Value + " (" + s.From + ")"
}

// Config is what krb5.conf(5) says that matters to a client. It is not changed once
// it is loaded: any goroutine may read it.
type Config struct {
	// Look is the files it was read from and the setting that named them.
	Look Setting
	// Files are those that exist, in their order, without the included; none: there is
	// no configuration, and everything has its default.
	Files []string

	DefaultRealm       string // "": not said
	DNSLookupKDC       bool
	DNSLookupRealm     bool
	ClockSkew          time.Duration
	KDCTimesync        bool
	TicketLifetime     time.Duration
	RenewLifetime      time.Duration // 0: not renewable
	UDPPreferenceLimit int           // bytes; longer messages go by TCP first
	Forwardable        bool
	Proxiable          bool
	NoAddresses        bool
	Canonicalize       bool // of the client's name, in AS requests
	// TktEnctypes and TGSEnctypes are what AS and TGS requests ask for: those that we
	// have, the best first. Permitted are those a session key may be of.
	TktEnctypes, TGSEnctypes, Permitted []int32
}

// KDC is a KDC as the configuration lists it.
type KDC struct {
	Network string // "tcp", "udp"; "" where either will do; "https" (MS-KKDCP), which we cannot
	Addr    string // "host:port", the address of a proxy where Network is "https"
}
