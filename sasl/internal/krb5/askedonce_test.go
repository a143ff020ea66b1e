package krb5

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// A ticket that ends with one that cannot be renewed is no better when it is fetched
// again: near its end it is asked for when half of the time is gone that was left, not
// at each login.
func TestNoBetterTicketIsNotAskedForAgain(t *testing.T) {
	c := newClock()
	k := newKDC(t)
	k.clock = c.now
	begun := c.now()
	k.lie = func(l *lies) { l.enc.auth = begun } // as KDCs do: the client's proof is that of the first ticket
	ccache := filepath.Join(t.TempDir(), "ccache")
	tgt := k.tgt("alice@"+testRealm, begun, time.Hour, 0)
	writeCCache(t, ccache, 0, tgt.Client, tgt)
	f := New(Options{Config: k.conf("", mailInHome, "tcp/"+k.addr), CCache: ccache, Now: c.now, Getenv: func(string) string { return "" }})
	f.timeout, f.stagger = time.Hour, time.Hour
	logins := func(n, want int) {
		t.Helper()
		for range n {
			ticket, err := f.Ticket(context.Background(), "imap", "mail.test")
			if err != nil || !ticket.End.Equal(tgt.End) {
				t.Fatalf("a login gets a ticket that ends at %v\n got: %v, %v", tgt.End, ticket, err)
			}
			await(func() bool { f.mu.Lock(); defer f.mu.Unlock(); return len(f.underway) == 0 })
		}
		if got := k.count(msgTGSReq); got != want {
			t.Errorf("%v after the beginning the KDC has been asked %d times\n got: %d", c.now().Sub(begun), want, got)
		}
	}
	logins(3, 1)
	c.add(55 * time.Minute) // five are left
	logins(100, 2)
	c.add(2 * time.Minute)
	logins(100, 2)
	c.add(31 * time.Second)
	logins(100, 3)
}

// babble is a connection on which what is no answer comes without end, or nearly.
type babble struct {
	net.Conn
	reads int
}

func (b *babble) Write(p []byte) (int, error) { return len(p), nil }

func (b *babble) Read(p []byte) (int, error) {
	if b.reads++; b.reads > 1000 {
		return 0, io.EOF
	}
	return copy(p, "noise"), nil
}

func TestDatagramsAreBounded(t *testing.T) {
	const most = 8
	r := &race{ctx: context.Background(), events: make(chan event)}
	told := make(chan int)
	go func() {
		n := 0
		for range r.events {
			n++
		}
		told <- n
	}()
	conn := new(babble)
	err := r.datagrams(0, conn)
	close(r.events)
	if n := <-told; err == nil || conn.reads != most || n != most {
		t.Errorf("an attempt ends with an error after %d datagrams that are no answers\n got: %v after %d, of which it told %d", most, err, conn.reads, n)
	}
}
