package krb5

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/types"
)

// asFixture is an AS exchange that has sent its request, and the answer.
func asFixture(t testing.TB) (x *asExchange, rep []byte) {
	k := newKDC(t)
	k.preauth = false
	o := byKeytab(t, k, k.conf("", mailInHome))
	f := New(o)
	config := must(LoadConfig(o.Config, o.Getenv))
	keytab := must(LoadKeytab(Setting{Value: o.Keytab}))
	client := must(Parse("alice@" + testRealm))
	x = &asExchange{asker: f.asker(config), client: client, secret: &keytabSecret{keytab: keytab, all: keytab.Keys(client)}, ours: []int32{aes256SHA1}, etypes: []int32{aes256SHA1}}
	return x, k.reply(&question{}, must(x.request(context.Background())))
}

func tgsFixture(t testing.TB) (x *tgsExchange, rep []byte) {
	k := newKDC(t)
	o := byKeytab(t, k, k.conf("", mailInHome))
	x = &tgsExchange{asker: New(o).asker(must(LoadConfig(o.Config, o.Getenv))), tgt: k.tgt("alice@"+testRealm, time.Now(), time.Hour, 0)}
	return x, k.reply(&question{}, must(x.request(Service("imap", "mail.test", testRealm))))
}

// TestEveryCutAndAlteredByte: a reply of which anything is missing or other is none,
// or it gives the very ticket, where nothing was altered but what only the service can
// read (its part of the ticket), or what says nothing (types of names, hints for keys).
func TestEveryCutAndAlteredByte(t *testing.T) {
	as, asRep := asFixture(t)
	tgs, tgsRep := tgsFixture(t)
	for _, c := range []struct {
		name  string
		rep   []byte
		judge func([]byte) (*Ticket, error)
	}{
		{"AS-REP", asRep, func(b []byte) (*Ticket, error) {
			as.ticket = nil
			_, err := as.judge(context.Background(), endpoint{}, b)
			return as.ticket, err
		}},
		{"TGS-REP", tgsRep, func(b []byte) (*Ticket, error) {
			_, err := tgs.judge(b)
			return tgs.ticket, err
		}},
	} {
		honest, err := c.judge(c.rep)
		if err != nil {
			t.Fatal(c.name, err)
		}
		for i := range c.rep {
			if _, err := c.judge(c.rep[:i]); err == nil {
				t.Fatalf("%s cut at %d is taken", c.name, i)
			}
		}
		if _, err := c.judge(append(bytes.Clone(c.rep), 0)); err == nil {
			t.Errorf("%s with something behind it is taken", c.name)
		}
		inTicket := bytes.Index(c.rep, honest.DER)
		var clear clearTicket
		if err := parseDER(honest.DER, &clear, application(tagTicket)); err != nil {
			t.Fatal(err)
		}
		cipher := bytes.Index(c.rep, clear.Enc.Cipher)
		harmless := 0
		for i := range c.rep {
			for _, mask := range []byte{0x01, 0x20, 0xff} {
				altered := bytes.Clone(c.rep)
				altered[i] ^= mask
				ticket, err := c.judge(altered)
				if err != nil {
					continue
				}
				harmless++
				want := *honest
				if i >= inTicket && i < inTicket+len(honest.DER) {
					want.DER = altered[inTicket : inTicket+len(honest.DER)] // see expected.ticket
				}
				if !sameTicket(ticket, &want) {
					t.Errorf("%s altered at %d by %#x gives another ticket", c.name, i, mask)
				}
			}
		}
		if limit := 3 * (len(clear.Enc.Cipher) + 80); harmless > limit || cipher < 0 {
			t.Errorf("%s: %d of the alterations do nothing, more than %d", c.name, harmless, limit)
		}
	}
}

func sameTicket(a, b *Ticket) bool {
	return a.Client.Equal(b.Client) && a.Server.Equal(b.Server) && bytes.Equal(a.DER, b.DER) &&
		a.Key.KeyType == b.Key.KeyType && bytes.Equal(a.Key.KeyValue, b.Key.KeyValue) && a.Flags == b.Flags &&
		a.AuthTime.Equal(b.AuthTime) && a.Start.Equal(b.Start) && a.End.Equal(b.End) && a.RenewTill.Equal(b.RenewTill)
}

// A KRB-ERROR is nobody's word: of each that is cut or altered there comes an error, or
// the ticket after all.
func TestEveryAlteredError(t *testing.T) {
	k := newKDC(t)
	o := byKeytab(t, k, k.conf("", mailInHome, "tcp/"+k.addr))
	var length int
	for i := 0; i == 0 || i < 2*length; i++ {
		k.setScript(func(q *question, honest []byte) verdict {
			if len(q.req.PAData) == 0 {
				length = len(honest)
				if i < length {
					honest = honest[:i]
				} else {
					honest[i-length] ^= byte(1 + i%255)
				}
			}
			return honestly(honest)
		})
		f := New(o)
		f.timeout, f.stagger = time.Hour, time.Hour
		ticket, err := f.Ticket(context.Background(), "imap", "mail.test")
		if kind := kindOf(t, err); err == nil {
			k.checkTicket(t, ticket, "alice@"+testRealm, "imap/mail.test@"+testRealm)
		} else if i < length && kind != BadReply && kind != NoKDC {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	if length == 0 {
		t.Error("no error came")
	}
}

// The KDC itself lies, with the right key.
func TestLies(t *testing.T) {
	mallory := must(Parse("mallory@" + testRealm))
	for name, c := range map[string]struct {
		lie  func(l *lies)
		says string
	}{
		"nonce":           {func(l *lies) { l.enc.nonce++ }, "it answers another request"},
		"negative nonce":  {func(l *lies) { l.enc.nonce = -l.enc.nonce }, "it answers another request"},
		"client":          {func(l *lies) { l.client = mallory }, "it is for mallory@HOME.TEST, not for alice@HOME.TEST"},
		"client's realm":  {func(l *lies) { l.client.Realm = "OTHER" }, "it is for alice@OTHER"},
		"server":          {func(l *lies) { l.enc.server.Names = []string{"imap", "evil.test"} }, "imap/evil.test@HOME.TEST, where one for"},
		"server's realm":  {func(l *lies) { l.enc.server.Realm = "OTHER" }, "@OTHER, where one for"},
		"outer server":    {func(l *lies) { l.ticket = bytes.Replace(l.ticket, []byte(testRealm), []byte("HOME.TESU"), 1) }, "its ticket says"},
		"type of the key": {func(l *lies) { l.enc.key = types.EncryptionKey{KeyType: rc4HMAC, KeyValue: make([]byte, 16)} }, "was not asked for: rc4-hmac"},
		"unknown type":    {func(l *lies) { l.enc.key.KeyType = 99 }, "was not asked for: encryption type 99"},
		"short key":       {func(l *lies) { l.enc.key.KeyValue = l.enc.key.KeyValue[:31] }, "length"},
		"no key":          {func(l *lies) { l.enc.key.KeyValue = nil }, "length"},
		"ended":           {func(l *lies) { l.enc.end = l.enc.auth.Add(-time.Second) }, "has ended already"},
		"begins late":     {func(l *lies) { l.enc.start = l.enc.auth.Add(6 * time.Minute) }, "begins only at"},
		"invalid":         {func(l *lies) { l.enc.flags |= FlagInvalid }, "not valid yet"},
		"usage":           {func(l *lies) { l.usage = 1000 }, ""},
		"kind":            {func(l *lies) { l.kind = 21 - l.kind + 3 }, ""},
		"much padata":     {func(l *lies) { l.padata = derPAData(make([]paData, maxPAData+1)...) }, "more pre-authentication data"},
		"many names":      {func(l *lies) { l.client.Names = make([]string, maxNames+1) }, "a name in it is none"},
		"no name":         {func(l *lies) { l.client.Names = nil }, "a name in it is none"},
		"long name":       {func(l *lies) { l.client.Names = []string{strings.Repeat("x", maxNameLen+1)} }, "a name in it is none"},
		"no ticket":       {func(l *lies) { l.ticket = derSequence() }, "the ticket in it is malformed"},
		"two tickets":     {func(l *lies) { l.ticket = append(bytes.Clone(l.ticket), l.ticket...) }, "the ticket in it is more follows"},
	} {
		for _, of := range []byte{msgASRep, msgTGSRep} {
			k := newKDC(t)
			f := New(byKeytab(t, k, k.conf("", mailInHome, "tcp/"+k.addr)))
			f.timeout, f.stagger = time.Hour, time.Hour
			k.set(func() {
				k.lie = func(l *lies) {
					if l.kind == of {
						c.lie(l)
					}
				}
			})
			_, err := f.Ticket(context.Background(), "imap", "mail.test")
			kind := kindOf(t, err)
			if kind != BadReply && !(name == "usage" && of == msgASRep && kind == WrongPassword) {
				t.Errorf("%s in %d: %v", name, of, err)
			} else if !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s in %d: %v\ndoes not say: %s", name, of, err, c.says)
			}
		}
	}
}

// A reply to an earlier request, or one that comes twice, is passed over: the right one
// follows.
func TestReplayedAndRepeated(t *testing.T) {
	k := newKDC(t)
	o := byKeytab(t, k, k.conf("", mailInHome, "udp/"+k.addr))
	old := make(map[int][]byte)
	k.setScript(func(q *question, honest []byte) verdict {
		if !isError(honest) {
			if old[q.kind] == nil {
				old[q.kind] = honest
			}
			return verdict{send: [][]byte{old[q.kind], honest, honest}}
		}
		return honestly(honest)
	})
	for range 3 {
		f := New(o)
		f.timeout, f.stagger = time.Hour, time.Hour
		ticket, err := f.Ticket(context.Background(), "imap", "mail.test")
		if err != nil {
			t.Fatal(err)
		}
		k.checkTicket(t, ticket, "alice@"+testRealm, "imap/mail.test@"+testRealm)
	}
}

// What nobody has signed never makes us send anything weaker than was configured.
func TestNothingWeaker(t *testing.T) {
	info := func(etype int32, salt string, params []byte) paData {
		entry := [][]byte{derField(0, derInteger(int64(etype))), derField(1, derText(salt))}
		if params != nil {
			entry = append(entry, derField(2, derOctets(params)))
		}
		return paData{paETypeInfo2, derSequence(derSequence(entry...))}
	}
	iterations := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	for name, c := range map[string]struct {
		list []paData
		kind Kind
	}{
		"rc4 alone":           {[]paData{{paEncTimestamp, nil}, info(rc4HMAC, "", nil)}, EncType},
		"rc4 by ETYPE-INFO":   {[]paData{{paEncTimestamp, nil}, {paETypeInfo, derSequence(derSequence(derField(0, derInteger(rc4HMAC))))}}, EncType},
		"DES":                 {[]paData{{paEncTimestamp, nil}, info(3, "", nil)}, EncType},
		"one iteration":       {[]paData{{paEncTimestamp, nil}, info(aes256SHA1, "", iterations(1))}, BadReply},
		"4095 iterations":     {[]paData{{paEncTimestamp, nil}, info(aes256SHA1, "", iterations(4095))}, BadReply},
		"4096 of SHA-2":       {[]paData{{paEncTimestamp, nil}, info(aes256SHA384, "", iterations(4096))}, BadReply},
		"2^32 iterations":     {[]paData{{paEncTimestamp, nil}, info(aes256SHA1, "", iterations(0))}, BadReply},
		"many iterations":     {[]paData{{paEncTimestamp, nil}, info(aes256SHA1, "", iterations(maxIterations+1))}, BadReply},
		"most iterations":     {[]paData{{paEncTimestamp, nil}, info(aes256SHA1, "", iterations(1<<32-1))}, BadReply},
		"parameters of three": {[]paData{{paEncTimestamp, nil}, info(aes256SHA1, "", make([]byte, 3))}, BadReply},
		"a long salt":         {[]paData{{paEncTimestamp, nil}, info(aes256SHA1, strings.Repeat("x", 2000), nil)}, BadReply},
		"a long old salt":     {[]paData{{paEncTimestamp, nil}, {paPWSalt, make([]byte, 2000)}}, BadReply},
		"a broken list":       {[]paData{{paEncTimestamp, nil}, {paETypeInfo2, []byte{0x30, 0x82}}}, BadReply},
		"many types":          {[]paData{{paEncTimestamp, nil}, {paETypeInfo2, derSequence(bytes.Repeat(derSequence(derField(0, derInteger(18))), maxETypes+1))}}, BadReply},
		"no timestamp":        {[]paData{{16, nil}, {138, nil}, info(aes256SHA1, "", nil)}, Refused},
		"nothing":             {nil, Refused},
		"much of it":          {make([]paData, maxPAData+1), BadReply},
	} {
		k := newKDC(t)
		o := byPassword(k.conf("default_tkt_enctypes = aes256-cts aes256-sha2", mailInHome, "tcp/"+k.addr))
		k.setScript(func(q *question, honest []byte) verdict {
			return honestly(k.refuse(codePreauthRequired, q, derPAData(c.list...)))
		})
		f := New(o)
		f.timeout, f.stagger = time.Hour, time.Hour
		_, err := f.Ticket(context.Background(), "imap", "mail.test")
		if kindOf(t, err) != c.kind {
			t.Errorf("%s: %v", name, err)
		}
		if n := k.count(msgASReq); n != 1 {
			t.Errorf("%s: %d requests", name, n)
		}
		if strings.Contains(fmt.Sprint(err), testPassword) {
			t.Errorf("%s: the error has the password", name)
		}
	}
}

// One exchange has but so many keys derived of a password, whatever salts are said.
func TestKeysDerivedAreBounded(t *testing.T) {
	p := &passwordSecret{password: []byte(testPassword), limit: atOnce}
	for i := range maxDerived {
		if _, err := p.keys(context.Background(), s2k{rc4HMAC, fmt.Sprint(i), ""}, 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.keys(context.Background(), s2k{rc4HMAC, "0", ""}, 0); err != nil {
		t.Error("one that is there is not found: ", err)
	}
	if _, err := p.keys(context.Background(), s2k{rc4HMAC, "another", ""}, 0); err == nil {
		t.Error("one more was derived")
	}
}
