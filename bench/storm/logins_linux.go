package storm

import (
	"crypto"
	"os"

	"github.com/imclient/imclient/bench/server"
	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/sasl"
)

// Logins is a storm of logins on connections that stand and have greeted: by
// SCRAM-SHA-256, of whose accounts no keys are there before it, or by GSSAPI, with one
// ticket that is in a credential cache which was not read before.
type Logins struct {
	Accounts   int // the connections take them in turn; 0: GSSAPI's
	Iterations int
}

// logins are one of them.
type logins struct {
	mechs   [][]sasl.Mechanism // of each account
	derived func() uint64
	clients []*conn.Client
}

func newLogins(req *Request) *logins {
	if req.Logins.Accounts > 0 {
		return newSCRAM(*req.Logins)
	}
	k := sasl.NewKerberos(sasl.KerberosOptions{CCache: req.Server.CCache, Config: os.DevNull})
	return &logins{
		mechs: [][]sasl.Mechanism{{sasl.GSSAPI(k)}},
		derived: func() uint64 {
			stats := k.Stats()
			return uint64(req.Conns) - stats.Hits - stats.Waits
		},
	}
}

func newSCRAM(req Logins) *logins {
	keys := new(sasl.Keys)
	l := &logins{mechs: make([][]sasl.Mechanism, req.Accounts), derived: func() uint64 { return keys.Stats().Derived }}
	for i := range l.mechs {
		p := sasl.Static(sasl.Credentials{Username: server.Account(i, req.Iterations), Password: []byte(server.Password)})
		l.mechs[i] = []sasl.Mechanism{sasl.SCRAM(crypto.SHA256, p, sasl.SCRAMOptions{Keys: keys})}
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
