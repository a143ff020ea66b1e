package conn_test

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/reactor"
	"github.com/imclient/imclient/sasl"
)

// soon returns what the client says next, when work elsewhere has made it up.
func soon(t *testing.T, s *conntest.Server, l *reactor.Loop) string {
	t.Helper()
	for {
		if sent := s.Received(); sent != "" {
			return strings.TrimSuffix(sent, "\r\n")
		}
		if err := l.ProcessOneEvent(); err != nil {
			t.Fatal(err)
		}
	}
}

// Five hundred logins at once, by one goroutine: the keys of one account are derived
// elsewhere, and each login ends.
func TestManyLogins(t *testing.T) {
	const logins, salt, iterations = 500, "NaClNaClNaClNaCl", 4096
	l := newLoop(t)
	salted, err := pbkdf2.Key(sha256.New, "tanstaaftanstaaf", []byte(salt), iterations, sha256.Size)
	if err != nil {
		t.Fatal(err)
	}
	keyed := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	mechs := []sasl.Mechanism{sasl.SCRAM(crypto.SHA256, tim(), sasl.SCRAMOptions{Keys: new(sasl.Keys)})}
	type login struct {
		c        *conn.Client
		s        *conntest.Server
		o        *outcome
		messages string
	}
	all := make([]*login, logins)
	for i := range all {
		c, s := conntest.New(t, &conn.Dialer{Now: time.Now})
		s.Join(l)
		s.Play("S: * OK [CAPABILITY SASL-IR AUTH=SCRAM-SHA-256]")
		all[i] = &login{c: c, s: s, o: authenticate(t, c, mechs...)}
	}
	for _, u := range all {
		_, first, _ := strings.Cut(plainOf(t, strings.Fields(u.s.Received())[3]), ",,")
		_, nonce, _ := strings.Cut(first, ",r=")
		answer := "r=" + nonce + "srv,s=" + base64Of(salt) + ",i=4096"
		u.messages = first + "," + answer
		u.s.Send("+ " + base64Of(answer) + "\r\n")
	}
	for _, u := range all {
		final, _, ok := strings.Cut(plainOf(t, soon(t, u.s, l)), ",p=")
		if !ok {
			t.Fatalf("the client proves itself\n got: %q", final)
		}
		signature := keyed(keyed(salted, "Server Key"), u.messages+","+final)
		u.s.Play("S: + " + base64Of("v="+base64.StdEncoding.EncodeToString(signature)) + "\nC: \nS: a2 OK [CAPABILITY IDLE] in\nC-")
		if u.o.calls != 1 || u.o.err != nil {
			t.Fatalf("the login succeeds\n got: %d calls, %v", u.o.calls, u.o.err)
		}
	}
}

// A provider of tokens is told what the server said of the last, and asked again once.
func TestTokenRenewed(t *testing.T) {
	l := newLoop(t)
	var asked []sasl.Ask
	provider := sasl.ProviderFunc(func(_ context.Context, ask sasl.Ask) (sasl.Credentials, error) {
		asked = append(asked, ask)
		return sasl.Credentials{Username: "tim", Token: []byte(fmt.Sprint("bearer-", len(asked)))}, nil
	})
	c, s := conntest.New(t, new(conn.Dialer))
	s.Join(l)
	s.Play("S: * OK [CAPABILITY SASL-IR AUTH=OAUTHBEARER]")
	o := authenticate(t, c, sasl.OAuthBearer(provider))
	for i, tag := range []string{"a2", "a3"} {
		sent := strings.Fields(soon(t, s, l))
		if len(sent) != 4 || sent[0] != tag || !strings.Contains(plainOf(t, sent[3]), fmt.Sprintf("Bearer bearer-%d\x01", i+1)) {
			t.Fatalf("the token is sent\n got: %q", sent)
		}
		s.Play("S: + " + base64Of(`{"status":"invalid_token","scope":"mail"}`) + "\nC: AQ==\nS: " + tag + " NO expired")
	}
	s.Play("C-")
	var said *sasl.OAuthError
	if len(asked) != 2 || asked[0].Last != nil || !errors.As(asked[1].Last, &said) || said.Status != "invalid_token" || said.Scope != "mail" {
		t.Errorf("the provider is asked twice, the second time with the reason\n got: %+v", asked)
	}
	if o.calls != 1 || !errors.Is(o.err, sasl.ErrAuthFailed) || !errors.As(o.err, new(*sasl.OAuthError)) {
		t.Errorf("the error has the reason, too\n got: %d calls, %v", o.calls, o.err)
	}
}
