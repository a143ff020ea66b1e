package server

// A whole conversation; the literal is left out.
const (
	commands = "a LOGIN joe secret\r\nb SELECT INBOX\r\nc NOOP\r\nd FETCH 1 (BODY.PEEK[])\r\ne IDLE\r\nDONE\r\n" +
		"f XYZZY\r\nDONE\r\ng CAPABILITY\r\nh LOGOUT\r\n"
	replies = Greeting +
		"a OK [CAPABILITY IMAP4rev1 IDLE] logged in\r\n" +
		selected + "b OK [READ-WRITE] SELECT completed\r\n" +
		"c OK NOOP completed\r\n" +
		"* 1 FETCH (BODY[] {4096}\r\n...)\r\nd OK FETCH completed\r\n" +
		"+ idling\r\ne OK IDLE terminated\r\n" +
		"f BAD unknown command\r\n" +
		"DONE BAD unknown command\r\n" +
		"* CAPABILITY IMAP4rev1 IDLE\r\ng OK CAPABILITY completed\r\n" +
		"* BYE logging out\r\nh OK LOGOUT completed\r\n"
)
