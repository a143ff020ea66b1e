package krb5

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/credentials"
	"github.com/jcmturner/gokrb5/v8/messages"
)

const realm = "IMCLIENT.TEST"

// made is when kinit got the tickets of testdata, in seconds since 1970.
const made = 1795546298

// MIT's files of every version are read: what klist shows of them is what we have.
func TestCCacheFiles(t *testing.T) {
	all := []string{"krbtgt/IMCLIENT.TEST@IMCLIENT.TEST", "imap/localhost@IMCLIENT.TEST", "imap/mail.test@IMCLIENT.TEST"}
	for _, tc := range []struct {
		file      string
		servers   []string
		offset    time.Duration
		start     int64 // behind made
		end, rt   time.Duration
		addresses []string
	}{
		{"v1.ccache", all, 0, 0, 10 * time.Hour, 7 * 24 * time.Hour, nil},
		{"v2.ccache", all, 0, 0, 10 * time.Hour, 7 * 24 * time.Hour, nil},
		{"v3.ccache", all, 0, 0, 10 * time.Hour, 7 * 24 * time.Hour, nil},
		{"v4.ccache", all, 0, 0, 10 * time.Hour, 7 * 24 * time.Hour, nil},
		{"addresses.ccache", all[:1], 0, 0, 10 * time.Hour, 7 * 24 * time.Hour, []string{"c0000202", "fd000000000000000000000000000002"}},
		{"offset.ccache", all[:1], 90 * time.Second, 1, 10*time.Hour - 90*time.Second, 7*24*time.Hour - 90*time.Second, nil},
	} {
		t.Run(tc.file, func(t *testing.T) {
			data, ok := ccacheFiles(t)[tc.file]
			if !ok {
				t.Skip("of the other byte order")
			}
			c, what := parseCCache(data)
			if what != "" {
				t.Fatal(what)
			}
			if c.Principal.String() != "alice@IMCLIENT.TEST" || c.Offset != tc.offset || c.StartRealm != "" {
				t.Errorf("the cache is alice's, %v off\n got: %v, %v", tc.offset, c.Principal, c.Offset)
			}
			var servers []string
			for i := range c.Tickets {
				checkTicket(t, &c.Tickets[i])
				servers = append(servers, c.Tickets[i].Server.String())
			}
			if !slices.Equal(servers, tc.servers) {
				t.Errorf("tickets are for\n got: %v\nwant: %v", servers, tc.servers)
			}
			tgt := c.Last(c.TGT())
			start := time.Unix(made+tc.start, 0)
			if !tgt.Start.Equal(start) || !tgt.AuthTime.Equal(start) || !tgt.End.Equal(start.Add(tc.end)) || !tgt.RenewTill.Equal(start.Add(tc.rt)) {
				t.Errorf("the times are klist's\n got: %v, %v, %v, %v", tgt.AuthTime, tgt.Start, tgt.End, tgt.RenewTill)
			}
			const initial = FlagForwardable | FlagProxiable | FlagRenewable | FlagInitial | FlagEncPARep
			if tgt.Flags != initial {
				t.Errorf("the flags of a first ticket\n got: %#x\nwant: %#x", tgt.Flags, initial)
			}
			var addresses []string
			for _, a := range tgt.Addresses {
				addresses = append(addresses, hex.EncodeToString(a.Address))
			}
			if !slices.Equal(addresses, tc.addresses) {
				t.Errorf("the ticket's addresses\n got: %v\nwant: %v", addresses, tc.addresses)
			}
		})
	}
}

func checkTicket(t *testing.T, ticket *Ticket) {
	t.Helper()
	var der messages.Ticket
	if err := der.Unmarshal(ticket.DER); err != nil || der.Realm != realm || !slices.Equal(der.SName.NameString, ticket.Server.Names) {
		t.Errorf("the ticket for %v is one\n got: %v, %v", ticket.Server, err, der.SName)
	}
	if ticket.Key.KeyType != aes256SHA1 || len(ticket.Key.KeyValue) != 32 || ticket.Client.String() != "alice@IMCLIENT.TEST" {
		t.Errorf("the ticket for %v has alice's key\n got: type %d, %d bytes, %v", ticket.Server, ticket.Key.KeyType, len(ticket.Key.KeyValue), ticket.Client)
	}
}

// gokrb5 reads the same of MIT's files.
func TestCCacheAsGokrb5(t *testing.T) {
	for name, data := range ccacheFiles(t) {
		ours, what := parseCCache(data)
		theirs := new(credentials.CCache)
		if err := theirs.Unmarshal(data); err != nil || what != "" {
			t.Fatalf("%s: %v, %q", name, err, what)
		}
		entries := theirs.GetEntries()
		if len(entries) != len(ours.Tickets) || theirs.GetClientRealm() != ours.Principal.Realm {
			t.Fatalf("%s: as many tickets\n got: %d\nwant: %d", name, len(ours.Tickets), len(entries))
		}
		var order byteOrder = binary.BigEndian
		if theirs.Version < 3 {
			order = binary.NativeEndian // gokrb5 leaves the flags as they are
		}
		for i, e := range entries {
			o := ours.Tickets[i]
			got := fmt.Sprintln(o.Server.Names, o.Server.Realm, o.Client.Names, o.Key.KeyType, o.Key.KeyValue, o.AuthTime.Unix(), o.Start.Unix(), o.End.Unix(), o.RenewTill.Unix(), o.Flags, o.DER, len(o.Addresses))
			want := fmt.Sprintln(e.Server.PrincipalName.NameString, e.Server.Realm, e.Client.PrincipalName.NameString, e.Key.KeyType, e.Key.KeyValue, e.AuthTime.Unix(), e.StartTime.Unix(), e.EndTime.Unix(), e.RenewTill.Unix(), order.Uint32(e.TicketFlags.Bytes), e.Ticket, len(e.Addresses))
			if got != want {
				t.Errorf("%s: ticket %d is gokrb5's\n got: %s\nwant: %s", name, i, got, want)
			}
		}
	}
}

// What is not a ticket to log in with is none, and of several for a service the one
// that is valid longest is taken.
func TestCCacheEntries(t *testing.T) {
	alice, bob, imap := parsed(t, "alice@A"), parsed(t, "bob@A"), parsed(t, "imap/host@A")
	key := strings.Repeat("k", 16)
	config := func(name string) Principal {
		return Principal{Names: []string{"krb5_ccache_conf_data", name}, Realm: "X-CACHECONF:"}
	}
	for version := 1; version <= 4; version++ {
		b := newCCache(version, nil, alice)
		b.entry(entry{client: alice, server: config("start_realm"), ticket: "B"})
		b.entry(entry{client: alice, server: config("proxy_impersonator"), ticket: "proxy@A"})
		b.entry(entry{client: alice, server: config("fast_avail"), ticket: "yes"})
		b.entry(entry{client: alice, server: Principal{Realm: "X-RMED-CONF:"}, auth: -1, ticket: "B"})
		b.entry(entry{client: alice, server: imap, etype: 17, key: key, auth: -1, ticket: "removed"})
		b.entry(entry{client: alice, server: imap, etype: 17, key: key, auth: 50, end: 900, skey: 1, ticket: "user to user"})
		b.entry(entry{client: bob, server: imap, etype: 17, key: key, auth: 50, end: 900, ticket: "bob's"})
		b.entry(entry{client: alice, server: imap, etype: 17, key: key, auth: 50, end: 200, ticket: "first"})
		b.entry(entry{client: alice, server: imap, etype: 17, key: key, auth: 60, start: 100, end: 400, rt: 500, flags: FlagRenewable, ticket: "second"})
		b.entry(entry{client: alice, server: imap, etype: 17, key: key, auth: 50, end: 300, ticket: "third"})
		b.entry(entry{client: alice, server: imap, etype: 17, key: key, auth: 50, end: 800, flags: FlagInvalid | FlagPostdated, ticket: "postdated"})
		b.entry(entry{client: alice, server: imap, etype: 25, key: "any", auth: 50, start: 700, end: 1<<32 - 1, ticket: "last"})
		c, what := parseCCache(b.b)
		if what != "" {
			t.Fatalf("version %d: %s", version, what)
		}
		if len(c.Tickets) != 6 || c.StartRealm != "B" || c.TGT().String() != "krbtgt/B@B" {
			t.Errorf("version %d: six tickets, and what the entries say\n got: %v, %q", version, c.Tickets, c.StartRealm)
		}
		for _, tc := range []struct {
			now  int64
			want string
		}{
			{49, ""}, {50, "third"}, {99, "third"}, {100, "second"}, {399, "second"}, {400, ""}, {699, ""}, {700, "last"}, {1<<32 - 2, "last"}, {1<<32 - 1, ""},
		} {
			got := ""
			if found := c.Find(imap, time.Unix(tc.now, 0)); found != nil {
				got = string(found.DER)
			}
			if got != tc.want {
				t.Errorf("version %d: the ticket valid longest at %d\n got: %q\nwant: %q", version, tc.now, got, tc.want)
			}
		}
		if last := c.Last(imap); string(last.DER) != "last" {
			t.Errorf("version %d: the ticket that ends last\n got: %s", version, last.DER)
		}
		if c.Last(bob) != nil {
			t.Errorf("version %d: there is no ticket for bob", version)
		}
		second := c.Find(imap, time.Unix(100, 0))
		for now, want := range map[int64]bool{99: false, 100: true, 399: true, 400: false} {
			if second.RenewableAt(time.Unix(now, 0)) != want {
				t.Errorf("renewable from its start to its end\n got: %t at %d", !want, now)
			}
		}
	}
}

func TestCCacheOffset(t *testing.T) {
	alice := parsed(t, "alice@A")
	for _, tc := range []struct {
		fields string
		want   time.Duration
		what   string
	}{
		{"", 0, ""},
		{"\x00\x01\x00\x08\xff\xff\xff\xfe\x00\x00\x00\x05", -2*time.Second + 5*time.Microsecond, ""},
		{"\x00\x09\x00\x01x\x00\x01\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00", time.Second, ""},
		{"\x00\x01\x00\x07\xff\xff\xff\xfe\x00\x00\x00", 0, "the header is damaged"},
		{"\x00\x01\x00\x09", 0, "the header is damaged"},
		{"\x00\x01\x00", 0, "the header is damaged"},
	} {
		c, what := parseCCache(newCCache(4, []byte(tc.fields), alice).b)
		if !strings.HasPrefix(what, tc.what) || (what == "") != (tc.what == "") {
			t.Errorf("header % x\n got: %q\nwant: %q", tc.fields, what, tc.what)
		} else if c != nil && c.Offset != tc.want {
			t.Errorf("header % x\n got: %v\nwant: %v", tc.fields, c.Offset, tc.want)
		}
	}
}

// A cache that has been replaced, removed or made shows that it has.
func TestCCacheChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cc")
	load := func() *CCache {
		t.Helper()
		c, err := LoadCCache(Setting{Value: path}, Principal{})
		if err != nil {
			t.Fatal(err)
		}
		if c.Changed() {
			t.Fatal("nothing has changed")
		}
		return c
	}
	write(t, path, string(testdata(t, "v4.ccache")))
	for name, change := range map[string]func() error{
		"replaced by its like": func() error {
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			other := write(t, path+".new", string(testdata(t, "v4.ccache")))
			os.Chtimes(other, info.ModTime(), info.ModTime())
			return os.Rename(other, path)
		},
		"touched":  func() error { return os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0)) },
		"appended": func() error { return os.Truncate(path, 5000) },
		"removed":  func() error { return os.Remove(path) },
	} {
		write(t, path, string(testdata(t, "v4.ccache")))
		c := load()
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if !c.Changed() {
			t.Errorf("%s: the cache has changed", name)
		}
	}
}
