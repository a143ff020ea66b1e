// Package mailgen makes test mail: hard cases first, then any number of
// ordinary messages. The bytes depend on nothing but the message's number, so a
// test, a load generator and a server in another process agree on them without
// talking to each other.
//
// Line endings: every LF has a CR before it, and there is no NUL; an IMAP
// server therefore returns each message byte for byte as it was stored. A CR
// without LF stands only in the special messages that say so, and never right
// before a CRLF, where servers drop it when the message is appended. The last
// line may lack its line end.
package mailgen

import (
	"fmt"
	"strings"
)

// Message is one mail.
type Message struct {
	Name string // its number, four digits or more: "0001"
	What string // what makes it special; "ordinary" for the rest
	Data []byte // header and body; yours to change
}

// Messages returns messages 1 to n: the special ones, as far as n allows, then
// ordinary ones.
func Messages(n int) []Message {
	all := make([]Message, n)
	for i := range all {
		if i < len(specials) {
			all[i] = special(i + 1)
		} else {
			all[i] = Ordinary(i + 1)
		}
	}
	return all
}

// Special returns the hard cases: what breaks parsers and framers of IMAP or of
// MIME. The last two are large, 1 MB and 10 MB.
func Special() []Message { return Messages(len(specials)) }

// Ordinary returns the i-th message as a small mail, 1 to 4 KB, whatever the
// special message of that number is.
func Ordinary(i int) Message {
	h := header{subject: fmt.Sprintf("ordinary message %d %s", i, words[i%len(words)])}
	if i%5 == 0 {
		h.cc = "Bob <bob@localhost>"
	}
	if i%7 == 0 {
		h.more = append(h.more,
			fmt.Sprintf("In-Reply-To: <%d@imclient.test>", i-1),
			fmt.Sprintf("References: <%d@imclient.test>\n <%d@imclient.test>", i-2, i-1))
	}
	if i%3 == 0 {
		h.more = append(h.more, "X-Mailer: mailgen", "Importance: normal")
	}
	body := prose(i, 850+int(source(i).Uint64()%2600))
	return message(i, "ordinary", h.text(i)+"\n"+body)
}

func special(number int) Message {
	s := specials[number-1]
	return message(number, s.what, s.text(number))
}

func message(number int, what, text string) Message {
	return Message{Name: fmt.Sprintf("%04d", number), What: what, Data: withCRLF(text)}
}

// withCRLF turns LF line ends into CRLF.
func withCRLF(text string) []byte {
	data := make([]byte, 0, len(text)+strings.Count(text, "\n"))
	for line := range strings.Lines(text) {
		if body, ended := strings.CutSuffix(line, "\n"); ended {
			data = append(append(data, body...), "\r\n"...)
		} else {
			data = append(data, line...)
		}
	}
	return data
}
