// Package conn is an authenticating callback interface to IMAP, IMSP and ACAP
// servers: imclient(3), for programs that drive thousands of connections from
// one goroutine.
//
// A [Client] is one connection. Commands are queued by [Client.Send] and never
// block; replies arrive at callbacks, by the keyword of an untagged reply
// ([Client.AddCallback]) or when a command completes. It is driven in one of two
// ways:
//
//   - bare: its owner sleeps on what [Client.GetSelectInfo] and
//     [Client.NextDeadline] say and calls [Client.ProcessOneEvent] or
//     [Client.TryProcessOneEvent], in any loop whatever;
//   - in a [reactor.Loop], which does the same for all its connections:
//     [Dialer.ConnectAsync] puts them there.
//
// # What happens in a call
//
// One call of TryProcessOneEvent reads once, dispatches all whole replies that
// the read brought, in their order, and writes what is queued, the callbacks'
// commands included. So when it returns nothing lies hidden, and the descriptor
// tells the truth. In a Loop at most 256 replies are dispatched in a turn; the
// rest follows in the next, since NextDeadline then says now.
//
// # Callbacks
//
// Callbacks run within that call, on the goroutine that drives the connection,
// in the order of the wire. Send, SendCommand, Continue, AddCallback, SetFlags,
// ClearFlags and Close are allowed in every callback, on its own connection and
// on others; another connection may be driven too. What waits, ProcessOneEvent
// and TryProcessOneEvent of the same connection, returns [ErrReentrant].
//
// A [Reply] and its Text are lent until the callback returns. Each command's
// callback is called once at its end: with the tagged reply, or with the keyword
// "EOF" when the connection has ended, the oldest command first. Then
// Dialer.OnClose is called, and after it never another callback.
//
// # The life of a connection
//
// These are the states and where each can lead; state.go says what they mean,
// and a test compares this list with the code.
//
//	greeting -> ready closing
//	ready    -> closing
//	closing  -> closed
//	closed   -> dead
//	dead
//
// # Not there yet
//
// TLS, SASL and streamed literals will come as layers between the socket and the
// protocol, and as choices per literal.
package conn
