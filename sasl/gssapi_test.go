package sasl

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/imclient/imclient/sasl/krbtest"
)

// etypes are all encryption types, by their numbers.
var etypes = map[string]int32{"aes128": 17, "aes256": 18, "aes128sha2": 19, "aes256sha2": 20, "rc4": 23}

// newTicket makes a service imap/mail.example and a Kerberos that has a ticket for it,
// of alice's.
func newTicket(t testing.TB, etype int32) (*krbtest.Service, *Kerberos) {
	t.Helper()
	s, err := krbtest.NewService("imap/mail.example", etype)
	if err != nil {
		t.Fatal(err)
	}
	ticket, err := s.Ticket("alice", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ccache, config := filepath.Join(dir, "ccache"), filepath.Join(dir, "krb5.conf")
	if err := errors.Join(
		krbtest.WriteCCache(ccache, ticket),
		os.WriteFile(config, []byte("[libdefaults]\nallow_rc4 = true\n"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	return s, NewKerberos(KerberosOptions{CCache: ccache, Config: config})
}

func gssapiParams(prot Prot) Params {
	return Params{Service: "imap", Host: "mail.example", Prot: prot}
}

// start begins a login and does its work.
func start(t testing.TB, x Exchange) ([]byte, error) {
	t.Helper()
	step, err := x.Start()
	for err == nil && step.Work != nil {
		step, err = step.Work(context.Background())
	}
	return step.Response, err
}

// converse plays a login to its end. alter, if not nil, changes what the server says.
func converse(t testing.TB, x Exchange, a *krbtest.Acceptor, alter func(challenge int, token []byte) []byte) error {
	t.Helper()
	response, err := start(t, x)
	for err == nil {
		if x.Satisfied() != (a.Heard() == 2) {
			t.Fatalf("the exchange is satisfied when its third response is made\n got: %t, %d responses heard", x.Satisfied(), a.Heard())
		}
		var challenge []byte
		if challenge, err = a.Next(response); err != nil {
			return fmt.Errorf("server: %w", err)
		}
		if a.Layer != 0 {
			return nil
		}
		if alter != nil {
			challenge = alter(a.Heard(), challenge)
		}
		var step Step
		step, err = x.Next(challenge)
		response = step.Response
	}
	if x.Satisfied() {
		t.Error("after an error nothing satisfies")
	}
	if _, again := x.Next(nil); !errors.Is(again, ErrFinished) {
		t.Errorf("nor goes on\n got: %v", again)
	}
	return err
}

func TestGSSAPI(t *testing.T) {
	for name, etype := range etypes {
		for _, noKey := range []bool{false, true} {
			for prot, want := range map[Prot]struct {
				layer byte
				prot  Prot
				ssf   int
			}{
				0:                        {krbtest.None, ProtNone, 0},
				ProtNone:                 {krbtest.None, ProtNone, 0},
				ProtIntegrity:            {krbtest.Integrity, ProtIntegrity, 1},
				ProtNone | ProtIntegrity: {krbtest.Integrity, ProtIntegrity, 1},
				ProtPrivacy:              {krbtest.Privacy, ProtPrivacy, 256},
				ProtAny:                  {krbtest.Privacy, ProtPrivacy, 256},
			} {
				t.Run(fmt.Sprintf("%s/noKey=%t/%d", name, noKey, prot), func(t *testing.T) {
					s, k := newTicket(t, etype)
					a := s.Accept(krbtest.Options{NoKey: noKey})
					params := gssapiParams(prot)
					params.User = "bob"
					x := GSSAPI(k).New(params).(*gssapiExchange)
					if err := converse(t, x, a, nil); err != nil {
						t.Fatal(err)
					}
					if a.Client != "alice@"+krbtest.Realm || a.User != "bob" || a.Layer != want.layer || !bytes.Equal(a.Bound, make([]byte, 16)) {
						t.Errorf("the server knows who it is, for whom, and which layer is wanted\n got: %q %q %d %x", a.Client, a.User, a.Layer, a.Bound)
					}
					ssf := want.ssf
					if ssf == 256 && etype != 18 && etype != 20 {
						ssf = 128
					}
					if x.Prot() != want.prot || x.SSF() != ssf || (x.Layer() == nil) != (want.layer == krbtest.None) {
						t.Errorf("so does the client\n got: %v %d %v", x.Prot(), x.SSF(), x.Layer())
					}
					if want.layer == krbtest.None {
						if a.Max != 0 {
							t.Errorf("without a layer no packets are announced\n got: %d", a.Max)
						}
						return
					}
					echo(t, x.Layer(), a)
				})
			}
		}
	}
}

// echo sends data of many lengths there and back.
func echo(t *testing.T, l Layer, a *krbtest.Acceptor) {
	t.Helper()
	for _, n := range []int{1, 2, 15, 16, 17, 300, a.Room() - 1, a.Room(), a.Room() + 1, 3 * a.Room()} {
		data := bytes.Repeat([]byte("data"), n)[:n]
		if err := l.Write(data); err != nil {
			t.Fatal(err)
		}
		var got []byte
		for sent := l.Pending(); len(sent) > 0; {
			size := int(binary.BigEndian.Uint32(sent))
			plain, err := a.Decode(bytes.Clone(sent[4 : 4+size]))
			if err != nil {
				t.Fatal(err)
			}
			got, sent = append(got, plain...), sent[4+size:]
		}
		l.Sent(len(l.Pending()))
		if !bytes.Equal(got, data) {
			t.Fatalf("the server gets what was written\n got: %d bytes of %d", len(got), n)
		}
		var packets []byte
		for rest := data; len(rest) > 0; {
			k := min(len(rest), a.Room())
			var err error
			if packets, err = a.Encode(packets, rest[:k]); err != nil {
				t.Fatal(err)
			}
			rest = rest[k:]
		}
		l.Feed(packets)
		back := make([]byte, n+1)
		k := 0
		for {
			m, err := l.Read(back[k:])
			if err != nil {
				t.Fatal(err)
			}
			if k += m; m == 0 {
				break
			}
		}
		l.Keep()
		if !bytes.Equal(back[:k], data) {
			t.Fatalf("and the client what the server sends\n got: %d bytes of %d", k, n)
		}
	}
}
