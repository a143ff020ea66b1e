package tlsup

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"go/version"
	"io"
	"math/big"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

const serverName = "server.test"

// identity is a certificate that is its own authority. Its signatures all have the
// same length, so that handshakes do.
type identity struct {
	cert  tls.Certificate
	roots *x509.CertPool
}

var identityOf = sync.OnceValue(func() identity {
	cert, leaf := makeCert(serverName, 0)
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return identity{cert, roots}
})

// makeCert makes a certificate for name, with an extension of that many bytes.
func makeCert(name string, ballast int) (tls.Certificate, *x509.Certificate) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	if ballast > 0 {
		value := make([]byte, ballast)
		_, _ = rand.Read(value)
		template.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, Value: value}}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private, Leaf: leaf}, leaf
}

// configs are those of the two ends, of one version and, in 1.2, one cipher suite,
// with an exchange of keys that costs little. No ticket follows the handshake.
func configs(version uint16) (client, server *tls.Config) {
	id := identityOf()
	common := tls.Config{
		MinVersion: version, MaxVersion: version,
		CurvePreferences:            []tls.CurveID{tls.X25519},
		CipherSuites:                []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
		DynamicRecordSizingDisabled: true,
	}
	client, server = common.Clone(), common.Clone()
	client.RootCAs, client.ServerName = id.roots, serverName
	server.Certificates, server.SessionTicketsDisabled = []tls.Certificate{id.cert}, true
	return client, server
}

// eachWay runs f for each version, with and without what layout.go knows.
func eachWay(t *testing.T, f func(t *testing.T, version uint16)) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, known := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s layout=%t", tls.VersionName(version), known), func(t *testing.T) {
				setLayout(t, known)
				f(t, version)
			})
		}
	}
}

// since reports whether the program runs with that version of Go or a later one.
func since(v string) bool { return version.Compare(runtime.Version(), v) >= 0 }

// setLayout makes layout.go know nothing, until the test ends.
func setLayout(t testing.TB, known bool) {
	if !layout.ok {
		t.Fatal("the fields of tls.Conn are where layout.go expects them: they are not")
	}
	layout.ok = known
	t.Cleanup(func() { layout.ok = true })
}

// pair is the two ends of one connection.
type pair struct {
	t    testing.TB
	c, s *Engine
}

func newPair(t testing.TB, client, server *tls.Config) *pair {
	p := &pair{t, Client(client), Server(server)}
	t.Cleanup(p.c.Abort)
	t.Cleanup(p.s.Abort)
	return p
}

func ofVersion(t testing.TB, version uint16) *pair {
	client, server := configs(version)
	return newPair(t, client, server)
}

// connect is a pair whose handshake is done, with nothing pending.
func connect(t testing.TB, version uint16) *pair {
	t.Helper()
	p := ofVersion(t, version)
	p.shake(whole)
	return p
}

// shake does the handshake, with what goes either way cut.
func (p *pair) shake(cut cutter) {
	p.t.Helper()
	for _, e := range []*Engine{p.c, p.s} {
		if _, err := e.Step(); err != nil {
			p.t.Fatalf("a handshake begins\n got: %v", err)
		}
	}
	for len(p.c.Pending())+len(p.s.Pending()) > 0 {
		p.move(p.c, p.s, cut)
		p.move(p.s, p.c, cut)
	}
	if !p.c.done || !p.s.done {
		p.t.Fatal("a handshake is done when nobody has anything left to say")
	}
}

// move brings what is pending to the other end, which must like it.
func (p *pair) move(from, to *Engine, cut cutter) []byte {
	p.t.Helper()
	plain, err := deliver(p.t, to, take(from), cut, 0)
	if err != nil {
		p.t.Fatalf("what one end sends is good for the other\n got: %v", err)
	}
	return plain
}

// take is what e has pending, as if it had been sent.
func take(e *Engine) []byte {
	b := bytes.Clone(e.Pending())
	e.Sent(len(b))
	return b
}

// deliver feeds a stream cut in pieces. Each piece is lent, used as far as it goes
// and taken back. size is that of the buffer for Read, 0: a large one.
func deliver(t testing.TB, e *Engine, stream []byte, cut cutter, size int) (plain []byte, err error) {
	t.Helper()
	if size == 0 {
		size = 20000
	}
	p := make([]byte, size)
	for _, piece := range cut(stream) {
		loan := lendTo(e, piece)
		plain, err = use(e, p, plain)
		e.Keep()
		loan.end(t)
		if err != nil {
			return plain, err
		}
	}
	return plain, nil
}

// use does with e what can be done, and appends to plain what is read by p.
func use(e *Engine, p, plain []byte) ([]byte, error) {
	if !e.done {
		if done, err := e.Step(); !done || err != nil {
			return plain, err
		}
	}
	return readAll(e, p, plain)
}

func readAll(e *Engine, p, plain []byte) ([]byte, error) {
	for {
		n, err := e.Read(p)
		plain = append(plain, p[:n]...)
		if n == 0 || err != nil {
			return plain, err
		}
	}
}

// loan is memory as the engine's user has it: a part of a larger buffer, whose rest
// is none of the engine's business, and which is used for something else afterwards.
type loan struct{ all, lent []byte }

// fence is what stands before and behind what is lent: enough for crypto/tls to
// take it for room to read to.
var fence = bytes.Repeat([]byte{0xfe}, 600)

func lendTo(e *Engine, piece []byte) loan {
	all := slices.Concat(fence, piece, fence)
	l := loan{all, all[len(fence) : len(fence)+len(piece)]}
	e.Feed(l.lent)
	return l
}

func (l loan) end(t testing.TB) {
	t.Helper()
	if !bytes.HasPrefix(l.all, fence) || !bytes.HasSuffix(l.all, fence) {
		t.Error("nothing is written around what is lent")
	}
	for i := range l.all {
		l.all[i] = 0xdb
	}
}

// cutter cuts a stream in pieces.
type cutter func(stream []byte) [][]byte

func whole(stream []byte) [][]byte { return [][]byte{stream} }

func every(n int) cutter {
	return func(stream []byte) (pieces [][]byte) {
		for len(stream) > n {
			pieces = append(pieces, stream[:n])
			stream = stream[n:]
		}
		return append(pieces, stream)
	}
}

// around cuts at each record's border, moved by that many bytes.
func around(shift int) cutter {
	return func(stream []byte) (pieces [][]byte) {
		last, at := 0, 0
		for _, r := range records(stream) {
			at += len(r)
			if cut := min(at+shift, len(stream)); cut > last {
				pieces = append(pieces, stream[last:cut])
				last = cut
			}
		}
		return append(pieces, stream[last:])
	}
}

// after cuts in two.
func after(n int) cutter {
	return func(stream []byte) [][]byte { return [][]byte{stream[:n], stream[n:]} }
}

var cutters = map[string]cutter{
	"whole": whole, "bytes": every(1), "sevens": every(7), "4096": every(4096),
	"records": around(0), "a byte less": around(-1), "a byte more": around(1),
	"header less": around(headerLen - 1), "header": around(headerLen), "header and one": around(headerLen + 1),
}

// records are those of a stream. The last may not be whole.
func records(stream []byte) (all [][]byte) {
	for len(stream) > 0 {
		n := len(stream)
		if n >= headerLen {
			n = min(n, headerLen+int(binary.BigEndian.Uint16(stream[3:])))
		}
		all = append(all, stream[:n:n])
		stream = stream[n:]
	}
	return all
}

// text is n bytes of which no two parts are alike.
func text(n int) []byte {
	b := make([]byte, 0, n+20)
	for i := 0; len(b) < n; i++ {
		b = fmt.Appendf(b, "line %d\r\n", i)
	}
	return b[:n]
}

// same compares what was read.
func same(t testing.TB, says string, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	t.Errorf("%s\n got: %d bytes\nwant: %d, which differ at %d", says, len(got), len(want), i)
}

// ends compares an error with the text of the one that is wanted; "": none. It must
// be the engine's last word.
func ends(t testing.TB, says string, e *Engine, got error, want string) {
	t.Helper()
	if want == "" {
		if got != nil {
			t.Errorf("%s\n got: %v", says, got)
		}
		return
	}
	if got == nil || got.Error() != want {
		t.Errorf("%s\n got: %v\nwant: %s", says, got, want)
		return
	}
	e.Feed([]byte{23, 3, 3, 0, 1, 0})
	_, read := e.Read(make([]byte, 10))
	e.Keep()
	_, step := e.Step()
	if read != got || step != got {
		t.Errorf("an error is for good\n got: %v from Read, %v from Step\nwant: %v", read, step, got)
	}
	if e.Partial() {
		t.Error("after an error nothing is kept")
	}
	if got == io.EOF {
		return // of the peer's words, not of ours
	}
	if write := e.Write([]byte("x")); write != got {
		t.Errorf("after an error nothing can be written\n got: %v\nwant: %v", write, got)
	}
}
