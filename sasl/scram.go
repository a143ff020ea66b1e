package sasl

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"hash"
	"io"
)

// SCRAMOptions are the limits and tastes of [SCRAM]. The zero value is ready to use.
type SCRAMOptions struct {
	// MinIterations and MaxIterations bound what a server may ask for: too few let
	// whoever listens try passwords, too many take our time. 0: 4,096 (RFC 5802 section
	// 5.1, RFC 7677 section 4) and 1,000,000.
	MinIterations, MaxIterations int
	// Bindings are the kinds of channel binding, the first that the connection has
	// is used. nil: "tls-unique", which is the default of RFC 5802 up to TLS 1.2 and
	// does not exist later; "tls-exporter", the default under TLS 1.3 (RFC 9266);
	// "tls-server-end-point". (Cyrus SASL knows tls-unique only, under TLS 1.3 as
	// well, where crypto/tls has none: there its -PLUS forms cannot be used.)
	Bindings []string
	Keys     *Keys // nil: one for this mechanism alone
}

var defaultBindings = []string{"tls-unique", "tls-exporter", "tls-server-end-point"}

// SCRAM is SCRAM-SHA-1 (RFC 5802), SCRAM-SHA-256 (RFC 7677) or SCRAM-SHA-512
// (draft-melnikov-scram-sha-512), by the hash, and their -PLUS forms: see
// Params.BindingOffered. The password is not sent, and the server has to prove that
// it knows it. It panics on any other hash.
//
// It is not built on github.com/xdg-go/scram: that has no upper bound on iterations,
// derives keys while the caller waits, keeps an unbounded number of them, takes a
// nonce to which the server added nothing, and holds passwords as strings.
func SCRAM(h crypto.Hash, p Provider, o SCRAMOptions) Mechanism {
	m := &scram{hash: h, provider: p, options: o}
	switch h {
	case crypto.SHA1:
		m.name, m.newHash = "SCRAM-SHA-1", sha1.New
	case crypto.SHA256:
		m.name, m.newHash = "SCRAM-SHA-256", sha256.New
	case crypto.SHA512:
		m.name, m.newHash = "SCRAM-SHA-512", sha512.New
	default:
		panic("sasl: SCRAM is defined here for SHA-1, SHA-256 and SHA-512")
	}
	if o.MinIterations == 0 {
		m.options.MinIterations = 4096
	}
	if o.MaxIterations == 0 {
		m.options.MaxIterations = 1_000_000
	}
	if o.Bindings == nil {
		m.options.Bindings = defaultBindings
	}
	if o.Keys == nil {
		m.options.Keys = new(Keys)
	}
	return m
}

type scram struct {
	opaque
	name     string
	hash     crypto.Hash
	newHash  func() hash.Hash
	provider Provider
	options  SCRAMOptions
}

func (m *scram) Name() string { return m.name }

func (m *scram) Traits() Traits {
	return Traits{Mutual: true, Binds: true, Strength: Strength(m.name)}
}

func (m *scram) Ready(Params) error {
	if m.hash == crypto.SHA1 {
		if err := allowedHash("SHA-1"); err != nil {
			return err
		}
	}
	return readyPassword(m.provider)
}

// binding returns the kind and data of the connection's channel binding.
func (m *scram) binding(params Params) (kind string, data []byte, err error) {
	err = ErrNoBinding
	for _, kind := range m.options.Bindings {
		data, reason := params.Binding(kind)
		if reason == nil {
			return kind, data, nil
		}
		err = fmt.Errorf("%w; %w", err, reason)
	}
	return "", nil, err
}

// canBind implements binder.
func (m *scram) canBind(params Params) error {
	_, _, err := m.binding(params)
	return err
}

func (m *scram) New(params Params) Exchange { return &scramExchange{m: m, params: params} }

type scramExchange struct {
	opaque
	m      *scram
	params Params
	phase  phase

	gs2Header string
	bound     []byte // channel binding data
	nonce     string
	bare      string // client-first-message-bare
	authcid   string
	password  Secret // prepared

	id        keyID // of the keys, once there are any
	used      bool
	signature []byte // what the server has to send
}

// Start returns gs2-header client-first-message-bare (RFC 5802 section 7).
func (x *scramExchange) Start() (Step, error) {
	if !x.phase.move(fresh, asking) {
		return Step{}, ErrFinished
	}
	flag, err := x.flag()
	if err != nil {
		return Step{}, err
	}
	if x.nonce == "" { // tests have that of an RFC here
		if x.nonce, err = makeNonce(x.params); err != nil {
			return Step{}, err
		}
	}
	return credentials(x.m.provider, x.m.name, x.params, func(c Credentials) (Step, error) { return x.first(c, flag) })
}

// flag is gs2-cbind-flag (RFC 5802 section 6).
func (x *scramExchange) flag() (string, error) {
	if x.params.Binding == nil {
		if x.params.BindingOffered {
			return "", fmt.Errorf("%w: no TLS", ErrNoBinding)
		}
		return "n", nil
	}
	kind, data, err := x.m.binding(x.params)
	switch {
	case x.params.BindingOffered && err != nil:
		return "", err
	case x.params.BindingOffered:
		x.bound = data
		return "p=" + kind, nil
	case err != nil:
		return "n", nil
	}
	// We could bind, but the server did not offer it, or somebody cut it out of what
	// it offered: a server that can bind refuses "y".
	return "y", nil
}

// makeNonce returns 144 random bits in printable characters without a comma.
func makeNonce(params Params) (string, error) {
	var random [18]byte
	source := params.Rand
	if source == nil {
		source = rand.Reader
	}
	if _, err := io.ReadFull(source, random[:]); err != nil {
		return "", fmt.Errorf("sasl: nonce: %w", err)
	}
	return base64.StdEncoding.EncodeToString(random[:]), nil
}

func (x *scramExchange) first(c Credentials, flag string) (Step, error) {
	defer c.Wipe()
	authcid, authzid := c.identities(x.params)
	if err := c.needPassword(authcid); err != nil {
		return Step{}, err
	}
	if hasNUL([]byte(authzid)) {
		return Step{}, noCredentials("an authorization identity holds no NUL")
	}
	name, err := saslprep([]byte(authcid))
	if err != nil {
		return Step{}, noCredentials("the user name cannot be used with " + x.m.name + ": " + err.Error())
	}
	if x.password, err = saslprep(c.Password); err != nil {
		return Step{}, noCredentials("the password cannot be used with " + x.m.name + ": " + err.Error())
	}
	x.authcid = string(name)
	x.gs2Header = flag + ","
	if authzid != "" {
		x.gs2Header += "a=" + saslname(authzid)
	}
	x.gs2Header += ","
	x.bare = "n=" + saslname(x.authcid) + ",r=" + x.nonce
	x.phase = named
	return Step{Response: []byte(x.gs2Header + x.bare)}, nil
}

func (x *scramExchange) Next(challenge []byte) (Step, error) {
	var step Step
	var err error
	switch x.phase {
	case named:
		step, err = x.serverFirst(challenge)
	case proving:
		step, err = x.serverFinal(challenge)
	case answered:
		err = badChallenge(x.m.name, "it comes after the last")
	default:
		return Step{}, ErrFinished
	}
	if err != nil {
		x.end()
	}
	return step, err
}

// serverFirst answers server-first-message, if the keys are there; else they are
// to be derived before.
func (x *scramExchange) serverFirst(challenge []byte) (Step, error) {
	server, err := parseServerFirst(x.m.name, challenge, x.nonce)
	if err != nil {
		return Step{}, err
	}
	if low, high := x.m.options.MinIterations, x.m.options.MaxIterations; server.iterations < low || server.iterations > high {
		return Step{}, badChallenge(x.m.name, "%d iterations, where %d to %d are allowed", server.iterations, low, high)
	}
	cache := x.m.options.Keys
	x.id = keyID{
		host: x.params.Host, user: x.authcid,
		salt: string(server.salt), iterations: server.iterations,
		hash: x.m.hash, password: cache.digest(x.password),
	}
	message := string(challenge)
	if keys, ok := cache.find(x.id); ok {
		return x.final(keys, server.nonce, message), nil
	}
	x.phase = deriving
	return Step{Work: func(ctx context.Context) (Step, error) {
		return x.derive(ctx, server, message)
	}}, nil
}

// derive may run elsewhere. After it the exchange is proving, or at its end.
func (x *scramExchange) derive(ctx context.Context, server serverFirst, message string) (Step, error) {
	err := ctx.Err()
	var keys scramKeys
	if err == nil {
		keys, err = x.m.options.Keys.derive(ctx, x.id, func() (scramKeys, error) {
			return scramDerive(x.m.newHash, x.password, server.salt, server.iterations)
		})
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		x.end()
		return Step{}, fmt.Errorf("sasl: %s: %w", x.m.name, err)
	}
	return x.final(keys, server.nonce, message), nil
}

// final returns client-final-message, and notes what the server must answer.
func (x *scramExchange) final(keys scramKeys, nonce, serverFirst string) Step {
	size := x.m.hash.Size()
	clientKey := keys.client[:size]
	h := x.m.newHash()
	h.Write(clientKey)
	storedKey := h.Sum(nil)

	withoutProof := "c=" + base64.StdEncoding.EncodeToString(append([]byte(x.gs2Header), x.bound...)) + ",r=" + nonce
	authMessage := x.bare + "," + serverFirst + "," + withoutProof
	proof := keyed(x.m.newHash, storedKey, authMessage).Sum(nil)
	subtle.XORBytes(proof, proof, clientKey)
	x.signature = keyed(x.m.newHash, keys.server[:size], authMessage).Sum(nil)

	x.used = true
	x.forget()
	x.phase = proving
	response := append([]byte(withoutProof), ",p="...)
	return Step{Response: base64.StdEncoding.AppendEncode(response, proof)}
}

// serverFinal checks server-final-message, which is answered by nothing at all.
func (x *scramExchange) serverFinal(challenge []byte) (Step, error) {
	signature, err := parseServerFinal(x.m.name, challenge)
	if err != nil {
		return Step{}, err
	}
	if !hmac.Equal(signature, x.signature) {
		return Step{}, fmt.Errorf("%s: %w", x.m.name, ErrNotProved)
	}
	x.phase = answered
	return Step{Response: []byte{}}, nil
}

func (x *scramExchange) Satisfied() bool { return x.phase == answered }

// Done forgets the keys, if it was a failure of the login that they can be to blame
// for, and not of the connection.
func (x *scramExchange) Done(err error) {
	if x.used && keysToBlame(err) {
		x.m.options.Keys.drop(x.id)
	}
	x.end()
}

func (x *scramExchange) end() {
	x.forget()
	x.phase = ended
}

func (x *scramExchange) forget() {
	wipe(x.password)
	x.password = nil
}
