package wire_test

import (
	"fmt"
	"strings"

	"github.com/imclient/imclient/wire"
)

// The loop of every user of a framer: ask for events until it wants more, then
// keep what was not used and read more behind it.
func ExampleFramer_Next() {
	reads := []string{
		"* 12 FETCH (BODY[] {1",
		"1}\r\nHello,\r\nwo",
		"rl)\r\nkf1 OK done\r\n",
	}
	var f wire.Framer
	var buf []byte
	for _, read := range reads {
		buf = append(buf, read...)
		for {
			ev, n, err := f.Next(buf)
			if err != nil {
				fmt.Println(err)
				return
			}
			if ev.Kind == wire.KindNone {
				break
			}
			fmt.Printf("%v %q\n", ev.Kind, ev.Data)
			buf = buf[n:]
		}
	}
	// Output:
	// Text "* 12 FETCH (BODY[] "
	// LiteralHeader "{11}"
	// LiteralData "Hello,\r\nwo"
	// LiteralData "r"
	// Text "l)"
	// End ""
	// Text "kf1 OK done"
	// End ""
}

func ExampleParseHead() {
	for _, line := range []string{"* 12 FETCH (FLAGS ())", "kf7 NO [LIMIT] Too many", "+ idling", "* 5"} {
		h, err := wire.ParseHead([]byte(line))
		switch {
		case err != nil:
			fmt.Println(err)
		case h.Kind == wire.Continuation:
			fmt.Printf("continuation: %s\n", line[h.Text:])
		case h.Kind == wire.Tagged:
			fmt.Printf("command %s ended with %s: %s\n", h.Tag, h.Keyword, line[h.Text:])
		default:
			fmt.Printf("%s of message %d: %s\n", h.Keyword, h.Number, line[h.Text:])
		}
	}
	// Output:
	// FETCH of message 12: (FLAGS ())
	// command kf7 ended with NO: [LIMIT] Too many
	// continuation: idling
	// wire: server sent a malformed reply: no keyword: "* 5"
}

func ExampleStatusOf() {
	fmt.Println(wire.StatusOf([]byte("ok")) == wire.OK, wire.StatusOf([]byte("FETCH")) == wire.NotStatus)
	// Output: true true
}

// A FETCH is walked item by item; what is not known is skipped, and errors are
// looked at once.
func ExampleCursor() {
	text := "(UID 4392 FLAGS (\\Seen $Work) BODY[TEXT] {7}\r\nHello\r\n X-GM-MSGID 1278455344230334865)"
	c := wire.NewCursor([]byte(text))
	c.ExpectListBegin()
	for c.More() {
		name := c.ExpectAtom()
		switch {
		case wire.EqualFold(name, "UID"):
			c.ExpectSP()
			fmt.Println("uid", c.ExpectNumber())
		case wire.EqualFold(name, "FLAGS"):
			c.ExpectSP()
			c.ExpectListBegin()
			for c.More() {
				fmt.Printf("flag %s\n", c.ExpectFlag())
			}
		case wire.EqualFold(name, "BODY[TEXT"):
			c.ExpectSpecial(']')
			c.ExpectSP()
			fmt.Printf("body %q\n", c.ExpectNString())
		default:
			c.ExpectSP()
			c.ExpectSkip()
		}
	}
	c.ExpectEnd()
	fmt.Println(c.Err())
	// Output:
	// uid 4392
	// flag \Seen
	// flag $Work
	// body "Hello\r\n"
	// <nil>
}

func ExampleCursor_Code() {
	c := wire.NewCursor([]byte("[COPYUID 38505 304,319:320 3956:3958] Done"))
	name, arg, ok := c.Code()
	fmt.Printf("%s, %s, %v, %s\n", name, arg, ok, c.Rest())
	// Output: COPYUID, 38505 304,319:320 3956:3958, true, Done
}

func ExampleString() {
	c := wire.NewCursor([]byte(`"say \"hi\"" NIL`))
	s := c.ExpectNString()
	c.ExpectSP()
	null := c.ExpectNString()
	fmt.Println(s, s.Equal(`say "hi"`), null.IsNIL())
	// Output: say "hi" true true
}

// The marks say what else the writer of a command has to do: wait for the server,
// send bytes of the caller's, hide a secret.
func ExampleAppendCommand() {
	message := []byte("Subject: hello\r\n\r\n")
	for _, c := range []struct {
		format string
		args   []any
	}{
		{"UID FETCH %u:%a %a", []any{uint32(4392), "4400", wire.Text("(FLAGS BODY.PEEK[])")}},
		{"LOGIN %s %p", []any{"fred", "two words"}},
		{"APPEND %s %l", []any{"Sent Mail", message}},
		{"NOOP %s", []any{7}},
	} {
		cmd, marks, err := wire.AppendCommand(nil, nil, wire.Synchronizing, c.format, c.args)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Printf("%q\n", cmd)
		for _, m := range marks {
			switch m.Kind {
			case wire.MarkWait:
				fmt.Printf("  at %d: wait for +\n", m.At)
			case wire.MarkReference:
				fmt.Printf("  at %d: send %q\n", m.At, m.Data)
			case wire.MarkSecret:
				fmt.Printf("  from %d to %d: secret\n", m.At, m.End)
			}
		}
	}
	// Output:
	// "UID FETCH 4392:4400 (FLAGS BODY.PEEK[])"
	// "LOGIN fred \"two words\""
	//   from 11 to 22: secret
	// "APPEND \"Sent Mail\" {18}\r\n"
	//   at 25: wait for +
	//   at 25: send "Subject: hello\r\n\r\n"
	// wire: command "NOOP": argument 1: %s: is of type int, not a string
}

func ExampleAppendAString() {
	for _, s := range []string{"INBOX", "Sent Mail", `a "b"`, "NIL", "", "Entwürfe"} {
		b, _, _ := wire.AppendAString(nil, nil, wire.NonSynchronizing, s)
		fmt.Printf("%q\n", b)
	}
	// Output:
	// "INBOX"
	// "\"Sent Mail\""
	// "\"a \\\"b\\\"\""
	// "\"NIL\""
	// "\"\""
	// "{9+}\r\nEntwürfe"
}

// Limits are shared between framers; a server over one of them is an error.
func ExampleLimits() {
	f := wire.Framer{Limits: &wire.Limits{Line: 1 << 20, Literal: 10 << 20, Reply: 11 << 20}}
	buf := []byte("* 1 FETCH (BODY[] {99999999}\r\n")
	for {
		_, n, err := f.Next(buf)
		if err != nil {
			fmt.Println(strings.TrimPrefix(err.Error(), "wire: "))
			return
		}
		buf = buf[n:]
	}
	// Output: server sent a literal over the limit of 10485760 bytes: "{99999999}"
}
