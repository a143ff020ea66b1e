package krb5

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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

// byProgram is the From of what the program that uses the library has set.
const byProgram = "set by the program"

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
	Canonicalize       bool // of the client's name, in AS requests
	// TktEnctypes and TGSEnctypes are what AS and TGS requests ask for: those that we
	// have, the best first. Permitted are those a session key may be of.
	TktEnctypes, TGSEnctypes, Permitted []int32

	ccache, keytab Setting // of the configuration; without a Value where it says nothing
	getenv         func(string) string
	profile        profile
}

// configByDefault is MIT's. Tests have another.
var configByDefault = Setting{"/etc/krb5.conf", "the default; KRB5_CONFIG names others"}

// LoadConfig reads the files of paths, a list parted by colons (semicolons on Windows);
// "": those of KRB5_CONFIG, or /etc/krb5.conf. The files of a list that do not exist
// are passed over. Where nobody named any, there need not be one. A nil getenv is
// [os.Getenv].
//
// Errors are *Error: BadFile, naming file and line; EncType where a list of encryption
// types has none that we have.
func LoadConfig(paths string, getenv func(string) string) (*Config, error) {
	if getenv == nil {
		getenv = os.Getenv
	}
	look := Setting{paths, byProgram}
	if look.Value == "" {
		look = Setting{getenv("KRB5_CONFIG"), "KRB5_CONFIG"}
	}
	if look.Value == "" {
		look = configByDefault
	}
	c := &Config{Look: look, getenv: getenv}
	if err := c.profile.load(filepath.SplitList(look.Value)); err != nil {
		return nil, &Error{What: "the configuration cannot be read", Look: look.String(), Kind: BadFile, Err: err}
	}
	c.Files = c.profile.names
	if len(c.Files) == 0 && look != configByDefault {
		return nil, &Error{What: "there is no such configuration", Look: look.String(), Kind: BadFile}
	}
	s := settings{profile: &c.profile}
	c.fill(&s)
	if s.err != nil {
		return nil, s.err
	}
	return c, nil
}

// Changed tells whether the files are others now than when they were read.
func (c *Config) Changed() bool { return c.profile.stamps.changed() }

func (c *Config) fill(s *settings) {
	c.DefaultRealm = s.text("default_realm", "").text
	c.DNSLookupKDC = s.boolean("dns_lookup_kdc", s.boolean("dns_fallback", true))
	c.DNSLookupRealm = s.boolean("dns_lookup_realm", s.boolean("dns_fallback", false))
	c.ClockSkew = s.duration("clockskew", 5*time.Minute)
	c.KDCTimesync = s.boolean("kdc_timesync", true)
	c.TicketLifetime = s.duration("ticket_lifetime", 24*time.Hour)
	c.RenewLifetime = s.duration("renew_lifetime", 0)
	c.UDPPreferenceLimit = min(s.number("udp_preference_limit", 1465), 32700) // MIT's, as its largest
	c.Forwardable = s.boolean("forwardable", false)
	c.Proxiable = s.boolean("proxiable", false)
	c.Canonicalize = s.boolean("canonicalize", false)
	c.fillEtypes(s)
	c.ccache = c.expand(s, "default_ccache_name")
	c.keytab = c.expand(s, "default_client_keytab_name")
}

// fillEtypes reads the lists of encryption types: permitted_enctypes stands in for the
// two others.
func (c *Config) fillEtypes(s *settings) {
	weak := s.boolean("allow_weak_crypto", false)
	defaults := defaultEtypes(s.boolean("allow_rc4", weak))
	c.Permitted = s.etypes("permitted_enctypes", defaults, defaults)
	c.TktEnctypes = s.etypes("default_tkt_enctypes", defaults, c.Permitted)
	c.TGSEnctypes = s.etypes("default_tgs_enctypes", defaults, c.Permitted)
}

// settings reads [libdefaults]; the first fault stays. The first value of a name
// counts.
type settings struct {
	profile *profile
	err     error
}

// text is also where the value stands: line 0 if it is the default.
func (s *settings) text(name, otherwise string) value {
	if list := s.profile.get("libdefaults", name); len(list) > 0 {
		return list[0]
	}
	return value{text: otherwise}
}

func (s *settings) fail(kind Kind, name string, v value, what string) {
	if s.err == nil {
		s.err = &Error{What: fmt.Sprintf("%s = %s: %s", name, v.text, what), Look: v.where(), Kind: kind}
	}
}

func (s *settings) boolean(name string, otherwise bool) bool {
	v := s.text(name, "")
	if v.line == 0 {
		return otherwise
	}
	switch strings.ToLower(v.text) {
	case "y", "yes", "true", "t", "1", "on":
		return true
	case "n", "no", "false", "nil", "0", "off":
		return false
	}
	s.fail(BadFile, name, v, "neither true nor false")
	return otherwise
}

func (s *settings) number(name string, otherwise int) int {
	v := s.text(name, "")
	if v.line == 0 {
		return otherwise
	}
	n, err := strconv.ParseInt(v.text, 10, 32)
	if err != nil || n < 0 {
		s.fail(BadFile, name, v, "not a number")
		return otherwise
	}
	return int(n)
}

func (s *settings) duration(name string, otherwise time.Duration) time.Duration {
	v := s.text(name, "")
	if v.line == 0 {
		return otherwise
	}
	d, ok := parseDuration(v.text)
	if !ok {
		s.fail(BadFile, name, v, "not a duration, such as 3600, 10h, 1d2h or 1:30:05")
	}
	return d
}

func (s *settings) etypes(name string, defaults, otherwise []int32) []int32 {
	v := s.text(name, "")
	if v.line == 0 {
		return otherwise
	}
	types := parseEtypes(v.text, defaults)
	if len(types) == 0 {
		s.fail(EncType, name, v, "none of these encryption types can be had; the aes ones can")
	}
	return types
}

// permits tells whether a ticket's session key is of a type that may be used.
func (c *Config) permits(t *Ticket) bool { return slices.Contains(c.Permitted, t.Key.KeyType) }

// bars is the error of a ticket that it does not permit.
func (c *Config) bars(t *Ticket) *Error {
	return &Error{
		What: "the session key of the ticket for " + t.Server.String() + " is of a type that is not permitted: " + etypeText(t.Key.KeyType),
		Look: "permitted_enctypes, and allow_rc4, in " + c.Look.String(),
		Kind: EncType,
	}
}
