package conn_test

import (
	"fmt"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
)

// transcript is a connection from its greeting to its end, told in turns. Its tags
// are a1, a2 and so on.
type transcript struct {
	t   *testing.T
	c   *conn.Client
	s   *conntest.Server
	log conntest.Log
	n   int // tags used
}

// newTranscript begins one. Untagged replies are logged under "*".
func newTranscript(t *testing.T, cut *conntest.Cut) *transcript {
	x := &transcript{t: t}
	x.c, x.s = conntest.NewCut(t, &conn.Dialer{
		Callbacks: []conn.Callback{{Proc: told(&x.log, "*")}},
		OnClose:   closing(&x.log),
	}, cut)
	return x
}

// transcripts plays one with the server's bytes cut in every way.
func transcripts(t *testing.T, play func(x *transcript)) {
	conntest.EveryCut(t, func(t *testing.T, cut *conntest.Cut) { play(newTranscript(t, cut)) })
}

func (x *transcript) tag() string {
	x.n++
	return fmt.Sprint("a", x.n)
}

func (x *transcript) send(format string, args ...any) {
	x.t.Helper()
	if err := x.c.Send(told(&x.log, x.tag()), nil, format, args...); err != nil {
		x.t.Fatalf("Send(%q) queues a command: %v", format, err)
	}
}

// turn plays a part of the script and compares what the callbacks were told.
func (x *transcript) turn(says, script string, want ...string) {
	x.t.Helper()
	x.s.Play(script)
	same(x.t, says, x.log.Take(), want)
}

// A session as in the examples of RFC 2244, from authentication to searches. ACAP
// writes each string in quotes or as a literal, so that %s, which leaves IMAP's
// atoms bare, is not for it.
func TestACAPSession(t *testing.T) {
	transcripts(t, func(x *transcript) {
		x.turn("ACAP's greeting is an untagged reply of its own keyword (section 6.1.1)", `
			S: * ACAP (IMPLEMENTATION "test 1") (SASL "CRAM-MD5") (CONTEXTLIMIT "200")`,
			`* ACAP "(IMPLEMENTATION \"test 1\") (SASL \"CRAM-MD5\") (CONTEXTLIMIT \"200\")"`)

		talk(t, x.c, &x.log, x.tag(), `AUTHENTICATE "CRAM-MD5"`, `"tim b913a602c7eda7a4"`)
		x.turn("challenge and response are strings, not base64 (section 6.3.1)", `
			C: a1 AUTHENTICATE "CRAM-MD5"
			S: + "<1896.697170952@acap.test>"
			C: "tim b913a602c7eda7a4"
			S: a1 OK "in"`,
			`a1 + "\"<1896.697170952@acap.test>\""`, `a1 OK "\"in\""`)

		x.send(`LANG "fr-ca" "fr" "en-ca"`)
		x.turn("LANG answers with an intermediate reply (section 6.2.3)", `
			C: a2 LANG "fr-ca" "fr" "en-ca"
			S: a2 LANG "fr-ca" "i;octet" "fr;primary"
			S: a2 OK "Bonjour"`,
			`a2 LANG "\"fr-ca\" \"i;octet\" \"fr;primary\""`, `a2 OK "\"Bonjour\""`)

		x.send(`SEARCH "/addressbook/" DEPTH 3 RETURN ("addressbook.Email") ALL`)
		x.turn("SEARCH answers with ENTRY, REFER and MODTIME, tagged (sections 6.4.2 to 6.4.4)", `
			C: a3 SEARCH "/addressbook/" DEPTH 3 RETURN ("addressbook.Email") ALL
			S: a3 ENTRY "/addressbook/user/joe/A0345" "fred@stone.test"
			S: * NO "the master is down"
			S> a3 ENTRY "/addressbook/group/Dinosaurs/A423" {10}\r\na3 OK\r\n+ \n\r\n
			S: a3 REFER "/addressbook/user/fred/" "acap://other.test/addressbook/user/fred/"
			S: a3 MODTIME "19970728105252"
			S: a3 OK "done"`,
			`a3 ENTRY "\"/addressbook/user/joe/A0345\" \"fred@stone.test\""`,
			`* NO "\"the master is down\""`,
			`a3 ENTRY "\"/addressbook/group/Dinosaurs/A423\" {10}\r\na3 OK\r\n+ \n"`,
			`a3 REFER "\"/addressbook/user/fred/\" \"acap://other.test/addressbook/user/fred/\""`,
			`a3 MODTIME "\"19970728105252\""`,
			`a3 OK "\"done\""`)

		x.send(`SEARCH "blob" RANGE 2 2 "19970728105308" ALL`)
		x.send(`DELETEDSINCE "/folder/site/" "19951205103412"`)
		x.turn("intermediate replies of two commands mix, and their tags tell them apart (section 2.4.4)", `
			C: a4 SEARCH "blob" RANGE 2 2 "19970728105308" ALL
			C: a5 DELETEDSINCE "/folder/site/" "19951205103412"
			S: a5 DELETED "blurdybloop"
			S: a4 ENTRY "A238" ((5 "ghoti") NIL)
			S: a5 DELETED "anteaters"
			S: a5 OK "done"
			S: a4 MODTIME "19970728105310"
			S: a4 OK (TOOMANY 347) "there are more"`,
			`a5 DELETED "\"blurdybloop\""`, `a4 ENTRY "\"A238\" ((5 \"ghoti\") NIL)"`,
			`a5 DELETED "\"anteaters\""`, `a5 OK "\"done\""`,
			`a4 MODTIME "\"19970728105310\""`, `a4 OK "(TOOMANY 347) \"there are more\""`)

		x.send("LOGOUT")
		x.turn("BYE comes before the OK of LOGOUT, then the server hangs up (section 6.2.4)", `
			C: a6 LOGOUT
			S: * BYE "so long"
			S: a6 OK "done"
			S.`,
			`* BYE "\"so long\""`, `a6 OK "\"done\""`, `closed: EOF`)
		junk(conn.Junk{})(t, x.c)
	})
}

// The changes: literals both ways, STORE, and what a context tells unasked.
func TestACAPStore(t *testing.T) {
	transcripts(t, func(x *transcript) {
		x.send("FREECONTEXT %l", []byte("FRED\r\nFOOB"))
		x.send("BLURDYBLOOP %l", make([]byte, 102856))
		x.turn(`a literal waits for its "+", and one that is refused is never sent (section 2.5)`, `
			C: a1 FREECONTEXT {10}
			C-
			S: * ACAP (SASL "ANONYMOUS")
			S: + "go ahead"
			C> FRED\r\nFOOB\r\n
			C: a2 BLURDYBLOOP {102856}
			C-
			S: a1 OK "done"
			S: a2 BAD "no such command"
			C-`,
			`* ACAP "(SASL \"ANONYMOUS\")"`, `a1 OK "\"done\""`, `a2 BAD "\"no such command\""`)

		x.c.SetFlags(conn.NonSyncLiteral) // part of ACAP, and never announced
		x.send(`STORE ("/addressbook/user/fred/ABC547" "addressbook.CommonName" %l)`, []byte("Bärny"))
		x.send(`STORE ("/option/~/common/SMTPserver" "option.value" DEFAULT)`)
		x.turn("STORE fails with a response code, or tells with ENTRY what is inherited now (section 6.6.1)", `
			C: a3 STORE ("/addressbook/user/fred/ABC547" "addressbook.CommonName" {6+}
			C: Bärny)
			C: a4 STORE ("/option/~/common/SMTPserver" "option.value" DEFAULT)
			S: a3 NO (MODIFIED "/addressbook/user/fred/ABC547") "somebody was faster"
			S: a4 ENTRY "/option/~/common/SMTPserver" "option.value" "smtp.test"
			S: a4 OK "done"`,
			`a3 NO "(MODIFIED \"/addressbook/user/fred/ABC547\") \"somebody was faster\""`,
			`a4 ENTRY "\"/option/~/common/SMTPserver\" \"option.value\" \"smtp.test\""`,
			`a4 OK "\"done\""`)

		x.send(`UPDATECONTEXT "blob"`)
		x.turn("changes of a context come untagged, asked for or not (sections 6.5.3 to 6.5.6)", `
			C: a5 UPDATECONTEXT "blob"
			S: * ADDTO "blob" "fred" 15 ("fred@stone.test")
			S: * CHANGE "blob" "fred" 15 10 ("fred@rock.test")
			S: a5 OK "done"
			S: * REMOVEFROM "blob" "fred" 10
			S: * MODTIME "blob" "19970320162338"
			S: * ALERT "down in 10 minutes"`,
			`* ADDTO "\"blob\" \"fred\" 15 (\"fred@stone.test\")"`,
			`* CHANGE "\"blob\" \"fred\" 15 10 (\"fred@rock.test\")"`,
			`a5 OK "\"done\""`,
			`* REMOVEFROM "\"blob\" \"fred\" 10"`,
			`* MODTIME "\"blob\" \"19970320162338\""`,
			`* ALERT "\"down in 10 minutes\""`)

		x.turn("BYE may come at any time (section 6.2.8)", `
			S: * BYE "idle for too long"
			S.`,
			`* BYE "\"idle for too long\""`, `closed: EOF`)
		junk(conn.Junk{})(t, x.c)
	})
}
