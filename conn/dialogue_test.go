package conn_test

import (
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
)

// talk sends a command with OnContinue, which logs each "+" under its tag and
// answers with the next of answers while there are some.
func talk(t *testing.T, c *conn.Client, log *conntest.Log, name, format string, answers ...string) {
	t.Helper()
	cmd := &conn.Command{
		Finish: told(log, name),
		Rock:   name,
		OnContinue: func(c *conn.Client, rock any, r *conn.Reply) {
			told(log, rock.(string))(c, rock, r)
			if len(answers) == 0 {
				return
			}
			if err := c.Continue(answers[0]); err != nil {
				log.Add("Continue: " + err.Error())
			}
			answers = answers[1:]
		},
	}
	if err := c.SendCommand(cmd, format); err != nil {
		t.Fatalf("SendCommand queues a command: %v", err)
	}
}

func TestIdle(t *testing.T) {
	conntest.EveryCut(t, func(t *testing.T, cut *conntest.Cut) {
		var log conntest.Log
		c, s := conntest.NewCut(t, &conn.Dialer{Callbacks: []conn.Callback{{Proc: told(&log, "*")}}}, cut)
		talk(t, c, &log, "a1", "IDLE")
		if err := c.Send(told(&log, "a2"), nil, "FETCH 4 FLAGS"); err != nil {
			t.Fatal(err)
		}
		s.Play(`
			C: a1 IDLE
			C-
			S: * 3 EXISTS
			S: + idling
			C-
			S: * 4 EXISTS`)
		same(t, "OnContinue gets the +, untagged replies come before and behind it", log.Take(),
			[]string{`* 3 EXISTS ""`, `a1 + "idling"`, `* 4 EXISTS ""`})
		if err := c.Continue("DONE"); err != nil {
			t.Fatal(err)
		}
		if err := c.Send(told(&log, "a3"), nil, "NOOP"); err != nil {
			t.Fatal(err)
		}
		s.Play(`
			C: DONE
			C-
			S: * 5 EXISTS
			C-
			S: a1 OK done
			C: a2 FETCH 4 FLAGS
			C: a3 NOOP
			C-
			S: a2 OK
			S: a3 OK`)
		same(t, "later commands wait until the dialogue has completed", log.Take(),
			[]string{`* 5 EXISTS ""`, `a1 OK "done"`, `a2 OK ""`, `a3 OK ""`})
	})
}

// dialogue is a scene in which the first command is a dialogue and the second
// waits behind it.
type dialogue struct {
	says, command string
	answers       []string // within OnContinue
	early         []string // before anything is played
	script        string
	want          []string
	err           string
}

func (d *dialogue) play(t *testing.T, cut *conntest.Cut) {
	var log conntest.Log
	c, s := conntest.NewCut(t, &conn.Dialer{Callbacks: []conn.Callback{{Proc: told(&log, "*")}}}, cut)
	talk(t, c, &log, "a1", d.command, d.answers...)
	if err := c.Send(told(&log, "a2"), nil, "NOOP"); err != nil {
		t.Fatal(err)
	}
	for _, text := range d.early {
		if err := c.Continue(text); err != nil {
			log.Add("Continue: " + err.Error())
		}
	}
	s.Play(d.script)
	same(t, d.says, log.Take(), d.want)
	if got := kind(c.Err()); got != d.err {
		t.Errorf("%s\n got the end: %q\nwant the end: %q", d.says, got, d.err)
	}
}

func TestDialogue(t *testing.T) {
	const twice = "Continue: conn: misuse: Continue twice before the server asked once"
	for _, d := range []dialogue{
		{
			says:    "Continue in OnContinue answers",
			command: "AUTHENTICATE X",
			answers: []string{"first", ""},
			script: `
				C: a1 AUTHENTICATE X
				S: + Y2hhbGxlbmdl
				C: first
				C-
				S: +
				C> \r\n
				C-
				S: a1 OK in
				C: a2 NOOP
				C-`,
			want: []string{`a1 + "Y2hhbGxlbmdl"`, `a1 + ""`, `a1 OK "in"`},
		}, {
			says:    "a text said before the + is kept until it comes, and is the answer to it",
			command: "IDLE",
			early:   []string{"DONE"},
			script: `
				C: a1 IDLE
				C-
				S: * 5 EXISTS
				C-
				S: + idling
				C: DONE
				C-
				S: a1 OK
				C: a2 NOOP`,
			want: []string{`* 5 EXISTS ""`, `a1 OK ""`},
		}, {
			says:    "only one text is kept",
			command: "IDLE",
			early:   []string{"DONE", "DONE", ""},
			script: `
				C: a1 IDLE
				S: +
				C: DONE
				C-`,
			want: []string{twice, twice},
		}, {
			says:    "after a kept text OnContinue is called for the next +",
			command: "X",
			early:   []string{"first"},
			answers: []string{"second"},
			script: `
				C: a1 X
				S: + 1
				C: first
				S: + 2
				C: second
				S: a1 OK`,
			want: []string{`a1 + "2"`, `a1 OK ""`},
		}, {
			says:    "a + after the answer asks again",
			command: "X",
			answers: []string{"one", "two", "three"},
			script: `
				C: a1 X
				S> + 1\r\n+ 2\r\n+\r\n
				C: one
				C: two
				C: three
				C-
				S: a1 NO`,
			want: []string{`a1 + "1"`, `a1 + "2"`, `a1 + ""`, `a1 NO ""`},
		}, {
			says:    "NO in place of the + ends the dialogue and what was kept for it",
			command: "IDLE",
			early:   []string{"DONE"},
			script: `
				C: a1 IDLE
				S: a1 NO not here
				C: a2 NOOP
				C-
				S: + late
				C-
				S: a2 OK`,
			want: []string{`a1 NO "not here"`, `a2 OK ""`},
		}, {
			says:    "OK in place of the + too: the server has nothing to ask",
			command: "X",
			script: `
				C: a1 X
				S: a1 OK
				C: a2 NOOP`,
			want: []string{`a1 OK ""`},
		}, {
			says:    "intermediate replies are for Finish",
			command: "X",
			answers: []string{"text"},
			script: `
				C: a1 X
				S: a1 ENTRY x
				S: +
				C: text
				S: a1 ENTRY y
				C-
				S: a1 BAD`,
			want: []string{`a1 ENTRY "x"`, `a1 + ""`, `a1 ENTRY "y"`, `a1 BAD ""`},
		}, {
			says:    "a dialogue that the server's + interrupts ends with the connection",
			command: "IDLE",
			script: `
				C: a1 IDLE
				S: + idling
				S: * 5 EXISTS
				S.`,
			want: []string{`a1 + "idling"`, `* 5 EXISTS ""`, `a1 EOF: EOF`, `a2 EOF: EOF, safe to retry`},
			err:  "EOF",
		}, {
			says:    "so does one whose + never came",
			command: "IDLE",
			early:   []string{"DONE"},
			script: `
				C: a1 IDLE
				S.`,
			want: []string{`a1 EOF: EOF`, `a2 EOF: EOF, safe to retry`},
			err:  "EOF",
		}, {
			says:    "an answer to the command behind the dialogue is a protocol error",
			command: "IDLE",
			script: `
				C: a1 IDLE
				S: a2 OK`,
			want: []string{`a1 EOF: syntax`, `a2 EOF: syntax, safe to retry`},
			err:  "syntax",
		},
	} {
		t.Run(d.says, func(t *testing.T) { conntest.EveryCut(t, d.play) })
	}
}

// Two "+" come before the first is answered: both are answered in their turn.
func TestLateAnswers(t *testing.T) {
	conntest.EveryCut(t, func(t *testing.T, cut *conntest.Cut) {
		var log conntest.Log
		c, s := conntest.NewCut(t, &conn.Dialer{}, cut)
		talk(t, c, &log, "a1", "X")
		s.Play(`
			C: a1 X
			S: + 1
			S: + 2`)
		for _, text := range []string{"one", "two", "three"} {
			if err := c.Continue(text); err != nil {
				t.Errorf("as many answers go out as were asked for, and one is kept\n got: %v", err)
			}
		}
		s.Play(`
			C: one
			C: two
			C-
			S: + 3
			C: three
			S: a1 OK`)
		same(t, "answers may come late", log.Take(), []string{`a1 + "1"`, `a1 + "2"`, `a1 OK ""`})
	})
}

// The literals of a dialogue's command have their + first.
func TestDialogueWithLiteral(t *testing.T) {
	conntest.EveryCut(t, func(t *testing.T, cut *conntest.Cut) {
		for _, refuse := range []bool{false, true} {
			var log conntest.Log
			c, s := conntest.NewCut(t, &conn.Dialer{}, cut)
			cmd := &conn.Command{Finish: told(&log, "a1"), OnContinue: told(&log, "ask")}
			if err := c.SendCommand(cmd, "X %s %l", "ü", []byte("data")); err != nil {
				t.Fatal(err)
			}
			if err := c.Send(told(&log, "a2"), nil, "NOOP"); err != nil {
				t.Fatal(err)
			}
			if err := c.Continue("early"); err != nil {
				t.Fatal(err)
			}
			s.Play(`
				C: a1 X {2}
				S: + literal
				C: ü {4}
				C-`)
			if refuse {
				s.Play(`
					S: a1 NO
					C: a2 NOOP
					C-`)
				same(t, "a refused literal ends the dialogue", log.Take(), []string{`a1 NO ""`})
				continue
			}
			s.Play(`
				S: + literal
				C: data
				C-
				S: + question
				C: early
				C-
				S: + question
				S: a1 OK
				C: a2 NOOP
				C-`)
			same(t, "the + of literals is not the dialogue's", log.Take(), []string{`ask + "question"`, `a1 OK ""`})
		}
	})
}

func TestTwoDialogues(t *testing.T) {
	conntest.EveryCut(t, func(t *testing.T, cut *conntest.Cut) {
		var log conntest.Log
		c, s := conntest.NewCut(t, &conn.Dialer{}, cut)
		talk(t, c, &log, "a1", "IDLE")
		talk(t, c, &log, "a2", "AUTHENTICATE X", "answer")
		if err := c.Continue("DONE"); err != nil {
			t.Fatal(err)
		}
		s.Play(`
			C: a1 IDLE
			S: + idling
			C: DONE
			C-
			S: a1 OK
			C: a2 AUTHENTICATE X
			C-
			S: + question
			C: answer
			S: a2 OK`)
		same(t, "Continue speaks to the oldest dialogue, and each has its own +", log.Take(),
			[]string{`a1 OK ""`, `a2 + "question"`, `a2 OK ""`})
	})
}

// Two answers to one "+": the first goes out at once, the second waits for the
// next "+" and keeps nothing back.
func TestAnswerAhead(t *testing.T) {
	conntest.EveryCut(t, func(t *testing.T, cut *conntest.Cut) {
		var log conntest.Log
		c, s := conntest.NewCut(t, &conn.Dialer{}, cut)
		cmd := &conn.Command{Finish: told(&log, "a1"), OnContinue: func(c *conn.Client, _ any, r *conn.Reply) {
			log.Add(string(r.Text))
			for _, text := range []string{"one", "two", "three"} {
				if err := c.Continue(text); err != nil {
					log.Add(text + " is misuse")
					refused(t, "only one answer is kept ahead", err, conn.ErrMisuse)
				}
			}
		}}
		if err := c.SendCommand(cmd, "X"); err != nil {
			t.Fatal(err)
		}
		s.Play(`
			C: a1 X
			S: + 1
			C: one
			C-
			S: + 2
			C: two
			C-
			S: a1 OK`)
		same(t, "an answer ahead of its + keeps nothing back", log.Take(), []string{"1", "three is misuse", `a1 OK ""`})
	})
}

func TestContinueMisuse(t *testing.T) {
	c, s := conntest.New(t, &conn.Dialer{})
	refused(t, "Continue needs a dialogue", c.Continue("DONE"), conn.ErrMisuse)
	if err := c.Send(nil, nil, "X %s", "ü"); err != nil {
		t.Fatal(err)
	}
	refused(t, "a literal that waits is no dialogue", c.Continue("DONE"), conn.ErrMisuse)
	s.Play(`
		C: a1 X {2}
		S: a1 NO`)
	var log conntest.Log
	talk(t, c, &log, "a2", "IDLE")
	for _, text := range []string{"a\rb", "a\nb", "a\x00b", "DONE\r\n"} {
		refused(t, "CR, LF and NUL cannot be in an answer", c.Continue(text), conn.ErrMisuse)
	}
	s.Play(`
		C: a2 IDLE
		S: +
		C-
		S: a2 OK`)
	refused(t, "the dialogue is over with its tagged reply", c.Continue("DONE"), conn.ErrMisuse)
	if err := c.Err(); err != nil {
		t.Errorf("misuse does the connection no harm\n got: %v", err)
	}
	s.Play(`S.`)
	if got := kind(c.Continue("DONE")); got != "EOF" {
		t.Errorf("after the end Continue returns why\n got: %q", got)
	}
}

// More "+" than a small counter holds.
func TestManyContinuations(t *testing.T) {
	c, s := conntest.New(t, &conn.Dialer{})
	asked := 0
	cmd := &conn.Command{OnContinue: func(*conn.Client, any, *conn.Reply) { asked++ }}
	if err := c.SendCommand(cmd, "IDLE"); err != nil {
		t.Fatal(err)
	}
	s.Play(`C: a1 IDLE`)
	const n = 1 << 16
	s.Send(strings.Repeat("+\n", n))
	if asked != n {
		t.Errorf("OnContinue is called for each +\n got: %d\nwant: %d", asked, n)
	}
	if err := c.Continue("DONE"); err != nil {
		t.Fatal(err)
	}
	s.Play(`C: DONE`)
}

// The server refuses an answer that it has read only a part of: the rest of
// the line goes out all the same, and only then the next command.
func TestRefusedInMidAnswer(t *testing.T) {
	refuseInMidAnswer(t, nil, "", []string{`a1 + "one"`, `a1 BAD "too long"`})
	refuseInMidAnswer(t, []string{"ahead"}, "", []string{`a1 + "one"`, `a1 BAD "too long"`})
	refuseInMidAnswer(t, nil, "+ two\r\n", []string{`a1 + "one"`, `a1 + "two"`, `a1 BAD "too long"`})
	refuseInMidAnswer(t, []string{"due"}, "+ two\r\n", []string{`a1 + "one"`, `a1 BAD "too long"`})
}

// refuseInMidAnswer has answers said ahead, and then perhaps their "+", before
// the refusal comes.
func refuseInMidAnswer(t *testing.T, ahead []string, plus string, want []string) {
	t.Helper()
	var log conntest.Log
	c, server := pair(t, &conn.Dialer{TagPrefix: "a"})
	answer := strings.Repeat("QUJD", 1<<20)
	talk(t, c, &log, "a1", "AUTHENTICATE X", answer)
	if err := c.Send(told(&log, "a2"), nil, "NOOP"); err != nil {
		t.Fatal(err)
	}
	settle(t, c)
	server.write(t, "+ one\r\n")
	settle(t, c)
	for _, text := range ahead {
		if err := c.Continue(text); err != nil {
			t.Fatal(err)
		}
	}
	server.write(t, plus+"a1 BAD too long\r\n+ late\r\n")
	settle(t, c)
	refused(t, "a dialogue that was refused takes no answers", c.Continue("more"), conn.ErrMisuse)
	same(t, "a dialogue can be refused while its answer is being written", log.Take(),
		want)
	junk(conn.Junk{Continuation: 1})(t, c)
	sent := "a1 AUTHENTICATE X\r\n" + answer + "\r\na2 NOOP\r\n"
	if got := server.drain(t, c); got != sent {
		t.Errorf("an answer that has begun is sent to the end of its line\n got: %d bytes that end in %q\nwant: %d bytes that end in %q",
			len(got), got[max(len(got)-20, 0):], len(sent), sent[len(sent)-20:])
	}
}
