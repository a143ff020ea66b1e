package sasl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// The examples of RFC 2831 section 4.
func TestDigestVectors(t *testing.T) {
	for _, v := range []struct{ service, nonce, cnonce, response, proof string }{
		{"imap", "OA6MG9tEQGm2hh", "OA6MHXh6VqTrRk", "d388dad90d4bbd760a152321f2143af7", "ea40f60335c427b5527b84dbabcdfffd"},
		{"acap", "OA9BSXrbuRhWay", "OA9BSuZWMSpW8m", "6084c6db3fede7352c551284490fd0fc", "2f0b3d7c3c2e486600ef710726aa2eae"},
	} {
		t.Run(v.service, func(t *testing.T) {
			p := newDigestParams(ProtAny)
			p.Service = v.service
			e := DIGESTMD5(chris, DigestOptions{}).New(p).(*digestExchange)
			e.cnonce = v.cnonce
			got := next(t, e, `realm="elwood.innosoft.com",nonce="`+v.nonce+`",qop="auth",algorithm=md5-sess,charset=utf-8`)
			want := `charset=utf-8,username="chris",realm="elwood.innosoft.com",nonce="` + v.nonce + `",nc=00000001,cnonce="` + v.cnonce +
				`",digest-uri="` + v.service + `/elwood.innosoft.com",response=` + v.response + `,qop=auth`
			if string(got) != want {
				t.Errorf("the response is\n%s, not\n%s", got, want)
			}
			next(t, e, "rspauth="+v.proof)
			if !e.Satisfied() || e.Layer() != nil || e.SSF() != 0 || e.Prot() != ProtNone {
				t.Error("the exchange is not satisfied, or has a layer")
			}
		})
	}
}

// The strongest protection that both sides allow.
func TestDigestProtection(t *testing.T) {
	const all = `qop="auth,auth-int,auth-conf"`
	const cyrus = `cipher="rc4-40,rc4-56,rc4,des,3des"`
	for _, c := range []struct {
		offer   string
		prot    Prot
		ciphers []Cipher
		max     int
		want    string // "": no login
		ssf     int
	}{
		{``, ProtAny, nil, 0, "auth", 0},
		{``, 0, nil, 0, "auth", 0},
		{``, ProtIntegrity | ProtPrivacy, nil, 0, "", 0},
		{`qop="auth-int"`, ProtNone, nil, 0, "", 0},
		{`qop="auth-int"`, 0, nil, 0, "", 0},
		{`qop="token"`, ProtAny, nil, 0, "", 0},
		{`qop="auth,token"`, ProtAny, nil, 0, "auth", 0},
		{all + "," + cyrus, ProtNone, nil, 0, "auth", 0},
		{all + "," + cyrus, ProtIntegrity, nil, 0, "auth-int", 1},
		{all + "," + cyrus, ProtNone | ProtIntegrity, nil, 0, "auth-int", 1},
		{all + "," + cyrus, ProtAny, nil, 0, "auth-conf rc4", 128},
		{all + "," + cyrus, ProtPrivacy, nil, 0, "auth-conf rc4", 128},
		{all + "," + cyrus, ProtAny, []Cipher{"3des"}, 0, "auth-conf 3des", 112},
		{all + "," + cyrus, ProtAny, []Cipher{"aes", "des", "rc4"}, 0, "auth-conf des", 55},
		{all + "," + cyrus, ProtAny, []Cipher{"aes"}, 0, "auth-int", 1},
		{all + "," + cyrus, ProtPrivacy, []Cipher{}, 0, "", 0},
		{all + `,cipher="3des,des,rc4-40,rc4-56"`, ProtAny, nil, 0, "auth-conf 3des", 112},
		{all + `,cipher="des,rc4-40,rc4-56"`, ProtAny, nil, 0, "auth-conf rc4-56", 56},
		{all + `,cipher="des,rc4-40"`, ProtAny, nil, 0, "auth-conf des", 55},
		{all + `,cipher="RC4-40"`, ProtAny, nil, 0, "auth-conf rc4-40", 40},
		{all + `,cipher="aes"`, ProtAny, nil, 0, "auth-int", 1},
		{all + `,cipher="aes"`, ProtPrivacy, nil, 0, "", 0},
		// The maximum of either side can be too small for a layer.
		{all + "," + cyrus + ",maxbuf=17", ProtAny, []Cipher{DES}, 0, "auth-int", 1},
		{all + "," + cyrus + ",maxbuf=24", ProtAny, []Cipher{DES}, 0, "auth-int", 1},
		{all + "," + cyrus + ",maxbuf=25", ProtAny, []Cipher{DES}, 0, "auth-conf des", 55},
		{all + "," + cyrus + ",maxbuf=17", ProtAny, nil, 0, "auth-conf rc4", 128},
		{all + "," + cyrus, ProtAny, nil, 16, "auth", 0},
		{all + "," + cyrus, ProtAny, nil, 17, "auth-conf rc4", 128},
	} {
		t.Run(fmt.Sprint(c.offer, c.prot, c.ciphers, c.max), func(t *testing.T) {
			p := newDigestParams(c.prot)
			p.MaxReceive = c.max
			s := newDigestServer(c.offer)
			e := DIGESTMD5(chris, DigestOptions{Ciphers: c.ciphers}).New(p)
			if c.want == "" {
				if _, err := begin(e, s.challenge); !errors.Is(err, ErrNoProtection) {
					t.Fatalf("no protection is agreed on, but the error is %v", err)
				}
				return
			}
			client, server := s.logIn(t, e)
			qop, cipher, _ := strings.Cut(c.want, " ")
			if s.saw["qop"] != qop || s.saw["cipher"] != cipher || e.(Layered).SSF() != c.ssf || qopName(e.(Layered).Prot()) != qop {
				t.Errorf("it is %s %s, ssf %d, not %s", s.saw["qop"], s.saw["cipher"], e.(Layered).SSF(), c.want)
			}
			if (client == nil) != (c.ssf == 0) {
				t.Fatalf("the layer is %v with ssf %d", client, c.ssf)
			}
			if client != nil {
				talk(t, client, server)
			}
		})
	}
}

// talk has both ends of a layer tell each other something.
func talk(t *testing.T, a, b Layer) {
	t.Helper()
	for i, text := range []string{"A01 NOOP\r\n", "* OK\r\n", strings.Repeat("0123456789", 1000)} {
		if err := a.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		b.Feed([]byte(string(a.Pending())))
		a.Sent(len(a.Pending()))
		var got strings.Builder
		p := make([]byte, 1000)
		for n, err := b.Read(p); n > 0 || err != nil; n, err = b.Read(p) {
			if err != nil {
				t.Fatalf("text %d: %v", i, err)
			}
			got.Write(p[:n])
		}
		b.Keep()
		if got.String() != text {
			t.Fatalf("text %d came as %.40q", i, got.String())
		}
		a, b = b, a
	}
}

func TestDigestMaxbuf(t *testing.T) {
	for _, c := range []struct {
		max  int
		want string
	}{{0, "65536"}, {-1, "65536"}, {1 << 20, "65536"}, {65536, "65536"}, {4096, "4096"}} {
		p := newDigestParams(ProtIntegrity)
		p.MaxReceive = c.max
		s := newDigestServer(`qop="auth-int"`)
		s.logIn(t, DIGESTMD5(chris, DigestOptions{}).New(p))
		if s.saw["maxbuf"] != c.want {
			t.Errorf("MaxReceive %d announces %s, not %s", c.max, s.saw["maxbuf"], c.want)
		}
	}
	s := newDigestServer()
	s.logIn(t, DIGESTMD5(chris, DigestOptions{}).New(newDigestParams(ProtAny)))
	if got, ok := s.saw["maxbuf"]; ok {
		t.Errorf("maxbuf %s is announced without a layer", got)
	}
}

func TestDigestRealm(t *testing.T) {
	const end = `nonce="n",algorithm=md5-sess`
	const utf8 = `charset=utf-8,` + end
	for _, c := range []struct{ challenge, option, want string }{
		{utf8, "", "none"},
		{utf8, "mine", "mine"},
		{`realm="",` + utf8, "", ""},
		{`realm="a",` + utf8, "", "a"},
		{`realm="a",realm="b",` + utf8, "", "a"},
		{`realm="a",realm="b",` + utf8, "b", "b"},
		{`realm="a",realm="b",` + utf8, "c", "refused"},
		{`realm="a",realm="Elwood.INNOSOFT.com",` + utf8, "", "Elwood.INNOSOFT.com"},
		{`realm="a \"b\" \\ c",` + utf8, "", `a "b" \ c`},
		{`realm="a \"b\" \\ c",` + utf8, `a "b" \ c`, `a "b" \ c`},
		{`realm="bücher",` + utf8, "bücher", "bücher"},
		{"realm=\"b\xfccher\"," + end, "bücher", "b\xfccher"},
		{"realm=\"b\xfccher\"," + end, "", "b\xfccher"},
		{end, "Ж", "refused"},
		{utf8, "Ж", "Ж"},
	} {
		e := DIGESTMD5(chris, DigestOptions{Realm: c.option}).New(newDigestParams(0))
		response, err := begin(e, c.challenge)
		if c.want == "refused" {
			if err == nil || errors.Is(err, ErrNoCredentials) { // which would say that nothing was sent
				t.Errorf("%q has no realm %q, but the error is %v", c.challenge, c.option, err)
			}
			continue
		}
		s := &digestServer{challenge: c.challenge, uri: "imap/elwood.innosoft.com", user: "chris", password: "secret"}
		if err == nil {
			s.answer(response)
		}
		if got, ok := s.saw["realm"]; got != c.want && (c.want != "none" || ok) {
			t.Errorf("of %q with option %q the realm is %q, %v", c.challenge, c.option, got, err)
		}
	}
}

// What is in ISO 8859-1 is hashed in it, each on its own (RFC 2831 section 2.1.2.1).
func TestDigestCharset(t *testing.T) {
	const bare = `realm="r",nonce="n",algorithm=md5-sess`
	const utf8 = bare + ",charset=utf-8"
	for _, c := range []struct {
		challenge, user, password   string
		wire, hashedUser, hashedPwd string // wire "": no login
	}{
		{utf8, "chris", "secret", "chris", "chris", "secret"},
		{bare, "chris", "secret", "chris", "chris", "secret"},
		{utf8, "jürgen", "größe", "jürgen", "j\xfcrgen", "gr\xf6\xdfe"},
		{bare, "jürgen", "größe", "j\xfcrgen", "j\xfcrgen", "gr\xf6\xdfe"},
		{utf8, "jürgen", "пароль", "jürgen", "j\xfcrgen", "пароль"},
		{utf8, "имя", "größe", "имя", "имя", "gr\xf6\xdfe"},
		{bare, "jürgen", "пароль", "", "", ""},
		{bare, "имя", "größe", "", "", ""},
		{utf8, "ß\xff", "secret", "", "", ""},
		{utf8, "chris", "\xff", "", "", ""},
		{bare, "chris", "\xff", "", "", ""},
		{utf8, `a "b" \`, "secret", `a "b" \`, `a "b" \`, "secret"},
		{utf8, "chris", "x\x00y", "chris", "chris", "x\x00y"},
		{utf8, "chris", "µ ª", "chris", "chris", "\xb5 \xaa"}, // SASLprep would make them others
	} {
		p := Static(Credentials{Username: c.user, Password: []byte(c.password)})
		e := DIGESTMD5(p, DigestOptions{}).New(newDigestParams(0))
		response, err := begin(e, c.challenge)
		if c.wire == "" {
			if err == nil || errors.Is(err, ErrNoCredentials) && !strings.Contains(err.Error(), "a name") { // that is known before anything is sent
				t.Errorf("%q and %q cannot be said to %q, but the error is %v", c.user, c.password, c.challenge, err)
			}
			if err != nil && strings.Contains(err.Error(), c.password) {
				t.Errorf("the error holds the password: %v", err)
			}
			continue
		}
		s := &digestServer{challenge: c.challenge, uri: "imap/elwood.innosoft.com", user: c.wire, password: c.hashedPwd}
		s.answer(response)
		a1 := md5Text(c.hashedUser+":r:"+c.hashedPwd) + ":n:" + s.saw["cnonce"]
		if s.saw["username"] != c.wire || s.saw["response"] != s.response(a1, "AUTHENTICATE") {
			t.Errorf("%q and %q for %q: %s, %v", c.user, c.password, c.challenge, response, err)
		}
		if utf8 := strings.HasSuffix(c.challenge, "utf-8"); utf8 != (s.saw["charset"] == "utf-8") {
			t.Errorf("the charset of the response is %q", s.saw["charset"])
		}
	}
}

func TestDigestAuthorization(t *testing.T) {
	for _, c := range []struct{ username, authzid, user, wantUser, wantAuthzid string }{
		{"chris", "", "", "chris", ""},
		{"chris", "", "chris", "chris", ""},
		{"chris", "", "Łukasz", "chris", "Łukasz"},
		{"chris", "bob", "", "chris", "bob"},
		{"chris", `b"o\b`, "alice", "chris", `b"o\b`},
		{"", "", "chris", "chris", ""},
	} {
		p := newDigestParams(ProtAny)
		p.User = c.user
		s := newDigestServer()
		s.authzid = c.wantAuthzid
		s.logIn(t, DIGESTMD5(Static(Credentials{Username: c.username, AuthzID: c.authzid, Password: []byte("secret")}), DigestOptions{}).New(p))
		if _, sent := s.saw["authzid"]; sent != (c.wantAuthzid != "") || s.saw["username"] != c.wantUser {
			t.Errorf("%+v: the server saw %v", c, s.saw)
		}
	}
}

// Names that cannot be said, and those that make the response too long.
func TestDigestNames(t *testing.T) {
	long := strings.Repeat("x", maxDigestResponse)
	for _, c := range []struct {
		cred    Credentials
		options DigestOptions
		host    string
		want    string
	}{
		{Credentials{Username: "a\nb"}, DigestOptions{}, "h", "no credentials"},
		{Credentials{Username: "a\x7f"}, DigestOptions{}, "h", "no credentials"},
		{Credentials{Username: "a", AuthzID: "\x00"}, DigestOptions{}, "h", "no credentials"},
		{Credentials{Username: "a"}, DigestOptions{Realm: "r\r"}, "h", "the realm has a control character"},
		{Credentials{Username: "a"}, DigestOptions{}, "h\r\n", "the digest-uri has a control character"},
		{Credentials{Username: long}, DigestOptions{}, "h", "names and nonce make a response of"},
	} {
		c.cred.Password = []byte("secret")
		e := DIGESTMD5(Static(c.cred), c.options).New(Params{Service: "imap", Host: c.host})
		_, err := begin(e, `nonce="n",algorithm=md5-sess`)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.40q, host %q: the error is %v", c.cred.Username, c.host, err)
		}
	}
	p := newDigestParams(0)
	for _, c := range []Credentials{{Password: []byte("secret")}, {Username: "chris"}} {
		e := DIGESTMD5(Static(c), DigestOptions{}).New(p)
		if _, err := begin(e, newDigestServer().challenge); !errors.Is(err, ErrNoCredentials) {
			t.Errorf("%v is not enough, but the error is %v", c, err)
		}
	}
}

// The client's nonce is new in each login, and without randomness there is none.
func TestDigestClientNonce(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		s := newDigestServer()
		s.logIn(t, DIGESTMD5(chris, DigestOptions{}).New(newDigestParams(0)))
		if n := s.saw["cnonce"]; seen[n] || len(n) < 22 {
			t.Fatalf("the client's nonce %q was used before, or has less than 128 bits", n)
		}
		seen[s.saw["cnonce"]] = true
	}
	p := newDigestParams(0)
	p.Rand = strings.NewReader("fifteen bytes..")
	e := DIGESTMD5(chris, DigestOptions{}).New(p)
	if _, err := begin(e, newDigestServer().challenge); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("there are not enough random bytes, but the error is %v", err)
	}
}

// Credentials that are asked for are asked for off the loop, before anything is said.
func TestDigestProvider(t *testing.T) {
	asked := 0
	answer := errors.New("the keyring is locked")
	p := ProviderFunc(func(_ context.Context, ask Ask) (Credentials, error) {
		asked++
		if ask.Mechanism != "DIGEST-MD5" || ask.Host != "elwood.innosoft.com" {
			t.Errorf("asked for %+v", ask)
		}
		return Credentials{Username: "chris", Password: []byte("secret")}, answer
	})
	s := newDigestServer()
	for _, locked := range []bool{true, false} {
		e := DIGESTMD5(p, DigestOptions{}).New(newDigestParams(0))
		step, err := e.Start()
		if err != nil || step.Work == nil {
			t.Fatalf("no work: %v", err)
		}
		step, err = step.Work(context.Background())
		if locked {
			if !errors.Is(err, answer) {
				t.Fatalf("the provider's error is %v", err)
			}
			if _, err := e.Next([]byte(s.challenge)); !errors.Is(err, ErrFinished) {
				t.Fatalf("after an error the exchange goes on: %v", err)
			}
			answer = nil
			continue
		}
		if step.Response != nil || err != nil {
			t.Fatalf("the server speaks first, but the response is %q, %v", step.Response, err)
		}
		proof, _, err := s.answer(next(t, e, s.challenge))
		if err != nil {
			t.Fatal(err)
		}
		next(t, e, proof)
	}
	if asked != 2 {
		t.Errorf("asked %d times", asked)
	}
}

// Calls that are not in turn end an exchange, and it never is satisfied then.
func TestDigestStates(t *testing.T) {
	s := newDigestServer(`qop="auth,auth-int"`)
	m := DIGESTMD5(chris, DigestOptions{})
	for name, calls := range map[string]func(e Exchange, proof func() string) error{
		"Next first":      func(e Exchange, _ func() string) error { _, err := e.Next([]byte(s.challenge)); return err },
		"Start twice":     func(e Exchange, _ func() string) error { e.Start(); _, err := e.Start(); return err },
		"empty challenge": func(e Exchange, _ func() string) error { e.Start(); _, err := e.Next(nil); return err },
		"challenge twice": func(e Exchange, proof func() string) error {
			proof()
			_, err := e.Next([]byte(s.challenge))
			return err
		},
		"proof twice": func(e Exchange, proof func() string) error {
			p := []byte(proof())
			e.Next(p)
			_, err := e.Next(p)
			return err
		},
		"proof first": func(e Exchange, _ func() string) error {
			_, err := begin(e, "rspauth=ea40f60335c427b5527b84dbabcdfffd")
			return err
		},
		"given up": func(e Exchange, proof func() string) error {
			p := []byte(proof())
			e.(Outcome).Done(errors.New("given up"))
			_, err := e.Next(p)
			return err
		},
	} {
		e := m.New(newDigestParams(ProtAny))
		err := calls(e, func() string {
			proof, _, err := s.answer(next(t, e, s.challenge))
			if err != nil {
				t.Fatal(err)
			}
			return proof
		})
		if err == nil || e.Satisfied() || e.(Layered).Layer() != nil {
			t.Errorf("%s: the error is %v, satisfied %v, layer %v", name, err, e.Satisfied(), e.(Layered).Layer())
		}
		if _, err := e.Next([]byte(s.challenge)); err == nil {
			t.Errorf("%s: the exchange goes on after an error", name)
		}
	}
}

// A proof that is not exactly right ends the login.
func TestDigestProof(t *testing.T) {
	s := newDigestServer(`qop="auth-int"`)
	m := DIGESTMD5(chris, DigestOptions{})
	try := func(change func(proof string) string) (Exchange, error) {
		e := m.New(newDigestParams(ProtAny))
		proof, _, err := s.answer(next(t, e, s.challenge))
		if err != nil {
			t.Fatal(err)
		}
		_, err = e.Next([]byte(change(proof)))
		return e, err
	}
	bad := map[string]func(string) string{
		"repeated":   func(p string) string { return p + "," + p },
		"upper case": func(p string) string { h, v, _ := strings.Cut(p, "="); return h + "=" + strings.ToUpper(v) },
		"doubled":    func(p string) string { return p + p },
		"too long":   func(p string) string { return p + strings.Repeat(",", maxDigestChallenge) },
		"missing":    func(string) string { return "x=y" },
		"challenge":  func(string) string { return s.challenge },
	}
	for i := range len("rspauth=ea40f60335c427b5527b84dbabcdfffd") {
		bad[fmt.Sprint("cut at ", i)] = func(p string) string { return p[:i] }
		for _, x := range []byte{1, 0x20, 0x80, 0xff} {
			if x == 0x20 && i < len("rspauth") {
				continue // RSPAUTH is the same name
			}
			bad[fmt.Sprint("changed at ", i, x)] = func(p string) string { return p[:i] + string(p[i]^x) + p[i+1:] }
		}
	}
	for name, change := range bad {
		e, err := try(change)
		if err == nil || e.Satisfied() || e.(Layered).Layer() != nil {
			t.Errorf("%s: the error is %v, satisfied %v", name, err, e.Satisfied())
		}
	}
	for _, change := range []func(string) string{
		func(p string) string { return p },
		func(p string) string { return " ,, x = \"y\" , " + p + "\r\n ," },
	} {
		if e, err := try(change); err != nil || !e.Satisfied() {
			t.Errorf("the proof is right, but the error is %v", err)
		}
	}
	if _, err := try(func(p string) string { return p[:len(p)-1] + "g" }); !errors.Is(err, ErrNotProved) {
		t.Errorf("the server does not know the password, but the error is %v", err)
	}
}

// Whatever is done to the challenge on its way, the exchange ends in an error, or the
// server refuses the response, or the login is the one it would have been.
func TestDigestChallengeChanged(t *testing.T) {
	s := newDigestServer(`qop="auth,auth-int,auth-conf"`, `cipher="rc4,des,3des"`, "maxbuf=4096", "x=y")
	whole := s.challenge
	m := DIGESTMD5(chris, DigestOptions{})
	try := func(what, challenge string) {
		e := m.New(newDigestParams(ProtAny))
		response, err := begin(e, challenge)
		if err != nil {
			if bad, ok := errors.AsType[*ChallengeError](err); !ok && !errors.Is(err, ErrNoProtection) {
				t.Errorf("%s: the error is %v, %v", what, err, bad)
			}
			return
		}
		proof, _, err := s.answer(response)
		if err != nil {
			return
		}
		if _, err := e.Next([]byte(proof)); err != nil {
			t.Errorf("%s: the server took the response, but its proof was refused: %v", what, err)
		}
	}
	for i := range whole {
		try(fmt.Sprint("cut at ", i), whole[:i])
		try(fmt.Sprint("begun at ", i), whole[i:])
		for x := range 256 {
			if x == 0 || x&(x-1) == 0 || x == 0xff {
				try(fmt.Sprintf("changed at %d by %#x", i, x), whole[:i]+string([]byte{whole[i] ^ byte(x)})+whole[i+1:])
			}
		}
		try(fmt.Sprint("doubled at ", i), whole[:i]+whole[i:i+1]+whole[i:])
		try(fmt.Sprint("without ", i), whole[:i]+whole[i+1:])
	}
	try("repeated", whole+","+whole)
}

// No error tells a secret.
func TestDigestSecrets(t *testing.T) {
	m := DIGESTMD5(Static(Credentials{Username: "chris", Password: []byte("hunter2")}), DigestOptions{})
	e := m.New(newDigestParams(ProtAny))
	next(t, e, newDigestServer().challenge)
	for _, s := range []string{fmt.Sprintf("%v %+v %#v", m, m, m), fmt.Sprintf("%v %+v %#v", e, e, e)} {
		if strings.Contains(s, "hunter2") || strings.Contains(s, fmt.Sprint([]byte("hunter2"))) {
			t.Errorf("a secret is shown: %s", s)
		}
	}
}
