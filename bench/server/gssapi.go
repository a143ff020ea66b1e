package server

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/imclient/imclient/sasl/krbtest"
)

// aes256 is aes256-cts-hmac-sha1-96, what most services have keys of.
const aes256 = 18

// kerberos makes the service of a server on the loopback interface, and a credential
// cache with a ticket for it, in base64.
func kerberos() (_ *krbtest.Service, ccache string, err error) {
	s, err := krbtest.NewService("imap/127.0.0.1", aes256)
	if err != nil {
		return nil, "", fmt.Errorf("server: a key for Kerberos: %w", err)
	}
	t, err := s.Ticket("user0", 24*time.Hour)
	if err != nil {
		return nil, "", fmt.Errorf("server: a ticket: %w", err)
	}
	return s, base64.StdEncoding.EncodeToString(krbtest.CCache(t)), nil
}

// maxPacket is what a client may send: the server reads 64 KiB at a time.
const maxPacket = 32 << 10

// gssapi is an exchange that leaves a layer, if the client has chosen one.
func (d *dialogue) gssapi() exchange {
	a := d.service.Accept(krbtest.Options{Max: maxPacket})
	return func(response []byte) (string, verdict) {
		if response == nil {
			return "", undecided
		}
		challenge, err := a.Next(response)
		switch {
		case err != nil:
			return "", refused
		case a.Layer == 0:
			return string(challenge), undecided
		case a.Layer != krbtest.None:
			d.layer = &layer{acceptor: a}
		}
		return "", accepted
	}
}

// layer is what a connection speaks behind a login that has agreed on it: packets, each
// behind its length (RFC 4422 section 3.7).
type layer struct {
	acceptor *krbtest.Acceptor
	text     []byte // the client's, and not answered
}

const lengthLen = 4

// open appends to text what packets hold, and returns what comes behind the last whole
// one.
func (l *layer) open(input []byte) (rest []byte, err error) {
	for len(input) >= lengthLen {
		n := int64(binary.BigEndian.Uint32(input))
		if n > maxPacket {
			return nil, fmt.Errorf("server: a packet of %d bytes", n)
		}
		packet := input[lengthLen:]
		if int64(len(packet)) < n {
			break
		}
		data, err := l.acceptor.Decode(packet[:n])
		if err != nil {
			return nil, err
		}
		l.text, input = append(l.text, data...), packet[n:]
	}
	return input, nil
}

// seal appends p in packets to dst.
func (l *layer) seal(dst, p []byte) (_ []byte, err error) {
	for room := l.acceptor.Room(); len(p) > 0; {
		n := min(len(p), room)
		if dst, err = l.acceptor.Encode(dst, p[:n]); err != nil {
			return nil, err
		}
		p = p[n:]
	}
	return dst, nil
}
