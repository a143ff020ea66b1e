package tlsup

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"slices"
	"strings"
	"testing"
)

// Types of records and of messages that crypto/tls does not send when it is told to.
const (
	typeCCS, typeAlert, typeHandshake, typeData = 20, 21, 22, 23

	msgHelloRequest, msgKeyUpdate = 0, 24
)

// forger makes and opens the records of one direction of a connection, with the
// keys that its KeyLogWriter told. It can say what crypto/tls never says.
type forger struct {
	t      testing.TB
	v13    bool
	hash   func() hash.Hash
	keyLen int
	secret []byte // 1.3: the traffic secret
	aead   cipher.AEAD
	iv     []byte // 1.2: its first four bytes
	seq    uint64
}

// keyLog collects the lines of a KeyLogWriter.
type keyLog struct{ bytes.Buffer }

// secret is that of the line with the label, and random the client's.
func (l *keyLog) secret(t testing.TB, label string) (secret, random []byte) {
	t.Helper()
	for line := range strings.Lines(l.String()) {
		f := strings.Fields(line)
		if f[0] != label {
			continue
		}
		random, err1 := hex.DecodeString(f[1])
		secret, err2 := hex.DecodeString(f[2])
		if err1 != nil || err2 != nil {
			t.Fatal(line)
		}
		return secret, random
	}
	t.Fatalf("the key log has a line %s\n got: %s", label, l)
	return nil, nil
}

// forger13 makes records with a secret of TLS 1.3 (RFC 8446 section 7.3).
func forger13(t testing.TB, suite uint16, secret []byte) *forger {
	f := &forger{t: t, v13: true, secret: secret}
	switch suite {
	case tls.TLS_AES_128_GCM_SHA256:
		f.hash, f.keyLen = sha256.New, 16
	case tls.TLS_AES_256_GCM_SHA384:
		f.hash, f.keyLen = sha512.New384, 32
	default:
		t.Fatalf("crypto/tls prefers AES where the processor has it: it took %s", tls.CipherSuiteName(suite))
	}
	f.setKeys()
	return f
}

func (f *forger) setKeys() {
	f.aead = gcm(f.t, f.expand("key", f.keyLen))
	f.iv = f.expand("iv", 12)
	f.seq = 0
}

// update goes on to the next secret (RFC 8446 section 7.2).
func (f *forger) update() {
	f.secret = f.expand("traffic upd", len(f.secret))
	f.setKeys()
}

// expand is HKDF-Expand-Label without a context (RFC 8446 section 7.1).
func (f *forger) expand(label string, n int) []byte {
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(info, byte(len("tls13 "+label)))
	info = append(info, "tls13 "+label+"\x00"...)
	b, err := hkdf.Expand(f.hash, f.secret, string(info), n)
	if err != nil {
		f.t.Fatal(err)
	}
	return b
}

func gcm(t testing.TB, key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return aead
}

// forger12 makes records of TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 (RFC 5246
// section 6.3). One was sent before in each direction: Finished.
func forger12(t testing.TB, master, clientRandom, serverRandom []byte, server bool) *forger {
	const keyLen, saltLen = 16, 4
	block := prf(master, "key expansion", slices.Concat(serverRandom, clientRandom), 2*keyLen+2*saltLen)
	side := 0
	if server {
		side = 1
	}
	key := block[side*keyLen:][:keyLen]
	salt := block[2*keyLen+side*saltLen:][:saltLen]
	return &forger{t: t, aead: gcm(t, key), iv: salt, seq: 1}
}

// prf is that of TLS 1.2 (RFC 5246 section 5).
func prf(secret []byte, label string, seed []byte, n int) (out []byte) {
	mac := func(parts ...[]byte) []byte {
		h := hmac.New(sha256.New, secret)
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	seed = slices.Concat([]byte(label), seed)
	for a := mac(seed); len(out) < n; a = mac(a) {
		out = append(out, mac(a, seed)...)
	}
	return out[:n]
}

// seal makes a record.
func (f *forger) seal(typ byte, plain []byte) []byte { return f.sealPadded(typ, plain, 0) }

// sealPadded makes one with zeros behind it, which only TLS 1.3 has.
func (f *forger) sealPadded(typ byte, plain []byte, padding int) (record []byte) {
	nonce, explicit := f.nonce()
	if f.v13 {
		inner := slices.Concat(plain, []byte{typ}, make([]byte, padding))
		record = header(typeData, len(inner)+f.aead.Overhead())
		record = f.aead.Seal(record, nonce, inner, record)
	} else {
		record = header(typ, len(explicit)+len(plain)+f.aead.Overhead())
		record = append(record, explicit...)
		record = f.aead.Seal(record, nonce, plain, f.additional12(typ, len(plain)))
	}
	f.seq++
	return record
}

// open is the opposite. The record must be good.
func (f *forger) open(record []byte) (typ byte, plain []byte) {
	f.t.Helper()
	nonce, explicit := f.nonce()
	body := record[headerLen+len(explicit):]
	var additional []byte
	if additional = record[:headerLen]; !f.v13 {
		additional = f.additional12(record[0], len(body)-f.aead.Overhead())
	}
	plain, err := f.aead.Open(nil, nonce, body, additional)
	if err != nil {
		f.t.Fatalf("a record of the engine's is in order, and under the key whose turn it is\n got: %v", err)
	}
	f.seq++
	if !f.v13 {
		return record[0], plain
	}
	plain = bytes.TrimRight(plain, "\x00")
	return plain[len(plain)-1], plain[:len(plain)-1]
}

func (f *forger) nonce() (nonce, explicit []byte) {
	seq := binary.BigEndian.AppendUint64(nil, f.seq)
	if !f.v13 {
		return slices.Concat(f.iv, seq), seq
	}
	nonce = bytes.Clone(f.iv)
	for i, b := range seq {
		nonce[len(nonce)-len(seq)+i] ^= b
	}
	return nonce, nil
}

func (f *forger) additional12(typ byte, n int) []byte {
	return append(binary.BigEndian.AppendUint64(nil, f.seq), header(typ, n)...)
}

// header is that of a record with n bytes behind it.
func header(typ byte, n int) []byte { return []byte{typ, 3, 3, byte(n >> 8), byte(n)} }

// forged is a client engine that takes forged records for its server's.
type forged struct {
	*pair
	in  *forger // what the client is told
	out *forger // what it says
}

func forge(t testing.TB, version uint16) *forged {
	t.Helper()
	client, server := configs(version)
	var log keyLog
	client.KeyLogWriter = &log
	p := newPair(t, client, server)
	if version == tls.VersionTLS13 {
		p.shake(whole)
		suite := p.c.State().CipherSuite
		in, _ := log.secret(t, "SERVER_TRAFFIC_SECRET_0")
		out, _ := log.secret(t, "CLIENT_TRAFFIC_SECRET_0")
		return &forged{p, forger13(t, suite, in), forger13(t, suite, out)}
	}
	serverRandom := p.shakeFor12()
	master, random := log.secret(t, "CLIENT_RANDOM")
	return &forged{p, forger12(t, master, random, serverRandom, true), forger12(t, master, random, serverRandom, false)}
}

// shakeFor12 does the handshake and returns the ServerHello's random.
func (p *pair) shakeFor12() (random []byte) {
	p.t.Helper()
	_, _ = p.c.Step()
	_, _ = p.s.Step()
	p.move(p.c, p.s, whole)
	random = bytes.Clone(randomOf(p.s.Pending()))
	for len(p.c.Pending())+len(p.s.Pending()) > 0 {
		p.move(p.s, p.c, whole)
		p.move(p.c, p.s, whole)
	}
	return random
}

// randomOf is that of the ServerHello that begins a stream.
func randomOf(stream []byte) []byte {
	const messageHeaderLen, versionLen = 4, 2
	return stream[headerLen+messageHeaderLen+versionLen:][:randomLen]
}

const randomLen = 32

// suiteOf is what stands behind the random and the session's name.
func suiteOf(stream []byte) uint16 {
	b := stream[bytes.Index(stream, randomOf(stream))+randomLen:]
	return binary.BigEndian.Uint16(b[1+b[0]:])
}

// hear feeds the client one forged record after the other.
func (f *forged) hear(cut cutter, records ...[]byte) (string, error) {
	f.t.Helper()
	got, err := deliver(f.t, f.c, slices.Concat(records...), cut, 0)
	return string(got), err
}

// said is what the client has pending: each record as its type and its bytes.
func (f *forged) said() (all []string) {
	f.t.Helper()
	for _, r := range records(take(f.c)) {
		typ, plain := f.out.open(r)
		all = append(all, string(typ)+string(plain))
	}
	return all
}
