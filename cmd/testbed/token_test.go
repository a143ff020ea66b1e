//go:build linux

package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestToken(t *testing.T) {
	issuer := newTokenIssuer()
	begins, ends := time.Unix(1000, 0), time.Unix(2000, 0)
	parts := strings.Split(issuer.token("alice", begins, ends), ".")
	if len(parts) != 3 {
		t.Fatalf("a token must have three parts: %q", parts)
	}
	var claims struct {
		Sub, Iss      string
		Iat, Nbf, Exp int64
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(text, &claims) != nil {
		t.Fatalf("the second part must be JSON: %q, %v", text, err)
	}
	if claims.Sub != "alice" || claims.Iss != tokenIssuerName || claims.Iat != 1000 || claims.Nbf != 1000 || claims.Exp != 2000 {
		t.Errorf("a token must say whose it is, who made it, and when it is good: %s", text)
	}

	dir := t.TempDir()
	if err := issuer.write(dir); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(dir, "default", "HS256", "default"))
	if err != nil {
		t.Fatal(err)
	}
	secret, err := base64.StdEncoding.DecodeString(string(key))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(parts[0] + "." + parts[1]))
	if got := base64.RawURLEncoding.EncodeToString(mac.Sum(nil)); got != parts[2] {
		t.Errorf("who has the key must find the token genuine: %s, want %s", parts[2], got)
	}
	if issuer.token("alice", begins, ends) == newTokenIssuer().token("alice", begins, ends) {
		t.Error("each issuer must have a key of its own")
	}
}
