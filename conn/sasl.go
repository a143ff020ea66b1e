package conn

import "github.com/imclient/imclient/sasl"

// SASL is how a connection was logged in by [Client.Authenticate].
type SASL struct {
	Mechanism string    // as the server calls it, "SCRAM-SHA-256-PLUS"; "": it was not
	Prot      sasl.Prot // what its security layer gives, one bit; ProtNone: there is no layer
	SSF       int       // the layer's strength: 0 for none, 1 for integrity alone, else bits of its key
}

// SASL tells by which of the mechanisms Authenticate logged in, and what came of it.
// Legal in a callback, and when the connection has ended.
func (c *Client) SASL() SASL { return c.known.Value().sasl }
