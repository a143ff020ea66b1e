// # Where the manual page is silent
//
// There the C library's behaviour holds, as it was observed, unless a point says
// "ours". The points are numbered, and TestContract proves each under its number.
//
//  1. Connect returns, and ConnectAsync calls done, when the connection stands; the
//     greeting comes later and is an untagged reply like any other, "* OK" or, in
//     ACAP, "* ACAP". Tags are a prefix and a decimal, kf1. Ours is that the prefix is
//     two random letters: some large servers refuse tags that are numbers, and a tag
//     that can be guessed can be answered by whoever gets a line in. Dialer.TagPrefix
//     fixes it.
//
//  2. An untagged reply goes to the first entry, in order of registration, whose
//     keyword it has (ours: case does not count) and which is for numbered replies
//     just when it has a number; if there is none, to the default, the entry with
//     keyword "" and no flags, numbered or not. Keyword and flags together name an
//     entry: registered again, it changes its Proc and Rock and keeps its place.
//     Those for OK, NO, BAD and BYE with CallbackNoLiteral have the first places, as
//     if they had always been there. An entry without a Proc calls nothing (ours; C
//     goes on to the default).
//
//  3. The text of OK, NO, BAD, BYE and PREAUTH never holds a literal. Elsewhere {n},
//     and ours {n+}, ~{n} and ~{n+}, at the end of a line and outside a quoted string
//     begins one, whatever byte stands before it (ours), and it is looked for only
//     behind the literal before. With CallbackNoLiteral the line is the whole reply;
//     but FETCH is framed by its literals whatever was registered, so that no message
//     can pass for protocol.
//
//  4. A tagged OK, NO or BAD, in any case, completes its command, once. Any other
//     tagged reply, as ACAP has them, is given to the command's Proc and leaves it
//     pending. Ours: tags that are not pending, malformed lines and a "+" that nothing
//     waits for are skipped, counted by kind and traced, and one more than
//     Dialer.JunkAllowance of them since a command last completed ends the connection.
//     So does, at once, a tagged reply to a command of which no byte was written, a
//     tagged OK to one that is not wholly written, and a malformed line that announces
//     a literal. What was received is processed before a new command is written,
//     unless there was more than could be read for 64 events in a row (ours). A bare
//     LF ends a line and costs no byte of it. A message number is at most
//     4,294,967,295.
//
//  5. When the connection ends, for whatever cause, each pending command completes
//     once with the keyword "EOF", the oldest first (ours; C: the newest), and then
//     Dialer.OnClose is called. The process never exits, and nothing is printed.
//
//  6. Send formats a command before it queues any of it; on an error nothing is sent
//     (ours). It never blocks (ours): a literal that must wait is a place in the queue,
//     with later commands behind it. NO or BAD in place of the "+" drops the rest of
//     the command; once the literal has begun, or was announced by {n+}, the rest is
//     sent all the same, up to the next literal that would have to wait. A "+" needs
//     neither space nor text.
//
//  7. %s writes an atom if the string is one, else quotes it (ours: with backslashes
//     before quotes and backslashes), else sends a literal: for CR, LF, 8-bit bytes,
//     and from 1,024 bytes on. "", NIL and DEL are quoted. A NUL is an error. %a takes
//     an atom, or a wire.Text, and checks it. %d and %u take Go's signed and unsigned
//     integers of any size, %v a []string, of which an empty one leaves nothing. Ours
//     are %p, a secret astring that a trace shows as ***, %l, a literal from a []byte
//     that is sent in place and not copied, and %L, the same as a literal8.
//
//  8. A Command may have OnContinue, which is called for each "+" that is not a
//     literal's, and Continue answers it. IDLE is made of that. Later commands wait
//     until such a command completes.
//
//  9. In a callback Send, Continue, AddCallback, SetFlags, ClearFlags, ConnectAsync
//     and Close are allowed on its own connection (ours). Close takes effect before
//     the outermost ProcessOneEvent returns. The calls that wait return ErrReentrant.
//     Another connection may be driven, to any depth. Deadlines fire only within
//     the calls that process events.
//
//  10. Close tries once to write what is queued (ours; C drops it, so that the page's
//     own sample never sends its LOGOUT). After the last callback there is never
//     another.
//
//  11. Connect fails with ErrHostNotFound, the page's -1, with ErrServiceNotFound, its
//     -2, which the C library never returns, or with an *os.SyscallError. ServerName
//     is the name that the caller gave.
//
//  12. STARTTLS waits until it is the only command pending, and later commands wait
//     until it has been answered and TLS negotiated (ours). Only OK leads to a handshake
//     (ours; the C library begins one whatever the answer was); after NO or BAD the
//     connection goes on in the clear, unless Dialer.RequireTLS is set. A byte behind
//     the OK ends the connection. After the handshake nothing is known of what the
//     server can do. While STARTTLS or AUTHENTICATE is being answered, and before TLS
//     where that is required, nothing is skipped as by point 4.
//
//  13. Authenticate waits until it is the only command pending, and later commands wait
//     until it is over. The strongest mechanism is tried first, after NO the next (as
//     C), after BAD none. The initial response goes with the command where the server has
//     SASL-IR (ours). nil is the page's 0, ErrAuthFailed its 1, ErrPrematureOK its 2
//     (ours; C returns 0 then), and the connection ends. A challenge that is no base64,
//     or that the mechanism does not take, is answered by "*", and the tagged reply
//     waited for (ours; C leaves the server waiting). Untagged replies reach their
//     callbacks meanwhile. After the login nothing holds that the server said before of
//     what it can do, and with a security layer nothing that it said with the OK either:
//     it is asked. Bytes behind the OK are the layer's.
//
// What there is to say of compression comes with it.
package conn
