package sasl

import (
	"crypto"
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

// Faults that others were warned of, each once more as a test of its own. Most have a
// longer one beside the code that they are about.
var advisories = []struct {
	name string
	test func(t *testing.T)
}{
	{"CVE-2026-43859 (mutt): the CRAM-MD5 key is cut at NUL", func(t *testing.T) {
		for _, password := range []string{"pencil\x00case", strings.Repeat("p", 64) + "\x00", strings.Repeat("p", 65) + "\x00x"} {
			m := CRAMMD5(Static(Credentials{Username: "user", Password: []byte(password)}))
			got, err := play(m.New(Params{}), [][]byte{[]byte("<1.2@a>")})
			mac := hmac.New(md5.New, []byte(password))
			mac.Write([]byte("<1.2@a>"))
			if want := "user " + hex.EncodeToString(mac.Sum(nil)); err != nil || string(got[len(got)-1]) != want {
				t.Errorf("a password of %d bytes is the key as a whole\n got: %q, %v\nwant: %q", len(password), got, err, want)
			}
		}
	}},
	{"CVE-2026-48829 (GNU SASL): a part of a DIGEST-MD5 challenge without =", func(t *testing.T) {
		for _, part := range []string{"realm", "nonce", "x", "qop,", "realm realm=x", `"realm"`} {
			malformed(t, DIGESTMD5(chris, DigestOptions{}), `nonce="x",algorithm=md5-sess,`+part)
			malformed(t, DIGESTMD5(chris, DigestOptions{}), part+`,nonce="x",algorithm=md5-sess`)
		}
	}},
	{"CVE-2019-19906 (Cyrus SASL): off by one at the end of a message", func(t *testing.T) {
		challenge := `realm="a\"b",nonce="n",qop="auth",charset=utf-8,algorithm=md5-sess`
		for n := range len(challenge) {
			cut := slices.Clip([]byte(challenge[:n])) // the byte behind it is out of range
			if _, err := play(DIGESTMD5(chris, DigestOptions{}).New(newDigestParams(ProtAny)), [][]byte{cut}); err != nil {
				faultOf(t, err)
			}
			if _, err := parseDigestProof(cut); err == nil {
				t.Errorf("%q proves nothing", cut)
			}
		}
	}},
	{"CVE-2013-0249 (curl): a realm of any length", func(t *testing.T) {
		for _, n := range []int{255, 256, 1023, 1024, 1025, maxDigestChallenge} {
			challenge := `realm="` + strings.Repeat("r", n) + `",nonce="n",qop="auth",algorithm=md5-sess`
			if _, err := play(DIGESTMD5(chris, DigestOptions{}).New(newDigestParams(ProtAny)), [][]byte{[]byte(challenge)}); err != nil {
				faultOf(t, err)
			}
		}
	}},
	{"CVE-2018-16839, CVE-2018-14618 (curl): sizes of credentials that overflow in sum", func(t *testing.T) {
		long := strings.Repeat("p", 1<<20)
		m := Plain(Static(Credentials{Username: long, Password: []byte(long), AuthzID: long + "z"}))
		response, err := settle(m.New(Params{}).Start())
		if want := long + "z\x00" + long + "\x00" + long; err != nil || string(response) != want {
			t.Errorf("long ones are sent as they are\n got: %d bytes, %v", len(response), err)
		}
	}},
	{"CVE-2026-42256 (net-imap), CVE-2026-42198 (pgjdbc): the iteration count takes all our time", func(t *testing.T) {
		for _, count := range []string{"1000001", "2147483647", "4294967296", "999999999999999999999"} {
			x := SCRAM(crypto.SHA256, pencil, SCRAMOptions{}).New(Params{})
			if _, err := settle(x.Start()); err != nil {
				t.Fatal(err)
			}
			step, err := x.Next([]byte("r=" + x.(*scramExchange).nonce + "srv,s=c2FsdA==,i=" + count))
			if _, bad := errors.AsType[*ChallengeError](err); !bad || step.Work != nil {
				t.Errorf("%s iterations are refused before one is done\n got: %v", count, err)
			}
		}
	}},
	{"e4f54f08 (Cyrus SASL): a packet shorter than its checksum; 7593 (389-ds): length + 4 wraps", func(t *testing.T) {
		eachLayer(t, func(t *testing.T, c Cipher) {
			lengths := []uint32{math.MaxUint32, math.MaxUint32 - 3, math.MaxUint32 - 4, math.MaxInt32, math.MaxInt32 - 3}
			for n := range uint32(digestMACLen + digestTailLen) {
				lengths = append(lengths, n)
			}
			for _, n := range lengths {
				_, server := newPair(t, c, 4096)
				packet := string(binary.BigEndian.AppendUint32(nil, n)) + strings.Repeat("\x00", int(min(n, 64)))
				if got, err := receive(server, 100, packet); got != "" || !isLayerError(err) {
					t.Errorf("a packet of %d bytes is none\n got: %q, %v", n, got, err)
				}
			}
		})
	}},
	{"402, 203, 196, 221 (Cyrus SASL): a maxbuf that leaves no room, or none", func(t *testing.T) {
		for maxbuf, fits := range map[string]bool{"0": false, "1": false, "16": false, "26": true, "65536": true, "16777215": true, "16777216": false, "4294967295": false, "-1": false} {
			s := newDigestServer(`qop="auth-int"`, "maxbuf="+maxbuf)
			p := newDigestParams(ProtIntegrity)
			x := DIGESTMD5(chris, DigestOptions{}).New(p)
			if _, err := settle(x.Start()); err != nil {
				t.Fatal(err)
			}
			_, err := settle(x.Next([]byte(s.challenge)))
			if (err == nil) != fits {
				t.Errorf("maxbuf=%s can be: %t\n got: %v", maxbuf, fits, err)
			}
		}
	}},
}

func malformed(t *testing.T, m Mechanism, challenge string) {
	t.Helper()
	x := m.New(newDigestParams(ProtAny))
	_, err := play(x, [][]byte{[]byte(challenge)})
	if _, bad := errors.AsType[*ChallengeError](err); !bad || x.Satisfied() {
		t.Errorf("%q is no challenge\n got: %v", challenge, err)
	}
}

func TestAdvisories(t *testing.T) {
	for _, a := range advisories {
		t.Run(a.name, a.test)
	}
}
