package tlsup

import (
	"errors"
	"strings"
	"testing"
)

func TestServerName(t *testing.T) {
	for _, tc := range []struct{ host, name, fault string }{
		{"mail.example.org", "mail.example.org", ""},
		{"mail.example.org.", "mail.example.org", ""},
		{"Mail.Example.ORG", "Mail.Example.ORG", ""},
		{"localhost", "localhost", ""},
		{"under_score.example.org", "under_score.example.org", ""},
		{"192.0.2.1", "192.0.2.1", ""},
		{"::1", "::1", ""},
		{"[::1]", "::1", ""},
		{"fe80::1%eth0", "fe80::1", ""},
		{"[fe80::1%eth0]", "fe80::1", ""},
		{"", "", "there is no host name"},
		{".", "", "a label is empty"},
		{"a..b", "", "a label is empty"},
		{"a.b..", "", "a label is empty"},
		{"/run/imap.sock", "", "a path"},
		{"mail.example.org:143", "", "neither a host name nor an address"},
		{"[::1", "", "neither"},
		{"mail example", "", "neither"},
		{"mail\x00.example.org", "", "neither"},
		{"bücher.example", "", "xn--"},
	} {
		name, fault := verifiedName(tc.host)
		switch {
		case tc.fault == "" && (fault != nil || name != tc.name):
			t.Errorf("each form of a host has the name that certificates have\n host: %q\n got: %q, %v\nwant: %q", tc.host, name, fault, tc.name)
		case tc.fault != "" && (fault == nil || !strings.Contains(fault.Error(), tc.fault)):
			t.Errorf("a host without such a name is told\n host: %q\n got: %q, %v\nwant: %q", tc.host, name, fault, tc.fault)
		}
	}
}

// Each form of a host reaches the certificate that has its name.
func TestHostsInHandshakes(t *testing.T) {
	root := newRoot(t, "Root")
	p := trusting(root)
	p.Sessions = -1 // one that was resumed would have the certificate that came before
	for _, tc := range []struct {
		host string
		leaf edit
		sni  string
		good bool
	}{
		{"mail.example.org", names("mail.example.org"), "mail.example.org", true},
		{"mail.example.org.", names("mail.example.org"), "mail.example.org", true},
		{"a.example.org", names("*.example.org"), "a.example.org", true},
		{"a.b.example.org", names("*.example.org"), "a.b.example.org", false},
		{"192.0.2.1", names("192.0.2.1"), "", true},
		{"192.0.2.1", names("192.0.2.2"), "", false},
		{"[2001:db8::1]", names("2001:db8::1"), "", true},
		{"fe80::1%eth0", names("fe80::1"), "", true},
		{"cn.mail.example.org", names("mail.example.org"), "cn.mail.example.org", false}, // the common name does not count
		{"cn.mail.example.org", names(), "cn.mail.example.org", false},                   // not even where it is all there is
	} {
		server := serverConfig(root.leaf(t, "mail.example.org", tc.leaf))
		m := meet(t, configFor(t, p, Peer{Host: tc.host}), server)
		if good := m.clientErr == nil; good != tc.good {
			t.Errorf("the name of the certificate is the host's or there is no connection\n host: %q\n got: %v", tc.host, m.clientErr)
		}
		if m.server.ServerName != tc.sni {
			t.Errorf("the server is told by which name it is wanted, if that is no address\n host: %q\n got: %q\nwant: %q", tc.host, m.server.ServerName, tc.sni)
		}
	}
}

func TestHostWithoutName(t *testing.T) {
	root := newRoot(t, "Root")
	server := serverConfig(root.leaf(t, "mail.example.org"))
	for _, host := range []string{"", "/run/imap.sock"} {
		p := trusting(root)
		var fault *HostError
		if _, _, err := p.For(Peer{Host: host}); !errors.As(err, &fault) || fault.Host != host || !strings.Contains(err.Error(), "ServerName") {
			t.Errorf("a host that no certificate could name is refused, with a way out\n host: %q\n got: %v", host, err)
		}
		named := trusting(root)
		named.Config.ServerName = "mail.example.org"
		if m := meet(t, configFor(t, named, Peer{Host: host}), server); m.clientErr != nil {
			t.Errorf("Config.ServerName stands in for the host\n host: %q\n got: %v", host, m.clientErr)
		}
		open := &Policy{Unverified: true}
		if m := meet(t, configFor(t, open, Peer{Host: host}), server); m.clientErr != nil {
			t.Errorf("without verification no name is needed\n host: %q\n got: %v", host, m.clientErr)
		}
	}
}
