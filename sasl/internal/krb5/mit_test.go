package krb5

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/types"
)

// The tests named TestMIT ask the KDC of cmd/testbed, which is MIT's:
//
//	go run ./cmd/testbed go test ./sasl/internal/krb5

// fromBed returns a variable of the testbed. Without one it skips the test.
func fromBed(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv("IMCLIENT_TEST_" + name)
	if value == "" {
		t.Skip("needs the testbed: go run ./cmd/testbed go test ./sasl/internal/krb5")
	}
	return value
}

// mitOptions are those of a login in the testbed's realm, with a password.
func mitOptions(t *testing.T, principal, password string) Options {
	return Options{
		Config: fromBed(t, "KRB5_CONFIG"), CCache: "/nonexistent/ccache",
		Getenv:   func(string) string { return "" },
		Password: func(context.Context) (string, []byte, error) { return principal, []byte(password), nil },
	}
}

func mitAlice(t *testing.T) Options {
	return mitOptions(t, fromBed(t, "KRB5_PRINCIPAL"), fromBed(t, "KRB5_PASSWORD"))
}

// mitConf is the testbed's configuration, altered.
func mitConf(t *testing.T, alter func(string) string) string {
	path := filepath.Join(t.TempDir(), "krb5.conf")
	replaceFile(t, path, []byte(alter(must(readText(fromBed(t, "KRB5_CONFIG"))))))
	return path
}

// checkMIT opens a ticket as the service does, and has klist(1) read it.
func checkMIT(t *testing.T, ticket *Ticket) {
	t.Helper()
	ccache := filepath.Join(t.TempDir(), "ccache")
	writeCCache(t, ccache, 0, ticket.Client, ticket)
	keytab, err := LoadKeytab(Setting{Value: fromBed(t, "KRB5_SERVICE_KEYTAB")})
	if err != nil {
		t.Fatal(err)
	}
	var clear clearTicket
	if err := parseDER(ticket.DER, &clear, application(tagTicket)); err != nil {
		t.Fatal(err)
	}
	var keys []types.EncryptionKey
	for _, k := range keytab.Keys(ticket.Server) {
		if k.Key.KeyType == clear.Enc.EType {
			keys = append(keys, k.Key)
		}
	}
	var part encTicket
	plain := tryKeys(keys, 2, clear.Enc.Cipher)
	if plain == nil || parseDER(plain, &part, application(3)) != nil || !bytes.Equal(part.Key.Value, ticket.Key.KeyValue) {
		t.Errorf("%v cannot be opened by the service", ticket)
	}
	cmd := exec.Command("klist", "-c", ccache)
	cmd.Env = []string{"KRB5_CONFIG=" + fromBed(t, "KRB5_CONFIG"), "PATH=" + os.Getenv("PATH")}
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte(ticket.Server.String())) {
		t.Errorf("klist: %v: %s", err, out)
	}
}

func TestMITEncryptionTypes(t *testing.T) {
	keytabs := fromBed(t, "KRB5_CLIENT_KEYTABS")
	password := New(mitAlice(t))
	for host, etype := range map[string]int32{"aes256": aes256SHA1, "aes128": aes128SHA1, "aes256sha2": aes256SHA384, "aes128sha2": aes128SHA256, "rc4": rc4HMAC} {
		keytab := New(Options{Config: fromBed(t, "KRB5_CONFIG"), Keytab: filepath.Join(keytabs, host+".keytab"), Getenv: func(string) string { return "" }})
		for _, f := range []*Fleet{password, keytab} {
			ticket, err := f.Ticket(context.Background(), "imap", host+".test")
			if err != nil {
				t.Error(host, err)
				continue
			}
			if ticket.Key.KeyType != etype {
				t.Errorf("the session key for %v is of the type %d", ticket, ticket.Key.KeyType)
			}
			checkMIT(t, ticket)
		}
		if s := keytab.Stats(); s.AS != 2 || s.TGS != 1 {
			t.Errorf("%s: %+v", host, s)
		}
	}
	if s := password.Stats(); s.AS != 2 || s.TGS != 5 {
		t.Errorf("%+v", s)
	}
	if _, err := password.Ticket(context.Background(), "imap", "camellia256.test"); kindOf(t, err) != EncType {
		t.Error(err)
	}
	o := Options{Config: fromBed(t, "KRB5_CONFIG"), Keytab: filepath.Join(keytabs, "camellia256.keytab"), Getenv: func(string) string { return "" }}
	if _, err := New(o).Ticket(context.Background(), "imap", "localhost"); kindOf(t, err) != EncType {
		t.Error(err)
	}
}

// Each of the types as the only one that we take, with a password: its salt and
// parameters are the KDC's to say.
func TestMITPasswordInEachType(t *testing.T) {
	var heard [][]byte
	for _, e := range []int32{aes256SHA1, aes128SHA1, aes256SHA384, aes128SHA256, rc4HMAC} {
		o := mitAlice(t)
		o.Config = mitConf(t, func(s string) string {
			return strings.Replace(s, "[libdefaults]", "[libdefaults]\ndefault_tkt_enctypes = "+etypeText(e)+" aes256-cts", 1)
		})
		f := New(o)
		f.o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, address)
			return &eavesdropper{c, &heard}, err
		}
		heard = heard[:0]
		if _, err := f.Ticket(context.Background(), "imap", "localhost"); err != nil {
			t.Error(etypeText(e), err)
		}
		if len(heard) != 3 {
			t.Fatalf("%d answers", len(heard))
		}
		if rep, _, err := parseRep(heard[1], msgASRep); err != nil || rep.Enc.EType != e {
			t.Errorf("the AS-REP is not in %s, %v", etypeText(e), err)
		}
	}
}

// eavesdropper keeps what comes by UDP.
type eavesdropper struct {
	net.Conn
	heard *[][]byte
}

func (e *eavesdropper) Read(b []byte) (int, error) {
	n, err := e.Conn.Read(b)
	if err == nil {
		*e.heard = append(*e.heard, bytes.Clone(b[:n]))
	}
	return n, err
}

func TestMITCCache(t *testing.T) {
	o := Options{Config: fromBed(t, "KRB5_CONFIG"), CCache: fromBed(t, "KRB5_CCACHE"), Getenv: func(string) string { return "" }}
	for name, network := range map[string]string{"udp": "udp/", "tcp": "tcp/", "both": ""} {
		o.Config = mitConf(t, func(s string) string { return strings.ReplaceAll(s, " kdc = ", " kdc = "+network) })
		f := New(o)
		ticket, err := f.Ticket(context.Background(), "imap", "localhost")
		if err != nil {
			t.Fatal(name, err)
		}
		checkMIT(t, ticket)
		if s := f.Stats(); s.AS != 0 || s.TGS != 1 || s.Kept != 2 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestMITRefusals(t *testing.T) {
	alice, realm := fromBed(t, "KRB5_PRINCIPAL"), fromBed(t, "KRB5_REALM")
	ask := func(o Options, host string) error {
		_, err := New(o).Ticket(context.Background(), "imap", host)
		return err
	}
	for _, c := range []struct {
		kind Kind
		err  error
		says string
	}{
		{WrongPassword, ask(mitOptions(t, alice, "wrong"), "localhost"), "the password or key of " + alice + " is wrong"},
		{WrongPassword, ask(mitOptions(t, os.Getenv("IMCLIENT_TEST_USER2"), "wrong"), "localhost"), "is wrong"},
		{UnknownClient, ask(mitOptions(t, "nobody", "x"), "localhost"), "the realm " + realm + " does not know nobody@" + realm},
		{UnknownService, ask(mitAlice(t), "unheard-of.test"), "does not know the service imap/unheard-of.test@" + realm},
		{UnknownService, ask(mitAlice(t), "elsewhere.invalid"), "does not name that of elsewhere.invalid"},
		{NoKDC, ask(mitOptions(t, "alice@NOWHERE.INVALID", "x"), "localhost"), "kdc in [realms] NOWHERE.INVALID in "},
	} {
		if kindOf(t, c.err) != c.kind || !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("%v: %v", c.kind, c.err)
		}
	}
	if err := ask(mitOptions(t, os.Getenv("IMCLIENT_TEST_USER2"), os.Getenv("IMCLIENT_TEST_PASSWORD2")), "localhost"); err != nil {
		t.Error("without pre-authentication: ", err)
	}
}

// The ticket that ends after ten seconds: it is renewed while it can be, and then it
// has ended. The time goes by at our end only.
func TestMITShortLife(t *testing.T) {
	f := New(mitOptions(t, fromBed(t, "KRB5_SHORTPRINCIPAL"), fromBed(t, "KRB5_SHORTPASSWORD")))
	if _, err := f.Ticket(context.Background(), "imap", "localhost"); err != nil {
		t.Fatal(err)
	}
	var tgt *Ticket
	for e := f.recent.Front(); e != nil; e = e.Next() {
		if k := e.Value.(*kept).ticket; isTGS(k.Server) {
			tgt = k
		}
	}
	ccache := filepath.Join(t.TempDir(), "ccache")
	writeCCache(t, ccache, 0, tgt.Client, tgt)
	c := &clock{at: tgt.End.Add(-500 * time.Millisecond)}
	o := Options{Config: fromBed(t, "KRB5_CONFIG"), CCache: ccache, Now: c.now, Getenv: func(string) string { return "" }}
	f = New(o)
	if _, err := f.Ticket(context.Background(), "imap", "localhost"); err != nil {
		t.Error(err)
	}
	if s := f.Stats(); s.AS != 0 || s.TGS != 2 {
		t.Errorf("not renewed: %+v", s)
	}
	c.add(time.Second)
	_, err := New(o).Ticket(context.Background(), "imap", "localhost")
	if kindOf(t, err) != Expired || !strings.Contains(err.Error(), timeText(tgt.End)) || !strings.Contains(err.Error(), ccache) {
		t.Error(err)
	}
}

func TestMITClockSkew(t *testing.T) {
	for _, d := range []time.Duration{20 * time.Minute, -20 * time.Minute} {
		o := mitAlice(t)
		o.Now = func() time.Time { return time.Now().Add(d) }
		ticket, err := New(o).Ticket(context.Background(), "imap", "localhost")
		if err != nil {
			t.Fatal(err)
		}
		if off := ticket.Offset + d; off.Abs() > 5*time.Second {
			t.Errorf("the KDC is taken to be %v ahead", ticket.Offset)
		}
		checkMIT(t, ticket)
		o.Config = mitConf(t, func(s string) string {
			return strings.Replace(s, "[libdefaults]", "[libdefaults]\nkdc_timesync = false", 1)
		})
		_, err = New(o).Ticket(context.Background(), "imap", "localhost")
		if kindOf(t, err) != ClockSkew || !regexp.MustCompile(`our clock is (20m0|19m59|19m58|20m1)s (ahead of|behind) that of the KDC 127`).MatchString(err.Error()) {
			t.Error(err)
		}
	}
}

func TestMITOtherRealms(t *testing.T) {
	far, deep := fromBed(t, "KRB5_FARHOST"), fromBed(t, "KRB5_DEEPHOST")
	for _, conf := range []string{
		fromBed(t, "KRB5_CONFIG"),
		// Without [domain_realm] only the KDC knows.
		mitConf(t, func(s string) string { return strings.Replace(s, "[domain_realm]", "[nothing]", 1) }),
	} {
		o := mitAlice(t)
		o.Config = conf
		f := New(o)
		for host, realm := range map[string]string{far: fromBed(t, "KRB5_FARREALM"), deep: fromBed(t, "KRB5_DEEPREALM")} {
			ticket, err := f.Ticket(context.Background(), "imap", host)
			if err != nil {
				t.Error(host, err)
				continue
			}
			if ticket.Server.Realm != realm || ticket.Client.Realm != fromBed(t, "KRB5_REALM") {
				t.Errorf("%v", ticket)
			}
			checkMIT(t, ticket)
		}
		t.Logf("%+v", f.Stats())
	}
	o := mitAlice(t)
	o.Config = mitConf(t, func(s string) string {
		return strings.Replace(s, "[domain_realm]", "[domain_realm]\nlost.test = LOST.TEST\n", 1)
	})
	_, err := New(o).Ticket(context.Background(), "imap", "lost.test")
	if kindOf(t, err) != WrongRealm || !strings.Contains(err.Error(), "LOST.TEST") || !strings.Contains(err.Error(), "[capaths] in "+o.Config) {
		t.Error(err)
	}
}

// relay is a KDC that passes on to MIT's what serve lets through.
func relay(t *testing.T, serve func(n int, client net.Conn, pass func())) string {
	kdc := fromBed(t, "KRB5_KDC")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(n, c, func() {
					up, err := net.Dial("tcp", kdc)
					if err != nil {
						return
					}
					go func() { io.Copy(up, c); up.Close() }()
					io.Copy(c, up)
				})
			}()
		}
	}()
	return l.Addr().String()
}

func TestMITBehindARelay(t *testing.T) {
	kdc := fromBed(t, "KRB5_KDC")
	fleet := func(relay string, more ...string) *Fleet {
		o := mitAlice(t)
		o.Config = mitConf(t, func(s string) string {
			lines := "kdc = tcp/" + relay
			for _, m := range more {
				lines += "\nkdc = tcp/" + m
			}
			return strings.ReplaceAll(s, "kdc = "+kdc, lines)
		})
		f := New(o)
		f.timeout, f.stagger = time.Hour, time.Millisecond
		return f
	}
	t.Run("stalls", func(t *testing.T) {
		stalls := relay(t, func(_ int, c net.Conn, _ func()) { io.Copy(io.Discard, c) })
		if _, err := fleet(stalls, kdc).Ticket(context.Background(), "imap", "localhost"); err != nil {
			t.Error(err)
		}
		f := fleet(stalls)
		ctx, cancel := context.WithCancel(context.Background())
		f.o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			time.AfterFunc(time.Millisecond, cancel)
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
		if _, err := f.Ticket(ctx, "imap", "localhost"); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), stalls) {
			t.Error(err)
		}
	})
	t.Run("answers late", func(t *testing.T) {
		asked := make(chan struct{}, 100)
		late := relay(t, func(_ int, _ net.Conn, pass func()) { <-asked; pass() })
		silent := relay(t, func(_ int, c net.Conn, _ func()) { asked <- struct{}{}; io.Copy(io.Discard, c) })
		if _, err := fleet(late, silent).Ticket(context.Background(), "imap", "localhost"); err != nil {
			t.Error(err)
		}
	})
	t.Run("dies in between", func(t *testing.T) {
		for dies := 1; dies <= 3; dies++ {
			fails := relay(t, func(n int, c net.Conn, pass func()) {
				if n != dies {
					pass()
				}
			})
			if _, err := fleet(fails, kdc).Ticket(context.Background(), "imap", "localhost"); err != nil {
				t.Error(dies, err)
			}
			only := relay(t, func(n int, c net.Conn, pass func()) {
				if n < dies {
					pass()
				}
			})
			f := fleet(only)
			if _, err := f.Ticket(context.Background(), "imap", "localhost"); kindOf(t, err) != NoKDC {
				t.Error(dies, err)
			}
		}
	})
}
