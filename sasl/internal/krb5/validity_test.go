package krb5

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A file system that does not answer keeps one login, and those that have time.
func TestFilesThatAreNotRead(t *testing.T) {
	f := New(Options{Config: "/dev/null", Getenv: func(string) string { return "" }})
	f.files.turn <- struct{}{} // somebody reads, and does not come back
	f.Drop(new(Ticket))
	if s := f.Stats(); s != (Stats{}) {
		t.Errorf("what the loop calls does not wait\n got: %+v", s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := f.Ticket(ctx, "imap", "mail.test"); kindOf(t, err) != BadFile || !errors.Is(err, context.Canceled) {
		t.Errorf("a login waits for as long as its context lets it\n got: %v", err)
	}
	<-f.files.turn
	if _, err := f.Ticket(context.Background(), "imap", "mail.test"); kindOf(t, err) != NoCredentials {
		t.Errorf("then the files are read\n got: %v", err)
	}
}

// What is wrong with a cache's ticket is said as it is, and a clock that is a little
// behind is nothing wrong.
func TestTicketsThatAreNotValid(t *testing.T) {
	k := newKDC(t)
	now := time.Now().Truncate(time.Second)
	for _, tc := range []struct {
		start time.Duration // from now
		life  time.Duration
		flags uint32
		kind  Kind // 0: it is used
		says  string
	}{
		{-time.Minute, time.Hour, 0, 0, ""},
		{4 * time.Minute, time.Hour, 0, 0, ""},
		{6 * time.Minute, time.Hour, 0, ClockSkew, "begins at " + timeText(now.Add(6*time.Minute))},
		{-2 * time.Hour, time.Hour, 0, Expired, "ended at " + timeText(now.Add(-time.Hour))},
		{-time.Minute, time.Hour, FlagInvalid, Expired, "postdated"},
	} {
		tgt := k.tgt("alice@"+testRealm, now.Add(tc.start), tc.life, 0)
		tgt.Flags |= tc.flags
		ccache := filepath.Join(t.TempDir(), "ccache")
		writeCCache(t, ccache, 0, tgt.Client, tgt)
		f := New(Options{Config: k.conf("", mailInHome), CCache: ccache, Getenv: func(string) string { return "" }})
		f.now = func() time.Time { return now }
		config, n, err := f.files.config(context.Background(), &f.o)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.source(context.Background(), config, n)
		if tc.kind == 0 {
			if err != nil {
				t.Errorf("one that begins in %v is used, with the clock skew that is allowed\n got: %v", tc.start, err)
			}
			continue
		}
		if kindOf(t, err) != tc.kind || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), ccache) {
			t.Errorf("it is said what is wrong: %v, %q\n got: %v", tc.kind, tc.says, err)
		}
	}
}
