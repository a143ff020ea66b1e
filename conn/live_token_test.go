package conn_test

import (
	"context"
	"errors"
	"testing"

	"github.com/imclient/imclient/sasl"
)

// bearerMechanisms are those of a token that Dovecot has.
func bearerMechanisms(p sasl.Provider) []sasl.Mechanism {
	return []sasl.Mechanism{sasl.OAuthBearer(p), sasl.XOAuth2(p)}
}

// ofToken is a provider of one of the testbed's tokens.
func ofToken(t *testing.T, user, token string) sasl.Provider {
	t.Helper()
	return sasl.Static(sasl.Credentials{Username: fromBed(t, user), Token: []byte(fromBed(t, token))})
}

// checkRefused fails unless a server has said why it refuses a token.
func checkRefused(t *testing.T, m sasl.Mechanism, err error) {
	t.Helper()
	status := map[string]string{"OAUTHBEARER": "invalid_token", "XOAUTH2": "401"}[m.Name()]
	var why *sasl.OAuthError
	if !errors.Is(err, sasl.ErrAuthFailed) || !errors.As(err, &why) || why.Mechanism != m.Name() || why.Status != status {
		t.Errorf("the token is refused, and the server says why\n got: %v", err)
	}
}

func TestDovecotToken(t *testing.T) {
	eachPlace(t, "dovecot", func(t *testing.T, p livePlace) {
		for _, m := range bearerMechanisms(ofToken(t, "USER", "TOKEN")) {
			s := p.dial(t)
			if err := s.logIn("", m); err != nil {
				t.Fatalf("%s: a good token logs in: %v", m.Name(), err)
			}
			s.checkReader()
		}
	})
}

// A token that is out of date, or another user's, is refused. The password may
// follow on the same connection.
func TestDovecotTokenRefused(t *testing.T) {
	eachPlace(t, "dovecot", func(t *testing.T, p livePlace) {
		for _, bad := range []struct{ user, token string }{{"USER", "EXPIREDTOKEN"}, {"USER2", "TOKEN"}} {
			for _, m := range bearerMechanisms(ofToken(t, bad.user, bad.token)) {
				t.Run(m.Name()+" of "+bad.user, func(t *testing.T) {
					s := p.dial(t)
					checkRefused(t, m, s.logIn("", m))
					same(t, "whose provider has nothing else is tried once", s.tried(), []string{m.Name()})
					if err := s.logIn("", m, sasl.Plain(sasl.Static(inBed(t, "USER", "PASSWORD")))); err != nil {
						t.Errorf("the connection is as it was: %v", err)
					}
					s.checkReader()
				})
			}
		}
	})
}

// refreshing is a provider that has a new token when it hears that the last was
// refused, and counts.
type refreshing struct {
	t      *testing.T
	tokens []string // variables of the testbed; the last one stays
	asked  []sasl.Ask
}

func (r *refreshing) Credentials(_ context.Context, ask sasl.Ask) (sasl.Credentials, error) {
	token := r.tokens[min(len(r.asked), len(r.tokens)-1)]
	r.asked = append(r.asked, ask)
	return sasl.Credentials{Username: fromBed(r.t, "USER"), Token: []byte(fromBed(r.t, token))}, nil
}

// A provider is told why its token was refused, and asked once more, in one call.
func TestDovecotTokenRenewed(t *testing.T) {
	eachPlace(t, "dovecot", func(t *testing.T, p livePlace) {
		for _, renewed := range []string{"TOKEN", "EXPIREDTOKEN"} {
			r := &refreshing{t: t, tokens: []string{"EXPIREDTOKEN", renewed}}
			for _, m := range bearerMechanisms(r) {
				t.Run(m.Name()+" "+renewed, func(t *testing.T) {
					r.asked = nil
					s := p.dial(t)
					err := s.logIn("", m)
					if renewed != "TOKEN" {
						checkRefused(t, m, err)
					} else if err != nil {
						t.Errorf("the new token logs in: %v", err)
					} else {
						s.checkReader()
					}
					if same(t, "both are tried", s.tried(), []string{m.Name(), m.Name()}); len(r.asked) != 2 || r.asked[0].Last != nil {
						t.Fatalf("the provider is asked twice\n got: %+v", r.asked)
					}
					checkRefused(t, m, r.asked[1].Last)
				})
			}
		}
	})
}
