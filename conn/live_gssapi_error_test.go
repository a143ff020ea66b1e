package conn_test

import (
	"crypto"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imclient/imclient/sasl"
)

// confLike writes a krb5.conf like the testbed's with some of its text replaced.
func confLike(t *testing.T, replace ...string) string {
	t.Helper()
	conf, err := os.ReadFile(fromBed(t, "KRB5_CONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.NewReplacer(replace...).Replace(string(conf))
	if changed == string(conf) {
		t.Fatalf("krb5.conf has the text %q:\n%s", replace, conf)
	}
	path := filepath.Join(t.TempDir(), "krb5.conf")
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// pastTicket is a cache with a ticket of USER's that ends while this waits.
func pastTicket(t *testing.T) (cache string) {
	t.Helper()
	cache = "FILE:" + filepath.Join(t.TempDir(), "ended")
	kinit := exec.Command("kinit", "-l", "1s", "-c", cache, "-k", "-t", fromBed(t, "KRB5_CLIENT_KEYTAB"), fromBed(t, "KRB5_PRINCIPAL"))
	kinit.Env = append(os.Environ(), "KRB5_CONFIG="+fromBed(t, "KRB5_CONFIG"))
	if output, err := kinit.CombinedOutput(); err != nil {
		t.Fatalf("kinit: %v: %s", err, output)
	}
	time.Sleep(time.Second) // it has been made before: now it is past
	return cache
}

// noTicket is a login for which there is no ticket.
type noTicket struct {
	name   string
	kind   sasl.KerberosKind
	host   string // "": a service that there is
	o      sasl.KerberosOptions
	passes []string // user and password, as variables of the testbed or as they are
	says   []string // what a person has to know
}

// noTickets are all the reasons that the testbed can give.
func noTickets(t *testing.T) []noTicket {
	t.Helper()
	there, realm, principal := fromBed(t, "KRB5_CCACHE"), fromBed(t, "KRB5_REALM"), fromBed(t, "KRB5_PRINCIPAL")
	missing := filepath.Join(t.TempDir(), "missing")
	past := pastTicket(t)
	deaf := confLike(t, fromBed(t, "KRB5_KDC"), "127.0.0.1:1")
	lost := confLike(t, "[domain_realm]", "[domain_realm]\n lost.test = LOST.TEST")
	narrow := confLike(t, "[libdefaults]", "[libdefaults]\n permitted_enctypes = aes128-cts-hmac-sha1-96")
	return []noTicket{
		{name: "no cache", kind: sasl.KerberosNoCredentials, o: sasl.KerberosOptions{CCache: "FILE:" + missing}, says: []string{missing, "kinit"}},
		{name: "no keytab", kind: sasl.KerberosNoCredentials, o: sasl.KerberosOptions{Keytab: missing}, says: []string{missing}},
		{name: "a cache of the kernel", kind: sasl.KerberosNoCredentials, o: sasl.KerberosOptions{CCache: "KEYRING:persistent:0"}, says: []string{"KEYRING:", "KRB5CCNAME=FILE:"}},
		{name: "a cache of a daemon", kind: sasl.KerberosNoCredentials, o: sasl.KerberosOptions{CCache: "KCM:"}, says: []string{"KCM:", "KRB5CCNAME=FILE:"}},
		{name: "another's cache", kind: sasl.KerberosNoCredentials, o: sasl.KerberosOptions{CCache: there, Principal: "somebody@" + realm}, says: []string{"somebody@" + realm, principal, there}},
		{name: "ended", kind: sasl.KerberosExpired, o: sasl.KerberosOptions{CCache: past}, says: []string{principal, "ended at " + time.Now().Format("2006-"), past}},
		{name: "unknown service", kind: sasl.KerberosUnknownService, host: "unknown.test", o: sasl.KerberosOptions{CCache: there}, says: []string{"imap/unknown.test@" + realm}},
		{name: "no KDC", kind: sasl.KerberosNoKDC, o: sasl.KerberosOptions{CCache: there, Config: deaf}, says: []string{"127.0.0.1:1 ", realm, deaf}},
		{name: "wrong password", kind: sasl.KerberosWrongPassword, passes: []string{fromBed(t, "USER"), "hunter2"}, says: []string{principal}},
		{name: "wrong password, found by the client", kind: sasl.KerberosWrongPassword, passes: []string{fromBed(t, "USER2"), "hunter2"}, says: []string{fromBed(t, "USER2") + "@" + realm}},
		{name: "unknown client", kind: sasl.KerberosUnknownClient, passes: []string{"nobody", "hunter2"}, says: []string{"nobody@" + realm}},
		{name: "no way to the realm", kind: sasl.KerberosWrongRealm, host: "lost.test", o: sasl.KerberosOptions{CCache: there, Config: lost}, says: []string{"LOST.TEST", realm, lost}},
		{name: "a type that we have not", kind: sasl.KerberosEncType, host: "camellia256.test", o: sasl.KerberosOptions{CCache: there}, says: []string{"imap/camellia256.test@" + realm, "permitted_enctypes"}},
		{name: "a type that we must not use", kind: sasl.KerberosEncType, host: "aes256sha2.test", o: sasl.KerberosOptions{Keytab: fromBed(t, "KRB5_CLIENT_KEYTAB"), Config: narrow}, says: []string{"imap/aes256sha2.test@" + realm, narrow}},
	}
}

// Where there is no ticket the error says why, the server hears nothing of it, and
// another mechanism logs in.
func TestDovecotAndCyrusKerberosWithoutTicket(t *testing.T) {
	cases := noTickets(t)
	eachPlace(t, "", func(t *testing.T, p livePlace) {
		if p.version != 0 {
			return // KDCs are not asked through it
		}
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				if c.passes != nil {
					c.o.Provider = sasl.Static(sasl.Credentials{Username: c.passes[0], Password: []byte(c.passes[1])})
				}
				if c.host == "" {
					c.host = "aes128.test"
				}
				k := kerberos(t, c.o)
				s := p.dialAs(t, c.host)
				before := s.Stats().BytesOut
				err := s.kerberized("", sasl.ProtAny, k)
				if kerberosKind(err) != c.kind || !errors.Is(err, sasl.ErrNoCredentials) {
					t.Errorf("the kind of the error is %q, and there are no credentials\n got: %q, %v", c.kind, kerberosKind(err), err)
				}
				for _, word := range c.says {
					if err != nil && !strings.Contains(err.Error(), word) {
						t.Errorf("the error says %q\n got: %v", word, err)
					}
				}
				if err != nil && strings.Contains(err.Error(), "hunter2") {
					t.Errorf("and no secret\n got: %v", err)
				}
				if sent := s.Stats().BytesOut - before; sent != 0 {
					t.Errorf("the server hears nothing of it\n got: %d bytes", sent)
				}
				s.checkOtherwise(k)
				same(t, "the login is by the next mechanism alone", s.tried(), []string{"SCRAM-SHA-1"})
			})
		}
	})
}

// checkOtherwise logs in with a password where GSSAPI cannot.
func (s *session) checkOtherwise(k *sasl.Kerberos) {
	s.t.Helper()
	scram := sasl.SCRAM(crypto.SHA1, sasl.Static(inBed(s.t, "USER", "PASSWORD")), sasl.SCRAMOptions{})
	if err := s.Authenticate([]sasl.Mechanism{sasl.GSSAPI(k), scram}, "imap", "", sasl.ProtAny); err != nil {
		s.t.Fatalf("another mechanism logs in: %v", err)
	}
	if got := s.SASL().Mechanism; got != "SCRAM-SHA-1" {
		s.t.Errorf("another mechanism logs in\n got: %s", got)
	}
	s.checkReader()
}

// A ticket that the server has no key for is refused like any login, and dropped.
func TestDovecotAndCyrusKerberosWithoutKey(t *testing.T) {
	eachPlace(t, "", func(t *testing.T, p livePlace) {
		if p.version != 0 {
			return
		}
		k := ticket(t)
		s := p.dialAs(t, "nokeytab.test")
		if err := s.kerberized("", sasl.ProtAny, k); !errors.Is(err, sasl.ErrAuthFailed) || errors.Is(err, sasl.ErrNoCredentials) {
			t.Errorf("the server refuses the ticket\n got: %v", err)
		}
		s.checkOtherwise(k)
		same(t, "all that was sent", s.tried(), []string{"GSSAPI", "GSSAPI", "SCRAM-SHA-1"})
		if got := k.Stats(); got.TGSRequests != 2 || got.Kept != 1 { // the ticket to ask by
			t.Errorf("a refused ticket is fetched anew\n got: %+v", got)
		}
	})
}

// shifted is a copy of USER's cache in which the KDC's clock is said to be an hour ahead
// of ours, as MIT's library notes where it was so.
func shifted(t *testing.T) (cache string) {
	t.Helper()
	was, err := os.ReadFile(strings.TrimPrefix(fromBed(t, "KRB5_CCACHE"), "FILE:"))
	if err != nil {
		t.Fatal(err)
	}
	const offset = "\x05\x04\x00\x0c\x00\x01\x00\x08" // format 4; 12 bytes of header: DeltaTime
	if !strings.HasPrefix(string(was), offset) {
		t.Fatalf("the cache begins with the KDC's clock: %q", was[:min(20, len(was))])
	}
	binary.BigEndian.PutUint32(was[len(offset):], 3600)
	path := filepath.Join(t.TempDir(), "shifted")
	if err := os.WriteFile(path, was, 0o600); err != nil {
		t.Fatal(err)
	}
	return "FILE:" + path
}

// Where the clocks are not as the cache has it the KDC says what its own is, and the login
// goes by that.
func TestDovecotAndCyrusKerberosClocks(t *testing.T) {
	cache := shifted(t)
	eachPlace(t, "", func(t *testing.T, p livePlace) {
		if p.version != 0 {
			return
		}
		k := kerberos(t, sasl.KerberosOptions{CCache: cache})
		s := p.dial(t)
		if err := s.kerberized("", sasl.ProtAny, k); err != nil {
			t.Fatalf("the ticket logs in: %v", err)
		}
		s.checkReader()
		if got := k.Stats(); got.TGSRequests != 2 {
			t.Errorf("the KDC refuses the request by the wrong clock\n got: %+v", got)
		}
	})
}
