package sasl

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestKeysComputeOnce(t *testing.T) {
	keys := new(Keys)
	m := SCRAM(crypto.SHA1, pencil, SCRAMOptions{Keys: keys})
	var group sync.WaitGroup
	var failed atomic.Int32
	for range 8 {
		group.Go(func() {
			for range 125 {
				if newScramServer(crypto.SHA1).logIn(m.New(Params{Host: "host"})) != nil {
					failed.Add(1)
				}
			}
		})
	}
	group.Wait()
	if s := keys.Stats(); failed.Load() != 0 || s.Derived != 1 || s.Kept != 1 || s.Found != 999 {
		t.Errorf("a thousand logins of one account compute once\n got: %d failed, %+v", failed.Load(), s)
	}
}

// Whatever a key depends on is part of what it is found by.
func TestKeysFound(t *testing.T) {
	keys := new(Keys)
	logIn := func(host, user, password, salt string, iterations int, h crypto.Hash) {
		t.Helper()
		s := newScramServer(h)
		s.user, s.password, s.salt, s.iterations = user, password, salt, iterations
		p := Static(Credentials{Username: user, Password: []byte(password)})
		if err := s.logIn(SCRAM(h, p, SCRAMOptions{Keys: keys}).New(Params{Host: host})); err != nil {
			t.Fatal(err)
		}
	}
	for i, login := range []func(){
		func() { logIn("host", "user", "pencil", "salt", 4096, crypto.SHA1) },
		func() { logIn("other", "user", "pencil", "salt", 4096, crypto.SHA1) },
		func() { logIn("host", "other", "pencil", "salt", 4096, crypto.SHA1) },
		func() { logIn("host", "user", "other", "salt", 4096, crypto.SHA1) },
		func() { logIn("host", "user", "pencil", "other", 4096, crypto.SHA1) },
		func() { logIn("host", "user", "pencil", "salt", 4097, crypto.SHA1) },
		func() { logIn("host", "user", "pencil", "salt", 4096, crypto.SHA256) },
	} {
		login()
		if s := keys.Stats(); s.Derived != uint64(i+1) || s.Found != uint64(i) {
			t.Errorf("login %d is of its own kind\n got: %+v", i, s)
		}
		login()
		if s := keys.Stats(); s.Derived != uint64(i+1) || s.Found != uint64(i+1) {
			t.Errorf("login %d is found when it comes again\n got: %+v", i, s)
		}
	}
}

// Keys of a login that was refused go; those of one that was cut off stay.
func TestKeysDropped(t *testing.T) {
	for _, tc := range []struct {
		end  error
		kept int
	}{
		{nil, 1},
		{errors.New("the connection is gone"), 1},
		{context.Canceled, 1},
		{ErrAuthFailed, 0},
		{fmt.Errorf("NO: %w", ErrAuthFailed), 0},
		{&ServerError{Value: "invalid-proof"}, 0},
		{ErrNotProved, 0},
	} {
		keys := new(Keys)
		x := SCRAM(crypto.SHA1, pencil, SCRAMOptions{Keys: keys}).New(Params{})
		if err := newScramServer(crypto.SHA1).logIn(x); err != nil {
			t.Fatal(err)
		}
		x.(Outcome).Done(tc.end)
		if got := keys.Stats().Kept; got != tc.kept {
			t.Errorf("after %v\n got: %d kept\nwant: %d", tc.end, got, tc.kept)
		}
	}
}

func TestKeysBounded(t *testing.T) {
	compute := func() (scramKeys, error) { return scramKeys{}, nil }
	for _, tc := range []struct{ max, kept int }{{0, defaultMaxKeys}, {3, 3}, {1, 1}, {-1, 0}} {
		keys := &Keys{Max: tc.max}
		keys.digest(nil)
		for i := range 2000 {
			keys.derive(context.Background(), keyID{user: fmt.Sprint(i)}, compute)
			if tc.max == 3 {
				keys.find(keyID{user: "0"}) // and so it is not the one to go
			}
		}
		if got := keys.Stats().Kept; got != tc.kept || len(keys.kept) != keys.recent.Len() || len(keys.underway) != 0 {
			t.Errorf("Max %d\n got: %d, %d, %d\nwant: %d", tc.max, got, keys.recent.Len(), len(keys.underway), tc.kept)
		}
		if _, ok := keys.find(keyID{user: "0"}); ok != (tc.max == 3) {
			t.Errorf("Max %d: the one that was not used for longest goes\n got: %t", tc.max, ok)
		}
	}
}

// Of those who come while one computes, one whose context is done is gone at once,
// and the others have what came of it. If it is the one who computes, the others
// have it all the same.
func TestKeysCancelled(t *testing.T) {
	for _, fails := range []error{nil, errors.New("no keys")} {
		synctest.Test(t, func(t *testing.T) {
			keys := new(Keys)
			id := keyID{password: keys.digest([]byte("pencil"))}
			compute := make(chan bool)
			ends := make([]error, 4)
			got := make([]scramKeys, 4)
			cancels := make([]context.CancelFunc, 4)
			var group sync.WaitGroup
			for i := range ends {
				var ctx context.Context
				ctx, cancels[i] = context.WithCancel(t.Context())
				group.Go(func() {
					got[i], ends[i] = keys.derive(ctx, id, func() (scramKeys, error) {
						<-compute
						return scramKeys{client: [64]byte{7}}, fails
					})
				})
				synctest.Wait() // the first computes
			}
			cancels[0]()
			cancels[1]()
			synctest.Wait()
			if !errors.Is(ends[1], context.Canceled) || ends[2] != nil {
				t.Errorf("who waits is gone when its context is done, and the others wait\n got: %v", ends)
			}
			close(compute)
			group.Wait()
			for _, i := range []int{0, 2, 3} {
				if got[i].client[0] != 7 || ends[i] != fails {
					t.Errorf("login %d gets what came of it\n got: %v, %v", i, got[i].client[0], ends[i])
				}
			}
			if s := keys.Stats(); s.Derived != 1 || s.Kept != 1 && fails == nil || s.Kept != 0 && fails != nil {
				t.Errorf("it is computed once, and kept if there is something to keep\n got: %+v", s)
			}
			cancels[2]()
			cancels[3]()
		})
	}
}

// However many accounts log in at once, one processor is left to others.
func TestKeysLeaveAProcessor(t *testing.T) {
	keys := new(Keys)
	keys.digest(nil)
	var group sync.WaitGroup
	var now, most atomic.Int32
	for i := range 4 * cap(derivers) {
		group.Go(func() {
			keys.derive(t.Context(), keyID{user: fmt.Sprint(i)}, func() (scramKeys, error) {
				n := now.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				runtime.Gosched() // so that the others would come if they could
				now.Add(-1)
				return scramKeys{}, nil
			})
		})
	}
	group.Wait()
	if got := most.Load(); int(got) > max(runtime.GOMAXPROCS(0)-1, 1) || keys.Stats().Derived != uint64(4*cap(derivers)) {
		t.Errorf("derivations do not take all processors\n got: %d at once, %+v", got, keys.Stats())
	}
}

// Where the one for whom others wait gives up before it has got a processor, another
// one of them takes its place.
func TestKeysGivenUp(t *testing.T) {
	keys := new(Keys)
	id := keyID{password: keys.digest([]byte("pencil"))}
	for range cap(derivers) {
		derivers <- struct{}{}
	}
	ends := make([]error, 3)
	got := make([]scramKeys, 3)
	ctx, giveUp := context.WithCancel(t.Context())
	var group sync.WaitGroup
	derive := func(i int, ctx context.Context) {
		got[i], ends[i] = keys.derive(ctx, id, func() (scramKeys, error) { return scramKeys{client: [64]byte{7}}, nil })
	}
	first := make(chan struct{})
	go func() {
		defer close(first)
		derive(0, ctx)
	}()
	for keys.leader(id) == nil {
		runtime.Gosched()
	}
	for _, i := range []int{1, 2} {
		group.Go(func() { derive(i, t.Context()) })
	}
	giveUp()
	<-first
	if !errors.Is(ends[0], context.Canceled) || keys.Stats() != (KeyStats{}) {
		t.Errorf("who waits for a processor is gone when its context is done\n got: %v, %+v", ends[0], keys.Stats())
	}
	for range cap(derivers) {
		<-derivers
	}
	group.Wait()
	for _, i := range []int{1, 2} {
		if ends[i] != nil || got[i].client[0] != 7 {
			t.Errorf("login %d gets its keys all the same\n got: %v", i, ends[i])
		}
	}
	if s := keys.Stats(); s != (KeyStats{Kept: 1, Found: 1, Derived: 1}) {
		t.Errorf("they are computed once\n got: %+v", s)
	}
}

// Who prints a cache learns nothing to try passwords on.
func TestKeysAreNotShown(t *testing.T) {
	keys := new(Keys)
	m := SCRAM(crypto.SHA1, pencil, SCRAMOptions{Keys: keys})
	if err := newScramServer(crypto.SHA1).logIn(m.New(Params{Host: "host"})); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(verb, keys); got != "{Kept:1 Found:0 Derived:1}" {
			t.Errorf("%s shows what it did\n got: %s", verb, got)
		}
	}
}

func (k *Keys) leader(id keyID) *derivation {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.underway[id]
}

// A derivation that panics leaves nobody waiting.
func TestKeysPanic(t *testing.T) {
	keys := new(Keys)
	id := keyID{password: keys.digest([]byte("pencil"))}
	func() {
		defer func() { recover() }()
		keys.derive(t.Context(), id, func() (scramKeys, error) { panic("no memory") })
	}()
	if len(keys.underway) != 0 || keys.Stats().Kept != 0 {
		t.Error("a derivation that panicked is over, and nothing is kept of it")
	}
}

// What is kept cannot be read off a printed cache in clear: the digest of a password
// differs from cache to cache.
func TestKeysDigest(t *testing.T) {
	one, other := new(Keys), new(Keys)
	a, b, c := one.digest([]byte("pencil")), one.digest([]byte("pencil")), other.digest([]byte("pencil"))
	if a != b || a == c || a == one.digest([]byte("pencil2")) {
		t.Error("a digest is of a password and of one cache")
	}
}
