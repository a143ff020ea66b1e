package sasl

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestDigestChallenge(t *testing.T) {
	const least = `nonce="n",algorithm=md5-sess`
	plain := func(change func(*digestChallenge)) *digestChallenge {
		c := &digestChallenge{nonce: "n", offered: ProtNone, maxbuf: 65536}
		change(c)
		return c
	}
	realms := func(r ...string) *digestChallenge { return plain(func(c *digestChallenge) { c.realms = r }) }
	same := plain(func(*digestChallenge) {})
	for _, c := range []struct {
		in   string
		want *digestChallenge
	}{
		{least, same},
		{`algorithm=md5-sess,nonce="n"`, same},
		{`NONCE="n",Algorithm=MD5-Sess`, same},
		{` ,, nonce = "n" ,` + "\t\r\n , algorithm=md5-sess , ", same},
		{least + `,x=y,x="z",x=y`, same},
		{least + `,stale=true`, same},
		{least + `,opaque="` + `a=b,c=\"d\",nonce=\\` + `"`, same},
		{least + `,realm=""`, realms("")},
		{least + `,realm="a b"`, realms("a b")},
		{least + `,realm="a",realm="b",REALM="a"`, realms("a", "b", "a")},
		{least + `,realm="\"\\\a\,"`, realms(`"\a,`)},
		{least + ",realm=\"\xfc\tü\"", realms("\xfc\tü")},
		{least + `,qop="auth"`, same},
		{least + `,qop=" , auth , token ,"`, same},
		{least + `,qop="Auth-Int"`, plain(func(c *digestChallenge) { c.offered = ProtIntegrity })},
		{least + `,qop="x-qop"`, plain(func(c *digestChallenge) { c.offered = 0 })},
		{least + `,qop="auth-conf,auth",cipher="rc4,des,RC4,aes,3des"`, plain(func(c *digestChallenge) {
			c.offered, c.ciphers = ProtNone|ProtPrivacy, []Cipher{RC4, DES, TripleDES}
		})},
		{least + `,maxbuf=17`, plain(func(c *digestChallenge) { c.maxbuf = 17 })},
		{least + `,maxbuf=0000000000000000000000000016777215`, plain(func(c *digestChallenge) { c.maxbuf = 16777215 })},
		{least + `,charset=UTF-8`, plain(func(c *digestChallenge) { c.utf8 = true })},
	} {
		got, err := parseDigestChallenge([]byte(c.in))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q is %+v, %v\n    not %+v", c.in, got, err, c.want)
		}
	}
}

func TestDigestChallengeMalformed(t *testing.T) {
	const least = `nonce="n",algorithm=md5-sess`
	for _, c := range []struct{ in, want string }{
		{"", "it is empty"},
		{" , ,", "it is empty"},
		{`nonce="n"`, "no algorithm"},
		{`algorithm=md5-sess`, "no nonce"},
		{`nonce="",algorithm=md5-sess`, "an empty nonce"},
		{least + `,nonce="n"`, "nonce twice"},
		{least + `,algorithm=md5-sess`, "algorithm twice"},
		{least + `,qop="auth",qop="auth"`, "qop twice"},
		{least + `,cipher="rc4",Cipher="rc4"`, "cipher twice"},
		{least + `,maxbuf=100,maxbuf=100`, "maxbuf twice"},
		{least + `,charset=utf-8,charset=utf-8`, "charset twice"},
		{least + `,stale=true,stale=true`, "stale twice"},
		{`nonce="n",algorithm=md5`, "an algorithm that is not md5-sess"},
		{least + `,charset=utf-16`, "a charset that is not utf-8"},
		{least + `,qop=""`, "a qop that is no list"},
		{least + `,qop=", ,"`, "a qop that is no list"},
		{least + `,qop="auth auth-int"`, "a qop that is no list"},
		{least + `,qop="auth;x"`, "a qop that is no list"},
		{least + `,cipher="("`, "a cipher that is no list"},
		{least + `,qop="auth-conf"`, "auth-conf without a cipher"},
		{least + `,maxbuf=0`, "a maxbuf that"},
		{least + `,maxbuf=16`, "a maxbuf that"},
		{least + `,maxbuf=16777216`, "a maxbuf that"},
		{least + `,maxbuf=-100`, "a maxbuf that"},
		{least + `,maxbuf=1e3`, "a maxbuf that"},
		{least + `,maxbuf=99999999999999999999999`, "a maxbuf that"},
		{least + `,realm`, "no = behind a directive's name at byte 34"},
		{least + `,=r`, "no name of a directive at byte 29"},
		{least + `,"realm"="r"`, "no name"},
		{least + `,realm r`, "no ="},
		{least + `;realm="r"`, "no comma"},
		{least + `,x=`, "no value"},
		{least + `,x=,y=z`, "no value"},
		{least + `,x=(y)`, "no value"},
		{least + `,x="y`, "no value"},
		{least + `,x="y\`, "no value"},
		{least + `,x="y\"`, "no value"},
		{least + `,x="y"z`, "no comma"},
		{least + `,x=y z=a`, "no comma"},
		{least + ",x=\"\x00\"", "no value"},
		{least + ",x=\"\\\x00\"", "no value"},
		{least + ",x=\"\\\xfc\"", "no value"},
		{least + ",x=\"a\r\n b\"", "no value"},
		{least + ",x=\"\x7f\"", "no value"},
		{least + ",\x00=y", "no name"},
		{least + ",ü=y", "no name"},
		{least + ",x=y\r\n", "no comma"},
		{least + ",x=y\n,z=a", "no comma"},
	} {
		got, err := parseDigestChallenge([]byte(c.in))
		bad, ok := errors.AsType[*ChallengeError](err)
		if !ok || got != nil || bad.Mechanism != "DIGEST-MD5" || !strings.Contains(bad.What, c.want) {
			t.Errorf("%q is malformed: %s; but the error is %v", c.in, c.want, err)
		}
	}
}

// RFC 2831 sections 2.1.1 and 2.1.2 have a challenge of less than 2048 bytes, and a
// response of less than 4096.
func TestDigestLengths(t *testing.T) {
	const least = `nonce="n",algorithm=md5-sess,x=`
	for n, ok := range map[int]bool{maxDigestChallenge: true, maxDigestChallenge + 1: false} {
		_, err := parseDigestChallenge([]byte(least + strings.Repeat("y", n-len(least))))
		if (err == nil) != ok {
			t.Errorf("a challenge of %d bytes: %v", n, err)
		}
	}
	login := func(n int) ([]byte, error) {
		cred := Credentials{Username: strings.Repeat("x", n), Password: []byte("secret")}
		e := DIGESTMD5(Static(cred), DigestOptions{}).New(newDigestParams(0))
		return begin(e, `nonce="n",algorithm=md5-sess`)
	}
	short, err := login(1)
	if err != nil {
		t.Fatal(err)
	}
	room := maxDigestResponse - len(short) + 1
	if got, err := login(room); err != nil || len(got) != maxDigestResponse {
		t.Errorf("a response of %d bytes: %v", len(got), err)
	}
	if _, err := login(room + 1); err == nil {
		t.Error("a response can be longer than the RFC allows")
	}
	// A challenge that is nothing but quotes to be escaped, which double in length.
	e := DIGESTMD5(chris, DigestOptions{}).New(newDigestParams(0))
	realm := strings.Repeat(`\"`, 900)
	if response, err := begin(e, `nonce="n",algorithm=md5-sess,realm="`+realm+`"`); err != nil || !strings.Contains(string(response), realm) {
		t.Errorf("a realm of quotes: %v", err)
	}
}

// Hostile challenges of the largest size cost little.
func TestDigestChallengeHostile(t *testing.T) {
	for _, piece := range []string{",", " ", "\r\n ", "a=b,", `realm="",`, `"`, `\`, "=", `x="`, `x="\"",`} {
		challenge := strings.Repeat(piece, maxDigestChallenge/len(piece))
		n := testing.AllocsPerRun(1, func() {
			parseDigestChallenge([]byte(challenge))
			parseDigestProof([]byte(challenge))
		})
		if n > maxDigestChallenge {
			t.Errorf("%q again and again makes %v allocations", piece, n)
		}
	}
}

func ExampleDIGESTMD5() {
	m := DIGESTMD5(Static(Credentials{Username: "chris", Password: []byte("secret")}), DigestOptions{Ciphers: []Cipher{RC4}})
	login := m.New(Params{Service: "imap", Host: "elwood.innosoft.com", Prot: ProtNone | ProtPrivacy})
	login.Start()
	step, err := login.Next([]byte(`realm="elwood.innosoft.com",nonce="OA6MG9tEQGm2hh",algorithm=md5-sess,charset=utf-8,qop="auth,auth-conf",cipher="3des,rc4"`))
	if err != nil {
		fmt.Println(err)
		return
	}
	response := string(step.Response)
	fmt.Println(response[:strings.Index(response, ",nonce")])
	fmt.Println(response[strings.Index(response, "qop="):])
	// Output:
	// charset=utf-8,username="chris",realm="elwood.innosoft.com"
	// qop=auth-conf,cipher=rc4
}

// Servers quote what the grammar does not, and Dovecot does.
func TestDigestChallengeQuotes(t *testing.T) {
	for _, challenge := range []string{
		`realm="",nonce="n",qop="auth",charset="utf-8",algorithm="md5-sess"`,
		`realm=r,nonce=n,qop=auth,charset=utf-8,algorithm=md5-sess,maxbuf="100"`,
	} {
		if c, err := parseDigestChallenge([]byte(challenge)); err != nil || c.nonce != "n" || !c.utf8 {
			t.Errorf("a challenge is understood with quotes and without: %s\n got: %v", challenge, err)
		}
	}
}
