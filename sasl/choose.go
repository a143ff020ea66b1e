package sasl

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Strength is the Traits.Strength of a mechanism that is known here, by its name
// without -PLUS; 0 of any other. One of your own takes its place among these:
//
//	GSSAPI 900, EXTERNAL 800, SCRAM-SHA-512 700, -256 690, -1 680, DIGEST-MD5 500,
//	CRAM-MD5 400, OAUTHBEARER 300, XOAUTH2 290, PLAIN 200, LOGIN 190, ANONYMOUS 100
func Strength(name string) int { return strengths[name] }

// strengths is the order of mechanisms, strongest first, and the one place where it
// is written down. -PLUS forms of those that can bind stand before all others.
var strengths = map[string]int{
	"GSSAPI":        900, // Kerberos: the secret never leaves, both sides prove themselves, good layers
	"EXTERNAL":      800, // TLS has proved us by a key that never leaves
	"SCRAM-SHA-512": 700,
	"SCRAM-SHA-256": 690,
	"SCRAM-SHA-1":   680,
	"DIGEST-MD5":    500, // mutual, but historic (RFC 6331), and its layers are weak
	"CRAM-MD5":      400, // the secret stays here, but the server proves nothing
	"OAUTHBEARER":   300, // from here on the secret is sent; a token is worth less to a thief
	"XOAUTH2":       290,
	"PLAIN":         200,
	"LOGIN":         190,
	"ANONYMOUS":     100,
}

// Situation is what mechanisms are weighed against.
type Situation struct {
	Offered []string // the server's list, "SCRAM-SHA-256-PLUS"; case does not matter
	// Before is the list that was heard before TLS; nil: none was. Whoever sat there
	// could write it, so it decides nothing, but what has gone from it is told.
	Before []string
	// Params are those of each login; BindingOffered and Last are set by Choice, and
	// Binding is taken away where a login must not be bound.
	Params Params

	Safe       bool // nobody can listen, or the caller does not mind: a secret may be sent
	TLS        bool // there is TLS: what Params.Prot asks of a layer is there already
	Verified   bool // it is the server's: the certificate was checked
	Identified bool // we have shown who we are below: a client certificate, a unix socket
	Floor      Floor

	Warn  func(text string) // may be nil
	Trace func(text string) // what is refused, and why; may be nil
}

// Floor is what the caller wants of a mechanism at least.
type Floor struct {
	Strength int  // Traits.Strength
	Mutual   bool // the server has to prove itself, other than by its certificate
	Binding  bool // the login has to be bound to the TLS below: only -PLUS forms
}

// Refusal is why a mechanism was not tried, or how it failed.
type Refusal struct {
	Name string // as the server would have it, with -PLUS
	Err  error
}

// Choice is the order in which the mechanisms of one Authenticate are tried.
type Choice struct {
	situation Situation
	left      []candidate // strongest first
	bindable  []string    // -PLUS forms of the caller's mechanisms
	refusals  []Refusal
	current   *candidate
	exchange  Exchange
	last      error // of the try before

	tried        bool // some mechanism went so far that something was sent
	mutualFailed bool // so did one by which the server proves itself
	boundFailed  bool // so did a -PLUS form
	renewed      bool // some mechanism had its second try
	over         error
}

// candidate is a mechanism in one of its forms.
type candidate struct {
	mechanism Mechanism
	traits    Traits
	name      string
	bound     bool
	again     bool // it is the second try
}

// Choose weighs mechanisms: those that are offered, that Params.Prot allows, that
// are safe on this connection, not under the floor, and that have credentials are in
// the Choice, strongest first; those of the same strength in the order of mechs. Use
// it like this:
//
//	for name, exchange := choice.Next(); exchange != nil; name, exchange = choice.Next() {
//		err := ... // AUTHENTICATE name
//		if choice.Done(err); err == nil {
//			return nil
//		}
//	}
//	return choice.Err()
func Choose(mechs []Mechanism, s Situation) *Choice {
	c := &Choice{situation: s}
	offered := set(s.Offered)
	for _, m := range mechs {
		traits := traitsOf(m)
		if traits.Binds {
			plus := strings.ToUpper(m.Name()) + "-PLUS"
			c.bindable = append(c.bindable, plus)
			c.consider(candidate{mechanism: m, traits: traits, name: plus, bound: true}, offered)
		}
		c.consider(candidate{mechanism: m, traits: traits, name: strings.ToUpper(m.Name())}, offered)
	}
	slices.SortStableFunc(c.left, func(a, b candidate) int {
		if a.bound != b.bound {
			if a.bound {
				return -1
			}
			return 1
		}
		return b.traits.Strength - a.traits.Strength
	})
	c.compareLists(offered)
	return c
}

// traitsOf a mechanism that does not say are the worst.
func traitsOf(m Mechanism) Traits {
	if d, ok := m.(Described); ok {
		return d.Traits()
	}
	return Traits{Cleartext: true}
}

func set(names []string) map[string]bool {
	upper := make(map[string]bool, len(names))
	for _, name := range names {
		upper[strings.ToUpper(name)] = true
	}
	return upper
}

func (c *Choice) consider(m candidate, offered map[string]bool) {
	if err := c.unfit(m, offered); err != nil {
		c.refuse(m.name, err)
		return
	}
	c.left = append(c.left, m)
}

// Reasons for a refusal.
var (
	errNotOffered   = errors.New("the server does not offer it")
	errNoLayer      = errors.New("the protection that is asked for cannot be had from it")
	errWeak         = errors.New("it is weaker than the caller allows")
	errNotMutual    = errors.New("the server would prove nothing, and the caller wants that")
	errUnbound      = errors.New("it would not be bound to the TLS below, and the caller wants that")
	errUnidentified = errors.New("we have not shown who we are below: no client certificate, no unix socket")
	errAfterMutual  = errors.New("it would send the secret after a server failed to prove itself by a stronger one")
	errAfterBound   = errors.New("it would not be bound, after one that is failed over TLS that was not verified")
	errAfterRenewal = errors.New("a new token was refused, too")
	errAfterRefusal = errors.New("nobody is logged in anonymously because a login was refused")

	errProviderFailed = errors.New("the provider of credentials failed before")
)

// finals are errors after which no mechanism is tried: the server is not what it
// should be, or nobody waits any more.
var finals = []error{ErrNotProved, ErrPrematureOK, ErrDowngrade, context.Canceled, context.DeadlineExceeded}

// unfit tells what rules a mechanism out from the beginning.
func (c *Choice) unfit(m candidate, offered map[string]bool) error {
	s := &c.situation
	switch {
	case !offered[m.name]:
		return errNotOffered
	case m.traits.Strength < s.Floor.Strength:
		return errWeak
	case s.Floor.Mutual && !m.traits.Mutual:
		return errNotMutual
	case s.Floor.Binding && !m.bound:
		return errUnbound
	case m.traits.External && !s.Identified:
		return errUnidentified
	case m.traits.Cleartext && !s.Safe:
		return ErrCleartext
	case !s.allowsLayers(m.traits):
		return errNoLayer
	case m.bound:
		if err := canBind(m.mechanism, s.Params); err != nil {
			return err
		}
	}
	if p, ok := m.mechanism.(Prepared); ok {
		return p.Ready(s.Params)
	}
	return nil
}

// allowsLayers: TLS is as good as a layer that gives privacy.
func (s *Situation) allowsLayers(t Traits) bool {
	if t.Prot == 0 {
		t.Prot = ProtNone
	}
	return s.prot()&t.Prot != 0
}

// prot is what may come of a login: with TLS below, no layer is always allowed.
func (s *Situation) prot() Prot {
	if s.TLS || s.Params.Prot == 0 {
		return s.Params.Prot | ProtNone
	}
	return s.Params.Prot
}

// binder is a mechanism that has its own mind on kinds of channel bindings.
type binder interface{ canBind(Params) error }

func canBind(m Mechanism, params Params) error {
	if params.Binding == nil {
		return fmt.Errorf("%w: there is no TLS", ErrNoBinding)
	}
	if b, ok := m.(binder); ok {
		return b.canBind(params)
	}
	return nil
}

// compareLists tells of mechanisms that were offered before TLS and are gone. A
// server has no reason for that but with those it thinks too weak for TLS to need.
func (c *Choice) compareLists(offered map[string]bool) {
	var gone []string
	before := set(c.situation.Before)
	for _, r := range c.refusals {
		if before[r.Name] && !offered[r.Name] {
			gone = append(gone, r.Name)
		}
	}
	if gone != nil {
		c.warn("sasl: the server offered " + strings.Join(gone, ", ") + " before TLS and does not any more: somebody may have changed its list")
	}
}

// Next begins a login with the strongest mechanism that is left. name is for
// AUTHENTICATE. A nil exchange: there is none, see [Choice.Err].
func (c *Choice) Next() (name string, exchange Exchange) {
	for len(c.left) > 0 {
		m := c.left[0]
		c.left = c.left[1:]
		if err := c.unfitNow(m); err != nil {
			c.refuse(m.name, err)
			continue
		}
		c.current = &m
		c.exchange = m.mechanism.New(c.params(m))
		c.trace("trying " + m.name)
		return m.name, c.exchange
	}
	return "", nil
}

// unfitNow tells what rules a mechanism out after those that failed.
func (c *Choice) unfitNow(m candidate) error {
	switch {
	case c.over != nil:
		return c.over
	case c.mutualFailed && m.traits.Cleartext:
		return errAfterMutual
	case c.boundFailed && !m.bound && !c.situation.Verified:
		return errAfterBound
	case c.renewed && m.traits.Renews && !m.again && errors.As(c.last, new(*OAuthError)):
		return errAfterRenewal // the provider would make another one
	case c.tried && m.traits.Anonymous:
		return errAfterRefusal
	}
	return nil
}

// params are those of a login. They decide the flag that [Params.BindingOffered]
// tells of.
func (c *Choice) params(m candidate) Params {
	p := c.situation.Params
	p.Prot = c.situation.prot()
	p.BindingOffered = m.bound
	p.Last = c.last
	if !m.bound && m.traits.Binds && p.Binding != nil && c.bindsSomehow() {
		// "y" would say that the server does not offer to bind, which it would have to
		// take for an attack.
		p.Binding = nil
		if c.boundFailed {
			c.warn("sasl: " + m.name + " without channel binding, after the form with it was refused: the server may bind otherwise than by what we have, or somebody sits between")
		}
	}
	return p
}

// bindsSomehow reports whether the server offers a -PLUS form that the caller has, too,
// which is what a "y" would deny. Another that stands in the list, invented perhaps,
// must not make us say that we cannot bind.
func (c *Choice) bindsSomehow() bool {
	return slices.ContainsFunc(c.situation.Offered, func(name string) bool {
		return slices.Contains(c.bindable, strings.ToUpper(name))
	})
}

// Done ends the login that Next began, with nil after the server's OK, an error that
// wraps [ErrAuthFailed] after its NO or BAD, else why it was given up. The exchange is
// told, and what it has to say about it joins the error.
func (c *Choice) Done(err error) {
	m, x := c.current, c.exchange
	if m == nil {
		return
	}
	c.current, c.exchange = nil, nil
	if o, ok := x.(Outcome); ok {
		o.Done(err)
	}
	if err == nil {
		c.left = nil
		return
	}
	if e, ok := x.(Explainer); ok {
		if why := e.Explain(); why != nil {
			err = fmt.Errorf("%w; %w", err, why)
		}
	}
	c.refuse(m.name, err)
	c.failed(*m, err)
}

// failed draws the consequences of a login that failed.
func (c *Choice) failed(m candidate, err error) {
	if errors.Is(err, ErrNoCredentials) {
		return // nothing was sent
	}
	for _, final := range finals {
		if errors.Is(err, final) {
			c.over = final
		}
	}
	var provider *ProviderError
	if errors.As(err, &provider) {
		c.over = errProviderFailed // a person who said no is not asked again
	}
	c.last = err
	c.tried = true
	c.mutualFailed = c.mutualFailed || m.traits.Mutual
	c.boundFailed = c.boundFailed || m.bound
	if m.traits.Renews && !c.renewed && errors.Is(err, ErrAuthFailed) {
		c.renewed, m.again = true, true
		c.left = slices.Insert(c.left, 0, m)
	}
}

// Refusals lists the mechanisms that were refused up to now, in order of time.
func (c *Choice) Refusals() []Refusal { return slices.Clone(c.refusals) }

// Err is why no mechanism is left, a [*ChoiceError].
func (c *Choice) Err() error {
	return &ChoiceError{Refusals: c.Refusals()}
}

func (c *Choice) refuse(name string, err error) {
	c.refusals = append(c.refusals, Refusal{Name: name, Err: err})
	c.trace(name + ": " + err.Error())
}

func (c *Choice) trace(text string) {
	if c.situation.Trace != nil {
		c.situation.Trace(text)
	}
}

func (c *Choice) warn(text string) {
	if c.situation.Warn != nil {
		c.situation.Warn(text)
	}
}

// ChoiceError says that no mechanism is left, and of each why. It wraps
// [ErrAuthFailed] and all the reasons: errors.As finds an [*OAuthError], errors.Is
// [ErrCleartext].
type ChoiceError struct{ Refusals []Refusal }

func (e *ChoiceError) Error() string {
	if len(e.Refusals) == 0 {
		return "sasl: no mechanism to log in with"
	}
	var b strings.Builder
	b.WriteString("sasl: no mechanism is left")
	var missing []string
	separator := ": "
	for _, r := range e.Refusals {
		if r.Err == errNotOffered {
			missing = append(missing, r.Name)
			continue
		}
		b.WriteString(separator + r.Name + ": " + r.Err.Error())
		separator = "; "
	}
	if missing != nil {
		b.WriteString(separator + "not offered: " + strings.Join(missing, ", "))
	}
	return b.String()
}

// Unwrap returns [ErrAuthFailed] and the reasons.
func (e *ChoiceError) Unwrap() []error {
	errs := []error{ErrAuthFailed}
	for _, r := range e.Refusals {
		errs = append(errs, r.Err)
	}
	return errs
}
