package ours

import (
	"fmt"
	"os"

	"github.com/imclient/imclient/bench/fleet"
	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/sasl"
)

// mechanisms are all with which the server lets us in.
func mechanisms(s fleet.Server) map[string][]sasl.Mechanism {
	secret := []byte(fleet.Password)
	p := sasl.Static(sasl.Credentials{Username: fleet.User(0), Password: secret, Token: secret})
	gssapi := sasl.GSSAPI(sasl.NewKerberos(sasl.KerberosOptions{CCache: s.CCache, Config: os.DevNull}))
	byName := map[string][]sasl.Mechanism{}
	for _, m := range append(sasl.All(p), sasl.Anonymous("trace"), gssapi) {
		byName[m.Name()] = []sasl.Mechanism{m}
	}
	return byName
}

// logIn makes connections that log in, and closes each when it has.
func (f *Fleet) logIn(job fleet.Job) (fleet.Work, error) {
	mechs := f.mechs[job.Verb.Mechanism()]
	if mechs == nil {
		return fleet.Work{}, fmt.Errorf("ours: no %s", job.Verb)
	}
	prot := f.Prot
	if prot == 0 {
		prot = sasl.ProtAny
	}
	return f.visit(job, conn.Dialer{}, func(c *conn.Client) {
		f.check(c.AuthenticateAsync(mechs, "imap", "", prot, func(err error) {
			f.check(err)
			f.work.Commands++
			f.check(c.Close())
		}))
	})
}
