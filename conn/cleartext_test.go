package conn

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
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

// A buffer that held a secret is wiped before it goes back to the pool.
func TestSecretWiped(t *testing.T) {
	r := newRig(t, &Dialer{}, nil)
	mustSend(t, r.c, nil, "LOGIN %s %p", "alice", "hunter2")
	held := r.c.out.buf.b
	r.drive()
	if r.heard() != "a1 LOGIN alice hunter2\r\n" {
		t.Fatal("LOGIN is sent")
	}
	for _, b := range held {
		if b != 0 {
			t.Fatalf("the buffer is wiped once it is written: %q", held)
		}
	}
}
