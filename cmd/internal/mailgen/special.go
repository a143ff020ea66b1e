package mailgen

import (
	"fmt"
	"strings"
)

// specials is the table of hard cases. Tests and logs name them by number, so a
// new one goes before the two large ones at the end, and nowhere else.
var specials = []struct {
	what string
	text func(number int) string // with LF line ends
}{
	{"one field, empty body", fixed("Subject: tiny\n\n")},
	{"header only, no empty line", fixed("Subject: nothing follows\n")},
	{"empty body", letter(header{subject: "empty body"}, "")},
	{"body of one letter", letter(header{subject: "x"}, "x\n")},
	{"no line end after the last line", letter(header{subject: "no line end"}, "the last line just stops")},
	{"the last byte is a CR", letter(header{subject: "half a line end"}, "CR without LF\r")},
	{"lone CRs", letter(header{subject: "lone CRs"}, "a\rb\r\rc\r.\n\rd\n")},
	{"empty subject", letter(header{}, "The subject is empty.\n")},
	{"no date, no subject", fixed("From: a@example.org\nTo: alice@localhost\n\nThe rest is missing.\n")},
	{"UTF-8 body", letter(header{subject: "UTF-8", more: plain("utf-8")}, "Smörgåsbord, 12 €, 日本語, 📧\n")},
	{"Latin-1 body", letter(header{subject: "Latin-1", more: plain("iso-8859-1")}, "Sm\xf6rg\xe5sbord\n")},
	{"body of every byte but NUL", letter(header{subject: "every byte", more: plain("iso-8859-1")}, everyByte()+"\n")},
	{"UTF-8 header", letter(header{subject: "Smörgåsbord für 12 €", from: "Jürgen <j@example.org>"}, "See above.\n")},
	{"Latin-1 header", letter(header{subject: "Sm\xf6rg\xe5sbord", from: "J\xfcrgen <j@example.org>"}, "See above.\n")},
	{"encoded words", letter(header{
		subject: "=?utf-8?B?U23DtnJnw6VzYm9yZA==?= =?iso-8859-1?Q?f=FCr_zw=F6lf?=",
		from:    "=?utf-8?Q?J=C3=BCrgen?= <j@example.org>",
	}, "See above.\n")},
	{"quotes, backslashes, specials", letter(header{
		subject: `say "hello" \ C:\\dir (paren [x]) % * {5} ~`,
		from:    `"Q \"uoted\" \\ name" <"odd \"local\" part"@example.org>`,
	}, "See above.\n")},
	{"a subject like a literal header", letter(header{subject: "{10}"}, "0123456789\n")},
	{"header lines that end like literal headers", letter(header{
		subject: `"to be continued {7}`,
		from:    `"{3+}" <literal@example.org>`,
		more:    []string{"X-Sync: {10}", "X-NonSync: {3+}", "X-Literal8: ~{5}", "X-Both: ~{5+}", `X-Quoted: "{0}`, "X-Huge: {99999999999999999999}"},
	}, "See above.\n")},
	{"a body like the protocol", letter(header{subject: "* BYE for now"},
		"* 1 FETCH (UID 1 BODY[] {3}\n)\nA001 OK done\n+ go on\n* BYE {5}\n* 2 EXPUNGE\n)\n")},
	{"folded subject", letter(header{subject: every(40, "\n ", func(i int) string {
		return fmt.Sprintf("part %d %s", i, strings.Repeat("f", 60))
	})}, "See above.\n")},
	{"subject of 5000 bytes in one line", letter(header{subject: strings.Repeat("s", 5000)}, "See above.\n")},
	{"500 recipients", letter(header{subject: "invitation", to: every(500, ",\n ", func(i int) string {
		return fmt.Sprintf("Guest %d <guest%d@example.org>", i, i)
	})}, "All of you are welcome.\n")},
	{"group addresses", letter(header{
		subject: "groups",
		to:      `Friends: a@example.org, "B, b" <b@example.org>;, undisclosed-recipients:;`,
	}, "See above.\n")},
	{"multipart/alternative", letter(header{subject: "alternative", more: multipart("alternative", "alt")},
		"Text before the first part.\n--alt\nContent-Type: text/plain\n\n"+prose(1, 500)+
			"--alt\nContent-Type: text/html\n\n<p>"+prose(1, 500)+"</p>\n--alt--\nText behind the last part.\n")},
	{"message/rfc822 in multipart/mixed", letter(header{subject: "forwarded", more: multipart("mixed", "fwd")},
		"--fwd\n\nRead this.\n--fwd\nContent-Type: message/rfc822\nContent-Disposition: attachment; filename=\"in side.eml\"\n\n"+
			header{subject: "inside"}.text(0)+"\n"+prose(2, 500)+"\n--fwd--\n")},
	{"30 nested multiparts", nested(30)},
	{"200 parts", letter(header{subject: "many parts", more: multipart("mixed", "many")},
		every(200, "", func(i int) string {
			return fmt.Sprintf("--many\nContent-Type: text/plain; name=\"%d.txt\"\n\npart %d\n", i, i)
		})+"--many--\n")},
	{"multipart without its end", letter(header{subject: "broken", more: multipart("mixed", "broken")},
		"--broken\n\nThis part is never closed.\n")},
	{"a line of 100000 bytes", letter(header{subject: "long line"}, strings.Repeat("0123456789", 10000)+"\n")},
	{"2000 empty lines", letter(header{subject: "empty lines"}, strings.Repeat("\n", 2000))},
	{"dots and From lines", letter(header{subject: "dots"}, ".\n..\nFrom nobody\n>From somebody\n.\n")},
	{"attachment of 1 MB", attachment(1 << 20)},
	{"attachment of 10 MB", attachment(10 << 20)},
}

// fixed is a message that has the same text under each number.
func fixed(s string) func(int) string { return func(int) string { return s } }

func letter(h header, body string) func(int) string {
	return func(number int) string { return h.text(number) + "\n" + body }
}

func plain(charset string) []string {
	return []string{"MIME-Version: 1.0", "Content-Type: text/plain; charset=" + charset, "Content-Transfer-Encoding: 8bit"}
}

func multipart(subtype, boundary string) []string {
	return []string{"MIME-Version: 1.0", fmt.Sprintf("Content-Type: multipart/%s; boundary=%q", subtype, boundary)}
}

// everyByte lacks NUL, which RFC 3501 allows in no literal, and holds CR alone
// and LF with a CR before it.
func everyByte() string {
	var b []byte
	for c := 1; c < 256; c++ {
		b = append(b, byte(c))
	}
	return string(b)
}

// nested is a multipart/mixed in a multipart/mixed and so on, depth levels.
func nested(depth int) func(int) string {
	return func(number int) string {
		part := "Content-Type: text/plain\n\nthe innermost part\n"
		for level := depth; level > 0; level-- {
			part = fmt.Sprintf("Content-Type: multipart/mixed; boundary=\"level%d\"\n\n"+
				"--level%[1]d\nContent-Type: text/plain\n\nlevel %[1]d\n--level%[1]d\n%s\n--level%[1]d--\n", level, part)
		}
		return header{subject: "nested", more: []string{"MIME-Version: 1.0"}}.text(number) + part
	}
}

// attachment is a mail with a base64 attachment of size bytes on the wire.
func attachment(size int) func(int) string {
	return func(number int) string {
		return header{subject: fmt.Sprintf("attachment of %d bytes", size), more: multipart("mixed", "att")}.text(number) +
			"\n--att\nContent-Type: text/plain\n\nSee the attachment.\n" +
			"--att\nContent-Type: application/octet-stream; name=\"data.bin\"\nContent-Transfer-Encoding: base64\n" +
			"Content-Disposition: attachment; filename=\"data.bin\"\n\n" +
			base64Lines(number, size) + "--att--\n"
	}
}
