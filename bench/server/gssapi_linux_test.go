package server

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imclient/imclient/sasl"
	"github.com/imclient/imclient/sasl/krbtest"
)

// newKerberos has a service with a cache of its ticket, as a server makes them.
func newKerberos(t *testing.T) (*krbtest.Service, sasl.Mechanism) {
	t.Helper()
	s, ccache, err := kerberos()
	if err != nil {
		t.Fatal(err)
	}
	contents, err := base64.StdEncoding.DecodeString(ccache)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ccache")
	if err := os.WriteFile(path, contents, 0o600); err != nil {
		t.Fatal(err)
	}
	return s, sasl.GSSAPI(sasl.NewKerberos(sasl.KerberosOptions{CCache: path, Config: os.DevNull}))
}

func TestGSSAPI(t *testing.T) {
	service, m := newKerberos(t)
	for _, prot := range []sasl.Prot{sasl.ProtNone, sasl.ProtIntegrity, sasl.ProtPrivacy} {
		t.Run(fmt.Sprintf("prot=%d", prot), func(t *testing.T) {
			s := Server{in: make([]byte, 64<<10)}
			ss := &session{dialogue: dialogue{service: service}}
			p := params
			p.Prot = prot
			x := m.New(p)
			answer, said := logInBy(t, &ss.dialogue, x, "GSSAPI", true)
			if !strings.HasPrefix(answer, "t OK ") || said[len(said)-1] != wholeLogin || len(said) != 3 {
				t.Fatalf("three responses make a login: got %q, counted as %v", answer, said)
			}
			l := x.(sasl.Layered).Layer()
			if (l != nil) != (prot != sasl.ProtNone) || (ss.layer != nil) != (l != nil) {
				t.Fatalf("both ends have a layer, or none: %v and %v", ss.layer, l)
			}
			if l != nil {
				converse(t, &s, ss, l)
			}
		})
	}
}

// converse sends two commands in packets that come in parts, and reads the answers.
func converse(t *testing.T, s *Server, ss *session, l sasl.Layer) {
	t.Helper()
	for _, part := range []string{"a NOO", "P\r\nb FETCH 2 BODY[]\r\nc", " "} {
		if err := l.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	sent := bytes.Clone(l.Pending())
	var got []byte
	room := make([]byte, 1<<20)
	last := len(sent) - 1
	for _, b := range sent[:last] {
		rest, err := s.packets(ss, append(bytes.Clone(ss.rest), b))
		if err != nil {
			t.Fatal(err)
		}
		ss.rest = append(ss.rest[:0], rest...)
		l.Feed(bytes.Clone(s.out))
		n, err := l.Read(room)
		if err != nil {
			t.Fatal(err)
		}
		l.Keep()
		got, s.out = append(got, room[:n]...), s.out[:0]
	}
	if want := string(Answer("a NOOP")) + string(Answer("b FETCH 2 BODY[]")); string(got) != want {
		t.Errorf("commands in packets are answered in packets: got %d bytes, not %d", len(got), len(want))
	}
	if _, err := s.packets(ss, append(bytes.Clone(ss.rest), sent[last]^1)); err == nil {
		t.Error("an altered packet is refused")
	}
}

func TestGSSAPIRefused(t *testing.T) {
	_, m := newKerberos(t)
	another, _ := newKerberos(t)
	for name, login := range map[string]func() (string, kind){
		"a ticket for another": func() (string, kind) {
			answer, said := logInBy(t, &dialogue{service: another}, m.New(params), "GSSAPI", true)
			return answer, said[len(said)-1]
		},
		"no token": func() (string, kind) {
			d := dialogue{service: another}
			answer := d.answer(nil, []byte("t AUTHENTICATE GSSAPI AAAA"))
			return string(answer), d.said
		},
	} {
		if got, said := login(); got != "t NO it is not proved who you are\r\n" || said != command {
			t.Errorf("%s is refused: got %q, counted as %v", name, got, said)
		}
	}
}
