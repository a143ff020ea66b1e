package krb5

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jcmturner/gokrb5/v8/keytab"
)

var allEtypes = []int32{aes256SHA1, aes128SHA1, aes256SHA384, aes128SHA256, rc4HMAC, camellia256}

// MIT's keytabs are read: what klist -k shows of them is what we have.
func TestKeytabFiles(t *testing.T) {
	for _, tc := range []struct {
		file  string
		of    string
		kvnos []uint32
		types []int32
	}{
		{"service.keytab", "imap/localhost@IMCLIENT.TEST", []uint32{2, 2, 2, 2, 2, 2}, allEtypes},
		{"service.keytab", "imap/mail.test@IMCLIENT.TEST", nil, nil},
		{"holes.keytab", "imap/localhost@IMCLIENT.TEST", []uint32{4, 4, 4, 4, 4, 4}, allEtypes},
		{"holes.keytab", "imap/mail.test@IMCLIENT.TEST", []uint32{2, 2, 2, 2, 2, 2}, allEtypes},
		{"kvno.keytab", "alice@IMCLIENT.TEST", []uint32{70000, 300}, []int32{aes256SHA384, aes256SHA1}},
		{"kvno.keytab", `bob/ad\\/min@IMCLIENT.TEST`, []uint32{1}, []int32{rc4HMAC}},
	} {
		k, err := LoadKeytab(Setting{"FILE:testdata/" + tc.file, "KRB5_CLIENT_KTNAME"})
		if err != nil {
			t.Fatal(err)
		}
		var kvnos []uint32
		var types []int32
		for _, key := range k.Keys(parsed(t, tc.of)) {
			kvnos, types = append(kvnos, key.KVNO), append(types, key.Key.KeyType)
		}
		if !slices.Equal(kvnos, tc.kvnos) || !slices.Equal(types, tc.types) {
			t.Errorf("%s has keys of %s\n got: %v of types %v\nwant: %v of types %v", tc.file, tc.of, kvnos, types, tc.kvnos, tc.types)
		}
	}
	k, err := LoadKeytab(Setting{"WRFILE:testdata/holes.keytab", ""})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(k.Principals()); got != "[imap/mail.test@IMCLIENT.TEST imap/localhost@IMCLIENT.TEST]" {
		t.Errorf("principals are told in the file's order\n got: %s", got)
	}
}

// gokrb5 reads the same of MIT's files.
func TestKeytabAsGokrb5(t *testing.T) {
	for name, data := range keytabFiles(t) {
		ours, what := parseKeytab(data)
		theirs := keytab.New()
		if err := theirs.Unmarshal(data); err != nil || what != "" {
			t.Fatalf("%s: %v, %q", name, err, what)
		}
		if len(ours) != len(theirs.Entries) || len(ours) == 0 {
			t.Fatalf("%s: as many keys\n got: %d\nwant: %d", name, len(ours), len(theirs.Entries))
		}
		for i, e := range theirs.Entries {
			o := ours[i]
			got := fmt.Sprintln(o.Principal.Names, o.Principal.Realm, o.Principal.Type, o.Written.Unix(), o.KVNO, o.Key.KeyType, o.Key.KeyValue)
			want := fmt.Sprintln(e.Principal.Components, e.Principal.Realm, e.Principal.NameType, e.Timestamp.Unix(), e.KVNO, e.Key.KeyType, e.Key.KeyValue)
			if got != want {
				t.Errorf("%s: key %d is gokrb5's\n got: %s\nwant: %s", name, i, got, want)
			}
		}
	}
}

// keytabEntry appends an entry; a kvno that takes more than 8 bits stands behind it, and
// behind the tail.
func (b *builder) keytabEntry(p Principal, written, kvno, etype int, key string, tail ...byte) {
	e := builder{order: b.order, version: b.version}
	n := len(p.Names)
	if b.version == 1 {
		n++
	}
	e.u16(n)
	e.data16(p.Realm)
	for _, name := range p.Names {
		e.data16(name)
	}
	if b.version == 2 {
		e.u32(int(p.Type))
	}
	e.u32(written)
	e.u8(kvno)
	e.u16(etype)
	e.data16(key)
	e.b = append(e.b, tail...)
	if kvno > 255 {
		e.u32(kvno)
	}
	b.data(string(e.b))
}

func newKeytab(version int) *builder {
	b := &builder{b: []byte{5, byte(version)}, order: binary.BigEndian, version: version}
	if version == 1 {
		b.order = binary.NativeEndian
	}
	return b
}

func TestKeytabFormats(t *testing.T) {
	alice, key := parsed(t, "alice@A"), strings.Repeat("k", 16)
	for version := 1; version <= 2; version++ {
		b := newKeytab(version)
		b.keytabEntry(alice, 100, 3, 17, key)
		b.u32(-8) // a hole
		b.b = append(b.b, "whatever"...)
		b.keytabEntry(alice, 200, 1<<20, 18, key+key)
		b.keytabEntry(alice, 100, 5, -128, "any")
		b.keytabEntry(alice, 50, 1, 17, key, 0, 0, 0, 0) // zeros where a large version would be
		b.u32(0)                                         // the end
		b.b = append(b.b, "whatever"...)
		keys, what := parseKeytab(b.b)
		k := Keytab{keys: keys}
		got := fmt.Sprint(k.Keys(alice))
		if want := "[(key 1048576 of alice@A, type 18) (key 5 of alice@A, type -128) (key 3 of alice@A, type 17) (key 1 of alice@A, type 17)]"; what != "" || got != want {
			t.Errorf("version %d\n got: %s, %q\nwant: %s", version, got, what, want)
		}
	}
}

// Versions that were stored in 8 bits begin anew behind 255.
func TestKeytabNewest(t *testing.T) {
	alice, key := parsed(t, "alice@A"), strings.Repeat("k", 16)
	for _, tc := range []struct {
		name          string
		kvno, written []int
		want          string
	}{
		{"in order", []int{1, 2, 3}, []int{10, 20, 30}, "[3 2 1]"},
		{"out of order", []int{2, 3, 1}, []int{10, 10, 10}, "[3 2 1]"},
		{"wrapped", []int{254, 255, 1}, []int{10, 20, 30}, "[1 255 254]"},
		{"wrapped, the newest first", []int{1, 255, 254}, []int{30, 20, 10}, "[1 255 254]"},
		{"written anew", []int{1, 250}, []int{10, 20}, "[250 1]"},
		{"not wrapped", []int{130, 255}, []int{30, 20}, "[255 130]"},
	} {
		b := newKeytab(2)
		for i := range tc.kvno {
			b.keytabEntry(alice, tc.written[i], tc.kvno[i], 17, key)
		}
		keys, _ := parseKeytab(b.b)
		var kvnos []uint32
		for _, k := range (&Keytab{keys: keys}).Keys(alice) {
			kvnos = append(kvnos, k.KVNO)
		}
		if got := fmt.Sprint(kvnos); got != tc.want {
			t.Errorf("%s\n got: %s\nwant: %s", tc.name, got, tc.want)
		}
	}
}

func TestLoadKeytabErrors(t *testing.T) {
	dir := t.TempDir()
	bad := newKeytab(2)
	bad.keytabEntry(parsed(t, "alice@A"), 1, 1, 18, "too short")
	for _, tc := range []struct {
		name, text, want string
		kind             Kind
	}{
		{"FILE:" + dir + "/none", "", "there is no keytab", NoCredentials},
		{"empty", "", "the keytab is empty", NoCredentials},
		{"ccache", "\x05\x04", "it begins with 0x0504", BadFile},
		{"cut", "\x05\x02\x00\x00\x00\x40xx", "cut short at byte 6", BadFile},
		{"huge", "\x05\x02\x7f\xff\xff\xff", "cut short", BadFile},
		{"hole", "\x05\x02\x80\x00\x00\x00xx", "cut short", BadFile},
		{"short key", string(bad.b), "entry 1: the key has not the length", BadFile},
		{"large", strings.Repeat("\x05\x02", keytabLimit/2) + "x", "larger than 1048576 bytes", BadFile},
		{"MEMORY:x", "", "MEMORY: cannot be read", NoCredentials},
	} {
		name := tc.name
		if !strings.Contains(name, ":") {
			name = "FILE:" + write(t, filepath.Join(dir, tc.name), tc.text)
		}
		_, err := LoadKeytab(Setting{name, "KRB5_CLIENT_KTNAME"})
		var e *Error
		if !errors.As(err, &e) || e.Kind != tc.kind || !strings.Contains(err.Error(), tc.want) || e.Look != name+" (KRB5_CLIENT_KTNAME)" {
			t.Errorf("%s: an error of kind %v that says %q and where\n got: %v", tc.name, tc.kind, tc.want, err)
		}
	}
}

// No key shows by fmt, whatever the verb.
func TestKeysDoNotShow(t *testing.T) {
	k, err := LoadKeytab(Setting{"testdata/service.keytab", ""})
	if err != nil {
		t.Fatal(err)
	}
	c, what := parseCCache(testdata(t, "v4.ccache"))
	if what != "" {
		t.Fatal(what)
	}
	secrets := [][]byte{k.keys[0].Key.KeyValue, c.Tickets[0].Key.KeyValue}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		for _, v := range []any{k, *k, k.keys, k.keys[0], &k.keys[0], c, *c, c.Tickets, c.Tickets[0], &c.Tickets[0]} {
			shown := fmt.Sprintf(verb, v)
			for _, secret := range secrets {
				for _, form := range []string{string(secret), fmt.Sprintf("%x", secret), strings.Trim(fmt.Sprint(secret), "[]"), fmt.Sprintf("%#v", secret)[7:]} {
					if strings.Contains(shown, form) {
						t.Errorf("%s of %T shows a key\n got: %s", verb, v, shown)
					}
				}
			}
		}
	}
}
