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
	Addr     netip.AddrPort
	Answered int64 // command lines
}

// Process serves until in ends, and reports on out.
func Process(in io.Reader, out io.Writer) error {
	s, err := Listen()
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- s.Serve() }()
	asked := make(chan error)
	go func() {
		requests, statuses := json.NewDecoder(in), json.NewEncoder(out)
		for {
			if err := statuses.Encode(Status{s.Addr(), s.Answered()}); err != nil {
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
