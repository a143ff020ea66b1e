// Package tlsfloor is what a client of ours could cost through TLS at the least:
// bare crypto/tls over the connections of package net, as Go programs use it. A
// goroutine for each connection writes the same commands, a batch with one Write,
// reads into one buffer until as many bytes have come as the replies have, and
// throws them away. It parses nothing.
package tlsfloor

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"github.com/imclient/imclient/bench/fleet"
	"github.com/imclient/imclient/bench/server"
)

// Fleet is the floor's side of a benchmark. Its zero value is ready to Open.
type Fleet struct {
	addr        string
	full, reuse *tls.Config // without and with sessions to resume
	conns       []*tls.Conn
}

// bufferSize is what one Read returns at most: the text of a record.
const bufferSize = 16 << 10

// Open makes the connections one after the other.
func (f *Fleet) Open(s fleet.Server, n int) (err error) {
	f.addr = s.Addr.String()
	if f.full, err = configure(s); err != nil {
		return err
	}
	f.reuse = f.full.Clone()
	f.reuse.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	f.conns = make([]*tls.Conn, n)
	buf := make([]byte, bufferSize)
	for i := range f.conns {
		if f.conns[i], err = f.dial(f.reuse, buf); err != nil {
			return err
		}
		for _, command := range []string{"LOGIN " + fleet.User(i) + " " + fleet.Password, "SELECT INBOX"} {
			if err := exchange(f.conns[i], command, buf); err != nil {
				return err
			}
		}
	}
	return nil
}

// configure asks of TLS what ours does.
func configure(s fleet.Server) (*tls.Config, error) {
	pem, err := os.ReadFile(s.CA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("tlsfloor: no certificate in %s", s.CA)
	}
	return &tls.Config{RootCAs: roots, ServerName: s.Addr.Addr().String(), NextProtos: []string{"imap"}}, nil
}

// dial returns when it has read the greeting, and the session tickets with it.
func (f *Fleet) dial(config *tls.Config, buf []byte) (*tls.Conn, error) {
	tcp, err := net.Dial("tcp", f.addr)
	if err != nil {
		return nil, err
	}
	c := tls.Client(tcp, config)
	if err := c.Handshake(); err != nil {
		tcp.Close()
		return nil, err
	}
	if err := await(c, len(server.Greeting), buf); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func exchange(c *tls.Conn, command string, buf []byte) error {
	line := fleet.Line(command)
	if _, err := io.WriteString(c, line); err != nil {
		return err
	}
	return await(c, server.AnswerSize(line), buf)
}

// await reads so many bytes.
func await(c *tls.Conn, owed int, buf []byte) error {
	for owed > 0 {
		n, err := c.Read(buf)
		if err != nil {
			return err
		}
		owed -= n
	}
	if owed < 0 {
		return fmt.Errorf("tlsfloor: %d bytes more than were owed", -owed)
	}
	return nil
}

// Run has a goroutine a connection do its part of the job.
func (f *Fleet) Run(job fleet.Job) (fleet.Work, error) {
	do := f.send
	if job.Verb.IsHandshake() {
		do = f.shake
	}
	if err := f.each(func(i int) error { return do(f.conns[i], job) }); err != nil {
		return fleet.Work{}, err
	}
	return job.Want(len(f.conns)), nil
}

// each calls do for all connections at once and returns all errors.
func (f *Fleet) each(do func(i int) error) error {
	errs := make([]error, len(f.conns))
	var wg sync.WaitGroup
	for i := range f.conns {
		wg.Go(func() { errs[i] = do(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// send writes batch after batch, each when the replies to the last have come.
func (f *Fleet) send(c *tls.Conn, job fleet.Job) error {
	line := fleet.Line(job.Verb.Command())
	batch := bytes.Repeat([]byte(line), job.Depth)
	owed := job.Depth * server.AnswerSize(line)
	buf := make([]byte, bufferSize)
	for range job.Batches {
		if _, err := c.Write(batch); err != nil {
			return err
		}
		if err := await(c, owed, buf); err != nil {
			return err
		}
	}
	return nil
}

// shake makes connections one after the other, beside those that are open.
func (f *Fleet) shake(_ *tls.Conn, job fleet.Job) error {
	config := f.full
	if job.Verb == fleet.Resume {
		config = f.reuse
	}
	buf := make([]byte, bufferSize)
	for range job.Batches {
		c, err := f.dial(config, buf)
		if err != nil {
			return err
		}
		if err := c.Close(); err != nil {
			return err
		}
	}
	return nil
}

// Idle leaves a goroutine a connection reading, as whoever waits for news has it.
func (f *Fleet) Idle() error {
	return f.each(func(i int) error {
		buf := make([]byte, bufferSize)
		for _, command := range []string{"FETCH 2 (BODY.PEEK[])", "IDLE"} {
			if err := exchange(f.conns[i], command, buf); err != nil {
				return err
			}
		}
		go f.conns[i].Read(make([]byte, 1))
		return nil
	})
}
