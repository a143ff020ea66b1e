package tlsup

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"strconv"
	"testing"
)

func newStore(limit int) *sessionStore {
	return &sessionStore{limit: limit, shelves: make(map[*sessions]struct{})}
}

func fakeSession(t *testing.T, label string) *tls.ClientSessionState {
	t.Helper()
	state, err := tls.NewResumptionState([]byte(label), &tls.SessionState{})
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// giveOut names the sessions that are given out next.
func giveOut(t *testing.T, s *sessions, n int) (labels []string) {
	t.Helper()
	for range n {
		state, ok := s.Get("")
		if !ok {
			labels = append(labels, "none")
			continue
		}
		label, _, err := state.ResumptionState()
		if err != nil {
			t.Fatal(err)
		}
		labels = append(labels, string(label))
	}
	return labels
}

func put(t *testing.T, s *sessions, labels ...string) {
	t.Helper()
	for _, label := range labels {
		s.Put("", fakeSession(t, label))
	}
}

func TestSessionsSpread(t *testing.T) {
	s := newStore(10).open()
	put(t, s, "1", "2", "3")
	if got, want := giveOut(t, s, 5), []string{"3", "2", "1", "1", "1"}; !slices.Equal(got, want) {
		t.Errorf("the newest session is given out first, each once, and the last again\n got: %q\nwant: %q", got, want)
	}
	put(t, s, "4")
	if got, want := giveOut(t, s, 2), []string{"4", "1"}; !slices.Equal(got, want) {
		t.Errorf("a new session comes before the last one\n got: %q\nwant: %q", got, want)
	}
}

func TestSessionsAreBounded(t *testing.T) {
	store := newStore(4)
	busy, quiet := store.open(), store.open()
	put(t, quiet, "q")
	for i := range 100 {
		put(t, busy, strconv.Itoa(i))
	}
	if store.held != 4 || len(busy.tickets) != 3 || len(quiet.tickets) != 1 {
		t.Errorf("the server with most sessions loses them\n got: %d held, %d of the busy, %d of the quiet", store.held, len(busy.tickets), len(quiet.tickets))
	}
	if got, want := giveOut(t, busy, 3), []string{"99", "98", "97"}; !slices.Equal(got, want) {
		t.Errorf("the oldest go first\n got: %q\nwant: %q", got, want)
	}
	third, fourth, fifth := store.open(), store.open(), store.open()
	put(t, third, "t")
	put(t, fourth, "4")
	put(t, fifth, "5")
	if got := giveOut(t, quiet, 1); got[0] != "none" || store.held != 4 || len(store.shelves) != 4 {
		t.Errorf("among servers with as many the oldest session goes\n got: %q, %d held", got, store.held)
	}
}

func TestSessionThatFails(t *testing.T) {
	store := newStore(10)
	s := store.open()
	put(t, s, "1")
	giveOut(t, s, 1)
	s.Put("", nil)
	if got := giveOut(t, s, 1); got[0] != "none" || store.held != 0 {
		t.Errorf("the last session is not given out again once it failed\n got: %q", got)
	}

	put(t, s, "1", "2", "3", "4", "5")
	for range distrust - 1 {
		giveOut(t, s, 1)
		s.Put("", nil)
	}
	if got := giveOut(t, s, 1); got[0] != "3" {
		t.Errorf("a few handshakes that fail do not cost the others their sessions\n got: %q", got)
	}
	put(t, s, "6")
	s.Put("", nil)
	if got := giveOut(t, s, 1); got[0] != "6" {
		t.Errorf("a session that comes says that the server is well\n got: %q", got)
	}
	for range distrust - 1 {
		s.Put("", nil)
	}
	if got := giveOut(t, s, 1); got[0] != "none" || store.held != 0 {
		t.Errorf("a server that fails again and again is asked for no session any more\n got: %q", got)
	}
	s.Put("", nil) // nothing is left to drop
}

func TestGiantTicketIsNotKept(t *testing.T) {
	s := newStore(10).open()
	put(t, s, string(make([]byte, maxTicket+1)))
	if got := giveOut(t, s, 1); got[0] != "none" {
		t.Error("a ticket beyond the limit is not kept")
	}
	put(t, s, string(make([]byte, maxTicket)))
	if got := giveOut(t, s, 1); got[0] == "none" {
		t.Error("a ticket at the limit is kept")
	}
}

func TestClosedSessions(t *testing.T) {
	store := newStore(10)
	s := store.open()
	put(t, s, "1", "2")
	s.close()
	put(t, s, "3")
	if got := giveOut(t, s, 1); got[0] != "none" || store.held != 0 || len(store.shelves) != 0 {
		t.Errorf("what a closed cache had, and gets, is dropped\n got: %q, %d held", got, store.held)
	}
	cache := &anyKey{}
	l := &lent{cache: cache, key: "k"}
	l.Put("", fakeSession(t, "1"))
	l.close()
	if _, ok := l.Get(""); ok || cache.state != nil {
		t.Error("a closed cache gives its entry in the caller's cache up")
	}
	l.Put("", fakeSession(t, "2"))
	if cache.state != nil {
		t.Error("a closed cache puts nothing into the caller's")
	}
}

// resumes connects twice, the second time with what else is passed, and says
// whether it resumed.
func resumes(t *testing.T, server *tls.Config, first, second *tls.Config) bool {
	t.Helper()
	if m := meet(t, first, server); m.clientErr != nil {
		t.Fatal(m.clientErr)
	}
	m := meet(t, second, server)
	if m.clientErr != nil {
		t.Fatal(m.clientErr)
	}
	return m.client.DidResume
}

func TestResumption(t *testing.T) {
	root := newRoot(t, "Root")
	leaf := root.leaf(t, mail.Host)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		server := serverConfig(leaf)
		server.MaxVersion = version
		p := trusting(root)
		if !resumes(t, server, configFor(t, p, mail), configFor(t, p, mail)) {
			t.Errorf("%s: connections to the same peer resume", tls.VersionName(version))
		}
		open := &Policy{Unverified: true, Config: &tls.Config{Time: clock}}
		if !resumes(t, server, configFor(t, open, mail), configFor(t, open, mail)) {
			t.Errorf("%s: connections without verification resume each other", tls.VersionName(version))
		}
		lending := trusting(root)
		cache := &anyKey{}
		lending.Config.ClientSessionCache = cache
		if !resumes(t, server, configFor(t, lending, mail), configFor(t, lending, mail)) || len(cache.keys) < 2 {
			t.Errorf("%s: a cache of the caller's is used", tls.VersionName(version))
		}
		off := trusting(root)
		off.Sessions = -1
		if config := configFor(t, off, mail); config.ClientSessionCache != nil || resumes(t, server, config, config) {
			t.Errorf("%s: no session is kept where none is wanted", tls.VersionName(version))
		}
	}
}

// Sessions are never resumed where a full handshake might have ended otherwise.
// The server would resume each of them.
func TestNoResumptionAcross(t *testing.T) {
	root, other := newRoot(t, "Root"), newRoot(t, "Other")
	leaf := root.leaf(t, mail.Host, names(mail.Host, "b.example.org"))
	f := newFolder(t)
	alice := f.writePair("alice.pem", "alice.key", other.leaf(t, "alice"))
	bob := f.writePair("bob.pem", "bob.key", other.leaf(t, "bob"))
	ca := f.write("ca.pem", certPEM(root.cert.Raw))
	both := f.write("both.pem", certPEM(root.cert.Raw, other.cert.Raw))
	with := func(change func(*Peer)) Peer {
		peer := mail
		change(&peer)
		return peer
	}
	for _, tc := range []struct {
		name          string
		first, second Peer
	}{
		{"host", mail, with(func(p *Peer) { p.Host = "b.example.org" })},
		{"port", mail, with(func(p *Peer) { p.Port = "993" })},
		{"how TLS begins", mail, with(func(p *Peer) { p.Implicit = true })},
		{"a client certificate or none", mail, with(func(p *Peer) { p.Files = alice })},
		{"client certificates", with(func(p *Peer) { p.Files = alice }), with(func(p *Peer) { p.Files = bob })},
		{"authorities", with(func(p *Peer) { p.Files.CA = both }), with(func(p *Peer) { p.Files.CA = ca })},
		{"authorities, named or not", mail, with(func(p *Peer) { p.Files.CA = ca })},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for _, swap := range []bool{false, true} {
				for _, cache := range []tls.ClientSessionCache{nil, tls.NewLRUClientSessionCache(0)} {
					server := serverConfig(leaf)
					server.MaxVersion, server.ClientAuth = version, tls.RequestClientCert
					p := trusting(root)
					p.Config.ClientSessionCache = cache
					first, second := tc.first, tc.second
					if swap {
						first, second = second, first
					}
					if resumes(t, server, configFor(t, p, first), configFor(t, p, second)) {
						t.Errorf("a session of another peer is not resumed: %s differ", tc.name)
					}
				}
			}
		}
	}
}

func TestNoResumptionAcrossPolicies(t *testing.T) {
	root := newRoot(t, "Root")
	leaf := root.leaf(t, mail.Host)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		server := serverConfig(leaf)
		server.MaxVersion = version
		cache := tls.NewLRUClientSessionCache(0) // the caller's, and the same for all
		policies := map[string]*Policy{
			"plain":      trusting(root),
			"twin":       trusting(root),
			"pinned":     trusting(root),
			"unverified": {Unverified: true, Config: &tls.Config{Time: clock}},
		}
		policies["pinned"].Pins = [][32]byte{Pin(root.cert)}
		for _, p := range policies {
			p.Config.ClientSessionCache = cache
		}
		for name, p := range policies {
			for other, q := range policies {
				if name == other {
					continue
				}
				if m := meet(t, configFor(t, p, mail), server); m.clientErr != nil {
					t.Fatal(m.clientErr)
				}
				fresh := &Policy{Unverified: q.Unverified, Pins: q.Pins, Config: q.Config}
				if m := meet(t, configFor(t, fresh, mail), server); m.clientErr != nil || m.client.DidResume {
					t.Errorf("a session of another policy is not resumed: %s by %s\n got: resumed: %t, %v", name, other, m.client.DidResume, m.clientErr)
				}
			}
		}
	}
}

// What a callback chose for one connection may not be what it would choose for the
// next.
func TestNoResumptionWithChosenCertificate(t *testing.T) {
	root, other := newRoot(t, "Root"), newRoot(t, "Other")
	certificates := []tls.Certificate{other.leaf(t, "alice"), other.leaf(t, "bob")}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		calls := 0
		p := trusting(root)
		p.Config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			calls++
			return &certificates[calls-1], nil
		}
		server := serverConfig(root.leaf(t, mail.Host))
		server.MaxVersion = version
		if !resumes(t, server, configFor(t, p, mail), configFor(t, p, mail)) {
			t.Error("a callback that no server makes be called does not keep sessions from being resumed")
		}
		server.ClientAuth = tls.RequireAnyClientCert
		off := trusting(root)
		off.Sessions, off.Config.GetClientCertificate = -1, func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificates[0], nil }
		if resumes(t, server, configFor(t, off, mail), configFor(t, off, mail)) {
			t.Error("a callback needs no sessions")
		}
		other := mail
		other.Port = "1143"
		if resumes(t, server, configFor(t, p, other), configFor(t, p, other)) || calls != 2 {
			t.Errorf("a session with a certificate that a callback chose is not resumed\n got: %d calls", calls)
		}
	}
}

// A storm: all ask before the first has got a ticket. Each ticket goes out once.
func TestSessionsOfAStormAreSpread(t *testing.T) {
	root := newRoot(t, "Root")
	p := trusting(root)
	server := serverConfig(root.leaf(t, mail.Host))
	var offered []string
	server.UnwrapSession = func(ticket []byte, state tls.ConnectionState) (*tls.SessionState, error) {
		offered = append(offered, string(ticket))
		return server.DecryptTicket(ticket, state)
	}
	const n = 5
	config := configFor(t, p, mail)
	store := config.ClientSessionCache.(*sessions)
	for range n {
		cold := config.Clone()
		cold.ClientSessionCache = putOnly{store}
		if m := meet(t, cold, server); m.clientErr != nil || m.client.DidResume {
			t.Fatal(m.clientErr, m.client.DidResume)
		}
	}
	if len(store.tickets) != n {
		t.Fatalf("each full handshake gives a ticket\n got: %d\nwant: %d", len(store.tickets), n)
	}
	for range n + 2 {
		hot := config.Clone()
		hot.ClientSessionCache = getOnly{store}
		if m := meet(t, hot, server); m.clientErr != nil || !m.client.DidResume {
			t.Errorf("each connection of a storm resumes\n got: %t, %v", m.client.DidResume, m.clientErr)
		}
	}
	first := slices.Clone(offered[:n])
	slices.Sort(first)
	if len(slices.Compact(first)) != n {
		t.Error("each ticket is used once while others are left")
	}
	if offered[n] != offered[n-1] || offered[n+1] != offered[n-1] {
		t.Error("the last ticket is used again")
	}
}

type putOnly struct{ *sessions }

func (putOnly) Get(string) (*tls.ClientSessionState, bool) { return nil, false }

type getOnly struct{ *sessions }

func (getOnly) Put(string, *tls.ClientSessionState) {}

func TestResumedStateShowsTheChain(t *testing.T) {
	root := newRoot(t, "Root")
	leaf := root.leaf(t, mail.Host)
	p := trusting(root)
	server := serverConfig(leaf)
	meet(t, configFor(t, p, mail), server)
	m := meet(t, configFor(t, p, mail), server)
	if !m.client.DidResume || len(m.client.VerifiedChains) != 1 || !slices.EqualFunc(m.client.VerifiedChains[0], []*x509.Certificate{leaf.Leaf, root.cert}, (*x509.Certificate).Equal) {
		t.Errorf("a resumed connection has the chain of its first handshake\n got: %+v", m.client.VerifiedChains)
	}
}
