// Package goimap is the side of emersion/go-imap v2: the client that Go
// programs use today, with the goroutine for reading that it keeps for each
// connection and one more that sends the commands and waits for them.
package goimap

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/imclient/imclient/bench/fleet"
	"github.com/imclient/imclient/bench/server"
)

// Fleet is go-imap's side of a benchmark. Its zero value is ready to Open.
type Fleet struct {
	addr    string
	clients []*imapclient.Client
	idles   []*imapclient.IdleCommand
}

// body asks for a whole message and leaves its \Seen flag alone.
var body = &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{{Peek: true}}}

// Open makes the connections one after the other.
func (f *Fleet) Open(s fleet.Server, n int) error {
	f.addr = s.Addr.String()
	f.clients = make([]*imapclient.Client, n)
	f.idles = make([]*imapclient.IdleCommand, n)
	for i := range f.clients {
		c, err := imapclient.DialInsecure(f.addr, nil)
		if err != nil {
			return err
		}
		f.clients[i] = c
		if err := c.Login(fleet.User(i), fleet.Password).Wait(); err != nil {
			return err
		}
		if _, err := c.Select("INBOX", nil).Wait(); err != nil {
			return err
		}
	}
	return nil
}

// Run has a goroutine a connection do batch after batch.
func (f *Fleet) Run(job fleet.Job) (fleet.Work, error) {
	batch := noop
	switch {
	case job.Verb == fleet.Fetch:
		batch = fetch
	case job.Verb.Mechanism() != "":
		batch = f.logIn(job.Verb.Mechanism())
	}
	works := make([]fleet.Work, len(f.clients))
	err := f.each(func(i int) error {
		for range job.Batches {
			literals, err := batch(f.clients[i], job.Depth)
			if err != nil {
				return err
			}
			works[i].Commands += int64(job.Depth)
			works[i].Literals += literals
		}
		return nil
	})
	var sum fleet.Work
	for _, w := range works {
		sum.Commands += w.Commands
		sum.Literals += w.Literals
	}
	return sum, err
}

// each calls f for all connections at once and returns all errors.
func (f *Fleet) each(do func(i int) error) error {
	errs := make([]error, len(f.clients))
	var wg sync.WaitGroup
	for i := range f.clients {
		wg.Go(func() { errs[i] = do(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func noop(c *imapclient.Client, depth int) (literals int64, err error) {
	cmds := make([]*imapclient.Command, depth)
	for i := range cmds {
		cmds[i] = c.Noop()
	}
	for _, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

func fetch(c *imapclient.Client, depth int) (literals int64, err error) {
	cmds := make([]*imapclient.FetchCommand, depth)
	for i := range cmds {
		cmds[i] = c.Fetch(imap.SeqSetNum(1), body)
	}
	for _, cmd := range cmds {
		n, err := discard(cmd)
		if err != nil {
			return 0, err
		}
		literals += n
	}
	return literals, nil
}

// discard reads the literals of a FETCH as they come, which is cheaper than to
// Collect them.
func discard(cmd *imapclient.FetchCommand) (literals int64, err error) {
	for msg := cmd.Next(); msg != nil; msg = cmd.Next() {
		for item := msg.Next(); item != nil; item = msg.Next() {
			section, ok := item.(imapclient.FetchItemDataBodySection)
			if !ok {
				continue
			}
			n, err := io.Copy(io.Discard, section.Literal)
			if err != nil {
				return literals, err
			}
			literals += n
		}
	}
	return literals, cmd.Close()
}

// Idle leaves the IDLE commands running, each with go-imap's own goroutine.
func (f *Fleet) Idle() error {
	for i, c := range f.clients {
		n, err := discard(c.Fetch(imap.SeqSetNum(2), body))
		if err != nil {
			return err
		}
		if n != server.Large {
			return fmt.Errorf("goimap: a literal of %d octets, not %d", n, server.Large)
		}
		if f.idles[i], err = c.Idle(); err != nil {
			return err
		}
	}
	return nil
}
