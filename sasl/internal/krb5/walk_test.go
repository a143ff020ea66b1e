package krb5

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/types"
)

// realms makes more of them, in a row of trust from home, with imap/far.test in the
// last one.
func (k *testKDC) realms(names ...string) {
	from := testRealm
	for _, to := range names {
		k.trust(from, to)
		from = to
	}
	k.random("imap/far.test@"+from, aes256SHA1)
}

const farInFar = "[domain_realm]\nfar.test = FAR.TEST\n"

func TestWaysToARealm(t *testing.T) {
	for name, c := range map[string]struct {
		realms   []string
		sections string
		set      func(k *testKDC)
		tgs      int
	}{
		"direct":  {[]string{"FAR.TEST"}, farInFar, nil, 2},
		"capaths": {[]string{"MID.TEST", "FAR.TEST"}, farInFar + "[capaths]\nHOME.TEST = {\nFAR.TEST = MID.TEST\n}\n", nil, 4},
		"two between": {
			[]string{"MID.TEST", "MIDDLE.TEST", "FAR.TEST"},
			farInFar + "[capaths]\nHOME.TEST = {\nFAR.TEST = MID.TEST\nFAR.TEST = MIDDLE.TEST\n}\nMID.TEST = {\nFAR.TEST = MIDDLE.TEST\n}\n", nil, 7,
		},
		"hierarchy": {[]string{"SUB.HOME.TEST", "DEEP.SUB.HOME.TEST"}, "[domain_realm]\nfar.test = DEEP.SUB.HOME.TEST\n", nil, 4},
		"a nearer realm": {[]string{"MID.TEST", "FAR.TEST"}, farInFar, func(k *testKDC) {
			k.nearer["krbtgt/FAR.TEST@HOME.TEST"] = "MID.TEST"
		}, 3},
		"a referral": {[]string{"FAR.TEST"}, "", func(k *testKDC) {
			k.referral["imap/far.test@HOME.TEST"] = "FAR.TEST"
		}, 2},
		"two referrals": {[]string{"MID.TEST", "FAR.TEST"}, "", func(k *testKDC) {
			k.referral["imap/far.test@HOME.TEST"] = "MID.TEST"
			k.referral["imap/far.test@MID.TEST"] = "FAR.TEST"
		}, 3},
	} {
		k := newKDC(t)
		k.realms(c.realms...)
		if c.set != nil {
			c.set(k)
		}
		f := New(byKeytab(t, k, k.conf("", c.sections)))
		ticket, err := f.Ticket(context.Background(), "imap", "far.test")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		k.checkTicket(t, ticket, "alice@"+testRealm, "imap/far.test@"+c.realms[len(c.realms)-1])
		if got := k.count(msgTGSReq); got != c.tgs {
			t.Errorf("%s: %d TGS requests, not %d", name, got, c.tgs)
		}
	}
}

func TestWaysThatEndNowhere(t *testing.T) {
	many := make([]string, maxHops+2)
	for i := range many {
		many[i] = fmt.Sprintf("R%d.TEST", i)
	}
	for name, c := range map[string]struct {
		realms   []string
		sections string
		set      func(k *testKDC)
		kind     Kind
		says     string
	}{
		"no way": {[]string{"FAR.TEST"}, farInFar, func(k *testKDC) { delete(k.keys, "krbtgt/FAR.TEST@HOME.TEST") }, WrongRealm, "no way from the realm HOME.TEST to the realm FAR.TEST"},
		"a circle of referrals": {[]string{"FAR.TEST"}, "", func(k *testKDC) {
			k.trust("FAR.TEST", testRealm)
			k.referral["imap/far.test@HOME.TEST"] = "FAR.TEST"
			k.referral["imap/far.test@FAR.TEST"] = testRealm
		}, WrongRealm, "[HOME.TEST FAR.TEST], and then HOME.TEST"},
		"to itself": {nil, "", func(k *testKDC) { k.referral["imap/far.test@HOME.TEST"] = testRealm }, WrongRealm, "refer to each other"},
		"a circle of nearer realms": {[]string{"MID.TEST", "FAR.TEST"}, farInFar, func(k *testKDC) {
			k.trust("MID.TEST", testRealm)
			k.nearer["krbtgt/FAR.TEST@HOME.TEST"] = "MID.TEST"
			k.nearer["krbtgt/FAR.TEST@MID.TEST"] = testRealm
		}, WrongRealm, "refer to each other"},
		"many referrals": {many, "", func(k *testKDC) {
			for i, r := range append([]string{testRealm}, many[:len(many)-1]...) {
				k.referral["imap/far.test@"+r] = many[i]
			}
		}, WrongRealm, "refer to each other"},
		"an unknown service":  {nil, "[domain_realm]\nfar.test = HOME.TEST\n", func(k *testKDC) { delete(k.keys, "imap/far.test@HOME.TEST") }, UnknownService, "does not know the service imap/far.test@HOME.TEST; see [domain_realm] in "},
		"of an unknown realm": {nil, "", func(k *testKDC) { delete(k.keys, "imap/far.test@HOME.TEST") }, UnknownService, "does not name that of far.test"},
	} {
		k := newKDC(t)
		k.realms(c.realms...)
		c.set(k)
		f := New(byKeytab(t, k, k.conf("", c.sections)))
		_, err := f.Ticket(context.Background(), "imap", "far.test")
		if kindOf(t, err) != c.kind || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		if n := k.count(msgTGSReq); n > maxHops+2 {
			t.Errorf("%s: %d requests", name, n)
		}
	}
}

// Another name than the one that was asked for is taken only where that is wanted.
func TestOtherNames(t *testing.T) {
	const other = "imap/canonical.test@" + testRealm
	for _, canonicalize := range []bool{false, true} {
		k := newKDC(t)
		k.random(other, aes256SHA1)
		k.alias["imap/mail.test@"+testRealm] = other
		o := byKeytab(t, k, k.conf("", ""))
		o.Canonicalize = canonicalize
		ticket, err := New(o).Ticket(context.Background(), "imap", "mail.test")
		if err != nil {
			t.Fatal(err)
		}
		want := "imap/mail.test@" + testRealm
		if canonicalize {
			want = other
		}
		k.checkTicket(t, ticket, "alice@"+testRealm, want)
	}
}

// The client's own KDC says that it is of another realm.
func TestClientReferrals(t *testing.T) {
	for _, canonicalize := range []bool{false, true} {
		k := newKDC(t)
		k.referral["alice@"+testRealm] = "FAR.TEST"
		k.password("alice@FAR.TEST", testPassword, aes256SHA1)
		k.random("krbtgt/FAR.TEST@FAR.TEST", aes256SHA1)
		k.random("imap/far.test@FAR.TEST", aes256SHA1)
		o := byPassword(k.conf("", farInFar))
		o.Canonicalize = canonicalize
		ticket, err := New(o).Ticket(context.Background(), "imap", "far.test")
		if !canonicalize {
			if kindOf(t, err) != WrongRealm || !strings.Contains(err.Error(), "is of another realm than HOME.TEST: FAR.TEST") {
				t.Error(err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		k.checkTicket(t, ticket, "alice@FAR.TEST", "imap/far.test@FAR.TEST")
		k.set(func() { k.referral["alice@FAR.TEST"] = testRealm })
		before := k.count(msgASReq)
		if _, err := New(o).Ticket(context.Background(), "imap", "far.test"); kindOf(t, err) != BadReply || !strings.Contains(err.Error(), "refer to each other") {
			t.Errorf("two realms that refer to each other are an error that says so\n got: %v", err)
		}
		if n := k.count(msgASReq) - before; n != 2 {
			t.Errorf("two realms that refer to each other are asked once each\n got: %d requests", n)
		}
	}
}

// The ticket granting ticket of another realm that lies in the cache is used, but not
// where krb5.conf does not permit its key: then the KDC gives another.
func TestCrossRealmTicketInTheCache(t *testing.T) {
	for _, tc := range []struct {
		libdefaults string
		tgs         int
	}{
		{"", 1},
		{"permitted_enctypes = aes256-cts", 2},
	} {
		k := newKDC(t)
		k.realms("FAR.TEST")
		tgt := k.tgt("alice@"+testRealm, time.Now(), time.Hour, 0)
		far := *tgt
		far.Server = TGS("FAR.TEST", testRealm)
		far.Key = types.EncryptionKey{KeyType: aes128SHA1, KeyValue: make([]byte, keyLength(aes128SHA1))}
		far.DER = k.sealTicket(far.Client, far.Server, far.Key, far.Flags, far.Start, far.End, time.Time{})
		ccache := filepath.Join(t.TempDir(), "ccache")
		writeCCache(t, ccache, 0, tgt.Client, tgt, &far)
		f := New(Options{Config: k.conf(tc.libdefaults, farInFar), CCache: ccache, Getenv: func(string) string { return "" }})
		ticket, err := f.Ticket(context.Background(), "imap", "far.test")
		if err != nil {
			t.Fatalf("with %q there is a ticket\n got: %v", tc.libdefaults, err)
		}
		k.checkTicket(t, ticket, "alice@"+testRealm, "imap/far.test@FAR.TEST")
		if got := k.count(msgTGSReq); got != tc.tgs {
			t.Errorf("with %q there are %d requests\n got: %d", tc.libdefaults, tc.tgs, got)
		}
	}
}
