package sasl

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// both has a password and a token.
func both() Provider {
	return ProviderFunc(func(context.Context, Ask) (Credentials, error) {
		return Credentials{Username: "user", Password: []byte("pencil"), Token: []byte("ticket")}, nil
	})
}

// cyrus is the list of a real server over TLS, dovecot of another without.
var (
	cyrus   = strings.Fields("PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1-PLUS SCRAM-SHA-1 SCRAM-SHA-256-PLUS SCRAM-SHA-256 GSSAPI-PLUS GSSAPI ANONYMOUS")
	dovecot = strings.Fields("PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256 GSSAPI EXTERNAL ANONYMOUS OAUTHBEARER XOAUTH2")
)

// own is a mechanism of somebody else's, who says nothing about it, or what it is
// told to.
type own struct {
	name   string
	traits *Traits
}

func (m own) Name() string        { return m.name }
func (m own) New(Params) Exchange { return &plainExchange{} }

type ownDescribed struct{ own }

func (m ownDescribed) Traits() Traits { return *m.traits }

// tries lists what is tried when each try ends as fail says.
func tries(c *Choice, fail func(name string) error) (names []string) {
	for name, x := c.Next(); x != nil; name, x = c.Next() {
		if s, ok := x.(*scramExchange); ok {
			flag, err := s.flag()
			if err != nil {
				flag = err.Error()
			}
			name += "(" + flag + ")"
		}
		names = append(names, name)
		c.Done(fail(name))
	}
	return names
}

func saysNO(string) error { return fmt.Errorf("NO: %w", ErrAuthFailed) }

func TestChoose(t *testing.T) {
	all := All(both())
	tls13 := bindings("tls-exporter", "tls-server-end-point")
	type in = Situation
	for _, tc := range []struct {
		what string
		s    Situation
		want string
	}{
		{"nothing offered", in{}, ""},
		{"in the clear", in{Offered: dovecot},
			"SCRAM-SHA-256(n) SCRAM-SHA-1(n) DIGEST-MD5 CRAM-MD5"},
		{"safe, and never a cleartext one because a mutual one failed", in{Offered: dovecot, Safe: true, TLS: true, Verified: true},
			"SCRAM-SHA-256(n) SCRAM-SHA-1(n) DIGEST-MD5 CRAM-MD5"},
		{"case does not matter", in{Offered: []string{"scram-sha-1", "Plain"}, Safe: true}, "SCRAM-SHA-1(n)"},
		{"only cleartext ones, with a client certificate; a token is asked for twice, once",
			in{Offered: []string{"PLAIN", "LOGIN", "EXTERNAL", "XOAUTH2", "OAUTHBEARER"}, Safe: true, Identified: true},
			"EXTERNAL OAUTHBEARER OAUTHBEARER XOAUTH2 PLAIN LOGIN"},
		{"only cleartext ones, in the clear", in{Offered: []string{"PLAIN", "LOGIN", "XOAUTH2"}}, ""},
		{"bound first, and the same without over verified TLS, by n",
			in{Offered: cyrus, Safe: true, TLS: true, Verified: true, Params: Params{Binding: tls13}},
			"SCRAM-SHA-256-PLUS(p=tls-exporter) SCRAM-SHA-1-PLUS(p=tls-exporter) SCRAM-SHA-256(n) SCRAM-SHA-1(n) DIGEST-MD5 CRAM-MD5"},
		{"over TLS that was not verified none follows without",
			in{Offered: cyrus, Safe: true, TLS: true, Params: Params{Binding: tls13}},
			"SCRAM-SHA-256-PLUS(p=tls-exporter) SCRAM-SHA-1-PLUS(p=tls-exporter)"},
		{"a -PLUS form that nobody has stands in the list: y",
			in{Offered: []string{"SCRAM-X-PLUS", "SCRAM-SHA-256"}, Safe: true, TLS: true, Verified: true, Params: Params{Binding: tls13}},
			"SCRAM-SHA-256(y)"},
		{"required",
			in{Offered: cyrus, Safe: true, TLS: true, Verified: true, Params: Params{Binding: tls13}, Floor: Floor{Binding: true}},
			"SCRAM-SHA-256-PLUS(p=tls-exporter) SCRAM-SHA-1-PLUS(p=tls-exporter)"},
		{"required, and the list has none",
			in{Offered: dovecot, Safe: true, TLS: true, Verified: true, Params: Params{Binding: tls13}, Floor: Floor{Binding: true}}, ""},
		{"we could bind and the list has no -PLUS: y",
			in{Offered: dovecot, Safe: true, TLS: true, Verified: true, Params: Params{Binding: tls13}},
			"SCRAM-SHA-256(y) SCRAM-SHA-1(y) DIGEST-MD5 CRAM-MD5"},
		{"the list has -PLUS of another hash: n",
			in{Offered: []string{"SCRAM-SHA-1-PLUS", "SCRAM-SHA-256"}, Safe: true, TLS: true, Verified: true, Params: Params{Binding: tls13}},
			"SCRAM-SHA-1-PLUS(p=tls-exporter) SCRAM-SHA-256(n)"},
		{"GSSAPI-PLUS says nothing about SCRAM",
			in{Offered: []string{"GSSAPI-PLUS", "SCRAM-SHA-256"}, Safe: true, TLS: true, Verified: true, Params: Params{Binding: tls13}},
			"SCRAM-SHA-256(y)"},
		{"offered, but this TLS has none of the kinds: n",
			in{Offered: cyrus, Safe: true, TLS: true, Verified: true, Params: Params{Binding: bindings()}},
			"SCRAM-SHA-256(n) SCRAM-SHA-1(n) DIGEST-MD5 CRAM-MD5"},
		{"the floor: a strength", in{Offered: dovecot, Safe: true, Floor: Floor{Strength: Strength("SCRAM-SHA-1")}},
			"SCRAM-SHA-256(n) SCRAM-SHA-1(n)"},
		{"the floor: mutual", in{Offered: dovecot, Safe: true, Floor: Floor{Mutual: true}}, "SCRAM-SHA-256(n) SCRAM-SHA-1(n) DIGEST-MD5"},
		{"a layer is asked for that none has", in{Offered: dovecot[:2], Safe: true, Params: Params{Prot: ProtPrivacy}}, ""},
		{"a layer is asked for, and TLS is there", in{Offered: dovecot[:2], Safe: true, TLS: true, Params: Params{Prot: ProtPrivacy}}, "PLAIN LOGIN"},
		{"no layer but any other", in{Offered: dovecot[:2], Safe: true, Params: Params{Prot: ProtAny}}, "PLAIN LOGIN"},
	} {
		t.Run(tc.what, func(t *testing.T) {
			c := Choose(all, tc.s)
			if got := strings.Join(tries(c, saysNO), " "); got != tc.want {
				t.Errorf("\n got: %s\nwant: %s\n(%v)", got, tc.want, c.Err())
			}
			if name, x := c.Next(); x != nil || name != "" {
				t.Error("a choice that is at its end stays there")
			}
			err := c.Err()
			if !errors.Is(err, ErrAuthFailed) {
				t.Errorf("at the end it is ErrAuthFailed\n got: %v", err)
			}
			for _, m := range all {
				if !strings.Contains(err.Error(), m.Name()) {
					t.Errorf("the error has a reason for each mechanism\n got none for %s: %v", m.Name(), err)
				}
			}
		})
	}
}

func TestChooseReasons(t *testing.T) {
	secretless := Static(Credentials{Username: "user"})
	for _, tc := range []struct {
		m    Mechanism
		s    Situation
		want error
	}{
		{Plain(both()), Situation{Offered: []string{"PLAIN"}}, ErrCleartext},
		{Plain(both()), Situation{Safe: true}, errNotOffered},
		{Plain(secretless), Situation{Offered: []string{"PLAIN"}, Safe: true}, ErrNoCredentials},
		{Login(secretless), Situation{Offered: []string{"LOGIN"}, Safe: true}, ErrNoCredentials},
		{CRAMMD5(secretless), Situation{Offered: []string{"CRAM-MD5"}, Safe: true}, ErrNoCredentials},
		{OAuthBearer(secretless), Situation{Offered: []string{"OAUTHBEARER"}, Safe: true}, ErrNoCredentials},
		{SCRAM(crypto.SHA1, secretless, SCRAMOptions{}), Situation{Offered: []string{"SCRAM-SHA-1"}}, ErrNoCredentials},
		{SCRAM(crypto.SHA1, both(), SCRAMOptions{}), Situation{Offered: []string{"SCRAM-SHA-1-PLUS"}}, ErrNoBinding},
		{Plain(both()), Situation{Offered: []string{"PLAIN"}, Safe: true, Floor: Floor{Strength: 201}}, errWeak},
		{Plain(both()), Situation{Offered: []string{"PLAIN"}, Safe: true, Floor: Floor{Mutual: true}}, errNotMutual},
		{External(), Situation{Offered: []string{"EXTERNAL"}}, errUnidentified},
		{External(), Situation{Offered: []string{"EXTERNAL"}, Identified: true, Params: Params{User: "a\x00b"}}, ErrNoCredentials},
		{Anonymous("who"), Situation{Offered: []string{"ANONYMOUS"}, Params: Params{User: "user"}}, ErrNoCredentials},
		{Anonymous("\n"), Situation{Offered: []string{"ANONYMOUS"}}, ErrNoCredentials},
		{Anonymous(strings.Repeat("é", 256)), Situation{Offered: []string{"ANONYMOUS"}}, ErrNoCredentials},
		{own{name: "OWN"}, Situation{Offered: []string{"OWN"}}, ErrCleartext},
		{own{name: "OWN"}, Situation{Offered: []string{"OWN"}, Safe: true, Params: Params{Prot: ProtIntegrity}}, errNoLayer},
	} {
		var traced []string
		tc.s.Trace = func(text string) { traced = append(traced, text) }
		c := Choose([]Mechanism{tc.m}, tc.s)
		if name, x := c.Next(); x != nil {
			t.Errorf("%s is not tried, for %v", name, tc.want)
		}
		if err := c.Err(); !errors.Is(err, tc.want) || !errors.Is(err, ErrAuthFailed) {
			t.Errorf("%s\n got: %v\nwant: %v", tc.m.Name(), err, tc.want)
		}
		r := c.Refusals()
		if last := r[len(r)-1]; len(traced) != len(r) || traced[len(traced)-1] != last.Name+": "+last.Err.Error() {
			t.Errorf("each refusal is traced\n got: %q\nfor: %v", traced, r)
		}
	}
	if got := Choose(nil, Situation{Offered: cyrus}).Err().Error(); got != "sasl: no mechanism to log in with" {
		t.Errorf("without mechanisms there is an error, too\n got: %s", got)
	}
}

// Others' mechanisms take the place that they say, and those who say nothing the last.
func TestChooseOwn(t *testing.T) {
	strong := ownDescribed{own{"X-STRONG", &Traits{Mutual: true, Strength: 750, Prot: ProtNone}}}
	layer := ownDescribed{own{"X-LAYER", &Traits{Mutual: true, Strength: 1, Prot: ProtPrivacy}}}
	mechs := append([]Mechanism{own{name: "X-silent"}, layer, strong}, All(both())...)
	s := Situation{Offered: append([]string{"X-STRONG", "X-LAYER", "X-SILENT"}, dovecot...), Safe: true}
	s.Params.Prot = ProtAny
	got := tries(Choose(mechs, s), func(string) error { return nil })
	if !slices.Equal(got, []string{"X-STRONG"}) {
		t.Errorf("the strongest comes first, and after an OK none\n got: %q", got)
	}
	s.Params.Prot = ProtPrivacy
	if got := tries(Choose([]Mechanism{strong, layer}, s), saysNO); !slices.Equal(got, []string{"X-LAYER"}) {
		t.Errorf("only one that has the layer is tried\n got: %q", got)
	}
	s.Params.Prot = ProtNone
	if got := tries(Choose([]Mechanism{own{name: "X-SILENT"}, Plain(both())}, s), saysNO); !slices.Equal(got, []string{"PLAIN", "X-SILENT"}) {
		t.Errorf("one that says nothing is the last\n got: %q", got)
	}
}

// What ends all trying, and what only one try.
func TestChooseEnds(t *testing.T) {
	for _, tc := range []struct {
		what string
		end  error
		want string
	}{
		{"a wrong proof", ErrNotProved, "SCRAM-SHA-256(n)"},
		{"a premature OK", ErrPrematureOK, "SCRAM-SHA-256(n)"},
		{"a downgrade", &ServerError{Value: "server-does-support-channel-binding"}, "SCRAM-SHA-256(n)"},
		{"the caller", &ProviderError{Err: context.Canceled}, "SCRAM-SHA-256(n)"},
		{"the provider", &ProviderError{Err: errors.New("the keyring is locked")}, "SCRAM-SHA-256(n)"},
		{"a bad challenge", &ChallengeError{}, "SCRAM-SHA-256(n) SCRAM-SHA-1(n) DIGEST-MD5 CRAM-MD5"},
		{"no credentials, so nothing was sent", &ProviderError{Err: ErrNoCredentials}, "SCRAM-SHA-256(n) SCRAM-SHA-1(n) DIGEST-MD5 CRAM-MD5 OAUTHBEARER XOAUTH2 PLAIN LOGIN"},
	} {
		c := Choose(All(both()), Situation{Offered: dovecot, Safe: true})
		got := strings.Join(tries(c, func(string) error { return tc.end }), " ")
		if got != tc.want {
			t.Errorf("%s\n got: %s\nwant: %s", tc.what, got, tc.want)
		}
		if !errors.Is(c.Err(), tc.end) {
			t.Errorf("%s: the error tells\n got: %v", tc.what, c.Err())
		}
	}
}

// Nobody is logged in anonymously because a login was refused; but it is done for
// who asks for nothing else, and where no other could be tried.
func TestChooseAnonymous(t *testing.T) {
	s := Situation{Offered: dovecot, Safe: true}
	if got := tries(Choose([]Mechanism{Anonymous(""), Plain(both())}, s), saysNO); !slices.Equal(got, []string{"PLAIN"}) {
		t.Errorf("got: %q", got)
	}
	if got := tries(Choose([]Mechanism{Anonymous("")}, s), saysNO); !slices.Equal(got, []string{"ANONYMOUS"}) {
		t.Errorf("got: %q", got)
	}
	if got := slices.ContainsFunc(All(both()), func(m Mechanism) bool { return traitsOf(m).Anonymous }); got {
		t.Error("All is of who has something to log in with")
	}
}

// What the server said reaches the caller and the provider of the next try.
func TestChooseTellsWhy(t *testing.T) {
	var asked []Ask
	p := ProviderFunc(func(_ context.Context, ask Ask) (Credentials, error) {
		asked = append(asked, ask)
		return Credentials{Username: "user", Token: []byte("ticket" + fmt.Sprint(len(asked)))}, nil
	})
	c := Choose([]Mechanism{OAuthBearer(p), XOAuth2(p)}, Situation{
		Offered: []string{"OAUTHBEARER", "XOAUTH2"}, Safe: true, Params: Params{Service: "imap", Host: "host", User: "boss"},
	})
	for range 2 {
		_, x := c.Next()
		if _, err := play(x, [][]byte{[]byte(`{"status":"invalid_token"}`)}); err != nil {
			t.Fatal(err)
		}
		c.Done(fmt.Errorf("NO: %w", ErrAuthFailed))
	}
	if _, x := c.Next(); x != nil {
		t.Error("a token is asked for once more, by whatever mechanism, not for ever")
	}
	for i, want := range []Ask{{Mechanism: "OAUTHBEARER"}, {Mechanism: "OAUTHBEARER"}} {
		got := asked[i]
		why, ok := errors.AsType[*OAuthError](got.Last)
		if got.Mechanism != want.Mechanism || got.Service != "imap" || got.Host != "host" || got.User != "boss" || ok != (i > 0) || ok && why.Status != "invalid_token" {
			t.Errorf("the provider is told what for, and why the last try failed\n got: %+v", got)
		}
	}
	if why, ok := errors.AsType[*OAuthError](c.Err()); !ok || why.Status != "invalid_token" {
		t.Errorf("the error tells what the server said\n got: %v", c.Err())
	}
	if Static(Credentials{Token: []byte("t")}); OAuthBearer(Static(Credentials{Token: []byte("t")})).(Described).Traits().Renews {
		t.Error("who has but one token is not asked for another")
	}
}

func TestChooseWarns(t *testing.T) {
	var warned []string
	s := Situation{
		Offered: cyrus, Before: append([]string{"oauthbearer", "X-OTHER"}, cyrus...), Safe: true, TLS: true, Verified: true,
		Params: Params{Binding: bindings("tls-exporter")}, Warn: func(text string) { warned = append(warned, text) },
	}
	c := Choose(All(both()), s)
	if len(warned) != 1 || !strings.Contains(warned[0], "offered OAUTHBEARER before TLS") {
		t.Errorf("a list that shrinks under TLS is noticed\n got: %q", warned)
	}
	warned = nil
	tries(c, saysNO)
	if len(warned) != 2 || !strings.Contains(warned[0], "SCRAM-SHA-256 without channel binding") || !strings.Contains(warned[1], "SCRAM-SHA-1 without") {
		t.Errorf("each that follows without binding is warned of\n got: %q", warned)
	}
	warned = nil
	s.Before = nil
	if Choose(All(both()), s); warned != nil {
		t.Errorf("where nothing was heard before nothing shrinks\n got: %q", warned)
	}
}

// outcome notes what it is told.
type outcome struct {
	plainExchange
	told []error
}

func (x *outcome) Done(err error) { x.told = append(x.told, err) }

type outcomeMechanism struct{ x *outcome }

func (m outcomeMechanism) Name() string        { return "X-OUTCOME" }
func (m outcomeMechanism) New(Params) Exchange { return m.x }

func TestChoiceDone(t *testing.T) {
	for _, end := range []error{nil, ErrAuthFailed} {
		x := new(outcome)
		c := Choose([]Mechanism{outcomeMechanism{x}}, Situation{Offered: []string{"X-OUTCOME"}, Safe: true})
		c.Done(end) // before there is anything
		c.Next()
		c.Done(end)
		c.Done(end)
		if len(x.told) != 1 || x.told[0] != end {
			t.Errorf("an exchange is told its outcome once\n got: %v", x.told)
		}
	}
}

// A server that offers a hundred thousand names costs no more than reading them.
func TestChooseLongList(t *testing.T) {
	offered := make([]string, 100_000)
	for i := range offered {
		offered[i] = fmt.Sprintf("X-%d", i)
	}
	c := Choose(All(both()), Situation{Offered: append(offered, "PLAIN"), Before: offered, Safe: true})
	if got := tries(c, saysNO); !slices.Equal(got, []string{"PLAIN"}) || len(c.Err().Error()) > 1000 {
		t.Errorf("got: %q, %.200v", got, c.Err())
	}
}
