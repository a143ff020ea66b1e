package sasl

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const digestName = "DIGEST-MD5"

// DigestOptions are what a login by DIGEST-MD5 may be told.
type DigestOptions struct {
	// Realm is the user's, in UTF-8, if the server has several. "": the one named like
	// the host, or else the server's first.
	Realm string
	// Ciphers are those allowed, the best first. nil: all, rc4, 3des, rc4-56, des, rc4-40.
	Ciphers []Cipher
}

// DIGESTMD5 logs in by RFC 2831, and can protect the connection: auth-int is
// [ProtIntegrity], auth-conf is [ProtPrivacy]. RFC 6331 says why it should be the last
// choice of those that are no cleartext. Each login is an initial authentication.
//
// User name and password are hashed as they are, in ISO 8859-1 if all of their
// characters are in it: neither RFC 2831 nor the servers know SASLprep here.
func DIGESTMD5(p Provider, o DigestOptions) Mechanism {
	if o.Ciphers == nil {
		o.Ciphers = defaultCiphers
	}
	o.Ciphers = slices.Clone(o.Ciphers)
	return &digestMD5{provider: p, options: o}
}

type digestMD5 struct {
	opaque
	provider Provider
	options  DigestOptions
}

func (m *digestMD5) Name() string { return digestName }

func (m *digestMD5) Traits() Traits {
	return Traits{Mutual: true, Prot: ProtAny, Strength: Strength(digestName)}
}

func (m *digestMD5) Ready(Params) error {
	if err := allowedHash("MD5"); err != nil {
		return err
	}
	return readyPassword(m.provider)
}

func (m *digestMD5) New(p Params) Exchange { return &digestExchange{m: m, params: p} }

// digestExchange is one login.
type digestExchange struct {
	opaque
	m        *digestMD5
	params   Params
	phase    phase  // fresh, asking, waiting, proving, answered, ended
	user     string // who logs in, and for whom
	authzid  string
	password Secret // until the challenge comes
	cnonce   string // "": to be made
	choice   digestChoice
	proof    string // that the server has to give
	layer    *packetLayer
}

// digestChoice is what may lie between the protocol and the socket.
type digestChoice struct {
	prot   Prot   // one bit
	cipher Cipher // of ProtPrivacy
}

func (x *digestExchange) Start() (Step, error) {
	if !x.phase.move(fresh, asking) {
		return x.fail(ErrFinished)
	}
	return credentials(x.m.provider, digestName, x.params, x.ready)
}

func (x *digestExchange) ready(c Credentials) (Step, error) {
	defer c.Wipe()
	x.user, x.authzid = c.identities(x.params)
	if err := c.needPassword(x.user); err != nil {
		return x.fail(err)
	}
	for _, name := range [...]string{x.user, x.authzid} {
		if !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
			return x.fail(noCredentials("a name that is not UTF-8, or has a control character"))
		}
	}
	x.password = bytes.Clone(c.Password)
	x.phase = waiting
	return Step{}, nil
}

func (x *digestExchange) Next(challenge []byte) (Step, error) {
	switch x.phase {
	case waiting:
		return x.challenged(challenge)
	case proving:
		return x.proved(challenge)
	case answered:
		return x.fail(badChallenge(digestName, "one more after the server's proof"))
	}
	return x.fail(ErrFinished)
}

// challenged is the first step: out of what the server offers the response is made.
func (x *digestExchange) challenged(challenge []byte) (Step, error) {
	c, err := parseDigestChallenge(challenge)
	if err != nil {
		return x.fail(err)
	}
	if x.choice, err = x.choose(c); err != nil {
		return x.fail(err)
	}
	realm, err := x.realm(c)
	if err != nil {
		return x.fail(err)
	}
	response, err := x.answer(c, realm)
	if err != nil {
		return x.fail(err)
	}
	x.forget()
	x.phase = proving
	return Step{Response: response}, nil
}

func (x *digestExchange) fail(err error) (Step, error) {
	x.forget()
	x.phase, x.proof, x.layer = ended, "", nil
	return Step{}, err
}

func (x *digestExchange) forget() {
	wipe(x.password)
	x.password = nil
}

// choose takes the strongest protection that is offered and allowed.
func (x *digestExchange) choose(c *digestChallenge) (digestChoice, error) {
	allowed := allowedProt(x.params)
	if allowed&c.offered&ProtPrivacy != 0 {
		for _, name := range x.m.options.Ciphers {
			if name.strength() > 0 && slices.Contains(c.ciphers, name) && x.hasRoom(c, name) {
				return digestChoice{ProtPrivacy, name}, nil
			}
		}
	}
	switch {
	case allowed&c.offered&ProtIntegrity != 0 && x.hasRoom(c, ""):
		return digestChoice{prot: ProtIntegrity}, nil
	case allowed&c.offered&ProtNone != 0:
		return digestChoice{prot: ProtNone}, nil
	}
	return digestChoice{}, ErrNoProtection
}

// hasRoom reports whether packets can be as long as both sides need them.
func (x *digestExchange) hasRoom(c *digestChallenge, name Cipher) bool {
	return min(c.maxbuf, maxReceive(x.params)) > name.overhead()
}

// realm chooses among the server's, in the server's character set; !given: it has none.
func (x *digestExchange) realm(c *digestChallenge) (r digestRealm, err error) {
	want := x.m.options.Realm
	if want != "" {
		b, ok := []byte(want), true
		if !c.utf8 {
			b, ok = latin1(want)
		}
		if !ok || len(c.realms) > 0 && !slices.Contains(c.realms, string(b)) {
			return r, fmt.Errorf("sasl: %s: the server has other realms than %q", digestName, want)
		}
		return digestRealm{string(b), true}, nil
	}
	if len(c.realms) == 0 {
		return r, nil
	}
	named := func(r string) bool { return strings.EqualFold(r, x.params.Host) }
	return digestRealm{c.realms[max(0, slices.IndexFunc(c.realms, named))], true}, nil
}

type digestRealm struct {
	name  string
	given bool
}

// answer makes the digest-response (RFC 2831 section 2.1.2), and all that depends on
// the secret: the proof that the server has to give, and the layer.
func (x *digestExchange) answer(c *digestChallenge, realm digestRealm) ([]byte, error) {
	if err := x.invent(); err != nil {
		return nil, err
	}
	h := digestHash{
		nonce: c.nonce, cnonce: x.cnonce, authzid: x.authzid,
		qop: qopName(x.choice.prot), uri: x.params.Service + "/" + x.params.Host,
	}
	wire, err := h.addSecret(c.utf8, x.user, realm.name, x.password)
	if err != nil {
		return nil, err
	}
	x.proof = h.response("")
	if x.choice.prot != ProtNone {
		if x.layer, err = newDigestLayer(x.choice.cipher, h.a1, maxReceive(x.params), c.maxbuf); err != nil {
			return nil, err
		}
	}
	return x.response(c, realm, wire, &h)
}

// invent makes the client's nonce.
func (x *digestExchange) invent() error {
	if x.cnonce != "" {
		return nil
	}
	from := x.params.Rand
	if from == nil {
		from = rand.Reader
	}
	var b [16]byte
	if _, err := io.ReadFull(from, b[:]); err != nil {
		return fmt.Errorf("sasl: %s: no random bytes: %w", digestName, err)
	}
	x.cnonce = base64.RawStdEncoding.EncodeToString(b[:])
	return nil
}

const digestCount = "00000001" // nc: no nonce of the server's is used twice

// response writes the directives, in the order of the examples in RFC 2831 section 4.
func (x *digestExchange) response(c *digestChallenge, realm digestRealm, user []byte, h *digestHash) ([]byte, error) {
	var w digestWriter
	if c.utf8 {
		w.token("charset", "utf-8")
	}
	w.quoted("username", string(user))
	if realm.given {
		w.quoted("realm", realm.name)
	}
	w.quoted("nonce", c.nonce)
	w.token("nc", digestCount)
	w.quoted("cnonce", h.cnonce)
	w.quoted("digest-uri", h.uri)
	if x.layer != nil {
		w.token("maxbuf", fmt.Sprint(maxReceive(x.params)))
	}
	w.token("response", h.response("AUTHENTICATE"))
	w.token("qop", h.qop)
	if x.choice.cipher != "" {
		w.token("cipher", string(x.choice.cipher))
	}
	if h.authzid != "" {
		w.quoted("authzid", h.authzid)
	}
	switch {
	case w.fault != "":
		return nil, fmt.Errorf("sasl: %s: the %s has a control character", digestName, w.fault)
	case len(w.b) > maxDigestResponse:
		return nil, fmt.Errorf("sasl: %s: names and nonce make a response of %d bytes, where %d are the most", digestName, len(w.b), maxDigestResponse)
	}
	return w.b, nil
}

// digestWriter writes directives.
type digestWriter struct {
	b     []byte
	fault string // the first directive whose value cannot be quoted
}

func (w *digestWriter) token(name, value string) {
	if len(w.b) > 0 {
		w.b = append(w.b, ',')
	}
	w.b = append(append(append(w.b, name...), '='), value...)
}

func (w *digestWriter) quoted(name, value string) {
	w.token(name, `"`)
	for i := range len(value) {
		c := value[i]
		if isDigestControl(c) && w.fault == "" {
			w.fault = name
		}
		if c == '"' || c == '\\' {
			w.b = append(w.b, '\\')
		}
		w.b = append(w.b, c)
	}
	w.b = append(w.b, '"')
}

// proved is the second step: the server has to know the password, too.
func (x *digestExchange) proved(challenge []byte) (Step, error) {
	proof, err := parseDigestProof(challenge)
	if err != nil {
		return x.fail(err)
	}
	if !hmac.Equal([]byte(proof), []byte(x.proof)) {
		return x.fail(fmt.Errorf("%s: %w", digestName, ErrNotProved))
	}
	x.phase, x.proof = answered, ""
	return Step{Response: []byte{}}, nil
}

func (x *digestExchange) Satisfied() bool { return x.phase == answered }

// Layer implements [Layered].
func (x *digestExchange) Layer() Layer {
	if x.layer == nil || x.phase != answered {
		return nil
	}
	return x.layer
}

// Prot implements [Layered].
func (x *digestExchange) Prot() Prot { return x.choice.prot }

// SSF implements [Layered].
func (x *digestExchange) SSF() int {
	switch x.choice.prot {
	case ProtPrivacy:
		return x.choice.cipher.strength()
	case ProtIntegrity:
		return 1
	}
	return 0
}

// Done implements [Outcome].
func (x *digestExchange) Done(err error) {
	if err != nil {
		x.fail(err)
	}
}
