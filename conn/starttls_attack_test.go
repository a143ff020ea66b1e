package conn_test

import (
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
)

// attack is one of the classes of "Why TLS Is Better Without STARTTLS" (USENIX Security
// 2021), by the names of its test suite, or a later one of the same family, against a
// client with RequireTLS that has a password to send.
type attack struct {
	class  string
	script string
	err    string // why the connection ends, see kind; "": TLS comes all the same
	hello  bool   // a handshake may have begun when the attack is seen
	whole  bool   // cut it is none
}

const (
	// offered begins what is said before the attack.
	offered = "S: * OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN LITERAL+] ready\nC: a1 STARTTLS\nC-\n"
	accept  = "S: a1 OK begin\n"
	// secured ends a conversation that was not to be had in the clear.
	secured = "TLS\nC: a2 LOGIN alice \"secret word\"\nS: a2 OK welcome\nS: * 3 EXISTS\nC-\n"
)

var attacks = []attack{
	{class: "B_1: a tagged reply behind the OK", script: offered + `S> a1 OK begin\r\na2 OK logged in\r\n`, err: "injected", hello: true},
	{class: "B_2: an untagged reply behind the OK", script: offered + `S> a1 OK begin\r\n* 66 EXISTS\r\n`, err: "injected", hello: true},
	{class: "B_3: BYE behind the OK", script: offered + `S> a1 OK begin\r\n* BYE go away\r\n`, err: "injected", hello: true},
	{class: "B: half a line behind the OK", script: offered + `S> a1 OK begin\r\n* 66 EX`, err: "injected", hello: true},
	{class: "B: a line end behind the OK", script: offered + `S> a1 OK begin\r\n\r\n\r\n\r\n`, err: "injected", hello: true},
	{class: "B: the OK twice", script: offered + `S> a1 OK begin\r\na1 OK begin\r\n`, err: "injected", hello: true},
	{class: "B: NO behind the OK", script: offered + `S> a1 OK begin\r\na1 NO no\r\n`, err: "injected", hello: true},

	{class: "N_O_1: not offered", script: "S: * OK [CAPABILITY IMAP4rev1] ready\nC-", err: "TLS required"},
	{class: "N_O_2: NO", script: offered + "S: a1 NO not now", err: "TLS required"},
	{class: "N_O_3: BAD", script: offered + "S: a1 BAD what", err: "TLS required"},
	{class: "N_O_4: + instead of OK", script: offered + "S: + OK begin", err: "TLS required"},
	{class: "N_O: another tagged keyword", script: offered + "S: a1 YES begin", err: "TLS required"},
	{class: "N_O: PREAUTH with the tag", script: offered + "S: a1 PREAUTH begin", err: "TLS required"},
	{class: "N_O: EOF with the tag", script: offered + "S: a1 EOF", err: "TLS required"},
	{class: "N_O: another tag", script: offered + "S: a3 OK begin", err: "TLS required"},
	{class: "N_O: no tag", script: offered + "S: OK begin", err: "TLS required"},
	{class: "N_O: nothing but BYE", script: offered + "S: * BYE no TLS\nS/", err: "EOF"},
	{class: "N_O: nothing at all", script: offered + "T+ 30s", err: "conn: timed out after 30s, waiting for: TLS handshake"},

	{class: "N_D_1: no capabilities", script: "S: * OK\nC: a1 STARTTLS\nS: * CAPABILITY \nS: a1 BAD what", err: "TLS required"},
	{class: "N_D_2: odd capabilities", script: "S: * OK [CAPABILITY ]\nC: a1 STARTTLS\nS: * CAPABILITY IMAP4rev1 STARTTLS2 XSTARTTLS\nS: a1 BAD what", err: "TLS required"},
	{class: "N_D_3: IMAP4 only", script: "S: * OK [CAPABILITY IMAP4]\nC-", err: "TLS required"},

	{class: "N_P: PREAUTH", script: "S: * PREAUTH welcome", err: "TLS required"},
	{class: "P_1: PREAUTH, and the mailbox", script: `S> * PREAUTH welcome\r\n* 66 EXISTS\r\n`, err: "TLS required"},
	{class: "P_2: PREAUTH, and STARTTLS is offered", script: "S: * PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] welcome", err: "TLS required"},
	{class: "P_3: PREAUTH, and the OK", script: `S> * PREAUTH welcome\r\na1 OK begin\r\n`, err: "TLS required"},
	{class: "P_4: PREAUTH in lower case", script: "S: * preauth welcome", err: "TLS required"},
	{class: "P_5: PREAUTH with an ALERT", script: "S: * PREAUTH [ALERT] call 555", err: "TLS required"},

	{class: "N_L_1: NO with a login referral", script: offered + "S: a1 NO [REFERRAL imap://alice;AUTH=*@evil.test/] there", err: "TLS required"},
	{class: "N_L_1: BYE with a login referral", script: "S: * BYE [REFERRAL imap://alice;AUTH=*@evil.test/] there", err: "TLS required"},
	{class: "N_M_1: PREAUTH, and a mailbox referral", script: `S> * PREAUTH\r\na1 NO [REFERRAL imap://evil.test/INBOX] there\r\n`, err: "TLS required"},
	{class: "N_M_2: a mailbox referral before TLS", script: offered + "S: * NO [REFERRAL imap://evil.test/INBOX] there\n" + accept + secured},

	{class: "T: after the greeting", script: "S: * OK\nS: " + tampering("\nS: ") + "\nC: a1 STARTTLS\n" + accept + secured},
	{class: "T: before the OK", script: offered + "S: " + tampering("\nS: ") + "\n" + accept + secured},
	{class: "T: before the OK, in one segment", script: offered + `S> ` + tampering(`\r\n`) + `\r\na1 OK begin\r\n` + "\n" + secured},
	{class: "T: state", script: offered + "S: * OK [REFERRAL imap://evil.test/] there\nS: * OK [UNSEEN 1]\n" + accept + secured},

	{class: "U: ALERT in the greeting", script: "S: * OK [ALERT] call 555\nC: a1 STARTTLS\n" + accept + secured},
	{class: "U: ALERT before the OK", script: offered + "S: * OK [ALERT] call 555\n" + accept + secured},
	{class: "U: ALERT in the OK", script: offered + "S: a1 OK [ALERT] call 555\n" + secured},
	{class: "U: BADCHARSET in NO", script: offered + "S: a1 NO [BADCHARSET (call 555)]", err: "TLS required"},
	{class: "U: PARSE before the OK", script: offered + "S: * NO [PARSE] call 555\n" + accept + secured},
	{class: "U: text in BAD", script: offered + "S: a1 BAD call 555", err: "TLS required"},
	{class: "U: text in BYE", script: "S: * BYE call 555", err: "TLS required"},

	{class: "Greeting: NO", script: "S: * NO", err: "TLS required"},
	{class: "Greeting: BAD", script: "S: * BAD", err: "TLS required"},
	{class: "Greeting: BYE", script: "S: * BYE", err: "TLS required"},
	{class: "Greeting: OK with the tag of STARTTLS", script: "S: a1 OK begin", err: "TLS required"},
	{class: "Greeting: OK with another tag", script: "S: x OK", err: "TLS required"},
	{class: "Greeting: +", script: "S: +", err: "TLS required"},
	{class: "Greeting: a line of garbage", script: "S: 220 mail ESMTP", err: "TLS required"},
	{class: "Greeting: no line", script: "S: ", err: "TLS required"},
	{class: "Greeting: two lines of garbage", script: `S> \x00\r\n\xff\r\n`, err: "TLS required"},
	{class: "Greeting: garbage behind it", script: "S: * OK\nC: a1 STARTTLS\nS: garbage", err: "TLS required"},

	{class: "Capability: after the greeting", script: "S: * OK\nS: * CAPABILITY AUTH=PLAIN LITERAL+\nC: a1 STARTTLS\n" + accept + secured},
	{class: "Capability: before the OK", script: offered + "S: * CAPABILITY AUTH=PLAIN LITERAL+\n" + accept + secured},
	{class: "Capability: on the OK itself", script: offered + "S: a1 OK [CAPABILITY AUTH=PLAIN LITERAL+] begin\n" + secured},
	{class: "X_1: 50 mechanisms in the clear", script: "S: * OK [CAPABILITY STARTTLS" + strings.Repeat(" AUTH=X AUTH=PLAIN", 25) + "]\nC: a1 STARTTLS\n" + accept + secured},
	{class: "Others: UTF8=ONLY", script: "S: * OK [CAPABILITY STARTTLS UTF8=ONLY]\nC: a1 STARTTLS\n" + accept + secured},
	{class: "Others: the login is answered before it is sent", script: offered + "S: a2 OK welcome", err: "TLS required"},
	{class: "Others: the login is refused before it is sent", script: offered + "S: a2 NO no", err: "TLS required"},

	{class: "CVE-2026-42246: OK before the command", script: `S> * OK\r\na1 OK begin\r\n`, err: "TLS required", whole: true},
	{class: "CVE-2021-23222: half a line, glued to TLS", script: offered + `S> a1 OK begin\r\n* 66 ` + "\nTLS", err: "injected", hello: true},
	{class: "an open literal swallows the OK", script: offered + "S: * LIST {999}\n" + accept + "T+ 1m", err: "conn: timed out after 1m0s, waiting for: reply"},
	{class: "an open literal that is none", script: offered + "S: {999}", err: "TLS required"},
	{class: "an open quoted string before the OK", script: offered + "S: * LIST \"\n" + accept + secured},
}

// tampering is what a server says of mailboxes, joined.
func tampering(sep string) string {
	return strings.Join([]string{
		`* LIST () "/" evil`, `* LSUB () "/" evil`, `* STATUS evil (MESSAGES 66)`, `* SEARCH 1 2 3`, `* FLAGS (\\Evil)`,
		`* 66 EXISTS`, `* 66 RECENT`, `* 1 EXPUNGE`, `* 1 FETCH (FLAGS ())`, `* OK [UIDVALIDITY 66]`,
	}, sep)
}

func TestTLSAttacks(t *testing.T) {
	inEveryWay(t, func(t *testing.T, way string) {
		for _, a := range attacks {
			t.Run(a.class, func(t *testing.T) {
				play := func(t *testing.T, cut *conntest.Cut) { a.play(t, way, cut) }
				switch {
				case a.whole:
					play(t, nil)
				case a.hello && way == "bare":
					conntest.EveryCut(t, play)
				case a.hello:
					conntest.SomeCuts(t, 7, play)
				case a.err == "":
					inSomeCuts(t, way, 151, play) // most of it is the handshake
				default:
					inSomeCuts(t, way, 5, play)
				}
			})
		}
	})
}

func (a *attack) play(t *testing.T, way string, cut *conntest.Cut) {
	t.Helper()
	x := newTLSTalk(t, conn.Dialer{RequireTLS: true}, way, cut)
	x.startTLS()
	x.login()
	x.Play(a.script)
	if a.err == "" {
		if x.c.Capabilities() != "" {
			t.Errorf("what the server said that it can do is forgotten\n got: %q", x.c.Capabilities())
		}
		x.says("nothing of the clear time reaches a callback, and TLS comes", "TLS", `a2 OK "welcome"`, `* 3 EXISTS ""`)
		return
	}
	got := kind(x.c.Err())
	if a.hello && got == "no TLS" { // the plain text came when the handshake had begun
		got = "injected"
	}
	if got != a.err {
		t.Errorf("the connection ends\n got: %q (%v)\nwant: %q", got, x.c.Err(), a.err)
	}
	if a.hello {
		x.sentHello()
	} else {
		x.Play("C.")
	}
	got = kind(x.c.Err())
	unsent := got
	if strings.HasPrefix(got, "conn: ") {
		unsent += " (command not sent)"
	}
	x.says("nothing reaches a callback but the end", "TLS: "+got, "a2 EOF: "+unsent+", safe to retry", "closed: "+got)
}
