package storm

import (
	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/tlsup"
)

// handshakes are connections that begin TLS.
type handshakes struct{ dialer conn.Dialer }

func newHandshakes(req Request) *handshakes {
	h := &handshakes{conn.Dialer{
		ImplicitTLS: true,
		TLS:         &tlsup.Policy{Files: tlsup.Files{CA: req.Server.CA}, Sessions: -1},
	}}
	if req.Workers > 0 {
		h.dialer.Workers = conn.NewWorkers(req.Workers)
	}
	return h
}

func (h *handshakes) settle(_ *storm, ready func()) { ready() }

func (h *handshakes) begin(s *storm) {
	// Where a connection greets, its server knows of it, and has counted it.
	h.dialer.Callbacks = []conn.Callback{{Keyword: "OK", Proc: func(*conn.Client, any, *conn.Reply) { s.done() }}}
	for range s.Conns {
		s.connect(&h.dialer, s.Server.Addr, func(*conn.Client) {})
	}
}
