package sasl

import (
	"strings"
	"testing"
)

func TestSASLprep(t *testing.T) {
	for _, tc := range []struct {
		what, in, out string
		ok            bool
	}{
		// RFC 4013 section 3.
		{"SOFT HYPHEN mapped to nothing", "I\u00ADX", "IX", true},
		{"no transformation", "user", "user", true},
		{"case preserved, will not match #2", "USER", "USER", true},
		{"output is NFKC, input in ISO 8859-1", "\u00AA", "a", true},
		{"output is NFKC, will match #1", "\u2168", "IX", true},
		{"Error - prohibited character", "\u0007", "", false},
		{"Error - bidirectional check", "\u0627\u0031", "", false},
		// Section 2.
		{"non-ASCII spaces are spaces", "a\u00A0b\u3000c", "a b c", true},
		{"a bidirectional text in order", "\u0627\u0031\u0628", "\u0627\u0031\u0628", true},
		{"a delete", "a\x7f", "", false},
		{"a private character", "a\uE000", "", false},
		{"a noncharacter", "a\uFFFE", "", false},
		{"the replacement character", "a\uFFFD", "", false},
		{"a tag", "a\U000E0001", "", false},
		{"unassigned in Unicode 3.2", "\u0221", "", false},
		// Bounds.
		{"nothing", "", "", false},
		{"nothing left", "\u00AD\u200B", "", false},
		{"no UTF-8", "a\xff", "", false},
		{"half a surrogate", "\xed\xa0\x80", "", false},
		{"as long as may be", strings.Repeat("x", maxPrepared), strings.Repeat("x", maxPrepared), true},
		{"one byte more", strings.Repeat("x", maxPrepared+1), "", false},
		{"what grows eighteenfold", strings.Repeat("\u00C4", maxPrepared/2), strings.Repeat("\u00C4", maxPrepared/2), true},
	} {
		out, err := saslprep([]byte(tc.in))
		if string(out) != tc.out || (err == nil) != tc.ok {
			t.Errorf("%s\n got: %q, %v\nwant: %q", tc.what, out, err, tc.out)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\u0007\u0627\u0221") {
			t.Errorf("the error shows nothing of what may be a password\n got: %v", err)
		}
	}
	in := []byte("user")
	out, _ := saslprep(in)
	if clear(in); string(out) != "user" {
		t.Error("what is prepared is a copy")
	}
}

// What is prepared stays when it is prepared again.
func FuzzSASLprep(f *testing.F) {
	for _, s := range []string{"user", "I\u00ADX", "\u2168", "\u0627\u0031\u0628", "a\u0301", "\uFDFA", "\xff", "\u0347" + strings.Repeat("\u0344", 15)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		once, err := saslprep(in)
		if err != nil {
			return
		}
		if len(once) > 32*len(in) {
			t.Errorf("%d bytes became %d", len(in), len(once))
		}
		twice, err := saslprep(once)
		if len(once) <= maxPrepared && (err != nil || string(twice) != string(once)) {
			t.Errorf("prepared twice, %q becomes %q, then %q (%v)", in, once, twice, err)
		}
	})
}
