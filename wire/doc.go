// Package wire knows the bytes of IMAP, IMSP and ACAP. It cuts what a server sends
// into replies, walks their text, and formats commands. It has no socket, no clock
// and no buffer, and knows no command and no reply by name but the five status
// words.
//
//	bytes in:  Framer.Next ── Event ──> ParseHead ──> Cursor
//	bytes out: AppendCommand ── bytes and marks
//
// # Where things are
//
//	framer.go  lines and literals              RFC 9051 sections 2.2.2 and 4.3, RFC 7888, RFC 3516
//	reply.go   tag, number, keyword            RFC 9051 section 7
//	cursor.go  atoms, strings, numbers, lists  RFC 9051 sections 4 and 9
//	class.go   which byte may be in what       RFC 9051 section 9
//	append.go  one value of a command          RFC 9051 section 4
//	format.go  a whole command                 imclient(3), imclient_send
//
// # Lifetimes
//
// Nothing is copied. The slices of an [Event] and a [Head] alias the buffer, those
// of a [Cursor] and a [String] alias the text, and all stay valid until its owner
// changes it. They are cut so that an append to one copies. The data of a
// [MarkReference] is the caller's and must not change until the command completes.
// Owners use [Poison] to have race builds show who kept something too long.
//
// # Limits
//
// A line may have 8 MiB, a literal 64 MiB, a reply 72 MiB ([Limits] changes them),
// a list 100 levels, a number before a keyword 32 bits, and an error holds 200
// bytes of the peer's. Nothing is allocated from a number that the server sent. A
// byte is looked at a bounded number of times, however it arrives.
//
// # Beyond the grammar
//
// What real servers send and the grammar does not have is let through where it
// cannot be taken for something else:
//
//   - a `+` alone on its line (Exchange, Yandex), any text behind `+ ` (Courier)
//   - a bare LF as line end; any other CR, and NUL, is data
//   - `{n+}` (Gmail), `{012}`, and any byte before a literal's header
//   - message number 0 (Courier), any keyword, any tag
//   - spaces before the end of a line (Outlook, QQ), several where one belongs
//     (Outlook.com); not before a keyword, where DavMail has them: that line is
//     malformed
//   - bytes above 127 in atoms (online.no), `]` in flags (Gmail)
//   - any byte but LF in a quoted string, and a backslash before any of them
//   - response codes whose quotes do not pair (Outlook 365)
//
// What is not let through, because nobody could know where the next reply begins: a
// literal announced by a malformed line or in place of a keyword.
package wire
