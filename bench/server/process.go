package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
)

// Status is what a server process says about itself, a line of JSON each time:
// once when it listens, and again for every line that it is sent.
type Status struct {
	Addr       netip.AddrPort
	CA         string // PEM of the certificate that vouches for a server with TLS
	CCache     string // base64 of a credential cache with a ticket for a server without
	Answered   int64  // command lines, but for those of logins by AUTHENTICATE
	Logins     int64  // by AUTHENTICATE, with a proof that was right
	Handshakes int64  // of TLS, completed, those that resumed a session among them
	Resumed    int64
}

// Since returns the counts of s less those of an earlier status, and nothing else.
func (s Status) Since(before Status) Status {
	return Status{
		Answered:   s.Answered - before.Answered,
		Logins:     s.Logins - before.Logins,
		Handshakes: s.Handshakes - before.Handshakes,
		Resumed:    s.Resumed - before.Resumed,
	}
}

// Serving is a server of either kind, which already listens.
type Serving interface {
	// Serve answers until the kernel refuses something that it should not.
	Serve() error
	// Status may be called on another goroutine than Serve. What a client has
	// read is counted.
	Status() Status
}

// Process has s serve until in ends, and reports on out.
func Process(s Serving, in io.Reader, out io.Writer) error {
	failed := make(chan error, 1)
	go func() { failed <- s.Serve() }()
	asked := make(chan error)
	go func() {
		requests, statuses := json.NewDecoder(in), json.NewEncoder(out)
		for {
			if err := statuses.Encode(s.Status()); err != nil {
				asked <- fmt.Errorf("server: writing a status: %w", err)
				return
			}
			var request struct{}
			if err := requests.Decode(&request); errors.Is(err, io.EOF) {
				asked <- nil
				return
			} else if err != nil {
				asked <- fmt.Errorf("server: reading a request: %w", err)
				return
			}
		}
	}()
	select {
	case err := <-failed:
		return err
	case err := <-asked:
		return err
	}
}
