package krb5

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

// ccacheFiles and keytabFiles are those of testdata that this machine can read: of the
// early versions the byte order is that of the machine which wrote them.
func ccacheFiles(t testing.TB) map[string][]byte {
	files := map[string][]byte{}
	for _, name := range []string{"v1.ccache", "v2.ccache", "v3.ccache", "v4.ccache", "addresses.ccache", "offset.ccache"} {
		if little := binary.NativeEndian.Uint16([]byte{1, 0}) == 1; little || name > "v2.ccache" || name < "v" {
			files[name] = testdata(t, name)
		}
	}
	return files
}

func keytabFiles(t testing.TB) map[string][]byte {
	files := map[string][]byte{}
	for _, name := range []string{"service.keytab", "holes.keytab", "kvno.keytab"} {
		files[name] = testdata(t, name)
	}
	return files
}

func testdata(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// write makes a file in a directory of the test's own and returns its path.
func write(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// parsed is a principal that is known to be one.
func parsed(t testing.TB, name string) Principal {
	t.Helper()
	p, err := Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// builder writes the formats of ccaches and keytabs.
type builder struct {
	b       []byte
	order   binary.AppendByteOrder
	version int
}

func (b *builder) u8(n int)  { b.b = append(b.b, byte(n)) }
func (b *builder) u16(n int) { b.b = b.order.AppendUint16(b.b, uint16(n)) }
func (b *builder) u32(n int) { b.b = b.order.AppendUint32(b.b, uint32(n)) }

func (b *builder) data(s string) {
	b.u32(len(s))
	b.b = append(b.b, s...)
}

func (b *builder) data16(s string) {
	b.u16(len(s))
	b.b = append(b.b, s...)
}

func newCCache(version int, fields []byte, client Principal) *builder {
	b := &builder{b: []byte{5, byte(version)}, order: binary.BigEndian, version: version}
	if version < 3 {
		b.order = binary.NativeEndian
	}
	if version == 4 {
		b.data16(string(fields))
	}
	b.principal(client)
	return b
}

func (b *builder) principal(p Principal) {
	n := len(p.Names)
	if b.version > 1 {
		b.u32(int(p.Type))
	} else {
		n++
	}
	b.u32(n)
	b.data(p.Realm)
	for _, name := range p.Names {
		b.data(name)
	}
}

// entry is a credential for the tests of what is taken of several.
type entry struct {
	client, server       Principal
	etype                int
	key                  string
	auth, start, end, rt int
	skey                 int
	flags                uint32
	ticket               string
}

func (b *builder) entry(e entry) {
	b.principal(e.client)
	b.principal(e.server)
	b.u16(e.etype)
	if b.version == 3 {
		b.u16(e.etype)
	}
	b.data(e.key)
	b.u32(e.auth)
	b.u32(e.start)
	b.u32(e.end)
	b.u32(e.rt)
	b.u8(e.skey)
	b.u32(int(e.flags))
	b.u32(0)
	b.u32(1) // authorization data
	b.u16(-1)
	b.data("data")
	b.data(e.ticket)
	b.data("")
}
