package conn

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/wire"
)

func TestCleartext(t *testing.T) {
	far4 := &unix.SockaddrInet4{Port: 143, Addr: [4]byte{192, 0, 2, 1}}
	far6 := &unix.SockaddrInet6{Port: 143, Addr: [16]byte{0x20, 0x01, 0x0d, 0xb8, 15: 1}}
	mapped := &unix.SockaddrInet6{Port: 143, Addr: [16]byte{10: 0xff, 11: 0xff, 12: 192, 14: 2, 15: 1}}
	near6 := &unix.SockaddrInet6{Port: 143, Addr: [16]byte{15: 1}}
	mappedNear := &unix.SockaddrInet6{Port: 143, Addr: [16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1}}
	cases := []struct {
		name    string
		peer    unix.Sockaddr
		allow   bool
		refused bool
	}{
		{"unix socket", nil, false, false},
		{"127.0.0.2", &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 2}}, false, false},
		{"::1", near6, false, false},
		{"::ffff:127.0.0.1", mappedNear, false, false},
		{"192.0.2.1", far4, false, true},
		{"2001:db8::1", far6, false, true},
		{"::ffff:192.0.2.1", mapped, false, true},
		{"192.0.2.1, allowed", far4, true, false},
	}
	for _, tc := range cases {
		for _, secret := range []string{"hunter2", "with space", "liter\r\nal"} {
			called := false
			finish := func(*Client, any, *Reply) { called = true }
			r := newRig(t, &Dialer{AllowCleartextAuth: tc.allow}, func(r *rig) { r.from = tc.peer })
			err := r.c.Send(finish, nil, "LOGIN %s %p", "alice", secret)
			if errors.Is(err, ErrCleartext) != tc.refused || err != nil && !tc.refused {
				t.Errorf("a secret to %s: refused %v: %v", tc.name, tc.refused, err)
			}
			_, want := r.c.GetSelectInfo()
			r.drive()
			if sent := r.heard(); (sent == "") != tc.refused || want == tc.refused {
				t.Errorf("to %s is sent: %q, wanted to write %v", tc.name, sent, want)
			}
			mustSend(t, r.c, nil, "NOOP") // without a secret it goes anywhere
			r.drive()
			if tc.refused {
				if sent := r.heard(); sent != "a1 NOOP\r\n" {
					t.Errorf("a refused command leaves nothing behind: %q", sent)
				}
				_ = r.c.Close()
				if called {
					t.Error("a refused command never completes")
				}
			}
		}
	}
}

// Memory that held a secret is wiped before others get it, wherever it was.
func TestSecretWiped(t *testing.T) {
	filler := strings.Repeat("x", 900)
	for _, tc := range []struct {
		says string
		do   func(r *rig) (held []byte)
	}{
		{"written", func(r *rig) []byte {
			mustSend(t, r.c, nil, "LOGIN %s %p", "alice", "hunter2")
			held := r.c.out.buf.b
			r.drive()
			return held
		}},
		{"moved down as the front was written", func(r *rig) []byte {
			for range 3 {
				mustSend(t, r.c, nil, "X %s", filler)
			}
			mustSend(t, r.c, nil, "LOGIN %s %p", "alice", "hunter2")
			held := r.c.out.buf.b
			r.maxWrite = 2400
			if _, err := r.c.TryProcessOneEvent(); err != nil {
				t.Fatal(err)
			}
			mustSend(t, r.c, nil, "NOOP")
			r.drive()
			return held[:cap(held)]
		}},
		{"outgrown", func(r *rig) []byte {
			mustSend(t, r.c, nil, "LOGIN %s %p", "alice", "hunter2")
			held := r.c.out.buf.b
			for range 10 {
				mustSend(t, r.c, nil, "X %s", filler)
			}
			r.drive()
			return held[:cap(held)]
		}},
		{"formatted and refused", func(r *rig) []byte {
			mustSend(t, r.c, nil, "NOOP")
			held := r.c.out.buf.b
			if err := r.c.Send(nil, nil, "LOGIN %p %s", "hunter2", "nul\x00"); err == nil {
				t.Fatal("NUL is refused")
			}
			return held[:cap(held)]
		}},
	} {
		t.Run(tc.says, func(t *testing.T) {
			r := newRig(t, &Dialer{}, nil)
			if held := tc.do(r); bytes.Contains(held, []byte("hunter2")) {
				t.Errorf("the memory is wiped: %q", held)
			}
		})
	}
}

// What a server repeats while a secret is on its way must not reach a log.
func TestErrorsHoldNoSecret(t *testing.T) {
	const secret = "hunter2"
	for _, says := range []string{
		"LOGIN alice hunter2\r\n",
		"b1 OK hunter2\r\n",
		"* 1 FETCH (hunter2 {99999999999}\r\n",
		"* 99999999999 hunter2 {5}\r\n",
	} {
		var told []string
		tell := func(_ *Client, text string) {
			if !strings.HasPrefix(text, "S: ") {
				told = append(told, text)
			}
		}
		r := newRig(t, &Dialer{JunkAllowance: -1, Trace: tell, Warn: tell}, nil)
		r.say("* OK\r\n")
		mustSend(t, r.c, nil, "LOGIN %s %p", "alice", secret)
		r.drive()
		r.say(says)
		err := r.c.Err()
		var syntax *wire.SyntaxError
		var limit *wire.LimitError
		if !errors.As(err, &syntax) && !errors.As(err, &limit) {
			t.Errorf("%q ends the connection: %v", says, err)
		}
		if told := strings.Join(append(told, err.Error()), "\n"); strings.Contains(told, secret) {
			t.Errorf("nobody is told the secret:\n%s", told)
		}
	}
}
