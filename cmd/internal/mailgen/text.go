package mailgen

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// header is a mail's header. Empty fields get a default that depends on the
// message's number.
type header struct {
	from, to, cc, subject string
	more                  []string // whole fields, folded or not
}

func (h header) text(number int) string {
	from, to := h.from, h.to
	if from == "" {
		from = fmt.Sprintf("Sender %d <sender%d@example.org>", number, number)
	}
	if to == "" {
		to = "Alice <alice@localhost>"
	}
	fields := []string{
		fmt.Sprintf("Return-Path: <sender%d@example.org>", number),
		"Date: " + Date(number).Format(time.RFC1123Z),
		"From: " + from,
		"To: " + to,
	}
	if h.cc != "" {
		fields = append(fields, "Cc: "+h.cc)
	}
	fields = append(fields,
		"Subject: "+h.subject,
		fmt.Sprintf("Message-ID: <%d@imclient.test>", number))
	return strings.Join(append(fields, h.more...), "\n") + "\n"
}

// Date is what the Date field of message number says, where it has one; good as
// its INTERNALDATE, too.
func Date(number int) time.Time {
	return time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(number) * 3607 * time.Second)
}

// source is message number's own generator. PCG is a published algorithm, so
// its numbers stay the same in every version of Go.
func source(number int) *rand.PCG { return rand.NewPCG(uint64(number), 0x696d636c69656e74) }

var words = strings.Fields(`anchor barley copper dusk ember fjord gravel harbour inlet juniper kettle
	lantern meadow nettle orchard pebble quarry rudder saddle thicket upland velvet willow yonder zephyr`)

// prose returns lines of words, size bytes or a few more.
func prose(number, size int) string {
	const width = 70
	var b strings.Builder
	src := source(number)
	for line := 0; b.Len() < size; {
		word := words[src.Uint64()%uint64(len(words))]
		if line+1+len(word) > width {
			b.WriteByte('\n')
			line = 0
		} else if line > 0 {
			b.WriteByte(' ')
			line++
		}
		b.WriteString(word)
		line += len(word)
	}
	b.WriteByte('\n')
	return b.String()
}

// base64Lines returns random bytes in base64, lines of 76 characters (RFC 2045
// section 6.8), at least size bytes on the wire. No two lines are alike, so a
// piece of it in the wrong place is noticed.
func base64Lines(number, size int) string {
	const raw, encoded = 57, 76
	src := source(number)
	lines := (size + encoded + 1) / (encoded + len("\r\n"))
	b := make([]byte, 0, lines*(encoded+1))
	var line [raw + 7]byte
	for range lines {
		for i := 0; i < raw; i += 8 {
			binary.LittleEndian.PutUint64(line[i:], src.Uint64())
		}
		b = append(base64.StdEncoding.AppendEncode(b, line[:raw]), '\n')
	}
	return string(b)
}

// every returns f(1), ..., f(n), joined by sep.
func every(n int, sep string, f func(i int) string) string {
	all := make([]string, n)
	for i := range all {
		all[i] = f(i + 1)
	}
	return strings.Join(all, sep)
}
