package sasl

import (
	"crypto"
	"testing"

	gosasl "github.com/emersion/go-sasl"
)

// BenchmarkLogin is the client's work of one login, from New to satisfaction, beside
// that of go-sasl's client where it has the mechanism. SCRAM has its keys already
// (keys=kept), which is what a reconnect costs, or derives them (keys=new).
func BenchmarkLogin(b *testing.B) {
	for _, tr := range readTranscripts(b) {
		if tr.ends != "OK" || !benchmarked[tr.name] {
			continue
		}
		for _, keys := range []string{"kept", "new"} {
			mutual := traitsOf(tr.factory()).Mutual
			if !mutual && keys == "new" {
				continue
			}
			name := "mech=" + tr.mechanism + "/by=ours"
			if mutual {
				name += "/keys=" + keys
			}
			b.Run(name, func(b *testing.B) {
				m := tr.factory()
				b.ReportAllocs()
				for b.Loop() {
					x := tr.begin(m)
					if _, err := play(x, tr.server); err != nil || !x.Satisfied() {
						b.Fatal(err)
					}
					if s, ok := x.(*scramExchange); ok && keys == "new" {
						s.m.options.Keys.drop(s.id)
					}
				}
			})
		}
		if theirs := goSASL(tr); theirs != nil {
			b.Run("mech="+tr.mechanism+"/by=go-sasl", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					c := theirs()
					if _, _, err := c.Start(); err != nil {
						b.Fatal(err)
					}
					for _, challenge := range tr.server[min(len(tr.server), 1):] { // LOGIN's first is none to it
						if _, err := c.Next(challenge); err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		}
	}
}

// benchmarked is one exchange for each mechanism.
var benchmarked = map[string]bool{
	"RFC 4616 section 4, first example":        true,
	"LOGIN, as Cyrus and Dovecot have it":      true,
	"RFC 2195 section 2":                       true,
	"RFC 4505 section 4":                       true,
	"RFC 4422 appendix A.3, an empty response": true,
	"RFC 7628 section 4.1":                     true,
	"XOAUTH2, Google's example":                true,
	"RFC 5802 section 5":                       true,
	"RFC 7677 section 3":                       true,
	"draft-melnikov-scram-sha-512 has no example: RFC 7677's, computed with Python's hashlib": true,
	"RFC 5802 section 6, bound to TLS, for another, names escaped; computed with hashlib":     true,
}

// goSASL is go-sasl's client for an exchange; nil: it has none.
func goSASL(tr *transcript) func() gosasl.Client {
	w := tr.with
	switch tr.mechanism {
	case "PLAIN":
		return func() gosasl.Client { return gosasl.NewPlainClient("", w["username"], w["password"]) }
	case "LOGIN":
		return func() gosasl.Client { return gosasl.NewLoginClient(w["username"], w["password"]) }
	case "ANONYMOUS":
		return func() gosasl.Client { return gosasl.NewAnonymousClient(w["trace"]) }
	case "EXTERNAL":
		return func() gosasl.Client { return gosasl.NewExternalClient("") }
	case "OAUTHBEARER":
		return func() gosasl.Client {
			return gosasl.NewOAuthBearerClient(&gosasl.OAuthBearerOptions{Username: w["username"], Token: w["token"], Host: w["host"], Port: 143})
		}
	}
	return nil
}

// BenchmarkDerive is what SCRAM's keys cost, by hash and iterations.
func BenchmarkDerive(b *testing.B) {
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA512} {
		b.Run("hash="+h.String()+"/iterations=4096", func(b *testing.B) {
			for b.Loop() {
				if _, err := scramDerive(h.New, []byte("pencil"), []byte("salt"), 4096); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
