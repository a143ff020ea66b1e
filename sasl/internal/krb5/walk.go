package krb5

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// walk finds the way from the client's realm to a service's.
type walk struct {
	*asker
	resolver     Resolver
	canonicalize bool
	// home gets the ticket granting ticket to begin with.
	home func(ctx context.Context) (*Ticket, error)
	// kept returns a ticket for server that is kept, or has it fetched.
	kept func(ctx context.Context, server Principal, fetch func(context.Context) (*Ticket, error)) (*Ticket, error)
}

// realmOf is the realm of a host by [domain_realm] or the DNS. Not known: the client's
// own KDC may know.
func (a *asker) realmOf(ctx context.Context, resolver Resolver, host string) (realm string, known bool) {
	if realm, known = a.config.RealmOf(host); known || !a.config.DNSLookupRealm {
		return realm, known
	}
	ctx, cancel := context.WithTimeout(ctx, a.transport.timeout)
	defer cancel()
	return lookupRealm(ctx, resolver, host)
}

// serviceTicket gets a ticket for service/host. The host is what the caller said: no
// address of it is looked up, forth or back.
func (w *walk) serviceTicket(ctx context.Context, service, host string) (*Ticket, error) {
	realm, known := w.realmOf(ctx, w.resolver, host)
	tgt, err := w.home(ctx)
	if err != nil {
		return nil, err
	}
	if !known {
		return w.refer(ctx, tgt, service, host)
	}
	if tgt, err = w.to(ctx, tgt, realm); err != nil {
		return nil, err
	}
	look := "[domain_realm] in " + w.config.Look.String() + ", which puts " + host + " into that realm"
	return w.tgs(ctx, tgt, Service(service, host, realm), tgsOptions{canonicalize: w.canonicalize, service: look})
}

// to gets the ticket granting ticket of a realm (RFC 4120 section 1.2).
func (w *walk) to(ctx context.Context, tgt *Ticket, realm string) (*Ticket, error) {
	been := []string{tgt.Server.Names[1]}
	for been[len(been)-1] != realm {
		next, err := w.hop(ctx, tgt, realm)
		if err != nil {
			return nil, err
		}
		if been, err = w.visit(been, next); err != nil {
			return nil, err
		}
		tgt = next
	}
	return tgt, nil
}

// visit keeps KDCs from sending us in circles.
func (w *walk) visit(been []string, tgt *Ticket) ([]string, error) {
	next := tgt.Server.Names[1]
	if slices.Contains(been, next) || len(been) > maxHops {
		return nil, hopLimit(been, next, "[capaths] in "+w.config.Look.String())
	}
	return append(been, next), nil
}

// hop gets a ticket for realm's ticket granting service, or for one on the way: what
// the KDC gives for it, or else of the path the farthest that it knows.
func (w *walk) hop(ctx context.Context, tgt *Ticket, realm string) (*Ticket, error) {
	here := tgt.Server.Names[1]
	path := w.config.Path(here, realm)
	if len(path) > 2 {
		path = path[1 : len(path)-1]
	} else {
		path = nil
	}
	candidates := []string{realm}
	for _, r := range slices.Backward(path[:min(len(path), maxHops)]) {
		candidates = append(candidates, r)
	}
	for _, r := range candidates {
		server := TGS(r, here)
		next, err := w.kept(ctx, server, func(ctx context.Context) (*Ticket, error) { return w.tgs(ctx, tgt, server, tgsOptions{}) })
		var no *Error
		if errors.As(err, &no) && no.Kind == UnknownService {
			continue
		}
		return next, err
	}
	return nil, &Error{
		What: fmt.Sprintf("there is no way from the realm %s to the realm %s: the KDC of %s has no ticket for %s", here, realm, here, strings.Join(candidates, ", nor for ")),
		Look: "[capaths] in " + w.config.Look.String() + ", and [domain_realm] there, which decides a host's realm",
		Kind: WrongRealm,
	}
}

// refer asks the client's own KDC for a service whose realm we do not know, and goes
// where it says (RFC 6806 section 8).
func (w *walk) refer(ctx context.Context, tgt *Ticket, service, host string) (*Ticket, error) {
	o := tgsOptions{canonicalize: true, service: "[domain_realm] in " + w.config.Look.String() +
		", which decides the realm of a host and does not name that of " + host}
	been := []string{tgt.Server.Names[1]}
	for {
		asked := Service(service, host, tgt.Server.Names[1])
		t, err := w.tgs(ctx, tgt, asked, o)
		switch {
		case err != nil:
			return nil, err
		case isTGS(t.Server):
			if been, err = w.visit(been, t); err != nil {
				return nil, err
			}
			tgt = t
			continue
		case !t.Server.Equal(asked) && !w.canonicalize:
			// The KDC knows it by another name, but must not say so unless asked.
			o.canonicalize = false
			return w.tgs(ctx, tgt, asked, o)
		}
		return t, nil
	}
}
