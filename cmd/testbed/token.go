//go:build linux

package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// tokenIssuer makes bearer tokens, which whoever has its key can check: JSON Web
// Tokens with an HMAC (RFC 7519).
type tokenIssuer struct{ key []byte }

const tokenIssuerName = "imclient.test"

func newTokenIssuer() *tokenIssuer {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	return &tokenIssuer{key}
}

// token makes a token that lets a user in for a while.
func (t *tokenIssuer) token(user string, begins, ends time.Time) string {
	claims := map[string]any{
		"sub": user, "iss": tokenIssuerName, "aud": "imap", "scope": "mail",
		"iat": begins.Unix(), "nbf": begins.Unix(), "exp": ends.Unix(),
	}
	text := tokenPart(map[string]any{"alg": "HS256", "typ": "JWT"}) + "." + tokenPart(claims)
	mac := hmac.New(sha256.New, t.key)
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func tokenPart(part map[string]any) string {
	text, err := json.Marshal(part)
	if err != nil {
		panic(err) // there is nothing in it that JSON does not have
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// write writes the key where Dovecot looks it up: by the party that a token is
// for, which ours do not name, the algorithm, and the name of the key.
func (t *tokenIssuer) write(dir string) error {
	file := filepath.Join(dir, "default", "HS256", "default")
	return errors.Join(
		os.MkdirAll(filepath.Dir(file), 0o755),
		os.WriteFile(file, []byte(base64.StdEncoding.EncodeToString(t.key)), 0o600),
	)
}
