package krb5

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestKDCs(t *testing.T) {
	c := configOf(t, "[realms]\nA={\nkdc=a.test\nkdc = b.test:750\nkdc = 192.0.2.1 # no comment\nkdc=[2001:db8::1]\nkdc=[2001:db8::1]:750\nkdc=2001:db8::2\nkdc=tcp/c.test\nkdc=udp/c.test:1\nkdc=https://proxy.test/KdcProxy\nkdc=/run/kdc.sock\nkdc=d.test:x\n}\nB={\n}\n")
	const want = "[{ a.test:88} { b.test:750} { 192.0.2.1:88} { [2001:db8::1]:88} { [2001:db8::1]:750} { [2001:db8::2]:88} {tcp c.test:88} {udp c.test:1} {https https://proxy.test/KdcProxy} {unix /run/kdc.sock} { d.test:x}]"
	if got := fmt.Sprint(c.KDCs("A")); got != want {
		t.Errorf("KDCs as listed\n got: %s\nwant: %s", got, want)
	}
	if c.KDCs("B") != nil || c.KDCs("C") != nil {
		t.Error("realms without KDCs have none")
	}
}

func TestRealmOf(t *testing.T) {
	c := configOf(t, "[domain_realm]\nhost.a.test=HOST\n.a.test=DOTA\na.test=A\n.b.test=DOTB\nc.test=C\n.d.test=D1\n.d.test=D2\ntop=TOP\n192.0.2.1=ADDR\n0.2.2=WRONG\n.2=WRONG\n2001:db8::1=ADDR6\nUPPER.test=UP\n")
	for _, tc := range []struct{ host, want string }{
		{"host.a.test", "HOST"}, {"HOST.A.TEST.", "HOST"}, {"x.a.test", "DOTA"}, {"a.test", "A"}, {"x.host.a.test", "HOST"},
		{"b.test", ""}, {"x.b.test", "DOTB"}, {"x.y.b.test", "DOTB"}, {"c.test", "C"}, {"x.c.test", "C"}, {"xc.test", ""},
		{"x.d.test", "D1"}, {"x.top", "TOP"}, {"top", "TOP"}, {"192.0.2.1", "ADDR"}, {"192.0.2.2", ""}, {"2001:DB8::1", "ADDR6"},
		{"upper.test", ""}, {"", ""}, {".", ""},
	} {
		if got, ok := c.RealmOf(tc.host); got != tc.want || ok != (tc.want != "") {
			t.Errorf("the realm of %s\n got: %q, %t\nwant: %q", tc.host, got, ok, tc.want)
		}
	}
}

func TestPath(t *testing.T) {
	c := configOf(t, "[capaths]\nA={\nB = .\nE = .\nE = M\nC = M1 rest\nC = M2\tx\nD.X = M1\n}\nP.X={\nQ.X=.\n}\n")
	for _, tc := range []struct{ from, to, want string }{
		{"A", "A", "A"}, {"A", "B", "A B"}, {"A", "E", "A E"}, {"A", "C", "A M1 M2 C"}, {"B", "A", "B A"}, {"A", "Z", "A Z"}, {"P.X", "Q.X", "P.X Q.X"},
		{"Q.X", "P.X", "Q.X X P.X"}, {"A.X", "X", "A.X X"}, {"X", "A.X", "X A.X"}, {"X", "B.A.X", "X A.X B.A.X"}, {"B.A.X", "X", "B.A.X A.X X"},
		{"C.B.A.X", "E.D.A.X", "C.B.A.X B.A.X A.X D.A.X E.D.A.X"}, {"AB.X", "B.X", "AB.X X B.X"}, {"A.TEST", "A.ORG", "A.TEST A.ORG"}, {"A", "D.X", "A M1 D.X"},
		{"A..X", "B..X", "A..X .X B..X"}, {"", "A", " A"},
	} {
		if got := strings.Join(c.Path(tc.from, tc.to), " "); got != tc.want {
			t.Errorf("from %s to %s\n got: %s\nwant: %s", tc.from, tc.to, got, tc.want)
		}
	}
}

func TestParseDuration(t *testing.T) {
	const s, m, h, d = time.Second, time.Minute, time.Hour, 24 * time.Hour
	for _, tc := range []struct {
		in   string
		want time.Duration // -1: none
	}{
		{"3600", h}, {"0", 0}, {"10h", 10 * h}, {"1d2h", d + 2*h}, {"1d2h3m4s", d + 2*h + 3*m + 4*s}, {" 1d 2h\t3m 4s ", d + 2*h + 3*m + 4*s}, {"1d4s", d + 4*s},
		{"90m", 90 * m}, {"1h4s", h + 4*s}, {"5s", 5 * s}, {"1:30", h + 30*m}, {"1:30:05", h + 30*m + 5*s}, {"100:00", 100 * h}, {"2-1:30:05", 2*d + h + 30*m + 5*s},
		{"2147483647", 1<<31*s - s}, {"24855d", 24855 * d},
		{"", -1}, {" ", -1}, {"h", -1}, {"-1", -1}, {"1x", -1}, {"1 h", -1}, {"1h2", -1}, {"1h1d", -1}, {"1h1h", -1}, {"1.5h", -1}, {"1:", -1}, {"1:30:", -1}, {"1:30:05x", -1}, {"1:100", -1},
		{"2-1:30", -1}, {"2-", -1}, {":30", -1}, {"2147483648", -1}, {"24856d", -1}, {"99999999999", -1}, {"9999999999d9999999999d", -1}, {"1d-2h", -1}, {"٣", -1},
	} {
		got, ok := parseDuration(tc.in)
		if !ok {
			got = -1
		}
		if got != tc.want {
			t.Errorf("%q\n got: %v\nwant: %v", tc.in, got, tc.want)
		}
	}
}

func TestParseEtypes(t *testing.T) {
	for in, want := range map[string]string{
		"aes256-cts": "[18]", "AES256-CTS-HMAC-SHA1-96,aes128-cts": "[18 17]", "aes128-sha1 aes256-sha1": "[17 18]", "aes128-sha2\taes256-sha2": "[19 20]",
		"aes": "[18 17 20 19]", "rc4": "[23]", "arcfour-hmac rc4-hmac arcfour-hmac-md5": "[23]", "DEFAULT": "[18 17 20 19]", "DEFAULT -aes256-cts": "[17 20 19]",
		"DEFAULT +rc4": "[18 17 20 19 23]", "default -aes +aes128-cts": "[17]", "rc4 aes256-cts": "[23 18]", "aes -rc4": "[18 17 20 19]", "aes -default": "[]",
		"des3 camellia des-cbc-md5 nonsense aes128-cts-hmac-sha256-128 aes256-cts-hmac-sha384-192": "[19 20]", "": "[]", "-": "[]", "+": "[]", ",, ,": "[]", "-aes aes256-cts": "[18]",
	} {
		if got := fmt.Sprint(parseEtypes(in, defaultEtypes(false))); got != want {
			t.Errorf("%q\n got: %s\nwant: %s", in, got, want)
		}
	}
}
