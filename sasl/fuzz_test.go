package sasl

import (
	"bytes"
	"testing"
)

// FuzzExchange plays a server that says anything, to each mechanism: no panic, an
// error that says who is to blame, none that shows a secret, and satisfaction by nothing
// but the server's own words. The first byte chooses the exchange of
// testdata/exchanges.txt; the rest is what the server says, a message a line.
func FuzzExchange(f *testing.F) {
	all := readTranscripts(f)
	mechs := make([]Mechanism, len(all))
	for i, tr := range all {
		mechs[i] = tr.factory()
		f.Add(byte(i), bytes.Join(tr.server, []byte("\n")))
	}
	f.Fuzz(func(t *testing.T, which byte, said []byte) {
		i := int(which) % len(all)
		tr := all[i]
		server := bytes.Split(said, []byte("\n"))
		x := tr.begin(mechs[i])
		client, err := play(x, server)
		if err != nil {
			if tr.mechanism != "ANONYMOUS" && tr.mechanism != "EXTERNAL" {
				faultOf(t, err)
			}
			hides(t, tr.secrets(), err.Error()+verbs(err))
		}
		if e, ok := x.(Explainer); ok && e.Explain() != nil {
			hides(t, tr.secrets(), e.Explain().Error()+verbs(e.Explain()))
		}
		hides(t, tr.secrets(), verbs(x))
		if mutual := traitsOf(mechs[i]).Mutual; mutual && x.Satisfied() && !provedBy(server, tr.server) {
			t.Errorf("satisfied by %q", server)
		}
		for _, response := range client {
			if len(response) > 64<<10 {
				t.Errorf("a response of %d bytes", len(response))
			}
		}
		if _, err := x.Start(); err == nil {
			t.Error("an exchange begins once")
		}
	})
}

// provedBy reports whether what was said is what a server would say who knows the
// password: it may add extensions at the end, which nothing protects.
func provedBy(said, right [][]byte) bool {
	return len(said) == 2 && bytes.Equal(said[0], right[0]) &&
		(bytes.Equal(said[1], right[1]) || bytes.HasPrefix(said[1], append(bytes.Clone(right[1]), ',')))
}

// FuzzOAuthError decodes any challenge, with any token in it.
func FuzzOAuthError(f *testing.F) {
	f.Add([]byte(`{"status":"invalid_token","scope":"s","schemes":"bearer","openid-configuration":"https://x"}`), "token")
	f.Add([]byte(`{"status":401}`), "401401401")
	f.Add([]byte(`{"scope":"a secret secret"}`), "secret")
	f.Add([]byte(`null`), "")
	f.Fuzz(func(t *testing.T, challenge []byte, token string) {
		e, err := parseOAuthError("OAUTHBEARER", challenge, token)
		if err != nil {
			faultOf(t, err)
			return
		}
		for _, field := range []string{e.Status, e.Schemes, e.Scope, e.Configuration} {
			if len(field) > maxServerText {
				t.Errorf("%d bytes of what the server said", len(field))
			}
			if len(token) > 3 && bytes.Contains([]byte(field), []byte(token)) {
				t.Errorf("the token is shown: %q", field)
			}
		}
	})
}

// FuzzServerFirst reads any server-first-message: what is read is within bounds, and
// what it says is in it.
func FuzzServerFirst(f *testing.F) {
	f.Add([]byte("r=ours+theirs,s=c2FsdA==,i=4096"), "ours")
	f.Add([]byte("e=other-error"), "")
	f.Add([]byte("r=o0,s=\r,i=1"), "o")
	f.Add([]byte("m=x,r=ours+theirs,s=c2FsdA==,i=4096"), "ours")
	f.Fuzz(func(t *testing.T, message []byte, ours string) {
		first, err := parseServerFirst("SCRAM-SHA-1", message, ours)
		if err != nil {
			faultOf(t, err)
			return
		}
		if first.iterations < 1 || first.iterations > 999_999_999 || len(first.salt) == 0 || len(first.salt) > maxSalt ||
			len(first.nonce) <= len(ours) || len(first.nonce) > maxServerNonce || !bytes.HasPrefix(message, []byte("r="+first.nonce+",s=")) {
			t.Errorf("%q is read as %+v", message, first)
		}
	})
}
