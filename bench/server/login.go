package server

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"sync/atomic"
)

// Password is everybody's, and the token of those who have one.
const Password = "secret"

// capabilities of a connection that has not logged in.
const capabilities = "IMAP4rev1 IDLE SASL-IR AUTH=GSSAPI AUTH=SCRAM-SHA-512 AUTH=SCRAM-SHA-256 AUTH=SCRAM-SHA-1" +
	" AUTH=CRAM-MD5 AUTH=OAUTHBEARER AUTH=XOAUTH2 AUTH=PLAIN AUTH=LOGIN AUTH=ANONYMOUS"

// login is an AUTHENTICATE in progress.
type login struct {
	tag  []byte
	next exchange
}

// exchange is the server's side of a mechanism: it takes a response, nil for an
// initial one that has not come, and returns the next challenge until it has its
// verdict.
type exchange func(response []byte) (challenge string, v verdict)

type verdict uint8

const (
	undecided verdict = iota
	accepted
	refused
)

func acceptedIf(ok bool) verdict {
	if ok {
		return accepted
	}
	return refused
}

// exchanges begins one, by the mechanism's name. GSSAPI has more to do.
var exchanges = map[string]func() exchange{
	"SCRAM-SHA-512": func() exchange { return newScram(crypto.SHA512) },
	"SCRAM-SHA-256": func() exchange { return newScram(crypto.SHA256) },
	"SCRAM-SHA-1":   func() exchange { return newScram(crypto.SHA1) },
	"CRAM-MD5":      cramMD5,
	"LOGIN":         loginExchange,
	"PLAIN":         single(func(r []byte) bool { return bytes.HasSuffix(r, []byte("\x00"+Password)) }),
	"OAUTHBEARER":   single(hasToken),
	"XOAUTH2":       single(hasToken),
	"ANONYMOUS":     single(func([]byte) bool { return true }),
}

// single is an exchange that consists of an initial response.
func single(ok func(response []byte) bool) func() exchange {
	return func() exchange {
		return func(response []byte) (string, verdict) {
			if response == nil {
				return "", undecided
			}
			return "", acceptedIf(ok(response))
		}
	}
}

func hasToken(response []byte) bool {
	return bytes.HasSuffix(response, []byte("\x01auth=Bearer "+Password+"\x01\x01"))
}

func loginExchange() exchange {
	named := false
	return func(response []byte) (string, verdict) {
		switch {
		case response == nil:
			return "Username:", undecided
		case !named:
			named = true
			return "Password:", undecided
		}
		return "", acceptedIf(string(response) == Password)
	}
}

func cramMD5() exchange {
	const challenge = "<1896.697170952@127.0.0.1>"
	return func(response []byte) (string, verdict) {
		if response == nil {
			return challenge, undecided
		}
		mac := hmac.New(md5.New, []byte(Password))
		mac.Write([]byte(challenge))
		_, digest, _ := strings.Cut(string(response), " ")
		return "", acceptedIf(digest == hex.EncodeToString(mac.Sum(nil)))
	}
}

// authenticate begins a login; argument is what comes behind AUTHENTICATE.
func (d *dialogue) authenticate(dst, tag, argument []byte) []byte {
	name, initial, hasInitial := bytes.Cut(argument, []byte(" "))
	next := d.exchange(string(name))
	if next == nil {
		return append(append(dst, tag...), " NO no such mechanism\r\n"...)
	}
	d.login = &login{tag: bytes.Clone(tag), next: next}
	switch {
	case !hasInitial:
		return d.advance(dst, nil)
	case string(initial) == "=":
		return d.advance(dst, []byte{})
	}
	return d.respond(dst, initial)
}

// exchange begins one; nil: it is not known.
func (d *dialogue) exchange(name string) exchange {
	if begin, ok := exchanges[name]; ok {
		return begin()
	}
	if name == "GSSAPI" && d.service != nil {
		return d.gssapi()
	}
	return nil
}

// respond takes a line that is part of a login.
func (d *dialogue) respond(dst, line []byte) []byte {
	response := make([]byte, base64.StdEncoding.DecodedLen(len(line)))
	n, err := base64.StdEncoding.Decode(response, line)
	if err != nil { // "*" is no base64 either
		return d.conclude(dst, " BAD the login was given up\r\n")
	}
	return d.advance(dst, response[:n])
}

func (d *dialogue) advance(dst, response []byte) []byte {
	challenge, v := d.login.next(response)
	switch v {
	case undecided:
		d.said = partOfLogin
		dst = base64.StdEncoding.AppendEncode(append(dst, "+ "...), []byte(challenge))
		return append(dst, "\r\n"...)
	case accepted:
		d.said = wholeLogin
		return d.conclude(dst, " OK [CAPABILITY IMAP4rev1 IDLE] logged in\r\n")
	}
	return d.conclude(dst, " NO it is not proved who you are\r\n")
}

func (d *dialogue) conclude(dst []byte, text string) []byte {
	dst = append(append(dst, d.login.tag...), text...)
	d.login = nil
	return dst
}

// kind says what a line was.
type kind uint8

const (
	command     kind = iota // answered
	partOfLogin             // a login goes on behind it
	wholeLogin              // a login ended well with it
)

// tally counts what the lines of all connections were. It may be read on any
// goroutine.
type tally struct{ answered, logins atomic.Int64 }

func (t *tally) add(k kind) {
	switch k {
	case command:
		t.answered.Add(1)
	case wholeLogin:
		t.logins.Add(1)
	}
}
