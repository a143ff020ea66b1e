package main

import (
	"bytes"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imclient/imclient/cmd/internal/mailgen"
)

// largestMail is the largest generated mail that mailboxes are filled with, in
// bytes: the load is many commands, not a few long ones.
const largestMail = 32 << 10

// smallSpecials is the number of generated hard cases before the large ones,
// which are the last. Making those just to leave them out would take longer than
// all the rest of a start.
const smallSpecials = 31

// embeddedMails are the n messages of each mailbox of the embedded server: hard
// cases, then ordinary mail. Both processes make them for themselves.
func embeddedMails(n int) [][]byte {
	var mails [][]byte
	for _, m := range mailgen.Messages(smallSpecials) {
		if len(m.Data) <= largestMail && returnedIntact(m.Data) && len(mails) < n {
			mails = append(mails, m.Data)
		}
	}
	for i := 1; len(mails) < n; i++ {
		mails = append(mails, mailgen.Ordinary(i).Data)
	}
	return mails
}

// fillMails are n messages for an empty mailbox of a real server. Mail with a CR
// that is no line end is left out: Dovecot stores line ends as LF, and a CR
// beside one does not come back.
func fillMails(n int) [][]byte {
	var mails [][]byte
	for _, mail := range embeddedMails(n + smallSpecials) {
		if !hasLoneCR(mail) && len(mails) < n {
			mails = append(mails, mail)
		}
	}
	return mails
}

func hasLoneCR(mail []byte) bool {
	return bytes.Count(mail, []byte("\r")) != bytes.Count(mail, []byte("\r\n"))
}

// returnedIntact reports whether go-imap's server returns mail byte for byte. It
// parses a header and writes it anew, which not every header survives.
func returnedIntact(mail []byte) bool {
	section := func(part imap.PartSpecifier) []byte {
		return imapserver.ExtractBodySection(bytes.NewReader(mail), &imap.FetchItemBodySection{Specifier: part})
	}
	return bytes.Equal(section(imap.PartSpecifierNone), mail) &&
		bytes.Equal(section(imap.PartSpecifierHeader), headerOf(mail))
}

// headerOf returns the header of mail with the empty line that ends it, which is
// what BODY[HEADER] is (RFC 3501 section 6.4.5).
func headerOf(mail []byte) []byte {
	if end := bytes.Index(mail, []byte("\r\n\r\n")); end >= 0 {
		return mail[: end+4 : end+4]
	}
	return mail
}
