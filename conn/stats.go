package conn

// Stats counts what a connection did since it began.
type Stats struct {
	BytesIn, BytesOut uint64 // above the layers: protocol, not packets
	Commands          uint64 // completed by a tagged reply
	Replies           uint64 // of every kind
	Reads, Writes     uint64 // system calls that moved bytes
	Junk              Junk
}

// Junk counts lines that were skipped, by kind. See Dialer.JunkAllowance.
type Junk struct {
	UnknownTag   uint32 // a tagged reply to no pending command
	Malformed    uint32 // no reply at all
	Continuation uint32 // a "+" that nobody waited for
}

// Stats returns the counters. Legal in a callback.
func (c *Client) Stats() Stats { return c.stats }
