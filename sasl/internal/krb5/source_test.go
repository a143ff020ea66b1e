package krb5

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/types"
)

func newSessionKey() types.EncryptionKey {
	return types.EncryptionKey{KeyType: aes256SHA1, KeyValue: make([]byte, 32)}
}

// Each source gives way to the next, the environment's cache first.
func TestSourcesGiveWay(t *testing.T) {
	k := newKDC(t)
	for _, name := range []string{"bob", "carol"} {
		k.password(name+"@"+testRealm, name+"-secret", aes256SHA1)
	}
	dir := t.TempDir()
	ccache, keytab := filepath.Join(dir, "ccache"), filepath.Join(dir, "keytab")
	o := Options{Config: k.conf("", mailInHome), Getenv: func(name string) string {
		return map[string]string{"KRB5CCNAME": "FILE:" + ccache, "KRB5_CLIENT_KTNAME": keytab}[name]
	}}
	f := New(o)
	client := func() string {
		t.Helper()
		ticket, err := f.Ticket(context.Background(), "imap", "mail.test")
		if err != nil {
			t.Fatal(err)
		}
		return ticket.Client.Names[0]
	}
	_, err := f.Ticket(context.Background(), "imap", "mail.test")
	if kindOf(t, err) != NoCredentials || !strings.Contains(err.Error(), ccache+" (KRB5CCNAME)") || !strings.Contains(err.Error(), keytab+" (KRB5_CLIENT_KTNAME)") {
		t.Error(err)
	}
	f.o.CCache, f.o.Keytab = ccache, keytab
	f.o.Password = func(context.Context) (string, []byte, error) { return "", nil, errors.New("nobody there") }
	if _, err := f.Ticket(context.Background(), "imap", "mail.test"); kindOf(t, err) != NoCredentials || !strings.Contains(err.Error(), "nobody there") || !strings.Contains(err.Error(), ccache) {
		t.Error(err)
	}
	f.o.Password = func(context.Context) (string, []byte, error) { return "carol", []byte("carol-secret"), nil }
	if got := client(); got != "carol" {
		t.Error(got)
	}
	writeKeytab(t, keytab, "bob@"+testRealm, 1, k.keys["bob@"+testRealm]...)
	if got := client(); got != "bob" {
		t.Error(got)
	}
	ended := k.tgt("alice@"+testRealm, time.Now().Add(-2*time.Hour), time.Hour, 0)
	writeCCache(t, ccache, 0, ended.Client, ended)
	if got := client(); got != "bob" {
		t.Error("an ended ticket does not give way", got)
	}
	f.o.CCache, f.o.Keytab = "", ""
	if got := client(); got != "carol" {
		t.Error("the environment's keytab is somebody else's, where there is a password", got)
	}
	os.Remove(keytab)
	f.o.Password = nil
	if _, err := f.Ticket(context.Background(), "imap", "mail.test"); kindOf(t, err) != Expired || !strings.Contains(err.Error(), timeText(ended.End)) || !strings.Contains(err.Error(), ccache) {
		t.Error(err)
	}
	good := k.tgt("alice@"+testRealm, time.Now(), time.Hour, 0)
	writeCCache(t, ccache, 0, good.Client, good)
	if got := client(); got != "alice" {
		t.Error(got)
	}
	f.o.Principal = "bob"
	if _, err := f.Ticket(context.Background(), "imap", "mail.test"); kindOf(t, err) != NoCredentials || !strings.Contains(err.Error(), "none of bob@"+testRealm) {
		t.Error(err)
	}
}

// A cache that has changed is read again at the next login; one that has not keeps its
// tickets.
func TestChangedFilesAreReadAgain(t *testing.T) {
	k := newKDC(t)
	k.random("imap/other.test@"+testRealm, aes256SHA1)
	ccache := filepath.Join(t.TempDir(), "ccache")
	write := func(name string) {
		tgt := k.tgt(name+"@"+testRealm, time.Now(), time.Hour, 0)
		writeCCache(t, ccache, 0, tgt.Client, tgt)
	}
	conf := k.conf("", mailInHome)
	o := Options{Config: conf, CCache: ccache, Getenv: func(string) string { return "" }}
	f := New(o)
	ask := func(name string, tgs uint64) {
		t.Helper()
		ticket, err := f.Ticket(context.Background(), "imap", "mail.test")
		if err != nil || ticket.Client.Names[0] != name || f.Stats().TGS != tgs {
			t.Fatal(ticket, err, f.Stats())
		}
	}
	write("alice")
	ask("alice", 1)
	ask("alice", 1)
	write("bob")
	ask("bob", 2)
	replaceFile(t, conf, []byte(must(readText(conf))+"\n# changed\n"))
	ask("bob", 3)
	keytab := filepath.Join(t.TempDir(), "keytab")
	f.o.CCache, f.o.Keytab = "", keytab
	wrong := types.EncryptionKey{KeyType: aes256SHA1, KeyValue: make([]byte, 32)}
	writeKeytab(t, keytab, "alice@"+testRealm, 1, wrong)
	if _, err := f.Ticket(context.Background(), "imap", "mail.test"); kindOf(t, err) != WrongPassword || !strings.Contains(err.Error(), keytab) {
		t.Error(err)
	}
	writeKeytab(t, keytab, "alice@"+testRealm, 2, k.keys["alice@"+testRealm]...)
	ask("alice", 4)
}

// The service's ticket of a cache is used as it is, by the KDC's clock; one that a login
// has failed with is not used again.
func TestTicketInTheCache(t *testing.T) {
	const ahead = 3 * time.Hour
	k := newKDC(t)
	k.clock = func() time.Time { return time.Now().Add(ahead) }
	ccache := filepath.Join(t.TempDir(), "ccache")
	tgt := k.tgt("alice@"+testRealm, k.clock(), time.Hour, 0)
	mail := *tgt
	mail.Server, mail.Key = Service("imap", "mail.test", testRealm), newSessionKey()
	mail.DER = k.sealTicket(mail.Client, mail.Server, mail.Key, mail.Flags, mail.Start, mail.End, time.Time{})
	writeCCache(t, ccache, ahead, tgt.Client, tgt, &mail)
	f := New(Options{Config: k.conf("", mailInHome), CCache: ccache, Getenv: func(string) string { return "" }})
	first, err := f.Ticket(context.Background(), "imap", "mail.test")
	if err != nil || f.Stats().TGS != 0 || first.Offset != ahead {
		t.Fatal(first, err, f.Stats())
	}
	k.checkTicket(t, first, "alice@"+testRealm, "imap/mail.test@"+testRealm)
	f.Drop(first)
	second, err := f.Ticket(context.Background(), "imap", "mail.test")
	if err != nil || f.Stats().TGS != 1 || second == first || second.Offset != ahead {
		t.Fatal(second, err, f.Stats())
	}
	k.checkTicket(t, second, "alice@"+testRealm, "imap/mail.test@"+testRealm)
}

// What krb5.conf does not permit is not used, though it lies in the cache.
func TestTicketInTheCacheNotPermitted(t *testing.T) {
	const ahead = 3 * time.Hour
	k := newKDC(t)
	ccache := filepath.Join(t.TempDir(), "ccache")
	mail := k.tgt("alice@"+testRealm, time.Now(), time.Hour, 0)
	mail.Server, mail.Key = Service("imap", "mail.test", testRealm), newSessionKey()
	o := Options{CCache: ccache, Getenv: func(string) string { return "" }}
	for _, tc := range []struct {
		libdefaults string
		offset      time.Duration // of the cache
		used        bool
	}{
		{"", 0, true},
		{"permitted_enctypes = aes256-cts", 0, true},
		{"permitted_enctypes = aes128-cts aes256-sha2", 0, false},
		{"kdc_timesync = true", ahead, false}, // by the KDC's clock it has ended
		{"kdc_timesync = false", ahead, true},
	} {
		writeCCache(t, ccache, tc.offset, mail.Client, mail)
		o.Config = k.conf(tc.libdefaults, mailInHome)
		ticket, err := New(o).Ticket(context.Background(), "imap", "mail.test")
		if used := err == nil; used != tc.used {
			t.Errorf("with %q and an offset of %v the ticket is used: %t\n got: %v, %v", tc.libdefaults, tc.offset, tc.used, ticket, err)
		}
		if !tc.used && tc.offset == 0 && (kindOf(t, err) != EncType || !strings.Contains(err.Error(), "aes256-cts-hmac-sha1-96") || !strings.Contains(err.Error(), o.Config)) {
			t.Errorf("it is said why\n got: %v", err)
		}
	}
}

// A renewable ticket granting ticket is made anew again and again, in memory, also when
// the file's has ended.
func TestRenewableInMemory(t *testing.T) {
	c := newClock()
	k := newKDC(t)
	k.clock = c.now
	ccache := filepath.Join(t.TempDir(), "ccache")
	tgt := k.tgt("alice@"+testRealm, c.now(), time.Hour, 24*time.Hour)
	writeCCache(t, ccache, 0, tgt.Client, tgt)
	f := New(Options{Config: k.conf("", mailInHome), CCache: ccache, Now: c.now, Getenv: func(string) string { return "" }})
	for i := range 5 {
		ticket, err := f.Ticket(context.Background(), "imap", "mail.test")
		if err != nil {
			t.Fatal(i, err)
		}
		f.Drop(ticket) // so that each login asks at once
		c.add(57 * time.Minute)
	}
	if got := f.Stats(); got.AS != 0 || got.TGS != 5+4 {
		t.Errorf("%+v", got)
	}
	c.add(time.Hour)
	if _, err := f.Ticket(context.Background(), "imap", "mail.test"); kindOf(t, err) != Expired {
		t.Error(err)
	}
}

func TestNamesOfClients(t *testing.T) {
	k := newKDC(t)
	for name, c := range map[string]struct {
		kind Kind
		says string
	}{
		"":                         {NoCredentials, "no name of whose it is"},
		"alice@a@b":                {NoCredentials, "two @"},
		"nobody":                   {UnknownClient, "does not know nobody@" + testRealm},
		"alice/admin@" + testRealm: {UnknownClient, "alice/admin@" + testRealm},
	} {
		o := byPassword(k.conf("", mailInHome))
		o.Password = func(context.Context) (string, []byte, error) { return name, []byte(testPassword), nil }
		if _, err := New(o).Ticket(context.Background(), "imap", "mail.test"); kindOf(t, err) != c.kind || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v", name, err)
		}
	}
	o := byPassword(k.conf("", mailInHome))
	replaceFile(t, o.Config, []byte("[libdefaults]\n"))
	if _, err := New(o).Ticket(context.Background(), "imap", "mail.test"); kindOf(t, err) != WrongRealm || !strings.Contains(err.Error(), "default_realm") {
		t.Error(err)
	}
	for _, host := range []string{"", ".", strings.Repeat("x", 1000)} {
		if _, err := New(o).Ticket(context.Background(), "imap", host); kindOf(t, err) != UnknownService {
			t.Error(err)
		}
	}
}

// The password that a provider gives away is overwritten, whatever becomes of the login.
func TestPasswordIsWiped(t *testing.T) {
	k := newKDC(t)
	for _, name := range []string{"alice", "nobody", "a@b@c", ""} {
		given := []byte(testPassword)
		o := byPassword(k.conf("", mailInHome))
		o.Password = func(context.Context) (string, []byte, error) { return name, given, nil }
		New(o).Ticket(context.Background(), "imap", "mail.test")
		if string(given) != string(make([]byte, len(testPassword))) {
			t.Errorf("%q: it is there still", name)
		}
	}
}

func TestClockSkewIsCorrectedOrTold(t *testing.T) {
	for _, preauth := range []bool{true, false} {
		k := newKDC(t)
		k.preauth = preauth
		k.clock = func() time.Time { return time.Now().Add(-42 * time.Minute) }
		o := byKeytab(t, k, k.conf("", mailInHome))
		ticket, err := New(o).Ticket(context.Background(), "imap", "mail.test")
		if err != nil {
			t.Fatal(err)
		}
		if d := ticket.Offset + 42*time.Minute; d.Abs() > 2*time.Second {
			t.Error(ticket.Offset)
		}
		o.Config = k.conf("kdc_timesync = false", mailInHome)
		_, err = New(o).Ticket(context.Background(), "imap", "mail.test")
		if kindOf(t, err) != ClockSkew || !strings.Contains(err.Error(), "our clock is 42m") || !strings.Contains(err.Error(), "ahead of that of the KDC "+k.addr) {
			t.Error(err)
		}
	}
}
