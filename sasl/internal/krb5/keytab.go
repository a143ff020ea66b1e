package krb5

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/jcmturner/gokrb5/v8/types"
)

const keytabLimit = 1 << 20

// Keytab is a file of keys as it was when it was read. Any goroutine may read it. It
// does not show by fmt.
type Keytab struct {
	Name Setting
	opaque
	keys   []KeytabKey
	stamps stamps
}

// KeytabKey is one key of a keytab. It does not show by fmt.
type KeytabKey struct {
	Principal Principal
	KVNO      uint32 // the key's version
	Written   time.Time
	Key       types.EncryptionKey
}

// Format implements [fmt.Formatter].
func (k KeytabKey) Format(f fmt.State, verb rune) {
	fmt.Fprintf(f, "(key %d of %v, type %d)", k.KVNO, k.Principal, k.Key.KeyType)
}

// LoadKeytab reads the keytab of a name as MIT has them: FILE:/path, WRFILE:/path or a
// bare path. Errors are *Error: NoCredentials where there is none, else BadFile.
func LoadKeytab(name Setting) (*Keytab, error) {
	kind, path := splitName(name.Value)
	if kind != "FILE" && kind != "WRFILE" {
		return nil, &Error{What: "keytabs of the kind " + kind + ": cannot be read here, only FILE: can", Look: name.String(), Kind: NoCredentials}
	}
	data, at, err := readFile(path, keytabLimit)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &Error{What: "there is no keytab", Look: name.String(), Kind: NoCredentials, Err: err}
	case err != nil:
		return nil, &Error{What: "the keytab cannot be read", Look: name.String(), Kind: BadFile, Err: err}
	case len(data) == 0:
		return nil, &Error{What: "the keytab is empty", Look: name.String(), Kind: NoCredentials}
	}
	keys, what := parseKeytab(data)
	if what != "" {
		return nil, &Error{What: "the keytab is damaged: " + what, Look: name.String(), Kind: BadFile}
	}
	return &Keytab{Name: name, keys: keys, stamps: stamps{at}}, nil
}

// Changed tells whether the file is another one now than when it was read.
func (k *Keytab) Changed() bool { return k.stamps.changed() }

// Principals returns whose keys there are, in the file's order: MIT's programs take
// the first where none is named.
func (k *Keytab) Principals() []Principal {
	var list []Principal
	for _, key := range k.keys {
		if !slices.ContainsFunc(list, key.Principal.Equal) {
			list = append(list, key.Principal)
		}
	}
	return list
}

// Keys returns a principal's keys, the newest version first, and of one version in the
// file's order. None is no error.
func (k *Keytab) Keys(p Principal) []KeytabKey {
	var keys []KeytabKey
	var newest KeytabKey
	for _, key := range k.keys {
		if !key.Principal.Equal(p) {
			continue
		}
		if len(keys) == 0 || moreRecent(key, newest) {
			newest = key
		}
		keys = append(keys, key)
	}
	slices.SortStableFunc(keys, func(a, b KeytabKey) int {
		if aNew, bNew := a.KVNO == newest.KVNO, b.KVNO == newest.KVNO; aNew != bNew {
			if aNew {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.KVNO, a.KVNO)
	})
	return keys
}

// moreRecent is MIT's rule: versions that were stored in 8 bits begin anew behind 255,
// so that a small one which was not written earlier than a large one is the newer.
func moreRecent(a, b KeytabKey) bool {
	switch {
	case !b.Written.After(a.Written) && a.KVNO < 128 && b.KVNO > 240:
		return true
	case !a.Written.After(b.Written) && a.KVNO > 240 && b.KVNO < 128:
		return false
	}
	return a.KVNO > b.KVNO
}

// parseKeytab reads MIT's file format
// (https://web.mit.edu/kerberos/krb5-devel/doc/formats/keytab_file_format.html), both
// versions of it. Keys alias data. It says what is wrong; "" if nothing is.
func parseKeytab(data []byte) (keys []KeytabKey, what string) {
	r := reader{rest: data, total: len(data), order: binary.BigEndian}
	magic := r.uint16()
	switch {
	case !r.ok():
		return nil, r.what
	case magic == 0x0501:
		r.order = binary.NativeEndian
	case magic != 0x0502:
		return nil, fmt.Sprintf("it begins with %#04x, where 0x0501 and 0x0502 are keytabs", magic)
	}
	for r.ok() && len(r.rest) > 0 {
		size := int32(r.uint32())
		switch {
		case size == 0:
			return keys, r.what // what follows is no entry: the file was made larger than it had to be
		case size < 0:
			r.bytes(-uint32(size)) // a hole that a removed key left
		default:
			entry := reader{order: r.order, total: r.total - len(r.rest) + int(size)}
			if entry.rest = r.bytes(uint32(size)); entry.rest == nil {
				break
			}
			keys = append(keys, entry.keytabKey(magic == 0x0501))
			if !entry.ok() {
				r.fail(fmt.Sprintf("entry %d: %s", len(keys), entry.what))
			}
		}
	}
	return keys, r.what
}

// keytabKey reads one entry. Version 1 counts the realm and has no type of a name.
func (r *reader) keytabKey(version1 bool) (k KeytabKey) {
	n := uint32(r.uint16())
	if version1 {
		if n == 0 {
			r.fail("a principal has no realm")
		}
		n--
	}
	count := r.components(n)
	k.Principal.Realm = string(r.data16())
	for i := 0; i < count && r.ok(); i++ {
		k.Principal.Names = append(k.Principal.Names, string(r.data16()))
	}
	if !version1 {
		k.Principal.Type = int32(r.uint32())
	}
	k.Written = r.time()
	k.KVNO = uint32(r.uint8())
	k.Key.KeyType = int32(int16(r.uint16()))
	k.Key.KeyValue = r.data16()
	if len(r.rest) >= 4 {
		if kvno := r.uint32(); kvno != 0 {
			k.KVNO = kvno // what has room for more than 8 bits
		}
	}
	if r.ok() && !goodKey(k.Key.KeyType, k.Key.KeyValue) {
		r.fail("the key has not the length that its encryption type has")
	}
	return k
}

func (r *reader) data16() []byte { return r.bytes(uint32(r.uint16())) }
