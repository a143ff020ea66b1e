//go:build linux

package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// exchange answers a challenge of the server's.
type exchange func(challenge string) (response string, err error)

// authenticate runs an exchange. The first challenge is empty for mechanisms in
// which the client begins.
func (c *mailClient) authenticate(mechanism string, answer exchange) error {
	if _, err := fmt.Fprintf(c.conn, "a AUTHENTICATE %s\r\n", mechanism); err != nil {
		return err
	}
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		switch {
		case bytes.HasPrefix(line, []byte("a OK ")):
			return nil
		case bytes.HasPrefix(line, []byte("* ")):
			continue
		case !bytes.HasPrefix(line, []byte("+")):
			return fmt.Errorf("%s: %q", mechanism, line)
		}
		challenge, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(line[1:])))
		if err != nil {
			return err
		}
		response, err := answer(string(challenge))
		if err != nil {
			return err
		}
		if _, err := io.WriteString(c.conn, base64.StdEncoding.EncodeToString([]byte(response))+"\r\n"); err != nil {
			return err
		}
	}
}

// say answers challenges, whatever they are, with what has been prepared.
func say(responses ...string) exchange {
	return func(string) (string, error) {
		if len(responses) == 0 {
			return "", errors.New("there is nothing more to say")
		}
		response := responses[0]
		responses = responses[1:]
		return response, nil
	}
}

func plain(as, user, password string) exchange { return say(as + "\x00" + user + "\x00" + password) }

// cramMD5 is RFC 2195.
func cramMD5(user, password string) exchange {
	return func(challenge string) (string, error) {
		return user + " " + hex.EncodeToString(mac(md5.New, password, challenge)), nil
	}
}

func mac(h func() hash.Hash, key, text string) []byte {
	m := hmac.New(h, []byte(key))
	m.Write([]byte(text))
	return m.Sum(nil)
}

func md5Hex(parts ...string) string {
	return fmt.Sprintf("%x", md5.Sum([]byte(strings.Join(parts, ":"))))
}

var nonceField = regexp.MustCompile(`nonce="([^"]*)"`)

// digestMD5 is RFC 2831 without a layer.
func digestMD5(user, password string) exchange {
	return func(challenge string) (string, error) {
		nonce := nonceField.FindStringSubmatch(challenge)
		if nonce == nil { // rspauth
			return "", nil
		}
		secret := md5.Sum([]byte(user + ":localhost:" + password))
		a1 := md5Hex(string(secret[:]), nonce[1], "ours")
		digest := md5Hex(a1, nonce[1], "00000001", "ours", "auth", md5Hex("AUTHENTICATE", "imap/localhost"))
		return fmt.Sprintf(`charset=utf-8,username="%s",realm="localhost",nonce="%s",nc=00000001,cnonce="ours",`+
			`digest-uri="imap/localhost",response=%s,qop=auth`, user, nonce[1], digest), nil
	}
}

// scram is RFC 5802, bound to a channel if header says so.
func scram(h func() hash.Hash, header, binding, user, password string) exchange {
	first := "n=" + user + ",r=ours"
	step := 0
	return func(challenge string) (string, error) {
		if step++; step == 1 {
			return header + first, nil
		}
		fields := strings.SplitN(challenge, ",", 3)
		if len(fields) != 3 { // the server's signature
			return "", nil
		}
		salt, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(fields[1], "s="))
		if err != nil {
			return "", err
		}
		count, err := strconv.Atoi(strings.TrimPrefix(fields[2], "i="))
		if err != nil {
			return "", err
		}
		salted, err := pbkdf2.Key(h, password, salt, count, h().Size())
		if err != nil {
			return "", err
		}
		final := "c=" + base64.StdEncoding.EncodeToString([]byte(header+binding)) + "," + fields[0]
		key := mac(h, string(salted), "Client Key")
		stored := h()
		stored.Write(key)
		for i, b := range mac(h, string(stored.Sum(nil)), first+","+challenge+","+final) {
			key[i] ^= b
		}
		return final + ",p=" + base64.StdEncoding.EncodeToString(key), nil
	}
}

// mechanism is a way to log in as a user.
type mechanism struct {
	name string
	as   func(user, password string) exchange
}

var passwordMechanisms = []mechanism{
	{"PLAIN", func(user, password string) exchange { return plain("", user, password) }},
	{"LOGIN", func(user, password string) exchange { return say(user, password) }},
	{"CRAM-MD5", cramMD5},
	{"DIGEST-MD5", digestMD5},
	{"SCRAM-SHA-1", func(user, password string) exchange { return scram(sha1.New, "n,,", "", user, password) }},
	{"SCRAM-SHA-256", func(user, password string) exchange { return scram(sha256.New, "n,,", "", user, password) }},
}

// testMechanisms logs in by each mechanism that knows a password.
func testMechanisms(t *testing.T, vars map[string]string, server string) {
	load := fmt.Sprintf(vars["LOADUSER"], 7)
	for _, m := range passwordMechanisms {
		for _, account := range []struct{ user, password, wrong string }{
			{vars["USER"], vars["PASSWORD"], vars["PASSWORD2"]},
			{vars["USER2"], vars["PASSWORD2"], vars["PASSWORD"]},
			{load, vars["LOADPASSWORD"], vars["PASSWORD"]},
			{vars["ADMIN"], vars["ADMINPASSWORD"], vars["PASSWORD"]},
		} {
			if err := tryMechanism(vars[server], m.name, m.as(account.user, account.password)); err != nil {
				t.Errorf("%s must be let in by %s: %v", account.user, m.name, err)
			}
			if err := tryMechanism(vars[server], m.name, m.as(account.user, account.wrong)); err == nil {
				t.Errorf("%s must not be let in by %s with a wrong password", account.user, m.name)
			}
		}
	}
	if err := tryMechanism(vars[server], "ANONYMOUS", say("trace")); err != nil {
		t.Errorf("who says no name must be let in: %v", err)
	}
}

// tryMechanism returns nil if there is a session afterwards.
func tryMechanism(address, mechanism string, answer exchange) error {
	c, err := connect(address)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	if err := c.authenticate(mechanism, answer); err != nil {
		return err
	}
	_, err = c.do("NOOP")
	return err
}

// testAdmin has the administrator, and nobody else, act for others.
func testAdmin(t *testing.T, vars map[string]string, server string) {
	for name, answer := range map[string]exchange{
		"PLAIN":         plain(vars["USER"], vars["ADMIN"], vars["ADMINPASSWORD"]),
		"SCRAM-SHA-256": scram(sha256.New, "n,a="+vars["USER"]+",", "", vars["ADMIN"], vars["ADMINPASSWORD"]),
	} {
		c, err := connect(vars[server])
		if err != nil {
			t.Fatal(err)
		}
		defer c.conn.Close()
		if err := c.authenticate(name, answer); err != nil {
			t.Fatalf("the administrator must be able to act for %s by %s: %v", vars["USER"], name, err)
		}
		if selected, err := c.do("SELECT INBOX"); err != nil || !bytes.Contains(selected, []byte("* 300 EXISTS\r\n")) {
			t.Errorf("who acts for a user by %s must find his mail: %q, %v", name, selected, err)
		}
	}
	if tryMechanism(vars[server], "PLAIN", plain(vars["USER2"], vars["USER"], vars["PASSWORD"])) == nil {
		t.Error("a user must not act for another one")
	}
}

// testScram logs in who has a salt of his own: it is the same at each login.
func testScram(t *testing.T, vars map[string]string) {
	salts := map[string]bool{}
	for range 2 {
		answer := scram(sha256.New, "n,,", "", vars["SCRAMUSER"], vars["SCRAMPASSWORD"])
		err := tryMechanism(vars["DOVECOT"], "SCRAM-SHA-256", func(challenge string) (string, error) {
			if fields := strings.Split(challenge, ","); len(fields) == 3 {
				salts[fields[1]] = true
			}
			return answer(challenge)
		})
		if err != nil {
			t.Errorf("%s must be let in: %v", vars["SCRAMUSER"], err)
		}
	}
	if len(salts) != 1 {
		t.Errorf("the salt must be the same: there are %d", len(salts))
	}
	if err := tryMechanism(vars["DOVECOT"], "PLAIN", plain("", vars["SCRAMUSER"], vars["SCRAMPASSWORD"])); err != nil {
		t.Errorf("%s must be let in by his password, too: %v", vars["SCRAMUSER"], err)
	}
}

func testTokens(t *testing.T, vars map[string]string) {
	for name, good := range map[string]bool{"TOKEN": true, "EXPIREDTOKEN": false} {
		auth := "\x01auth=Bearer " + vars[name] + "\x01\x01"
		for mechanism, message := range map[string]string{
			"OAUTHBEARER": "n,a=" + vars["USER"] + "," + auth,
			"XOAUTH2":     "user=" + vars["USER"] + auth,
		} {
			// Who is refused has to say something to the reason.
			if err := tryMechanism(vars["DOVECOT"], mechanism, say(message, "\x01")); (err == nil) != good {
				t.Errorf("a token must be good until it expires: %s, %s: %v", name, mechanism, err)
			}
		}
	}
	if tryMechanism(vars["DOVECOT"], "XOAUTH2", say("user="+vars["USER2"]+"\x01auth=Bearer "+vars["TOKEN"]+"\x01\x01", "")) == nil {
		t.Error("a token must not let another user in")
	}
}

// testChannelBinding logs in bound to the TLS connection, which Cyrus does by
// tls-unique, so with TLS 1.2 alone.
func testChannelBinding(t *testing.T, vars map[string]string) {
	config := trusting(t, vars)
	config.MaxVersion = tls.VersionTLS12
	for name, h := range map[string]func() hash.Hash{"SCRAM-SHA-1-PLUS": sha1.New, "SCRAM-SHA-256-PLUS": sha256.New} {
		for way, connect := range connectors(t, vars, "CYRUS") {
			for _, faked := range []bool{false, true} {
				c, err := connect(plainHost, config)
				if err != nil {
					t.Fatal(err)
				}
				binding := string(c.conn.(*tls.Conn).ConnectionState().TLSUnique)
				if faked {
					binding = strings.Repeat("x", len(binding))
				}
				err = c.authenticate(name, scram(h, "p=tls-unique,,", binding, vars["USER"], vars["PASSWORD"]))
				if (err == nil) == faked {
					t.Errorf("%s must let in who is bound to the connection, and nobody else: %s, faked %v: %v", name, way, faked, err)
				}
				c.conn.Close()
			}
		}
	}
}

// testLayers sees that layers are offered: they are for the client to ask for.
func testLayers(t *testing.T, vars map[string]string) {
	challenge := ""
	_ = tryMechanism(vars["CYRUS"], "DIGEST-MD5", func(c string) (string, error) {
		challenge = c
		return "", errors.New("seen")
	})
	if !strings.Contains(challenge, `qop="auth,auth-int,auth-conf"`) || !strings.Contains(challenge, "rc4") {
		t.Errorf("DIGEST-MD5 must offer layers: %q", challenge)
	}
}
