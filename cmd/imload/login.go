package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/sasl"
)

// logIn logs in as the command line says.
func (o *op) logIn(c *conn.Client) error {
	f, user := o.session.fleet, o.session.account.user
	if f.mechanisms == nil {
		return c.Send(finished, o, "LOGIN %s %p", user, f.password)
	}
	return c.AuthenticateAsync(f.mechanisms, "imap", user, f.opt.auth.prot, o.authenticated)
}

// authenticated is the completion of a login by SASL.
func (o *op) authenticated(err error) {
	s, done := o.session, *o
	s.release(o)
	switch {
	case err != nil && s.client.Err() != nil: // the connection is at its end
		s.lost = true
		s.fail(done.verb, err)
		return
	case err != nil:
		s.fail(done.verb, err)
	default:
		s.fleet.logins[methodOf(s.client.SASL())]++
		s.fleet.completed(done.verb, time.Since(done.began))
	}
	s.follow(&done, nil, err == nil)
}

// methodOf tells how somebody was logged in, and what came of it.
func methodOf(m conn.SASL) string {
	switch m.Prot {
	case sasl.ProtIntegrity:
		return m.Mechanism + ", layer: integrity"
	case sasl.ProtPrivacy:
		return fmt.Sprintf("%s, layer: privacy, %d bits", m.Mechanism, m.SSF)
	}
	return m.Mechanism + ", no layer"
}

// whyNoLogin is why a login failed, in one line that says what to do about it.
func (s *session) whyNoLogin(err error) string {
	var choice *sasl.ChoiceError
	text := withoutPackage(err)
	if errors.As(err, &choice) {
		text = s.whyNoMechanism(choice.Refusals)
	}
	if isCleartext(err) {
		text += " (-tls and -starttls encrypt, -cleartext permits it)"
	}
	return text
}

// whyNoMechanism tells what became of the mechanisms that the server offers; where
// that is none of them, what it does offer.
func (s *session) whyNoMechanism(refusals []sasl.Refusal) string {
	var missing []string
	offered := slices.DeleteFunc(slices.Clone(refusals), func(r sasl.Refusal) bool {
		if s.client.Has("AUTH=" + r.Name) {
			return s.fleet.opt.auth.bound && !strings.HasSuffix(r.Name, "-PLUS")
		}
		missing = append(missing, r.Name)
		return true
	})
	if len(offered) == 0 {
		return "the server does not offer " + strings.Join(missing, ", ") + ", but " + s.offered()
	}
	// Who takes any wants to hear of those that were tried, if there were any.
	if s.fleet.opt.auth.any && slices.ContainsFunc(offered, tried) {
		offered = slices.DeleteFunc(offered, func(r sasl.Refusal) bool { return !tried(r) })
	}
	return together(offered)
}

// tried reports whether the server has answered.
func tried(r sasl.Refusal) bool { return errors.As(r.Err, new(*conn.ReplyError)) }

// together tells what became of mechanisms: once, where it is the same of several.
func together(refusals []sasl.Refusal) string {
	var reasons []string
	names := map[string][]string{}
	for _, r := range refusals {
		reason := withoutPackages(r.Err)
		if names[reason] == nil {
			reasons = append(reasons, reason)
		}
		names[reason] = append(names[reason], r.Name)
	}
	for i, reason := range reasons {
		reasons[i] = strings.Join(names[reason], ", ") + ": " + reason
	}
	return strings.Join(reasons, "; ")
}

// offered are the mechanisms of the server.
func (s *session) offered() string {
	var names []string
	for word := range strings.FieldsSeq(s.client.Capabilities()) {
		if len(word) > 5 && strings.EqualFold(word[:5], "AUTH=") {
			names = append(names, word[5:])
		}
	}
	if names == nil {
		return "no mechanism"
	}
	return strings.Join(names, ", ")
}

// withoutPackages is an error's text without the names of packages, and without what
// goes without saying where a login has failed.
func withoutPackages(err error) string {
	return strings.NewReplacer("sasl: ", "", "conn: ", "", "authentication failed: ", "").Replace(err.Error())
}

func isCleartext(err error) bool {
	return errors.Is(err, conn.ErrCleartext) || errors.Is(err, sasl.ErrCleartext)
}

// classOfLogin is classOf for what goes wrong in a login by SASL; "" for the rest.
func classOfLogin(err error) string {
	var (
		choice  *sasl.ChoiceError
		refused *conn.ReplyError
	)
	switch {
	case errors.Is(err, sasl.ErrPrematureOK):
		return "OK before the server proved itself"
	case errors.Is(err, sasl.ErrNotProved):
		return "the server does not know the password"
	case errors.Is(err, sasl.ErrDowngrade):
		return "the list of mechanisms was changed on the way"
	case !errors.As(err, &choice) || errors.As(err, &refused):
		return ""
	case isCleartext(err):
		return "secret refused in the clear"
	}
	return "no mechanism that can be used"
}
