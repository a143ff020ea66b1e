package tlsup

import (
	"net/netip"
	"strings"
)

// verifiedName is the name that the certificate of host must carry, in the form that
// crypto/tls and crypto/x509 know: an address without brackets and zone, or a host
// name without the dot that makes it absolute (RFC 6066 section 3 wants it without).
func verifiedName(host string) (string, *HostError) {
	bare := host
	if inner, ok := strings.CutPrefix(host, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); ok {
			bare = inner
		}
	}
	if address, err := netip.ParseAddr(bare); err == nil {
		return address.WithZone("").String(), nil
	}
	if fault := nameFault(host); fault != "" {
		return "", &HostError{Host: host, Fault: fault,
			Remedy: "say which name its certificate has (Policy.Config.ServerName), or that it need not be verified (Policy.Unverified)"}
	}
	return strings.TrimSuffix(host, "."), nil
}

// nameFault is what keeps host from being a host name; "" if nothing does.
// Underscores are none, but names with them are in use and crypto/x509 takes them.
func nameFault(host string) string {
	if host == "" {
		return "there is no host name to check a certificate against"
	}
	if strings.Contains(host, "/") {
		return "a path is no name that a certificate could be checked against"
	}
	for _, label := range strings.Split(strings.TrimSuffix(host, "."), ".") {
		if label == "" {
			return "it is no host name: a label is empty"
		}
	}
	for i := range len(host) {
		switch c := host[i]; {
		case c >= 0x80:
			return "a host name is ASCII: an international one has to be given in its \"xn--\" form"
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_':
		default:
			return "it is neither a host name nor an address"
		}
	}
	return ""
}
