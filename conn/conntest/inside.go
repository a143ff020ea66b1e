package conntest

import (
	"strings"

	"github.com/imclient/imclient/conn"
)

// TLSCut says what of a server within [InsideTLS] is cut.
type TLSCut uint8

const (
	outside TLSCut = iota
	// CutText: what the server says is cut, and each piece is a record of its own.
	CutText
	// CutRecords: the records are cut, anywhere.
	CutRecords
)

// inside is what InsideTLS has set.
var inside TLSCut

// InsideTLS puts a whole program's tests inside TLS, scripts unchanged: each client
// that [New] makes from then on, unless its Dialer says something of TLS, has
// implicit TLS, with the handshake done. [EveryCut] takes a sample of the places then.
// Call it once, from TestMain, when a flag or an environment variable asks for it.
func InsideTLS(cut TLSCut) { inside = cut }

// wrap makes a Dialer one for a client inside TLS, if it is to be.
func wrap(d *conn.Dialer) (wrapped bool) {
	if inside == outside || d.ImplicitTLS || d.RequireTLS || d.TLS != nil {
		return false
	}
	d.ImplicitTLS = true
	if trace := d.Trace; trace != nil {
		d.Trace = func(c *conn.Client, line string) {
			if !strings.HasPrefix(line, "# TLS") {
				trace(c, line)
			}
		}
	}
	return true
}

// enter does the handshake of a client that was wrapped. It is not cut.
func (s *Server) enter() {
	s.tb.Helper()
	cut := s.cut
	s.cut = nil
	s.StartTLS(nil)
	s.mustBeUp()
	s.cut, s.text, s.sent = cut, inside == CutText, 0
}
