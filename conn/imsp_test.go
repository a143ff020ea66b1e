package conn_test

import (
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
