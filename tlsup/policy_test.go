package tlsup

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// names gives a certificate these names instead of its own.
func names(all ...string) edit {
	return func(c *x509.Certificate) {
		c.DNSNames, c.IPAddresses = nil, nil
		for _, name := range all {
			if ip := net.ParseIP(name); ip != nil {
				c.IPAddresses = append(c.IPAddresses, ip)
			} else {
				c.DNSNames = append(c.DNSNames, name)
			}
		}
	}
}

func TestZeroPolicyVerifies(t *testing.T) {
	config := configFor(t, &Policy{}, mail)
	if config.InsecureSkipVerify || config.RootCAs != nil || config.ServerName != mail.Host || config.MinVersion != tls.VersionTLS12 {
		t.Errorf("the zero policy verifies chain and name against the system's roots, with TLS 1.2 at least\n got: %+v", config)
	}
	m := meet(t, config, serverConfig(newRoot(t, "Nobody").leaf(t, mail.Host)))
	var unknown x509.UnknownAuthorityError
	if !errors.As(m.clientErr, &unknown) {
		t.Errorf("an authority that the system does not have is not trusted\n got: %v", m.clientErr)
	}
}

func TestVersions(t *testing.T) {
	root := newRoot(t, "Root")
	for _, tc := range []struct {
		name             string
		minimum, maximum uint16 // the caller's
		server           uint16
		want             uint16 // 0: no connection
		wantLeast        uint16
	}{
		{name: "default", server: tls.VersionTLS13, want: tls.VersionTLS13, wantLeast: tls.VersionTLS12},
		{name: "1.2 server", server: tls.VersionTLS12, want: tls.VersionTLS12, wantLeast: tls.VersionTLS12},
		{name: "1.1 server", server: tls.VersionTLS11, wantLeast: tls.VersionTLS12},
		{name: "lowered by the caller", minimum: tls.VersionTLS10, server: tls.VersionTLS11, wantLeast: tls.VersionTLS12},
		{name: "raised by the caller", minimum: tls.VersionTLS13, server: tls.VersionTLS12, wantLeast: tls.VersionTLS13},
		{name: "limited by the caller", maximum: tls.VersionTLS12, server: tls.VersionTLS13, want: tls.VersionTLS12, wantLeast: tls.VersionTLS12},
	} {
		p := trusting(root)
		p.Config.MinVersion, p.Config.MaxVersion = tc.minimum, tc.maximum
		config := configFor(t, p, mail)
		if config.MinVersion != tc.wantLeast {
			t.Errorf("%s: TLS 1.2 is the least\n got: %x\nwant: %x", tc.name, config.MinVersion, tc.wantLeast)
		}
		server := serverConfig(root.leaf(t, mail.Host))
		server.MinVersion, server.MaxVersion = tls.VersionTLS10, tc.server
		m := meet(t, config, server)
		if m.clientErr == nil && m.client.Version != tc.want || m.clientErr != nil && tc.want != 0 {
			t.Errorf("%s: the version is the best that both may use\n got: %x, %v\nwant: %x", tc.name, m.client.Version, m.clientErr, tc.want)
		}
	}

	old := &Policy{Config: &tls.Config{MaxVersion: tls.VersionTLS11}}
	if _, _, err := old.For(mail); err == nil || !strings.Contains(err.Error(), "MaxVersion") {
		t.Errorf("a policy that allows old versions only is refused\n got: %v", err)
	}
	hidden := &Policy{Config: &tls.Config{EncryptedClientHelloConfigList: []byte{0}}}
	if config := configFor(t, hidden, mail); config.MinVersion != tls.VersionTLS13 {
		t.Errorf("an encrypted ClientHello needs TLS 1.3\n got: %x", config.MinVersion)
	}
}

func TestALPN(t *testing.T) {
	root := newRoot(t, "Root")
	leaf := root.leaf(t, mail.Host)
	for _, tc := range []struct {
		name            string
		implicit        bool
		ours            []string
		servers         []string
		offered, agreed string
		fails           bool
	}{
		{name: "STARTTLS", servers: []string{"imap"}},
		{name: "implicit", implicit: true, servers: []string{"imap"}, offered: "imap", agreed: "imap"},
		{name: "the server has none", implicit: true, offered: "imap"},
		{name: "no overlap", implicit: true, servers: []string{"http/1.1"}, offered: "imap", fails: true},
		{name: "the caller's", ours: []string{"x"}, servers: []string{"x"}, offered: "x", agreed: "x"},
		{name: "the caller's, implicit", implicit: true, ours: []string{"x"}, servers: []string{"x"}, offered: "x", agreed: "x"},
		{name: "the caller wants none", implicit: true, ours: []string{}, servers: []string{"imap"}},
	} {
		p := trusting(root)
		p.Config.NextProtos = tc.ours
		server := serverConfig(leaf)
		server.NextProtos = tc.servers
		var offered []string
		server.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			offered = hello.SupportedProtos
			return nil, nil
		}
		m := meet(t, configFor(t, p, Peer{Host: mail.Host, Implicit: tc.implicit}), server)
		if strings.Join(offered, ",") != tc.offered || m.client.NegotiatedProtocol != tc.agreed && !tc.fails || (m.clientErr != nil) != tc.fails {
			t.Errorf("%s: ALPN is imap on implicit TLS\n got: offered %q, agreed %q, %v\nwant: offered %q, agreed %q", tc.name, offered, m.client.NegotiatedProtocol, m.clientErr, tc.offered, tc.agreed)
		}
	}
}

func TestConfigIsShared(t *testing.T) {
	root := newRoot(t, "Root")
	f := newFolder(t)
	p := trusting(root)
	p.Files = f.writePair("cert.pem", "key.pem", root.leaf(t, "client"))
	p.Files.CA = f.write("ca.pem", certPEM(root.cert.Raw))
	p.Files.CAPath = f.join("ca")
	f.write("ca/a", certPEM(root.cert.Raw))
	first := configFor(t, p, mail)
	if again := configFor(t, p, mail); again != first {
		t.Error("the same config comes back for the same peer")
	}
	peers := []Peer{
		{Host: "b.example.org", Port: mail.Port},
		{Host: mail.Host, Port: "993"},
		{Host: mail.Host, Port: mail.Port, Implicit: true},
		{Host: mail.Host, Port: mail.Port, Files: Files{CA: p.CA}},
	}
	for _, peer := range peers {
		if config := configFor(t, p, peer); config == first {
			t.Errorf("each peer has a config of its own\n got that of %+v for %+v", mail, peer)
		}
	}
	explicit := mail
	explicit.Files = p.Files
	if configFor(t, p, explicit) != first {
		t.Error("no files, and those of the policy, are the same peer")
	}
}

func TestUnverifiedWarnsEachTime(t *testing.T) {
	server := serverConfig(selfSigned(t, "else.example.org", func(c *x509.Certificate) { c.NotAfter = today.AddDate(0, 0, -1) }))
	for name, p := range map[string]*Policy{
		"Unverified":         {Unverified: true, Config: &tls.Config{Time: clock}},
		"InsecureSkipVerify": {Config: &tls.Config{InsecureSkipVerify: true, Time: clock}},
		"pinned":             {Unverified: true, Pins: [][32]byte{Pin(server.Certificates[0].Leaf)}, Config: &tls.Config{Time: clock}},
	} {
		for range 2 {
			config, warnings, err := p.For(mail)
			if err != nil {
				t.Fatal(err)
			}
			if len(warnings) != 1 || !strings.Contains(warnings[0], mail.Host) || !strings.Contains(warnings[0], "verified") {
				t.Errorf("%s: each handshake without verification warns\n got: %q", name, warnings)
			}
			if m := meet(t, config, server); m.clientErr != nil {
				t.Errorf("%s: without verification any certificate will do\n got: %v", name, m.clientErr)
			}
		}
	}
}

func TestPins(t *testing.T) {
	root, other := newRoot(t, "Root"), newRoot(t, "Other")
	middle := root.intermediate(t, "Middle")
	leaf := middle.leaf(t, mail.Host)
	for _, tc := range []struct {
		name       string
		pin        *x509.Certificate
		unverified bool
		good       bool
	}{
		{"the server's key", leaf.Leaf, false, true},
		{"an intermediate's", middle.cert, false, true},
		{"the root's", root.cert, false, true},
		{"none of the chain", other.cert, false, false},
		{"unverified: the server's key", leaf.Leaf, true, true},
		{"unverified: an intermediate that anyone can send", middle.cert, true, false},
		{"unverified: none", other.cert, true, false},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			p := trusting(root)
			p.Unverified = tc.unverified
			p.Pins = [][32]byte{{}, Pin(tc.pin)}
			server := serverConfig(leaf)
			server.MaxVersion = version
			m := meet(t, configFor(t, p, mail), server)
			var pin *PinError
			if tc.good && m.clientErr != nil || !tc.good && !errors.As(m.clientErr, &pin) {
				t.Errorf("%s: one key that counts must be pinned\n got: %v", tc.name, m.clientErr)
			}
		}
	}
}

// A pin is checked on resumption, too: here one changes under a session that a
// cache of the caller's hands from policy to policy, whatever key it is asked for.
func TestPinsOnResumption(t *testing.T) {
	root := newRoot(t, "Root")
	server := serverConfig(root.leaf(t, mail.Host))
	cache := &anyKey{}
	first, second := trusting(root), trusting(root)
	first.Config.ClientSessionCache, second.Config.ClientSessionCache = cache, cache
	second.Pins = [][32]byte{{1}}
	if m := meet(t, configFor(t, first, mail), server); m.clientErr != nil {
		t.Fatal(m.clientErr)
	}
	m := meet(t, configFor(t, second, mail), server)
	var pin *PinError
	if !m.client.DidResume || !errors.As(m.clientErr, &pin) {
		t.Errorf("pins are checked on resumption\n got: resumed: %t, %v", m.client.DidResume, m.clientErr)
	}
}

// anyKey is a cache that minds no keys.
type anyKey struct {
	mu    sync.Mutex
	state *tls.ClientSessionState
	keys  []string
}

func (c *anyKey) Get(key string) (*tls.ClientSessionState, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys = append(c.keys, key)
	return c.state, c.state != nil
}

func (c *anyKey) Put(_ string, state *tls.ClientSessionState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = state
}

func TestCallersConfig(t *testing.T) {
	root := newRoot(t, "Root")
	leaf := root.leaf(t, mail.Host)
	var calls []string
	var keys, moreKeys bytes.Buffer
	theirs := &tls.Config{
		RootCAs: pool(root.cert),
		Time:    clock,
		VerifyConnection: func(state tls.ConnectionState) error {
			calls = append(calls, "connection")
			return nil
		},
		VerifyPeerCertificate: func(_ [][]byte, chains [][]*x509.Certificate) error {
			calls = append(calls, "peer "+strconv.Itoa(len(chains)))
			return nil
		},
		KeyLogWriter:  &keys,
		Renegotiation: tls.RenegotiateFreelyAsClient,
	}
	p := &Policy{Config: theirs, KeyLog: &moreKeys, Pins: [][32]byte{Pin(leaf.Leaf)}}
	config := configFor(t, p, mail)
	if m := meet(t, config, serverConfig(leaf)); m.clientErr != nil {
		t.Fatal(m.clientErr)
	}
	if want := []string{"peer 1", "connection"}; !slices.Equal(calls, want) {
		t.Errorf("the caller's callbacks are called\n got: %q\nwant: %q", calls, want)
	}
	if !strings.Contains(keys.String(), "CLIENT_TRAFFIC_SECRET_0 ") || keys.String() != moreKeys.String() {
		t.Errorf("both key logs get the keys\n got: %q\n and: %q", keys.String(), moreKeys.String())
	}
	if config.Renegotiation != tls.RenegotiateNever {
		t.Error("renegotiation is never allowed")
	}
	if theirs.ServerName != "" || theirs.MinVersion != 0 || theirs.Renegotiation != tls.RenegotiateFreelyAsClient || theirs.ClientSessionCache != nil {
		t.Error("the caller's config is not changed")
	}

	alone := bytes.Buffer{}
	p = &Policy{Config: &tls.Config{RootCAs: theirs.RootCAs, Time: clock}, KeyLog: &alone}
	if meet(t, configFor(t, p, mail), serverConfig(leaf)); !strings.Contains(alone.String(), "CLIENT_TRAFFIC_SECRET_0 ") {
		t.Errorf("the key log gets the keys\n got: %q", alone.String())
	}

	calls = nil
	p = &Policy{Config: theirs, Pins: [][32]byte{{}}}
	meet(t, configFor(t, p, mail), serverConfig(leaf))
	if slices.Contains(calls, "connection") {
		t.Error("the caller's VerifyConnection is called after our checks, not where they fail")
	}

	refused := errors.New("not on my watch")
	theirs.VerifyConnection = func(tls.ConnectionState) error { return refused }
	for name, pins := range map[string][][32]byte{"with pins": {Pin(leaf.Leaf)}, "without": nil} {
		p = &Policy{Config: theirs, Pins: pins}
		if m := meet(t, configFor(t, p, mail), serverConfig(leaf)); !errors.Is(m.clientErr, refused) {
			t.Errorf("%s: the caller's VerifyConnection can refuse\n got: %v", name, m.clientErr)
		}
	}
}

func TestClientCertificate(t *testing.T) {
	root, other := newRoot(t, "Root"), newRoot(t, "Other")
	middle := other.intermediate(t, "Middle")
	f := newFolder(t)
	files := f.writePair("cert.pem", "key.pem", middle.leaf(t, "alice"))
	theirs := other.leaf(t, "bob")
	callback := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &theirs, nil }
	for _, tc := range []struct {
		name   string
		files  Files
		config *tls.Config
		auth   tls.ClientAuthType
		want   string // whose certificate the server sees, and how many
	}{
		{"nobody asked", files, &tls.Config{}, tls.NoClientCert, ""},
		{"asked", files, &tls.Config{}, tls.RequestClientCert, "alice 2"},
		{"asked, and we have none", Files{}, &tls.Config{}, tls.RequestClientCert, ""},
		{"the caller's Certificates", Files{}, &tls.Config{Certificates: []tls.Certificate{theirs}}, tls.RequestClientCert, "bob 1"},
		{"the caller's callback", Files{}, &tls.Config{GetClientCertificate: callback}, tls.RequestClientCert, "bob 1"},
		{"ours comes before the caller's", files, &tls.Config{GetClientCertificate: callback}, tls.RequestClientCert, "alice 2"},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			p := &Policy{Files: tc.files, Config: tc.config}
			p.Config.RootCAs, p.Config.Time = pool(root.cert), clock
			server := serverConfig(root.leaf(t, mail.Host))
			server.ClientAuth, server.MaxVersion = tc.auth, version
			m := meet(t, configFor(t, p, mail), server)
			if m.clientErr != nil {
				t.Errorf("%s: %v", tc.name, m.clientErr)
			}
			got := ""
			if n := len(m.server.PeerCertificates); n > 0 {
				got = m.server.PeerCertificates[0].DNSNames[0] + " " + strconv.Itoa(n)
			}
			if got != tc.want {
				t.Errorf("%s: the server sees the certificate that it asked for, and its chain\n got: %q\nwant: %q", tc.name, got, tc.want)
			}
		}
	}
}

func TestClientCertificateForRequest(t *testing.T) {
	root, other := newRoot(t, "Root"), newRoot(t, "Other")
	p := trusting(root)
	p.Files = newFolder(t).writePair("cert.pem", "key.pem", other.leaf(t, "alice"))
	choose := configFor(t, p, mail).GetClientCertificate
	request := &tls.CertificateRequestInfo{
		Version:          tls.VersionTLS13,
		AcceptableCAs:    [][]byte{root.cert.RawSubject},
		SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
	}
	if got, err := choose(request); err != nil || len(got.Certificate) != 1 {
		t.Errorf("our certificate is sent although the server lists other authorities, as OpenSSL does\n got: %v, %v", got, err)
	}
	if len(request.AcceptableCAs) != 1 {
		t.Error("the request is not changed")
	}
	request.SignatureSchemes = []tls.SignatureScheme{tls.Ed25519}
	if got, err := choose(request); err != nil || got == nil || len(got.Certificate) != 0 {
		t.Errorf("a certificate with which we could not sign is not sent, as OpenSSL does\n got: %v, %v", got, err)
	}
}

func TestForgottenPeers(t *testing.T) {
	root := newRoot(t, "Root")
	f := newFolder(t)
	p := trusting(root)
	files := f.writePair("cert.pem", "key.pem", root.leaf(t, "alice"))
	files.CA = f.write("ca.pem", certPEM(root.cert.Raw))
	first := configFor(t, p, Peer{Host: "first", Files: files})
	server := serverConfig(root.leaf(t, "first"))
	if m := meet(t, first, server); m.clientErr != nil {
		t.Fatal(m.clientErr)
	}
	for i := range maxTargets {
		configFor(t, p, Peer{Host: "host" + strconv.Itoa(i)})
	}
	if len(p.targets) != maxTargets || p.recent.Len() != maxTargets || p.store.held != 0 || len(p.store.shelves) != 0 {
		t.Errorf("what is kept of peers is bounded\n got: %d targets, %d in order, %d sessions", len(p.targets), p.recent.Len(), p.store.held)
	}
	if len(p.roots) != 1 || len(p.ids) != 1 {
		t.Errorf("what was read of files that no peer has any more is dropped\n got: %d, %d", len(p.roots), len(p.ids))
	}
	if configFor(t, p, Peer{Host: "host" + strconv.Itoa(0)}); p.targets[Peer{Host: "host1"}] == nil {
		t.Error("peers that are in use stay")
	}
	again := configFor(t, p, Peer{Host: "first", Files: files})
	if again == first || p.targets[Peer{Host: "host0"}] == nil || p.targets[Peer{Host: "host1"}] != nil {
		t.Error("the peer that was not used for longest is forgotten")
	}
	for range 2 {
		if m := meet(t, first, server); m.clientErr != nil || m.client.DidResume {
			t.Errorf("the config of a peer that was forgotten still works, without sessions\n got: resumed: %t, %v", m.client.DidResume, m.clientErr)
		}
	}
}

func TestPolicyIsSafeForConcurrentUse(t *testing.T) {
	root := newRoot(t, "Root")
	f := newFolder(t)
	p := trusting(root)
	p.Files = f.writePair("cert.pem", "key.pem", root.leaf(t, "alice"))
	p.Files.CA = f.write("ca.pem", certPEM(root.cert.Raw))
	server := serverConfig(root.leaf(t, mail.Host))
	server.ClientAuth = tls.RequireAnyClientCert
	configFor(t, p, mail) // from here on, files that are caught half written leave the old ones in use
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 10 {
				config, _, err := p.For(mail)
				if err != nil {
					t.Error(err)
					return
				}
				m := meet(t, config, server)
				p.Done(m.client, time.Microsecond, m.clientErr)
				if m.clientErr != nil {
					t.Error(m.clientErr)
				}
				p.Stats()
			}
		})
	}
	for range 20 {
		f.write("ca.pem", certPEM(root.cert.Raw, root.cert.Raw))
		f.write("ca.pem", certPEM(root.cert.Raw))
	}
	all.Wait()
	if s := p.Stats(); s.Handshakes != 80 || s.Failed != 0 || s.Busy != 80*time.Microsecond {
		t.Errorf("each handshake is counted\n got: %+v", s)
	}
}

func TestStats(t *testing.T) {
	p := &Policy{}
	p.Done(tls.ConnectionState{}, time.Second, nil)
	p.Done(tls.ConnectionState{DidResume: true}, time.Second, nil)
	p.Done(tls.ConnectionState{DidResume: true}, time.Second, errors.New("no"))
	if got, want := p.Stats(), (Stats{Handshakes: 2, Resumed: 1, Failed: 1, Busy: 3 * time.Second, Lean: lean()}); got != want {
		t.Errorf("handshakes are counted by their end\n got: %+v\nwant: %+v", got, want)
	}
}
