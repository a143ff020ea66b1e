package conn_test

import (
	"fmt"
	"testing"

	"github.com/imclient/imclient/conn"
)

// imspCallbacks are one for each untagged reply of IMSP.
func (x *transcript) imspCallbacks(keywords ...string) {
	for _, keyword := range keywords {
		x.c.AddCallback(conn.Callback{Keyword: keyword, Proc: told(&x.log, keyword)})
	}
}

// A session of IMSP with replies as Cyrus imspd writes them: options.
func TestIMSPOptions(t *testing.T) {
	transcripts(t, func(x *transcript) {
		x.imspCallbacks("OPTION", "BYE")
		x.turn("IMSP greets like IMAP", `
			S: * OK Cyrus IMSP version 1.7 ready`,
			`* OK "Cyrus IMSP version 1.7 ready"`)

		x.send("LOGIN %s %p", "tim", "tam tam")
		x.turn("LOGIN takes two astrings", `
			C: a1 LOGIN tim "tam tam"
			S: a1 OK in`,
			`a1 OK "in"`)

		x.send("GET %s", "common.*")
		x.turn("GET answers with an untagged OPTION each; a value may be a literal, with text behind it", `
			C: a2 GET "common.*"
			S: * OPTION common.date "02 Mar 1994" [READ-ONLY]
			S: * OPTION common.signature {15}
			S> Tim\r\n* BYE\r\na2 [READ-WRITE]\r\n
			S: * OPTION common.empty "" [READ-WRITE]
			S: a2 OK GET completed`,
			`OPTION OPTION "common.date \"02 Mar 1994\" [READ-ONLY]"`,
			`OPTION OPTION "common.signature {15}\r\nTim\r\n* BYE\r\na2 [READ-WRITE]"`,
			`OPTION OPTION "common.empty \"\" [READ-WRITE]"`,
			`a2 OK "GET completed"`)

		x.send("SET %s %s", "common.signature", "Tim\r\nTäm")
		x.send("SET %s %s", "common.date", "today")
		x.turn("SET sends a value of two lines as a literal, which waits", `
			C: a3 SET common.signature {9}
			C-
			S: + go ahead
			C> Tim\r\nTäm\r\n
			C: a4 SET common.date today
			S: a3 OK SET completed
			S: a4 NO [READ-ONLY] it is not yours`,
			`a3 OK "SET completed"`, `a4 NO "[READ-ONLY] it is not yours"`)

		x.send("UNSET %s", "common.empty")
		x.turn("UNSET tells the value that holds instead", `
			C: a5 UNSET common.empty
			S: * OPTION common.empty "by default" [READ-WRITE]
			S: a5 OK UNSET completed`,
			`OPTION OPTION "common.empty \"by default\" [READ-WRITE]"`, `a5 OK "UNSET completed"`)

		x.send("LOGOUT")
		x.turn("BYE comes before the OK of LOGOUT", `
			C: a6 LOGOUT
			S: * BYE out
			S: a6 OK out
			S.`,
			`BYE BYE "out"`, `a6 OK "out"`, `closed: EOF`)
		junk(conn.Junk{})(t, x.c)
	})
}

// A session of IMSP with replies as Cyrus imspd writes them: address books.
func TestIMSPAddressBooks(t *testing.T) {
	transcripts(t, func(x *transcript) {
		x.imspCallbacks("ADDRESSBOOK", "SEARCHADDRESS", "FETCHADDRESS", "ACL", "MYRIGHTS")

		x.send("ADDRESSBOOK %s", "tim.%")
		x.turn("ADDRESSBOOK lists address books as LIST lists mailboxes", `
			C: a1 ADDRESSBOOK "tim.%"
			S: * ADDRESSBOOK () "." tim.friends
			S: * ADDRESSBOOK () "." "tim.old friends"
			S: a1 OK ADDRESSBOOK completed`,
			`ADDRESSBOOK ADDRESSBOOK "() \".\" tim.friends"`,
			`ADDRESSBOOK ADDRESSBOOK "() \".\" \"tim.old friends\""`,
			`a1 OK "ADDRESSBOOK completed"`)

		x.send("SEARCHADDRESS %s name %s", "tim.friends", "*mit*")
		x.send("FETCHADDRESS %s %v", "tim.friends", []string{"john smith", "nobody"})
		x.turn("SEARCHADDRESS finds names, a number among them, and FETCHADDRESS their fields", `
			C: a2 SEARCHADDRESS tim.friends name "*mit*"
			C: a3 FETCHADDRESS tim.friends "john smith" nobody
			S: * SEARCHADDRESS "john smith"
			S: * SEARCHADDRESS 4711
			S: a2 OK SEARCHADDRESS completed
			S: * FETCHADDRESS tim.friends "john smith" email js@smith.test address {8}
			S> One Way\n phone "555 1234"\r\n
			S: a3 NO entry 'nobody' not found`,
			`SEARCHADDRESS SEARCHADDRESS "\"john smith\""`, `SEARCHADDRESS SEARCHADDRESS "4711"`,
			`a2 OK "SEARCHADDRESS completed"`,
			`FETCHADDRESS FETCHADDRESS "tim.friends \"john smith\" email js@smith.test address {8}\r\nOne Way\n phone \"555 1234\""`,
			`a3 NO "entry 'nobody' not found"`)

		x.send("STOREADDRESS %s %s email %s", "tim.friends", "jö", "jo@smith.test")
		x.turn("STOREADDRESS answers with the entry as it is stored", `
			C: a4 STOREADDRESS tim.friends {3}
			C-
			S: +
			C: jö email jo@smith.test
			S> * FETCHADDRESS tim.friends {3}\r\njö email jo@smith.test\r\n
			S: a4 OK STOREADDRESS completed`,
			`FETCHADDRESS FETCHADDRESS "tim.friends {3}\r\njö email jo@smith.test"`,
			`a4 OK "STOREADDRESS completed"`)

		x.send("GETACL ADDRESSBOOK %s", "tim.friends")
		x.send("MYRIGHTS ADDRESSBOOK %s", "tim.friends")
		x.send("LOCK ADDRESSBOOK %s %s", "tim.friends", "jö")
		x.turn("ACL, MYRIGHTS and LOCK", `
			C: a5 GETACL ADDRESSBOOK tim.friends
			C: a6 MYRIGHTS ADDRESSBOOK tim.friends
			C: a7 LOCK ADDRESSBOOK tim.friends {3}
			S: * ACL ADDRESSBOOK tim.friends anyone lr
			S: a5 OK GETACL completed
			S: * MYRIGHTS ADDRESSBOOK tim.friends lrwcda
			S: a6 OK MYRIGHTS completed
			S: a7 NO [LOCKED] somebody else has it
			C-`,
			`ACL ACL "ADDRESSBOOK tim.friends anyone lr"`, `a5 OK "GETACL completed"`,
			`MYRIGHTS MYRIGHTS "ADDRESSBOOK tim.friends lrwcda"`, `a6 OK "MYRIGHTS completed"`,
			`a7 NO "[LOCKED] somebody else has it"`)

		x.turn("a server that has nobody to talk to says BYE and hangs up", `
			S: * BYE idle for too long
			S.`,
			`* BYE "idle for too long"`, `closed: EOF`)
		junk(conn.Junk{})(t, x.c)
	})
}

// A session of IMSP with what else Cyrus imspd (1.7b, imsp_server.c) has to say, from
// its greeting to the end: each of its commands but AUTHENTICATE stands in one of these
// tests. It is long, and cuts in it would say nothing that those above do not.
func TestIMSPSession(t *testing.T) {
	x := newTranscript(t, nil)
	x.imspCallbacks("CAPABILITY", "OPTION", "ADDRESSBOOK", "FETCHADDRESS", "BYE")

	x.send("CAPABILITY")
	x.send("SET %s %s", "common.date", "today")
	x.turn("CAPABILITY has the mechanisms and LITERAL+; a stranger sets nothing", `
		S: * OK Cyrus IMSP version 1.7b ready
		C: a1 CAPABILITY
		C: a2 SET common.date today
		S: * CAPABILITY AUTH=PLAIN AUTH=CRAM-MD5 LITERAL+
		S: a1 OK capability completed
		S: a2 NO log in first`,
		`* OK "Cyrus IMSP version 1.7b ready"`,
		`CAPABILITY CAPABILITY "AUTH=PLAIN AUTH=CRAM-MD5 LITERAL+"`,
		`a1 OK "capability completed"`, `a2 NO "log in first"`)

	x.send("LOGIN %s %p", "tim", "täm")
	x.turn("a password that is no string of ASCII need not wait for that server", `
		C: a3 LOGIN tim {4+}
		C: täm
		S: a3 OK in`,
		`a3 OK "in"`)

	x.send("CAPABILITY")
	x.send("SET %s %s", "common.signature", "Tim\r\nTam")
	x.turn("what a stranger was told counts no more: it is asked again, and until then literals wait", `
		C: a4 CAPABILITY
		C: a5 SET common.signature {8}
		C-
		S: * CAPABILITY AUTH=PLAIN LITERAL+
		S: a4 OK capability completed
		S: + ready
		C> Tim\r\nTam\r\n
		S: a5 OK set completed`,
		`CAPABILITY CAPABILITY "AUTH=PLAIN LITERAL+"`,
		`a4 OK "capability completed"`, `a5 OK "set completed"`)

	x.send("LOCK OPTION %s", "common.signature")
	x.send("SET %s %s", "common.signature", "Tim\r\nTom")
	x.send("UNLOCK OPTION %s", "common.signature")
	x.send("UNLOCK OPTION %s", "common.signature")
	x.turn("LOCK tells the value that it locks", `
		C: a6 LOCK OPTION common.signature
		C> a7 SET common.signature {8+}\r\nTim\r\nTom\r\n
		C: a8 UNLOCK OPTION common.signature
		C: a9 UNLOCK OPTION common.signature
		S> * OPTION common.signature {8}\r\nTim\r\nTam [READ-WRITE]\r\n
		S: a6 OK lock completed
		S: a7 OK set completed
		S: a8 OK unlock completed
		S: a9 NO option 'common.signature' not locked by you`,
		`OPTION OPTION "common.signature {8}\r\nTim\r\nTam [READ-WRITE]"`,
		`a6 OK "lock completed"`, `a7 OK "set completed"`, `a8 OK "unlock completed"`,
		`a9 NO "option 'common.signature' not locked by you"`)

	x.send("CREATEADDRESSBOOK %s", "tim.friends")
	x.send("CREATEADDRESSBOOK %s", "tim.friends")
	x.send("RENAMEADDRESSBOOK %s %s", "tim.friends", "tim.old friends")
	x.send("ADDRESSBOOK %s", "*")
	x.turn("address books come and change their names", `
		C: a10 CREATEADDRESSBOOK tim.friends
		C: a11 CREATEADDRESSBOOK tim.friends
		C: a12 RENAMEADDRESSBOOK tim.friends "tim.old friends"
		C: a13 ADDRESSBOOK "*"
		S: a10 OK createaddressbook completed
		S: a11 NO 'tim.friends' is there
		S: a12 OK renameaddressbook completed
		S: * ADDRESSBOOK () "." "tim.old friends"
		S: a13 OK addressbook completed`,
		`a10 OK "createaddressbook completed"`, `a11 NO "'tim.friends' is there"`,
		`a12 OK "renameaddressbook completed"`,
		`ADDRESSBOOK ADDRESSBOOK "() \".\" \"tim.old friends\""`, `a13 OK "addressbook completed"`)

	x.send("LOCK ADDRESSBOOK %s %s", "tim.old friends", "joe")
	x.send("STOREADDRESS %s %s %a %s %a %s", "tim.old friends", "joe", "email", "joe@smith.test", "phone", "")
	x.send("UNLOCK ADDRESSBOOK %s %s", "tim.old friends", "joe")
	x.send("DELETEADDRESS %s %s", "tim.old friends", "joe")
	x.send("DELETEADDRESS %s %s", "tim.old friends", "joe")
	x.turn("entries are locked, stored and deleted; one without fields has nothing behind its name", `
		C: a14 LOCK ADDRESSBOOK "tim.old friends" joe
		C: a15 STOREADDRESS "tim.old friends" joe email joe@smith.test phone ""
		C: a16 UNLOCK ADDRESSBOOK "tim.old friends" joe
		C: a17 DELETEADDRESS "tim.old friends" joe
		C: a18 DELETEADDRESS "tim.old friends" joe
		S: * FETCHADDRESS "tim.old friends" joe
		S: a14 OK lock completed
		S: * FETCHADDRESS "tim.old friends" joe email joe@smith.test
		S: a15 OK storeaddress completed
		S: a16 OK unlock completed
		S: a17 OK deleteaddress completed
		S: a18 NO 'joe' is not there`,
		`FETCHADDRESS FETCHADDRESS "\"tim.old friends\" joe"`, `a14 OK "lock completed"`,
		`FETCHADDRESS FETCHADDRESS "\"tim.old friends\" joe email joe@smith.test"`, `a15 OK "storeaddress completed"`,
		`a16 OK "unlock completed"`, `a17 OK "deleteaddress completed"`, `a18 NO "'joe' is not there"`)

	x.send("SETACL ADDRESSBOOK %s %s %s", "tim.old friends", "anyone", "lr")
	x.send("DELETEACL ADDRESSBOOK %s %s", "tim.old friends", "anyone")
	x.send("DELETEADDRESSBOOK %s", "tim.old friends")
	x.send("DELETEADDRESSBOOK %s", "tim.old friends")
	x.turn("rights are given and taken, and all comes to an end", `
		C: a19 SETACL ADDRESSBOOK "tim.old friends" anyone lr
		C: a20 DELETEACL ADDRESSBOOK "tim.old friends" anyone
		C: a21 DELETEADDRESSBOOK "tim.old friends"
		C: a22 DELETEADDRESSBOOK "tim.old friends"
		S: a19 OK setacl completed
		S: a20 OK deleteacl completed
		S: a21 OK deleteaddressbook completed
		S: a22 NO ADDRESSBOOK 'tim.old friends' is not there`,
		`a19 OK "setacl completed"`, `a20 OK "deleteacl completed"`, `a21 OK "deleteaddressbook completed"`,
		`a22 NO "ADDRESSBOOK 'tim.old friends' is not there"`)

	for _, command := range []string{
		"SUBSCRIBE", "UNSUBSCRIBE", "CREATE", "DELETE", "RENAME", "REPLACE", "MOVE", "LIST", "LSUB", "LMARKED", "LAST", "SEEN",
	} {
		x.send("%a bb", command)
		tag := fmt.Sprint("a", x.n)
		x.turn("mailboxes are left to IMAP", "C: "+tag+" "+command+" bb\nS: "+tag+" NO bb", tag+` NO "bb"`)
	}

	x.send("NOOP")
	x.turn("a command without a tag that the server can read is refused untagged", `
		C: a35 NOOP
		S: * BAD what tag was that
		S: a35 OK noop completed
		S: * BYE idle for too long
		S.`,
		`* BAD "what tag was that"`, `a35 OK "noop completed"`, `BYE BYE "idle for too long"`, `closed: EOF`)
	junk(conn.Junk{})(t, x.c)
}
