package krb5

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
)

// Resolver is what is asked of the DNS; [*net.Resolver] fits.
type Resolver interface {
	LookupSRV(ctx context.Context, service, proto, name string) (cname string, addrs []*net.SRV, err error)
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// endpoints are where to ask for a realm, in order: all of its KDCs by what a message
// of size bytes prefers, then all of them by what else they may listen to.
func (t *transport) endpoints(ctx context.Context, realm string, size int) ([]endpoint, error) {
	listed := t.config.KDCs(realm)
	none := "the configuration lists no KDC of the realm " + realm
	if len(listed) == 0 && t.config.DNSLookupKDC {
		var err error
		if listed, err = t.lookupKDCs(ctx, realm); err != nil {
			none += ", nor does the DNS: " + err.Error()
		}
	}
	first, second := "udp", "tcp"
	if size > t.config.UDPPreferenceLimit {
		first, second = second, first
	}
	var list, later []endpoint
	for _, kdc := range listed {
		switch kdc.Network {
		case "":
			list = append(list, endpoint{first, kdc.Addr})
			later = append(later, endpoint{second, kdc.Addr})
		case first, "unix":
			list = append(list, endpoint{kdc.Network, kdc.Addr})
		case second:
			later = append(later, endpoint{second, kdc.Addr})
		default:
			none = "the KDC " + kdc.Addr + " of the realm " + realm + " is to be asked through a proxy (" + kdc.Network + "), which cannot be done here"
		}
	}
	if list = append(list, later...); len(list) == 0 {
		return nil, &Error{What: none, Look: t.lookRealm(realm), Kind: NoKDC, Err: ctx.Err()}
	}
	return list, nil
}

// lookupKDCs reads the SRV records of a realm (RFC 4120 section 7.2.3.2). The name is
// absolute, so that no search list is tried.
func (t *transport) lookupKDCs(ctx context.Context, realm string) (list []KDC, err error) {
	for _, network := range []string{"udp", "tcp"} {
		_, records, failed := t.resolver.LookupSRV(ctx, "kerberos", network, strings.TrimSuffix(realm, ".")+".")
		if failed != nil {
			err = errors.Join(err, plainDNS(failed))
			continue
		}
		for _, r := range records {
			if host := strings.TrimSuffix(r.Target, "."); host != "" { // "." is none (RFC 2782)
				list = append(list, KDC{Network: network, Addr: net.JoinHostPort(host, strconv.Itoa(int(r.Port)))})
			}
		}
	}
	if len(list) > 0 {
		return list[:min(len(list), maxAttempts)], nil
	}
	if err == nil {
		err = errors.New("no SRV record of it names a host")
	}
	return nil, err
}

func plainDNS(err error) error {
	var e *net.DNSError
	if errors.As(err, &e) && e.IsNotFound {
		return errors.New("no " + strings.TrimSuffix(e.Name, "."))
	}
	return err
}

// lookupRealm asks the TXT records of a host and of the domains that it is in, as MIT
// does where dns_lookup_realm is set. Nobody has signed them.
func lookupRealm(ctx context.Context, resolver Resolver, host string) (realm string, ok bool) {
	for name := host; name != ""; _, name, _ = strings.Cut(name, ".") {
		records, err := resolver.LookupTXT(ctx, "_kerberos."+name+".")
		if err == nil && len(records) > 0 && isRealm(records[0]) {
			return records[0], true
		}
		if ctx.Err() != nil {
			break
		}
	}
	return "", false
}

// isRealm keeps out what would be no realm in a message or an error.
func isRealm(s string) bool {
	if s == "" || len(s) > 255 {
		return false
	}
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] == 0x7f || s[i] == '/' || s[i] == '@' {
			return false
		}
	}
	return true
}
