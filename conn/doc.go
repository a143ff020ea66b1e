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
// rest follows in the next, since NextDeadline then says now. While there is more to
// read than one call can take, calls write nothing, for up to 64 of them: an answer
// to a command must not have been there before the command.
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
// # TLS
//
// [Client.StartTLS] and [Client.StartTLSAsync] negotiate TLS on a connection that
// began in the clear, [Dialer].ImplicitTLS from the first byte. [Dialer].TLS says whom
// to trust: without it chain and name are verified by the system's roots. Where TLS is
// meant to be there, set RequireTLS too: a man in the middle can take STARTTLS out of
// what the server offers, and then nothing is said and nothing is believed.
//
// A handshake costs about a millisecond of computing. A bare connection computes in
// the call that its input woke. In a loop, where a thousand may begin at once, each
// step waits for its turn, a few in a turn of the loop ([reactor.Loop.SpreadLimit]);
// with [Workers] the steps are made on other goroutines meanwhile. Either way
// connections get on in the order in which their input came, and one that waits reads
// nothing.
//
// Between the OK to STARTTLS and TLS there must not be a byte: whoever puts one there
// wants it taken for the server's, and the connection ends with [ErrInjected]. A stream
// that ends without TLS's close_notify was cut off: the error says so, and says whether
// it was within a reply. [Client.TLS] tells what was negotiated, and
// [tlsup.Policy.Stats] how many handshakes there were and what they cost.
//
// # Logging in
//
// [Client.Authenticate] and [Client.AuthenticateAsync] log in by a mechanism of package
// sasl: the strongest that the server offers, that is safe on the connection and that has
// credentials, and after a NO the next; [Dialer].AuthFloor is what a mechanism must be
// worth at least. The Trace tells why each other was passed over. In a loop all that
// takes long, keys to derive or somebody to ask for a password, is done on other
// goroutines, and the login goes on when it is back. A server that says OK before the
// mechanism is satisfied is not the one that it says it is, or has not looked: the
// connection ends with [sasl.ErrPrematureOK]. A security layer begins with the byte
// behind the OK, above any TLS. [Client.SASL] tells which mechanism it was, and what the
// layer is worth.
//
// # Peers that vanish
//
// A server that dies with its machine says nothing, and in IDLE nothing is what
// one waits for. So the kernel asks. Every connection that is no unix socket has:
//
//	TCP_NODELAY       on: a command does not wait for the answer to the last
//	SO_KEEPALIVE      on
//	TCP_KEEPIDLE      60 s of silence before the first probe
//	TCP_KEEPINTVL     15 s between probes
//	TCP_KEEPCNT       4 probes without an answer end the connection
//	TCP_USER_TIMEOUT  120 s without an acknowledgment of output end it, too
//
// Two minutes after it has gone a peer is thus an *os.SyscallError, ETIMEDOUT, or what
// a router on the way has told, EHOSTUNREACH. What the system does not have is done
// without. Who wants other values sets them on the descriptor of GetSelectInfo once
// connected; Dialer.Control comes before these. Linux counts no probes where
// TCP_USER_TIMEOUT is set, which bounds them instead.
//
// # The life of a connection
//
// These are the states and where each can lead; state.go says what they mean,
// and a test compares this list with the code.
//
//	greeting -> ready securing closing
//	ready    -> securing closing
//	securing -> greeting ready closing
//	closing  -> closed
//	closed   -> dead
//	dead
//
// # The manual page
//
// imclient(3) speaks of Cyrus' library, and this package keeps to it, with Go's
// types in place of C's and these differences: what fails returns an error, and what
// the page's fatal was called for is told to Dialer.OnClose; callbacks may send and
// close; the name of the server is the caller's, never what DNS made of it. Each of
// the page's sentences has a subtest of TestManualPage:
//
//	manual page               here             subtest
//	the library               Client           library/callbacks by keyword and tag
//	                                           library/fatal is OnClose and errors
//	                                           library/from connect to close
//	imclient_connect          Connect, Dialer  connect/returns a connection
//	                                           connect/represents its flags and callbacks
//	                                           connect/errno of a system call
//	                                           connect/host not found
//	                                           connect/service not found
//	imclient_close            Close            close/closes and frees
//	imclient_setflags         SetFlags         setflags/sets flags
//	                                           setflags/nonsyncliteral is the only one
//	imclient_clearflags       ClearFlags       clearflags/clears flags
//	imclient_servername       ServerName       servername/name of the server
//	imclient_addcallback      AddCallback      addcallback/adds a callback
//	                                           addcallback/proc gets client, rock, reply
//	                                           addcallback/reply has keyword, msgno, text
//	                                           addcallback/zero or more instances
//	                                           addcallback/adds or changes
//	                                           addcallback/flags say how to parse
//	                                           addcallback/proc is invoked with rock
//	                                           addcallback/proc may be null
//	                                           addcallback/calls within it
//	                                           addcallback/text may be overwritten
//	imclient_send             Send             send/sends a command
//	                                           send/finish is called with rock
//	                                           send/finish may be null
//	                                           send/calls within finish
//	                                           send/format is like printf
//	                                           send/tag is added
//	                                           send/%% for %
//	                                           send/%a for an atom
//	                                           send/%s for an astring
//	                                           send/%d for a decimal
//	                                           send/%u for an unsigned decimal
//	                                           send/%v for astrings
//	imclient_getselectinfo    GetSelectInfo    getselectinfo/fd to read from
//	                                           getselectinfo/wanttowrite
//	imclient_processoneevent  ProcessOneEvent  processoneevent/one input or output event
//	imclient_authenticate     Authenticate     authenticate/one of the mechanisms
//	                                           authenticate/user to log in as
//	                                           authenticate/the current user
//	                                           authenticate/permissible protection
//	                                           authenticate/0 on success
//	                                           authenticate/1 on failure
//	                                           authenticate/2 on extreme failure
//	imclient_havetls          HaveTLS          havetls/compiled with TLS
//	                                           havetls/starttls may be used
//	imclient_starttls         StartTLS         starttls/issues and negotiates
//	                                           starttls/client certificate and key
//	                                           starttls/no client certificate
//	                                           starttls/file or directory of CAs
//	                                           starttls/unverified with a warning
//	the sample program        Example          example/prints the capabilities
//
// What the page leaves open stands below.
//
// # Not there yet
//
// Compression will come as one more layer between the socket and the protocol, and
// streamed literals as choices per literal.
package conn
