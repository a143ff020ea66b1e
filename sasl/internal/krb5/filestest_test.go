package krb5

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/types"
)

// writeCCache writes a cache of version 4, whose KDC's clock is ahead by offset.
func writeCCache(t testing.TB, path string, offset time.Duration, client Principal, tickets ...*Ticket) {
	t.Helper()
	be := binary.BigEndian
	data := func(b, d []byte) []byte { return append(be.AppendUint32(b, uint32(len(d))), d...) }
	principal := func(b []byte, p Principal) []byte {
		b = be.AppendUint32(b, uint32(p.Type))
		b = data(be.AppendUint32(b, uint32(len(p.Names))), []byte(p.Realm))
		for _, n := range p.Names {
			b = data(b, []byte(n))
		}
		return b
	}
	seconds := func(b []byte, at time.Time) []byte {
		if at.IsZero() {
			return be.AppendUint32(b, 0)
		}
		return be.AppendUint32(b, uint32(at.Unix()))
	}
	b := []byte{5, 4, 0, 12, 0, 1, 0, 8}
	b = be.AppendUint32(b, uint32(int32(offset/time.Second)))
	b = be.AppendUint32(b, 0)
	b = principal(b, client)
	for _, k := range tickets {
		b = principal(principal(b, k.Client), k.Server)
		b = data(be.AppendUint16(b, uint16(k.Key.KeyType)), k.Key.KeyValue)
		b = seconds(seconds(seconds(seconds(b, k.AuthTime), k.Start), k.End), k.RenewTill)
		b = append(b, 0)
		b = be.AppendUint32(b, k.Flags)
		b = be.AppendUint32(be.AppendUint32(b, 0), 0)
		b = data(data(b, k.DER), nil)
	}
	replaceFile(t, path, b)
}

// replaceFile makes it another file, as kinit does.
func replaceFile(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// writeKeytab writes keys of a principal.
func writeKeytab(t testing.TB, path, name string, kvno byte, keys ...types.EncryptionKey) {
	t.Helper()
	p := must(Parse(name))
	be := binary.BigEndian
	data := func(b, d []byte) []byte { return append(be.AppendUint16(b, uint16(len(d))), d...) }
	b := []byte{5, 2}
	for _, k := range keys {
		e := data(be.AppendUint16(nil, uint16(len(p.Names))), []byte(p.Realm))
		for _, n := range p.Names {
			e = data(e, []byte(n))
		}
		e = be.AppendUint32(be.AppendUint32(e, uint32(p.Type)), 1)
		e = data(be.AppendUint16(append(e, kvno), uint16(k.KeyType)), k.KeyValue)
		b = append(be.AppendUint32(b, uint32(len(e))), e...)
	}
	replaceFile(t, path, b)
}

// byKeytab are options of a login with alice's key and nothing of the machine's.
func byKeytab(t testing.TB, k *testKDC, conf string) Options {
	path := filepath.Join(t.TempDir(), "alice.keytab")
	writeKeytab(t, path, "alice@"+testRealm, 1, k.keys["alice@"+testRealm]...)
	return Options{Config: conf, Keytab: path, Getenv: func(string) string { return "" }}
}

// tgt is a ticket granting ticket as kinit would have got it.
func (k *testKDC) tgt(client string, start time.Time, life, renew time.Duration) *Ticket {
	c := must(Parse(client))
	server := TGS(c.Realm, c.Realm)
	session := types.EncryptionKey{KeyType: aes256SHA1, KeyValue: make([]byte, 32)}
	start = start.Truncate(time.Second)
	t := &Ticket{Client: c, Server: server, Key: session, Flags: FlagInitial, AuthTime: start, Start: start, End: start.Add(life)}
	if renew > 0 {
		t.Flags |= FlagRenewable
		t.RenewTill = start.Add(renew)
	}
	t.DER = k.sealTicket(c, server, session, t.Flags, start, t.End, t.RenewTill)
	return t
}

func readText(path string) (string, error) {
	b, err := os.ReadFile(path)
	return string(b), err
}
