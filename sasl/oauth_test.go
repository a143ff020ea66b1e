package sasl

import (
	"strings"
	"testing"
)

func TestOAuthError(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, tc := range []struct{ challenge, want string }{
		{`{"status":"invalid_token"}`, `status "invalid_token"`},
		{" {\"status\" : 401,\n\"schemes\":\"Bearer\"}", `status "401", schemes "Bearer"`},
		{`{"status":{"a":[1]}}`, `status "{\"a\":[1]}"`},
		{`{}`, ``},
		{`{"unknown":true}`, ``},
		{`{"status":"your ticket, your tickets"}`, `status "your ***, your ***s"`},
		{`{"status":"` + long + `"}`, `status "` + long[:200] + `"`},
		{`{"scope":"\u0000\r\n\u001b[31m\u202e"}`, `scope "\x00\r\n\x1b[31m\u202e"`},
		{``, "error"},
		{`null`, "error"},
		{`[]`, "error"},
		{`"status"`, "error"},
		{`{"status":`, "error"},
		{`{"scope":1}`, "error"},
		{`{"status":"a"}{"status":"b"}`, "error"},
		{strings.Repeat(`{"a":`, 20_000), "error"},
	} {
		e, err := parseOAuthError("OAUTHBEARER", []byte(tc.challenge), "ticket")
		got := "error"
		if err == nil {
			got = strings.TrimPrefix(strings.TrimPrefix(e.Error(), "sasl: OAUTHBEARER: the server refuses the token"), ", ")
		} else {
			faultOf(t, err)
		}
		if got != tc.want {
			t.Errorf("%.80q\n got: %s\nwant: %s", tc.challenge, got, tc.want)
		}
	}
}
