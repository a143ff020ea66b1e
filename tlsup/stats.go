package tlsup

import (
	"crypto/tls"
	"sync/atomic"
	"time"
)

// Stats is what became of the handshakes of a [Policy].
type Stats struct {
	Handshakes uint64        // completed
	Resumed    uint64        // of those, the ones that resumed a session
	Failed     uint64        // not completed
	Busy       time.Duration // spent in steps of both kinds, by the clock: CPU time, where nothing else wants the processor
	// Lean reports whether an idle connection gives its buffers back. It does not
	// where the layout of crypto/tls is not the one that is known here.
	Lean bool
}

type counters struct {
	handshakes, resumed, failed atomic.Uint64
	busy                        atomic.Int64
}

// Done counts a handshake that has ended: err is nil if it was completed, busy is
// the time that was spent computing. Safe on any goroutine.
func (p *Policy) Done(state tls.ConnectionState, busy time.Duration, err error) {
	p.counters.busy.Add(int64(busy))
	if err != nil {
		p.counters.failed.Add(1)
		return
	}
	p.counters.handshakes.Add(1)
	if state.DidResume {
		p.counters.resumed.Add(1)
	}
}

// Stats returns the counters. Safe on any goroutine.
func (p *Policy) Stats() Stats {
	// Done counts Resumed last and it is read first: it never exceeds Handshakes.
	resumed := p.counters.resumed.Load()
	return Stats{
		Handshakes: p.counters.handshakes.Load(),
		Resumed:    resumed,
		Failed:     p.counters.failed.Load(),
		Busy:       time.Duration(p.counters.busy.Load()),
		Lean:       lean(),
	}
}
