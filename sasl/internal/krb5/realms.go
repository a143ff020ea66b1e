package krb5

import (
	"net"
	"net/netip"
	"slices"
	"strings"
)

// KDC is a KDC as the configuration lists it.
type KDC struct {
	// Network is "tcp" or "udp", "" where either will do, "unix" for a socket, whose
	// messages are those of TCP, or "https" for a proxy (MS-KKDCP).
	Network string
	Addr    string // "host:port"; the path or the proxy's URL with the last two
}

// KDCs returns those that the configuration lists for a realm, in its order.
func (c *Config) KDCs(realm string) []KDC {
	var list []KDC
	for _, v := range c.profile.get("realms", realm, "kdc") {
		list = append(list, parseKDC(v.text))
	}
	return list
}

// parseKDC reads host, host:port, an IPv6 address in brackets or without a port, and
// with "tcp/" or "udp/" before it (Heimdal's); /path and https:// (MIT's). What is
// none of these remains as it is, for the error of who connects to it.
func parseKDC(s string) (k KDC) {
	switch {
	case strings.HasPrefix(s, "/"):
		return KDC{"unix", s}
	case strings.HasPrefix(s, "https://"):
		return KDC{"https", s}
	}
	for _, network := range [...]string{"tcp", "udp"} {
		if rest, ok := strings.CutPrefix(s, network+"/"); ok {
			k.Network, s = network, rest
		}
	}
	if word, _, ok := strings.Cut(s, " "); ok {
		s = word // MIT passes over what follows
	}
	k.Addr = s
	if _, _, err := net.SplitHostPort(s); err != nil {
		host := strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
		k.Addr = net.JoinHostPort(host, "88")
	}
	return k
}

// RealmOf returns the realm of a host's services as [domain_realm] says: by the host's
// name, then by .parent and parent, and so on up (MIT's order). An address is looked
// up whole.
func (c *Config) RealmOf(host string) (realm string, ok bool) {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	_, err := netip.ParseAddr(host)
	for name := host; name != ""; name = parent(name) {
		if list := c.profile.get("domain_realm", name); len(list) > 0 {
			return list[0].text, true
		}
		if err == nil {
			break
		}
	}
	return "", false
}

// parent goes from a.b.c to .b.c, from there to b.c, .c, c and "".
func parent(name string) string {
	if rest, ok := strings.CutPrefix(name, "."); ok {
		return rest
	}
	if dot := strings.IndexByte(name, '.'); dot >= 0 {
		return name[dot:]
	}
	return ""
}

// Path returns the realms to go through for a service of realm to, both ends included:
// as [capaths] says; else up to the realm that both have above them and down again
// (RFC 4120 section 1.2); else there is nothing between.
func (c *Config) Path(from, to string) []string {
	if from == to {
		return []string{from}
	}
	between := hierarchy(from, to)
	if list := c.profile.get("capaths", from, to); len(list) > 0 {
		between = nil
		if strings.HasPrefix(list[0].text, ".") {
			list = nil // "directly"
		}
		for _, v := range list {
			realm, _, _ := strings.Cut(strings.ReplaceAll(v.text, "\t", " "), " ")
			between = append(between, realm)
		}
	}
	path := append([]string{from}, between...)
	return append(path, to)
}

// hierarchy returns the realms between two: those above from up to the common one, and
// down from it to to. Nothing if they have none in common.
func hierarchy(from, to string) (between []string) {
	common := from
	for common != to && !below(to, common) {
		if common = above(common); common == "" {
			return nil
		}
	}
	for realm := from; realm != common; {
		if realm = above(realm); realm != to {
			between = append(between, realm)
		}
	}
	up := len(between)
	for realm := to; realm != common; {
		if realm = above(realm); realm != common {
			between = append(between, realm)
		}
	}
	slices.Reverse(between[up:])
	return between
}

// above is the realm above one by its name; "" if there is none.
func above(realm string) string {
	_, rest, _ := strings.Cut(realm, ".")
	return rest
}

func below(realm, other string) bool {
	rest, ok := strings.CutSuffix(realm, other)
	return ok && strings.HasSuffix(rest, ".")
}
