package krb5

import (
	"bytes"
	"runtime"
	"testing"
)

// parsers are those of binary files, with what each takes of a file: how often the
// bytes can be cut so that they are whole.
var parsers = []struct {
	name  string
	files func(testing.TB) map[string][]byte
	parse func(t testing.TB, data []byte) (what string)
	// parts is in how many places a file may end.
	parts map[string]int
}{
	{"ccache", ccacheFiles, checkCCache, map[string]int{
		// behind the principal, and each credential; one of them is an entry of MIT's configuration
		"v1.ccache": 5, "v2.ccache": 5, "v3.ccache": 5, "v4.ccache": 5, "addresses.ccache": 3, "offset.ccache": 3,
	}},
	{"keytab", keytabFiles, checkKeytab, map[string]int{
		"service.keytab": 7, "holes.keytab": 19, // with 6 holes
		"kvno.keytab": 4,
	}},
}

// checkCCache parses and sees that what was taken is sound.
func checkCCache(t testing.TB, data []byte) (what string) {
	c, what := parseCCache(data)
	if (c == nil) != (what != "") {
		t.Fatalf("a cache or an error: %v, %q", c, what)
	}
	if c == nil {
		return what
	}
	for i := range c.Tickets {
		ticket := &c.Tickets[i]
		if want := keyLength(ticket.Key.KeyType); want > 0 && want != len(ticket.Key.KeyValue) {
			t.Fatalf("a key of type %d has %d bytes, not %d", ticket.Key.KeyType, want, len(ticket.Key.KeyValue))
		}
		if len(ticket.DER) > 0 && !within(data, ticket.DER) || ticket.End.IsZero() {
			t.Fatal("a ticket is in the file's bytes, and ends")
		}
		if found := c.Last(ticket.Server); found != nil && found.End.Before(ticket.End) && ticket.Client.Equal(c.Principal) {
			t.Fatal("the last one ends last")
		}
	}
	return ""
}

func checkKeytab(t testing.TB, data []byte) (what string) {
	keys, what := parseKeytab(data)
	if what != "" {
		return what
	}
	k := Keytab{keys: keys}
	n := 0
	for _, p := range k.Principals() {
		for _, key := range k.Keys(p) {
			if want := keyLength(key.Key.KeyType); want > 0 && want != len(key.Key.KeyValue) {
				t.Fatalf("a key of type %d has %d bytes, not %d", key.Key.KeyType, len(key.Key.KeyValue), want)
			}
			n++
		}
	}
	if n != len(keys) {
		t.Fatalf("each key is somebody's: %d of %d", n, len(keys))
	}
	return ""
}

// within tells whether part is memory of whole, cut so that append copies it.
func within(whole, part []byte) bool {
	for i := range whole {
		if &whole[i] == &part[0] {
			return i+len(part) <= len(whole) && cap(part) == len(part)
		}
	}
	return false
}

// A file that is cut is an error, or has fewer entries where it is cut between two.
func TestCut(t *testing.T) {
	for _, p := range parsers {
		for name, data := range p.files(t) {
			whole := 0
			for n := range len(data) + 1 {
				if p.parse(t, data[:n:n]) == "" {
					whole++
				}
			}
			if want := p.parts[name]; whole != want {
				t.Errorf("%s ends in some places\n got: %d\nwant: %d", name, whole, want)
			}
		}
	}
}

// A byte that is altered makes an error or something sound, and takes no more memory
// than the file is worth.
func TestAltered(t *testing.T) {
	for _, p := range parsers {
		for name, data := range p.files(t) {
			refused, tries := 0, 0
			used := allocated(func() {
				altered := bytes.Clone(data)
				for i, was := range data {
					for _, now := range [...]byte{was ^ 0xff, was ^ 0x80, was ^ 1, 0, 0x7f, 0xff, was + 1, was - 1} {
						altered[i] = now
						tries++
						if p.parse(t, altered) != "" {
							refused++
						}
					}
					altered[i] = was
				}
			})
			if refused == 0 || refused == tries {
				t.Errorf("%s: some are refused: %d of %d", name, refused, tries)
			}
			if most := uint64(tries) * proportion(len(data)); used > most {
				t.Errorf("%s: memory goes with the file's size\n got: %d bytes for %d files\nwant: at most %d", name, used, tries, most)
			}
		}
	}
}

// proportion is what a file of n bytes may take to read, what append leaves behind
// included: names and tickets are larger in memory than their shortest forms in the
// file.
func proportion(n int) uint64 { return 1<<13 + 32*uint64(n) }

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Numbers of the file that promise more than follows are refused before anything is
// made of them; what really has that many small parts costs in proportion.
func TestPromises(t *testing.T) {
	most := func(n int, parts ...string) []byte {
		return []byte(parts[0] + string(bytes.Repeat([]byte(parts[1]), n)))
	}
	for _, tc := range []struct {
		name  string
		parse func(testing.TB, []byte) string
		data  []byte
		good  bool
	}{
		{"components", checkCCache, []byte("\x05\x03\x00\x00\x00\x01\xff\xff\xff\xff\x00\x00\x00\x01A"), false},
		{"realm", checkCCache, []byte("\x05\x03\x00\x00\x00\x01\x00\x00\x00\x01\xff\xff\xff\xffA"), false},
		{"header", checkCCache, []byte("\x05\x04\xff\xff\x00\x01"), false},
		{"no component at all", checkCCache, []byte("\x05\x01\x00\x00\x00\x00\x00\x00\x00\x00"), false},
		{"as many components as can be", checkCCache, most(256, "\x05\x03\x00\x00\x00\x01\x00\x00\x01\x00\x00\x00\x00\x00", "\x00\x00\x00\x00"), true},
		{"more components", checkCCache, most(257, "\x05\x03\x00\x00\x00\x01\x00\x00\x01\x01\x00\x00\x00\x00", "\x00\x00\x00\x00"), false},
		{"entries of nothing", checkCCache, most(1<<11, "\x05\x03\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00", nothing), true},
		{"keytab components", checkKeytab, []byte("\x05\x02\x00\x00\x00\x08\xff\xff\x00\x01A\x00\x00\x00"), false},
		{"keytab holes", checkKeytab, most(1<<12, "\x05\x02", "\xff\xff\xff\xffx"), true},
		{"keytab entries", checkKeytab, most(1<<11, "\x05\x02", "\x00\x00\x00\x11"+string(make([]byte, 17))), true},
	} {
		if what := tc.parse(t, tc.data); (what == "") != tc.good {
			t.Errorf("%s: good: %t\n got: %q", tc.name, tc.good, what)
		}
		used := allocated(func() {
			parseCCache(tc.data)
			parseKeytab(tc.data)
		})
		if most := proportion(len(tc.data)); used > most {
			t.Errorf("%s: memory goes with the file's size\n got: %d bytes for %d\nwant: at most %d", tc.name, used, len(tc.data), most)
		}
	}
}

// nothing is the shortest credential: two names without a realm, no key, one time so
// that it counts, no addresses, no data, no ticket.
var nothing = string(make([]byte, 2*12+4+4+4+4)) + "\x00\x00\x00\x01" + string(make([]byte, 4+1+4+4+4+4+4))

func FuzzCCache(f *testing.F) {
	for _, data := range ccacheFiles(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkCCache(t, data) })
}

func FuzzKeytab(f *testing.F) {
	for _, data := range keytabFiles(f) {
		f.Add(data)
	}
	b := newKeytab(1)
	b.keytabEntry(Principal{Names: []string{"a"}, Realm: "A"}, 1, 70000, 17, "0123456789abcdef")
	f.Add(b.b)
	f.Fuzz(func(t *testing.T, data []byte) { checkKeytab(t, data) })
}
