package sasl

import (
	"bytes"
	"context"
	"crypto/fips140"
	"fmt"
	"io"
	"strings"
)

// Secret is bytes that are overwritten after use.
type Secret = []byte

// Credentials are what somebody logs in with. No verb of package fmt shows the
// secrets, nor does encoding/json; but fmt looks through unexported fields past all
// methods, so keep a pointer in a struct of yours that may be printed.
type Credentials struct {
	Username string // whose password or token it is (authentication identity); "": Params.User, or else, of a password, Params.CurrentUser
	AuthzID  string // whom to act for (authorization identity); "": Params.User, if that is another than Username
	Password Secret `json:"-"`
	Token    Secret `json:"-"` // OAuth 2.0 access token
}

// Wipe overwrites the secrets.
func (c *Credentials) Wipe() {
	wipe(c.Password)
	wipe(c.Token)
	c.Password, c.Token = nil, nil
}

// clone returns a copy with secrets of its own.
func (c Credentials) clone() Credentials {
	c.Password, c.Token = bytes.Clone(c.Password), bytes.Clone(c.Token)
	return c
}

// Format implements [fmt.Formatter]: *** for a secret, whatever the verb.
func (c Credentials) Format(f fmt.State, verb rune) { io.WriteString(f, c.String()) }

// String shows who, and which secrets there are.
func (c Credentials) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "{Username:%q", c.Username)
	if c.AuthzID != "" {
		fmt.Fprintf(&b, " AuthzID:%q", c.AuthzID)
	}
	if c.Password != nil {
		b.WriteString(" Password:***")
	}
	if c.Token != nil {
		b.WriteString(" Token:***")
	}
	return b.String() + "}"
}

// wipe overwrites a secret. (What the garbage collector, a growing append or the
// kernel copied before is out of reach.)
func wipe(b []byte) { clear(b) }

// Ask is what a [Provider] is asked for.
type Ask struct {
	Mechanism string // tells what is needed: Password, or Token
	Service   string
	Host      string
	User      string // Params.User
	// Last is why the try before this one, in the same Authenticate, failed; nil in
	// the first. For OAuth errors.As finds an [*OAuthError] in it: refresh the token.
	Last error
}

// Provider has credentials, and is asked for them at each login. It may ask a
// person, a keyring or a token server, and take its time: it is called off the loop,
// from any number of goroutines at a time. ctx is done when the login is given up.
//
// The secrets that it returns belong to the caller, who overwrites them after use:
// return copies. Where it has none of the kind, it returns [ErrNoCredentials], and
// another mechanism is tried. Its errors are shown, so they must hold no secret.
type Provider interface {
	Credentials(ctx context.Context, ask Ask) (Credentials, error)
}

// ProviderFunc is a function as a [Provider].
type ProviderFunc func(ctx context.Context, ask Ask) (Credentials, error)

// Credentials calls f.
func (f ProviderFunc) Credentials(ctx context.Context, ask Ask) (Credentials, error) {
	return f(ctx, ask)
}

// Static is a provider of the same credentials at each login, for which no work
// leaves the loop. It keeps a copy of c.
func Static(c Credentials) Provider { return &static{c: c.clone()} }

type static struct {
	opaque
	c Credentials
}

func (s *static) Credentials(context.Context, Ask) (Credentials, error) { return s.c.clone(), nil }

// opaque is embedded in what holds secrets in unexported fields, which package fmt
// would show otherwise.
type opaque struct{}

// Format implements [fmt.Formatter].
func (opaque) Format(f fmt.State, verb rune) { io.WriteString(f, "(sasl: not shown)") }

// credentials asks p what a login of a mechanism needs and goes on with use, which
// owns the secrets: at once where p is static, else in Work.
func credentials(p Provider, mechanism string, params Params, use func(Credentials) (Step, error)) (Step, error) {
	if s, ok := p.(*static); ok {
		return use(s.c.clone())
	}
	return Step{Work: func(ctx context.Context) (Step, error) {
		c, err := askProvider(ctx, p, mechanism, params)
		if err != nil {
			return Step{}, err
		}
		return use(c)
	}}, nil
}

// askProvider asks p for what belongs to the caller then; an error is a [*ProviderError].
func askProvider(ctx context.Context, p Provider, mechanism string, params Params) (Credentials, error) {
	if err := ctx.Err(); err != nil {
		return Credentials{}, &ProviderError{Mechanism: mechanism, Err: err}
	}
	c, err := p.Credentials(ctx, Ask{
		Mechanism: mechanism, Service: params.Service, Host: params.Host, User: params.User, Last: params.Last,
	})
	if err == nil {
		err = ctx.Err() // answered, but nobody waits any more
	}
	if err != nil {
		c.Wipe()
		return Credentials{}, &ProviderError{Mechanism: mechanism, Err: err}
	}
	return c, nil
}

// identities are who logs in and whom to act for; authzid is "" where that is the
// same (RFC 4616 section 2).
func (c Credentials) identities(params Params) (authcid, authzid string) {
	authcid, authzid = c.Username, c.AuthzID
	if authcid == "" {
		authcid = params.User
	}
	if authcid == "" && params.CurrentUser != nil {
		authcid = params.CurrentUser()
	}
	if authzid == "" {
		authzid = params.User
	}
	if authzid == authcid {
		authzid = ""
	}
	return authcid, authzid
}

// needPassword returns nil if there are a name and a password.
func (c *Credentials) needPassword(authcid string) error {
	switch {
	case authcid == "":
		return noCredentials("no user name")
	case len(c.Password) == 0:
		return noCredentials("no password")
	}
	return nil
}

// onlyPassword is needPassword for a mechanism without an authorization identity.
func (c *Credentials) onlyPassword(mechanism string, params Params) (authcid string, err error) {
	authcid, authzid := c.identities(params)
	if err := c.needPassword(authcid); err != nil {
		return "", err
	}
	if authzid != "" {
		return "", noCredentials(mechanism + " cannot act for another user")
	}
	return authcid, nil
}

// readyPassword and readyToken look at a static provider, which will not have what
// it has not got now.
func readyPassword(p Provider) error {
	if s, ok := p.(*static); ok && len(s.c.Password) == 0 {
		return noCredentials("no password")
	}
	return nil
}

func readyToken(p Provider) error {
	if s, ok := p.(*static); ok && len(s.c.Token) == 0 {
		return noCredentials("no token")
	}
	return nil
}

func noCredentials(why string) error { return fmt.Errorf("%w: %s", ErrNoCredentials, why) }

func hasNUL(b []byte) bool { return bytes.IndexByte(b, 0) >= 0 }

// allowedHash returns nil unless the process runs in the FIPS 140 mode in which
// package crypto panics at anything but SHA-2 and SHA-3.
func allowedHash(name string) error {
	if fips140.Enforced() {
		return fmt.Errorf("sasl: %s is not allowed in FIPS 140-only mode", name)
	}
	return nil
}
