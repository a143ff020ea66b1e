package server

import (
	"crypto"
	"crypto/hmac"
	"crypto/pbkdf2"
	_ "crypto/sha1" // crypto.SHA1
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// leastIterations is the iteration count of an account that does not say another.
const leastIterations = 4096

// Account is the name of account i whose SCRAM keys take so many iterations. All
// have the same password and the same salt, so that the server derives once for all
// of them; no client can know that.
func Account(i, iterations int) string { return fmt.Sprintf("user%d-%d", i, iterations) }

// iterationsOf is what the name of an account says.
func iterationsOf(name string) int {
	_, digits, _ := strings.Cut(name, "-")
	if n, err := strconv.Atoi(digits); err == nil {
		return n
	}
	return leastIterations
}

const (
	salt  = "salt of the earth"
	nonce = "3rfcNHYJY1ZVvWVs7j" // what the server adds to the client's
)

// scramKeys are what a server knows of an account (RFC 5802 section 3).
type scramKeys struct{ stored, server []byte }

type scramAccount struct {
	hash       crypto.Hash
	iterations int
}

// known has the keys that were derived.
var known struct {
	sync.Mutex
	keys map[scramAccount]scramKeys
}

func (a scramAccount) keys() scramKeys {
	known.Lock()
	defer known.Unlock()
	keys, ok := known.keys[a]
	if !ok {
		keys = a.derive()
		if known.keys == nil {
			known.keys = map[scramAccount]scramKeys{}
		}
		known.keys[a] = keys
	}
	return keys
}

func (a scramAccount) derive() scramKeys {
	salted, err := pbkdf2.Key(a.hash.New, Password, []byte(salt), a.iterations, a.hash.Size())
	if err != nil {
		panic(err) // only a key of 2^32 hashes, or FIPS 140-only mode with SHA-1
	}
	return scramKeys{
		stored: sum(a.hash, keyed(a.hash, salted, "Client Key")),
		server: keyed(a.hash, salted, "Server Key"),
	}
}

func sum(h crypto.Hash, b []byte) []byte {
	s := h.New()
	s.Write(b)
	return s.Sum(nil)
}

func keyed(h crypto.Hash, key []byte, message string) []byte {
	mac := hmac.New(h.New, key)
	mac.Write([]byte(message))
	return mac.Sum(nil)
}

// scram is one exchange, of a client that does not bind.
type scram struct {
	scramAccount
	clientFirst string // without the gs2-header
	serverFirst string
	proved      bool
}

func newScram(h crypto.Hash) exchange { return (&scram{scramAccount: scramAccount{hash: h}}).next }

func (s *scram) next(response []byte) (string, verdict) {
	switch {
	case response == nil:
		return "", undecided
	case s.proved:
		return "", acceptedIf(len(response) == 0)
	case s.serverFirst == "":
		return s.first(string(response))
	}
	return s.final(string(response))
}

// first takes client-first-message, which ends in the account's name and a nonce.
func (s *scram) first(message string) (string, verdict) {
	_, bare, _ := strings.Cut(message, ",,")
	name, theirs, ok := strings.Cut(bare, ",r=")
	if !ok || !strings.HasPrefix(name, "n=") {
		return "", refused
	}
	s.clientFirst, s.iterations = bare, iterationsOf(name)
	s.serverFirst = "r=" + theirs + nonce + ",s=" + base64.StdEncoding.EncodeToString([]byte(salt)) +
		",i=" + strconv.Itoa(s.iterations)
	return s.serverFirst, undecided
}

// final takes client-final-message and proves in turn that the server has the keys.
func (s *scram) final(message string) (string, verdict) {
	without, encoded, _ := strings.Cut(message, ",p=")
	_, theirs, _ := strings.Cut(without, ",r=")
	proof, err := base64.StdEncoding.DecodeString(encoded)
	ours, _, _ := strings.Cut(s.serverFirst[len("r="):], ",")
	if err != nil || len(proof) != s.hash.Size() || theirs != ours {
		return "", refused
	}
	keys, auth := s.keys(), s.clientFirst+","+s.serverFirst+","+without
	subtle.XORBytes(proof, proof, keyed(s.hash, keys.stored, auth))
	if !hmac.Equal(sum(s.hash, proof), keys.stored) {
		return "", refused
	}
	s.proved = true
	return "v=" + base64.StdEncoding.EncodeToString(keyed(s.hash, keys.server, auth)), undecided
}
