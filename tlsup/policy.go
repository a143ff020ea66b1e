package tlsup

import (
	"cmp"
	"container/list"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Policy says whom to trust, who we are, and what else a handshake needs. The zero
// value is ready: TLS 1.2 at least, chain and name verified against the system's
// roots. One Policy serves any number of connections and goroutines, which then
// resume each other's sessions; it must not be copied, nor its fields be changed,
// once it was used.
type Policy struct {
	// Files are those of peers that have none of their own, see [Peer].
	Files

	// Config is for whatever is not named here; it is cloned, never changed. Its
	// MinVersion is raised to TLS 1.2, Renegotiation is never allowed, a ServerName
	// takes the place of every peer's host, NextProtos that is not nil that of ALPN
	// "imap", a ClientSessionCache keeps the sessions instead of our own bounded one,
	// and InsecureSkipVerify is the same as Unverified. RootCAs counts where Files
	// name no authority, Certificates where they name no certificate.
	// GetClientCertificate is called if theirs does not suit the server; because no
	// two answers of it need be the same, no session is resumed with a server that
	// made it be called. VerifyConnection is called after our own checks.
	Config *tls.Config

	// Unverified lets a handshake succeed with any certificate for any name (the
	// unverified mode of imclient(3)). Each such handshake warns. Whoever is on the
	// path can then read and change everything.
	Unverified bool

	// Pins are SHA-256 digests of public keys, see [Pin]. If there are any, one key of
	// the verified chain must be among them; with Unverified, where no chain is
	// verified, the key of the server's own certificate.
	Pins [][sha256.Size]byte

	// KeyLog receives the secrets of all connections in the format of SSLKEYLOGFILE
	// (RFC 9850): with them, anyone can read the connections. Calls are
	// serialised by crypto/tls. The environment is never asked.
	KeyLog io.Writer

	// Sessions bounds how many sessions are kept for resumption, over all servers. 0
	// means 1024; less: none is kept, and no server is asked for one.
	Sessions int

	counters counters
	mu       sync.Mutex
	id       string // of our sessions in a cache that is not ours
	serial   uint64 // configs made
	targets  map[Peer]*target
	recent   list.List // of *target, the one used last in front
	ids      map[Files]*source[*keyPair]
	roots    map[Files]*source[*x509.CertPool]
	store    *sessionStore
}

// Default is the policy of all who name none: the system's roots, and what the zero
// value has else.
var Default = new(Policy)

// Peer is the server that a connection goes to.
type Peer struct {
	Host, Port string // as the caller named them, never what DNS says
	Files      Files  // all empty: the policy's
	Implicit   bool   // TLS from the first byte, not by STARTTLS
}

// maxTargets bounds the peers for which a config is kept.
const maxTargets = 4096

// A target is a peer, with what its handshakes share.
type target struct {
	peer     Peer
	name     string // that its certificate must have; "": unverified
	identity *source[*keyPair]
	roots    *source[*x509.CertPool]
	place    *list.Element // in recent

	config          *tls.Config
	sessions        sessionCache // nil: none
	warnings        []string     // of each handshake
	identityVersion uint64       // of the sources, when config was made
	rootsVersion    uint64
}

// A sessionCache is [sessions] or [lent].
type sessionCache interface {
	tls.ClientSessionCache
	close()
}

func (t *target) endSessions() {
	if t.sessions != nil {
		t.sessions.close()
	}
}

// Pin is a certificate's entry for [Policy].Pins: the SHA-256 of its
// SubjectPublicKeyInfo, which stays the same when a certificate is renewed for the
// same key. (RFC 7469 section 2.4; there, and in curl(1), in base64.)
func Pin(certificate *x509.Certificate) [sha256.Size]byte {
	return sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
}

// For returns the config for one handshake with a peer, and what a person should be
// warned of. The config is shared: the same one comes back for the same peer until
// files change, or thousands of other peers came in between. It must not be changed.
//
// For looks whether files have changed, with stat(2), at each call; a CA directory
// at most once a second by Config.Time. Those that did are read again, while other
// callers wait. A new file that is bad leaves the old one in use and warns, once.
//
// Errors are *FileError (a file is bad, and there is no older version in use),
// *HostError (no certificate can be checked against the host), or about Config.
// Safe on any goroutine.
func (p *Policy) For(peer Peer) (config *tls.Config, warnings []string, err error) {
	now := p.now()
	peer.Files = p.filesFor(peer)
	p.mu.Lock()
	defer p.mu.Unlock()
	t, err := p.target(peer)
	if err != nil {
		return nil, nil, err
	}
	warnings = t.identity.refresh(now)
	warnings = append(warnings, t.roots.refresh(now)...)
	if err := cmp.Or(t.identity.err, t.roots.err); err != nil {
		return nil, warnings, err
	}
	if t.identityVersion != t.identity.generation || t.rootsVersion != t.roots.generation {
		p.configure(t)
	}
	if warning := t.identity.value.outOfDate(now); warning != "" {
		warnings = append(warnings, warning)
	}
	if len(warnings) == 0 {
		return t.config, t.warnings, nil
	}
	return t.config, append(warnings, t.warnings...), nil
}

func (p *Policy) now() time.Time {
	if p.Config != nil && p.Config.Time != nil {
		return p.Config.Time()
	}
	return time.Now()
}

func (p *Policy) filesFor(peer Peer) Files {
	if peer.Files == (Files{}) {
		return p.Files
	}
	return peer.Files
}

func (p *Policy) unverified() bool {
	return p.Unverified || p.Config != nil && p.Config.InsecureSkipVerify
}

// nameFor is the name that the certificate of a peer must have.
func (p *Policy) nameFor(peer Peer) (string, *HostError) {
	if p.Config != nil && p.Config.ServerName != "" {
		return verifiedName(p.Config.ServerName)
	}
	return verifiedName(peer.Host)
}

// target finds or makes what is kept of a peer.
func (p *Policy) target(peer Peer) (*target, error) {
	if t := p.targets[peer]; t != nil {
		p.recent.MoveToFront(t.place)
		return t, nil
	}
	if p.Config != nil && p.Config.MaxVersion != 0 && p.Config.MaxVersion < tls.VersionTLS12 {
		return nil, errors.New("tlsup: Policy.Config.MaxVersion is below TLS 1.2, which is the least")
	}
	name, fault := p.nameFor(peer)
	if fault != nil && !p.unverified() {
		return nil, fault
	}
	if p.targets == nil {
		p.prepare()
	}
	t := &target{peer: peer, name: name}
	t.identity = acquire(p.ids, Files{Cert: peer.Files.Cert, Key: peer.Files.Key}, newPairSource)
	t.roots = acquire(p.roots, Files{CA: peer.Files.CA, CAPath: peer.Files.CAPath}, newRootsSource)
	t.place = p.recent.PushFront(t)
	p.targets[peer] = t
	if len(p.targets) > maxTargets {
		p.forget(p.recent.Back().Value.(*target))
	}
	return t, nil
}

func (p *Policy) prepare() {
	p.id = rand.Text()
	p.targets = make(map[Peer]*target)
	p.ids = make(map[Files]*source[*keyPair])
	p.roots = make(map[Files]*source[*x509.CertPool])
	limit := p.Sessions
	if limit == 0 {
		limit = defaultSessions
	}
	p.store = &sessionStore{limit: limit, shelves: make(map[*sessions]struct{})}
}

func (p *Policy) forget(t *target) {
	t.endSessions()
	p.recent.Remove(t.place)
	delete(p.targets, t.peer)
	release(p.ids, Files{Cert: t.peer.Files.Cert, Key: t.peer.Files.Key})
	release(p.roots, Files{CA: t.peer.Files.CA, CAPath: t.peer.Files.CAPath})
}

// acquire shares sources between the targets that name the same files.
func acquire[T any](sources map[Files]*source[T], files Files, make func(Files) *source[T]) *source[T] {
	s := sources[files]
	if s == nil {
		s = make(files)
		sources[files] = s
	}
	s.users++
	return s
}

func release[T any](sources map[Files]*source[T], files Files) {
	s := sources[files]
	if s.users--; s.users == 0 {
		delete(sources, files)
	}
}

// configure makes the config of a target. With the old one its sessions go: they
// stand for an identity or for authorities that may not hold any more.
func (p *Policy) configure(t *target) {
	t.endSessions()
	t.identityVersion, t.rootsVersion = t.identity.generation, t.roots.generation
	config := &tls.Config{}
	if p.Config != nil {
		config = p.Config.Clone()
	}
	config.ServerName = t.name
	config.InsecureSkipVerify = p.unverified()
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	if len(config.EncryptedClientHelloConfigList) > 0 {
		config.MinVersion = tls.VersionTLS13 // crypto/tls insists
	}
	config.Renegotiation = tls.RenegotiateNever
	if t.roots.value != nil {
		config.RootCAs = t.roots.value
	}
	if t.peer.Implicit && config.NextProtos == nil {
		// The name is in the registry of RFC 7301. After STARTTLS the protocol is
		// settled already, and servers may not know the extension there.
		config.NextProtos = []string{"imap"}
	}
	if len(p.Pins) > 0 {
		config.VerifyConnection = p.checkPins(config.VerifyConnection)
	}
	if p.KeyLog != nil && config.KeyLogWriter != nil {
		config.KeyLogWriter = io.MultiWriter(p.KeyLog, config.KeyLogWriter)
	} else if p.KeyLog != nil {
		config.KeyLogWriter = p.KeyLog
	}
	t.sessions = p.cacheFor(t, config.ClientSessionCache)
	config.ClientSessionCache = t.sessions
	config.GetClientCertificate = chooser(t.identity.value, config.GetClientCertificate, t.sessions)
	t.config, t.warnings = config, p.warningsFor(t)
}

// cacheFor makes the session cache of a target's next config, nil if there is to be
// none; theirs is the caller's.
func (p *Policy) cacheFor(t *target, theirs tls.ClientSessionCache) sessionCache {
	p.serial++
	switch {
	case p.Sessions < 0:
		return nil
	case theirs != nil:
		return &lent{cache: theirs, key: t.peer.Host + ":" + t.peer.Port + " " + p.id + " " + strconv.FormatUint(p.serial, 10)}
	}
	return p.store.open()
}

func (p *Policy) warningsFor(t *target) []string {
	host := quote(t.peer.Host)
	switch {
	case !p.unverified():
		return nil
	case len(p.Pins) > 0:
		return slices.Clip([]string{"tlsup: of the certificate of " + host + " only the key is verified, which is pinned"})
	}
	return slices.Clip([]string{"tlsup: the certificate of " + host + " is not verified: whoever is on the path can read and change everything"})
}

// checkPins is called on resumption as well: VerifiedChains is then that of the
// session's first handshake.
func (p *Policy) checkPins(then func(tls.ConnectionState) error) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		chains := state.VerifiedChains
		if len(chains) == 0 {
			// Unverified: only of the leaf's key has the server shown that it owns it.
			// What else it sent, anyone can send.
			chains = [][]*x509.Certificate{state.PeerCertificates[:1]}
		}
		var seen []*x509.Certificate
		for _, chain := range chains {
			for _, certificate := range chain {
				if slices.Contains(p.Pins, Pin(certificate)) {
					if then != nil {
						return then(state)
					}
					return nil
				}
				if !slices.Contains(seen, certificate) {
					seen = append(seen, certificate)
				}
			}
		}
		return &PinError{Certificates: seen}
	}
}

// chooser is called when the server asks for a certificate: that keeps crypto/tls
// from sending one that nobody asked for. Ours is sent whatever authorities the
// server lists: as OpenSSL does, which looks at that list only in its strict mode,
// because lists are incomplete (and the server's error tells more than none being
// sent). A key that can make no signature which the server takes is not offered,
// as there.
func chooser(own *keyPair, then func(*tls.CertificateRequestInfo) (*tls.Certificate, error), sessions sessionCache) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	if own == nil && then == nil {
		return nil // Config.Certificates
	}
	return func(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if own != nil {
			anyAuthority := *request
			anyAuthority.AcceptableCAs = nil
			if anyAuthority.SupportsCertificate(own.certificate) == nil {
				return own.certificate, nil
			}
		}
		if then == nil {
			return new(tls.Certificate), nil // none
		}
		if sessions != nil {
			sessions.close()
		}
		return then(request)
	}
}
