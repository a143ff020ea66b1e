package conntest

import "time"

// Clock is a clock that stands still until it is moved by hand; its Now is for
// Dialer.Now. The zero Clock is ready to use. [New] gives each client one of its
// own; for clients that share one, the test sets their Dialer's Now.
type Clock struct{ passed time.Duration }

// origin is long past, so that a Loop, which goes by the system's clock, takes each
// deadline for one that has come: it asks the client, and the client knows the time.
var origin = time.Unix(1e9, 0)

// Now returns the time to which the clock was moved.
func (c *Clock) Now() time.Time { return origin.Add(c.passed) }

// Advance moves the clock. It drives nobody; [Server.Drive] does.
func (c *Clock) Advance(d time.Duration) { c.passed += d }
