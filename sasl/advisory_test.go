package sasl

import (
	"crypto"
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/imclient/imclient/sasl/krbtest"
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
	{"CVE-2026-43862 (mutt): a GSSAPI offer shorter than four bytes", func(t *testing.T) {
		for _, etype := range etypes {
			s, k := newTicket(t, etype)
			for n := range 9 {
				err := lie(t, s, k, krbtest.Options{Raw: append(make([]byte, 0, 9), []byte{7, 0, 16, 0, 0, 0, 0, 0, 0}[:n]...)}, nil)
				if n == 4 != (err == nil) {
					t.Errorf("an offer has four bytes\n got: %d, %v", n, err)
				}
				if err != nil {
					faultOf(t, err)
				}
			}
		}
	}},
	{"CVE-2024-37370, CVE-2024-37371, CVE-2014-4341, CVE-2014-4342 (MIT krb5): extra counts and lengths of wrap tokens", func(t *testing.T) {
		for name, etype := range etypes {
			s, k := newTicket(t, etype)
			for _, prot := range []Prot{ProtIntegrity, ProtPrivacy} {
				for at := range 8 { // the extra count and more of the head
					x, a := GSSAPI(k).New(gssapiParams(prot)).(*gssapiExchange), s.Accept(krbtest.Options{})
					if err := converse(t, x, a, nil); err != nil {
						t.Fatal(err)
					}
					packet, err := a.Encode(nil, []byte("* 1 EXISTS\r\n"))
					if err != nil {
						t.Fatal(err)
					}
					if packet[lengthLen+at] ^= 0xff; at != 6 && at != 7 || etype == 23 { // the rotation
						breaks(t, fmt.Sprintf("%s with byte %d of its head altered", name, at), x.Layer(), packet)
					}
				}
				for n := range 100 {
					x := GSSAPI(k).New(gssapiParams(prot)).(*gssapiExchange)
					if err := converse(t, x, s.Accept(krbtest.Options{}), nil); err != nil {
						t.Fatal(err)
					}
					packet := binary.BigEndian.AppendUint32(nil, uint32(n))
					packet = append(packet, "\x05\x04\x07\xff\xff\xff\xff\xff"...)
					breaks(t, fmt.Sprintf("%s of %d bytes", name, n), x.Layer(), append(packet, make([]byte, 100)...)[:lengthLen+n])
				}
			}
		}
	}},
	{"460 (gokrb5), 132, 133 (go-krb5): tokens that its parsers panic at", func(t *testing.T) {
		s, k := newTicket(t, 18)
		head := "\x60\x0b\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"
		for _, token := range []string{
			"", "\x60", "\x60\x00", "\x60\x84\xff\xff\xff\xff", "\x60\x80\x00\x00", head, head[:12] + "\x02",
			head + "\x02\x00", head + "\x02\x00\x6f", head + "\x02\x00\x6f\x80", head + "\x02\x00\x6f\x84\x7f\xff\xff\xff",
			head + "\x03\x00", head + "\x03\x00\x7e\x02\x30\x00", head + "\x01\x00", head + "\x02\x01\x11\x00", "\x05\x04", "\x05\x04\x01\xff",
		} {
			for at := 1; at <= 2; at++ {
				err := lie(t, s, k, krbtest.Options{}, func(n int, right []byte) []byte {
					if n == at {
						b := []byte(token)
						if len(b) > 2 && b[1] == 0x0b {
							b[1] = byte(len(b) - 2)
						}
						return slices.Clip(b)
					}
					return right
				})
				if err == nil {
					t.Errorf("%q is no token", token)
					continue
				}
				faultOf(t, err)
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
