package krb5

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// silent is a KDC that takes connections and says nothing; one value comes for each
// that was closed.
func silent(t *testing.T) (addr string, left chan struct{}) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	left = make(chan struct{}, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(io.Discard, c)
				c.Close()
				left <- struct{}{}
			}()
		}
	}()
	return l.Addr().String(), left
}

// dead is an address where nobody listens.
func dead(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestFirstOfThreeStalls(t *testing.T) {
	k := newKDC(t)
	stalls, left := silent(t)
	f := New(byKeytab(t, k, k.conf("", mailInHome, "tcp/"+stalls, "tcp/"+dead(t), "tcp/"+k.addr)))
	f.timeout = time.Hour
	f.stagger = time.Millisecond // and the dead one ends at once
	if _, err := f.Ticket(context.Background(), "imap", "mail.test"); err != nil {
		t.Fatal(err)
	}
	for range 3 { // requests
		<-left // none of its connections outlives the answer of another
	}
}

func TestDeadFirst(t *testing.T) {
	k := newKDC(t)
	f := New(byKeytab(t, k, k.conf("", mailInHome, dead(t), k.addr)))
	f.timeout, f.stagger = time.Hour, time.Hour // what is refused is not waited for
	if _, err := f.Ticket(context.Background(), "imap", "mail.test"); err != nil {
		t.Fatal(err)
	}
}

// The first one answers when the second has long been asked, who does not.
func TestLateAnswerCounts(t *testing.T) {
	k := newKDC(t)
	stalls, _ := silent(t)
	f := New(byKeytab(t, k, k.conf("", mailInHome, "tcp/"+k.addr, "tcp/"+stalls)))
	f.timeout, f.stagger = time.Hour, time.Millisecond
	second := make(chan struct{}, 10)
	f.o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == stalls {
			second <- struct{}{}
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	k.setScript(func(q *question, honest []byte) verdict {
		late := make(chan struct{})
		go func() { <-second; close(late) }()
		return verdict{send: [][]byte{honest}, after: late}
	})
	if _, err := f.Ticket(context.Background(), "imap", "mail.test"); err != nil {
		t.Fatal(err)
	}
	if k.count(msgTGSReq) != 1 {
		t.Error("the first was asked again")
	}
}

func TestNobodyAnswers(t *testing.T) {
	k := newKDC(t)
	gone := dead(t)
	stalls, _ := silent(t)
	conf := k.conf("", mailInHome, "tcp/"+gone, "tcp/"+k.addr, "tcp/"+stalls)
	k.setScript(func(q *question, honest []byte) verdict { return verdict{raw: []byte{0, 0, 4, 0, 1, 2, 3}} })
	f := New(byKeytab(t, k, conf))
	f.timeout, f.stagger = 50*time.Millisecond, time.Millisecond
	before := runtime.NumGoroutine()
	_, err := f.Ticket(context.Background(), "imap", "mail.test")
	if kindOf(t, err) != NoKDC {
		t.Fatal(err)
	}
	for _, want := range []string{
		testRealm, gone + " (tcp): connect: connection refused", k.addr + " (tcp): it closed the connection before its answer was whole",
		stalls + " (tcp): no answer within 50ms", "see kdc in [realms] " + testRealm + " in " + conf,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not say: %s", err, want)
		}
	}
	await(func() bool { return runtime.NumGoroutine() <= before })
}

func TestNoKDCIsListed(t *testing.T) {
	k := newKDC(t)
	for sections, want := range map[string]string{
		"": "the configuration lists no KDC of the realm NOWHERE.TEST",
		"[realms]\nNOWHERE.TEST = {\nkdc = https://proxy/KdcProxy\n}\n": "https://proxy/KdcProxy",
	} {
		o := byPassword(k.conf("", sections))
		o.Password = func(context.Context) (string, []byte, error) { return "alice@NOWHERE.TEST", []byte("x"), nil }
		_, err := New(o).Ticket(context.Background(), "imap", "mail.test")
		if kindOf(t, err) != NoKDC || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "kdc in [realms] NOWHERE.TEST") {
			t.Error(err)
		}
	}
}

func TestTooBigForUDP(t *testing.T) {
	k := newKDC(t)
	k.setScript(func(q *question, honest []byte) verdict {
		if q.network == "udp" {
			honest = k.refuse(codeTooBig, q, nil)
		}
		return honestly(honest)
	})
	f := New(byKeytab(t, k, k.conf("", mailInHome)))
	f.timeout, f.stagger = time.Hour, time.Hour
	if _, err := f.Ticket(context.Background(), "imap", "mail.test"); err != nil {
		t.Fatal(err)
	}
	if as, tgs := k.count(msgASReq), k.count(msgTGSReq); as != 4 || tgs != 2 {
		t.Errorf("%d and %d: each by UDP, then by TCP", as, tgs)
	}
}

// What else comes by UDP is passed over, but not for ever.
func TestDatagramsOfOthers(t *testing.T) {
	k := newKDC(t)
	noise := maxDatagrams - 1
	k.setScript(func(q *question, honest []byte) verdict {
		var v verdict
		for i := range noise {
			v.send = append(v.send, []byte(fmt.Sprint("noise", i)))
		}
		v.send = append(v.send, honest)
		return v
	})
	o := byKeytab(t, k, k.conf("", mailInHome, "udp/"+k.addr))
	f := New(o)
	f.timeout, f.stagger = time.Hour, time.Hour
	if _, err := f.Ticket(context.Background(), "imap", "mail.test"); err != nil {
		t.Fatal(err)
	}
	k.set(func() { noise++ })
	_, err := New(o).Ticket(context.Background(), "imap", "mail.test")
	if kindOf(t, err) != BadReply || !strings.Contains(err.Error(), k.addr) {
		t.Error(err)
	}
}

func TestAnotherKDCWhereOneIsUnavailable(t *testing.T) {
	k, other := newKDC(t), newKDC(t)
	other.conf("", "")
	other.setScript(func(q *question, honest []byte) verdict { return honestly(k.refuse(codeUnavailable, q, nil)) })
	f := New(byKeytab(t, k, k.conf("", mailInHome, "tcp/"+other.addr, "tcp/"+k.addr)))
	f.timeout, f.stagger = time.Hour, time.Hour
	if _, err := f.Ticket(context.Background(), "imap", "mail.test"); err != nil {
		t.Fatal(err)
	}
}

// What a KDC says of its answer's length takes no memory.
func TestLengthsOfTCP(t *testing.T) {
	k := newKDC(t)
	o := byKeytab(t, k, k.conf("", mailInHome, "tcp/"+k.addr))
	for _, length := range []uint32{0, 5, maxReply, maxReply + 1, 1 << 31, 1<<32 - 1} {
		k.setScript(func(q *question, honest []byte) verdict {
			return verdict{raw: binary.BigEndian.AppendUint32(nil, length)}
		})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := New(o).Ticket(context.Background(), "imap", "mail.test")
		runtime.ReadMemStats(&after)
		if kindOf(t, err) != NoKDC {
			t.Error(length, err)
		}
		if long := strings.Contains(err.Error(), "longer than"); long != (length > maxReply) {
			t.Error(length, err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 512<<10 {
			t.Errorf("%d bytes for an answer that says %d and has none", took, length)
		}
	}
}

// fakeDNS answers with what it holds.
type fakeDNS struct {
	srv map[string][]*net.SRV // by "_kerberos._udp.REALM."
	txt map[string]string
}

func (d *fakeDNS) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	full := "_" + service + "._" + proto + "." + name
	if list, ok := d.srv[full]; ok {
		return full, list, nil
	}
	return "", nil, &net.DNSError{Err: "no such host", Name: full, IsNotFound: true}
}

func (d *fakeDNS) LookupTXT(_ context.Context, name string) ([]string, error) {
	if s, ok := d.txt[name]; ok {
		return []string{s}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func TestKDCsAndRealmByDNS(t *testing.T) {
	k := newKDC(t)
	k.password("alice@DNS.TEST", testPassword, aes256SHA1)
	k.random("krbtgt/DNS.TEST@DNS.TEST", aes256SHA1)
	k.random("imap/mail.dns.test@DNS.TEST", aes256SHA1)
	conf := k.conf("", "")
	host, port, _ := net.SplitHostPort(k.addr)
	var n uint16
	fmt.Sscan(port, &n)
	dns := &fakeDNS{
		srv: map[string][]*net.SRV{"_kerberos._tcp.DNS.TEST.": {{Target: "."}, {Target: host + ".", Port: n}}},
		txt: map[string]string{"_kerberos.dns.test.": "DNS.TEST"},
	}
	none := strings.Replace(must(readText(conf)), "dns_lookup_kdc = false", "dns_lookup_realm = true", 1)
	none, _, _ = strings.Cut(none, "[realms]")
	replaceFile(t, conf, []byte(none))
	o := byPassword(conf)
	o.Resolver = dns
	o.Password = func(context.Context) (string, []byte, error) { return "alice@DNS.TEST", []byte(testPassword), nil }
	ticket, err := New(o).Ticket(context.Background(), "imap", "mail.dns.test")
	if err != nil {
		t.Fatal(err)
	}
	k.checkTicket(t, ticket, "alice@DNS.TEST", "imap/mail.dns.test@DNS.TEST")
	dns.srv = nil
	_, err = New(o).Ticket(context.Background(), "imap", "mail.dns.test")
	if kindOf(t, err) != NoKDC || !strings.Contains(err.Error(), "_kerberos._udp.DNS.TEST") || !strings.Contains(err.Error(), "_kerberos._tcp.DNS.TEST") {
		t.Error(err)
	}
}

func TestGuard(t *testing.T) {
	err := guarded(func() error { panic("of bytes that are secret") })
	var p *panicError
	if !errors.As(err, &p) || strings.Contains(fmt.Sprintf("%v %+v %#v %s", err, err, err, err), "secret") {
		t.Error(err)
	}
	if want := io.EOF; guarded(func() error { return want }) != want {
		t.Error("an error does not come through")
	}
}
