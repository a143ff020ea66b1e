package gss

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestUnsupported(t *testing.T) {
	for etype, name := range map[int32]string{
		0: "encryption type 0", 1: "des-cbc-crc", 2: "des-cbc-md4", 3: "des-cbc-md5", 16: "des3-cbc-sha1", 24: "rc4-hmac-exp",
		25: "camellia128-cts-cmac", 26: "camellia256-cts-cmac", 99: "encryption type 99", -133: "encryption type -133",
	} {
		_, err := NewWrapper(Key{EType: etype, Value: make([]byte, 16)}, WrapperOptions{})
		bad, ok := errors.AsType[*UnsupportedError](err)
		if !ok || bad.EType != etype || err.Error() != "gss: "+name+" is not supported" || Supported(etype) {
			t.Errorf("a key of %s is refused\n got: %v", name, err)
		}
	}
	for _, etype := range etypes {
		if !Supported(etype) {
			t.Errorf("%s is supported", EncTypeName(etype))
		}
	}
}

func TestKeyLengths(t *testing.T) {
	for _, etype := range etypes {
		right := len(testKey(etype).Value)
		for n := range 70 {
			w, err := NewWrapper(Key{EType: etype, Value: make([]byte, n)}, WrapperOptions{})
			if (err == nil) != (n == right) || (w != nil) != (n == right) {
				t.Errorf("a key of %d bytes for %s\n got: %v", n, EncTypeName(etype), err)
			}
			if n == right && w.SSF() != 8*n {
				t.Errorf("%s has %d bits\n got: %d", EncTypeName(etype), 8*n, w.SSF())
			}
		}
	}
}

// Keys are not shown, nor is what they are kept in.
func TestNotShown(t *testing.T) {
	k := Key{EType: aes128SHA1, Value: []byte("chicken teriyaki")}
	w := newWrapper(t, k, WrapperOptions{})
	for _, v := range []any{k, &k, []Key{k}, struct{ K Key }{k}, w, *w} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q"} {
			if s := fmt.Sprintf(verb, v); !strings.Contains(s, "not shown") || strings.Contains(s, "chick") || strings.Contains(s, "6368") || strings.Contains(s, "99") {
				t.Errorf("%s of a %T shows nothing\n got: %s", verb, v, s)
			}
		}
	}
}

// The caller may wipe the key that it gave.
func TestKeyIsCopied(t *testing.T) {
	eachKind(t, func(t *testing.T, etype int32, private bool) {
		k := testKey(etype)
		w := newWrapper(t, k, WrapperOptions{AcceptorSubkey: true, SendSeq: 0x3ffffff0})
		clear(k.Value)
		_, acceptor := newPair(t, etype)
		mustOpen(t, acceptor, seal(t, w, text(9), private), text(9), private)
	})
}
