package sasl

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imclient/imclient/sasl/krbtest"
)

// nothingSet has the environment say nothing of Kerberos.
func nothingSet(t *testing.T) {
	t.Helper()
	none := filepath.Join(t.TempDir(), "none")
	t.Setenv("KRB5_CONFIG", "/dev/null")
	t.Setenv("KRB5CCNAME", "FILE:"+none+".ccache")
	t.Setenv("KRB5_CLIENT_KTNAME", "FILE:"+none+".keytab")
}

func TestKerberosBinding(t *testing.T) {
	s, k := newTicket(t, 18)
	bound := func(kind string) ([]byte, error) {
		if kind != "tls-server-end-point" {
			return nil, errors.New("not of this connection")
		}
		return []byte("hash"), nil
	}
	hash := md5.Sum(append(append(make([]byte, 16), 25, 0, 0, 0), "tls-server-end-point:hash"...))
	for _, tc := range []struct {
		option  string
		binding func(string) ([]byte, error)
		want    []byte
		err     error
	}{
		{"", bound, make([]byte, 16), nil},
		{"tls-server-end-point", nil, make([]byte, 16), nil},
		{"tls-server-end-point", bound, hash[:], nil},
		{"tls-unique", bound, nil, ErrNoBinding},
	} {
		k.options.Binding = tc.option
		params := gssapiParams(ProtNone)
		params.Binding = tc.binding
		a := s.Accept(krbtest.Options{})
		err := converse(t, GSSAPI(k).New(params), a, nil)
		if !errors.Is(err, tc.err) || !bytes.Equal(a.Bound, tc.want) {
			t.Errorf("bound by %q: %x, %v\n got: %x, %v", tc.option, tc.want, tc.err, a.Bound, err)
		}
	}
}

func TestGSSAPIFlags(t *testing.T) {
	s, k := newTicket(t, 18)
	for prot, want := range map[Prot]uint32{ProtNone: 0x0e, ProtIntegrity: 0x2e, ProtPrivacy: 0x3e, ProtAny: 0x3e} {
		a := s.Accept(krbtest.Options{})
		if err := converse(t, GSSAPI(k).New(gssapiParams(prot)), a, nil); err != nil || a.Flags != want {
			t.Errorf("the context is asked for what %d needs: %#x\n got: %#x, %v", prot, want, a.Flags, err)
		}
	}
}

// The server's maximum is obeyed, and ours announced.
func TestGSSAPISizes(t *testing.T) {
	for _, etype := range etypes {
		for _, prot := range []Prot{ProtIntegrity, ProtPrivacy} {
			s, k := newTicket(t, etype)
			for _, theirs := range []int{110, 4096, 65535, 1<<24 - 1} {
				a := s.Accept(krbtest.Options{Max: theirs})
				params := gssapiParams(prot)
				params.MaxReceive = 5000
				x := GSSAPI(k).New(params).(*gssapiExchange)
				if err := converse(t, x, a, nil); err != nil {
					t.Fatal(err)
				}
				if a.Max != 5000 {
					t.Errorf("we take 5000 bytes\n got: %d", a.Max)
				}
				l := x.Layer()
				if err := l.Write(make([]byte, 200_000)); err != nil {
					t.Fatal(err)
				}
				longest := 0
				for b := l.Pending(); len(b) > 0; {
					n := int(binary.BigEndian.Uint32(b))
					longest, b = max(longest, n), b[4+n:]
				}
				if most := min(theirs, maxPacket); longest > most || longest < most-10 {
					t.Errorf("packets are as long as the server takes, and we send: %d\n got: %d", most, longest)
				}
			}
		}
	}
}

// A ticket that a server did not want is not used again; one is, with which a
// connection broke off.
func TestKerberosTicketDropped(t *testing.T) {
	nothingSet(t)
	for _, tc := range []struct {
		ended error
		again bool
	}{
		{nil, true},
		{context.Canceled, true},
		{ErrPrematureOK, true},
		{fmt.Errorf("%w: NO", ErrAuthFailed), false},
		{ErrNotProved, false},
		{&KerberosError{Kind: KerberosRefused, Code: 45}, false},
	} {
		_, k := newTicket(t, 18)
		x := GSSAPI(k).New(gssapiParams(ProtNone))
		if _, err := start(t, x); err != nil {
			t.Fatal(err)
		}
		x.(Outcome).Done(tc.ended)
		_, err := start(t, GSSAPI(k).New(gssapiParams(ProtNone)))
		if again := err == nil; again != tc.again {
			t.Errorf("after %v the ticket is good: %t\n got: %v", tc.ended, tc.again, err)
		}
	}
}

func TestKerberosWithoutTicket(t *testing.T) {
	nothingSet(t)
	asked := 0
	provider := func(c Credentials, err error) Provider {
		return ProviderFunc(func(_ context.Context, ask Ask) (Credentials, error) {
			if asked++; ask.Mechanism != "GSSAPI" || ask.Host != "mail.example" {
				t.Errorf("the provider is told what for\n got: %+v", ask)
			}
			return c, err
		})
	}
	for name, tc := range map[string]struct {
		options KerberosOptions
		kind    KerberosKind
		says    string
		asks    int
	}{
		"nothing":          {KerberosOptions{}, KerberosNoCredentials, "KRB5CCNAME", 0},
		"another store":    {KerberosOptions{CCache: "KEYRING:persistent:0"}, KerberosNoCredentials, "FILE:", 0},
		"no such keytab":   {KerberosOptions{Keytab: "/no/such/keytab"}, KerberosNoCredentials, "/no/such/keytab", 0},
		"no password":      {KerberosOptions{Provider: provider(Credentials{Username: "alice@X"}, nil)}, KerberosNoCredentials, "no password; see the provider", 1},
		"no realm":         {KerberosOptions{Provider: provider(Credentials{Username: "alice", Password: []byte("p")}, nil)}, KerberosWrongRealm, "default_realm", 1},
		"no configuration": {KerberosOptions{Config: "/no/such/krb5.conf"}, KerberosBadFile, "/no/such/krb5.conf", 0},
	} {
		t.Run(name, func(t *testing.T) {
			asked = 0
			_, err := start(t, GSSAPI(NewKerberos(tc.options)).New(gssapiParams(ProtNone)))
			var e *KerberosError
			if !errors.As(err, &e) || e.Kind != tc.kind || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("it is said what is wrong, and where to look: %q\n got: %v, %+v", tc.says, err, e)
			}
			if !errors.Is(err, ErrNoCredentials) {
				t.Error("another mechanism may be tried: nothing was sent")
			}
			if asked != tc.asks {
				t.Errorf("the provider is asked %d times\n got: %d", tc.asks, asked)
			}
		})
	}
	bad, dir := filepath.Join(t.TempDir(), "krb5.conf"), t.TempDir()
	if err := os.WriteFile(bad, []byte("[libdefaults]\n\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for says, options := range map[string]KerberosOptions{bad + " line 3": {Config: bad}, "not a regular file": {CCache: dir}} {
		if _, err := start(t, GSSAPI(NewKerberos(options)).New(gssapiParams(ProtNone))); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("it is said why a file cannot be read: %q\n got: %v", says, err)
		}
	}
	gone := errors.New("the keyring is locked")
	_, err := start(t, GSSAPI(NewKerberos(KerberosOptions{Provider: provider(Credentials{}, gone)})).New(gssapiParams(ProtNone)))
	if _, ok := errors.AsType[*ProviderError](err); !ok || !errors.Is(err, gone) {
		t.Errorf("the provider's error is the provider's\n got: %v", err)
	}
}

func TestGSSAPIReady(t *testing.T) {
	_, k := newTicket(t, 18)
	for user, good := range map[string]bool{"": true, "bob": true, "bób": true, "b\x00b": false, "b\xff": false} {
		err := GSSAPI(k).(Prepared).Ready(Params{User: user})
		if good != (err == nil) || err != nil && !errors.Is(err, ErrNoCredentials) {
			t.Errorf("an authorization identity is UTF-8 without NUL: %q\n got: %v", user, err)
		}
	}
}

func TestKerberosStats(t *testing.T) {
	_, k := newTicket(t, 18)
	for range 3 {
		if _, err := start(t, GSSAPI(k).New(gssapiParams(ProtNone))); err != nil {
			t.Fatal(err)
		}
	}
	if s := k.Stats(); s.Hits != 2 || s.Kept != 1 || s.ASRequests+s.TGSRequests+s.Failures+s.Waits != 0 {
		t.Errorf("the first login reads the cache, two find the ticket\n got: %+v", s)
	}
}
