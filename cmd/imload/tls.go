package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/tlsup"
)

// tlsMode is how a connection gets TLS.
type tlsMode string

const (
	tlsNever tlsMode = ""
	tlsFirst tlsMode = "implicit" // from the first byte
	tlsLater tlsMode = "starttls"
)

// tlsOptions is what the command line says of TLS.
type tlsOptions struct {
	mode      tlsMode
	authority string // file or directory
	cert, key string
	insecure  bool
	full      bool // no session is resumed
	workers   int
}

// check says what cannot be.
func (o *tlsOptions) check(first, later bool, given map[string]bool) error {
	switch {
	case first && later:
		return errors.New("-tls and -starttls exclude each other: TLS from the first byte, or later")
	case first:
		o.mode = tlsFirst
	case later:
		o.mode = tlsLater
	}
	for _, name := range []string{"ca", "cert", "key", "insecure", "no-resume", "workers"} {
		if given[name] && o.mode == tlsNever {
			return fmt.Errorf("-%s needs -tls or -starttls", name)
		}
	}
	switch {
	case o.workers < 0 || o.workers > maxWorkers:
		return fmt.Errorf("-workers must be from 0 to %d", maxWorkers)
	case o.insecure && o.authority != "":
		return errors.New("-insecure trusts everybody, -ca only some: one of them, please")
	case o.key != "" && o.cert == "":
		return errors.New("-key needs -cert, the certificate that it is the key of")
	}
	return nil
}

// maxWorkers bounds -workers: more than cores do not help.
const maxWorkers = 1024

// policy says whom to trust, and who we are. Files are looked at now, so that what is
// wrong with them is said once.
func (o *tlsOptions) policy(to target) (*tlsup.Policy, error) {
	p := &tlsup.Policy{Unverified: o.insecure, Files: tlsup.Files{Cert: o.cert, Key: o.key}}
	if o.full {
		p.Sessions = -1
	}
	if to.authority != nil {
		p.Config = &tls.Config{RootCAs: x509.NewCertPool()}
		p.Config.RootCAs.AddCert(to.authority)
		if to.client != nil {
			p.Config.Certificates = []tls.Certificate{*to.client}
		}
	}
	if info, err := os.Stat(o.authority); err == nil && info.IsDir() {
		p.CAPath = o.authority
	} else {
		p.CA = o.authority
	}
	_, _, err := p.For(tlsup.Peer{Host: to.host, Port: to.port, Implicit: o.mode == tlsFirst})
	return p, err
}

// secure makes a dialer's connections use TLS.
func (o *tlsOptions) secure(d *conn.Dialer, policy *tlsup.Policy) {
	if o.mode == tlsNever {
		return
	}
	d.TLS, d.RequireTLS, d.ImplicitTLS = policy, true, o.mode == tlsFirst
	if o.workers > 0 {
		d.Workers = conn.NewWorkers(o.workers)
	}
}

// startTLS asks the server for TLS, on a connection that stands.
func (s *session) startTLS() {
	f := s.fleet
	f.handshakes.begin(time.Now())
	err := s.client.StartTLSAsync("", "", "", "", s.startedTLS)
	if err != nil {
		s.startedTLS(err)
		_ = s.client.Close()
	}
}

// startedTLS is the end of STARTTLS and its handshake. After an error the
// connection is at its end.
func (s *session) startedTLS(err error) {
	f := s.fleet
	f.handshakes.end(time.Now())
	if err == nil {
		s.secured()
	}
	switch {
	case s.phase != entering: // a LOGOUT is under way, and learns the same
	case err == nil:
		s.send(op{verb: verbLogin})
	default:
		s.lost = true
		s.fail(verbConnect, err)
	}
}

// secured counts a handshake that succeeded.
func (s *session) secured() {
	f, state := s.fleet, s.client.TLS()
	v := verbHandshake
	if state.DidResume {
		v = verbResumption
	}
	f.meter.done(v, time.Since(s.dialed))
	f.handshakes.kinds[tls.VersionName(state.Version)+", "+tls.CipherSuiteName(state.CipherSuite)]++
}

// handshakes tells for how long any were under way: what is there per second of a
// run that makes most of them at its beginning says little.
type handshakes struct {
	underway int
	since    time.Time     // when underway was 0 for the last time
	busy     time.Duration // before that
	ended    int64
	kinds    map[string]int64 // that succeeded, by version and cipher
}

func (h *handshakes) begin(now time.Time) {
	if h.underway == 0 {
		h.since = now
	}
	h.underway++
}

func (h *handshakes) end(now time.Time) {
	h.ended++
	if h.underway--; h.underway == 0 {
		h.busy += now.Sub(h.since)
	}
}

// lasted is for how long any have been under way.
func (h *handshakes) lasted(now time.Time) time.Duration {
	if h.underway > 0 {
		return h.busy + now.Sub(h.since)
	}
	return h.busy
}
