// Package tlsup is TLS that never blocks a loop: an engine over crypto/tls, and
// nothing else, that turns records into plain bytes and back; and the policy by which
// connections decide whom to trust.
//
//	records in --Feed-->  +--------+  --Read-->  plain out
//	                      | Engine |
//	records out <-Pending-+--------+  <-Write--  plain in
//
// An [Engine] knows bytes, never a socket: package conn moves them, as it does for
// every layer between the socket and the protocol. It takes input cut anywhere, and
// when Read returns 0 nothing whole is left in it.
//
// A handshake of crypto/tls cannot be tried again when input was missing, only be
// suspended. So it runs on a goroutine of its own, which strictly alternates with
// whoever calls [Engine.Step] and is gone when the handshake is over. Afterwards
// there is none: thousands of idle connections have no goroutine, and no buffer
// either, because the one that crypto/tls would keep is taken from it (layout.go).
//
// A [Policy] says whom to trust and who we are: roots from files, directories or the
// system, a client certificate, pins; it reads files again when they have changed.
// Chain and name are verified unless it says otherwise, TLS 1.2 is the least, and the
// name is the one that the caller gave, never DNS's. All connections that use it
// share sessions, so that most handshakes of a fleet are resumptions. Where one fails,
// [Policy.Explain] says whose fault it is and what to do about it.
//
// [State] is what was negotiated, with the channel bindings that SASL wants.
package tlsup
