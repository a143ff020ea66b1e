package sasl

import (
	"crypto"
	"runtime"
	"slices"
	"testing"
	"time"

	gosasl "github.com/emersion/go-sasl"
)

// BenchmarkLogin is the client's work of one login, from New to satisfaction, in CPU
// time of the thread, beside that of go-sasl's client where it has the mechanism: the
// two take turns, and ours/go-sasl is of the same turns. SCRAM has its keys already
// (keys=kept), which is what a reconnect costs, or derives them (keys=new).
func BenchmarkLogin(b *testing.B) {
	for _, tr := range readTranscripts(b) {
		if tr.ends != "OK" || !benchmarked[tr.name] {
			continue
		}
		m, theirs := tr.factory(), goSASL(b, tr)
		name := "mech=" + tr.mechanism
		if !traitsOf(m).Mutual {
			b.Run(name, func(b *testing.B) { benchLogin(b, 1000, tr.ours(b, m, false), theirs) })
			continue
		}
		b.Run(name+"/keys=kept", func(b *testing.B) { benchLogin(b, 1000, tr.ours(b, m, false), theirs) })
		b.Run(name+"/keys=new", func(b *testing.B) { benchLogin(b, 5, tr.ours(b, m, true), theirs) })
	}
	b.Run("mech=DIGEST-MD5", func(b *testing.B) { benchLogin(b, 1000, oursDigest(b), nil) })
}

// benchLogin has an iteration be many logins of each side, theirs if it is not nil.
func benchLogin(b *testing.B, many int, ours, theirs func()) {
	sides := []*loginSide{{name: "ours", logIn: ours}}
	if theirs != nil {
		sides = append(sides, &loginSide{name: "go-sasl", logIn: theirs})
	}
	m := newMeter(b)
	for _, s := range sides {
		s.logIn() // derives keys that are kept
	}
	for b.Loop() {
		for _, s := range sides {
			s.turn(m, many)
		}
	}
	for _, s := range sides {
		b.ReportMetric(median(s.times)/float64(many), s.name+"-ns/login")
		b.ReportMetric(float64(s.allocs)/float64(many*len(s.times)), s.name+"-allocs/login")
	}
	if theirs != nil {
		b.ReportMetric(medianRatio(sides[0].times, sides[1].times), "ours/go-sasl")
	}
	b.ReportMetric(0, "ns/op") // the time of both sides together says nothing
}

type loginSide struct {
	name   string
	logIn  func()
	times  []float64 // of its turns, in nanoseconds
	allocs uint64
}

func (s *loginSide) turn(m *meter, many int) {
	before := mallocs()
	s.times = append(s.times, float64(m.time(func() {
		for range many {
			s.logIn()
		}
	})))
	s.allocs += mallocs() - before
}

func mallocs() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.Mallocs
}

// medianRatio is of the turns, a slow machine is so for both.
func medianRatio(a, b []float64) float64 {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = a[i] / b[i]
	}
	return median(ratios)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// ours is one login of our client's side, with keys that are then forgotten or kept.
func (tr *transcript) ours(b *testing.B, m Mechanism, forget bool) func() {
	return func() {
		x := tr.begin(m)
		if _, err := play(x, tr.server); err != nil || !x.Satisfied() {
			b.Fatal(err)
		}
		if forget {
			s := x.(*scramExchange)
			s.m.options.Keys.drop(s.id)
		}
	}
}

// oursDigest is that of RFC 2831 section 4, without a layer.
func oursDigest(b *testing.B) func() {
	m, params := DIGESTMD5(chris, DigestOptions{}), newDigestParams(ProtNone)
	server := [][]byte{
		[]byte(`realm="elwood.innosoft.com",nonce="OA6MG9tEQGm2hh",qop="auth",algorithm=md5-sess,charset=utf-8`),
		[]byte("rspauth=ea40f60335c427b5527b84dbabcdfffd"),
	}
	return func() {
		x := m.New(params).(*digestExchange)
		x.cnonce = "OA6MHXh6VqTrRk"
		if _, err := play(x, server); err != nil || !x.Satisfied() {
			b.Fatal(err)
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

// goSASL is one login of go-sasl's client; nil: it has none for the mechanism.
func goSASL(b *testing.B, tr *transcript) func() {
	newClient := goSASLClient(tr)
	if newClient == nil {
		return nil
	}
	return func() {
		c := newClient()
		if _, _, err := c.Start(); err != nil {
			b.Fatal(err)
		}
		for _, challenge := range tr.server[min(len(tr.server), 1):] { // LOGIN's first is none to it
			if _, err := c.Next(challenge); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func goSASLClient(tr *transcript) func() gosasl.Client {
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

// BenchmarkDerive is what SCRAM's keys cost in CPU time of the thread, by hash and
// iterations.
func BenchmarkDerive(b *testing.B) {
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA512} {
		b.Run("hash="+h.String()+"/iterations=4096", func(b *testing.B) {
			m, used := newMeter(b), time.Duration(0)
			for b.Loop() {
				used += m.time(func() {
					if _, err := scramDerive(h.New, []byte("pencil"), []byte("salt"), 4096); err != nil {
						b.Fatal(err)
					}
				})
			}
			b.ReportMetric(float64(used.Nanoseconds())/float64(b.N), "cpu-ns/op")
			b.ReportMetric(0, "ns/op")
		})
	}
}
