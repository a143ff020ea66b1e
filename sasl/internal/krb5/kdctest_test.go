package krb5

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/types"
)

// testKDC is a small honest KDC of some realms on loopback, by TCP and UDP, that a
// script can make lie.
type testKDC struct {
	t     testing.TB
	addr  string
	left  chan struct{} // one for each connection that stalled and was closed
	start func()        // by conf: until then everything may be set freely, afterwards by set

	mu       sync.Mutex
	clock    func() time.Time
	keys     map[string][]types.EncryptionKey // by principal, the preferred first
	salts    map[string]s2k                   // of passwords, where they are not the default
	preauth  bool
	life     time.Duration
	renew    time.Duration
	referral map[string]string // "imap/host@REALM" to the realm that has it
	nearer   map[string]string // "krbtgt/FAR@HERE" to a realm on the way
	alias    map[string]string // "imap/host@REALM" to the name that it has there
	counts   map[int]int       // requests by type
	script   func(q *question, honest []byte) verdict
	lie      func(l *lies) // of a ticket, where it is the KDC itself that lies
}

// question is a request that has come.
type question struct {
	network string
	n       int // which one of all, from 1
	kind    int
	req     testReq
	body    testBody
	client  Principal
	server  Principal
	// Of the answer:
	key   types.EncryptionKey // that it is encrypted in
	usage uint32
}

// verdict is what a script does with an honest answer: send these, one after the other.
type verdict struct {
	send  [][]byte
	raw   []byte          // by TCP: these bytes, and the end
	after <-chan struct{} // when to send
	stall bool            // send nothing, but stay
}

func honestly(b []byte) verdict { return verdict{send: [][]byte{b}} }

const (
	testRealm    = "HOME.TEST"
	testPassword = "alice-secret"
)

// newKDC starts a KDC with alice, imap/mail.test and the realm's own key.
func newKDC(t testing.TB) *testKDC {
	k := &testKDC{
		t: t, left: make(chan struct{}, 1000), clock: time.Now, keys: make(map[string][]types.EncryptionKey), salts: make(map[string]s2k),
		preauth: true, life: time.Hour, renew: 24 * time.Hour,
		referral: make(map[string]string), nearer: make(map[string]string), alias: make(map[string]string), counts: make(map[int]int),
	}
	k.password("alice@"+testRealm, testPassword, aes256SHA1)
	k.random("krbtgt/"+testRealm+"@"+testRealm, aes256SHA1)
	k.random("imap/mail.test@"+testRealm, aes256SHA1)
	k.addr = k.listen()
	return k
}

func (k *testKDC) password(name, password string, etypes ...int32) {
	k.keys[name] = nil
	for _, e := range etypes {
		how := s2k{e, defaultSalt(must(Parse(name))), ""}
		if s, ok := k.salts[name]; ok {
			how.salt, how.params = s.salt, s.params
		}
		key, err := deriveKey(context.Background(), atOnce, []byte(password), how)
		if err != nil {
			k.t.Fatal(err)
		}
		k.keys[name] = append(k.keys[name], key)
	}
}

func (k *testKDC) random(name string, etypes ...int32) {
	k.keys[name] = nil
	for _, e := range etypes {
		key := types.EncryptionKey{KeyType: e, KeyValue: make([]byte, keyLength(e))}
		rand.Read(key.KeyValue)
		k.keys[name] = append(k.keys[name], key)
	}
}

// trust makes realms whose clients the other one believes.
func (k *testKDC) trust(from, to string) {
	for _, realm := range []string{from, to} {
		if name := TGS(realm, realm).String(); k.keys[name] == nil {
			k.random(name, aes256SHA1)
		}
	}
	k.random(TGS(to, from).String(), aes256SHA1)
}

func atOnce(_ context.Context, compute func()) error { compute(); return nil }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// listen finds a port that is free for both.
func (k *testKDC) listen() string {
	for range 50 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			k.t.Fatal(err)
		}
		p, err := net.ListenPacket("udp", l.Addr().String())
		if err != nil {
			l.Close()
			continue
		}
		k.t.Cleanup(func() { l.Close(); p.Close() })
		k.start = sync.OnceFunc(func() {
			go k.serveTCP(l)
			go k.serveUDP(p)
		})
		return l.Addr().String()
	}
	k.t.Fatal("no port is free")
	return ""
}

func (k *testKDC) serveTCP(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			var head [4]byte
			if _, err := io.ReadFull(c, head[:]); err != nil {
				return
			}
			b := make([]byte, min(binary.BigEndian.Uint32(head[:]), 1<<20))
			if _, err := io.ReadFull(c, b); err != nil {
				return
			}
			v := k.answer("tcp", b)
			if v.after != nil {
				<-v.after
			}
			if v.raw != nil {
				c.Write(v.raw)
				return
			}
			for _, reply := range v.send {
				c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(reply))), reply...))
			}
			if v.stall {
				io.Copy(io.Discard, c) // until the client goes
				k.left <- struct{}{}
			}
		}()
	}
}

func (k *testKDC) serveUDP(p net.PacketConn) {
	buf := make([]byte, maxDatagram)
	for {
		n, from, err := p.ReadFrom(buf)
		if err != nil {
			return
		}
		request := slices.Clone(buf[:n])
		go func() {
			v := k.answer("udp", request)
			if v.after != nil {
				<-v.after
			}
			for _, reply := range v.send {
				p.WriteTo(reply, from)
			}
		}()
	}
}

func (k *testKDC) answer(network string, b []byte) verdict {
	k.mu.Lock()
	defer k.mu.Unlock()
	q := &question{network: network}
	honest := k.reply(q, b)
	if k.script != nil {
		return k.script(q, honest)
	}
	return honestly(honest)
}

// count returns how many requests of a type have come.
func (k *testKDC) count(kind int) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.counts[kind]
}

func (k *testKDC) set(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
}

func (k *testKDC) setScript(script func(q *question, honest []byte) verdict) {
	k.set(func() { k.script = script })
}

func (k *testKDC) reply(q *question, b []byte) []byte {
	if len(b) == 0 {
		k.t.Error("an empty request")
		return nil
	}
	q.kind = int(b[0] &^ 0x60)
	k.counts[q.kind]++
	q.n = k.counts[msgASReq] + k.counts[msgTGSReq]
	if err := parseDER(b, &q.req, application(q.kind)); err != nil {
		k.t.Errorf("a request of type %d does not parse", q.kind)
	}
	if err := parseDER(q.req.Body.Bytes, &q.body, ""); err != nil {
		k.t.Error("a request's body does not parse")
	}
	q.server = must(q.body.SName.principal(q.body.Realm))
	if q.kind == msgTGSReq {
		return k.tgs(q)
	}
	q.client = must(q.body.CName.principal(q.body.Realm))
	return k.as(q)
}

func (k *testKDC) as(q *question) []byte {
	keys := k.keys[q.client.String()]
	if realm := k.referral[q.client.String()]; realm != "" {
		return k.refuseIn(codeWrongRealm, q, nil, realm)
	}
	if keys == nil {
		return k.refuse(codeClientUnknown, q, nil)
	}
	var key *types.EncryptionKey
	for i := range keys {
		if key == nil && slices.Contains(q.body.ETypes, keys[i].KeyType) {
			key = &keys[i]
		}
	}
	if key == nil {
		return k.refuse(codeEType, q, nil)
	}
	info := paData{paETypeInfo2, k.etypeInfo(q.client, *key)}
	if k.preauth {
		stamp := slices.IndexFunc(q.req.PAData, func(p paData) bool { return p.Type == paEncTimestamp })
		if stamp < 0 {
			return k.refuse(codePreauthRequired, q, derPAData(paData{136, nil}, paData{paEncTimestamp, nil}, info, paData{paFXCookie, []byte("MIT1")}))
		}
		if code := k.timestamp(q.req.PAData[stamp].Value, *key); code != 0 {
			return k.refuse(code, q, nil)
		}
		if !slices.ContainsFunc(q.req.PAData, func(p paData) bool { return p.Type == paFXCookie && string(p.Value) == "MIT1" }) {
			return k.refuse(codePreauthFailed, q, nil)
		}
	}
	now := k.clock()
	end, till := now.Add(k.life), now.Add(k.renew)
	if q.body.RTime.IsZero() {
		till = time.Time{}
	}
	return k.issue(q, q.client, q.server, msgASRep, *key, usageASRep, now, end, till, derPAData(info))
}

func (k *testKDC) etypeInfo(client Principal, key types.EncryptionKey) []byte {
	how, ok := k.salts[client.String()]
	if !ok {
		how.salt = defaultSalt(client)
	}
	entry := [][]byte{derField(0, derInteger(int64(key.KeyType))), derField(1, derText(how.salt))}
	if how.params != "" {
		entry = append(entry, derField(2, derOctets([]byte(how.params))))
	}
	return derSequence(derSequence(entry...))
}

func (k *testKDC) timestamp(value []byte, key types.EncryptionKey) int32 {
	var sealed encryptedData
	var stamp struct {
		At   time.Time `asn1:"generalized,explicit,tag:0"`
		USec int       `asn1:"explicit,optional,tag:1"`
	}
	if parseDER(value, &sealed, "") != nil || sealed.EType != key.KeyType {
		return codePreauthFailed
	}
	plain, err := decrypt(key, usageTimestamp, sealed.Cipher)
	if err != nil || parseDER(plain, &stamp, "") != nil {
		return codePreauthFailed
	}
	if stamp.At.Sub(k.clock()).Abs() > 5*time.Minute {
		return codeSkew
	}
	return 0
}

func derPAData(list ...paData) []byte {
	var parts [][]byte
	for _, p := range list {
		parts = append(parts, derSequence(derField(1, derInteger(int64(p.Type))), derField(2, derOctets(p.Value))))
	}
	return derSequence(parts...)
}

// tgs checks all that a KDC checks.
func (k *testKDC) tgs(q *question) []byte {
	var ap testAPReq
	var clear clearTicket
	if len(q.req.PAData) != 1 || parseDER(q.req.PAData[0].Value, &ap, application(msgAPReq)) != nil || parseDER(ap.Ticket.Bytes, &clear, application(tagTicket)) != nil {
		k.t.Error("a TGS-REQ has no AP-REQ")
		return nil
	}
	of := must(clear.SName.principal(clear.Realm))
	if len(of.Names) != 2 || of.Names[1] != q.server.Realm {
		k.t.Errorf("the KDC of %s is shown a ticket for %v", q.server.Realm, of)
	}
	var part encTicket
	var sealed bool
	for _, key := range k.keys[of.String()] {
		plain, err := decrypt(key, 2, clear.Enc.Cipher)
		sealed = sealed || err == nil && parseDER(plain, &part, application(3)) == nil
	}
	if !sealed {
		return k.refuse(codeIntegrity, q, nil)
	}
	session := part.Key.key()
	var auth testAuthenticator
	plain, err := decrypt(session, usageTGSAuth, ap.Authenticator.Cipher)
	if err != nil || parseDER(plain, &auth, application(tagAuthenticator)) != nil {
		k.t.Error("an authenticator does not decrypt")
		return nil
	}
	kind, sum, err := checksum(session, usageTGSChecksum, q.req.Body.Bytes)
	if err != nil || kind != auth.Sum.Type || string(sum) != string(auth.Sum.Value) {
		k.t.Error("the request's checksum is wrong")
	}
	q.client = must(part.CName.principal(part.CRealm))
	if !q.client.Equal(must(auth.CName.principal(auth.CRealm))) {
		k.t.Error("the authenticator is another client's")
	}
	now := k.clock()
	switch {
	case auth.CTime.Sub(now).Abs() > 5*time.Minute:
		return k.refuse(codeSkew, q, nil)
	case !part.End.After(now):
		return k.refuse(codeExpired, q, nil)
	}
	flags := flags32(q.body.Options)
	server := q.server
	name := server.String()
	switch {
	case flags&optCanonicalize != 0 && k.referral[name] != "":
		server = TGS(k.referral[name], server.Realm)
	case flags&optCanonicalize != 0 && k.alias[name] != "":
		server = must(Parse(k.alias[name]))
	case k.nearer[name] != "":
		server = TGS(k.nearer[name], server.Realm)
	case k.keys[name] == nil:
		return k.refuse(codeServiceUnknown, q, nil)
	}
	end := now.Add(k.life)
	if flags&optRenew == 0 && part.End.Before(end) {
		end = part.End
	}
	reply, usage := auth.Subkey.key(), uint32(usageTGSRepSubkey)
	if len(reply.KeyValue) == 0 {
		reply, usage = session, usageTGSRepSession
	}
	return k.issue(q, q.client, server, msgTGSRep, reply, usage, now, end, part.RenewTill, nil)
}

func (k *testKDC) refuse(code int32, q *question, data []byte) []byte {
	return k.refuseIn(code, q, data, "")
}

func (k *testKDC) refuseIn(code int32, q *question, data []byte, crealm string) []byte {
	now := k.clock()
	fields := [][]byte{
		derField(0, derInteger(5)), derField(1, derInteger(msgError)),
		derField(4, derTime(now)), derField(5, derInteger(microseconds(now))), derField(6, derInteger(int64(code))),
	}
	if crealm != "" {
		fields = append(fields, derField(7, derText(crealm)))
	}
	fields = append(fields, derField(9, derText(q.server.Realm)), derField(10, derName(q.server)))
	if data != nil {
		fields = append(fields, derField(12, derOctets(data)))
	}
	return derApplication(msgError, derSequence(fields...))
}

// sealTicket is a ticket in the server's first key.
func (k *testKDC) sealTicket(client, server Principal, session types.EncryptionKey, flags uint32, now, end, till time.Time) []byte {
	key := k.keys[server.String()][0]
	fields := [][]byte{
		derField(0, derFlags(flags)), derField(1, derKey(session.KeyType, session.KeyValue)),
		derField(2, derText(client.Realm)), derField(3, derName(client)),
		derField(4, derSequence(derField(0, derInteger(1)), derField(1, derOctets(nil)))),
		derField(5, derTime(now)), derField(7, derTime(end)),
	}
	if !till.IsZero() {
		fields = append(fields, derField(8, derTime(till)))
	}
	sealed := must(encrypt(key, 2, derApplication(3, derSequence(fields...))))
	return derApplication(tagTicket, derSequence(derField(0, derInteger(5)), derField(1, derText(server.Realm)), derField(2, derName(server)), derField(3, derEncrypted(key.KeyType, sealed))))
}

func (k *testKDC) issue(q *question, client, server Principal, kind byte, key types.EncryptionKey, usage uint32, now, end, till time.Time, padata []byte) []byte {
	etype := q.body.ETypes[0]
	session := types.EncryptionKey{KeyType: etype, KeyValue: make([]byte, keyLength(etype))}
	rand.Read(session.KeyValue)
	var flags uint32 = FlagInitial
	if !till.IsZero() {
		flags |= FlagRenewable
	}
	ticket := k.sealTicket(client, server, session, flags, now, end, till)
	q.key, q.usage = key, usage
	enc := encFields{key: session, nonce: q.body.Nonce, flags: flags, auth: now, end: end, till: till, server: server}
	l := lies{kind, client, enc, ticket, padata, key, usage}
	if k.lie != nil {
		k.lie(&l)
	}
	return derRep(l.kind, l.padata, l.client, l.ticket, l.key, l.usage, l.enc)
}

// conf writes a krb5.conf in which the KDCs of each realm are at addrs, or else at k,
// with more settings of [libdefaults] and more sections.
func (k *testKDC) conf(libdefaults, sections string, addrs ...string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.start()
	if addrs == nil {
		addrs = []string{k.addr}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "[libdefaults]\ndefault_realm = %s\ndns_lookup_kdc = false\n%s\n[realms]\n", testRealm, libdefaults)
	realms := map[string]bool{testRealm: true}
	for name := range k.keys {
		realms[must(Parse(name)).Realm] = true
	}
	for realm := range realms {
		fmt.Fprintf(&b, "%s = {\n", realm)
		for _, addr := range addrs {
			fmt.Fprintf(&b, "kdc = %s\n", addr)
		}
		fmt.Fprintln(&b, "}")
	}
	b.WriteString(sections)
	path := filepath.Join(k.t.TempDir(), "krb5.conf")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		k.t.Fatal(err)
	}
	return path
}

// mailInHome says that mail.test is in the realm at home.
const mailInHome = "[domain_realm]\nmail.test = " + testRealm + "\n"

// byPassword are options of a login with alice's password and nothing of the machine's.
func byPassword(conf string) Options {
	return Options{
		Config: conf, CCache: "/nonexistent/ccache",
		Getenv:   func(string) string { return "" },
		Password: func(context.Context) (string, []byte, error) { return "alice", []byte(testPassword), nil },
	}
}
