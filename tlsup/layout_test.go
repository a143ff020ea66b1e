package tlsup

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"testing"
)

func TestInspect(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   reflect.Type
		ok   bool
	}{
		{"what this program runs with", reflect.TypeFor[tls.Conn](), true},
		{"all there", reflect.TypeFor[struct {
			x              int
			rawInput, hand bytes.Buffer
			input          bytes.Reader
		}](), true},
		{"nothing", reflect.TypeFor[struct{}](), false},
		{"one is missing", reflect.TypeFor[struct {
			rawInput bytes.Buffer
			input    bytes.Reader
		}](), false},
		{"another is missing", reflect.TypeFor[struct{ rawInput, hand bytes.Buffer }](), false},
		{"one has another name", reflect.TypeFor[struct {
			rawInput, handshake bytes.Buffer
			input               bytes.Reader
		}](), false},
		{"another spelling", reflect.TypeFor[struct {
			RawInput, hand bytes.Buffer
			input          bytes.Reader
		}](), false},
		{"a pointer", reflect.TypeFor[struct {
			rawInput *bytes.Buffer
			hand     bytes.Buffer
			input    bytes.Reader
		}](), false},
		{"a slice", reflect.TypeFor[struct {
			rawInput bytes.Buffer
			hand     []byte
			input    bytes.Reader
		}](), false},
		{"another type", reflect.TypeFor[struct{ rawInput, hand, input bytes.Buffer }](), false},
		{"in an embedded struct", reflect.TypeFor[struct {
			tls.Conn
		}](), false},
	} {
		if got := inspect(tc.in).ok; got != tc.ok {
			t.Errorf("%s: fields are found where they are as we know them\n got: %t\nwant: %t", tc.name, got, tc.ok)
		}
	}
}

func TestInspectOffsets(t *testing.T) {
	var c struct {
		_        [3]byte
		input    bytes.Reader
		_        int
		hand     bytes.Buffer
		rawInput bytes.Buffer
	}
	typ := reflect.TypeOf(c)
	got := inspect(typ)
	want := offsets{typ.Field(4).Offset, typ.Field(3).Offset, typ.Field(1).Offset, true}
	if got != want {
		t.Errorf("offsets are those of the fields of that name\n got: %+v\nwant: %+v", got, want)
	}

}

// The fields are the ones that crypto/tls reads into, reads its messages from, and
// gives out plain bytes from. Left to itself it keeps their memory.
func TestLayoutIsTheirs(t *testing.T) {
	layout.ok = false
	p := connect(t, tls.VersionTLS13)
	p.carries(p.s, p.c, text(maxPlaintext), whole, 0)
	layout.ok = true
	raw, hand := bufferAt(p.c.conn, layout.rawInput), bufferAt(p.c.conn, layout.hand)
	if raw.Cap() < maxPlaintext || raw.Len() != 0 {
		t.Errorf("rawInput is what crypto/tls has read a large record into\n got: capacity %d, length %d", raw.Cap(), raw.Len())
	}
	if hand.Cap() == 0 || hand.Len() != 0 {
		t.Errorf("hand is what it has collected the certificate in\n got: capacity %d, length %d", hand.Cap(), hand.Len())
	}

	if err := p.s.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	p.c.Feed(take(p.s))
	if n, err := p.c.Read(make([]byte, 2)); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	if got := readerAt(p.c.conn, layout.input).Len(); got != 3 {
		t.Errorf("input has what Read had no room for\n got: %d bytes\nwant: 3", got)
	}
	p.c.Keep()
	if raw.Cap() != 0 || hand.Cap() != 0 || !reflect.DeepEqual(readerAt(p.c.conn, layout.input), new(bytes.Reader)) {
		t.Errorf("Keep lets go of all three\n got: %d and %d bytes, and a reader", raw.Cap(), hand.Cap())
	}
	if got, err := readAll(p.c, make([]byte, 10), nil); string(got) != "llo" || err != nil {
		t.Errorf("what was in them is read all the same\n got: %q %v", got, err)
	}
}

// A message that has begun stays where it is.
func TestSlimKeepsHalfMessage(t *testing.T) {
	f := forge(t, tls.VersionTLS13)
	if _, err := f.hear(whole, f.in.seal(typeHandshake, []byte{msgKeyUpdate, 0})); err != nil {
		t.Fatal(err)
	}
	if got := bufferAt(f.c.conn, layout.hand).Len(); got != 2 {
		t.Errorf("half a message is kept\n got: %d bytes\nwant: 2", got)
	}
	if _, err := f.hear(whole, f.in.seal(typeHandshake, []byte{0, 1, requested})); err != nil {
		t.Fatal(err)
	}
	f.in.update()
	f.answers(1)
}
