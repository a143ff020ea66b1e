package sasl

import (
	"crypto/md5"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// digestServer is a server's side of DIGEST-MD5: the formulas of RFC 2831, written down
// a second time.
type digestServer struct {
	challenge string
	uri       string
	user      string // in the server's character set, like password
	password  string
	authzid   string // who the user may act for
	saw       map[string]string
}

// newDigestServer has one user, chris, whose password is secret.
func newDigestServer(directives ...string) *digestServer {
	all := append([]string{`realm="elwood.innosoft.com"`, `nonce="OA6MG9tEQGm2hh"`, "algorithm=md5-sess", "charset=utf-8"}, directives...)
	return &digestServer{challenge: strings.Join(all, ","), uri: "imap/elwood.innosoft.com", user: "chris", password: "secret"}
}

func newDigestParams(p Prot) Params {
	return Params{Service: "imap", Host: "elwood.innosoft.com", Prot: p}
}

var chris = Static(Credentials{Username: "chris", Password: []byte("secret")})

func md5Text(s string) string { b := md5.Sum([]byte(s)); return string(b[:]) }
func md5Hex(s string) string  { return fmt.Sprintf("%x", md5Text(s)) }

// answer checks a digest-response and returns what proves that the server knows the
// password, and its layer.
func (s *digestServer) answer(response []byte) (proof string, layer *packetLayer, err error) {
	all, err := parseDirectives(response)
	if err != nil {
		return "", nil, err
	}
	s.saw = map[string]string{}
	for _, d := range all {
		if _, twice := s.saw[d.name]; twice {
			return "", nil, fmt.Errorf("%s twice", d.name)
		}
		s.saw[d.name] = d.value
	}
	if s.saw["username"] != s.user || s.saw["digest-uri"] != s.uri || s.saw["nc"] != "00000001" ||
		!strings.Contains(s.challenge, `nonce="`+s.saw["nonce"]+`"`) || s.saw["authzid"] != s.authzid {
		return "", nil, fmt.Errorf("not what was expected: %s", response)
	}
	a1 := md5Text(s.user+":"+s.saw["realm"]+":"+s.password) + ":" + s.saw["nonce"] + ":" + s.saw["cnonce"]
	if s.authzid != "" {
		a1 += ":" + s.authzid
	}
	if s.saw["response"] != s.response(a1, "AUTHENTICATE") {
		return "", nil, errors.New("wrong password")
	}
	layer, err = s.layer(md5.Sum([]byte(a1)))
	return "rspauth=" + s.response(a1, ""), layer, err
}

func (s *digestServer) response(a1, method string) string {
	a2 := method + ":" + s.uri
	if s.saw["qop"] != "auth" {
		a2 += ":" + strings.Repeat("0", 32)
	}
	return md5Hex(md5Hex(a1) + ":" + s.saw["nonce"] + ":00000001:" + s.saw["cnonce"] + ":" + s.saw["qop"] + ":" + md5Hex(a2))
}

func (s *digestServer) layer(a1 [md5.Size]byte) (*packetLayer, error) {
	if s.saw["qop"] == "auth" {
		return nil, nil
	}
	codec, err := newDigestCodec(Cipher(s.saw["cipher"]), a1, true)
	if err != nil {
		return nil, err
	}
	c, err := parseDigestChallenge([]byte(s.challenge))
	if err != nil {
		return nil, err
	}
	var theirs int
	fmt.Sscan(s.saw["maxbuf"], &theirs)
	return newPacketLayer(codec, c.maxbuf, theirs)
}

// logIn goes through an exchange and returns both sides' layers, nil for none.
func (s *digestServer) logIn(t testing.TB, e Exchange) (client Layer, server *packetLayer) {
	t.Helper()
	response := next(t, e, s.challenge)
	proof, server, err := s.answer(response)
	if err != nil {
		t.Fatalf("the server refuses %q: %v", response, err)
	}
	if e.Satisfied() {
		t.Fatal("the exchange is satisfied before the server has proved itself")
	}
	if last := next(t, e, proof); last == nil || len(last) > 0 {
		t.Fatalf("the answer to the proof is %q, not empty", last)
	}
	if !e.Satisfied() {
		t.Fatal("the exchange is not satisfied though the server has proved itself")
	}
	return e.(Layered).Layer(), server
}

// next gives an exchange a challenge that it must answer at once. It is begun if it
// is new.
func next(t testing.TB, e Exchange, challenge string) []byte {
	t.Helper()
	if d, ok := e.(*digestExchange); ok && d.phase == fresh {
		if step, err := e.Start(); err != nil || step.Response != nil || step.Work != nil {
			t.Fatalf("Start: %q, %v", step.Response, err)
		}
	}
	b := []byte(challenge)
	step, err := e.Next(b)
	clear(b) // it was valid during the call only
	if err != nil {
		t.Fatalf("challenge %q: %v", challenge, err)
	}
	if step.Work != nil {
		t.Fatal("work, though the credentials are static")
	}
	return step.Response
}

// begin begins an exchange with a challenge, which may be refused, or before it the
// credentials.
func begin(e Exchange, challenge string) (response []byte, err error) {
	if _, err := e.Start(); err != nil {
		return nil, err
	}
	step, err := e.Next([]byte(challenge))
	return step.Response, err
}
