package krb5

import (
	"context"
	"errors"
	"slices"

	"github.com/jcmturner/gokrb5/v8/types"
)

// Types of pre-authentication data (RFC 4120 section 7.5.2; RFC 6113 section 5.2).
const (
	paTGSReq       = 1
	paEncTimestamp = 2
	paPWSalt       = 3
	paETypeInfo    = 11
	paETypeInfo2   = 19
	paFXCookie     = 133
)

// secret is what a client proves itself with.
type secret interface {
	// etypes are those of wanted that there are keys of.
	etypes(wanted []int32) []int32
	// keys are those of how.etype, the likeliest first: of version kvno, where that is
	// known (not 0).
	keys(ctx context.Context, how s2k, kvno int64) ([]types.EncryptionKey, error)
	// look is where it comes from.
	look() string
}

// maxDerived bounds the keys that KDCs may have derived of one password, in one
// exchange.
const maxDerived = 4

// passwordSecret derives keys when they are asked for, and keeps them while an exchange
// lasts.
type passwordSecret struct {
	opaque
	password []byte
	limit    func(context.Context, func()) error
	derived  map[s2k]types.EncryptionKey
}

func (p *passwordSecret) etypes(wanted []int32) []int32 { return wanted }
func (p *passwordSecret) look() string                  { return "the password that the program gives" }

func (p *passwordSecret) keys(ctx context.Context, how s2k, _ int64) ([]types.EncryptionKey, error) {
	if key, ok := p.derived[how]; ok {
		return []types.EncryptionKey{key}, nil
	}
	if len(p.derived) == maxDerived {
		return nil, errors.New("it wants yet another key of the password")
	}
	key, err := deriveKey(ctx, p.limit, p.password, how)
	if err != nil {
		return nil, err
	}
	if p.derived == nil {
		p.derived = make(map[s2k]types.EncryptionKey)
	}
	p.derived[how] = key
	return []types.EncryptionKey{key}, nil
}

func (p *passwordSecret) wipe() {
	clear(p.password)
	for _, key := range p.derived {
		clear(key.KeyValue)
	}
	p.derived = nil
}

// keytabSecret is a principal's keys in a keytab.
type keytabSecret struct {
	opaque
	keytab *Keytab
	all    []KeytabKey
}

func (k *keytabSecret) look() string { return k.keytab.Name.String() }

func (k *keytabSecret) etypes(wanted []int32) (have []int32) {
	for _, t := range wanted {
		if slices.ContainsFunc(k.all, func(key KeytabKey) bool { return key.Key.KeyType == t }) {
			have = append(have, t)
		}
	}
	return have
}

func (k *keytabSecret) keys(_ context.Context, how s2k, kvno int64) (keys []types.EncryptionKey, err error) {
	for _, key := range k.all {
		switch {
		case key.Key.KeyType != how.etype:
		case kvno != 0 && int64(key.KVNO) == kvno:
			keys = slices.Insert(keys, 0, key.Key)
		default:
			keys = append(keys, key.Key)
		}
	}
	return keys, nil
}

// hint is what pre-authentication data says of the client's key.
type hint struct {
	how   s2k
	found bool
	// offered are the encryption types of the client's keys, where the KDC says so.
	offered []int32
}

// readHint takes what the KDC puts first of what we asked for: of ETYPE-INFO2, else
// ETYPE-INFO, else the salt alone (RFC 4120 section 5.2.7.5). None of it is signed: so
// a type that we did not ask for is never taken.
func readHint(list []paData, wanted []int32, client Principal) (h hint, err error) {
	var entries []s2k
	for _, kind := range []int32{paETypeInfo2, paETypeInfo, paPWSalt} {
		for _, p := range list {
			if p.Type == kind && entries == nil {
				if entries, err = readSalts(p, wanted, client); err != nil {
					return h, err
				}
			}
		}
	}
	for _, e := range entries {
		h.offered = append(h.offered, e.etype)
		if !h.found && slices.Contains(wanted, e.etype) {
			h.how, h.found = e, true
		}
	}
	return h, nil
}

var errETypeInfo = errors.New("what it says of the client's keys is malformed")

// readSalts returns the entries of one of the three kinds; a salt that is not said is
// the client's own.
func readSalts(p paData, wanted []int32, client Principal) (entries []s2k, err error) {
	switch p.Type {
	case paETypeInfo2:
		var list []etypeInfo2
		if parseDER(p.Value, &list, "") != nil || len(list) > maxETypes {
			return nil, errETypeInfo
		}
		for _, e := range list {
			how := s2k{e.EType, defaultSalt(client), string(e.Params)}
			if len(e.Salt.FullBytes) > 0 {
				if how.salt, err = textOf(e.Salt); err != nil {
					return nil, errETypeInfo
				}
			}
			entries = append(entries, how)
		}
	case paETypeInfo:
		var list []etypeInfo
		if parseDER(p.Value, &list, "") != nil || len(list) > maxETypes {
			return nil, errETypeInfo
		}
		for _, e := range list {
			how := s2k{e.EType, defaultSalt(client), ""}
			if e.Salt != nil {
				how.salt = string(e.Salt)
			}
			entries = append(entries, how)
		}
	case paPWSalt:
		for _, t := range wanted {
			entries = append(entries, s2k{t, string(p.Value), ""})
		}
	}
	for _, e := range entries {
		if len(e.salt) > 2*maxNameLen {
			return nil, errETypeInfo
		}
	}
	return entries, nil
}
