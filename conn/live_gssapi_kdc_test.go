package conn_test

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/sasl"
)

// kdcRelay stands before the testbed's KDC, by TCP.
type kdcRelay struct {
	t       *testing.T
	address string
	kdc     string
	// deal is called with each request's number, from 1, on goroutines. It sends the
	// KDC's answer on, or what it likes; the connection is closed behind it.
	deal    func(number int, answer func() []byte, client net.Conn)
	number  atomic.Int32
	working sync.WaitGroup
}

func newKDCRelay(t *testing.T, deal func(number int, answer func() []byte, client net.Conn)) *kdcRelay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &kdcRelay{t: t, address: l.Addr().String(), kdc: fromBed(t, "KRB5_KDC"), deal: deal}
	t.Cleanup(r.working.Wait)
	t.Cleanup(func() { _ = l.Close() })
	r.working.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			r.working.Go(func() { r.serve(client) })
		}
	})
	return r
}

func (r *kdcRelay) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	request, err := readMessage(client)
	if err != nil {
		return
	}
	r.deal(int(r.number.Add(1)), func() []byte { return r.ask(request) }, client)
}

// ask is the KDC's answer. Both have their length before them (RFC 4120 section 7.2.2).
func (r *kdcRelay) ask(request []byte) []byte {
	c, err := net.Dial("tcp", r.kdc)
	if err != nil {
		r.t.Error(err)
		return nil
	}
	defer func() { _ = c.Close() }()
	if _, err = c.Write(request); err != nil {
		r.t.Error(err)
	}
	answer, err := readMessage(c)
	if err != nil {
		r.t.Error(err)
	}
	return answer
}

func readMessage(c net.Conn) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	message := make([]byte, 4+binary.BigEndian.Uint32(head[:]))
	copy(message, head[:])
	_, err := io.ReadFull(c, message[4:])
	return message, err
}

// conf is a krb5.conf with these KDCs of the testbed's realms, asked by TCP alone.
func (r *kdcRelay) conf(kdcs ...string) string {
	r.t.Helper()
	return confLike(r.t, "[libdefaults]", "[libdefaults]\n udp_preference_limit = 1",
		"kdc = "+r.kdc, "kdc = "+strings.Join(kdcs, "\n kdc = "))
}

// stall answers nothing for as long as the client waits.
func stall(_ int, _ func() []byte, client net.Conn) { _, _ = io.Copy(io.Discard, client) }

// While the KDC does not answer, other connections of the loop go on; its answer, as late
// as it may be, logs in.
func TestCyrusKerberosLateKDC(t *testing.T) {
	f := newFleet(t)
	address := livePlaces[3].configure(t, &f.dialer, "localhost")
	asked, release := make(chan struct{}, 4), make(chan struct{})
	r := newKDCRelay(t, func(_ int, answer func() []byte, client net.Conn) {
		asked <- struct{}{}
		<-release
		_, _ = client.Write(answer())
	})
	answers := sync.OnceFunc(func() { close(release) })
	t.Cleanup(answers) // before r is waited for
	k := kerberos(t, sasl.KerberosOptions{
		Keytab: fromBed(t, "KRB5_CLIENT_KEYTAB"), Config: r.conf(r.address), Timeout: time.Hour,
	})
	var order []string
	waiting := f.connect(address, func(m *member) {
		err := m.AuthenticateAsync([]sasl.Mechanism{sasl.GSSAPI(k)}, "imap", "", sasl.ProtPrivacy, func(err error) {
			if order = append(order, "login"); err != nil {
				f.fail("the late answer logs in: %v", err)
			}
			m.send(nil, "LOGOUT")
		})
		if err != nil {
			f.fail("a login begins: %v", err)
		}
	})
	f.connect(address, func(m *member) {
		noop := func(then func()) func() {
			return func() {
				order = append(order, "NOOP")
				m.send(then, "NOOP")
			}
		}
		end := func() {
			answers()
			m.send(nil, "LOGOUT")
		}
		go func() {
			<-asked
			f.loop.Post(noop(noop(noop(end))))
		}()
	})
	f.run()
	same(t, "the others go on meanwhile", order, []string{"NOOP", "NOOP", "NOOP", "login"})
	if got, want := waiting.SASL(), (conn.SASL{Mechanism: "GSSAPI", Prot: sasl.ProtPrivacy, SSF: 256}); got != want {
		t.Errorf("the login is with privacy\n got: %+v", got)
	}
}

// A KDC that does not answer, or dies in the middle of its answer, whichever that is, is
// an error that names it; the connection lives.
func TestDovecotKerberosDyingKDC(t *testing.T) {
	die := func(at int) func(int, func() []byte, net.Conn) {
		return func(number int, answer func() []byte, client net.Conn) {
			if whole := answer(); number < at {
				_, _ = client.Write(whole)
			} else {
				_, _ = client.Write(whole[:len(whole)/2])
			}
		}
	}
	for _, c := range []struct {
		name    string
		timeout time.Duration
		deal    func(int, func() []byte, net.Conn)
		says    string
		as, tgs uint64
	}{
		{"stalls", 50 * time.Millisecond, stall, "no answer within 50ms", 1, 0},
		{"dies at the first request", 0, die(1), "before its answer was whole", 1, 0},
		{"dies at the proof", 0, die(2), "before its answer was whole", 2, 0},
		{"dies at the service", 0, die(3), "before its answer was whole", 2, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newKDCRelay(t, c.deal)
			k := kerberos(t, sasl.KerberosOptions{Keytab: fromBed(t, "KRB5_CLIENT_KEYTAB"), Config: r.conf(r.address), Timeout: c.timeout})
			s := livePlaces[0].dial(t)
			err := s.kerberized("", sasl.ProtNone, k)
			if kerberosKind(err) != sasl.KerberosNoKDC || !strings.Contains(err.Error(), r.address) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("the error names the KDC %s, and says %q\n got: %v", r.address, c.says, err)
			}
			if got := k.Stats(); got.ASRequests != c.as || got.TGSRequests != c.tgs || got.Failures == 0 {
				t.Errorf("%d and %d requests were sent\n got: %+v", c.as, c.tgs, got)
			}
			s.checkOtherwise(k)
		})
	}
}

// Where the first of two KDCs does not answer, or dies, the second one does.
func TestDovecotKerberosSecondKDC(t *testing.T) {
	for name, deal := range map[string]func(int, func() []byte, net.Conn){
		"stalls": stall,
		"dies":   func(int, func() []byte, net.Conn) {},
	} {
		t.Run(name, func(t *testing.T) {
			r := newKDCRelay(t, deal)
			k := kerberos(t, sasl.KerberosOptions{CCache: fromBed(t, "KRB5_CCACHE"), Config: r.conf(r.address, r.kdc), Timeout: time.Hour})
			s := livePlaces[0].dial(t)
			if err := s.kerberized("", sasl.ProtNone, k); err != nil {
				t.Fatalf("the second KDC gives the ticket: %v", err)
			}
			if r.number.Load() == 0 {
				t.Error("the first one was asked")
			}
			s.checkReader()
		})
	}
}
