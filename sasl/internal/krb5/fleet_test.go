package krb5

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// kindOf is what an error is, 0 for nil.
func kindOf(t *testing.T, err error) Kind {
	t.Helper()
	if err == nil {
		return 0
	}
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("an error of the type %T: %v", err, err)
	}
	if e.Look == "" || e.What == "" {
		t.Errorf("an error that says too little: %#v", e)
	}
	return e.Kind
}

func TestTicketByPassword(t *testing.T) {
	for _, preauth := range []bool{true, false} {
		for _, etype := range []int32{aes256SHA1, aes128SHA1, aes256SHA384, aes128SHA256, rc4HMAC} {
			k := newKDC(t)
			k.preauth = preauth
			k.password("alice@"+testRealm, testPassword, etype)
			k.random("imap/mail.test@"+testRealm, etype)
			k.random("krbtgt/"+testRealm+"@"+testRealm, etype)
			f := New(byPassword(k.conf("permitted_enctypes = "+etypeText(etype)+"\nallow_rc4 = true", mailInHome)))
			ticket, err := f.Ticket(context.Background(), "imap", "Mail.TEST.")
			if err != nil {
				t.Fatalf("%s: %v", etypeText(etype), err)
			}
			k.checkTicket(t, ticket, "alice@"+testRealm, "imap/mail.test@"+testRealm)
			if ticket.Key.KeyType != etype {
				t.Errorf("the session key is of the type %d, not %d", ticket.Key.KeyType, etype)
			}
		}
	}
}

// checkTicket opens a ticket as its service does.
func (k *testKDC) checkTicket(t *testing.T, ticket *Ticket, client, server string) {
	t.Helper()
	var clear clearTicket
	var part encTicket
	if err := parseDER(ticket.DER, &clear, application(tagTicket)); err != nil {
		t.Fatal("the ticket is not as it came")
	}
	plain, err := decrypt(k.keys[server][0], 2, clear.Enc.Cipher)
	if err != nil || parseDER(plain, &part, application(3)) != nil {
		t.Fatal("the service cannot open the ticket")
	}
	if string(part.Key.Value) != string(ticket.Key.KeyValue) {
		t.Error("the session key is not the ticket's")
	}
	if ticket.Client.String() != client || ticket.Server.String() != server {
		t.Errorf("it is %v", ticket)
	}
	if !ticket.End.Equal(part.End) || !ticket.AuthTime.Equal(part.AuthTime) || !ticket.Start.Equal(part.AuthTime) || ticket.Flags != flags32(part.Flags) {
		t.Error("times or flags are not the ticket's")
	}
}

// await spins until something has come about that other goroutines bring about.
func await(what func() bool) {
	for !what() {
		runtime.Gosched()
	}
}

func TestThousandLoginsOneRequest(t *testing.T) {
	const logins = 1000
	k := newKDC(t)
	f := New(byKeytab(t, k, k.conf("", mailInHome)))
	f.stagger = time.Hour // nobody is asked twice, however long it takes
	all := make(chan struct{})
	k.setScript(func(q *question, honest []byte) verdict {
		return verdict{send: [][]byte{honest}, after: all} // so that nobody comes too late to wait
	})
	var wg sync.WaitGroup
	tickets := make([]*Ticket, logins)
	for i := range logins {
		wg.Go(func() {
			var err error
			if tickets[i], err = f.Ticket(context.Background(), "imap", "mail.test"); err != nil {
				t.Error(err)
			}
		})
	}
	await(func() bool { return f.Stats().Waits == logins-1 })
	close(all)
	wg.Wait()
	for _, ticket := range tickets {
		if ticket != tickets[0] {
			t.Fatal("not all have the same ticket")
		}
	}
	if as, tgs := k.count(msgASReq), k.count(msgTGSReq); as != 2 || tgs != 1 {
		t.Errorf("%d AS requests (without and with a timestamp) and %d TGS requests came", as, tgs)
	}
	if got, want := f.Stats(), (Stats{AS: 2, TGS: 1, Waits: logins - 1, Kept: 2}); got != want {
		t.Errorf("%+v, not %+v", got, want)
	}
	if _, err := f.Ticket(context.Background(), "imap", "mail.test"); err != nil || f.Stats().Hits != 1 {
		t.Error("the next login does not get the ticket that is there", err)
	}
}

// Of two services each has its own ticket, by the same ticket granting ticket; and each
// password its own.
func TestTicketsAreKeptApart(t *testing.T) {
	k := newKDC(t)
	k.random("imap/other.test@"+testRealm, aes256SHA1)
	o := byPassword(k.conf("", mailInHome+"other.test = "+testRealm+"\n"))
	password := testPassword
	o.Password = func(context.Context) (string, []byte, error) { return "alice", []byte(password), nil }
	f := New(o)
	ctx := context.Background()
	mail, err := f.Ticket(ctx, "imap", "mail.test")
	if err != nil {
		t.Fatal(err)
	}
	other, err := f.Ticket(ctx, "imap", "other.test")
	if err != nil || other == mail || other.Server.Names[1] != "other.test" {
		t.Fatal(other, err)
	}
	if got := f.Stats(); got.AS != 2 || got.TGS != 2 || got.Kept != 3 {
		t.Errorf("%+v", got)
	}
	password = "wrong"
	if _, err := f.Ticket(ctx, "imap", "mail.test"); kindOf(t, err) != WrongPassword {
		t.Error("another password finds the ticket: ", err)
	}
	if f.Stats().Failures != 1 {
		t.Errorf("%+v", f.Stats())
	}
}

// clock is moved by hand.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func newClock() *clock { return &clock{at: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)} }

func TestRenewedAheadOfTheEnd(t *testing.T) {
	c := newClock()
	k := newKDC(t)
	k.clock, k.life = c.now, 100*time.Minute
	o := byKeytab(t, k, k.conf("", mailInHome, "tcp/"+k.addr))
	o.Now = c.now
	f := New(o)
	get := func() *Ticket {
		t.Helper()
		ticket, err := f.Ticket(context.Background(), "imap", "mail.test")
		if err != nil {
			t.Fatal(err)
		}
		return ticket
	}
	first := get()
	if c.add(89 * time.Minute); get() != first || f.Stats().TGS != 1 {
		t.Fatal("fetched anew before its time")
	}
	c.add(2 * time.Minute) // nine are left
	if get() != first {
		t.Fatal("the login did not get what was there")
	}
	await(func() bool { f.mu.Lock(); defer f.mu.Unlock(); return len(f.underway) == 0 && f.stats.TGS == 2 })
	second := get()
	if second == first || second.End.Sub(c.now()) != 100*time.Minute {
		t.Errorf("the next one is not there, or not good: it ends at %v", second.End)
	}
	if got := f.Stats(); got.AS != 4 || got.TGS != 2 {
		t.Errorf("%+v", got)
	}
	// A KDC that is down costs no login until the ticket has ended, nor does each try.
	k.setScript(func(q *question, honest []byte) verdict { return verdict{raw: honest[:3]} })
	f.timeout, f.stagger = time.Hour, time.Millisecond
	c.add(95 * time.Minute)
	for range 100 {
		if get() != second {
			t.Fatal("it is lost before its end")
		}
	}
	await(func() bool { f.mu.Lock(); defer f.mu.Unlock(); return len(f.underway) == 0 && f.stats.Failures == 1 })
	sent := f.Stats().AS
	for range 100 {
		get()
	}
	if f.Stats().AS != sent {
		t.Error("a KDC that does not answer is asked at each login")
	}
	c.add(6 * time.Minute)
	if _, err := f.Ticket(context.Background(), "imap", "mail.test"); kindOf(t, err) != NoKDC {
		t.Error("the end of the ticket is not an error: ", err)
	}
}

func TestWaitersLeaveOneByOne(t *testing.T) {
	k := newKDC(t)
	k.setScript(func(*question, []byte) verdict { return verdict{stall: true} })
	f := New(byKeytab(t, k, k.conf("", mailInHome, "tcp/"+k.addr)))
	f.timeout = time.Hour
	f.stagger = time.Hour
	const logins = 20
	errs := make(chan error, logins)
	var leave []context.CancelFunc
	for range logins {
		ctx, cancel := context.WithCancel(context.Background())
		leave = append(leave, cancel)
		go func() {
			_, err := f.Ticket(ctx, "imap", "mail.test")
			errs <- err
		}()
	}
	await(func() bool { return f.Stats().Waits == logins-1 && k.count(msgASReq) == 1 })
	for i, cancel := range leave[1:] {
		cancel()
		if err := <-errs; !errors.Is(err, context.Canceled) || kindOf(t, err) != NoKDC {
			t.Fatal(err)
		}
		f.mu.Lock()
		waiters := 0
		for id, fl := range f.underway {
			if !strings.HasPrefix(id.server, "krbtgt/") {
				waiters += fl.waiters
			}
		}
		f.mu.Unlock()
		if waiters != logins-1-i {
			t.Fatalf("%d wait for the fetch when %d have left", waiters, i+1)
		}
	}
	leave[0]()
	if err := <-errs; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), k.addr) {
		t.Fatalf("the last error does not say whom we waited for: %v", err)
	}
	<-k.left // the connection was closed
	// Who comes now begins anew.
	k.setScript(nil)
	if _, err := f.Ticket(context.Background(), "imap", "mail.test"); err != nil {
		t.Error(err)
	}
}

func TestBoundedAndDropped(t *testing.T) {
	k := newKDC(t)
	domains := mailInHome
	for i := range 10 {
		host := fmt.Sprintf("host%d.test", i)
		k.random("imap/"+host+"@"+testRealm, aes256SHA1)
		domains += host + " = " + testRealm + "\n"
	}
	o := byKeytab(t, k, k.conf("", domains))
	o.Max = 4
	f := New(o)
	for i := range 10 {
		if _, err := f.Ticket(context.Background(), "imap", fmt.Sprintf("host%d.test", i)); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.Stats(); got.Kept != 4 || got.AS != 2 || got.TGS != 10 {
		t.Errorf("%+v", got)
	}
	last, _ := f.Ticket(context.Background(), "imap", "host9.test")
	f.Drop(last)
	if f.Stats().Kept != 3 {
		t.Error("it is kept still")
	}
	if again, err := f.Ticket(context.Background(), "imap", "host9.test"); err != nil || again == last || f.Stats().TGS != 11 {
		t.Error("what was dropped comes back", err)
	}
}

// Where the realm's key has changed, the ticket granting ticket is forgotten with the
// login that fails.
func TestStaleTGTIsForgotten(t *testing.T) {
	k := newKDC(t)
	k.random("imap/other.test@"+testRealm, aes256SHA1)
	f := New(byKeytab(t, k, k.conf("", mailInHome+"other.test = "+testRealm+"\n")))
	ctx := context.Background()
	if _, err := f.Ticket(ctx, "imap", "mail.test"); err != nil {
		t.Fatal(err)
	}
	k.set(func() { k.random(TGS(testRealm, testRealm).String(), aes256SHA1) })
	if _, err := f.Ticket(ctx, "imap", "other.test"); kindOf(t, err) != Refused {
		t.Fatal(err)
	}
	if _, err := f.Ticket(ctx, "imap", "other.test"); err != nil {
		t.Error(err)
	}
}
