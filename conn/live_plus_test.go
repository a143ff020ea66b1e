package conn_test

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/sasl"
)

// boundLogin is a login by SCRAM over TLS at Cyrus, and what is wanted of it.
type boundLogin struct {
	hash     crypto.Hash
	name     string // without -PLUS
	required bool   // the binding is
}

// eachBoundLogin runs f for each hash, with the binding required and not, on
// connections that collect warnings.
func eachBoundLogin(t *testing.T, f func(t *testing.T, p livePlace, l boundLogin, dial func() (*session, *[]string))) {
	eachPlace(t, "cyrus, ", func(t *testing.T, p livePlace) {
		for hash, name := range map[crypto.Hash]string{crypto.SHA1: "SCRAM-SHA-1", crypto.SHA256: "SCRAM-SHA-256"} {
			for _, required := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, required %v", name, required), func(t *testing.T) {
					f(t, p, boundLogin{hash, name, required}, func() (*session, *[]string) {
						warnings := new([]string)
						return p.dial(t, func(d *conn.Dialer) {
							d.AuthFloor.Binding = required
							d.Warn = func(_ *conn.Client, text string) { *warnings = append(*warnings, text) }
						}), warnings
					})
				})
			}
		}
	})
}

// checkUnbound fails unless the -PLUS form was refused and then, if no binding is
// required, the login made without it, with a warning; and unless nothing weaker was
// tried.
func (l boundLogin) checkUnbound(s *session, warnings []string, err error) {
	s.t.Helper()
	if l.required {
		if !errors.Is(err, sasl.ErrAuthFailed) {
			s.t.Errorf("a login that has to be bound fails\n got: %v", err)
		}
		same(s.t, "nothing else is tried", s.tried(), []string{l.name + "-PLUS"})
		s.send("NOOP").ok()
		return
	}
	if err != nil {
		s.t.Errorf("a login that need not be bound succeeds without that: %v", err)
	}
	same(s.t, "the same hash follows", s.tried(), []string{l.name + "-PLUS", l.name})
	if len(warnings) != 1 || !strings.Contains(warnings[0], l.name+" without channel binding") {
		s.t.Errorf("there is a warning\n got: %q", warnings)
	}
	s.checkReader()
}

// Over TLS 1.2 both sides bind by tls-unique. Over TLS 1.3 there is none, of which
// Cyrus does not know: it refuses what RFC 9266 binds by.
func TestCyrusBound(t *testing.T) {
	eachBoundLogin(t, func(t *testing.T, p livePlace, l boundLogin, dial func() (*session, *[]string)) {
		s, warnings := dial()
		c := sasl.Static(inBed(t, "USER", "PASSWORD"))
		err := s.logIn("", sasl.Plain(c), sasl.CRAMMD5(c), sasl.SCRAM(l.hash, c, sasl.SCRAMOptions{}))
		if p.version == tls.VersionTLS13 {
			l.checkUnbound(s, *warnings, err)
			return
		}
		if err != nil {
			t.Fatalf("the login is bound: %v", err)
		}
		same(t, "the -PLUS form is the first", s.tried(), []string{l.name + "-PLUS"})
		same(t, "there is nothing to warn of", *warnings, nil)
		s.checkReader()
	})
}

// A login that is bound to another connection is refused: somebody sits between.
func TestCyrusBoundElsewhere(t *testing.T) {
	eachBoundLogin(t, func(t *testing.T, p livePlace, l boundLogin, dial func() (*session, *[]string)) {
		if p.version == tls.VersionTLS13 {
			return // all are: TestCyrusBound
		}
		s, warnings := dial()
		c := sasl.Static(inBed(t, "USER", "PASSWORD"))
		l.checkUnbound(s, *warnings, s.logIn("", sasl.Plain(c), elsewhere{sasl.SCRAM(l.hash, c, sasl.SCRAMOptions{})}))
	})
}

// elsewhere is a mechanism as it is on another connection.
type elsewhere struct{ sasl.Mechanism }

func (m elsewhere) Traits() sasl.Traits { return m.Mechanism.(sasl.Described).Traits() }

func (m elsewhere) New(p sasl.Params) sasl.Exchange {
	if here := p.Binding; here != nil {
		p.Binding = func(kind string) ([]byte, error) {
			b, err := here(kind)
			return bytes.Repeat([]byte("x"), len(b)), err
		}
	}
	return m.Mechanism.New(p)
}
