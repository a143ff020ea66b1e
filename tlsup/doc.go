// Package tlsup will hold TLS: an engine that turns records into plain bytes
// and back and never blocks the loop, over crypto/tls and nothing else. So far
// it is this page, which says what it promises, for whoever writes it.
//
//	records in --Feed-->  +--------+  --Read-->  plain out
//	                      | engine |
//	records out <-Pending-+--------+  <-Write--  plain in
//
// The engine knows bytes, never a socket: package conn moves them, as it does
// for every layer between the socket and the protocol. A handshake of
// crypto/tls can only be suspended, not retried, so it runs on a goroutine that
// strictly alternates with the loop and is gone when the handshake ends; between
// handshakes no goroutine exists. Chain and name are verified by default, TLS
// 1.2 is the least, and the name is the one that the caller gave.
package tlsup
