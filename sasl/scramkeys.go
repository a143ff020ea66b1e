package sasl

import (
	"container/list"
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"hash"
	"runtime"
	"sync"
)

// Keys keeps what SCRAM derives from passwords at great cost, so that a thousand
// logins of one account compute once, also when they come at the same time. It is
// shared by any number of mechanisms, and safe on any goroutine. The zero value is
// ready to use. However many there are, all derivations of the process together keep
// at most GOMAXPROCS-1 processors busy, and one where there is no other.
//
// A key is kept for a host, user, salt, iteration count, hash and password: one for
// another password is never found. Those of a login that failed are dropped, and the
// one that was not used for longest when there are too many. A key is worth as much as
// the password, but on the one server only.
type Keys struct {
	Max int // how many are kept; 0: 1024, negative: none. Not changed once used

	mu       sync.Mutex
	secret   [32]byte // makes digests of passwords, in a way that nobody can try passwords on
	kept     map[keyID]*list.Element
	recent   list.List // of *keptKey, the latest in front
	underway map[keyID]*derivation
	stats    KeyStats
}

// KeyStats counts what [Keys] did.
type KeyStats struct {
	Kept    int    // now
	Found   uint64 // logins that needed no derivation of their own
	Derived uint64
}

// keyID is all that a key depends on, and where it is good for.
type keyID struct {
	host, user string
	salt       string
	iterations int
	hash       crypto.Hash
	password   [sha256.Size]byte // keyed digest
}

// scramKeys are ClientKey and ServerKey of RFC 5802 section 3, as long as the hash.
type scramKeys struct {
	client, server [64]byte
}

type keptKey struct {
	id   keyID
	keys scramKeys
}

// derivation is one that runs; done is closed at its end.
type derivation struct {
	done chan struct{}
	keys scramKeys
	err  error
}

const defaultMaxKeys = 1024

func (k *Keys) max() int {
	if k.Max == 0 {
		return defaultMaxKeys
	}
	return max(k.Max, 0)
}

// Stats returns what the cache did.
func (k *Keys) Stats() KeyStats {
	k.mu.Lock()
	defer k.mu.Unlock()
	stats := k.stats
	stats.Kept = len(k.kept)
	return stats
}

// Format implements [fmt.Formatter]: what it did, and nothing of what it keeps.
func (k *Keys) Format(f fmt.State, verb rune) { fmt.Fprintf(f, "%+v", k.Stats()) }

// digest is a password as part of a keyID.
func (k *Keys) digest(password Secret) (sum [sha256.Size]byte) {
	k.mu.Lock()
	if k.kept == nil {
		rand.Read(k.secret[:])
		k.kept = map[keyID]*list.Element{}
		k.underway = map[keyID]*derivation{}
	}
	secret := k.secret
	k.mu.Unlock()
	mac := hmac.New(sha256.New, secret[:])
	mac.Write(password)
	mac.Sum(sum[:0])
	return sum
}

// find returns keys that are kept.
func (k *Keys) find(id keyID) (scramKeys, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	keys, ok := k.lookup(id)
	return keys, ok
}

func (k *Keys) lookup(id keyID) (scramKeys, bool) {
	e := k.kept[id]
	if e == nil {
		return scramKeys{}, false
	}
	k.stats.Found++
	k.recent.MoveToFront(e)
	return e.Value.(*keptKey).keys, true
}

// derive returns the keys of id: those that are kept, those that another login is
// computing, for which it waits, or those that compute makes. Who waits, for another
// login or for a processor, is gone when ctx is done. Who computes goes on to the
// end, which PBKDF2 cannot do without, and the others get what came of it.
func (k *Keys) derive(ctx context.Context, id keyID, compute func() (scramKeys, error)) (scramKeys, error) {
	for {
		keys, other, own := k.begin(id)
		switch {
		case own != nil:
			return k.run(ctx, own, id, compute)
		case other == nil:
			return keys, nil
		}
		select {
		case <-other.done:
			if other.err != errGivenUp { // else somebody must begin anew
				k.count(&k.stats.Found)
				return other.keys, other.err
			}
		case <-ctx.Done():
			return scramKeys{}, ctx.Err()
		}
	}
}

// begin returns keys that are kept, or the derivation of another login, or a new one
// that is the caller's to run.
func (k *Keys) begin(id keyID) (keys scramKeys, other, own *derivation) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if keys, ok := k.lookup(id); ok {
		return keys, nil, nil
	}
	if d := k.underway[id]; d != nil {
		return keys, d, nil
	}
	own = &derivation{done: make(chan struct{}), err: errDerivation}
	k.underway[id] = own
	return keys, nil, own
}

// derivers are those that compute now, in all of the process: one processor is left to
// whoever does something else, loops above all.
var derivers = make(chan struct{}, max(runtime.GOMAXPROCS(0)-1, 1))

// run computes the keys of id when there is a processor for it.
func (k *Keys) run(ctx context.Context, d *derivation, id keyID, compute func() (scramKeys, error)) (scramKeys, error) {
	// Deferred, for the sake of those who wait should compute panic.
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.underway, id)
		if d.err == nil {
			k.keep(id, d.keys)
		}
		close(d.done)
	}()
	d.err = errGivenUp
	err := derive(ctx, func() {
		k.count(&k.stats.Derived)
		d.err = errDerivation // should compute panic
		d.keys, d.err = compute()
	})
	if err != nil {
		return scramKeys{}, err
	}
	return d.keys, d.err
}

// derive has compute run when there is a processor for it; its error is the context's.
func derive(ctx context.Context, compute func()) error {
	select {
	case derivers <- struct{}{}:
		defer func() { <-derivers }()
	case <-ctx.Done():
		return ctx.Err()
	}
	compute()
	return nil
}

func (k *Keys) count(counter *uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	*counter++
}

func (k *Keys) keep(id keyID, keys scramKeys) {
	if k.max() == 0 {
		return
	}
	for len(k.kept) >= k.max() {
		k.remove(k.recent.Back())
	}
	k.kept[id] = k.recent.PushFront(&keptKey{id: id, keys: keys})
}

// drop forgets the keys of a login that failed.
func (k *Keys) drop(id keyID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e := k.kept[id]; e != nil {
		k.remove(e)
	}
}

func (k *Keys) remove(e *list.Element) {
	kept := k.recent.Remove(e).(*keptKey)
	delete(k.kept, kept.id)
	kept.keys = scramKeys{}
}

// scramDerive computes keys (RFC 5802 section 3). pbkdf2 wants the password as a
// string: that copy, and those of its own, cannot be overwritten.
func scramDerive(newHash func() hash.Hash, password, salt []byte, iterations int) (keys scramKeys, err error) {
	salted, err := pbkdf2.Key(newHash, string(password), salt, iterations, newHash().Size())
	if err != nil {
		return keys, err
	}
	defer wipe(salted)
	keyed(newHash, salted, "Client Key").Sum(keys.client[:0])
	keyed(newHash, salted, "Server Key").Sum(keys.server[:0])
	return keys, nil
}

// keyed is HMAC(key, message).
func keyed(newHash func() hash.Hash, key []byte, message string) hash.Hash {
	mac := hmac.New(newHash, key)
	mac.Write([]byte(message))
	return mac
}
