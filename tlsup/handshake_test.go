package tlsup

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
)

// A chain of 60 KB comes in several records, as does the client's own.
func TestLargeChain(t *testing.T) {
	var ballast [][]byte
	for i := range 6 {
		filler, _ := makeCert(fmt.Sprint("filler ", i), 10000)
		ballast = append(ballast, filler.Certificate[0])
	}
	eachWay(t, func(t *testing.T, version uint16) {
		for _, name := range []string{"whole", "sevens", "records", "a byte less", "header"} {
			cut := cutters[name]
			client, server := configs(version)
			large := server.Certificates[0]
			large.Certificate = append([][]byte{large.Certificate[0]}, ballast...)
			server.Certificates = []tls.Certificate{large}
			server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, client.RootCAs
			client.Certificates = server.Certificates
			p := newPair(t, client, server)
			p.shake(cut)
			for _, e := range []*Engine{p.c, p.s} {
				if got, want := len(e.State().PeerCertificates), 7; got != want {
					t.Errorf("all certificates come, cut by %s\n got: %d\nwant: %d", name, got, want)
				}
			}
			p.carries(p.s, p.c, text(100), cut, 0)
			holdsNothing(t, p.c)
		}
	})
}

// A chain over crypto/tls's limit is refused, with the records that bring it.
func TestGiantChain(t *testing.T) {
	filler, _ := makeCert("filler", 60000)
	client, server := configs(tls.VersionTLS13)
	giant := server.Certificates[0]
	giant.Certificate = [][]byte{giant.Certificate[0]}
	for range 5 {
		giant.Certificate = append(giant.Certificate, filler.Certificate[0])
	}
	server.Certificates = []tls.Certificate{giant}
	p := newPair(t, client, server)
	_, _ = p.c.Step()
	p.move(p.c, p.s, whole)
	_, err := deliver(t, p.c, take(p.s), every(4096), 0)
	if err == nil || !strings.Contains(err.Error(), "exceeds maximum") {
		t.Errorf("a chain of 300 KB is refused\n got: %v", err)
	}
	suspended(t, running(p.s))
}

// A session is resumed in either version; in 1.3 its tickets come behind the
// handshake, perhaps with data.
func TestEngineResumption(t *testing.T) {
	eachWay(t, func(t *testing.T, version uint16) {
		for name, cut := range cutters {
			client, server := configs(version)
			client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			server.SessionTicketsDisabled = false
			for i := range 3 {
				p := newPair(t, client, server)
				p.shake(cut)
				p.carries(p.s, p.c, text(100), cut, 0)
				for _, e := range []*Engine{p.c, p.s} {
					if got, want := e.State().DidResume, i > 0; got != want {
						t.Errorf("a session is resumed, cut by %s\n got: %t\nwant: %t", name, got, want)
					}
				}
				p.c.Abort()
				p.s.Abort()
			}
		}
	})
}

// The first key share is not to the server's taste: there is one flight more each way.
func TestHelloRetryRequest(t *testing.T) {
	for name, cut := range cutters {
		client, server := configs(tls.VersionTLS13)
		client.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
		server.CurvePreferences = []tls.CurveID{tls.CurveP256}
		p := newPair(t, client, server)
		p.shake(cut)
		if !p.c.State().HelloRetryRequest {
			t.Errorf("the server asks for another key share, cut by %s: it does not", name)
		}
		p.carries(p.s, p.c, text(100), cut, 0)
	}
}

// Other ciphers decrypt in place too, and none writes around what is lent.
func TestCiphers(t *testing.T) {
	for _, suite := range []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	} {
		t.Run(tls.CipherSuiteName(suite), func(t *testing.T) {
			client, server := configs(tls.VersionTLS12)
			client.CipherSuites, server.CipherSuites = []uint16{suite}, []uint16{suite}
			p := newPair(t, client, server)
			p.shake(whole)
			for n := 1; n < 300; n++ {
				p.carries(p.s, p.c, text(n), whole, 0)
				p.carries(p.c, p.s, text(n), after(n/2), 50)
			}
			p.carries(p.s, p.c, text(100000), every(5000), 0)
		})
	}
}

// An alert in the place of each of the server's records fails the handshake with its
// name, whether it is in the clear or under the handshake's keys.
func TestAlertAtEachRecord(t *testing.T) {
	eachWay(t, func(t *testing.T, version uint16) {
		for at := 0; ; at++ {
			p, log := logged(t, version)
			_, _ = p.c.Step()
			_, _ = p.s.Step()
			stream := flights(p, at)
			if stream == nil {
				break
			}
			_, err := deliver(t, p.c, alertAfter(t, log, stream[:at]), every(1), 0)
			ends(t, fmt.Sprintf("an alert after %d records", at), p.c, err, "remote error: tls: handshake failure")
			suspended(t, running(p.s))
			p.s.Abort()
		}
	})
}

// logged is a pair whose keys are told.
func logged(t *testing.T, version uint16) (*pair, *keyLog) {
	client, server := configs(version)
	log := new(keyLog)
	client.KeyLogWriter = log
	return newPair(t, client, server), log
}

// flights tells the client n records of the server's; nil: there are not as many.
func flights(p *pair, n int) (told [][]byte) {
	told = make([][]byte, 0, n+1)
	for {
		p.move(p.c, p.s, whole)
		flight := records(take(p.s))
		if len(flight) == 0 {
			return nil
		}
		for _, r := range flight {
			if len(told) == n {
				return told
			}
			p.c.Feed(r)
			if _, err := p.c.Step(); err != nil {
				p.t.Fatal(err)
			}
			p.c.Keep()
			told = append(told, r)
		}
		if len(told) == n && p.c.done {
			return nil
		}
	}
}

// alertAfter is handshake_failure, as it must be after those records of the server's.
func alertAfter(t *testing.T, log *keyLog, told [][]byte) []byte {
	plain := alert(fatal, handshakeFailure)
	has := make(map[byte]int)
	for _, r := range told {
		has[r[0]]++
	}
	var f *forger
	switch {
	case strings.Contains(log.String(), "SERVER_HANDSHAKE_TRAFFIC_SECRET"):
		secret, _ := log.secret(t, "SERVER_HANDSHAKE_TRAFFIC_SECRET")
		f = forger13(t, suiteOf(told[0]), secret)
		f.seq = uint64(has[typeData])
	case has[typeCCS] > 0:
		master, random := log.secret(t, "CLIENT_RANDOM")
		f = forger12(t, master, random, randomOf(told[0]), true)
		f.seq = 0
	default:
		return append(header(typeAlert, len(plain)), plain...)
	}
	return f.seal(typeAlert, plain)
}
