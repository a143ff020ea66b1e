package conn_test

import (
	"fmt"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
)

// act is something that the application does, or a piece of script.
type act any

// STARTTLS waits until it is alone, and others wait until there is TLS, or there will
// be none. Each case does what it lists, in order.
var tlsQueues = []struct {
	says string
	acts []act
	want []string
}{
	{
		"STARTTLS waits for the greeting, and for what was sent before",
		[]act{
			send("NOOP"), send("FETCH 1 FLAGS"), starttls, send("CHECK"),
			"C: a1 NOOP\nC: a2 FETCH 1 FLAGS\nC-\nS: * OK\nC-\nS: * 1 FETCH (FLAGS ())\nS: a2 OK\nC-\nS: a1 OK\nC: a3 STARTTLS\nC-",
			"S: a3 OK\nTLS\nC: a4 CHECK\nC-\nS: a4 OK checked\nC-",
		},
		[]string{`* OK ""`, `* 1 FETCH "(FLAGS ())"`, `a2 OK ""`, `a1 OK ""`, `TLS`, `a4 OK "checked"`},
	}, {
		"what is sent while STARTTLS is being answered, and in the handshake, waits for its end, and goes out in order",
		[]act{
			"S: * OK", starttls, "C: a1 STARTTLS", send("NOOP"), "C-", send("CHECK"), "C-\nS: * 3 EXISTS\nC-",
			"S: a1 OK begin", send("EXPUNGE"), "TLS\nC: a2 NOOP\nC: a3 CHECK\nC: a4 EXPUNGE\nC-", send("CLOSE"), "C: a5 CLOSE",
			"S: a2 OK 2\nS: a3 OK 3\nS: a4 OK 4\nS: a5 OK 5",
		},
		[]string{`* OK ""`, `* 3 EXISTS ""`, `TLS`, `a2 OK "2"`, `a3 OK "3"`, `a4 OK "4"`, `a5 OK "5"`},
	}, {
		"a literal that waits before STARTTLS goes out first, and its command is answered",
		[]act{
			"S: * OK", send("APPEND x %l", []byte("mail")), starttls, send("NOOP"),
			"C: a1 APPEND x {4}\nC-\nS: + go\nC: mail\nC-\nS: a1 OK\nC: a2 STARTTLS\nC-\nS: a2 OK\nTLS\nC: a3 NOOP\nS: a3 OK",
		},
		[]string{`* OK ""`, `a1 OK ""`, `TLS`, `a3 OK ""`},
	}, {
		"a literal that is refused before STARTTLS lets it out",
		[]act{
			"S: * OK", send("APPEND x %l", []byte("mail")), starttls,
			"C: a1 APPEND x {4}\nC-\nS: a1 NO no room\nC: a2 STARTTLS\nC-\nS: a2 OK\nTLS\nC-",
		},
		[]string{`* OK ""`, `a1 NO "no room"`, `TLS`},
	}, {
		"so does an IDLE that ends",
		[]act{
			"S: * OK", idle, starttls, send("NOOP"), "C: a1 IDLE\nC-\nS: + idling\nC-", done,
			"C: DONE\nC-\nS: a1 OK\nC: a2 STARTTLS\nC-\nS: a2 OK\nTLS\nC: a3 NOOP\nS: a3 OK",
		},
		[]string{`* OK ""`, `a1 + "idling"`, `a1 OK ""`, `TLS`, `a3 OK ""`},
	}, {
		"an IDLE behind STARTTLS begins in TLS, and holds others back there",
		[]act{
			"S: * OK", starttls, idle, done, send("NOOP"), "C: a1 STARTTLS\nC-\nS: a1 OK\nTLS\nC: a2 IDLE\nC-\nS: + idling\nC: DONE\nC-\nS: a2 OK\nC: a3 NOOP\nS: a3 OK",
		},
		[]string{`* OK ""`, `TLS`, `a2 OK ""`, `a3 OK ""`},
	}, {
		"a literal behind STARTTLS waits for its +, whatever the server said in the clear of LITERAL+",
		[]act{
			"S: * OK [CAPABILITY IMAP4rev1 STARTTLS LITERAL+]", starttls, send("APPEND x %l", []byte("mail")), send("NOOP"),
			"C: a1 STARTTLS\nC-\nS: a1 OK [CAPABILITY LITERAL+] begin", send("APPEND y %s", "two\nlines"),
			"TLS\nC: a2 APPEND x {4}\nC-\nS: + go\nC: mail\nC: a3 NOOP\nC: a4 APPEND y {9}\nC-\nS: + go\nC> two\\nlines\\r\\n",
			send("APPEND z %l", []byte("3")), "C: a5 APPEND z {1}\nS: * CAPABILITY LITERAL+\nS: + go\nC: 3", send("APPEND z %l", []byte("4")), "C: a6 APPEND z {1+}\nC: 4",
		},
		[]string{`* OK "[CAPABILITY IMAP4rev1 STARTTLS LITERAL+]"`, `TLS`, `* CAPABILITY "LITERAL+"`},
	}, {
		"where STARTTLS is refused, what waited goes out in the clear, and it can be tried again",
		[]act{
			"S: * OK", starttls, send("APPEND x %l", []byte("mail")), "C: a1 STARTTLS\nC-\nS: a1 NO not now\nC: a2 APPEND x {4}\nC-\nS: + go\nC: mail\nS: a2 OK", starttls,
			"C: a3 STARTTLS\nC-\nS: a3 BAD never\nC-", starttls, send("NOOP"), "C: a4 STARTTLS\nC-\nS: a4 OK\nTLS\nC: a5 NOOP\nS: a5 OK",
		},
		[]string{`* OK ""`, `TLS: conn: server answered NO: "not now"`, `a2 OK ""`, `TLS: conn: server answered BAD: "never"`, `TLS`, `a5 OK ""`},
	}, {
		"LOGOUT behind STARTTLS goes through TLS",
		[]act{"S: * OK", starttls, send("LOGOUT"), "C: a1 STARTTLS\nC-\nS: a1 OK\nTLS\nC: a2 LOGOUT\nS: * BYE\nS: a2 OK"},
		[]string{`* OK ""`, `TLS`, `* BYE ""`, `a2 OK ""`},
	}, {
		"what the server says in the clear, up to its OK, was said in the clear, and what it can do is forgotten",
		[]act{
			"S: * OK [CAPABILITY STARTTLS IDLE]\nS: * 1 EXISTS", starttls, "C: a1 STARTTLS\nS: * 2 EXISTS\nS: a1 OK [CAPABILITY SPECIAL-USE]", capable(""),
			"TLS", capable(""), "S: * 3 EXISTS\nS: * OK [CAPABILITY NAMESPACE]", capable("NAMESPACE"),
		},
		[]string{`* OK "[CAPABILITY STARTTLS IDLE]"`, `* 1 EXISTS ""`, `* 2 EXISTS ""`, `TLS`, `* 3 EXISTS ""`, `* OK "[CAPABILITY NAMESPACE]"`},
	},
}

func send(format string, args ...any) act { return func(x *tlsTalk) { x.send(format, args...) } }

var (
	starttls act = func(x *tlsTalk) { x.startTLS() }
	done     act = func(x *tlsTalk) {
		if err := x.c.Continue("DONE"); err != nil {
			x.t.Fatalf("Continue: %v", err)
		}
	}
	idle act = func(x *tlsTalk) {
		x.sent++
		proc := told(&x.log, fmt.Sprint("a", x.sent))
		if err := x.c.SendCommand(&conn.Command{Finish: proc, OnContinue: proc}, "IDLE"); err != nil {
			x.t.Fatalf("SendCommand: %v", err)
		}
	}
)

func capable(want string) act {
	return func(x *tlsTalk) {
		if got := x.c.Capabilities(); got != want {
			x.t.Errorf("the server can do\n got: %q\nwant: %q", got, want)
		}
	}
}

func (x *tlsTalk) do(acts []act) {
	x.t.Helper()
	for _, a := range acts {
		switch a := a.(type) {
		case string:
			x.Play(a)
		case func(*tlsTalk):
			a(x)
		}
	}
}

func TestTLSQueue(t *testing.T) {
	inEveryWay(t, func(t *testing.T, way string) {
		for _, q := range tlsQueues {
			t.Run(q.says, func(t *testing.T) {
				inSomeCuts(t, way, 151, func(t *testing.T, cut *conntest.Cut) {
					x := newTLSTalk(t, conn.Dialer{}, way, cut)
					x.do(q.acts)
					x.says(q.says, q.want...)
				})
			})
		}
	})
}
