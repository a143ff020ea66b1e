package krb5

import (
	"fmt"
	"slices"
	"testing"
)

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		in    string
		names []string // nil: an error
		realm string
		kind  int32
		out   string // "": as in
	}{
		{"alice", []string{"alice"}, "", 1, ""},
		{"alice@A.TEST", []string{"alice"}, "A.TEST", 1, ""},
		{"imap/mail.test@A.TEST", []string{"imap", "mail.test"}, "A.TEST", 1, ""},
		{"krbtgt/B@A", []string{"krbtgt", "B"}, "A", 2, ""},
		{"krbtgt@A", []string{"krbtgt"}, "A", 1, ""},
		{"WELLKNOWN/ANONYMOUS@WELLKNOWN:ANONYMOUS", []string{"WELLKNOWN", "ANONYMOUS"}, "WELLKNOWN:ANONYMOUS", 11, ""},
		{"a/b/c@A", []string{"a", "b", "c"}, "A", 1, ""},
		{`a\@b@A`, []string{"a@b"}, "A", 1, ""},
		{`a\/b\\@A\/B\@C`, []string{`a/b\`}, "A/B@C", 1, ""},
		{`a\n\t\b\0\x@A`, []string{"a\n\t\b\x00x"}, "A", 1, `a\n\t\b\0x@A`},
		{"a@", []string{"a"}, "", 1, "a"},
		{"/a@A", []string{"", "a"}, "A", 1, ""},
		{"jörg@A", []string{"jörg"}, "A", 1, ""},
		{"", nil, "", 0, ""},
		{"@A", nil, "", 0, ""},
		{`a\`, nil, "", 0, ""},
		{"a@A@B", nil, "", 0, ""},
		{"a@A/B", nil, "", 0, ""},
		{"a\x00b@A", nil, "", 0, ""},
	} {
		p, err := Parse(tc.in)
		if tc.names == nil {
			if err == nil {
				t.Errorf("%q is no principal\n got: %q", tc.in, p)
			}
			continue
		}
		if err != nil || !slices.Equal(p.Names, tc.names) || p.Realm != tc.realm || p.Type != tc.kind {
			t.Errorf("%q is one of type %d\n got: %q, %q, %d, %v", tc.in, tc.kind, p.Names, p.Realm, p.Type, err)
		}
		out := tc.out
		if out == "" {
			out = tc.in
		}
		if p.String() != out {
			t.Errorf("%q as text\n got: %s\nwant: %s", tc.in, p, out)
		}
	}
}

func TestPrincipalEqual(t *testing.T) {
	a := Service("imap", "host", "A")
	if !a.Equal(parsed(t, "imap/host@A")) {
		t.Error("the type says nothing about equality")
	}
	for _, other := range []string{"imap/host@a", "imap/host", "imap/host/@A", `imap\/host@A`, "imap@A"} {
		if a.Equal(parsed(t, other)) {
			t.Errorf("%v is not %s", a, other)
		}
	}
	if !(Principal{Type: 1}).IsZero() || a.IsZero() || TGS("B", "A").String() != "krbtgt/B@A" {
		t.Error("no name is no principal")
	}
}

// What was parsed is parsed again from its text, and any names make a text that is.
func FuzzPrincipal(f *testing.F) {
	f.Add(`a\@b/c@A`, "a/b", "A@B\x00")
	f.Add("krbtgt/B@A", "", "")
	f.Fuzz(func(t *testing.T, text, name, realm string) {
		if p, err := Parse(text); err == nil {
			again(t, p)
		}
		again(t, Principal{Names: []string{"x", name}, Realm: realm})
	})
}

func again(t *testing.T, p Principal) {
	t.Helper()
	q, err := Parse(p.String())
	if err != nil || !p.Equal(q) {
		t.Fatalf("%q, as text %q, is %q, %v", p.Names, p, q.Names, err)
	}
}

func TestError(t *testing.T) {
	below := fmt.Errorf("below")
	for _, tc := range []struct {
		e    Error
		want string
	}{
		{Error{What: "it is so", Look: "F (S)", Err: below}, "kerberos: it is so: below; see F (S)"},
		{Error{What: "it is so"}, "kerberos: it is so"},
	} {
		if got := tc.e.Error(); got != tc.want || tc.e.Unwrap() != tc.e.Err {
			t.Errorf("an error's text\n got: %s\nwant: %s", got, tc.want)
		}
	}
	seen := map[string]bool{}
	for k := NoCredentials; k <= Refused; k++ {
		if s := k.String(); s == "" || seen[s] || s == fmt.Sprintf("kind %d", k) {
			t.Errorf("each kind has a name of its own: %q", s)
		}
		seen[k.String()] = true
	}
	if got := (Kind(0).String() + ", " + Kind(99).String()); got != "kind 0, kind 99" {
		t.Errorf("what is no kind is told by number: %s", got)
	}
}
