package sasl

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/imclient/imclient/sasl/krbtest"
)

// No verb shows a key, a ticket or what a provider's password is, whatever holds them, at
// any time of a login.
func TestKerberosSecretsAreNotShown(t *testing.T) {
	for name, etype := range etypes {
		t.Run(name, func(t *testing.T) {
			s, k := newTicket(t, etype)
			m := GSSAPI(k)
			x := m.New(gssapiParams(ProtAny)).(*gssapiExchange)
			shown := verbs(x)
			if err := converse(t, x, s.Accept(krbtest.Options{}), func(_ int, token []byte) []byte {
				shown += verbs(x) + verbs(x.ticket) + verbs(x.context) + verbs(x.wrapper)
				return token
			}); err != nil {
				t.Fatal(err)
			}
			shown += verbs(x) + verbs(x.layer) + verbs(x.layer.codec) + verbs(x.wrapper) + verbs(m) + verbs(k) + verbs(*k) + verbs(*x.ticket) + verbs(k.fleet)
			x.Done(nil)
			shown += verbs(x) + verbs([]any{x, k, x.ticket})
			hides(t, []string{string(x.ticket.Key.KeyValue), string(x.ticket.DER)}, shown)
		})
	}
}

// Neither do errors, though the password was theirs to know.
func TestKerberosErrorsHoldNoSecret(t *testing.T) {
	nothingSet(t)
	const secret = "correct horse"
	for _, user := range []string{"alice", "alice@", "alice@X.TEST", "a\x00b@X.TEST", "@", "", secret + "@X.TEST/" + secret} {
		k := NewKerberos(KerberosOptions{Provider: Static(Credentials{Username: user, Password: []byte(secret), Token: []byte("battery.staple")})})
		x := GSSAPI(k).New(gssapiParams(ProtAny))
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // no KDC is looked for in DNS
		step, err := x.Start()
		if err == nil {
			_, err = step.Work(ctx)
		}
		if err == nil {
			t.Fatalf("%q gets no ticket", user)
		}
		hidden := []string{"battery.staple"}
		if user != secret+"@X.TEST/"+secret { // who gives it as the name tells it
			hidden = append(hidden, secret)
		}
		hides(t, hidden, err.Error()+verbs(err)+verbs(errors.Unwrap(err))+verbs(x)+verbs(k))
	}
}

// A wrong password does not find the ticket that another login got by the right one.
func TestKerberosPasswordsApart(t *testing.T) {
	var bed [4]string
	for i, name := range []string{"CONFIG", "PRINCIPAL", "PASSWORD", "REALM"} {
		if bed[i] = os.Getenv("IMCLIENT_TEST_KRB5_" + name); bed[i] == "" {
			t.Skip("needs a KDC: go run ./cmd/testbed go test ./sasl")
		}
	}
	password := bed[2]
	k := NewKerberos(KerberosOptions{Config: bed[0], Provider: ProviderFunc(func(context.Context, Ask) (Credentials, error) {
		return Credentials{Username: bed[1], Password: []byte(password)}, nil
	})})
	params := Params{Service: "imap", Host: "localhost"}
	for i, try := range []struct {
		password string
		good     bool
	}{{bed[2], true}, {bed[2] + "x", false}, {bed[2], true}, {bed[2] + "x", false}, {bed[2][1:], false}} {
		password = try.password
		_, err := start(t, GSSAPI(k).New(params))
		var e *KerberosError
		if try.good != (err == nil) || err != nil && (!errors.As(err, &e) || e.Kind != KerberosWrongPassword) {
			t.Errorf("login %d has a ticket if its password is right: %t\n got: %v", i+1, try.good, err)
		}
		if err != nil {
			hides(t, []string{try.password}, err.Error()+verbs(err)+verbs(k))
		}
	}
	if s := k.Stats(); s.Hits != 1 || s.TGSRequests != 1 {
		t.Errorf("one ticket is fetched, and found by who knows the password\n got: %+v", s)
	}
}
