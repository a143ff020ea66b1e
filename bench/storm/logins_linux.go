package storm

import (
	"crypto"

	"github.com/imclient/imclient/bench/server"
	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/sasl"
)

// Logins is a storm of logins by SCRAM-SHA-256, on connections that stand and have
// greeted. Of no account there are keys before it.
type Logins struct {
	Accounts   int // the connections take them in turn
	Iterations int
}

type logins struct {
	keys    *sasl.Keys
	mechs   [][]sasl.Mechanism // of each account
	clients []*conn.Client
}

func newLogins(req Logins) *logins {
	l := &logins{keys: new(sasl.Keys), mechs: make([][]sasl.Mechanism, req.Accounts)}
	for i := range l.mechs {
		p := sasl.Static(sasl.Credentials{Username: server.Account(i, req.Iterations), Password: []byte(server.Password)})
		l.mechs[i] = []sasl.Mechanism{sasl.SCRAM(crypto.SHA256, p, sasl.SCRAMOptions{Keys: l.keys})}
	}
	return l
}

func (l *logins) settle(s *storm, ready func()) {
	greeted := func(c *conn.Client, _ any, _ *conn.Reply) {
		if l.clients = append(l.clients, c); len(l.clients) == s.Conns {
			ready()
		}
	}
	dialer := &conn.Dialer{Callbacks: []conn.Callback{{Keyword: "OK", Proc: greeted}}}
	for range s.Conns {
		s.connect(dialer, s.Server.Addr, func(*conn.Client) {})
	}
}

func (l *logins) begin(s *storm) {
	for i, c := range l.clients {
		err := c.AuthenticateAsync(l.mechs[i%len(l.mechs)], "imap", "", sasl.ProtAny, func(err error) {
			if err != nil {
				s.fail(err)
				return
			}
			s.done()
		})
		if err != nil {
			s.fail(err)
			return
		}
	}
}
